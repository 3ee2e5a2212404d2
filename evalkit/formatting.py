"""The one place where numbers, intervals, p-values, ranks and lists of names become text."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import chain, count

DASH = "–"
"""What stands for a value that is not defined."""
_SMALL = dict(enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1))
LAYOUT = "\n\t"
"""What a text on several lines is laid out with."""
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What moves a terminal's cursor, changes its colours, or turns the order of letters around."""
_VISIBLE = {code: ascii(chr(code))[1:-1] for code in _STEERING if chr(code) not in LAYOUT}
LEAST, GREATEST = 1e-4, 1e7
"""Numbers beyond these are written with a power of ten instead of a row of zeros."""


def format_score(value: float | None) -> str:
    """A metric's value with four decimals, or with its significant digits where these would all be zeros.

    >>> format_score(-0.12345), format_score(0.0000123), format_score(-0.0), format_score(None)
    ('−0.1235', '1.23e−5', '0.0000', '–')
    """
    if value is None:
        return DASH
    return _scientific(value, 3) if 0 < abs(value) < LEAST / 2 or abs(value) >= GREATEST else _fixed(value, 4)


def format_number(value: float | None, decimals: int | None = None) -> str:
    """A number with three significant digits, or with so many decimals.

    >>> format_number(0.00123456), format_number(12.3456), format_number(-0.5), format_number(2.0, 1)
    ('0.00123', '12.3', '−0.500', '2.0')
    >>> format_number(0.0000362), format_number(5.27e299), format_number(-0.001, 2)
    ('3.62e−5', '5.27e299', '0.00')
    """
    if value is None:
        return DASH
    if decimals is None and value and not LEAST <= abs(value) < GREATEST:
        return _scientific(value, 3)
    return _fixed(value, decimals_of(value) if decimals is None else decimals)


def format_signed(value: float | None, decimals: int | None = None) -> str:
    """The same with its sign; what is zero, or rounded to it, has none.

    >>> format_signed(0.0049), format_signed(0.0), format_signed(-0.001, 2), format_signed(-1e-300)
    ('+0.00490', '0', '0.00', '−1.00e−300')
    """
    if value == 0 and decimals is None:
        return "0"
    text = format_number(value, decimals)
    return f"+{text}" if value is not None and value > 0 and any(digit in text for digit in "123456789") else text


def format_alike(values: Sequence[float]) -> list[str]:
    """Numbers with their signs and with as many decimals each, those that the largest needs.

    Where one of them would become zero, each is written with its own three digits.

    >>> format_alike([0.0123, -0.5]), format_alike([0.00001, 0.5])
    (['+0.012', '−0.500'], ['+1.00e−5', '+0.500'])
    """
    decimals = decimals_of(max(map(abs, values), default=0.0))
    texts = [format_signed(value, decimals) for value in values]
    lost = any(
        value and not any(digit in text for digit in "123456789") for value, text in zip(values, texts, strict=True)
    )
    large = any(abs(value) >= GREATEST for value in values)
    return [format_signed(value) for value in values] if lost or large else texts


def decimals_of(value: float, most: int = 9) -> int:
    """How many decimals show three significant digits; four for zero.

    >>> decimals_of(0.0123), decimals_of(1234.5), decimals_of(0.0)
    (4, 0, 4)
    """
    exponent = int(f"{value:.2e}".partition("e")[2])
    return 4 if value == 0 else max(0, min(most, 2 - exponent))


def format_interval(low: float | None, high: float | None, number: Callable[[float | None], str] = format_score) -> str:
    """An interval whose ends are put into text by ``number``, with more digits where both would read the same.

    >>> format_interval(0.1, 0.25), format_interval(-0.1, 0.25, format_signed), format_interval(None, None)
    ('[0.1000, 0.2500]', '[−0.100, +0.250]', '–')
    >>> format_interval(0.25001, 0.25004)
    '[0.25001, 0.25004]'
    """
    if low is None or high is None:
        return DASH
    ends = number(low), number(high)
    digits = 4
    while ends[0] == ends[1] and low != high and digits < 17:
        digits += 1
        ends = _significant(low, digits), _significant(high, digits)
    return f"[{ends[0]}, {ends[1]}]"


def format_p(p_value: float | None, alpha: float = 0.05) -> str:
    """A p-value as a cell of a table shows it: two digits, near the error rate three, or as many as tell it from that.

    >>> format_p(0.03125), format_p(0.00001), format_p(0.999)
    ('0.031', '< 0.0001', '1')
    >>> format_p(0.0496), format_p(0.0504), format_p(0.05), format_p(0.0504, alpha=0.01)
    ('0.0496', '0.0504', '0.05', '0.05')
    """
    if p_value is None:
        return DASH
    if p_value < 1e-4 <= alpha:
        return "< 0.0001"
    if p_value >= 0.995:
        return "1"
    digits = 3 if abs(p_value - alpha) <= alpha / 10 else 2
    while digits < 17 and _compared(float(f"{p_value:.{digits}g}"), alpha) != _compared(p_value, alpha):
        digits += 1
    return _exponent(f"{p_value:.{digits}g}")


def format_p_relation(p_value: float, alpha: float = 0.05) -> str:
    """A p-value as it follows the letter p in a sentence.

    >>> format_p_relation(0.03125), format_p_relation(0.00001)
    ('= 0.031', '< 0.0001')
    """
    text = format_p(p_value, alpha)
    return text if text.startswith("<") else f"= {text}"


def format_declared(value: float) -> str:
    """A number that somebody declared, such as a margin or an error rate, as it was declared.

    >>> format_declared(0.05), format_declared(1e-6)
    ('0.05', '1e−6')
    """
    return _exponent(f"{value:g}")


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


def degrees_of_freedom(number: float) -> str:
    """Degrees of freedom, of which there may be a fraction.

    >>> degrees_of_freedom(1.0), degrees_of_freedom(2.614)
    ('1 degree of freedom', '2.61 degrees of freedom')
    """
    return f"{number:.3g} {'degree' if f'{number:.3g}' == '1' else 'degrees'} of freedom"


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


def shortened(text: str, longest: int) -> str:
    """The beginning of a text that is longer.

    >>> shortened("pix2pix-zero", 12), shortened("Plug-and-Play", 12)
    ('pix2pix-zero', 'Plug-and-Pl…')
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


_LINE_ENDS = {ord(end): ascii(end)[1:-1] for end in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
"""What ends a line, written out."""


def abridged(text: str, longest: int = 2_000) -> str:
    r"""A message on one line, whose middle is left out where names in it are longer than anybody reads.

    >>> abridged("the column " + "x" * 50 + " is unknown", 34)
    'the column xxxxxxx … xx is unknown'
    >>> print(abridged("the column a" + chr(10) + "b is unknown"))
    the column a\nb is unknown
    """
    text = text.translate(_LINE_ENDS)
    end = longest // 3
    return text if len(text) <= longest else f"{text[: longest - end - 5]} … {text[-end - 2 :]}"


def visible(text: str) -> str:
    """The text with what would steer a terminal written out, for names come from anybody's files."""
    return encodable(text.translate(_VISIBLE))


def encodable(text: str) -> str:
    """The text with halves of characters, which UTF-8 has no bytes for, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


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


def _compared(p_value: float, alpha: float) -> int:
    """Whether a p-value is below the error rate, on it, or above."""
    return (p_value > alpha) - (p_value < alpha)


def _fixed(value: float, decimals: int) -> str:
    """With so many decimals; a zero has no sign."""
    text = f"{value:.{decimals}f}"
    return _minus(text if float(text) else text.lstrip("-"))


def _scientific(value: float, digits: int) -> str:
    """With a power of ten."""
    return _exponent(f"{value:.{digits - 1}e}")


def _significant(value: float, digits: int) -> str:
    """With so many significant digits."""
    return _exponent(f"{value:.{digits}g}")


def _exponent(text: str) -> str:
    """Python's notation of a power of ten without its zeros and its plus."""
    mantissa, e, power = text.partition("e")
    return _minus(f"{mantissa}e{int(power)}" if e else text)


def _minus(text: str) -> str:
    return text.replace("-", "−")
