"""How large a difference is mere noise: the margins of the protocols, measured in the shapes world.

::

    python -m tests.studies.protocol_margins                # killed and started again, it goes on

Two kinds of noise move the mean of a benchmark while the method stays the same. *Re-encoding*: its edits are delivered
as JPEG (quality 90), as WebP (quality 80) or at twice the size. *Reseeding*: it is run again with another seed. The
first is the largest absolute shift of the mean over round trips and sets of edits. The second is the difference of two
runs' means that different seeds alone exceed in one of twenty cases, 1.96 · √(2σ²/n), with σ² the variance between
seeds within an item, averaged over items, the larger of the methods', and n the number of the benchmark's items. The
margin is the larger of both, rounded up to one digit: a smaller difference says nothing of the method. It stands beside
the distance between the untouched source and the reference edit, of which it must be a small part to be of use.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import __version__
from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.benchmarks.open import open_edit_folder
from evalkit.data.item import EditItem
from evalkit.editing import edit_folder
from evalkit.method import METHODS, MINIATURE, Run
from evalkit.metrics.base import METRICS, Metric
from evalkit.scoring.score import open_cache, open_encoders
from evalkit.validity.damage import damaged
from evalkit.validity.systems import System, gather_systems
from evalkit.validity.values import Scored, score_systems

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
RESEEDED = ("text_to_image", "sdedit")
SEEDS = (0, 1, 2)
ROUND_TRIPS = ("jpeg_90", "webp_80", "resize_double")
N_SOURCES = 6
Z = 1.959963984540054
"""Standard normal quantile of 0.975."""


def offline_metrics() -> list[Metric]:
    """Every metric that needs no downloaded weights here: CLIP's through the miniature encoder, and pixels'."""
    found = [entry.value for entry in METRICS.entries() if entry.value]
    return [metric for metric in found if metric.encoder in ("clip", "none", "shapes_recogniser")]


def reseeded(name: str, shapes: Benchmark, work: Path, n_sources: int) -> Path:
    """A method's edits of the first sources with every seed; what is there already is kept."""
    groups = list(dict.fromkeys(item.group for item in shapes.items))[:n_sources]
    items = tuple(item for item in shapes.item_list(shapes.locate()).items if item.group in groups)
    method = METHODS.get(name)
    run = Run(model=MINIATURE, revision=None, settings=method.card.values(miniature=True, chosen={}))
    edit_folder(method, items, work / "edits" / name, run=run, benchmark=shapes.name, seeds=SEEDS)
    return work / "edits" / name


def split_by_seed(name: str, folder: Path) -> list[System]:
    """One system per seed, so that each is scored by itself."""
    items = open_edit_folder(folder, benchmark="shapes").folder.items
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


def scored(systems: list[System], metrics: list[Metric], cached: bool) -> Scored:
    """All values."""
    with open_cache(enabled=cached) as (cache, _):
        encoders = open_encoders(metrics, "miniature", device="cpu", dtype="fp32", cache=cache)
        return score_systems(
            systems, metrics, encoders, cache, benchmark="shapes", progress=lambda what, done, n: print(what, done, n)
        )


def noise(metric: Metric, values: Scored, names: dict[str, list[str]], n_items: int) -> dict[str, Any]:
    """What moves a metric's mean although no method changed."""
    items = list(values.columns["reference", metric.name].by_item)
    shifts = {
        f"{edits} {trip}": shift
        for edits in ("reference", *(f"{name}/0" for name in RESEEDED))
        for trip in ROUND_TRIPS
        if (shift := mean_shift(values, metric.name, edits, f"{edits} {trip}")) is not None
    }
    variances = {name: seed_variance(values, metric.name, systems, items) for name, systems in names.items()}
    spread = max((v for v in variances.values() if v is not None), default=None)
    reencoding = max(map(abs, shifts.values()), default=None)
    reseeding = None if spread is None else Z * math.sqrt(2 * spread / n_items)
    known = [x for x in (reencoding, reseeding) if x is not None]
    gap = mean_shift(values, metric.name, "identity", "reference")
    return {
        "family": metric.family,
        "reencoding": reencoding,
        "worst_round_trip": max(shifts, key=lambda name: abs(shifts[name]), default=None),
        "seed_sd": None if spread is None else math.sqrt(spread),
        "reseeding": reseeding,
        "noise": max(known, default=None),
        "margin": rounded_up(max(known)) if known and max(known) > 0 else None,
        "identity_to_reference": gap,
    }


def mean_shift(values: Scored, metric: str, before: str, after: str) -> float | None:
    """Mean of after minus before over the items that have both."""
    a, b = (values.columns[name, metric].by_item for name in (before, after))
    common = [item for item in a if item in b]
    return float(np.mean([b[item] - a[item] for item in common])) if common else None


def seed_variance(values: Scored, metric: str, systems: list[str], items: list[str]) -> float | None:
    """Variance between seeds within an item, averaged over the items that every seed has."""
    table = np.stack([values.columns[name, metric].at(items) for name in systems], axis=1)
    table = table[~np.isnan(table).any(axis=1)]
    return float(table.var(axis=1, ddof=1).mean()) if len(table) else None


def rounded_up(value: float) -> float:
    """The next number of one digit.

    >>> rounded_up(0.0123), rounded_up(0.02)
    (0.02, 0.02)
    """
    unit = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")


def render(results: dict[str, Any]) -> str:
    """The table, in Markdown."""
    lines = [
        "# What is noise: margins of equivalence from re-encoding and reseeding",
        "",
        f"`python -m tests.studies.protocol_margins`: {results['n_items']} edits of {results['n_sources']} sources of "
        f"the shapes benchmark, seeds {', '.join(map(str, SEEDS))} of {_counted(results['n_reseeded'])}, round trips "
        f"{', '.join(ROUND_TRIPS)}, miniature encoder, evalkit {results['evalkit']}. How it is computed stands in the "
        "script. *Seed SD* is within an item; *reseeding* is for the means of "
        f"{results['n_benchmark']} items.",
        "",
        "| metric | re-encoding | worst | seed SD | reseeding | margin | identity → reference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in results["metrics"].items():
        cells = [found["reencoding"], found["worst_round_trip"], found["seed_sd"], found["reseeding"], found["margin"],
                 found["identity_to_reference"]]  # fmt: skip
        shown = ["–" if cell is None else cell if isinstance(cell, str) else f"{cell:.3g}" for cell in cells]
        lines.append(f"| `{name}` | {' | '.join(shown)} |")
    lines += [
        "",
        "Limits. Pictures of 64 × 64 pixels, one miniature encoder and two methods: the figures hold for `shapes/v1` "
        "and are not carried over to photographs. Methods without randomness have no noise of reseeding.",
        "",
    ]
    return "\n".join(lines)


def _counted(n_reseeded: dict[str, int]) -> str:
    return " and ".join(f"{name} ({n} items)" for name, n in n_reseeded.items())


def main() -> None:
    """Edit, damage, score, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=N_SOURCES)
    parser.add_argument("--work", type=Path, default=Path("build/protocol_margins"))
    parser.add_argument("--as-is", action="store_true", help="score the edits that are there and make no more")
    options = parser.parse_args()
    shapes = BENCHMARKS.get("shapes")()
    folders = {name: options.work / "edits" / name for name in RESEEDED}
    if not options.as_is:
        folders = {name: reseeded(name, shapes, options.work, options.sources) for name in RESEEDED}
    metrics = offline_metrics()
    gathered = gather_systems(shapes, shapes.locate(), [], options.work / "reference", limit=options.sources)
    by_seed = {name: split_by_seed(name, folder) for name, folder in folders.items()}
    systems = [gathered.true, *(system for system in gathered.others if system.name == "identity")]
    for edits in (gathered.true, *(seeds[0] for seeds in by_seed.values())):
        systems += round_trips(edits, options.work)
    systems += [system for seeds in by_seed.values() for system in seeds]
    values = scored(systems, metrics, cached=True)
    names = {name: [system.name for system in seeds] for name, seeds in by_seed.items()}
    results = {
        "evalkit": __version__,
        "n_sources": options.sources,
        "n_items": len(gathered.true.items),
        "n_benchmark": len(shapes.items),
        "n_reseeded": {name: min(len(system.items) for system in seeds) for name, seeds in by_seed.items()},
        "seeds": SEEDS,
        "metrics": {metric.name: noise(metric, values, names, len(shapes.items)) for metric in metrics},
    }
    print(render(results))
    if options.work == parser.get_default("work"):
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        TABLE.write_text(render(results))


def round_trips(edits: System, work: Path) -> list[System]:
    """The edits after each round trip."""
    return [
        System(name=f"{edits.name} {trip}", kind="damage", items=damaged(trip, edits.items, work / edits.name / trip))
        for trip in ROUND_TRIPS
    ]


if __name__ == "__main__":
    main()
