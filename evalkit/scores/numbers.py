"""ParsedColumn as other tools write them: percentages, parts of a whole, decimal commas, yes and no."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.formatting import listed

ABSENT: Mapping[str, str] = {
    "empty": "the cell is empty, or says that there is no value",
    "infinite": "the value is infinite",
    "not_a_number": "the cell holds text where a number was expected",
    "absent": "the table has no row for it",
}
"""Why another tool's table has no value."""
_EMPTY = {"", "nan", "none", "null", "na", "n/a", "-", "–", "—", "~", "<na>"}
_INFINITE = re.compile(r"[-+−]?inf(inity)?")
_TRUTHS = {
    **dict.fromkeys(("true", "yes", "pass", "passed", "correct", "success", "y", "✓", "✔", "✅"), 1.0),
    **dict.fromkeys(("false", "no", "fail", "failed", "incorrect", "wrong", "failure", "n", "✗", "✘", "❌"), 0.0),
}
_WORD = re.compile(r"[*_\"'\s]*(\w+|[^\w\s])[*_\"']*\s*([.,;:!–—\n].*)?$", re.DOTALL)
"""A word alone, or with what explains it behind a stop."""
_NUMBER = re.compile(r"[-+−]?(\d+(\.\d*)?|\.\d+)(e[-+−]?\d+)?", re.ASCII)
_MARKED = re.compile(
    r"(?P<number>[-+−]?[\d.,'’ \u00a0\u202f]*\d\.?(e[-+−]?\d+)?)\s*"
    r"(?P<unit>%|(?:/|out of\b|of\b)\s*(?P<whole>\d{1,9}(\.\d{1,9})?)\.?)?",
    re.ASCII,
)
"""A number in any notation, and what it is of."""
_DECIMAL_COMMA = re.compile(r"[-+−]?(\d{1,3}([. \u00a0\u202f'’]\d{3})+|\d*),\d+(e[-+−]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[-+−]?[1-9]\d{0,2}(([,\u00a0\u202f'’ ])\d{3})(\2\d{3})*(\.\d*)?", re.ASCII)
_BETWEEN_THOUSANDS = "\u00a0\u202f'’ "
"""Signs that stand between groups of three digits, apart from the point and the comma."""
ParsedCell = tuple[float | None, str | None]
"""A number, or None and the reason why there is none (a key of :data:`ABSENT`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedColumn:
    """A column's cells as numbers."""

    cells: Sequence[Any]
    """As they stand in the table."""
    values: Sequence[ParsedCell]
    how: str | None = None
    """How they were read, as the end of a sentence, where that is not plain."""
    fault: str | None = None
    """Why they are no numbers of one kind, as the end of a sentence."""
    whole: float | None = None
    """What they are parts of: 5 in ``4/5``."""

    @property
    def mostly(self) -> bool:
        """Whether most of the cells that hold anything hold numbers."""
        reasons = [reason for _, reason in self.values]
        found = reasons.count(None) + reasons.count("infinite")
        return self.fault is None and found > reasons.count("not_a_number")


def number_of(raw: Any) -> ParsedCell:  # noqa: ANN401 - a cell of any kind of table
    """A cell's value by itself, or None and the reason why there is none; infinite if it is too large.

    >>> number_of("0.5"), number_of("nan"), number_of("-inf"), number_of("error"), number_of("12_10")
    ((0.5, None), (None, 'empty'), (None, 'infinite'), (None, 'not_a_number'), (None, 'not_a_number'))
    """
    if raw is None:
        return None, "empty"
    if isinstance(raw, str):
        text = raw.strip().lower()
        if text in _EMPTY:
            return None, "empty"
        if not _NUMBER.fullmatch(text):
            return None, "infinite" if _INFINITE.fullmatch(text) else "not_a_number"
        return float(text.replace("−", "-")), None  # digits without end are a number, too large as it is
    try:
        value = float(raw)
    except OverflowError:  # a whole number, which JSON writes to the last digit
        return math.inf, None
    except (TypeError, ValueError):
        return None, "not_a_number"
    if math.isnan(value):
        return None, "empty"
    return (None, "infinite") if math.isinf(value) else (value, None)


def numbers_of(cells: Iterable[Any]) -> ParsedColumn:
    """A column's cells as numbers: what one cell leaves open, the others decide.

    ``34 %`` is 34, ``4/5`` and ``4 out of 5`` are 4, ``0,53`` is 0.53, ``1,234.5`` is 1234.5, and "Yes" is 1. A column
    in which that cannot be told, or that mixes percentages or parts of different wholes, is at fault.

    >>> numbers_of(["0,5", "1,234"]).values, numbers_of(["1,234", "2,345"]).fault
    (((0.5, None), (1.234, None)), '1,234 could be 1.234 or 1234: write a point before decimals')
    >>> numbers_of(["4/5", "3 out of 5", ""]).values
    ((4.0, None), (3.0, None), (None, 'empty'))
    """
    cells = list(cells)
    values = [number_of(cell) for cell in cells]
    odd = {
        number: text
        for number, (_, reason) in enumerate(values)
        if reason == "not_a_number" and isinstance(cells[number], str) and (text := cells[number].strip().lower())
    }
    if not odd:
        return ParsedColumn(cells=cells, values=tuple(values))
    plain = [number for number, (_, reason) in enumerate(values) if reason is None]
    marked = {number: found for number, text in odd.items() if (found := _MARKED.fullmatch(text))}
    if marked:
        return _of_marked(
            cells, values, marked, [str(cells[number]) for number in plain], [values[n][0] or 0 for n in plain]
        )
    truths = {number: word[1] for number, text in odd.items() if (word := _WORD.match(text)) and word[1] in _TRUTHS}
    if len(truths) < len(odd):  # a letter among other words is no truth
        truths = {number: word for number, word in truths.items() if len(word) > 1}
    if truths and all(values[number][0] in (0.0, 1.0) for number in plain):
        for number, text in truths.items():
            values[number] = (_TRUTHS[text], None)
        words = sorted(set(truths.values()), reverse=True)
        return ParsedColumn(cells=cells, values=tuple(values), how=f"as 1 and 0 ({listed(words)})")
    return ParsedColumn(cells=cells, values=tuple(values))


def _of_marked(
    cells: Sequence[Any],
    values: list[ParsedCell],
    marked: Mapping[int, "re.Match[str]"],
    plain: Sequence[str],
    known: Sequence[float],
) -> ParsedColumn:
    """ParsedColumn with a unit or in another notation, beside plain ones."""
    wholes = {float(found["whole"]) for found in marked.values() if found["whole"]}
    percent = [found[0] for found in marked.values() if found["unit"] == "%"]
    without = [*plain, *(found[0] for found in marked.values() if not found["unit"])]
    if percent and (wholes or any(number.strip() not in ("0", "0.0") for number in without)):
        return ParsedColumn(cells=cells, values=values, fault=f"percentages ({percent[0]}) stand among other numbers")
    if len(wholes) > 1 or (wholes and max([*known, *wholes]) > min(wholes)):
        them = listed([f"{whole:g}" for whole in sorted(wholes)])
        return ParsedColumn(
            cells=cells, values=values, fault=f"parts of {them} stand among each other, or among larger numbers"
        )
    numbers = {number: found["number"].strip() for number, found in marked.items()}
    notation, fault = _notation([*numbers.values(), *plain])
    if fault:
        return ParsedColumn(cells=cells, values=values, fault=fault)
    for number, text in numbers.items():
        values[number] = number_of(notation(text))
    how = [f"as percentages ({percent[0]})"] if percent else []
    how += [f"as parts of {whole:g}" for whole in wholes]
    if changed := [text for text in numbers.values() if notation(text) != text]:
        how.append(f"with {changed[0]} as {notation(changed[0])}")
    return ParsedColumn(cells=cells, values=tuple(values), how=", ".join(how) or None, whole=next(iter(wholes), None))


def _notation(texts: Iterable[str]) -> tuple[Callable[[str], str], str | None]:
    """What makes a plain number of each, or why that cannot be told."""
    decimal = thousands = both = None
    for text in texts:
        is_decimal, is_thousands = _DECIMAL_COMMA.fullmatch(text), _THOUSANDS.fullmatch(text)
        if is_decimal and is_thousands:
            both = both or text
        elif is_decimal:
            decimal = text
        elif is_thousands or ("." in text and _NUMBER.fullmatch(text)):
            thousands = text
    if decimal and thousands:
        return str, f"{decimal} and {thousands} are written differently"
    if both and not decimal and not thousands:
        without = both.replace(",", "")
        return str, f"{both} could be {both.replace(',', '.')} or {without}: write a point before decimals"
    kind, signs = (_DECIMAL_COMMA, {".": "", ",": "."}) if decimal else (_THOUSANDS, {",": ""})
    plain = str.maketrans({**dict.fromkeys(_BETWEEN_THOUSANDS, ""), **signs})
    return lambda text: text.translate(plain) if kind.fullmatch(text) else text, None
