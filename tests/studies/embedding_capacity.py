"""What an optimised embedding can recall of a picture at all, and so what HiPer can keep.

::

    python -m tests.studies.embedding_capacity                  # killed and started again, it goes on

HiPer keeps a source only by what it finds for the end of the source caption's embedding. Here nothing is edited: the
target caption is the source caption, the optimised end counts in full (gamma 1), and it is given more and more room,
by more updates and more tokens. What a sample from fresh noise then shows of the source is the most that HiPer can
carry into an edit. One item for each source of the tuning list of version 2 of the shapes, miniature models.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.open import open_edits
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MethodRun
from evalkit.edits.item import EditItem
from evalkit.formatting import format_interval
from evalkit.scores.run import read_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.stats.intervals import mean_interval
from tests.studies.shapes_v2 import LISTS, TRUTHS

RESULTS = Path(__file__).with_suffix(".json")
_, *KEPT, _ = TRUTHS
"""Stripe, horizon, unnamed attributes."""
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "nothing optimised": {"updates": "0"},
    "5 tokens, 100 updates": {"updates": "100"},
    "9 tokens, 400 updates": {"updates": "400", "tokens": "9"},
}
"""Nine is as many as leave room for every caption of the list."""


def unchanged(item: EditItem) -> EditItem:
    """The item with nothing to edit."""
    return replace(item, target_caption=item.source_caption, target_attributes=item.source_attributes, instruction=None)


def recalled(changes: Mapping[str, str], items: list[EditItem], work: Path) -> dict[str, Any]:
    """Mean preservation with its interval, of HiPer's samples at these settings."""
    benchmark = BENCHMARKS.get(LISTS["tuning"])()
    method = METHODS.get("hiper")
    settings = method.card.values(miniature=True, chosen={"gamma": "1", **changes})
    run = MethodRun(model=benchmark.default_model, revision=None, settings=settings)
    edit_folder(method, items, work / "edits", run=run)
    options = ScoreOptions(metrics=tuple(KEPT), encoder=benchmark.default_encoder, name="hiper")
    score_into(work / "run", open_edits(work / "edits").folder, options)
    table = read_run(work / "run").table
    found = {}
    for metric in KEPT:
        values = np.array(list(table.item_means(metric).by_item().values()))
        interval = mean_interval(values, np.arange(len(values)), is_rate=False)
        found[metric] = {"mean": float(values.mean()), "ci_low": interval.low, "ci_high": interval.high}
    return found


def render(results: Mapping[str, Any]) -> str:
    """The table, in Markdown."""
    lines = [
        "# What can an embedding recall?",
        "",
        f"`{results['command']}`: one item for each of {results['n_items']} sources of the tuning list of the shapes, "
        f"version 2; HiPer with the miniature model, nothing edited, gamma 1; evalkit {results['evalkit']}.",
        "",
        "What a fresh sample under the source caption shows of the source once the end of the caption's embedding was",
        "optimised for it: 1 exactly, 0 by chance, with 95 % intervals over sources. What is not recalled here cannot",
        "be carried into an edit.",
        "",
        "| | stripe | horizon | unnamed attributes |",
        "|---|---|---|---|",
    ]
    for name, found in results["settings"].items():
        cells = [
            f"{one['mean']:.2f} {format_interval(one['ci_low'], one['ci_high'], '{:.2f}'.format)}"
            for one in found.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Optimise, sample, score, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=24)
    parser.add_argument("--work", type=Path, default=Path("build/embedding_capacity"))
    options = parser.parse_args()
    loaded = BENCHMARKS.get(LISTS["tuning"])().load().items
    firsts = list({item.group: item for item in reversed(loaded)}.values())[::-1][: options.sources]
    items, settings = [unchanged(item) for item in firsts], {}
    for name, changes in SETTINGS.items():
        print(f"{name} …", flush=True)
        settings[name] = recalled(changes, items, options.work / name.replace(" ", "_"))
    results = {
        "command": f"python -m tests.studies.embedding_capacity --sources {options.sources}",
        "evalkit": __version__,
        "n_items": len(items),
        "settings": settings,
    }
    print(render(results))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    RESULTS.with_suffix(".md").write_text(render(results))


if __name__ == "__main__":
    main()
