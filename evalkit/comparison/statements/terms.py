"""Terms that all sentences share: tests, corrections, groups, and how often such studies would find a difference."""

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.comparison.records import ComparedMetric, Comparison
from evalkit.formatting import counted, format_declared, format_percent, one_line, series
from evalkit.scores.signatures import of_miniature
from evalkit.stats.components import AnswerComponents
from evalkit.stats.labelled import PREDICTION_POWERED

TEST_NAMES: Mapping[str, str] = {"sign_flip": "sign-flip", "t": "group-robust t", "wilcoxon": "Wilcoxon signed-rank"}
CROSSED = "crossed_t"
"""How the p-value of a pair was obtained whose seeds seem to shift all items together, whatever test was asked for."""
CROSSED_NAME = "t over groups and seeds"
PREDICTION_POWERED_NAME = "prediction-powered t"
"""The test of what people would say of all items, whatever test was asked for of metrics."""
CORRECTION_NAMES: Mapping[str, str] = {
    "holm": "Holm",
    "max_t": "max-t",
    "benjamini_hochberg": "Benjamini–Hochberg",
    "benjamini_yekutieli": "Benjamini–Yekutieli",
    "none": "uncorrected",
}
"""Corrections in words, by their names in the settings of a comparison."""
FALSE_DISCOVERY = frozenset({"benjamini_hochberg", "benjamini_yekutieli"})
"""Corrections that hold the expected share of false ones among the decisions, and not the chance of any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """How a comparison was inferred from scores, as far as its sentences depend on it."""

    test: str
    correction: str
    """Of the primary metrics, as `CORRECTION_NAMES` knows it."""
    exploratory_correction: str
    alpha: float
    power: float
    n_items: int
    """Of the whole comparison."""
    n_groups: int
    n_grouped: int
    """Items of which it is known what group they belong to."""

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> "Inference":
        """What the settings of a comparison say."""
        return cls(**{name: settings[name] for name in cls.__slots__})  # type: ignore[arg-type]

    @property
    def level(self) -> str:
        """Of the intervals: ``95 %``."""
        return format_percent(1 - self.alpha)

    @property
    def is_about_ranks(self) -> bool:
        """Whether ranks were tested, so that nothing said is about means."""
        return self.test == "wilcoxon"

    @property
    def groups_known(self) -> bool:
        """Whether it is known of any item what it shares a source image with."""
        return self.n_grouped > 0

    def correction_of(self, metric: ComparedMetric) -> str:
        """What corrects a metric's p-values."""
        return self.correction if metric.primary else self.exploratory_correction


def items_and_groups(inference: Inference, n_items: int, n_groups: int) -> str:
    """What was compared: of how many items, in how many groups, where groups are known.

    >>> items_and_groups(Inference(test="t", correction="none", exploratory_correction="none", alpha=0.05, power=0.8,
    ...                            n_items=20, n_groups=20, n_grouped=0), 8, 8)
    '8 of 20 items, each its own group'
    """
    part = n_items < inference.n_items
    items = f"{n_items:,} of {counted(inference.n_items, 'item')}" if part else counted(n_items, "item")
    return f"{items} in {counted(n_groups, 'group')}" if inference.groups_known else f"{items}, each its own group"


def metric_label(metric: ComparedMetric) -> str:
    """A metric's name with an arrow towards the better values."""
    if not metric.direction_known:
        return one_line(metric.name)
    return f"{one_line(metric.name)} {'↑' if metric.higher_is_better else '↓'}"


def how_tested(comparison: Comparison, only: ComparedMetric | None = None) -> str:
    """How p-values were made and corrected, as a caption says it.

    Args:
        comparison: What was found.
        only: The metric that the caption is about; all of them by default.
    """
    inference = Inference.of(comparison.settings)
    is_crossed = any(pair.how == CROSSED for pair in comparison.pairs)
    crossed = f" ({CROSSED_NAME} where seeds seem to shift all items)" if is_crossed else ""
    if only is not None and only.beside is not None:
        hows = {pair.how for pair in comparison.pairs if pair.metric == only.name} - {None, PREDICTION_POWERED}
        flipped = f" ({TEST_NAMES['sign_flip']} where all labels differ by the same)" if hows else ""
        words = f"{PREDICTION_POWERED_NAME} test by group{flipped}"
    else:
        words = f"{TEST_NAMES[inference.test]} test by group{crossed}"
        labels = [] if only else [one_line(metric.name) for metric in comparison.metrics if metric.beside is not None]
        words += f" ({PREDICTION_POWERED_NAME} on {series(labels, 'and')})" if labels else ""
    words += f", α = {format_declared(inference.alpha)}"
    if len(comparison.pairs) < 2:
        return words
    if only is not None:
        exploratory = "" if only.primary else ", exploratory"
        return f"{words}, {how_corrected(inference.correction_of(only))}{exploratory}"
    primary = [one_line(metric.name) for metric in comparison.metrics if metric.primary]
    if len(primary) == len(comparison.metrics):
        return f"{words}, {how_corrected(inference.correction)}"
    words += f", {how_corrected(inference.correction)} on {series(primary, 'and')}; other metrics are exploratory"
    if inference.exploratory_correction == "none":
        return words
    return f"{words} ({how_corrected(inference.exploratory_correction)})"


def how_corrected(correction: str) -> str:
    """What corrects p-values, in words."""
    if correction == "none":
        return "not corrected for the number of comparisons"
    held = ": the false discovery rate is held" if correction in FALSE_DISCOVERY else ""
    return f"{CORRECTION_NAMES[correction]}-corrected{held}"


def components_words(found: AnswerComponents) -> str:
    """Where the spread of a judge's answers comes from, and what more of them would help, in a clause."""
    items, by_method, repeats = (f"{100 * share:.0f} %" for share in found.shares)
    return (
        f"of the variance of single answers {items} is between items, {by_method} is what a method does to one item "
        f"more than to others, {repeats} is between the judge's repeats; {found.n_repeats} of these make "
        f"{100 * found.share_in_difference:.0f} % of the variance of a difference, so that more of them would narrow "
        f"its interval by at most about {100 * found.narrowing:.0f} %"
    )


def is_miniature(metric: ComparedMetric) -> bool:
    """Whether the metric was computed with a toy encoder."""
    return of_miniature(metric.signature)


def on_benchmark(comparison: Comparison) -> str:
    """Of which benchmark, where it is known, with a space before it."""
    return f" on {one_line(comparison.benchmark)}" if comparison.benchmark else ""
