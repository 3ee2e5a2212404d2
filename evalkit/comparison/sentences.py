"""A comparison in one line that a person can paste into a paper."""

from evalkit.comparison.options import CORRECTIONS, ComparisonOptions
from evalkit.comparison.records import ComparedMetric
from evalkit.formatting import counted, format_interval, format_number, format_p_relation, format_percent, format_signed
from evalkit.stats.compare import EXPLORATORY
from evalkit.stats.records import PairComparison
from evalkit.stats.scores import Test

TEST_NAMES: dict[Test, str] = {"sign_flip": "sign-flip", "t": "group-robust t", "wilcoxon": "Wilcoxon"}
CORRECTION_NAMES = {
    "holm": "Holm",
    "max_t": "max-t",
    "benjamini_hochberg": "Benjamini–Hochberg",
    "benjamini_yekutieli": "Benjamini–Yekutieli",
    "none": "uncorrected",
}
"""Corrections in words, by their names in the settings of a comparison."""


def sentence_of(pair: PairComparison, metric: ComparedMetric, options: ComparisonOptions) -> str:
    """Difference with interval and size, p-values, wins, equivalence, what could have been found, and the verdict."""
    if pair.difference is None:
        return f"{pair.b} and {pair.a} cannot be compared on {metric.name}: {pair.reason}"
    interval = "" if pair.ci_low is None else f" {format_interval(pair.ci_low, pair.ci_high, format_signed)}"
    seeds = f", {pair.n_seeds} seeds" if pair.n_seeds > 1 else ""
    level = format_percent(1 - options.alpha)
    parts = [
        f"{pair.b} − {pair.a} = {format_signed(pair.difference)} {metric.name}{interval} ({level}, "
        f"{counted(pair.n_items, 'item')} in {counted(pair.n_groups, 'group')}{seeds}"
        f"{'' if metric.higher_is_better else '; lower is better'})"
    ]
    if pair.new_seeds is not None:  # the other question: not "new items like these", but "these items, new seeds"
        parts.append(f"on these very items with new seeds {format_interval(*pair.new_seeds, format_signed)}")
    parts += [_p_values(pair, metric, options), f"win/tie/loss {pair.win}/{pair.tie}/{pair.loss}"]
    if metric.margin is not None:
        p_value = "" if pair.equivalence_p_value is None else f" (p {format_p_relation(pair.equivalence_p_value)})"
        shown = "shown" if pair.equivalent else "not shown"
        parts.append(f"margin ±{format_number(metric.margin)}: equivalence {shown}{p_value}")
    if pair.minimum_detectable_effect is not None:
        parts.append(f"MDE {format_number(pair.minimum_detectable_effect)}")
    if pair.bounds is not None:
        low, high = (format_signed(end) for end in pair.bounds)
        parts.append(f"{counted(pair.n_not_run, 'item')} not run: between {low} and {high} whatever their scores")
    return f"{'; '.join(parts)} → {conclusion(pair)}"


def conclusion(pair: PairComparison) -> str:
    """The verdict with the methods' names."""
    if pair.verdict in ("a_better", "b_better"):
        return f"{pair.a if pair.verdict == 'a_better' else pair.b} is better"
    return f"{pair.verdict}: {pair.explanation}"


def _p_values(pair: PairComparison, metric: ComparedMetric, options: ComparisonOptions) -> str:
    test = TEST_NAMES[options.test]
    if pair.p_value is None:
        return f"no {test} p-value: {pair.reason}"
    raw = f"{test} p {format_p_relation(pair.p_value)}"
    if pair.n_comparisons < 2 or pair.adjusted_p_value is None:
        return raw
    correction = options.correction if metric.primary else EXPLORATORY[options.correction]
    name, family = CORRECTION_NAMES[CORRECTIONS[correction]], "" if metric.primary else ", exploratory"
    # Without a correction the same number again would read as a second result.
    adjusted = "" if correction == "none" else f" {format_p_relation(pair.adjusted_p_value)}"
    return f"{raw}, {name}{adjusted} ({pair.n_comparisons} comparisons{family})"
