"""How well few labels and a metric of all items tell what people would say: coverage, errors, width.

::

    OMP_NUM_THREADS=1 python -m tests.studies.ppi_coverage --draws 2000

Two methods of one mean; their labels differ by a normal or an exponential of variance 1 that correlates by .2 in
groups, and so does the metric, with the labels by so much. Labels are of a random part of the items. Every figure is
of what users run, `compare_methods` with labels beside a metric. *Called different* is the share of draws with
a winner, *covered* that of intervals that hold the truth, with the metric and by the labels alone; *width* is the mean
ratio of the two widths, *error* that of the root mean square errors: below 1 the metric helps, above 1 it harms. A
coverage of .95 shows as .95 ± .03 with 200 draws and as .95 ± .01 with 2,000, in 95 % of runs. Counts are kept beside
this file as JSON, with each scenario's own number of draws; one that has enough is not run again.
"""

import argparse
import json
import zlib
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np

from evalkit.stats.compare import compare_methods
from evalkit.stats.scores import InferenceOptions, MetricScores

RESULTS = Path(__file__).with_suffix(".json")
DESIGNS: Mapping[str, tuple[int, int, int]] = {
    "20 of 40": (20, 40, 1),
    "20 of 100, groups of 2": (20, 100, 2),
    "50 of 100, groups of 4": (50, 100, 4),
    "40 of 300, groups of 3": (40, 300, 3),
    "100 of 700": (100, 700, 1),
    "200 of 700, groups of 7": (200, 700, 7),
}
"""Labels, items, and items per group."""
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
SHAPES = ("normal", "exponential")
WITHIN = 0.2
COUNTS = ("different", "covered", "covered alone")


def draw(rng: np.random.Generator, shape: str, n_groups: int, size: int) -> np.ndarray:
    """``(n,)`` of mean 0 and variance 1, correlated within groups."""

    def numbers(n: int) -> np.ndarray:
        return rng.normal(size=n) if shape == "normal" else rng.exponential(size=n) - 1

    between = np.repeat(numbers(n_groups), size)
    return np.sqrt(WITHIN) * between + np.sqrt(1 - WITHIN) * numbers(n_groups * size)


def one(rng: np.random.Generator, design: tuple[int, int, int], shape: str, correlation: float) -> dict[str, float]:
    """One study of two equal methods."""
    n_labels, n_items, size = design
    n_groups = n_items // size
    n_items = n_groups * size
    truth = draw(rng, shape, n_groups, size)
    metric = correlation * truth + np.sqrt(1 - correlation**2) * draw(rng, "normal", n_groups, size)
    labels = np.full(n_items, np.nan)
    chosen = rng.permutation(n_items)[:n_labels]
    labels[chosen] = truth[chosen]
    hard = rng.normal(size=n_items)
    beside = scores_of(hard, hard + metric)
    people = MetricScores(
        metric="people", scores=scores_of(hard, hard + labels).scores, higher_is_better=True, assisted_by=beside
    )
    (pair,) = compare_methods([people], np.repeat(np.arange(n_groups), size), InferenceOptions())
    alone = pair.labels
    return {
        "draws": 1,
        "different": pair.winner is not None,
        "covered": pair.ci_low <= 0 <= pair.ci_high,
        "covered alone": alone.ci_low <= 0 <= alone.ci_high,
        "width": (pair.ci_high - pair.ci_low) / (alone.ci_high - alone.ci_low),
        "square": pair.difference**2,
        "square alone": alone.difference**2,
    }


def scores_of(a: np.ndarray, b: np.ndarray) -> MetricScores:
    """Two methods; of the first as many values as of the second."""
    a = np.where(np.isnan(b), np.nan, a)
    return MetricScores(metric="metric", scores={"a": a[:, None], "b": b[:, None]}, higher_is_better=True)


def run(draws: int) -> dict[str, dict[str, float]]:
    """Every scenario with so many draws, those that are kept included."""
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for (name, design), shape, correlation in product(DESIGNS.items(), SHAPES, CORRELATIONS):
        scenario = f"{name} | {shape} | {correlation}"
        if found.get(scenario, {}).get("draws", 0) >= draws:
            continue
        rng = np.random.default_rng(zlib.crc32(scenario.encode()))
        studies = [one(rng, design, shape, correlation) for _ in range(draws)]
        found[scenario] = {key: round(float(sum(study[key] for study in studies)), 6) for key in studies[0]}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown."""
    heads = ("labels", "shape", "correlation", "draws", "called different", "covered", "labels alone", "width", "error")
    lines = ["# Few labels, many scores", "", (__doc__ or "").split("\n\n")[3].replace("\n", " "), ""]
    lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for scenario, sums in found.items():
        n = sums["draws"]
        shares = [f"{sums[key] / n:.3f}" for key in COUNTS]
        error = (sums["square"] / sums["square alone"]) ** 0.5
        cells = [*scenario.split(" | "), f"{n:.0f}", *shares, f"{sums['width'] / n:.2f}", f"{error:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    found = run(parser.parse_args().draws)
    RESULTS.with_suffix(".md").write_text(table(found))
    print(table(found))
