"""What a leaderboard says of its ranks, its comparisons, and of the methods that have no rank."""

from evalkit.comparison.records import PairResult
from evalkit.comparison.statements.pairs import verdict_on_words
from evalkit.formatting import format_declared, format_p_relation, format_signed, series

RANKS = (
    "A rank is a set: “2–4” means that the decisions allow every place from 2 to 4. It begins at 1 + the number of "
    "methods decided better and ends at the number of ranked methods less those decided worse. Decisions are those of "
    "the pairwise tests among ranked methods, Holm-corrected over the ranked metrics, so that the sets hold at once. "
    "Methods are not told apart where no two of them were decided to be one better, the other worse; that is not the "
    "same as equal. The first column shows the low end, and equal numbers share it."
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
NO_OTHER = "there is no other method that passes, to be ranked against"
CONTROL = "a control"


def about_board(alignment: str, preservation: str, alpha: float) -> str:
    """Above the table of a board."""
    return (
        "Rank sets follow from the corrected pairwise decisions among ranked methods and hold at once "
        f"(α = {format_declared(alpha)}); equal ranks share a number. ◆ marks the Pareto front of mean {alignment} "
        f"against mean {preservation}. There is no composite score."
    )


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


def awaiting(metric: str, n: int, n_entries: int) -> str:
    """That a column of a board is not filled."""
    return f"{metric} awaits weights for {n:,} of {n_entries:,} entries"


def verdict_on_b(pair: PairResult) -> str:
    """The verdict on the method whose page it is."""
    return verdict_on_words(pair, pair.b)
