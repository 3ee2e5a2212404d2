"""How often the statistics err, by simulation with TEdBench's groups: 100 items on 39 pictures.

::

    OPENBLAS_NUM_THREADS=1 python -m tests.studies.error_rates        # half an hour

Results are kept in error_rates.json after every hundred replicates; a run that was cut off goes on from there and gives
the same figures, since every hundred has its own seed. ``--replicates`` takes fewer, ``--only`` one scenario.

Each figure is a share of replicates; at 4,000 a true rate of .05 shows as .05 ± .007 in 95 % of runs, at 20,000 as
.05 ± .003.
"""

import argparse
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import scipy

from evalkit.stats.agreement import rank_correlation
from evalkit.stats.equivalence import equivalence_test
from evalkit.stats.intervals import group_bootstrap_t_interval, group_t_interval, group_wilson_interval
from evalkit.stats.multiplicity import adjust
from evalkit.stats.permutation import sign_flip_test, sign_flip_tests
from evalkit.stats.rank_tests import wilcoxon_signed_rank
from evalkit.stats.ranking import rank_methods
from evalkit.stats.scores import InferenceOptions
from tests.support.grouped import TEDBENCH_GROUP_SIZES, metric_scores, tedbench_groups

RESULTS = Path(__file__).with_suffix(".json")
SEED, CHUNK = 20_240_607, 100
REPLICATES, AT_THE_MARGIN = 4_000, 20_000
"""The equivalence tests are a few thousandths from .05, which takes more replicates to see."""
LABELS = tedbench_groups()
GROUPS = np.array(LABELS)
METHODS = 10
MARGIN = 0.8
"""Margin of the equivalence tests, in standard deviations of a difference: large enough to be shown."""
MARGINAL = "a difference at the margin"
Outcome = dict[str, bool]


def draw(rng: np.random.Generator, shape: str, size) -> np.ndarray:
    """Numbers of mean 0 and variance 1; skewed ones are exponential."""
    return rng.normal(size=size) if shape == "normal" else rng.exponential(size=size) - 1


def correlated(rng: np.random.Generator, shape: str, correlation: float, columns: int = 1) -> np.ndarray:
    """``(100, columns)`` whose items correlate within groups; mean 0, variance 1."""
    between = draw(rng, shape, (len(TEDBENCH_GROUP_SIZES), columns))[GROUPS]
    return np.sqrt(correlation) * between + np.sqrt(1 - correlation) * draw(rng, shape, (len(GROUPS), columns))


def contains(interval, truth: float) -> bool:
    """Whether an interval covers the truth; one without ends does."""
    return interval.low is None or interval.low <= truth <= interval.high


def two_methods(shape: str, correlation: float) -> Callable[[np.random.Generator], Outcome]:
    """No difference in the mean: false positives and coverage."""

    def replicate(rng: np.random.Generator) -> Outcome:
        d = correlated(rng, shape, correlation)[:, 0]
        test = sign_flip_test(d, LABELS, n_permutations=1_999, exact_steps=0)
        naive = sign_flip_test(d, range(len(d)), n_permutations=1_999, exact_steps=0)
        return {
            "false_positive: group sign-flip": test.p_value <= 0.05,
            "false_positive: sign-flip ignoring groups": naive.p_value <= 0.05,
            "false_positive: Wilcoxon (sensitivity row)": wilcoxon_signed_rank(d, LABELS) <= 0.05,
            "coverage: subset means": contains(test, 0.0),
            "coverage: group t": contains(group_t_interval(d, LABELS), 0.0),
            "coverage: group bootstrap-t": contains(group_bootstrap_t_interval(d, LABELS, n_resamples=999), 0.0),
        }

    return replicate


def at_the_margin(shape: str, correlation: float) -> Callable[[np.random.Generator], Outcome]:
    """A difference as large as the margin: how often it is called equivalent, by both tests together and by t alone."""

    def replicate(rng: np.random.Generator) -> Outcome:
        d = correlated(rng, shape, correlation)[:, 0]
        outcome = {}
        for side, truth in (("upper", MARGIN), ("lower", -MARGIN)):
            shifted = d + truth
            usual = group_t_interval(shifted, LABELS, level=0.9)
            outcome[f"false_equivalence: t and bootstrap-t, {side}"] = equivalence_test(
                shifted, LABELS, margin=MARGIN, n_resamples=999
            ).equivalent
            outcome[f"false_equivalence: t alone, {side}"] = usual.low >= -MARGIN and usual.high <= MARGIN
        return outcome

    return replicate


def equal_family(shape: str) -> Callable[[np.random.Generator], Outcome]:
    """Ten equal methods: any rejection among 45 pairs is an error."""
    pairs = list(combinations(range(METHODS), 2))

    def replicate(rng: np.random.Generator) -> Outcome:
        scores = correlated(rng, "normal", 0.2) + 0.5 * correlated(rng, shape, 0.2, METHODS)
        families = [0] * len(pairs)
        tests = sign_flip_tests(scores, LABELS, pairs, n_permutations=9_999, exact_steps=0, max_t_families=families)
        raw = [test.p_value for test in tests]
        return {
            "any_false_positive: Holm": min(adjust(raw)) <= 0.05,
            "any_false_positive: max-t": min(test.max_t_p_value for test in tests) <= 0.05,
            "any_false_positive: uncorrected": min(raw) <= 0.05,
        }

    return replicate


def ranks(shape: str, means: tuple[float, ...]) -> Callable[[np.random.Generator], Outcome]:
    """Whether all rank sets hold all ranks that ties allow, and those of the best methods do."""
    lows = [1 + sum(other > mean for other in means) for mean in means]
    highs = [len(means) - sum(other < mean for other in means) for mean in means]

    def replicate(rng: np.random.Generator) -> Outcome:
        scores = correlated(rng, "normal", 0.2) + 0.5 * correlated(rng, shape, 0.2, len(means)) + np.array(means)
        metric = metric_scores({str(number): column for number, column in enumerate(scores.T)})
        rows = rank_methods(metric, LABELS, InferenceOptions(n_resamples=1_999)).methods
        covered = {
            row.method: row.rank_low <= lows[int(row.method)] and highs[int(row.method)] <= row.rank_high
            for row in rows
        }
        best = [str(number) for number, mean in enumerate(means) if mean == max(means)]
        return {
            "rank_coverage: all methods": all(covered.values()),
            "rank_coverage: best": all(covered[method] for method in best),
        }

    return replicate


def few_groups(shape: str, n_groups: int) -> Callable[[np.random.Generator], Outcome]:
    """As many groups as items, and few of them."""

    def replicate(rng: np.random.Generator) -> Outcome:
        d = draw(rng, shape, n_groups)
        labels = range(n_groups)
        test = sign_flip_test(d, labels, n_permutations=1_999, exact_steps=0)
        return {
            "false_positive: group sign-flip": test.p_value <= 0.05,
            "coverage: group t": contains(group_t_interval(d, labels), 0.0),
            "coverage: group bootstrap-t": contains(group_bootstrap_t_interval(d, labels, n_resamples=999), 0.0),
        }

    return replicate


def other_intervals(correlation: float) -> Callable[[np.random.Generator], Outcome]:
    """Success rates of .2, and rank correlations of two normal columns correlated by .6."""
    spearman = 6 / np.pi * np.arcsin(0.3)

    def replicate(rng: np.random.Generator) -> Outcome:
        x, noise = correlated(rng, "normal", correlation, 2).T
        success = (x < -0.841621).astype(float)
        agreement = rank_correlation(x, 0.6 * x + 0.8 * noise, LABELS, n_resamples=499)
        return {
            "coverage: group Wilson": contains(group_wilson_interval(success, LABELS), 0.2),
            "coverage: Spearman, group BCa": contains(agreement, spearman),
        }

    return replicate


def scenarios() -> Iterator[tuple[str, Callable[[np.random.Generator], Outcome]]]:
    """Name and replicate function of everything that is simulated."""
    for shape in ("normal", "skewed"):
        for correlation in (0.0, 0.2, 0.5):
            yield f"two equal methods, {shape}, intra-group correlation {correlation}", two_methods(shape, correlation)
            yield f"{MARGINAL}, {shape}, intra-group correlation {correlation}", at_the_margin(shape, correlation)
    for shape in ("normal", "skewed"):
        yield f"ten equal methods, family, {shape}", equal_family(shape)
        yield f"ten equal methods, ranks, {shape}", ranks(shape, (0.0,) * METHODS)
        leaders = (0.5,) * 3 + tuple(np.linspace(0.0, 0.3, METHODS - 3))
        yield f"three tied leaders of ten, ranks, {shape}", ranks(shape, leaders)
        for n_groups in (10, 30):
            yield f"{n_groups} independent items, {shape}", few_groups(shape, n_groups)
    for correlation in (0.0, 0.5):
        yield f"other intervals, intra-group correlation {correlation}", other_intervals(correlation)


def main() -> None:
    """Simulate what is not there yet, and keep it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--replicates", type=int, default=None)
    options.add_argument("--only", default="")
    asked = options.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"scenarios": {}}
    results["command"] = "OPENBLAS_NUM_THREADS=1 python -m tests.studies.error_rates"
    results["seed"], results["versions"] = SEED, {"numpy": np.__version__, "scipy": scipy.__version__}
    for name, replicate in scenarios():
        if asked.only not in name:
            continue
        entry = results["scenarios"].setdefault(name, {"replicates": 0, "counts": {}, "seconds": 0.0})
        wanted = asked.replicates or (AT_THE_MARGIN if name.startswith(MARGINAL) else REPLICATES)
        while entry["replicates"] < wanted:
            started = time.perf_counter()
            rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), entry["replicates"] // CHUNK])
            counts = Counter(entry["counts"])
            for _ in range(CHUNK):
                counts.update({key: int(happened) for key, happened in replicate(rng).items()})
            entry["replicates"] += CHUNK
            entry["counts"] = dict(counts)
            entry["rates"] = {key: round(count / entry["replicates"], 4) for key, count in counts.items()}
            entry["seconds"] = round(entry["seconds"] + time.perf_counter() - started, 1)
            RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        print(name, entry["replicates"], json.dumps(entry["rates"], indent=2))


if __name__ == "__main__":
    main()
