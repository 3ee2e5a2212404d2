"""Which way round a table lies in a value of JSON or YAML: what are its rows, and what its columns."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from evalkit.formatting import listed

ItemsAre = Literal["outer", "inner"]
"""Which names of ``{a: {b: x}}`` are the items."""
Records = Iterator[tuple[str, Any]]
"""Where a record stands, and what stands there."""
ITEM = "item_id"
"""The column of names that no heading names."""
INDEX = "index"
"""The column of numbers that stand in the place of names."""
METHOD = "method"
_FILE = re.compile(r".*\.(png|jpe?g|webp|bmp|tiff?|gif|avif|heic|npy|json|txt)", re.IGNORECASE)
_CODE = re.compile(r"(?=.*\d)[\w./\\ :=-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a reader of tables knows of those that it expects."""

    value: str
    """The column of values that no heading names."""
    known: Callable[[str], bool] = lambda _: False
    """Whether a name is a column's."""
    items_are: ItemsAre | None = None
    """Decides where the names do not."""
    needs_texts: bool = True
    """Whether a text that cannot be decoded for certain is refused, wherever it stands."""


def records_of(value: Any, hints: Hints, notes: list[str]) -> Records:  # noqa: ANN401 - whatever JSON can hold
    """The records of a table, whichever way round it lies.

    Args:
        value: A list of objects, one object of columns (as pandas writes it: by column, split, or with a schema), one
            of items, each with an object, a list, a number or a text; or an object that holds one of these.
        hints: What is known of it.
        notes: What was decided is added, each the end of a sentence.

    Raises:
        ValueError: It is no table, or it cannot be told which way round it lies; the end of a sentence.
    """
    if isinstance(value, list):
        return _of_list(value, hints, notes)
    if not isinstance(value, dict):
        raise ValueError("expected a list of objects, or an object of items")
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return _of_split(value)
    kinds = {type(inner) if isinstance(inner, list | dict) else None for inner in value.values() if inner is not None}
    if kinds <= {None}:
        return _of_scalars(value, hints)
    if kinds == {list} and len(value) > 1 and (several := _of_record_lists(value, hints, notes)):
        return several
    if kinds == {list} and not any(isinstance(inner, dict) for each in value.values() for inner in each or ()):
        return _of_lists(value, hints)
    if kinds == {dict} and (methods := _by_method(value, hints)):
        notes.append(f"its outer names were read as methods ({listed(list(value))})")
        return methods
    if kinds == {dict} and _is_regular(value):
        return _of_objects(value, hints, notes)
    return _of_wrapped(value, hints, notes)


def _of_list(values: Sequence[Any], hints: Hints, notes: list[str]) -> Records:
    """Records, or rows of cells below a row of headings, or pairs of a name and a value."""
    lists = [each for each in values if isinstance(each, list)]
    if lists and len(lists) == len(values):
        if all(len(each) == 2 and isinstance(each[0], str) and not isinstance(each[1], str) for each in values):
            notes.append(f"its pairs were read as {ITEM} and {hints.value}")
            return _numbered({ITEM: name, hints.value: value} for name, value in values)
        if all(isinstance(name, str) for name in values[0]) and {len(each) for each in values} == {len(values[0])}:
            return _numbered((dict(zip(values[0], each, strict=True)) for each in values[1:]), start=2)
        raise ValueError("its rows have no names of columns: expected a list of objects")
    return _numbered(values)


def _numbered(records: Iterator[Any] | Sequence[Any], start: int = 1) -> Records:
    return ((f"entry {number}", record) for number, record in enumerate(records, start))


def _of_split(table: Mapping[str, Any]) -> Records:
    """Pandas' ``orient="split"``; an index that names something names the items."""
    columns, index = list(map(str, table["columns"])), table.get("index")
    names_rows = isinstance(index, list) and len(index) == len(table["data"]) and index != list(range(len(index)))
    for number, cells in enumerate(table["data"], start=1):
        where = f"entry {number}"
        if not isinstance(cells, list) or len(cells) != len(columns):
            got = len(cells) if isinstance(cells, list) else type(cells).__name__
            raise ValueError(f"{where} of 'data': expected {len(columns)} cells as in 'columns', got {got}")
        record = dict(zip(columns, cells, strict=True))
        yield where, {ITEM: index[number - 1], **record} if names_rows and index else record


def _of_scalars(values: Mapping[str, Any], hints: Hints) -> Records:
    if _share(values, hints.known) > 1 / 2 and _share(values, _is_code) < 1 / 2:
        raise ValueError(
            f"it holds one value each of {listed(list(values))}, and no items: expected a value for each item"
        )
    return ((f"entry '{name}'", {ITEM: name, hints.value: value}) for name, value in values.items())


def _of_lists(values: Mapping[str, Sequence[Any]], hints: Hints) -> Records:
    """``{column: [values]}``, or ``{item: [values]}``."""
    lengths = {len(inner or ()) for inner in values.values()}
    if len(lengths) > 1 and _share(values, _is_code) < 1 / 2:
        raise ValueError(f"its lists have different lengths: from {min(lengths)} to {max(lengths)}")
    texts = any(
        isinstance(cell, str) and not _is_code(name) for name, cells in values.items() for cell in (cells or ())[:1]
    )
    if hints.items_are == "inner" or (
        hints.items_are is None and (any(map(hints.known, values)) or texts) and _share(values, _is_file) < 1 / 2
    ):
        rows = zip(*(cells or () for cells in values.values()), strict=True)
        return _numbered(dict(zip(values, row, strict=True)) for row in rows)
    if hints.items_are is None and _share(values, _is_code) < 1 / 2:
        raise ValueError(_ambiguous(list(values), [f"the numbers 1 to {max(lengths)}"]))
    return _entries({name: {hints.value: cells} for name, cells in values.items()})


def _of_objects(values: Mapping[str, Mapping[str, Any]], hints: Hints, notes: list[str]) -> Records:
    """``{item: {column: value}}``, or ``{column: {item: value}}`` as pandas writes it."""
    values = _unwrapped({name: each or {} for name, each in values.items()}, hints, notes)
    inner = list(dict.fromkeys(name for each in values.values() for name in each))
    items_are = hints.items_are or _items_of(list(values), inner, values, hints)
    if items_are == "outer":
        return _entries(values)
    if hints.items_are is None:
        notes.append(
            f"its outer names were read as columns ({listed(list(values))}) and its inner ones as items "
            f"({listed(inner)}); if not so: --items-are outer"
        )
    return _entries({item: {name: each[item] for name, each in values.items() if item in each} for item in inner})


def _of_record_lists(values: Mapping[str, Any], hints: Hints, notes: list[str]) -> Records | None:
    """``{item: [records]}``, one for each seed, or ``{method: [records]}``."""
    records = [(name, record) for name, each in values.items() for record in each or ()]
    if not records or not all(isinstance(record, dict) for _, record in records):
        return None
    column = ITEM
    if _share(values, _is_code) <= 1 / 2:
        if any(map(hints.known, values)):
            return None
        column = METHOD
        notes.append(f"its outer names were read as methods ({listed(list(values))})")
    numbered = enumerate(records, start=1)
    return ((f"entry {number} ('{name}')", {column: name, **record}) for number, (name, record) in numbered)


def _by_method(values: Mapping[str, Any], hints: Hints) -> Records | None:
    """``{method: {item: {column: value}}}``: the inner names are known, those around them codes, the outer neither."""
    items = [(method, item, row) for method, inner in values.items() for item, row in (inner or {}).items()]
    if not items or not all(isinstance(row, dict) and row for _, _, row in items):
        return None
    columns = list(dict.fromkeys(name for _, _, row in items for name in row))
    names = [item for _, item, _ in items]
    fits = _share(columns, hints.known) > 1 / 2 and _share(names, _is_code) > 1 / 2 and len(set(names)) < len(names)
    if not fits or any(hints.known(name) or _is_file(name) for name in values) or len(columns) >= len(set(names)):
        return None
    return ((f"entry '{method}', '{item}'", {METHOD: method, ITEM: item, **row}) for method, item, row in items)


def _entries(rows: Mapping[str, Any]) -> Records:
    """The rows with the names that they have; one that they give themselves stands."""
    # Numbers from 0 are pandas' own where nothing names the rows; a column that does goes before them.
    column = INDEX if len(rows) > 1 and list(rows) == list(map(str, range(len(rows)))) else ITEM
    return ((f"entry '{name}'", {column: name, **row} if isinstance(row, dict) else row) for name, row in rows.items())


def _items_of(
    outer: Sequence[str], inner: Sequence[str], values: Mapping[str, Mapping[str, Any]], hints: Hints
) -> ItemsAre:
    """Which names are the items: columns have known names and one kind of value each, items are files or codes."""
    for test, least, are_items in (
        (_is_file, 1 / 2, True),
        (hints.known, 1 / 2, False),
        (_is_code, 1 / 2, True),
        (hints.known, 0, False),
    ):
        of_outer, of_inner = _share(outer, test) > least, _share(inner, test) > least
        if of_outer != of_inner:
            return "outer" if of_outer == are_items else "inner"
    mixed_outer = any(len(set(map(_kind, each.values()))) > 1 for each in values.values())
    mixed_inner = any(len({_kind(each[name]) for each in values.values() if name in each}) > 1 for name in inner)
    if mixed_outer != mixed_inner:
        return "outer" if mixed_outer else "inner"
    raise ValueError(_ambiguous(outer, inner))


def _ambiguous(outer: Sequence[str], inner: Sequence[str]) -> str:
    return (
        f"it cannot be told whether its outer names ({listed(list(outer))}) or its inner ones ({listed(list(inner))}) "
        "are the items. Say which: --items-are outer, or --items-are inner"
    )


def _of_wrapped(value: Mapping[str, Any], hints: Hints, notes: list[str]) -> Records:
    """The one table in an object that also says something else."""
    found = {name: inner for name, inner in value.items() if _is_table(inner, hints)}
    lists = {name: inner for name, inner in found.items() if isinstance(inner, list)}
    tables = lists if len(lists) == 1 else found
    columns = {name: inner for name, inner in value.items() if isinstance(inner, list)}
    if not tables and len(columns) > 1 and len({len(inner) for inner in columns.values()}) == 1:
        notes.append(f"its lists {listed(list(columns))} were read as columns")
        return _of_lists(columns, replace(hints, items_are="inner"))
    if len(tables) != 1:
        containers = [name for name, inner in value.items() if isinstance(inner, list | dict)]
        if not tables and (
            (len(containers) > 1 and len(containers) > len(value) / 2) or _share(value, _is_code) > 1 / 2
        ):
            return _beside_summaries(value, hints, notes)
        what = f"several: {listed(list(tables))}" if tables else f"none beneath {listed(list(value))}"
        raise ValueError(f"expected one table in it, got {what}. Write the one that is meant into a file of its own")
    [(name, table)] = tables.items()
    others = [other for other in value if other != name]
    notes.append(f"the table below '{name}' was read" + (f", and not {listed(others)}" if others else ""))
    return records_of(table, replace(hints, value=name) if hints.known(name) else hints, notes)


def _beside_summaries(value: Mapping[str, Any], hints: Hints, notes: list[str]) -> Records:
    """Items with an object each, where the object also holds single values that are called like none of them."""
    single = [name for name, each in value.items() if not isinstance(each, list | dict)]
    of_items = [name for name in single if _is_code(name)]
    if left_out := [name for name in single if name not in of_items]:
        notes.append(f"beside its items it holds {listed(left_out)}, which were left out")
    kept = {name: each for name, each in value.items() if name not in left_out}
    return _entries({name: each if isinstance(each, dict) else {hints.value: each} for name, each in kept.items()})


def _unwrapped(values: Mapping[str, Mapping[str, Any]], hints: Hints, notes: list[str]) -> Mapping[str, Any]:
    """``{column: {"mean": x, "per_image": {item: value}}}`` without what stands beside the one table of each."""
    inner = [{name for name, each in of.items() if _is_table(each, hints)} for of in values.values()]
    if not inner or len(inner[0]) != 1 or any(names != inner[0] for names in inner):
        return values
    [name] = inner[0]
    notes.append(f"of each of {listed(list(values))} the table below '{name}' was read")
    return {outer: each[name] for outer, each in values.items()}


def _is_table(value: Any, hints: Hints) -> bool:  # noqa: ANN401 - whatever JSON can hold
    """Whether something inside of an object is a table: not a setting, nor a summary by names of columns."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict | list)
    if not isinstance(value, dict) or not value:
        return False
    objects = {name: inner for name, inner in value.items() if isinstance(inner, dict)}
    if len(objects) > len(value) / 2 and _is_regular(objects):
        return len(objects) > 1 or _share(objects, _is_code) > 1 / 2 or _share(objects, hints.known) > 1 / 2
    if any(_is_table(inner, hints) for inner in value.values()):
        return True
    return _share(value, _is_code) > 1 / 2 and not any(map(hints.known, value))


def _is_regular(objects: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether objects are the rows, or the columns, of one table: most of their names are there more than once."""
    if _share(objects, _is_code) > 1 / 2:
        return True
    if len(objects) == 1:
        return not any(isinstance(inner, list | dict) for single in objects.values() for inner in single.values())
    counts = Counter(name for each in objects.values() for name in each or ())
    return sum(count for count in counts.values() if count > 1) >= counts.total() / 2


def _share(names: Sequence[str] | Mapping[str, Any], test: Callable[[str], object]) -> float:
    return sum(bool(test(str(name))) for name in names) / max(1, len(names))


def _is_file(name: str) -> bool:
    return _FILE.fullmatch(name) is not None


def _is_code(name: str) -> bool:
    """Whether a name is a file's, or holds a number as ids do."""
    return _is_file(name) or _CODE.fullmatch(name) is not None


def _kind(value: object) -> str:
    if value is None:
        return "number"  # an empty cell of any column
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
