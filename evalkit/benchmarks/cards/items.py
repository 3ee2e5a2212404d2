"""The edits that a card makes of the rows of a benchmark."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.benchmarks.cards.record import BenchmarkCard, Cases, Lookup, Rule
from evalkit.benchmarks.cards.rows import TableRow, image_in, read_document, require_column
from evalkit.benchmarks.cards.template import Template, as_text
from evalkit.edits.item import IMAGE_FIELDS, EditItem, Problem
from evalkit.errors import BenchmarkError
from evalkit.images.stored import StoredImage

PROBLEM = "other_benchmark"
_template = cache(Template)
_TEXTS = ("item_id", "source_caption", "target_caption", "instruction", "edit_type", "group")
"""What makes a list of edits another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardItems:
    """The edits of a copy, and what of it is not as the card says."""

    items: tuple[EditItem, ...]
    edited_names: Mapping[str, str]
    """``item_id`` to where the official scripts expect the edited image."""
    edit_types: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the list of edits, in hexadecimal: the same from the Hub and from a copy."""
        rows = [[getattr(item, name) for name in _TEXTS] for item in self.items]
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def card_items(card: BenchmarkCard, rows: Sequence[TableRow], root: Path) -> CardItems:
    """Makes an edit of every row.

    Args:
        card: Which column is what.
        rows: One for each edit.
        root: Where the files lie that rows name.

    Returns:
        Items with the full paths of their images.

    Raises:
        BenchmarkError: There are no rows, a column that the card names is absent, two rows are one item, or images
            are not there.
    """
    if not rows:
        raise BenchmarkError(f"{card.title}: there is no edit{_condition(card)} in {root}. Get the data anew.")
    _require_columns(card, rows)
    reader = _Reader(card, root)
    items: dict[str, EditItem] = {}
    where: dict[str, str] = {}
    names: dict[str, str] = {}
    problems = []
    for row in rows:
        values = reader.values(row)
        item_id = values["item_id"]
        if not item_id or values["source_image"] is None:
            lack = "source_image" if item_id else "item_id"
            problems.append(_problem(f"{row.where} has no {lack} and is left out.", item_id))
            continue
        if item_id in items:
            raise BenchmarkError(f"{row.where}: the item '{item_id}' stands in {where[item_id]} already.")
        items[item_id], where[item_id] = EditItem(**values), row.where
        if card.edited_names and (name := reader.text(card.edited_names, row)):
            names[item_id] = name
    reader.refuse_missing_files()
    found = tuple(items.values())
    types, others = _edit_types(card, found)
    problems += [*others, *_other_counts(card, found)]
    return CardItems(items=found, edited_names=names, edit_types=types, problems=tuple(problems))


def _require_columns(card: BenchmarkCard, rows: Sequence[TableRow]) -> None:
    """Raises a BenchmarkError if the card names a column that no row has."""
    for _, name in card.names:
        column = name.partition(".")[0]
        if column not in card.optional and not any(name in row.values for row in rows):
            require_column(column, rows)


@dataclass(slots=True)
class _Reader:
    """Evaluates what a card says about columns."""

    card: BenchmarkCard
    root: Path
    documents: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Images that rows name and that are not there."""
    n_images: int = 0

    def values(self, row: TableRow) -> dict[str, Any]:
        """The fields of a row's item."""
        return {
            name: self._image(rule, row) if name in IMAGE_FIELDS else self.text(rule, row)
            for name, rule in self.card.columns.items()
        }

    def text(self, rule: Rule, row: TableRow) -> str | None:
        """What stands for a row there, as a text; None where there is nothing."""
        found = self._value(rule, row)
        return None if found is None or found == "" else as_text(found).strip()

    def refuse_missing_files(self) -> None:
        """Raises a BenchmarkError if images are not there."""
        if self.missing:
            raise BenchmarkError(
                f"{len(self.missing)} of the {self.n_images} images that {self.card.title} names are not in "
                f"{self.root}, the first of them {self.missing[0]}. Get the images anew, or give another copy with: "
                "--data DIR"
            )

    def _image(self, rule: Rule, row: TableRow) -> Any:  # noqa: ANN401 - a path, or an image that is no file
        found = self._value(rule, row)
        if found is None or found == "" or isinstance(found, Path | StoredImage):
            return found or None
        if not isinstance(found, str):
            raise BenchmarkError(f"{row.where}: expected an image, or the name of one, got {found!r:.80}.")
        self.n_images += 1
        path = image_in(self.root, found)
        if path is None:
            self.missing.append(found)
        return path or self.root / "absent"

    def _value(self, rule: Rule, row: TableRow) -> Any:  # noqa: ANN401 - whatever a column holds
        if isinstance(rule, Cases):
            key = _template(rule.by).value(row.values)
            case = rule.otherwise if key is None else rule.cases.get(as_text(key), rule.otherwise)
            return None if case is None else _template(case).value(row.values)
        if isinstance(rule, Lookup):
            if rule.file not in self.documents:
                self.documents[rule.file] = read_document(self.root / rule.file)
            found = self.documents[rule.file]
            for template in rule.at:
                key = _template(template).value(row.values)
                found = found.get(key, found.get(as_text(key))) if isinstance(found, Mapping) else None
            return found
        return _template(rule).value(row.values)


def _edit_types(card: BenchmarkCard, items: Iterable[EditItem]) -> tuple[Mapping[str, str], list[Problem]]:
    """The closed list of edit types, with those that only the data have; and a problem for each of these."""
    found = dict.fromkeys(item.edit_type for item in items if item.edit_type)
    others = [name for name in found if name not in card.edit_types]
    problems = [_problem(f"The edit type '{name}' is none of {card.title}'s.") for name in others if card.edit_types]
    return {**card.edit_types, **dict.fromkeys(others, "")}, problems


def _other_counts(card: BenchmarkCard, items: Sequence[EditItem]) -> Iterator[Problem]:
    """Problems for a number of edits, or of groups where the benchmark says what they are, that is not the card's."""
    n_groups = len({item.group for item in items}) if all(item.group for item in items) else None
    for what, expected, got in (("edits", card.n_items, len(items)), ("groups", card.n_groups, n_groups)):
        if expected is not None and got not in (None, expected):
            yield _problem(f"{card.title}: expected {expected} {what}{_condition(card)}, got {got}.")


def _condition(card: BenchmarkCard) -> str:
    wanted = (f"{name} {value if isinstance(value, str) else ' or '.join(value)}" for name, value in card.where.items())
    return f" with {' and '.join(wanted)}" if card.where else ""


def _problem(message: str, item_id: str | None = None) -> Problem:
    return Problem(code=PROBLEM, message=message, item_id=item_id)
