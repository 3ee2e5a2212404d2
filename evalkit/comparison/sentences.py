"""A comparison in one line that a person can paste into a paper."""

from evalkit.comparison.options import Test
from evalkit.comparison.pairs import Outcome
from evalkit.formatting import counted, format_interval, format_number, format_p_relation, format_percent, format_signed
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
    interval = "" if found.low is None else f" {format_interval(found.low, found.high, format_signed)}"
    seeds = f", {outcome.n_seeds} seeds" if outcome.n_seeds > 1 else ""
    parts = [
        f"{b} − {a} = {format_signed(found.difference)} {metric.name}{interval} ({format_percent(1 - found.alpha)}, "
        f"{counted(comparison.n_items, 'item')} in {counted(comparison.n_groups, 'group')}{seeds}"
        f"{'' if metric.higher_is_better else '; lower is better'})",
        *_seeds(outcome),
        _p_values(outcome, test),
        f"win/tie/loss {comparison.win}/{comparison.tie}/{comparison.loss}",
    ]
    if comparison.equivalence is not None and metric.margin is not None:
        p_value = comparison.adjusted_equivalence_p_value
        shown = "" if p_value is None else f" (p {format_p_relation(p_value)})"
        verdict = "shown" if comparison.verdict.equivalent else "not shown"
        parts.append(f"margin ±{format_number(metric.margin)}: equivalence {verdict}{shown}")
    if comparison.minimum_detectable_effect is not None:
        parts.append(f"MDE {format_number(comparison.minimum_detectable_effect)}")
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
    return [f"on these very items with new seeds {format_interval(seeds.low, seeds.high, format_signed)}"]


def _not_run(outcome: Outcome) -> list[str]:
    """What the items that one of the two was not run on could have made of the difference."""
    if outcome.bounds is None:
        return []
    low, high = outcome.bounds
    items = counted(outcome.n_not_run, "item")
    return [f"{items} not run: between {format_signed(low)} and {format_signed(high)} whatever their scores"]


def _p_values(outcome: Outcome, test: Test) -> str:
    comparison = outcome.comparison
    if comparison.test.p_value is None:
        return f"no {TEST_NAMES[test]} p-value: {comparison.test.reason}"
    raw = f"{TEST_NAMES[test]} p {format_p_relation(comparison.test.p_value)}"
    if comparison.n_comparisons < 2 or comparison.correction is None or comparison.adjusted_p_value is None:
        return raw
    corrected = CORRECTION_NAMES[comparison.correction]  # type: ignore[index]
    family = "" if outcome.metric.primary else ", exploratory"
    if comparison.correction == "none":  # the same number again would read as a second result
        return f"{raw}, {corrected} ({comparison.n_comparisons} comparisons{family})"
    adjusted = format_p_relation(comparison.adjusted_p_value)
    return f"{raw}, {corrected} {adjusted} ({comparison.n_comparisons} comparisons{family})"
