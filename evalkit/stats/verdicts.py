"""From corrected p-values to a verdict, for whatever was compared: scores of items or votes."""

from evalkit.stats.multiplicity import Corrected
from evalkit.stats.records import VerdictName


def decide(
    effect: float,
    interval: tuple[float | None, float | None],
    corrected: Corrected,
    *,
    alpha: float,
    tests_equivalence: bool,
    direction_known: bool = True,
) -> tuple[VerdictName, bool, bool | None]:
    """The verdict, whether a difference is established, and whether equivalence is; None without a margin.

    | | equivalence shown | not shown |
    |---|---|---|
    | difference shown | equivalent, and different | a or b better |
    | not shown | equivalent | inconclusive |

    Where nobody knows which way is better, a difference that is shown leaves the verdict inconclusive.

    A difference is established where its corrected p-value is at most α and the interval of what was tested, where it
    has one, excludes 0.

    Args:
        effect: Positive where b is better.
        interval: Of what was tested; an end is None where there is none.
        corrected: P-values within the family.
        alpha: Error rate.
        tests_equivalence: Whether a margin was declared.
        direction_known: Whether it is known which way is better.
    """
    low, high = interval
    excluded = low is None or high is None or low > 0 or high < 0
    p_value = corrected.p_value
    significant = p_value is not None and p_value <= alpha and excluded and effect != 0
    equivalent = None
    if tests_equivalence:
        p_value = corrected.equivalence_p_value
        equivalent = p_value is not None and p_value <= alpha
    if equivalent:
        return "equivalent", significant, True
    if significant and not direction_known:
        return "inconclusive", True, equivalent
    if significant:
        return "b_better" if effect > 0 else "a_better", True, equivalent
    return "inconclusive", False, equivalent
