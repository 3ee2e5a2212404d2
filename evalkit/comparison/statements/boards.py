"""What a leaderboard says of its ranks, its comparisons, and of the methods that have no rank."""

from collections.abc import Mapping, Sequence

from evalkit.comparison.records import PairResult
from evalkit.comparison.statements.pairs import verdict_on_words
from evalkit.comparison.votes.records import ComparedCriterion
from evalkit.formatting import (
    counted,
    format_declared,
    format_interval,
    format_p_relation,
    format_score,
    format_signed,
    one_line,
    series,
)

MOST_NAMED = 4
"""More names than this in a sentence are not read."""

RANKS = (
    "A rank is a set: “2–4” means that the decisions allow every place from 2 to 4. It begins at 1 + the number of "
    "methods decided better and ends at the number of ranked methods less those decided worse. Decisions are those of "
    "the pairwise tests among ranked methods, Holm-corrected over the ranked metrics, so that the sets hold at once. "
    "Methods are not told apart where no two of them were decided to be one better, the other worse; that is not the "
    "same as equal."
)
SETS = "Of the methods of a set no two were decided to be one better, the other worse. It does not mean equal."
TWO_RANKINGS = (
    "There are two rankings, one for making the edit and one for keeping the rest, and no composite of them: whoever "
    "copies the source wins the one, whoever ignores it the other. ◆ marks methods than which no ranked one has better "
    "means on both; it is no decision."
)
VERDICTS = (
    "“Inconclusive” is not “no difference”: none is shown. “Equivalent” means shown to lie inside a margin that was "
    "declared before scoring. “N items for the margin” is how many items would find a true difference as large as the "
    "margin in four of five such studies."
)
INTERVALS = (
    "Intervals are pointwise: cluster-robust standard error (CR2) with Student's t, of success rates Wilson's with the "
    "design effect of the groups. Whether two methods differ is not seen from whether their intervals overlap."
)
TESTS = (
    "Differences are this entry less the other; two-sided sign-flip test over groups, intervals from the same flips. "
    "Pairs of ranked methods are corrected among themselves (Holm on the ranked metrics; Benjamini–Hochberg, which "
    "holds the false discovery rate, on the others, which are exploratory), pairs with other entries among all pairs."
)
JUDGES = (
    "A judge's numbers cannot be scored again here, for that would take the judge: each is read again in the words "
    "that its submitter sent, and nobody has checked that the judge said them, or of these pictures."
)
JUDGES_APART = (
    "Every judge has a table of its own: model, rubric, manner of asking, pictures and number of answers are its "
    "signature, and numbers of two signatures never stand in one column, ranking or mean."
)
JUDGES_VOTES = (
    "A judge that votes is shown pairs as people are, and has a table of its own: model, question, manner of asking "
    "and pictures are its signature. Its votes are never among those of people or of another judge; each is read again "
    "in the words that its submitter sent, and nobody has checked that the judge said them, or of these pictures."
)
VOTES = (
    "Votes are those of people who were shown two edits of one item side by side, without names. Abilities are those "
    "of Davidson's Bradley–Terry model with ties, in log-odds, with intervals robust to raters and to groups of items: "
    "what evalkit compare finds in the same file."
)
NOT_RANKING = "Shown, and ranks nobody"
PICTURES = "An item's page shows its source beside the edits, where the licences of both allow showing them."
NO_PICTURES = "No pictures: no licence is known under which those of this benchmark may be passed on."
NO_OTHER = "there is no other method that passes, to be ranked against"
CONTROL = "a control"


def about_judge(metric: str | None) -> str:
    """What the numbers of a judge decide on a board.

    Args:
        metric: By which the protocol has this judge rank; None where it does not.
    """
    if metric is None:
        return f"{NOT_RANKING}: the protocol names no judge. Methods stand in the order of their names."
    return (
        f"The protocol names this judge: its {metric} ranks the methods, in a ranking of its own (sets of ranks that "
        "Holm-corrected pairwise decisions allow); controls are shown and not ranked."
    )


def about_judges_votes(criterion: ComparedCriterion, *, ranks: bool) -> str:
    """What the votes of a judge rest on, and what they decide on a board.

    Args:
        criterion: What was found.
        ranks: Whether the protocol names this judge for votes.
    """
    basis = (
        f"{counted(criterion.n_votes, 'vote')} of one judge on {counted(criterion.n_items, 'item')} in "
        f"{counted(criterion.n_groups, 'group')}."
    )
    if not ranks:
        return f"{NOT_RANKING}: the protocol does not name this judge for votes. {basis}"
    return (
        "The protocol names this judge for votes, which rank: sets of ranks that the Holm-corrected decisions on all "
        f"pairs allow; controls are shown and not ranked. {basis}"
    )


def about_votes(criterion: ComparedCriterion, n_left_out: int, *, ranks: bool) -> str:
    """What votes of people rest on, and what they decide on a board.

    Args:
        criterion: What was found.
        n_left_out: Raters who failed their attention checks.
        ranks: Whether the protocol has votes on this question rank.
    """
    left_out = f"; {counted(n_left_out, 'rater')} left out who failed most attention checks" if n_left_out else ""
    basis = (
        f"{counted(criterion.n_votes, 'vote')} by {counted(criterion.n_raters or 0, 'rater')} on "
        f"{counted(criterion.n_items, 'item')} in {counted(criterion.n_groups, 'group')}{left_out}."
    )
    if not ranks:
        return f"{NOT_RANKING}: the protocol does not say that votes on this question rank. {basis}"
    return (
        "Votes on this question rank: sets of ranks that the Holm-corrected decisions on all pairs allow; controls are "
        f"shown and not ranked. {basis}"
    )


def about_board(alpha: float) -> str:
    """Under the table of a board."""
    return (
        "A rank is the set of ranks that the corrected pairwise decisions among ranked methods allow; all sets hold at "
        f"once (α = {format_declared(alpha)}). ◆ marks the Pareto front. There is no composite score."
    )


def answer(label: str, best: Sequence[str], others: Sequence[str]) -> str:
    """What a board says first of a metric that ranks.

    Args:
        label: The metric with its direction.
        best: The ranked methods than which none was decided better.
        others: The other ranked methods.

    >>> answer("l1 ↓", ["A", "B"], ["C", "D", "E", "F", "G"])
    'l1 ↓: any of 2 of the 7 ranked methods may be the best: A and B.'
    >>> answer("l1 ↓", ["A", "B", "C", "D", "E"], ["F"])
    'l1 ↓: any of 5 of the 6 ranked methods may be the best; F is shown to be behind.'
    """
    n_ranked = len(best) + len(others)
    if len(best) == 1:
        return f"{label}: {best[0]} alone of {n_ranked:,} ranked methods has none that is shown to be better."
    part = f"{len(best):,} of the " if others else ""
    what = f"{label}: any of {part}{n_ranked:,} ranked methods may be the best"
    if len(best) <= MOST_NAMED:
        return f"{what}: {series(best, 'and')}."
    if 0 < len(others) <= MOST_NAMED:
        return f"{what}; {series(others, 'and')} {'is' if len(others) == 1 else 'are'} shown to be behind."
    return f"{what}."


def plot_caption(aligned: str, preserved: str, *, crowded: bool) -> str:
    """Under the plot of a board; ``crowded``: whether only some of the points have intervals."""
    with_intervals = "with pointwise 95 % intervals" + (" of those that are named" if crowded else "")
    return (
        f"Means of the ranked methods {with_intervals}; {aligned} is better upwards, {preserved} to the right. ◆ and "
        "the dashed line are the Pareto front: no ranked method has better means on both. It is no decision."
    )


def plot_alt(aligned: str, preserved: str, front: Sequence[str]) -> str:
    """The plot in words, for whoever does not see it."""
    named = ", ".join(one_line(title)[:40] for title in front[:MOST_NAMED])
    return f"Mean {aligned} against mean {preserved} of the ranked methods; on the Pareto front: {named}"


def point_words(title: str, *means: tuple[float | None, float | None, float | None]) -> str:
    """A point of the plot: the method with its means and their intervals."""
    found = (f"{format_score(mean)} {format_interval(low, high)}" for mean, low, high in means)
    return f"{one_line(title)[:80]}: {'; '.join(found)}"


def standing(words: Mapping[str, int], metric: str) -> str:
    """How often a method was decided better, worse or equivalent, of all its comparisons on a metric."""
    found = [f"{what} {n:,} {'time' if n == 1 else 'times'}" for what, n in words.items() if n]
    return f"{metric}: {', '.join(found)}" if found else f"{metric}: not compared"


def about_entries(n_methods: int, n_ranked: int, n_controls: int) -> str:
    """How many entries a board has."""
    ranked = (
        "none ranked" if not n_ranked else "all ranked" if n_ranked == n_methods else f"{n_ranked:,} of them ranked"
    )
    return f"{counted(n_methods, 'method')}, {ranked}, and {counted(n_controls, 'control')}."


def few_pictures(n: int) -> str:
    """That an entry's edit of an item is not kept."""
    return f"The edits of {counted(n, 'other entry', 'other entries')} on this item are not kept as pictures."


def about_items(n_items: int, n_groups: int) -> str:
    """What a board's numbers rest on."""
    return f"{n_items:,} items in {n_groups:,} groups of a common source image; pointwise 95 % intervals."


def awaits(metrics: list[str]) -> str:
    """Why an entry without scores has no rank."""
    return f"awaits {series(metrics, 'and')}"


def no_control(control: str) -> str:
    """Why nobody can be ranked."""
    return f"the control {control} is not there to be held against"


def not_better_than(control: str, what: str, metric: str, pair: PairResult | None, alpha: float) -> str:
    """Why a method is not ranked that was not shown to be better than a control, by a test of its own.

    Args:
        control: Whom it was held against.
        what: At what.
        metric: By which metric.
        pair: The method as b, against the control; None where they were not compared.
        alpha: Error rate of that test.
    """
    if pair is None or pair.p_value is None:
        return f"not shown to be better than the control {control} at {what} ({metric}, no p-value)"
    found = f"{metric} {format_signed(pair.difference)}, uncorrected p {format_p_relation(pair.p_value, alpha)}"
    return f"not shown to be better than the control {control} at {what} ({found})"


def awaiting(metrics: Sequence[str], n: int, n_entries: int) -> str:
    """That columns of a board are not filled."""
    verb = "awaits" if len(metrics) == 1 else "await"
    return f"{series(metrics, 'and')} {verb} weights for {n:,} of {n_entries:,} entries"


def verdict_on_b(pair: PairResult) -> str:
    """The verdict on the method whose page it is."""
    return verdict_on_words(pair, pair.b)
