"""What people would say of all items: by their labels alone, and with the metric that stands beside them."""

from evalkit.comparison.records import ComparedMetric, Comparison, PairResult
from evalkit.comparison.statements.pairs import verdict_words
from evalkit.comparison.statements.terms import Inference, how_tested, metric_label
from evalkit.formatting import DASH, format_interval, format_p, format_signed, one_line
from evalkit.tables.table import TextTable, in_columns

LABELS_SHOWN = 20
"""Rows of a terminal's table where not every detail was asked for."""


def labels_tables(comparison: Comparison, most: int | None = None) -> list[TextTable]:
    """A table for people's labels, where methods were compared on them.

    Args:
        comparison: What was found.
        most: So many pairs at most, in their own order; all of them by default.
    """
    return [_table(comparison, metric, most) for metric in comparison.metrics if metric.beside is not None]


def _table(comparison: Comparison, metric: ComparedMetric, most: int | None) -> TextTable:
    inference = Inference.of(comparison.settings)
    beside = "" if metric.beside is None else one_line(metric.beside.name)
    pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
    shown = pairs[:most]
    alone = in_columns(_alone(pair) for pair in shown)
    together = in_columns(
        (format_signed(p.difference), format_interval(p.ci_low, p.ci_high, format_signed)) for p in shown
    )
    rows = (
        (
            f"{pair.b} − {pair.a}",
            by_labels,
            with_metric,
            _worth(pair),
            format_p(pair.adjusted_p_value, inference.alpha),
            verdict_words(pair),
        )
        for pair, by_labels, with_metric in zip(shown, alone, together, strict=True)
    )
    part = "" if len(shown) == len(pairs) else f"; {len(shown)} of {len(pairs):,} pairs"
    return TextTable(
        title=f"{metric_label(metric)} of all items by the labels alone, and with {beside}: {inference.level} "
        f"intervals, {how_tested(comparison, metric)}; worth: labels that there are → that would be as certain "
        f"alone{part}",
        header=("comparison", "labels alone", f"with {beside}", "worth", "adjusted p", "verdict"),
        rows=tuple(rows),
        text_columns=frozenset({0, 5}),
    )


def _alone(pair: PairResult) -> tuple[str, str]:
    labels = pair.labels
    if labels is None:
        return DASH, ""
    return format_signed(labels.difference), format_interval(labels.ci_low, labels.ci_high, format_signed)


def _worth(pair: PairResult) -> str:
    """How many labels there are, and as how many they are with the metric."""
    labels = pair.labels
    if labels is None or labels.n_worth is None:
        return DASH
    return f"{labels.n_items:,} → {labels.n_worth:,.0f}"
