"""How often what is said of votes is wrong, by simulation, beside bootstraps over votes and over prompts.

::

    OMP_NUM_THREADS=1 python -m tests.studies.votes_coverage --draws 2000    # half an hour on a free core
    OMP_NUM_THREADS=1 python -m tests.studies.votes_coverage --draws 50      # a first look

It goes on from what is there: every 25 studies of each design are kept together, so that all designs always have as
many, and what is stopped loses these 25 at most.

Five methods with abilities 0, 0, 0, ½ and 1; raters vote on one random pair of each of up to 100 random items, by
Davidson's model. Where raters and items have effects of their own, every rater and every item shifts every method's
ability by a normal number with a standard deviation of ½. The differences to be covered are those that the model has in
the limit of many raters and items. Ties: the share that two equal methods have.

*Covers*: of the differences, the share inside the 95 % intervals (pointwise). *Any wrong*: the share of studies in
which one of the equal methods is called better than another, or a worse one than a better one: of evalkit after Holm's
correction; of the bootstraps where a percentile interval excludes 0, as they are used.
"""

import argparse
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.stats.bradley_terry import PairedVotes
from evalkit.stats.clusters import code_groups
from evalkit.stats.scores import InferenceOptions
from evalkit.stats.votes import CriterionVotes, compare_votes
from evalkit.storage.atomic import atomic_write

RESULTS = Path(__file__).with_suffix(".json")
SEED, ROUND, RESAMPLES = 20_261_129, 25, 200
ABILITIES = np.array([0.0, 0.0, 0.0, 0.5, 1.0])
K = len(ABILITIES)
PAIRS = np.array(list(combinations(range(K), 2)))
DESIGN = np.zeros((len(PAIRS), K))
DESIGN[range(len(PAIRS)), PAIRS[:, 0]], DESIGN[range(len(PAIRS)), PAIRS[:, 1]] = 1, -1
PAIR_OF = np.full((K, K), -1)
PAIR_OF[PAIRS[:, 0], PAIRS[:, 1]] = PAIR_OF[PAIRS[:, 1], PAIRS[:, 0]] = range(len(PAIRS))
STUDIES = ((3, 40), (3, 700), (10, 40), (10, 700), (30, 40), (30, 700))
EFFECTS: Mapping[str, tuple[float, float]] = {"none": (0.0, 0.0), "raters and items": (0.5, 0.5)}
TIES = (0.0, 0.2, 0.4)
MOST_VOTES = 100
"""Of one rater."""


def scenarios() -> Iterator[tuple[str, tuple[int, int, str, float]]]:
    """Every name with its raters, items, effects and ties."""
    for (raters, items), effects, ties in product(STUDIES, EFFECTS, TIES):
        yield f"{raters} raters, {items} items | {effects} | {ties:.0%} ties", (raters, items, effects, ties)


def abilities_of(counts: np.ndarray) -> np.ndarray:
    """Davidson's abilities of many tables at once, by Newton's method: ``(B, pairs, 3)`` to ``(B, K)``.

    There must be a maximum.
    """
    has_ties = bool(counts[:, :, 1].any())
    size = K + has_ties
    theta = np.zeros((len(counts), size))
    n = counts.sum(axis=2)
    for _ in range(60):
        half = theta[:, :K] @ DESIGN.T / 2
        terms = np.stack([half, np.broadcast_to(theta[:, -1:], half.shape), -half], axis=2)
        if not has_ties:
            terms[:, :, 1] = -np.inf
        p = np.exp(terms - np.logaddexp.reduce(terms, axis=2, keepdims=True))
        mean = (p[:, :, 0] - p[:, :, 2]) / 2
        slope, curve = np.zeros((len(counts), size)), np.zeros((len(counts), size, size))
        slope[:, :K] = ((counts[:, :, 0] - counts[:, :, 2]) / 2 - n * mean) @ DESIGN
        spread = n * ((1 - p[:, :, 1]) / 4 - mean**2)
        curve[:, :K, :K] = np.einsum("bp,pi,pj->bij", spread, DESIGN, DESIGN) + 1
        if has_ties:
            slope[:, -1] = (counts[:, :, 1] - n * p[:, :, 1]).sum(axis=1)
            curve[:, :K, -1] = curve[:, -1, :K] = (-n * mean * p[:, :, 1]) @ DESIGN
            curve[:, -1, -1] = (n * p[:, :, 1] * (1 - p[:, :, 1])).sum(axis=1)
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        theta += np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return theta[:, :K]


def tie_ability(ties: float) -> float:
    """The ν that gives two equal methods such a share of ties."""
    return float(np.log(2 * ties / (1 - ties))) if ties else -np.inf


def outcome_probabilities(difference: np.ndarray, ties: float) -> np.ndarray:
    """``(…, 3)``: a preferred, tie, b preferred."""
    terms = np.stack([difference / 2, np.full_like(difference, tie_ability(ties)), -difference / 2], axis=-1)
    return np.exp(terms - np.logaddexp.reduce(terms, axis=-1, keepdims=True))


@cache
def differences_in_the_limit(effects: str, ties: float) -> np.ndarray:
    """``(pairs,)``: what the model makes of all raters and items, by Gauss–Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    spread = np.sqrt(2 * np.square(EFFECTS[effects]).sum())
    p = np.einsum(
        "w,pwo->po",
        weights / weights.sum(),
        outcome_probabilities((DESIGN @ ABILITIES)[:, None] + spread * nodes, ties),
    )
    found = abilities_of(p[None] * 1000)[0]
    return DESIGN @ found


def simulate(raters: int, items: int, effects: str, ties: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One study: the arrays of its votes."""
    n = min(items, MOST_VOTES)
    rater = np.repeat(np.arange(raters), n)
    item = np.concatenate([rng.permutation(items)[:n] for _ in range(raters)])
    a = rng.integers(0, K, len(rater))
    b = (a + rng.integers(1, K, len(rater))) % K
    of_raters, of_items = (
        rng.normal(0, 1, (size, K)) * sd for size, sd in zip((raters, items), EFFECTS[effects], strict=True)
    )
    each = np.arange(len(rater))
    own = ABILITIES + of_raters[rater] + of_items[item]
    p = outcome_probabilities(own[each, a] - own[each, b], ties)
    drawn = rng.random(len(rater))
    outcome = np.where(drawn < p[:, 0], 1.0, np.where(drawn < p[:, 0] + p[:, 1], 0.0, -1.0))
    return {"rater": rater, "item": item, "a": a, "b": b, "outcome": outcome}


def of_evalkit(votes: Mapping[str, np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, bool]:
    """Which differences our intervals cover, and whether any decision is wrong."""
    sides = np.zeros(len(votes["a"]))
    paired = PairedVotes(n_methods=K, a=votes["a"], b=votes["b"], outcome=votes["outcome"], side=sides)
    criterion = CriterionVotes(
        criterion="preference",
        methods=tuple("abcde"),
        votes=paired,
        raters=code_groups(votes["rater"]),
        groups=code_groups(votes["item"]),
        n_items=len(np.unique(votes["item"])),
    )
    (result,) = compare_votes([criterion], InferenceOptions())
    low = np.array([-np.inf if pair.ci_low is None else pair.ci_low for pair in result.pairs])
    high = np.array([np.inf if pair.ci_high is None else pair.ci_high for pair in result.pairs])
    decided = np.array([{"b_better": 1, "a_better": -1}.get(pair.verdict, 0) for pair in result.pairs])
    return (low <= -truth) & (-truth <= high), is_wrong(decided, -truth)


def is_wrong(decided: np.ndarray, truth: np.ndarray) -> bool:
    """Whether any sign that was decided is not that of the truth."""
    signs = np.where(np.abs(truth) < 1e-6, 0, np.sign(truth))
    return bool(((decided != 0) & (decided != signs)).any())


def of_bootstraps(
    votes: Mapping[str, np.ndarray], truth: np.ndarray, rng: np.random.Generator
) -> dict[str, tuple[np.ndarray, bool]]:
    """The same of percentile intervals from resampling votes, and from resampling all votes on an item.

    A tenth of a vote of each kind is added to every pair, so that every resample has a greatest likelihood.
    """
    pair, turned = PAIR_OF[votes["a"], votes["b"]], votes["a"] > votes["b"]
    kind = (1 - np.where(turned, -votes["outcome"], votes["outcome"])).astype(int)
    items = code_groups(votes["item"])
    table = np.zeros((items.n_groups, len(PAIRS) * 3))
    np.add.at(table, (items.codes, pair * 3 + kind), 1)
    total, n = table.sum(axis=0), items.n_groups
    drawn = {
        "votes": rng.multinomial(int(total.sum()), total / total.sum(), RESAMPLES),
        "prompts": rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) @ table,
    }
    padding = np.array([0.1, 0.1 * bool(total[1::3].any()), 0.1])
    found = {}
    for name, counts in drawn.items():
        draws = abilities_of(counts.reshape(RESAMPLES, len(PAIRS), 3) + padding) @ DESIGN.T
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        decided = np.where(low > 0, 1, np.where(high < 0, -1, 0))
        found[name] = (low <= truth) & (truth <= high), is_wrong(decided, truth)
    return found


def study(scenario: tuple[int, int, str, float], rng: np.random.Generator) -> dict[str, float]:
    """One study by all three."""
    raters, items, effects, ties = scenario
    votes, truth = simulate(raters, items, effects, ties, rng), differences_in_the_limit(effects, ties)
    found = {"evalkit": of_evalkit(votes, truth), **of_bootstraps(votes, truth, rng)}
    covers = {f"covers, {name}": float(covered.mean()) for name, (covered, _) in found.items()}
    return covers | {f"any wrong, {name}": float(wrong) for name, (_, wrong) in found.items()}


def joined(before: Mapping[str, Any], found: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """The rates of what was simulated before, and of one more round: as many studies of each design."""
    (n,) = {len(studies) for studies in found.values()}
    total, rates = before["draws"] + n, {}
    for name, studies in found.items():
        old = before["rates"].get(name, {})
        rates[name] = {
            key: round((old.get(key, 0.0) * before["draws"] + sum(each[key] for each in studies)) / total, 9)
            for key in studies[0]
        }
    return {"draws": total, "rates": rates}


def means(rates: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> Iterator[tuple[str, list[float]]]:
    """Of each kind of effects the mean over designs."""
    for effects in EFFECTS:
        of = [rates[name] for name, scenario in scenarios() if scenario[2] == effects]
        yield effects, [float(np.mean([each[column] for each in of])) for column in columns]


def table_of(results: Mapping[str, Any]) -> str:
    """The results in Markdown."""
    rates, draws = results["rates"], results["draws"]
    columns = list(next(iter(rates.values())))
    about = (__doc__ or "").split("\n\n", 2)[2].splitlines()
    lines = ["# How often what is said of votes is wrong", "", *about, ""]
    lines += [f"{draws:,} studies of each of the {len(rates)} designs, {draws * len(rates):,} in all.", ""]
    lines += ["| | effects | ties | " + " | ".join(columns) + " |", "|---|---|---|" + "---:|" * len(columns)]
    for name, of in rates.items():
        lines.append(f"| {name} | " + " | ".join(f"{of[column]:.3f}" for column in columns) + " |")
    for effects, of in means(rates, columns):
        lines.append(f"| **all** | {effects} | | " + " | ".join(f"**{rate:.3f}**" for rate in of) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Simulate what is not there yet, and keep it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--draws", type=int, default=50, help="studies of each design")
    options.add_argument("--results", type=Path, default=RESULTS, help="goes on from there; the table lies beside it")
    asked = options.parse_args()
    results = json.loads(asked.results.read_text()) if asked.results.exists() else {"draws": 0, "rates": {}}
    while results["draws"] < asked.draws:
        results = joined(results, one_round(results["draws"] // ROUND))
        keep(results, asked.results)
        print(f"{results['draws']:,} studies of each design", flush=True)


def one_round(number: int, studies: int = ROUND) -> dict[str, list[dict[str, float]]]:
    """So many studies of each design; equal for equal numbers."""
    found = {}
    for name, scenario in scenarios():
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), number])
        found[name] = [study(scenario, rng) for _ in range(studies)]
    return found


def keep(results: Mapping[str, Any], path: Path) -> None:
    """Write what was simulated so far, and the table; each is there whole or not at all."""
    texts = {path: json.dumps(results, indent=1) + "\n", path.with_suffix(".md"): table_of(results)}
    for file, text in texts.items():
        with atomic_write(file) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
