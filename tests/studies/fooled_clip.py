"""Whether CLIP takes an edit that failed for a good one: methods that minimise it, held against the truth.

::

    python -m tests.studies.fooled_clip                   # killed and started again, it goes on
    python -m tests.studies.fooled_clip --methods text2live --set text2live.tries=1
    python -m tests.studies.fooled_clip --methods text2live,sdedit --kinds recolour,reshape --work build/trial

Text2LIVE and DiffusionCLIP minimise what CLIP metrics measure, here with the very network that scores them. The edits
of one kind are made and read by the closed-form recogniser, which knows nothing of CLIP. Of those without the
attribute that was asked for, the CLIPScore is compared with their sources', by evalkit's own group-aware test, and
with that of the perfect edits: a failure that scores like these has fooled the metric; one that stays far below,
though the method goes down CLIP's own loss, got stuck on the way. The result is written beside this file, as JSON and
as a table.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control
from evalkit.benchmarks.open import open_edits
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MINIATURE, MethodRun
from evalkit.edits.item import EditItem
from evalkit.scores.frame import ItemScores
from evalkit.scores.run import read_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.stats.permutation import sign_flip_test
from tests.studies.shapes_methods import N_SOURCES, distance

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
SCORE, DIRECTION, SUCCESS, KEPT = METRICS = (
    "clip_score",
    "clip_directional_similarity",
    "edit_success",
    "attribute_preservation",
)
DOING_NOTHING, PERFECT = "identity", "reference"


def rows_of(name: str, items: Sequence[EditItem], work: Path, changes: Mapping[str, str]) -> dict[str, ItemScores]:
    """What a method, or a control, scores on the items; what is there already is kept."""
    shapes, folder = BENCHMARKS.get("shapes")(), work / "edits" / name
    if name == PERFECT:
        if not folder.exists():
            write_control(name, shapes.load(), folder, rng=np.random.default_rng(0))
    else:
        method = METHODS.get(name)
        run = MethodRun(model=MINIATURE, revision=None, settings=method.card.values(miniature=True, chosen=changes))
        edit_folder(method, items, folder, run=run, benchmark=shapes.name)
    options = ScoreOptions(
        metrics=METRICS,
        encoder=shapes.default_encoder,
        name=name,
        benchmark_version=shapes.version,
        missing="intersect",
    )
    score_into(work / "runs" / name, open_edits(folder, benchmark=shapes.name).folder, options)
    wanted = {item.item_id for item in items}
    return {row.item_id: row for row in read_run(work / "runs" / name).table.rows if row.item_id in wanted}


def judge(
    name: str, items: Sequence[EditItem], rows: Mapping[str, Mapping[str, ItemScores]], work: Path
) -> dict[str, Any]:
    """The truth about a method's edits, and beside it what CLIP says of those that failed."""
    own = rows[name]
    failed = [item for item in items if own[item.item_id].values.get(SUCCESS) == 0]

    def values(of: str, metric: str, among: Sequence[EditItem]) -> list[float]:
        found = (rows[of][item.item_id].values.get(metric) for item in among)
        return [value for value in found if value is not None]

    before, after = (values(of, SCORE, failed) for of in (DOING_NOTHING, name))
    raised = np.subtract(after, before)
    test = sign_flip_test(raised, [item.group for item in failed]) if failed else None
    off = [distance(work / "edits" / name / item.item_id / "0.png", item.reference_image) for item in items]
    idle = [distance(item.source_image, item.reference_image) for item in items]
    return {
        "n": len(items),
        "n_failed": len(failed),
        "attributes_kept": mean(values(name, KEPT, items)),
        "reference_distance": mean(off),
        "reference_distance_of_sources": mean(idle),
        "failures": {
            "clip_score_of_sources": mean(before),
            "clip_score": mean(after),
            "clip_score_of_perfect_edits": mean(values(PERFECT, SCORE, failed)),
            "share_raised": mean((raised > 0).astype(float).tolist()),
            "p_value": test.p_value if test else None,
            "directional": mean(values(name, DIRECTION, failed)),
        },
    }


def mean(numbers: Sequence[float]) -> float | None:
    """The mean, where there is one."""
    return fmean(numbers) if numbers else None


def render(results: Mapping[str, Any]) -> str:
    """The table, in Markdown."""
    lines = [
        "# Edits that failed, as CLIP sees them",
        "",
        f"`python -m tests.studies.fooled_clip {' '.join(results['options'])}`: "
        f"{', '.join(results['kinds'])}, {results['n_items']} edits of {results['n_sources']} sources, miniature "
        f"models, evalkit {results['evalkit']}. The methods minimise the very CLIP that scores them.",
        "",
        "*Truth*, of all edits: how many have the attribute that was asked for, how many of the other attributes are",
        "as they were, and the mean absolute difference from the perfect edit (of the untouched source: in brackets).",
        "*CLIP*, of the edits that failed alone: CLIPScore of their sources, of the edits themselves and of the",
        "perfect ones, how many score above their source (p: sign-flip test by group), and the mean directional",
        "similarity. A failure that scores like the perfect edit has fooled CLIP; one far below got stuck on the way.",
        "",
        "| method | made | attributes kept | difference | source | failed edit | perfect edit | raised | p "
        "| directional |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, judged in results["methods"].items():
        f, n = judged["failures"], judged["n"]
        scores = [f[key] for key in ("clip_score_of_sources", "clip_score", "clip_score_of_perfect_edits")]
        off = [f"{100 * judged[key]:.1f} %" for key in ("reference_distance", "reference_distance_of_sources")]
        cells = [
            f"`{name}`",
            f"{n - judged['n_failed']} of {n}",
            f"{100 * judged['attributes_kept']:.0f} %",
            f"{off[0]} ({off[1]})",
            *(shown(score, "{:.3f}") for score in scores),
            shown(f["share_raised"], "{:.0%}"),
            shown(f["p_value"], "{:.2g}"),
            shown(f["directional"], "{:.3f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shown(number: float | None, form: str) -> str:
    """A number, where there is one: none where nothing failed."""
    return "–" if number is None else form.format(number)


def main() -> None:
    """Edit, score, judge, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="text2live,diffusionclip")
    parser.add_argument("--kinds", default="recolour")
    parser.add_argument("--sources", type=int, default=N_SOURCES)
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE")
    parser.add_argument("--work", type=Path, default=Path("build/fooled_clip"))
    options = parser.parse_args()
    shapes, kinds, names = BENCHMARKS.get("shapes")(), options.kinds.split(","), options.methods.split(",")
    groups = list(dict.fromkeys(item.group for item in shapes.items))[: options.sources]
    every = shapes.load().items
    items = [item for item in every if item.group in groups and item.edit_type in kinds]
    changes: dict[str, dict[str, str]] = {name: {} for name in [DOING_NOTHING, PERFECT, *names]}
    for text in options.set:
        place, _, value = text.partition("=")
        name, _, key = place.partition(".")
        changes[name][key] = value
    rows = {name: rows_of(name, items, options.work, changed) for name, changed in changes.items()}
    results = {
        "evalkit": __version__,
        "options": ["--methods", options.methods, *(part for text in options.set for part in ("--set", text))],
        "kinds": kinds,
        "n_sources": options.sources,
        "n_items": len(items),
        "methods": {name: judge(name, items, rows, options.work) for name in names},
    }
    print(render(results))
    if options.work == parser.get_default("work"):
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        TABLE.write_text(render(results))


if __name__ == "__main__":
    main()
