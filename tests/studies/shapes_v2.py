"""Every editing method over version 2 of the shapes benchmark, in the miniature world: edits, scores and a table.

::

    python -m tests.studies.shapes_v2 --methods hiper,sdedit --sources 8 --set hiper.gamma=0.6 --work build/trial
    python -m tests.studies.shapes_v2 --list claim --methods pix2pix_zero    # one of several processes

Killed and started again, it goes on. Settings for the miniature model are found on the *tuning* list, which is the
default; claims rest on the *claim* list, and the *final* list is looked at once, when they stand:
``tests.studies.what_is_conserved`` does both, from the edits that this script makes.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.open import open_edits
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MethodRun
from evalkit.images.decode import read_image
from evalkit.scores.run import read_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into

if TYPE_CHECKING:
    import pandas

LISTS = {"tuning": "shapes:v2_tuning", "claim": "shapes:v2", "final": "shapes:v2_final"}
SEEDS = (0, 1)
BASELINES = ("identity", "text_to_image")
CONTROLS = (*BASELINES, "ddim_reconstruction")
"""Methods that nobody expects to edit: nothing changed, nothing kept, and what inversion loses."""
TRUTHS = (
    "edit_success:v2",
    "subject_detail_preservation",
    "scene_detail_preservation",
    "unnamed_attribute_preservation",
    "closeness",
)
METRICS = (*TRUTHS, "clip_score", "clip_directional_similarity", "clip_image_similarity")


def tried_methods() -> list[str]:
    """Every method that is tried on the shapes, with the miniature models."""
    return [name for name in METHODS.names() if METHODS.get(name).card.edit_types is not None]


def work_of(listed: str) -> Path:
    """Where the edits of a list and their scores are kept, unless somebody says otherwise."""
    return Path("build") / f"shapes_v2_{listed}"


def edit_and_score(
    name: str,
    work: Path,
    listed: str,
    *,
    changes: Mapping[str, str] | None = None,
    n_sources: int | None = None,
    seeds: Sequence[int] = SEEDS,
) -> Path:
    """The run directory of a method on the first sources of a list; what is there already is kept.

    A method that draws nothing at random makes the same edits with every seed, so one of them is enough.
    """
    benchmark = BENCHMARKS.get(LISTS[listed])()
    groups = list(dict.fromkeys(item.group for item in benchmark.items))[:n_sources]
    items = tuple(item for item in benchmark.load().items if item.group in groups)
    method = METHODS.get(name)
    settings = method.card.values(miniature=True, chosen=changes)
    run = MethodRun(model=benchmark.default_model, revision=None, settings=settings)
    edits = work / "edits" / name
    edit_folder(method, items[:1], edits, run=run, benchmark=benchmark.name, seeds=SEEDS)
    used = seeds if draws_at_random(edits, items[0].item_id) else SEEDS[:1]
    edit_folder(method, items, edits, run=run, benchmark=benchmark.name, seeds=used)
    folder = open_edits(edits, benchmark=benchmark.name).folder
    options = ScoreOptions(
        metrics=METRICS,
        encoder=benchmark.default_encoder,
        name=name,
        benchmark_version=benchmark.version,
        missing="intersect",
    )
    score_into(work / "runs" / name, folder, options)
    return work / "runs" / name


def draws_at_random(edits: Path, item_id: str) -> bool:
    """Whether the edits of an item by several seeds differ."""
    return len({read_image(path).tobytes() for path in (edits / item_id).glob("*.png")}) > 1


def scored(work: Path, name: str) -> "pandas.DataFrame":
    """A row per item and seed: what it is, its scores, the seconds that the edit took, and whether seeds matter."""
    frame = read_run(work / "runs" / name).table.to_dataframe()
    # The first item alone has all seeds in any case.
    frame = frame[frame.groupby("seed", observed=True).item_id.transform("size") == frame.item_id.nunique()]
    made = open_edits(work / "edits" / name).folder.items
    is_random = draws_at_random(work / "edits" / name, made[0].item_id)
    seconds = {(item.item_id, item.seed): item.seconds for item in made}
    keys = zip(frame.item_id, frame.seed, strict=True)
    seconds_of = np.array([seconds.get((item, int(seed))) for item, seed in keys], dtype=float)
    return frame.assign(seconds=seconds_of, is_random=is_random)


def trial_table(work: Path, names: Sequence[str]) -> str:
    """Means over all edits, and success by edit type, of what was tried."""
    import pandas

    rows = {}
    for name in names:
        frame = scored(work, name)
        by_type = frame.groupby("edit_type", observed=True)[TRUTHS[0]].mean()
        rows[name] = {metric: frame[metric].mean() for metric in (*METRICS, "seconds")} | dict(by_type)
    return pandas.DataFrame(rows).to_string(float_format="{:.2f}".format)


def main() -> None:
    """Edit, score and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", choices=LISTS, default="tuning", dest="listed")
    parser.add_argument("--methods", default=",".join(tried_methods()))
    parser.add_argument("--sources", type=int, help="how many of the list's; all by default")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.KEY=VALUE", help="for a trial")
    parser.add_argument("--work", type=Path, help="where edits and scores are kept")
    options = parser.parse_args()
    if options.set and options.listed != "tuning":
        parser.error("settings are tried on the tuning list only")
    work, names = options.work or work_of(options.listed), options.methods.split(",")
    changes: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in options.set:
        place, _, value = text.partition("=")
        name, _, key = place.partition(".")
        changes[name][key] = value
    for name in names:
        print(f"{name} …", flush=True)
        edit_and_score(
            name,
            work,
            options.listed,
            changes=changes[name],
            n_sources=options.sources,
            seeds=range(options.seeds),
        )
    print(trial_table(work, names))


if __name__ == "__main__":
    main()
