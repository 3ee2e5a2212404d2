"""The one place where numbers, intervals, p-values, ranks and lists of names become text."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import chain, count

DASH = "–"
"""What stands for a value that is not defined."""
_SMALL = dict(enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1))


def format_score(value: float | None) -> str:
    """A metric's value with four decimals.

    >>> format_score(-0.12345), format_score(None)
    ('−0.1235', '–')
    """
    return DASH if value is None else _minus(f"{value:.4f}")


def format_number(value: float | None, decimals: int | None = None) -> str:
    """A number with three significant digits, or with so many decimals.

    >>> format_number(0.00123456), format_number(12.3456), format_number(-0.5), format_number(2.0, 1)
    ('0.00123', '12.3', '−0.500', '2.0')
    """
    return DASH if value is None else _minus(f"{value:.{decimals_of(value) if decimals is None else decimals}f}")


def format_signed(value: float | None, decimals: int | None = None) -> str:
    """The same with its sign; zero has none unless decimals are asked for.

    >>> format_signed(0.0049), format_signed(0.0), format_signed(0.0, 2)
    ('+0.00490', '0', '+0.00')
    """
    if value is None:
        return DASH
    if value == 0 and decimals is None:
        return "0"
    return _minus(f"{value:+.{decimals_of(value) if decimals is None else decimals}f}")


def decimals_of(value: float, most: int = 9) -> int:
    """How many decimals show three significant digits; four for zero.

    >>> decimals_of(0.0123), decimals_of(1234.5), decimals_of(0.0)
    (4, 0, 4)
    """
    exponent = int(f"{value:e}".partition("e")[2])
    return 4 if value == 0 else max(0, min(most, 2 - exponent))


def format_interval(low: float | None, high: float | None, number: Callable[[float | None], str] = format_score) -> str:
    """An interval whose ends are put into text by ``number``.

    >>> format_interval(0.1, 0.25), format_interval(-0.1, 0.25, format_signed), format_interval(None, None)
    ('[0.1000, 0.2500]', '[−0.100, +0.250]', '–')
    """
    return DASH if low is None or high is None else f"[{number(low)}, {number(high)}]"


def format_p(p_value: float | None) -> str:
    """A p-value as a cell of a table shows it.

    >>> format_p(0.03125), format_p(0.00001), format_p(0.999)
    ('0.031', '< 0.0001', '1')
    """
    if p_value is None:
        return DASH
    if p_value < 1e-4:
        return "< 0.0001"
    return f"{p_value:.2g}" if p_value < 0.995 else "1"


def format_p_relation(p_value: float) -> str:
    """A p-value as it follows the letter p in a sentence.

    >>> format_p_relation(0.03125), format_p_relation(0.00001)
    ('= 0.031', '< 0.0001')
    """
    text = format_p(p_value)
    return text if text.startswith("<") else f"= {text}"


def format_ranks(low: int | None, high: int | None, *, unranked: str = "not ranked") -> str:
    """A set of ranks.

    >>> format_ranks(1, 1), format_ranks(2, 4)
    ('1', '2–4')
    """
    if low is None or high is None:
        return unranked
    return str(low) if low == high else f"{low}–{high}"


def format_percent(share: float) -> str:
    """A share of one in percent, such as the level of an interval.

    >>> format_percent(0.95), format_percent(1 - 0.001)
    ('95 %', '99.9 %')
    """
    return f"{100 * share:g} %"


def share_of_studies(power: float) -> str:
    """A probability as the share of studies in which something would be found.

    >>> share_of_studies(0.8), share_of_studies(0.9), share_of_studies(0.95)
    ('four of five such studies', 'nine of ten such studies', '19 of 20 such studies')
    """
    share = Fraction(f"{power:.4f}")
    found, studies = (_SMALL.get(number, f"{number:,}") for number in share.as_integer_ratio())
    return f"{found} of {studies} such studies"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun in the right form.

    >>> counted(1, "item"), counted(1234, "item"), counted(2, "entry", "entries")
    ('1 item', '1,234 items', '2 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], shown: int = 5) -> str:
    """The first few names, and how many more there are.

    >>> listed(["a", "b"]), listed(list("abcdefgh"), shown=2)
    ('a, b', 'a, b, and 6 more')
    """
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f", and {more:,} more" if more > 0 else "")


def series(names: Sequence[str], word: str = "or") -> str:
    """All names as a sentence has them.

    >>> series(["a"]), series(["a", "b", "c"], "and")
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def one_line(text: str) -> str:
    """Without line breaks and control characters, which would end a cell, a row or a comment."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def one_line_names(names: Iterable[str]) -> dict[str, str]:
    """Each name as one line; different names stay different.

    >>> list(one_line_names(["ours", "a" + chr(10) + "b", "a b"]).values())
    ['ours', 'a b', 'a b (2)']
    """
    distinct = dict.fromkeys(names)
    found = {name: name for name in distinct if name.isprintable()}
    taken = set(found)
    for name in distinct:
        if name not in found:
            line = one_line(name) or "?"
            numbered = (f"{line} ({number})" for number in count(2))
            found[name] = next(each for each in chain([line], numbered) if each not in taken)
            taken.add(found[name])
    return found


def _minus(text: str) -> str:
    return text.replace("-", "−")
