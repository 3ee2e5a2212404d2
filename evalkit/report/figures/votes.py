"""Figures of votes: abilities with ranks, and what share of its votes each method of a pair won."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from matplotlib.axes import Axes

from evalkit.comparison.statements.terms import Inference
from evalkit.comparison.votes.captions import (
    VotedPair,
    abilities_alt,
    abilities_caption,
    shares_alt,
    shares_caption,
    voted_pairs,
)
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.comparison.votes.statements import basis
from evalkit.report.figures.means import MEANS_COLUMNS, means_and_ranks
from evalkit.report.figures.style import (
    BAND,
    INK,
    LONGEST_LABEL,
    LONGEST_NARROW,
    NARROW,
    ON_DARK,
    ON_LIGHT,
    WIDTH,
    DrawnFigure,
    MethodStyle,
    method_styles,
    new_figure,
    printable,
)
from evalkit.report.figures.write import finished
from evalkit.storage.names import file_stem

SHARES_COLUMNS = ("method", "other", "won", "tied", "lost", "votes")
_LEGIBLE = {WIDTH: 0.08, NARROW: 0.16}
"""Of a bar, by the width of the figure: a narrower part holds no number."""


def draw_votes(comparison: VoteComparison, *, narrow: bool = False) -> Iterator[DrawnFigure]:
    """Of every question the abilities with ranks, then the shares of votes by pair where there are several pairs.

    Args:
        comparison: What was found.
        narrow: Whether they are for a phone.
    """
    names = list(dict.fromkeys(row.method for row in comparison.ranking))
    styles = method_styles(names, LONGEST_NARROW if narrow else LONGEST_LABEL)
    for draw in (abilities, shares):
        yield from finished(partial(draw, comparison, each, styles, narrow=narrow) for each in comparison.criteria)


def abilities(
    comparison: VoteComparison, criterion: ComparedCriterion, styles: Mapping[str, MethodStyle], *, narrow: bool
) -> DrawnFigure | None:
    """Abilities with their intervals, and beside them the ranks; None where no method has an ability."""
    rows = [row for row in criterion.result.ranking.methods if row.mean is not None]
    if not rows:
        return None
    inference = Inference.of(comparison.settings)
    figure = means_and_ranks(
        rows,
        styles,
        title=f"{printable(criterion.name)}: abilities and ranks",
        foot=f"pointwise {inference.level} intervals; {basis(comparison, criterion)}",
        axis="log-odds\n↑ higher is better" if narrow else "log-odds, ↑ higher is better",
        narrow=narrow,
    )
    return DrawnFigure(
        name=f"abilities_{file_stem(criterion.name)}",
        title=f"Abilities and ranks on {criterion.name}",
        caption=abilities_caption(comparison, criterion),
        alt=abilities_alt(criterion, rows),
        figure=figure,
        columns=MEANS_COLUMNS,
        rows=tuple(tuple(getattr(row, name) for name in MEANS_COLUMNS) for row in rows),
    )


def shares(
    comparison: VoteComparison, criterion: ComparedCriterion, styles: Mapping[str, MethodStyle], *, narrow: bool
) -> DrawnFigure | None:
    """Won, tied and lost, a bar per pair; None of one pair, whose counts stand in its sentence."""
    pairs = voted_pairs(criterion)
    if len(pairs) < 2:
        return None
    title = f"{printable(criterion.name)}: votes won and tied"
    foot = "" if narrow else basis(comparison, criterion)
    height = 0.3 if narrow else 0.22
    figure = new_figure(0.75 + height * len(pairs), title, foot, width=NARROW if narrow else WIDTH)
    axes = figure.subplots()
    for y, pair in enumerate(pairs):
        _draw_shares(axes, y, pair, styles, _LEGIBLE[figure.get_figwidth()])
    _finish(axes, pairs, styles)
    return DrawnFigure(
        name=f"votes_{file_stem(criterion.name)}",
        title=f"Votes won and tied on {criterion.name}",
        caption=shares_caption(comparison, criterion, len(criterion.result.pairs) - len(pairs)),
        alt=shares_alt(criterion, pairs),
        figure=figure,
        columns=SHARES_COLUMNS,
        rows=tuple(tuple(getattr(pair, name) for name in SHARES_COLUMNS) for pair in pairs),
    )


def _draw_shares(axes: Axes, y: int, pair: VotedPair, styles: Mapping[str, MethodStyle], legible: float) -> None:
    """One bar: what the better one won, ties, what the other won."""
    parts = ((pair.won, styles[pair.method].colour), (pair.tied, BAND), (pair.lost, styles[pair.other].colour))
    left = 0.0
    for count, colour in parts:
        share = count / pair.votes
        axes.barh(y, share, left=left, height=0.72, color=colour, linewidth=0)
        if share >= legible:
            words = f"{100 * share:.0f} %"
            ink = INK if colour == BAND else ON_DARK if _is_dark(colour) else ON_LIGHT
            axes.text(left + share / 2, y, words, ha="center", va="center_baseline", fontsize=6.5, color=ink)
        left += share


def _is_dark(colour: str) -> bool:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue < 0.5


def _finish(axes: Axes, pairs: Sequence[VotedPair], styles: Mapping[str, MethodStyle]) -> None:
    """Who is on the left and who is on the right of each bar."""
    at = range(len(pairs))
    axes.set_yticks(at, [styles[pair.method].label for pair in pairs])
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "half of the votes", "all"])
    other = axes.secondary_yaxis("right")
    other.set_yticks(at, [styles[pair.other].label for pair in pairs])
    for each in (axes, other):
        each.tick_params(axis="y", length=0, labelsize=7)
        for side in ("left", "right"):
            each.spines[side].set_visible(False)
    axes.axvline(0.5, color=INK, linewidth=0.6, linestyle=(0, (3, 2)))
