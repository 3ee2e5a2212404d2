"""Which metric sees that something was lost that nobody named: every metric that needs no download, without a method.

::

    python -m tests.studies.lost_details

Over the claim list of version 2 of the shapes benchmark each metric is asked to choose between the perfect edit and
one that differs from it in one thing alone: its stripe is turned by a right angle (the subject), its horizon is as far
away as can be (the scene), or what the captions leave out has other values. The result is written beside this file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.benchmarks.base import BENCHMARKS, LoadedBenchmark
from evalkit.benchmarks.controls import write_control
from evalkit.benchmarks.open import open_edits
from evalkit.metrics.base import METRICS, Metric
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import read_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.stats.agreement import USABLE, superiority

RESULTS = Path(__file__).with_suffix("")
"""Without suffix."""
WORK = Path("build/lost_details")
BENCHMARK = "shapes:v2"
LOST = {
    "other_stripe": "the stripe across the shape is turned by a right angle",
    "other_horizon": "the horizon's height and slope are half of their ranges away",
    "other_unnamed": "what the captions leave out has other values",
}
"""Control to what is lost in it."""
OFFLINE = {"clip", "shapes_recogniser_v2"}
"""Networks that are there without a download."""


def tried_metrics() -> list[Metric]:
    """Every metric that needs no download and has a value for every edit of the list."""
    found = [entry.value for entry in METRICS.entries() if entry.value]
    return [metric for metric in found if set(metric.encoders) <= OFFLINE]


def scored(loaded: LoadedBenchmark, name: str, metrics: list[Metric]) -> ScoreFrame:
    """A control's scores; what is there already is kept."""
    edits, run = WORK / "edits" / name, WORK / "runs" / name
    write_control(name, loaded, edits, rng=np.random.default_rng(0))
    folder = open_edits(edits, benchmark=BENCHMARK).folder
    options = ScoreOptions(
        metrics=[metric.name for metric in metrics],
        encoder=loaded.benchmark.default_encoder,
        name=name,
        benchmark_version=loaded.benchmark.version,
    )
    score_into(run, folder, options)
    return read_run(run).table


def preferred(metric: Metric, frames: Mapping[str, ScoreFrame], control: str) -> dict[str, Any]:
    """How often the metric prefers the perfect edit: over all items, and by edit type."""
    true, other = (frames[name].to_dataframe() for name in ("reference", control))
    true, other = true.set_index("item_id"), other.set_index("item_id").loc[list(true.item_id)]
    both = true[metric.name].notna().to_numpy() & other[metric.name].notna().to_numpy()
    kinds = true.edit_type.astype(str).to_numpy()
    found = {}
    for kind in (None, *dict.fromkeys(kinds)):
        chosen = both if kind is None else both & (kinds == kind)
        if not chosen.any():
            continue
        estimate = superiority(
            true[metric.name].to_numpy()[chosen],
            other[metric.name].to_numpy()[chosen],
            true.group.astype(str).to_numpy()[chosen],
            higher_is_better=metric.higher_is_better,
        ).paired
        found[kind or "all"] = {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
    return {"n": int(both.sum()), "preferred": found}


def render(results: Mapping[str, Any]) -> str:
    """The tables, in Markdown."""
    lines = [
        "# Which metric sees what was lost?",
        "",
        f"`python -m tests.studies.lost_details`, evalkit {__version__}: the {results['n_items']} perfect edits of "
        f"`{BENCHMARK}` against the same edits with one thing lost.",
        "",
        "How often a metric scores the perfect edit better, ties counting half; 95 % interval (Wilson, with the design",
        f"effect of the source images). **Bold**: the interval lies above .5. Below {USABLE:g} a metric cannot be",
        "trusted to see the loss in a single edit; near 0 it rewards it. Metrics that compare with the reference image",
        "win by construction, and are here as a check.",
    ]
    kinds = results["edit_types"]
    for control, what in LOST.items():
        lines += [
            "",
            f"## `{control}`: {what}",
            "",
            f"| metric | all | {' | '.join(kinds)} |",
            f"|---|---|{'---|' * len(kinds)}",
        ]
        for name, by_control in results["metrics"].items():
            found = by_control[control]["preferred"]
            if found:
                cells = [f"{found[kind]['value']:.2f}" if kind in found else "–" for kind in kinds]
                lines.append(f"| `{name}` | {shown(found['all'])} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shown(found: Mapping[str, float]) -> str:
    """A share with its interval."""
    text = f"{found['value']:.2f} [{found['ci_low']:.2f}, {found['ci_high']:.2f}]"
    return f"**{text}**" if found["ci_low"] > 0.5 else text


def main() -> None:
    """Draw, score, and keep the result."""
    loaded, metrics = BENCHMARKS.get(BENCHMARK)().load(), tried_metrics()
    frames = {name: scored(loaded, name, metrics) for name in ("reference", *LOST)}
    results = {
        "n_items": len(loaded.items),
        "edit_types": list(dict.fromkeys(item.edit_type for item in loaded.items)),
        "metrics": {
            metric.name: {control: preferred(metric, frames, control) for control in LOST} for metric in metrics
        },
    }
    RESULTS.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(render(results))
    print(render(results))


if __name__ == "__main__":
    main()
