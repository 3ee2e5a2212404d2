"""Captions and alternative texts of figures: what is shown, which test it rests on, and what can be seen."""

from collections.abc import Iterable, Mapping, Sequence

from evalkit.comparison.records import ComparedMetric, Comparison, PairResult, RankedMethod
from evalkit.comparison.statements.captions import compared_on, intervals_of_pairs
from evalkit.comparison.statements.terms import (
    Inference,
    how_tested,
    is_miniature,
    items_and_groups,
)
from evalkit.formatting import (
    counted,
    format_declared,
    format_number,
    format_p_relation,
    format_ranks,
    format_score,
    one_line,
    share_of_studies,
)
from evalkit.stats.power import groups_needed


def figure_basis(comparison: Comparison, metric: ComparedMetric) -> str:
    """What a figure's numbers rest on, in one line."""
    return basis_of(comparison, [metric], *compared_on(comparison, metric))


def basis_of(comparison: Comparison, metrics: Iterable[ComparedMetric], n_items: int, n_groups: int) -> str:
    """What numbers on so many items rest on, in one line."""
    words = items_and_groups(Inference.of(comparison.settings), n_items, n_groups)
    return f"{words}; miniature encoder, not comparable" if any(map(is_miniature, metrics)) else words


def means_caption(comparison: Comparison, metric: ComparedMetric) -> str:
    """Of means and ranks."""
    level = Inference.of(comparison.settings).level
    shaded = " Shaded: no method is decided better." if metric.direction_known else " Nobody is ranked."
    return (
        f"Mean {one_line(metric.name)} of each method with its pointwise {level} interval (left) and the ranks that "
        f"the decisions allow (right): {how_tested(comparison, metric)} ({figure_basis(comparison, metric)})."
        f"{shaded} Hollow markers are controls."
    )


def means_alt(metric: ComparedMetric, rows: Sequence[RankedMethod]) -> str:
    """What can be seen of means and ranks."""
    said = [f"{row.method} {format_score(row.mean)}, rank {format_ranks(row.rank_low, row.rank_high)}" for row in rows]
    return f"Means on {one_line(metric.name)}, {metric.words[2]} first: {'; '.join(said)}."


def forest_caption(comparison: Comparison, metric: ComparedMetric, reference: str) -> str:
    """Of means and differences."""
    inference = Inference.of(comparison.settings)
    band = f" Shaded: differences smaller than the margin of {format_declared(metric.margin)}." if metric.margin else ""
    right = (
        "its mean paired difference to {}, without an interval, since ranks were tested and not means"
        if inference.is_about_ranks
        else "its mean paired difference to {}"
    ).format(reference)
    how = "" if inference.is_about_ranks else f" {intervals_of_pairs(comparison)}"
    return (
        f"Mean {one_line(metric.name)} of each method with its pointwise {inference.level} interval (left) and {right} "
        f"({figure_basis(comparison, metric)}).{how} p: {how_tested(comparison, metric)}.{band}"
    )


def forest_alt(
    metric: ComparedMetric, rows: Sequence[RankedMethod], reference: str, verdicts: Mapping[str, str]
) -> str:
    """What can be seen of means and differences."""
    best_first = ", ".join(f"{row.method} {format_score(row.mean)}" for row in rows)
    against = ", ".join(f"{method} {verdict}" for method, verdict in verdicts.items())
    return f"Means on {one_line(metric.name)}, {metric.words[2]} first: {best_first}. Against {reference}: {against}."


def difference_p(pair: PairResult, alpha: float) -> str:
    """The p-value that decided, as it stands beside a difference; empty where there is none."""
    p_value = pair.p_value if pair.adjusted_p_value is None else pair.adjusted_p_value
    return "" if p_value is None else f"  p {format_p_relation(p_value, alpha)}"


def cliques_caption(comparison: Comparison, metric: ComparedMetric) -> str:
    """Of the sets that are not told apart."""
    return (
        f"Methods by mean {one_line(metric.name)}. The dots of a column are a largest set of methods of which no two "
        f"were decided to be one better, the other worse: {how_tested(comparison, metric)} "
        f"({figure_basis(comparison, metric)}). A line may pass a method by: only dots belong to the set. Not told "
        "apart is not the same as equal."
    )


def cliques_alt(metric: ComparedMetric, order: Sequence[str], sets: Iterable[Sequence[str]]) -> str:
    """What can be seen of the sets."""
    together = "; ".join(", ".join(members) for members in sets if len(members) > 1)
    told = f"Not told apart: {together}." if together else "Every two of them are told apart."
    _, _, best, worst = metric.words
    return f"Methods from {best} to {worst} on {one_line(metric.name)}: {', '.join(order)}. {told}"


def ecdf_caption(
    comparison: Comparison, metric: ComparedMetric, reference: str, sides: str, *, n_scales: int = 1
) -> str:
    """Of the differences item by item."""
    own = " Panels with a dashed axis have a scale of their own." if n_scales > 1 else ""
    inference = Inference.of(comparison.settings)
    bar = "the mean difference"
    if not inference.is_about_ranks:
        bar += f" with its pointwise {inference.level} interval"
    return (
        f"Share of items whose difference in {one_line(metric.name)} to {reference} is at most x ({sides}). The thick "
        f"jump at 0 is the items that tie; the bar on the x axis is {bar} ({figure_basis(comparison, metric)}).{own}"
    )


def ecdf_alt(metric: ComparedMetric, reference: str, pairs: Iterable[PairResult]) -> str:
    """What can be seen of the differences item by item."""
    better, worse, _, _ = metric.words
    counts = "; ".join(f"{p.b}: {better} on {p.win}, tied on {p.tie}, {worse} on {p.loss}" for p in pairs)
    return f"Cumulative shares of paired differences to {reference} on {one_line(metric.name)}. {counts}."


def heat_map_caption(comparison: Comparison, metric: ComparedMetric) -> str:
    """Of each method against each."""
    verdicts = "Verdicts in ranks" if Inference.of(comparison.settings).is_about_ranks else "Verdicts"
    better, _, best, worst = metric.words
    return (
        f"Colour: mean paired difference in {one_line(metric.name)}, row against column, methods from {best} to "
        f"{worst}. Numbers: the difference row − column (below the diagonal) and the share of items on which the row "
        f"is {better}, ties counted half (above). {verdicts}: {how_tested(comparison, metric)} "
        f"({figure_basis(comparison, metric)})."
    )


def heat_map_alt(metric: ComparedMetric, better: Iterable[tuple[str, str]]) -> str:
    """What can be seen of each method against each."""
    if not metric.direction_known:
        return f"Pairs on {one_line(metric.name)}: their differences; it is not known which way the advantage lies."
    found = "; ".join(f"{winner} better than {loser}" for winner, loser in better) or "no method better than another"
    return f"Pairs on {one_line(metric.name)}: {found}; all other pairs are equivalent or inconclusive."


def power_caption(comparison: Comparison, metric: ComparedMetric, reference: str, alpha: float) -> str:
    """Of what more items would show.

    Args:
        comparison: What was found.
        metric: On which metric.
        reference: What the methods are held against, in words.
        alpha: Error rate of one comparison.
    """
    inference = Inference.of(comparison.settings)
    corrected = " (corrected)" if alpha < inference.alpha else ""
    floor = ""
    if inference.test != "t":
        unit = "group" if inference.groups_known else "item"
        floor = f" With fewer than {counted(groups_needed(alpha), unit)} nothing can be found."
    return (
        f"True difference to {reference} in {one_line(metric.name)} that would be found by "
        f"{share_of_studies(inference.power)} at α = {format_declared(float(f'{alpha:.3g}'))}{corrected}, by size, had "
        f"they the spread and the groups of these: {figure_basis(comparison, metric)}.{floor} The dotted line is the "
        "present size."
    )


def power_alt(
    comparison: Comparison, metric: ComparedMetric, reference: str, at_present: Mapping[str, float | None]
) -> str:
    """What can be seen of what more items would show."""
    effects = ", ".join(f"{name} {format_number(effect)}" for name, effect in at_present.items())
    share = share_of_studies(Inference.of(comparison.settings).power)
    return (
        f"True difference to {reference} on {one_line(metric.name)} that would be found by {share} at the present "
        f"size: {effects}."
    )


def trade_off_caption(
    comparison: Comparison, asked: ComparedMetric, kept: ComparedMetric, n_items: int, n_groups: int, *, zoomed: bool
) -> str:
    """Of doing what was asked against keeping the rest, on the items that have both."""
    inference = Inference.of(comparison.settings)
    enlarged = " The second panel enlarges the framed part of the first." if zoomed else ""
    return (
        f"Mean {one_line(asked.name)} against mean {one_line(kept.name)}; the better corner is at the top right, axes "
        f"of lower-is-better metrics are reversed. Ellipses are pointwise {inference.level} confidence regions of each "
        f"method's two means, from their joint cluster-robust covariance "
        f"({items_and_groups(inference, n_items, n_groups)}): whether two methods differ is not seen from them. Hollow "
        f"markers are controls.{enlarged}"
    )


def trade_off_alt(asked: ComparedMetric, kept: ComparedMetric, means: Mapping[str, tuple[float, float]]) -> str:
    """What can be seen of the trade-off."""
    points = " · ".join(f"{name}: {format_score(x)}, {format_score(y)}" for name, (x, y) in means.items())
    return f"Mean {one_line(kept.name)} and mean {one_line(asked.name)} of each method: {points}."
