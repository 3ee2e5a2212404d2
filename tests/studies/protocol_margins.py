"""How large a difference is mere noise: the margins of the protocols, measured.

::

    python -m tests.studies.protocol_margins shapes/v1      # killed and started again, it goes on
    python -m tests.studies.protocol_margins tedbench/v1 --edits ../shared/tedbench/imagic --data ../shared/tedbench

Two kinds of noise move the mean of a benchmark while the method stays the same. *Re-encoding*: its edits are delivered
as JPEG (quality 90), as WebP (quality 80) or at twice the size. *Reseeding*: it is run again with another seed. The
first is the largest absolute shift of the mean over round trips and sets of edits. The second is the difference of two
runs' means that different seeds alone exceed in one of twenty cases, 1.96 · √(2σ²/n), with σ² the variance between
seeds within an item, averaged over items, the larger of the methods', and n the number of the protocol's items. Edits
that somebody published once (``--edits``) have no noise of reseeding, and what needs weights is tried only where the
protocol's encoder is the miniature one. The
margin is the larger of both, rounded up to one digit: a smaller difference says nothing of the method. It stands beside
the distance between the untouched source and the reference edit, of which it must be a small part to be of use.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.protocols import Protocol
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MINIATURE, MINIATURE_V2, MethodRun
from evalkit.edits.item import EditItem
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.metrics import attributes, details
from evalkit.metrics.base import METRICS, Metric
from evalkit.scores.run import ScoredRun
from evalkit.scoring.encoders import open_encoders
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.resources import open_resources
from evalkit.validity.damage import damaged
from evalkit.validity.systems import System, collect_systems
from evalkit.validity.trial import score_systems

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
RESEEDED = ("text_to_image", "sdedit")
SEEDS = (0, 1, 2)
ROUND_TRIPS = ("jpeg_90", "webp_80", "resize_double")
RECOGNISERS = {MINIATURE: attributes.RECOGNISER, MINIATURE_V2: details.RECOGNISER}
"""Miniature encoder to what reads the pictures of its version of the shapes."""
Z = 1.959963984540054
"""Standard normal quantile of 0.975."""


def offline_metrics(protocol: Protocol) -> list[Metric]:
    """Every metric that needs no download: of pixels, and in the miniature world of CLIP and the recogniser."""
    miniature = protocol.encoder in RECOGNISERS
    there = {"clip", RECOGNISERS[protocol.encoder]} if miniature else set()
    found = [entry.value for entry in METRICS.entries() if entry.value]
    return [
        metric for metric in found if set(metric.encoders) <= there and (miniature or "_background" not in metric.name)
    ]


Runs = Mapping[str, ScoredRun]
"""By system."""


def reseeded(name: str, benchmark: Benchmark, work: Path) -> list[System]:
    """A method's edits with every seed, one system for each; what is there already is kept."""
    method, output = METHODS.get(name), work / "edits" / name
    items = benchmark.load().items
    run = MethodRun(
        model=benchmark.default_model, revision=None, settings=method.card.values(miniature=True, chosen={})
    )
    edit_folder(method, items, output, run=run, benchmark=benchmark.name, seeds=SEEDS)
    items = open_edits(output, benchmark=benchmark.name).folder.items
    return [
        System(
            name=f"{name}/{seed}",
            kind="method",
            items=tuple(_plain(item) for item in items if item.seed == seed and item.status == "ok"),
        )
        for seed in SEEDS
    ]


def _plain(item: EditItem) -> EditItem:
    return replace(item, seed=None)


def scored(systems: list[System], metrics: list[Metric], benchmark: Benchmark) -> Runs:
    """All values."""
    with open_resources(cached=True) as shared:
        encoders = open_encoders(
            metrics, ScoreOptions(encoder=benchmark.default_encoder, device="cpu"), cache=shared.cache
        )
        return score_systems(
            systems,
            metrics,
            encoders,
            shared.cache,
            benchmark=benchmark.name,
            progress=lambda what, done, n: print(what, done, n),
        )


def noise(metric: str, values: Runs, true: str, seeds: dict[str, list[str]], n_items: int) -> dict[str, Any]:
    """What moves a metric's mean although no method changed."""
    shifts = {
        f"{edits} {trip}": shift
        for edits in (true, *(systems[0] for systems in seeds.values()))
        for trip in ROUND_TRIPS
        if (shift := mean_shift(values, metric, edits, f"{edits} {trip}")) is not None
    }
    variances = [seed_variance(values, metric, systems) for systems in seeds.values()]
    spread = max((v for v in variances if v is not None), default=None)
    reencoding = max(map(abs, shifts.values()), default=None)
    reseeding = None if spread is None else Z * math.sqrt(2 * spread / n_items)
    known = [x for x in (reencoding, reseeding) if x is not None]
    return {
        "reencoding": reencoding,
        "worst_round_trip": max(shifts, key=lambda name: abs(shifts[name]), default=None),
        "seed_sd": None if spread is None else math.sqrt(spread),
        "reseeding": reseeding,
        "margin": rounded_up(max(known)) if known and max(known) > 0 else None,
        "identity_to_true": mean_shift(values, metric, "identity", true),
    }


def mean_shift(values: Runs, metric: str, before: str, after: str) -> float | None:
    """Mean of after minus before over the items that have both."""
    a, b = (values[name].table.item_means(metric).by_item() for name in (before, after))
    common = [item for item in a if item in b]
    return float(np.mean([b[item] - a[item] for item in common])) if common else None


def seed_variance(values: Runs, metric: str, systems: list[str]) -> float | None:
    """Variance between seeds within an item, averaged over the items that every seed has."""
    by_item = [values[name].table.item_means(metric).by_item() for name in systems]
    common = [item for item in by_item[0] if all(item in scores for scores in by_item)]
    table = np.array([[scores[item] for scores in by_item] for item in common])
    return float(table.var(axis=1, ddof=1).mean()) if len(table) else None


def rounded_up(value: float) -> float:
    """The next number of one digit.

    >>> rounded_up(0.0123), rounded_up(0.02)
    (0.02, 0.02)
    """
    unit = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")


def render(results: dict[str, Any]) -> str:
    """The tables, in Markdown."""
    lines = [
        "# What is noise: margins of equivalence from re-encoding and reseeding",
        "",
        "How it is computed stands in `protocol_margins.py`. *Seed SD* is within an item, *reseeding* for the means of",
        "the protocol's items.",
        "",
    ]
    for name, result in results.items():
        seeds = (
            f"seeds {', '.join(map(str, SEEDS))} of {' and '.join(result['reseeded'])}" if result["reseeded"] else ""
        )
        lines += [
            f"## {name}",
            "",
            f"`python -m tests.studies.protocol_margins {result['command']}`: {result['n_items']} edits, "
            f"{seeds}, round trips {', '.join(ROUND_TRIPS)}, evalkit "
            f"{result['evalkit']}.",
            "",
            f"| metric | re-encoding | worst | seed SD | reseeding | margin | identity → {result['true']} |",
            "|---|---|---|---|---|---|---|",
        ]
        for metric, found in result["metrics"].items():
            lines.append(f"| `{metric}` | {' | '.join(map(shown, found.values()))} |")
        lines.append("")
    lines += [
        "Limits. The shapes are 64 × 64 pixels, seen by one miniature encoder, and drawn by two methods: those figures",
        "hold for protocols of the shapes alone. Of photographs, what needs downloaded weights has no margin yet: the",
        "same command gives it where they can be had. Methods without randomness have no noise of reseeding.",
        "",
    ]
    return "\n".join(lines)


def shown(cell: float | str | None) -> str:
    """What stands in a cell."""
    return "–" if cell is None else cell if isinstance(cell, str) else f"{cell:.3g}"


def main() -> None:
    """Edit, damage, score, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol")
    parser.add_argument("--edits", type=Path, help="published edits, for a benchmark that nothing edits here")
    parser.add_argument("--data", type=Path, help="the benchmark's own files")
    parser.add_argument("--work", type=Path, default=Path("build/protocol_margins"))
    options = parser.parse_args()
    protocol = get_protocol(options.protocol)
    benchmark, work = covered_benchmark(protocol), options.work / options.protocol
    published = [options.edits] if options.edits else []
    seeds = {} if published else {name: reseeded(name, benchmark, work) for name in RESEEDED}
    gathered = collect_systems(benchmark.load(options.data), published, work / "reference")
    systems = [gathered.true, *(system for system in gathered.others if system.name == "identity")]
    for edits in (gathered.true, *(of[0] for of in seeds.values())):
        systems += round_trips(edits, work)
    systems += [system for of in seeds.values() for system in of]
    metrics = offline_metrics(protocol)
    values, names = scored(systems, metrics, benchmark), {name: [s.name for s in of] for name, of in seeds.items()}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[protocol.name] = {
        "evalkit": __version__,
        "command": " ".join(sys.argv[1:]),
        "true": gathered.true.name,
        "n_items": len(gathered.true.items),
        "reseeded": list(seeds),
        "metrics": {m.name: noise(m.name, values, gathered.true.name, names, protocol.n_items) for m in metrics},
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    TABLE.write_text(render(results))
    print(render(results))


def round_trips(edits: System, work: Path) -> list[System]:
    """The edits after each round trip."""
    return [
        System(name=f"{edits.name} {trip}", kind="damage", items=damaged(trip, edits.items, work / edits.name / trip))
        for trip in ROUND_TRIPS
    ]


if __name__ == "__main__":
    main()
