"""How often what evalkit says is wrong, by simulation: verdicts, intervals, ranks, equivalence, planning, seeds.

::

    OPENBLAS_NUM_THREADS=1 python -m tests.studies.error_rates            # an hour on two cores, and the table
    OPENBLAS_NUM_THREADS=1 python -m tests.studies.error_rates --part 1/2 # half of the scenarios, for a second process

Counts are kept in error_rates.json after every hundred replicates; a run that was cut off goes on from there and gives
the same figures, since every hundred has its own seed. The table beside it is made from these counts.

Every figure comes from what users run: `compare_methods`, `rank_methods`, `mean_interval`. Designs: TED39, TEdBench's
100 items on 39 pictures; one group that holds 61 of 100 items; 6, 8 and 12 items. Shapes have mean 0 and variance 1;
their items correlate by .2 within groups. Each figure is a share of replicates: at 2,000 a true rate of .05 shows as
.05 ± .01 in 95 % of runs.
"""

import argparse
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from statistics import NormalDist

import numpy as np
import scipy
from scipy.optimize import brentq

from evalkit.stats.clusters import satterthwaite
from evalkit.stats.compare import compare_methods
from evalkit.stats.intervals import mean_interval
from evalkit.stats.permutation import sign_flip_test
from evalkit.stats.power import minimum_detectable_effect
from evalkit.stats.ranking import rank_methods
from evalkit.stats.scores import InferenceOptions, MetricScores
from tests.support.grouped import TEDBENCH_GROUP_SIZES

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OPENBLAS_NUM_THREADS=1 python -m tests.studies.error_rates"
SEED, CHUNK, REPLICATES = 20_261_129, 100, 2_000
DESIGNS: Mapping[str, tuple[int, ...]] = {
    "TED39": TEDBENCH_GROUP_SIZES,
    "one group of 61": (61, *(1,) * 39),
    "12 items": (1,) * 12,
    "8 items": (1,) * 8,
    "6 items": (1,) * 6,
}
CORRELATION = 0.2
CONTINUOUS = ("normal", "exponential", "lognormal(.5)", "lognormal(1)", "85 % ties")
RATES = {"rate .5": 0.5, "rate .8": 0.8, "rate .95": 0.95}
RATINGS = "ratings of five"
CUTS = NormalDist().inv_cdf(0.1), NormalDist().inv_cdf(0.3), NormalDist().inv_cdf(0.6), NormalDist().inv_cdf(0.85)
"""Where a latent normal becomes a rating of 1 to 5."""
FAST = {"n_permutations": 1_999, "n_resamples": 1_999}
METHODS = 5
Outcome = dict[str, bool]


def draw(rng: np.random.Generator, shape: str, size) -> np.ndarray:
    """Numbers of mean 0 and variance 1."""
    if shape == "normal":
        return rng.normal(size=size)
    if shape == "exponential":
        return rng.exponential(size=size) - 1
    if shape == "85 % ties":
        return rng.normal(size=size) * (rng.random(size) < 0.15) / np.sqrt(0.15)
    sigma = float(shape.removeprefix("lognormal(").removesuffix(")"))
    spread = np.sqrt(np.expm1(sigma**2)) * np.exp(sigma**2 / 2)
    return (np.exp(sigma * rng.normal(size=size)) - np.exp(sigma**2 / 2)) / spread


def labels_of(design: str) -> np.ndarray:
    """``(n,)``, the group of each item."""
    sizes = DESIGNS[design]
    return np.repeat(np.arange(len(sizes)), sizes)


def correlated(rng: np.random.Generator, shape: str, labels: np.ndarray, columns: int = 1) -> np.ndarray:
    """``(n, columns)`` of mean 0 and variance 1, whose items correlate within groups."""
    if shape == "85 % ties":  # a group that ties, ties on all its items, or there would be few ties
        return draw(rng, shape, (len(labels), columns))
    between = draw(rng, shape, (labels.max() + 1, columns))[labels]
    return np.sqrt(CORRELATION) * between + np.sqrt(1 - CORRELATION) * draw(rng, shape, (len(labels), columns))


def latent(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """``(n, 2)`` standard normals of two methods that share half of their variance: items are equally hard for both."""
    shared, own = correlated(rng, "normal", labels), correlated(rng, "normal", labels, 2)
    return np.sqrt(0.5) * shared + np.sqrt(0.5) * own


def mean_rating(shift: float) -> float:
    """Of a latent normal that is shifted."""
    return 1 + sum(1 - NormalDist().cdf(cut - shift) for cut in CUTS)


@cache
def latent_shift(shape: str, difference: float) -> float:
    """By how much the second method's latent normal is shifted, for its mean to be higher by so much."""
    if shape in RATES:
        return NormalDist().inv_cdf(RATES[shape] + difference) - NormalDist().inv_cdf(RATES[shape])
    return brentq(lambda shift: mean_rating(shift) - mean_rating(0) - difference, -5, 5)


def two_methods(rng: np.random.Generator, shape: str, labels: np.ndarray, difference: float = 0.0) -> MetricScores:
    """Scores of ``a`` and ``b``, whose true means differ by so much."""
    if shape in CONTINUOUS:
        a = rng.normal(size=len(labels))
        scores = {"a": a, "b": a + correlated(rng, shape, labels)[:, 0] + difference}
        return metric_of(scores)
    z = latent(rng, labels)
    z[:, 1] += latent_shift(shape, difference) if difference else 0.0
    if shape == RATINGS:
        rated = 1.0 + sum((z > cut) for cut in CUTS)
        return metric_of(dict(zip("ab", rated.T, strict=True)), range=(1.0, 5.0))
    done = (z > -NormalDist().inv_cdf(RATES[shape])).astype(float)
    return metric_of(dict(zip("ab", done.T, strict=True)), range=(0.0, 1.0), is_rate=True)


def metric_of(scores: Mapping[str, np.ndarray], **fields) -> MetricScores:
    """One metric of which more is better."""
    tables = {name: column if column.ndim == 2 else column[:, None] for name, column in scores.items()}
    return MetricScores(metric="score", scores=tables, higher_is_better=True, **fields)


def contains(low: float | None, high: float | None, truth: float) -> bool:
    """Whether an interval covers the truth; one that is not there does."""
    return low is None or high is None or low - 1e-9 <= truth <= high + 1e-9


def truth_of(shape: str) -> float:
    """The true mean of method ``a`` where it has the shape that is looked at."""
    return RATES.get(shape, mean_rating(0.0) if shape == RATINGS else 0.0)


def no_difference(design: str, shape: str) -> Callable[[np.random.Generator], Outcome]:
    """Two methods of the same mean: verdicts and intervals."""
    labels = labels_of(design)

    def replicate(rng: np.random.Generator) -> Outcome:
        metric = two_methods(rng, shape, labels)
        (flip,) = compare_methods([metric], labels, InferenceOptions(**FAST))
        (t,) = compare_methods([metric], labels, InferenceOptions(test="t", **FAST))
        values = correlated(rng, shape, labels)[:, 0] if shape in CONTINUOUS else metric.scores["a"][:, 0]
        mean = mean_interval(values, labels, is_rate=metric.is_rate, bounds=metric.range)
        naive = sign_flip_test(metric.scores["b"][:, 0] - metric.scores["a"][:, 0], range(len(labels)), exact_steps=0,
                               n_permutations=1_999)  # fmt: skip
        return {
            "decided": flip.winner is not None,
            "decided, t": t.winner is not None,
            "decided, ignoring groups": (naive.p_value or 1) <= 0.05,
            "covers, difference": contains(flip.ci_low, flip.ci_high, 0.0),
            "covers, mean": contains(mean.low, mean.high, truth_of(shape)),
            "has interval, mean": mean.low is not None,
        }

    return replicate


@cache
def true_error(design: str, shape: str) -> float:
    """Standard error of the mean difference, over 4,000 drawn studies."""
    rng, labels = np.random.default_rng(SEED), labels_of(design)
    tables = (two_methods(rng, shape, labels).scores for _ in range(4_000))
    return float(np.std([(scores["b"] - scores["a"]).mean() for scores in tables], ddof=1))


def margin_of(design: str, shape: str) -> float:
    """Three standard errors; of rates and ratings no more than leaves room for a shift either way."""
    room = {"rate .5": 0.4, "rate .8": 0.15, "rate .95": 0.045, RATINGS: 1.5}.get(shape, np.inf)
    return min(3 * true_error(design, shape), room)


def at_the_margins(design: str, shape: str) -> Callable[[np.random.Generator], Outcome]:
    """A difference as large as the margin, up and down, and none: how often equivalence is shown."""
    labels = labels_of(design)

    def replicate(rng: np.random.Generator) -> Outcome:
        outcome, margin = {}, margin_of(design, shape)
        for name, difference in (("upper", margin), ("lower", -margin), ("no difference", 0.0)):
            metric = two_methods(rng, shape, labels, difference)
            declared = MetricScores(
                metric="score", scores=metric.scores, higher_is_better=True, range=metric.range,
                is_rate=metric.is_rate, margin=margin,
            )  # fmt: skip
            (pair,) = compare_methods([declared], labels, InferenceOptions(**FAST))
            outcome[f"equivalent, {name}"] = bool(pair.equivalent)
        return outcome

    return replicate


@cache
def effect_of(design: str, shape: str) -> float:
    """The difference that four of five studies of this design are said to find."""
    found = minimum_detectable_effect(
        standard_error=true_error(design, shape),
        degrees_of_freedom=satterthwaite(np.array(DESIGNS[design], dtype=float)),
        n_groups=len(DESIGNS[design]),
    )
    assert found is not None
    return found


def detectable(design: str, shape: str) -> Callable[[np.random.Generator], Outcome]:
    """A difference that four of five studies are said to find."""
    labels = labels_of(design)

    def replicate(rng: np.random.Generator) -> Outcome:
        effect = effect_of(design, shape)
        (pair,) = compare_methods([two_methods(rng, shape, labels, effect)], labels, InferenceOptions(**FAST))
        return {"found": pair.winner == "b"}

    return replicate


def family(design: str, shape: str, means: tuple[float, ...]) -> Callable[[np.random.Generator], Outcome]:
    """Several methods: any wrong decision, and whether every rank set holds the ranks that the truth allows."""
    labels = labels_of(design)
    lows = [1 + sum(other > mean for other in means) for mean in means]
    highs = [len(means) - sum(other < mean for other in means) for mean in means]

    def replicate(rng: np.random.Generator) -> Outcome:
        own = correlated(rng, shape, labels, len(means))
        scores = correlated(rng, "normal", labels) + 0.5 * own + np.array(means)
        metric = metric_of({str(number): column for number, column in enumerate(scores.T)})
        options = InferenceOptions(**FAST)
        pairs = compare_methods([metric], labels, options)
        rows = rank_methods(metric, labels, pairs, options).methods
        wrong = [p for p in pairs if p.winner and means[int(p.winner)] <= min(means[int(p.a)], means[int(p.b)])]
        return {
            "any wrong decision": bool(wrong),
            "rank sets cover": all(
                row.rank_low is None
                or (row.rank_low <= lows[int(row.method)] and highs[int(row.method)] <= row.rank_high)
                for row in rows
            ),
        }

    return replicate


def seeds(kind: str, correlation: float, shared: float, k: int) -> Callable[[np.random.Generator], Outcome]:
    """Two methods of the same mean, 30 items, k seeds: on these items with new seeds, and on new items.

    Seeds are paired (the same of both methods), unpaired (others of each), or unnamed: nobody knows which is which.
    """
    n, first = 30, tuple(map(str, range(k)))
    second = first if kind == "paired" else tuple(map(str, range(k, 2 * k)))
    labels = {} if kind == "unnamed" else {"a": first, "b": second}

    def replicate(rng: np.random.Generator) -> Outcome:
        items = rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(2, n, 1))
        both = rng.normal(size=(n, k))
        noise = np.sqrt(correlation) * both + np.sqrt(1 - correlation) * rng.normal(size=(2, n, k))
        a, b = items + noise + shared * rng.normal(size=(2, 1, k))
        metric = metric_of({"a": a, "b": b}, seed_labels=labels)
        (pair,) = compare_methods([metric], range(n), InferenceOptions(**FAST))
        truth = float((items[1] - items[0]).mean())
        found = pair.new_seeds
        return {
            "decided": pair.winner is not None,
            "covers, difference": contains(pair.ci_low, pair.ci_high, 0.0),
            "covers, new seeds": found is None or contains(found.low, found.high, truth),
            "has interval, new seeds": found is not None and found.low is not None,
        }

    return replicate


def scenarios() -> Iterator[tuple[str, Callable[[np.random.Generator], Outcome]]]:
    """Name (what, design, shape) and replicate function of everything that is simulated."""
    for design, shape in product(DESIGNS, (*CONTINUOUS, *RATES, RATINGS)):
        yield f"no difference | {design} | {shape}", no_difference(design, shape)
        yield f"margins | {design} | {shape}", at_the_margins(design, shape)
    for design, shape in product(("TED39", "one group of 61", "12 items", "8 items"), CONTINUOUS):
        yield f"detectable | {design} | {shape}", detectable(design, shape)
    for design, shape in product(DESIGNS, ("normal", "exponential", "lognormal(1)")):
        yield f"{METHODS} equal methods | {design} | {shape}", family(design, shape, (0.0,) * METHODS)
        yield f"three leaders of {METHODS} | {design} | {shape}", family(design, shape, (0.5, 0.5, 0.5, 0.25, 0.0))
    for kind, correlation, shared, k in product(
        ("paired", "unpaired", "unnamed"), (0.0, 0.5, 0.9), (0.0, 0.3), (2, 4, 12)
    ):
        if kind == "paired" or not correlation:
            name = f"{kind}, correlation {correlation}, shared effect {shared}"
            yield f"seeds | {k} seeds | {name}", seeds(kind, correlation, shared, k)


def table(results: Mapping[str, Mapping]) -> str:
    """All figures as Markdown, a section per question and a row per scenario."""
    lines = ["# How often what evalkit says is wrong", "", f"`{COMMAND}`", "", *__doc__.split("\n\n")[4:], ""]
    sections: dict[str, list[tuple[str, str, Mapping[str, float], int]]] = {}
    for name, entry in results.items():
        what, design, shape = name.split(" | ")
        sections.setdefault(what, []).append((design, shape, entry["rates"], entry["replicates"]))
    for what, rows in sections.items():
        columns = list(rows[0][2])
        lines += [f"## {what[0].upper()}{what[1:]}", "", "| | | " + " | ".join(columns) + " | replicates |"]
        lines += ["|---|---|" + "---:|" * (len(columns) + 1)]
        for design, shape, rates, n in rows:
            lines.append(f"| {design} | {shape} | " + " | ".join(f"{rates[c]:.3f}" for c in columns) + f" | {n:,} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Simulate what is not there yet, and keep it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--replicates", type=int, default=REPLICATES)
    options.add_argument("--only", default="", help="scenarios whose name holds this")
    options.add_argument("--part", default="1/1", help="K/N: every N-th scenario from the K-th on")
    asked = options.parse_args()
    part, parts = map(int, asked.part.split("/"))
    for number, (name, replicate) in enumerate(scenarios()):
        if asked.only in name and number % parts == part - 1:
            simulate(name, replicate, asked.replicates)


def simulate(name: str, replicate: Callable[[np.random.Generator], Outcome], wanted: int) -> None:
    """Bring a scenario to so many replicates."""
    entry = stored().get(name, {"replicates": 0, "counts": {}, "seconds": 0.0})
    while entry["replicates"] < wanted:
        started = time.process_time()
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), entry["replicates"] // CHUNK])
        counts = Counter(entry["counts"])
        for _ in range(CHUNK):
            counts.update({key: int(happened) for key, happened in replicate(rng).items()})
        entry["replicates"] += CHUNK
        entry["counts"] = dict(counts)
        entry["rates"] = {key: round(count / entry["replicates"], 4) for key, count in counts.items()}
        entry["seconds"] = round(entry["seconds"] + time.process_time() - started, 1)
        keep(name, entry)
    print(name, json.dumps(entry["rates"]), flush=True)


def stored() -> dict[str, dict]:
    """What was simulated so far."""
    return json.loads(RESULTS.read_text())["scenarios"] if RESULTS.exists() else {}


def keep(name: str, entry: Mapping) -> None:
    """Add a scenario's counts to the file, which another process may write too, and make the table anew."""
    import fcntl

    with RESULTS.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        order = {name: number for number, (name, _) in enumerate(named())}
        results = {**stored(), name: entry}
        ordered = dict(sorted(results.items(), key=lambda item: order.get(item[0], len(order))))
        versions = {"numpy": np.__version__, "scipy": scipy.__version__}
        text = json.dumps({"command": COMMAND, "seed": SEED, "versions": versions, "scenarios": ordered}, indent=1)
        temporary = RESULTS.with_suffix(".tmp")
        temporary.write_text(text + "\n")
        temporary.replace(RESULTS)
        RESULTS.with_suffix(".md").write_text(table(ordered))


@cache
def named() -> tuple[tuple[str, Callable[[np.random.Generator], Outcome]], ...]:
    """All scenarios."""
    return tuple(scenarios())


if __name__ == "__main__":
    main()
