"""What the two methods that a CLIP guides owe to what they are given: DiffusionCLIP its domain, Text2LIVE its starts.

::

    python -m tests.studies.guided_by_clip                  # killed and started again, it goes on

DiffusionCLIP tuned on each source by itself, on a domain of pictures as its authors do, and on one with CLIP looking
through random views; Text2LIVE from one start and from several. The rest is as the cards have it for the miniature
models, on the tuning list of version 2 of the shapes, which nothing is claimed from. A method that minimises CLIP's
loss can reach it without the edit: the directional similarity of the edits that failed stands beside that of all
perfect edits.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control
from evalkit.benchmarks.open import open_edits
from evalkit.scores.run import read_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from tests.studies.shapes_v2 import LISTS, TRUTHS, edit_and_score, scored

RESULTS = Path(__file__).with_suffix(".json")
DIRECTION = "clip_directional_similarity"
SUCCESS, SUBJECT, SCENE = TRUTHS[:3]
SETTINGS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "DiffusionCLIP, each source by itself": ("diffusionclip", {"domain": "", "views": "0"}),
    "DiffusionCLIP, a domain": ("diffusionclip", {"views": "0"}),
    "DiffusionCLIP, a domain and views": ("diffusionclip", {}),
    "Text2LIVE, one start": ("text2live", {"tries": "1"}),
    "Text2LIVE, several starts": ("text2live", {}),
}
LISTED = "tuning"


def perfect_similarity(work: Path) -> float:
    """Mean directional similarity of the list's perfect edits."""
    benchmark = BENCHMARKS.get(LISTS[LISTED])()
    folder = work / "edits"
    if not folder.exists():
        write_control("reference", benchmark.load(), folder, rng=np.random.default_rng(0))
    options = ScoreOptions(
        metrics=(DIRECTION,),
        encoder=benchmark.default_encoder,
        name="reference",
        benchmark_version=benchmark.version,
    )
    score_into(work / "run", open_edits(folder, benchmark=benchmark.name).folder, options)
    return float(read_run(work / "run").table.item_means(DIRECTION).values.mean())


def tried(method: str, changes: Mapping[str, str], work: Path, n_sources: int) -> dict[str, Any]:
    """What a method makes of the first sources' edits, at one seed."""
    edit_and_score(method, work, LISTED, changes=changes, n_sources=n_sources, seeds=(0,))
    frame = scored(work, method)
    failed = frame[frame[SUCCESS] == 0]
    return {
        "n": len(frame),
        "made": {kind: [int(rows.sum()), len(rows)] for kind, rows in frame.groupby("edit_type")[SUCCESS]},
        "subject": float(frame[SUBJECT].mean()),
        "scene": float(frame[SCENE].mean()),
        "directional": float(frame[DIRECTION].mean()),
        "directional_of_failures": float(failed[DIRECTION].mean()) if len(failed) else None,
        "seconds": float(frame.seconds.median()),
    }


def render(results: Mapping[str, Any]) -> str:
    """The table, in Markdown."""
    kinds = list(next(iter(results["settings"].values()))["made"])
    lines = [
        "# What methods owe to how CLIP guides them",
        "",
        f"`{results['command']}`: {results['n_items']} edits of the first {results['n_sources']} sources of the tuning "
        f"list of the shapes, version 2; miniature models, evalkit {results['evalkit']}.",
        "",
        "Edits that have the attribute asked for, by kind; how much of the stripe and of the horizon they keep (1",
        "exactly, 0 by chance); CLIP's directional similarity of all edits and of those that failed (of the perfect",
        f"edits of the list: {results['directional_of_perfect_edits']:.2f}), by the very CLIP that guides; median",
        "seconds of an edit.",
        "",
        f"| | {' | '.join(kinds)} | stripe kept | horizon kept | directional | of failures | seconds |",
        f"|---|{'---|' * (len(kinds) + 5)}",
    ]
    for name, one in results["settings"].items():
        of_failures = one["directional_of_failures"]
        cells = [
            *(f"{made} of {n}" for made, n in one["made"].values()),
            *(f"{one[key]:.2f}" for key in ("subject", "scene", "directional")),
            "–" if of_failures is None else f"{of_failures:.2f}",
            f"{one['seconds']:.1f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Edit, score, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=24)
    parser.add_argument("--work", type=Path, default=Path("build/guided_by_clip"))
    options = parser.parse_args()
    settings = {}
    for name, (method, changes) in SETTINGS.items():
        print(f"{name} …", flush=True)
        settings[name] = tried(method, changes, options.work / name.replace(" ", "_"), options.sources)
    results = {
        "command": f"python -m tests.studies.guided_by_clip --sources {options.sources}",
        "evalkit": __version__,
        "n_sources": options.sources,
        "n_items": next(iter(settings.values()))["n"],
        "directional_of_perfect_edits": perfect_similarity(options.work / "reference"),
        "settings": settings,
    }
    print(render(results))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    RESULTS.with_suffix(".md").write_text(render(results))


if __name__ == "__main__":
    main()
