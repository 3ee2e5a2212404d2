"""The verdict on two methods, in one vocabulary: better, equivalent, or inconclusive with what it would take."""

from dataclasses import dataclass
from typing import Literal

VerdictName = Literal["a_better", "b_better", "equivalent", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a comparison shows."""

    verdict: VerdictName
    """``equivalent`` also where the methods differ, but by less than the margin that was declared to matter."""
    significant: bool
    """Whether the difference is established, p ≤ α after correction."""
    equivalent: bool | None
    """Whether it is shown to lie inside the margin; None where no margin was declared."""
    explanation: str
    items_needed: int | None = None
    """Items that would decide an inconclusive comparison four times in five; None where that cannot be told."""
    items_needed_for: float | None = None
    """The difference, in the units of the scores, that so many items would find."""


def decide(
    *,
    oriented_difference: float,
    significant: bool,
    equivalent: bool | None,
    reason: str | None = None,
    needed: tuple[int, float] | None = None,
) -> Verdict:
    """Combine a test of difference with a test of equivalence.

    | | equivalence shown | not shown |
    |---|---|---|
    | difference shown | equivalent ("statistically different, practically equivalent") | a or b better |
    | not shown | equivalent | inconclusive |

    Args:
        oriented_difference: b − a, with the sign turned so that positive means that b is better.
        significant: Whether the difference is established.
        equivalent: Whether equivalence is; None without a margin.
        reason: Why the data could not have shown a difference, if so.
        needed: Items that would decide, and the difference that they would find.

    >>> decide(oriented_difference=0.1, significant=True, equivalent=None).verdict
    'b_better'
    >>> decide(oriented_difference=0.1, significant=True, equivalent=True).explanation
    'statistically different, practically equivalent'
    """
    if equivalent:
        same = "the difference lies inside the margin" if oriented_difference else "there is no difference at all"
        explanation = "statistically different, practically equivalent" if significant else same
        return Verdict(verdict="equivalent", significant=significant, equivalent=True, explanation=explanation)
    if significant and oriented_difference:
        name: VerdictName = "b_better" if oriented_difference > 0 else "a_better"
        return Verdict(verdict=name, significant=True, equivalent=equivalent, explanation=f"{name[0]} is better")
    parts = ["neither a difference nor equivalence is shown" if equivalent is False else "no difference is shown"]
    if reason is not None:
        parts.append(reason)
    if needed is not None:
        parts.append(f"about {needed[0]:,} items would decide for a difference of {needed[1]:.3g}")
    return Verdict(
        verdict="inconclusive",
        significant=significant,
        equivalent=equivalent,
        explanation="; ".join(parts),
        items_needed=needed[0] if needed else None,
        items_needed_for=needed[1] if needed else None,
    )
