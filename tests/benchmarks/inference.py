"""How fast differences are tested: all pairs of ten methods on six metrics, against scipy; and a very large benchmark.

    python tests/benchmarks/inference.py

scipy.stats.permutation_test, in its vectorised form, is timed on a few of the 270 columns and multiplied up; ours tests
all of them, intervals included. The large case is a whole process, whose peak memory is the operating system's figure.
"""

import json
import sys
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from common import process

from evalkit.stats.compare import compare_methods
from evalkit.stats.permutation import sign_flip_test, sign_flip_tests
from evalkit.stats.ranking import rank_methods
from evalkit.stats.scores import InferenceOptions, MetricScores

METHODS, METRICS, ITEMS, FLIPS = 10, 6, 100, 9_999
SCIPY_COLUMNS = 5
LARGE_ITEMS, LARGE_FLIPS = 100_000, 10_000
REPEATS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """The fastest of a few calls, by the clock and by the processor; on a busy machine only the latter is telling."""

    clock: float
    processor: float


def best(function) -> Seconds:
    """Time a few calls, after one to warm up."""
    function()
    clock, processor = [], []
    for _ in range(REPEATS):
        started, used = time.perf_counter(), time.process_time()
        function()
        clock.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    return Seconds(clock=min(clock), processor=min(processor))


def against_scipy() -> dict[str, float]:
    """All pairs × metrics: our seconds, scipy's extrapolated, and their ratio."""
    from scipy import stats

    scores = np.random.default_rng(0).normal(size=(ITEMS, METHODS * METRICS))
    pairs = [(m * METHODS + a, m * METHODS + b) for m in range(METRICS) for a, b in combinations(range(METHODS), 2)]

    def scipy() -> None:
        for a, b in pairs[:SCIPY_COLUMNS]:
            stats.permutation_test(
                (scores[:, b] - scores[:, a],),
                lambda x, axis: x.mean(axis=axis),
                permutation_type="samples",
                vectorized=True,
                n_resamples=FLIPS,
                rng=np.random.default_rng(0),
            )

    ours, theirs = best(lambda: sign_flip_tests(scores, range(ITEMS), pairs, n_permutations=FLIPS)), best(scipy)
    times = len(pairs) / SCIPY_COLUMNS
    return {
        "columns": len(pairs),
        "evalkit_seconds": round(ours.clock, 3),
        "scipy_seconds_extrapolated": round(theirs.clock * times, 1),
        "scipy_columns_timed": SCIPY_COLUMNS,
        "ratio": round(theirs.clock * times / ours.clock),
        "ratio_of_processor_time": round(theirs.processor * times / ours.processor),
    }


def one_metric() -> dict[str, float]:
    """What a comparison and a ranking of ten methods cost at their default settings."""
    rng = np.random.default_rng(1)
    scores = {f"method {number}": rng.normal(size=(ITEMS, 1)) for number in range(METHODS)}
    metric, groups = MetricScores(metric="score", scores=scores, higher_is_better=True), range(ITEMS)
    options = InferenceOptions()
    return {
        "compare_methods_seconds": round(best(lambda: compare_methods([metric], groups, options)).clock, 3),
        "rank_sets_seconds": round(best(lambda: rank_methods(metric, groups, options)).clock, 3),
    }


def large() -> None:
    """Test one difference on a very large benchmark, and print the seconds that it took."""
    differences = np.random.default_rng(2).normal(size=LARGE_ITEMS)
    started = time.perf_counter()
    sign_flip_test(differences, range(LARGE_ITEMS), n_permutations=LARGE_FLIPS)
    print(time.perf_counter() - started)


def main() -> None:
    """Print the figures."""
    figures = {**against_scipy(), **one_metric()}
    done = process([sys.executable, __file__, "large"])
    figures["large_seconds"] = round(float(done.output), 2)
    figures["large_peak_mib"] = round(done.peak_mib, 1)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    large() if sys.argv[1:] == ["large"] else main()
