"""A comparison in one line that a person can paste into a paper."""

from evalkit.comparison.options import Test
from evalkit.comparison.pairs import Outcome
from evalkit.stats.multiplicity import FamilyCorrection

TEST_NAMES: dict[Test, str] = {"sign_flip": "sign-flip", "t": "group-robust t", "wilcoxon": "Wilcoxon"}
CORRECTION_NAMES: dict[FamilyCorrection, str] = {
    "holm": "Holm",
    "max_t": "max-t",
    "benjamini_hochberg": "Benjamini–Hochberg",
    "benjamini_yekutieli": "Benjamini–Yekutieli",
    "none": "uncorrected",
}


def sentence_of(outcome: Outcome, test: Test) -> str:
    """Difference with interval and size, p-values, wins, equivalence, what could have been found, and the verdict."""
    comparison, metric = outcome.comparison, outcome.metric
    a, b = outcome.a, outcome.b
    found = comparison.test
    if found.difference is None:
        return f"{b} and {a} cannot be compared on {metric.name}: {found.reason or 'no item has both scores'}"
    interval = "" if found.low is None or found.high is None else f" [{signed(found.low)}, {signed(found.high)}]"
    seeds = f", {outcome.n_seeds} seeds" if outcome.n_seeds > 1 else ""
    parts = [
        f"{b} − {a} = {signed(found.difference)} {metric.name}{interval} ({100 * (1 - found.alpha):.4g} %, "
        f"{_counted(comparison.n_items, 'item')} in {_counted(comparison.n_groups, 'group')}{seeds}"
        f"{'' if metric.higher_is_better else '; lower is better'})",
        *_seeds(outcome),
        _p_values(outcome, test),
        f"win/tie/loss {comparison.win}/{comparison.tie}/{comparison.loss}",
    ]
    if comparison.equivalence is not None and metric.margin is not None:
        p_value = comparison.adjusted_equivalence_p_value
        shown = "" if p_value is None else f" (p {p_text(p_value)})"
        verdict = "shown" if comparison.verdict.equivalent else "not shown"
        parts.append(f"margin ±{plain(metric.margin)}: equivalence {verdict}{shown}")
    if comparison.minimum_detectable_effect is not None:
        parts.append(f"MDE {plain(comparison.minimum_detectable_effect)}")
    parts += _not_run(outcome)
    return f"{'; '.join(parts)} → {conclusion(outcome)}"


def conclusion(outcome: Outcome) -> str:
    """The verdict with the methods' names."""
    verdict = outcome.comparison.verdict
    if verdict.verdict in ("a_better", "b_better"):
        return f"{outcome.a if verdict.verdict == 'a_better' else outcome.b} is better"
    if verdict.verdict == "equivalent":
        return f"equivalent: {verdict.explanation}"
    return f"inconclusive: {verdict.explanation}"


def _seeds(outcome: Outcome) -> list[str]:
    """The other question: not "new items like these", but "these items, new seeds"."""
    seeds = outcome.comparison.fixed_items
    if seeds is None or seeds.low is None or seeds.high is None:
        return []
    return [f"on these very items with new seeds [{signed(seeds.low)}, {signed(seeds.high)}]"]


def _not_run(outcome: Outcome) -> list[str]:
    """What the items that one of the two was not run on could have made of the difference."""
    if outcome.bounds is None:
        return []
    low, high = outcome.bounds
    items = _counted(outcome.n_not_run, "item")
    return [f"{items} not run: between {signed(low)} and {signed(high)} whatever their scores"]


def _p_values(outcome: Outcome, test: Test) -> str:
    comparison = outcome.comparison
    if comparison.test.p_value is None:
        return f"no {TEST_NAMES[test]} p-value: {comparison.test.reason}"
    raw = f"{TEST_NAMES[test]} p {p_text(comparison.test.p_value)}"
    if comparison.n_comparisons < 2 or comparison.correction is None or comparison.adjusted_p_value is None:
        return raw
    corrected = CORRECTION_NAMES[comparison.correction]  # type: ignore[index]
    family = "" if outcome.metric.primary else ", exploratory"
    if comparison.correction == "none":  # the same number again would read as a second result
        return f"{raw}, {corrected} ({comparison.n_comparisons} comparisons{family})"
    return f"{raw}, {corrected} {p_text(comparison.adjusted_p_value)} ({comparison.n_comparisons} comparisons{family})"


def p_text(p_value: float) -> str:
    """A p-value with its sign, as it is printed.

    >>> p_text(0.03125), p_text(0.00001), p_text(1.0)
    ('= 0.031', '< 0.0001', '= 1')
    """
    if p_value < 1e-4:
        return "< 0.0001"
    return f"= {p_value:.2g}" if p_value < 0.995 else "= 1"


def plain(value: float) -> str:
    """A number with enough digits to mean something.

    >>> plain(0.00123456), plain(12.3456), plain(-0.5)
    ('0.00123', '12.3', '−0.500')
    """
    size = abs(value)
    decimals = 4 if size == 0 else max(0, min(9, 2 - _exponent(size)))
    return f"{value:.{decimals}f}".replace("-", "−")


def signed(value: float) -> str:
    """The same with its sign.

    >>> signed(0.0049), signed(0.0)
    ('+0.00490', '0')
    """
    return "0" if value == 0 else f"{'+' if value > 0 else ''}{plain(value)}"


def _exponent(size: float) -> int:
    return int(f"{size:e}".partition("e")[2])


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"
