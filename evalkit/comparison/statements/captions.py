"""Captions of tables and paragraphs of pages: what is shown, of how many items, and what kind of interval it has."""

from collections import Counter
from collections.abc import Mapping

from evalkit.comparison.records import ComparedMetric, Comparison
from evalkit.comparison.statements.pairs import detectable
from evalkit.comparison.statements.rankings import about_ranks, unranked_notes
from evalkit.comparison.statements.terms import (
    PREDICTION_POWERED_NAME,
    Inference,
    how_corrected,
    how_tested,
    items_and_groups,
    metric_label,
    on_benchmark,
)
from evalkit.formatting import counted, listed, one_line, series, share_of_studies


def means_title(comparison: Comparison, tied: str) -> str:
    """Above a table of means, with the name of the mark of those that no method is decided better than."""
    level = Inference.of(comparison.settings).level
    marks = f"\n1–4: ranks that the decisions allow; {tied}: no method is decided better"
    title = f"Means{on_benchmark(comparison)} with pointwise {level} intervals, {basis(comparison)}"
    return f"{title}{marks if about_ranks(comparison) else ''}"


def pairs_title(comparison: Comparison) -> str:
    """Above the table of pairs."""
    return f"Comparisons{on_benchmark(comparison)}: {how_tested(comparison)}"


def pairs_on_title(comparison: Comparison, metric: ComparedMetric) -> str:
    """Above the table of pairs on one metric."""
    return f"Comparisons on {metric_label(metric)}: {how_tested(comparison, metric)}"


def means_caption(comparison: Comparison, best: str, tied: str) -> str:
    """What a table of means shows, with the names of the marks of the best and of those that may be it, too."""
    level, ranks = Inference.of(comparison.settings).level, about_ranks(comparison)
    return (
        f"Means{on_benchmark(comparison)} with pointwise {level} intervals and, in brackets, ranks, "
        f"{basis(comparison)}. {intervals_of_means(comparison)} "
        f"{f'{about_marks(best, tied)}. {ranks} ' if ranks else ''}Pairwise comparisons: {how_tested(comparison)}."
    )


def about_marks(best: str, tied: str) -> str:
    """What marks in a table of means say.

    >>> about_marks("bold", "italics")
    'bold: best mean; italics: no method is decided better'
    """
    return f"{best}: best mean; {tied}: no method is decided better"


def edit_types_title(metric: ComparedMetric) -> str:
    """Above a table of edit types on one metric."""
    return f"{metric_label(metric)} by edit type, exploratory"


def about_edit_types(of: Mapping[str, Comparison], left_out: Mapping[str, str], n_untyped: int) -> str:
    """Above a table of edit types: what kind of evidence it is, and what corrects it.

    Args:
        of: Edit type to the comparison on its items.
        left_out: Edit type to the reason why nothing can be compared on it.
        n_untyped: Items without an edit type.
    """
    first = next(iter(of.values()))
    inference = Inference.of(first.settings)
    tests = Counter(p.metric for comparison in of.values() for p in comparison.pairs if p.p_value is not None)
    many = " to ".join(f"{n:,}" for n in sorted({min(tests.values(), default=0), max(tests.values(), default=0)}))
    corrected = (
        f"decisions between methods are {how_corrected(inference.exploratory_correction)} over all {many} comparisons "
        f"of all edit types{' on a metric' if len(tests) > 1 else ''}"
    )
    types: dict[str, list[str]] = {}
    for name, comparison in of.items():
        for note in unranked_notes(comparison.ranking):
            types.setdefault(note, []).append(one_line(name))
    unranked = "".join(f" On {listed(names)} {note}." for note, names in types.items())
    without = [f"{one_line(name)} is left out: {reason}" for name, reason in left_out.items()]
    untyped = [f"{counted(n_untyped, 'item')} of no known type"] if n_untyped else []
    more = f" Not shown: {'; '.join([*without, *untyped])}." if without or untyped else ""
    return (
        f"Exploratory: nobody declared these comparisons beforehand. Means with pointwise {inference.level} intervals "
        f"on the items of each edit type; {corrected}.{unranked}{more}"
    )


def pairs_caption(comparison: Comparison) -> str:
    """What a table of pairs shows."""
    effect = "Effect: rank-biserial correlation. " if Inference.of(comparison.settings).is_about_ranks else ""
    return (
        f"{pairs_title(comparison)}. {effect}{intervals_of_pairs(comparison)} Win, tie and loss count the items"
        f"{_of_labels(comparison)} on which the first-named method is better, equal and worse. {mde_words(comparison)}"
    ).strip()


def _of_labels(comparison: Comparison) -> str:
    """That wins of people's labels are those of labelled items."""
    labels = [one_line(metric.name) for metric in comparison.metrics if metric.beside is not None]
    return f" (of {series(labels, 'and')}, labelled items)" if labels else ""


def mde_words(comparison: Comparison) -> str:
    """What MDE means; empty where there is none."""
    inference = Inference.of(comparison.settings)
    if all(detectable(pair, inference) is None for pair in comparison.pairs):
        return ""
    return (
        f"MDE: a true difference of this size would be found by {share_of_studies(inference.power)}, at the corrected "
        "error rate; it says nothing of the difference that was observed."
    )


def basis(comparison: Comparison) -> str:
    """On how many items the means rest."""
    inference = Inference.of(comparison.settings)
    found = {metric.name: compared_on(comparison, metric) for metric in comparison.metrics}
    if len(set(found.values())) == 1:
        own = "; the mean of a method that is not ranked is over its own items" if _unranked(comparison) else ""
        return f"over {items_and_groups(inference, *next(iter(found.values())))}{own}"
    least, most = min(n for n, _ in found.values()), max(n for n, _ in found.values())
    return (
        f"each metric over the items for which all ranked methods have a value ({least:,} to {most:,} of "
        f"{counted(inference.n_items, 'item')})"
    )


def intervals_of_means(comparison: Comparison) -> str:
    """How the intervals of means are made."""
    rates = [metric.is_rate for metric in comparison.metrics]
    if all(rates):
        return "Intervals of means: Wilson's with the design effect of the groups."
    student = (
        "Intervals of means: cluster-robust standard error (CR2), Student's t with Satterthwaite's degrees of freedom"
    )
    return f"{student}; of rates Wilson's with the design effect of the groups." if any(rates) else f"{student}."


def intervals_of_pairs(comparison: Comparison) -> str:
    """How the intervals of pairs are made."""
    inference = Inference.of(comparison.settings)
    how = {
        "sign_flip": "from the same sign flips",
        "t": "with the same cluster-robust (CR2) standard error",
        "wilcoxon": "of the rank-biserial correlation, on the arcsine scale with a cluster-robust (CR2) standard error",
    }[inference.test]
    labels = [one_line(metric.name) for metric in comparison.metrics if metric.beside is not None]
    others = f"; of {series(labels, 'and')} from the {PREDICTION_POWERED_NAME}" if labels else ""
    return f"Pointwise {inference.level} intervals {how}{others}."


def about_page(comparison: Comparison) -> str:
    """Under the title of a page: what was compared."""
    inference = Inference.of(comparison.settings)
    groups = (
        f"{counted(inference.n_items, 'item')} in {counted(inference.n_groups, 'group')} of a common source image"
        if inference.groups_known
        else f"{counted(inference.n_items, 'item')}, each counted as its own group: no group is known"
    )
    return f"{groups}; pointwise {inference.level} intervals."


def about_ranking(comparison: Comparison) -> str:
    """Above the rankings of a page."""
    level = Inference.of(comparison.settings).level
    ranks = about_ranks(comparison)
    return f"Each method's mean with its pointwise {level} interval. {intervals_of_means(comparison)} {ranks}".strip()


def compared_on(comparison: Comparison, metric: ComparedMetric) -> tuple[int, int]:
    """Items and groups that the ranked methods are compared on; those of the largest pair where none is ranked."""
    ranked = {row.method for row in comparison.ranking if row.metric == metric.name and row.rank_low is not None}
    pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
    together = [pair for pair in pairs if {pair.a, pair.b} <= ranked] or pairs
    return max(((pair.n_items, pair.n_groups) for pair in together), default=(0, 0))


def _unranked(comparison: Comparison) -> bool:
    return any(row.rank_low is None and row.mean is not None for row in comparison.ranking)
