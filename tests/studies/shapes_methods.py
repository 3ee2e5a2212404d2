"""Every editing method over the shapes benchmark, in the miniature world, held to the two baselines of the house.

::

    python -m tests.studies.shapes_methods                  # killed and started again, it goes on
    python -m tests.studies.shapes_methods --held-out       # on the benchmark's last sources
    python -m tests.studies.shapes_methods --methods sdedit --sources 24 --set sdedit.strength=0.6 --work build/trial

A method works on an edit type if, over the items of that type, its edits have the attribute that was asked for more
often than the untouched source has (``identity``), and come closer to the perfect edit than a fresh sample for the
target caption does (``text_to_image``): both by evalkit's own group-aware test, p < .05. Closeness is what tells
preservation here. The captions of the benchmark name all five attributes, so a fresh sample has them right as well
(``attribute_preservation`` is near 1 for everything); where exactly, how large exactly and in which shade is said by no
caption, and only the reference picture has it. It is compared with as it was drawn and as the miniature autoencoder
draws it, which loses more of a shade than the methods differ by; the nearer counts. The result is written beside this
file, as JSON and as a table.

The settings for the miniature model, and the edit types that a card claims, were found by trying on the first sources.
So a claim is confirmed only where it holds again on the held-out sources, the last ones, which nothing was tried on.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.arrays import Floats
from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.open import open_edits
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MINIATURE, MethodRun
from evalkit.images.decode import read_image
from evalkit.scores.run import read_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from tests.support.grouped import compare_two

RESULTS = Path(__file__).with_suffix("")
"""Without suffix."""
DISTANCE = "reference_distance"
"""Mean absolute difference from the reference picture over pixels and channels, in [0, 1]."""
BASELINES = {"edit_success": "identity", DISTANCE: "text_to_image"}
"""Metric to the method that must be beaten on it."""
METRICS = (
    "edit_success",
    "attribute_preservation",
    "clip_score",
    "clip_directional_similarity",
    "clip_image_similarity",
)
CONTROLS = ("identity", "text_to_image", "ddim_reconstruction")
"""Methods that nobody expects to edit: nothing changed, nothing kept, and what inversion loses."""
N_SOURCES = 18
"""Of the benchmark's 72, each with four edits: 72 edits in 18 groups, 13 or 14 items of most edit types."""


def tried_methods() -> list[str]:
    """Every method that is tried on the shapes, with the miniature models."""
    return [name for name in METHODS.names() if METHODS.get(name).card.edit_types is not None]


def sources(number: int, *, held_out: bool = False) -> tuple[str, ...]:
    """The groups of the benchmark's first sources, or of its last."""
    groups = tuple(dict.fromkeys(item.group for item in BENCHMARKS.get("shapes")().items))
    return groups[-number:] if held_out else groups[:number]


def edit_and_score(name: str, work: Path, groups: Sequence[str], changes: dict[str, str]) -> Path:
    """The run directory of a method on some sources; what is there already is kept."""
    shapes = BENCHMARKS.get("shapes")()
    items = tuple(item for item in shapes.load().items if item.group in groups)
    method = METHODS.get(name)
    run = MethodRun(model=MINIATURE, revision=None, settings=method.card.values(miniature=True, chosen=changes))
    edit_folder(method, items, work / "edits" / name, run=run, benchmark=shapes.name)
    folder = open_edits(work / "edits" / name, benchmark=shapes.name).folder
    options = ScoreOptions(
        metrics=METRICS,
        encoder=shapes.default_encoder,
        name=name,
        benchmark_version=shapes.version,
        missing="intersect",
    )
    score_into(work / "runs" / name, folder, options)
    return work / "runs" / name


def scores(work: Path, name: str, metric: str) -> dict[str, float | None]:
    """Item to value."""
    if metric != DISTANCE:
        return {row.item_id: row.values.get(metric) for row in read_run(work / "runs" / name).table.rows}
    items = open_edits(work / "edits" / name, benchmark="shapes").folder.items
    return {item.item_id: distance(item.edited_image, item.reference_image) for item in items if item.edited_image}


@cache
def distance(edited_image: Path, reference_image: Path) -> float:
    """How far an edit is from the perfect one, as it was drawn or as the autoencoder draws it: from the nearer."""
    edited = np.asarray(read_image(edited_image)) / 255
    return float(min(np.abs(edited - wanted).mean() for wanted in perfect(reference_image)))


@cache
def perfect(reference_image: Path) -> tuple[Floats, Floats]:
    """The perfect edit, and what is left of it after the miniature autoencoder."""
    picture = read_image(reference_image)
    return np.asarray(picture) / 255, miniature().decode(miniature().encode(picture))


@cache
def miniature() -> LatentDiffusion:
    """The base model of the methods."""
    return LatentDiffusion.open(MethodRun(model=MINIATURE, revision=None, settings={}))


def beats(work: Path, name: str, metric: str, edit_types: Sequence[str]) -> dict[str, Any]:
    """A method against the metric's baseline over the items of some edit types."""
    rows = [row for row in read_run(work / "runs" / name).table.rows if row.edit_type in edit_types]
    of_method, of_baseline = (scores(work, method, metric) for method in (name, BASELINES[metric]))
    result = compare_two(
        [of_baseline.get(row.item_id) for row in rows],
        [of_method.get(row.item_id) for row in rows],
        [row.group for row in rows],
        higher_is_better=metric != DISTANCE,
    )
    return {
        "metric": metric,
        "baseline": BASELINES[metric],
        "n": result.n_items,
        "mean": result.mean_b,
        "baseline_mean": result.mean_a,
        "p_value": result.p_value,
        "better": result.verdict == "b_better" and result.p_value < 0.05,
    }


def judge(work: Path, name: str) -> dict[str, Any]:
    """What a method reached, by edit type, on those it claims, and overall."""
    card = METHODS.get(name).card
    claimed = sorted(card.edit_types or ())
    table = read_run(work / "runs" / name).table
    by_type = {
        kind: {metric: beats(work, name, metric, [kind]) for metric in BASELINES}
        for kind in dict.fromkeys(row.edit_type for row in table.rows if row.edit_type)
    }
    return {
        "claims": claimed,
        "working": bool(claimed) and all(beats(work, name, metric, claimed)["better"] for metric in BASELINES),
        "on_claims": [beats(work, name, metric, claimed) for metric in BASELINES] if claimed else [],
        "by_type": by_type,
        "means": {metric: mean_or_none(table.item_means(metric).values.tolist()) for metric in METRICS},
    }


def mean_or_none(values: Sequence[float]) -> float | None:
    """The mean, where there is one."""
    return fmean(values) if values else None


def render(results: dict[str, Any]) -> str:
    """The table, in Markdown."""
    kinds = list(next(iter(results["methods"].values()))["by_type"])
    lines = [
        "# Every editing method over the shapes benchmark",
        "",
        f"`{results['command']}`: {results['n_items']} edits of {results['n_sources']} sources, "
        f"miniature models, evalkit {results['evalkit']}.",
        "",
        "Edit types: edit success in % / mean absolute difference from the perfect edit in %. **Bold** where success",
        "is above `identity`'s and the difference below `text_to_image`'s (each p < .05, sign-flip test by group, on",
        "this type alone); † where the method's card does not claim the type. *Works*: the same two tests over all",
        "types that the card claims.",
        "",
        f"| method | {' | '.join(kinds)} | works | attributes kept | CLIPScore | directional | image similarity |",
        f"|---|{'---|' * len(kinds)}---|---|---|---|---|",
    ]
    for name, judged in results["methods"].items():
        cells = []
        for kind in kinds:
            pair = judged["by_type"][kind]
            text = " / ".join(percent(part["mean"], digits) for part, digits in zip(pair.values(), (0, 1), strict=True))
            text = f"**{text}**" if all(part["better"] for part in pair.values()) else text
            cells.append(text if kind in judged["claims"] else f"{text} †")
        means = [judged["means"][metric] for metric in METRICS[1:]]
        shown = [percent(means[0], 1) + " %", *("undefined" if mean is None else f"{mean:.3f}" for mean in means[1:])]
        works = "a control" if name in CONTROLS else "yes" if judged["working"] else "no"
        lines.append(f"| `{name}` | {' | '.join(cells)} | {works} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def percent(share: float | None, digits: int) -> str:
    """A share in [0, 1] in per cent."""
    return "?" if share is None else f"{100 * share:.{digits}f}"


def main() -> None:
    """Edit, score, judge, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(tried_methods()))
    parser.add_argument("--sources", type=int, default=N_SOURCES)
    parser.add_argument("--held-out", action="store_true", help="the benchmark's last sources instead of its first")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE")
    parser.add_argument("--work", type=Path, help="a trial's; its result is printed only")
    options = parser.parse_args()
    stem = f"{RESULTS.name}{'_held_out' if options.held_out else ''}"
    work = options.work or Path("build") / stem
    groups = sources(options.sources, held_out=options.held_out)
    names = list(dict.fromkeys([*BASELINES.values(), *options.methods.split(",")]))
    changes: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in options.set:
        place, _, value = text.partition("=")
        name, _, key = place.partition(".")
        changes[name][key] = value
    for name in names:
        print(f"{name} …", flush=True)
        edit_and_score(name, work, groups, changes[name])
    methods = {name: judge(work, name) for name in names}
    record = read_run(work / "runs" / names[0]).record
    results = {
        "command": " ".join(["python -m tests.studies.shapes_methods", *sys.argv[1:]]),
        "evalkit": __version__,
        "n_sources": options.sources,
        "n_items": record.n_edited,
        "methods": dict(sorted(methods.items())),
    }
    print(render(results))
    if options.work is None:
        RESULTS.with_name(f"{stem}.json").write_text(json.dumps(results, indent=2) + "\n")
        RESULTS.with_name(f"{stem}.md").write_text(render(results))


if __name__ == "__main__":
    main()
