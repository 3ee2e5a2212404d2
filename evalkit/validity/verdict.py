"""From numbers to words: what is wrong with a metric, by fixed rules.

Only what a metric is for is held against it. A metric of alignment must prefer the true edit to every control. A
metric of preservation must prefer it to another picture; that it likes an untouched source best is its definition, and
is said, since whoever ranks by it alone rewards doing nothing. A metric of quality must prefer the true edit to the
same one spoilt.
"""

from collections.abc import Mapping, Sequence

from evalkit.stats.agreement import USABLE
from evalkit.validity.records import OTHER_SOURCE, AgainstControl, Agreement

CROWDED = 0.2
"""A larger share of edits at an end of the range leaves no room to tell methods apart."""
MOVED = 0.1
"""A mean that a round trip is shown to move by more than this share of the way to another picture is moved by the file
format."""
_IDENTITY = "identity"
_ROUND_TRIPS = ("jpeg_90", "webp_80", "resize_double")
"""Damage that should not matter."""
_UNSEEN = {
    _IDENTITY: "doing nothing",
    OTHER_SOURCE: "the picture",
    "shuffled_caption": "the captions",
    "wrong_attribute": "a wrong edit",
    "blur": "blur",
    "resize_half": "a loss of resolution",
}
_PREFERRED = {
    _IDENTITY: "rewards doing nothing",
    OTHER_SOURCE: "prefers another picture",
    "shuffled_caption": "prefers other captions",
    "wrong_attribute": "prefers a wrong edit",
    "blur": "prefers blurred edits",
    "resize_half": "prefers edits of half the resolution",
}
_SPOILT = ("blur", "resize_half")
"""Damage that anybody sees."""
_GOOD = {
    "alignment": "prefers the true edit to every control",
    "preservation": "prefers the true edit to another picture",
    "quality": "prefers the true edit to one that is blurred or of half the resolution",
}


def findings(
    family: str,
    controls: Sequence[AgainstControl],
    agreement: Agreement | None,
    *,
    floor_share: float | None,
    ceiling_share: float | None,
) -> tuple[str, ...]:
    """What is wrong with a metric, the gravest first.

    Args:
        family: Of the metric.
        controls: The true edits against each control.
        agreement: With the truth that the family is about.
        floor_share: Share of the methods' edits at the worse end of the range.
        ceiling_share: At the better end.
    """
    by_name = {found.control: found for found in controls}
    if controls and all(found.probability is None for found in controls):
        return ("has no value for the true edit or for every control",)
    asked = _asked(family, by_name)
    nothing = by_name.get(_IDENTITY)
    grave = [text for name in asked if (text := _preference(by_name[name]) or _unsure(by_name[name]))]
    weak = [
        f"{100 * found.probability:.0f} % against {_UNSEEN.get(found.control, found.control)}"
        for found in map(by_name.__getitem__, asked)
        if found.probability is not None and not (_preference(found) or _unsure(found)) and found.probability < USABLE
    ]
    wrong = list(grave)
    if family == "preservation" and nothing and nothing.ci_high is not None and nothing.ci_high < 0.5:
        wrong.append(_PREFERRED[_IDENTITY])
    if weak:
        wrong.append(f"cannot rank single items ({', '.join(weak)})")
    rest = [by_name[name] for name in _SPOILT if name in by_name and name not in asked]
    wrong += [text for found in rest if (text := _preference(found))]
    wrong += _moved(by_name)
    for share, end in ((floor_share, "worst"), (ceiling_share, "best")):
        if share is not None and share > CROWDED:
            wrong.append(f"{100 * share:.0f} % of the edits have the {end} value")
    if agreement and agreement.ci_low is not None and agreement.ci_low <= 0:
        wrong.append(f"no agreement with {agreement.truth} was shown")
    if nothing and nothing.probability is None:
        wrong.append("has no value for an untouched source")
    return tuple(wrong)


def verdict(family: str, found: Sequence[str]) -> str:
    """The findings as one line."""
    if family == "ground_truth":
        return "the truth that others are held against"
    return "; ".join(found[:3]) or _GOOD[family]


def _asked(family: str, by_name: Mapping[str, AgainstControl]) -> list[str]:
    """The controls that a metric of this family must prefer the true edit to."""
    if family == "quality":  # any picture may be as sound, whatever it shows
        return [name for name in _SPOILT if name in by_name]
    of_the_edit = ("shuffled_caption", "wrong_attribute", _IDENTITY) if family == "alignment" else ()
    return [name for name in (OTHER_SOURCE, *of_the_edit) if name in by_name]


def _preference(found: AgainstControl) -> str | None:
    """``rewards …`` where the interval of the probability lies below one half, ``blind to …`` where it is close to it.

    Blindness is shown, not presumed: the whole interval must lie where a metric cannot rank single items, either way.
    """
    if found.ci_low is None or found.ci_high is None:
        return None
    if found.ci_high < 0.5:
        return _PREFERRED.get(found.control, f"prefers {found.control}")
    if 1 - USABLE < found.ci_low <= 0.5 and found.ci_high < USABLE:
        return f"blind to {_UNSEEN.get(found.control, found.control)}"
    return None


def _unsure(found: AgainstControl) -> str | None:
    """That nothing was shown, where the interval has one half in it and more, or there is none."""
    if found.probability is None:
        return None
    unseen = _UNSEEN.get(found.control, found.control)
    if found.ci_low is None or found.ci_high is None:
        return f"not shown to see {unseen} (no interval)"
    return f"not shown to see {unseen} (too few items)" if found.ci_low <= 0.5 <= found.ci_high else None


def _moved(by_name: Mapping[str, AgainstControl]) -> list[str]:
    """Round trips that move the mean by a part of the way to another picture, as the intervals of both show.

    The smallest move that its interval holds is set against the longest way that the other interval holds.
    """
    other = by_name.get(OTHER_SOURCE)
    if other is None or not other.shift or other.shift_low is None or other.shift_high is None:
        return []
    longest = max(abs(other.shift_low), abs(other.shift_high))
    shown = [name for name in _ROUND_TRIPS if name in by_name and _least(by_name[name]) > MOVED * longest]
    shares = {name: abs(by_name[name].shift or 0.0) / abs(other.shift) for name in shown}
    worst = max(shares, key=shares.__getitem__, default=None)
    if worst is None:
        return []
    return [f"moved by {worst} by {100 * shares[worst]:.0f} % of the way to another picture"]


def _least(found: AgainstControl) -> float:
    """The smallest size of a shift that its interval holds; 0 where it holds 0, or there is none."""
    if found.shift_low is None or found.shift_high is None:
        return 0.0
    return max(0.0, found.shift_low, -found.shift_high)
