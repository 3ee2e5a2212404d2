"""Tables of votes, ours and those of others, in whatever shape they come."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.errors import DataError
from evalkit.formatting import counted, listed, one_line, series, shortened
from evalkit.scores.columns import name_of, plain_name
from evalkit.scores.item_lines import first_fault
from evalkit.storage import tables
from evalkit.votes.columns import PAIR_IN_KEY, VoteColumns, names_votes, resolve_vote_columns, shows_order
from evalkit.votes.joined import about_repeats, each_once
from evalkit.votes.records import Vote, Winner

_WORDS: Mapping[Winner, frozenset[str]] = {
    "a": frozenset({"a", "left", "leftvote", "model_a", "method_a", "image_a", "system_a", "left_model", "first"}),
    "b": frozenset({"b", "right", "rightvote", "model_b", "method_b", "image_b", "system_b", "right_model", "second"}),
    "tie": frozenset({"tie", "ties", "tied", "tievote", "draw", "both", "equal", "same", "no_preference", "both_good"}),
    "both_bad": frozenset({"tie_bothbad", "tie_both_bad", "bothbad", "both_bad", "bothbad_vote", "neither", "none"}),
}
"""What a winner is called, in lower case, by Chatbot Arena, GenAI-Arena, GEditBench v2 and others."""
_SIGNS: Mapping[str, Winner] = {
    "A>B": "a", "A>>B": "a", "B<A": "a", "B>A": "b", "B>>A": "b", "A<B": "b",
    "A=B": "tie", "B=A": "tie", "A=B=GOOD": "tie", "A=B=BAD": "both_bad",
}  # fmt: skip
_MARKS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
"""What stands in a column of one outcome."""
_PEEKED = 1 << 16
"""Bytes of a text from which it is told whether it may hold votes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteTable:
    """The votes of a file, or of several."""

    votes: tuple[Vote, ...]
    notes: tuple[str, ...]
    """How it was read, and what was left out."""


def holds_votes(path: Path) -> bool:
    """Whether a file is a table of votes, by the names of its columns; False of what cannot be read."""
    try:
        return path.is_file() and _may_hold_votes(path) and names_votes(tables.read_table(path, value="score").columns)
    except (DataError, OSError):
        return False


def read_votes(path: str | Path, columns: VoteColumns | None = None) -> VoteTable:
    """Read a table of votes: ``votes.jsonl``, or what another tool wrote.

    CSV, TSV, Excel, Parquet, JSON Lines, JSON or YAML with a column for the item, for each of the two methods and for
    the winner: ``a``, ``model_a``, ``left``, ``Image A``, ``A>B`` or the method's name; ``tie``, ``both_bad`` and their
    like. Where the headings of the methods end in 1 and 2, a winner of 1 or 2 is one of them. Instead of the winner's
    there may be a one-hot column for each outcome: ``winner_model_a``, ``winner_model_b``, ``winner_tie``.
    Chatbot Arena, GenAI-Arena and GEditBench v2 (whose key is ``ITEM_pair_A_vs_B``) are read as they are. Rows without
    a winner are no votes; they are left out and counted in the notes.

    Args:
        path: The file.
        columns: What cannot be guessed.

    Raises:
        DataError: The table cannot be read, a column is absent, or a row is no vote; the message names the row, and all
            words for winners that are not understood.
    """
    path = Path(path)
    table = tables.read_table(path, value="winner")
    keyed = None if (columns and columns.a) else _keyed(table)
    chosen = resolve_vote_columns(path, table.columns, columns or VoteColumns(), keyed=keyed)
    votes, empty, unknown = [], list[str](), list[tuple[str, _UnknownWordError]]()
    for where, row in table.rows:
        try:
            vote = _vote(path, where, row, chosen, keyed)
        except _UnknownWordError as failure:
            unknown.append((where, failure))
            continue
        if vote is None:
            empty.append(where)
        else:
            votes.append(vote)
    if unknown:
        raise _not_understood(path, chosen, unknown)
    if not votes:
        empties = listed([f"'{name}'" for name in chosen.outcomes.values() or [chosen.winner]])
        raise DataError(f"{path} holds no votes: no row has anything in {empties}, which says who won.")
    left_out = [f"{path.name}: {counted(len(empty), 'row')} without a winner left out ({listed(empty)})"]
    return VoteTable(
        votes=tuple(votes),
        notes=(*table.notes, *_about_columns(path, chosen), *(left_out if empty else [])),
    )


def read_study_votes(paths: Sequence[str | Path], columns: VoteColumns | None = None) -> VoteTable:
    """Read tables of votes as one study, in which a vote that comes again counts once: see `each_once`.

    Args:
        paths: The files.
        columns: What cannot be guessed, of all of them.

    Raises:
        DataError: A table cannot be read, a column is absent, or a row is no vote.
    """
    found = [read_votes(path, columns) for path in paths]
    votes, n_repeats = each_once(vote for table in found for vote in table.votes)
    notes = [note for table in found for note in table.notes]
    return VoteTable(votes=tuple(votes), notes=(*notes, *([about_repeats(n_repeats)] if n_repeats else [])))


def _about_columns(path: Path, chosen: VoteColumns) -> Iterator[str]:
    """How the columns were read, unless they are called as ours are."""
    known = chosen.known()
    if any(name != {"item": "item_id"}.get(part, part) for part, name in known.items()):
        yield f"{path.name} was read by its columns: {chosen.described()}"


def _may_hold_votes(path: Path) -> bool:
    """Whether a look at the beginning of a file, or at the names of its columns, allows votes."""
    if path.suffix.lower() == ".parquet":
        from pyarrow import ArrowInvalid, parquet

        try:
            return names_votes(parquet.read_schema(path).names)
        except ArrowInvalid:
            return False
    if path.suffix.lower() == ".xlsx":
        return True
    with path.open("rb") as file:
        head = file.read(_PEEKED).lower().replace(b"\x00", b"")
    return any(word in head for word in (b"winner", b"vote", b"prefer", b"choice", b"chosen", b"better", b"best",
                                         b"picked", b"selected"))  # fmt: skip


def _keyed(table: tables.Table) -> str | None:
    """The column whose every id names the item and both methods."""
    for column in table.columns:
        if plain_name(column) in ("key", "item_id", "id"):
            cells = [str(row.get(column, "")) for _, row in table.rows]
            if all(all(part in cell for part in PAIR_IN_KEY) for cell in cells):
                return column
    return None


def _vote(path: Path, where: str, row: Mapping[str, Any], columns: VoteColumns, keyed: str | None) -> Vote | None:
    """The vote of one row; None where it holds no winner.

    Raises:
        DataError: The row is no vote.
        _UnknownWordError: A word for the winner, or for a side, is none that is known.
    """
    cells = {part: name_of(row.get(column)) for part, column in columns.known().items()}
    if keyed:
        before, _, after = str(row[keyed]).partition(PAIR_IN_KEY[0])
        cells |= {"item": before} | dict(zip("ab", after.split(PAIR_IN_KEY[1], 1), strict=True))
    values: dict[str, Any] = {part: cell for part, cell in cells.items() if part in Vote.model_fields}
    try:
        if columns.outcomes:
            values["winner"] = _marked({outcome: cells[f"winner_{outcome}"] for outcome in columns.outcomes}, columns)
        if values["winner"] is None:
            return None
        values |= {"item_id": cells["item"], "first": values.get("first") or _always_first(columns, keyed)}
        for part in ("expected", "first") if columns.outcomes else ("winner", "expected", "first"):
            if values.get(part) is not None:
                values[part] = _winner(part, values[part], cells["a"], cells["b"], columns)
        return Vote.model_validate({part: value for part, value in values.items() if value is not None})
    except (ValidationError, ValueError) as failure:
        missing = next((part for part in ("item", "a", "b") if cells[part] is None), None)
        said = f"the column '{getattr(columns, missing)}' is empty" if missing else first_fault(failure)
        raise DataError(f"{path}, {where}: {one_line(said)}. Mend the row, or leave it out.") from None


def _always_first(columns: VoteColumns, keyed: str | None) -> str | None:
    """The side that was shown first in every row, where that is known."""
    return "a" if keyed or shows_order(columns) else None


def _marked(cells: Mapping[str, str | None], columns: VoteColumns) -> str | None:
    """The outcome whose column holds a 1; None where all of them are empty.

    Raises:
        ValueError: It is not one of them that holds a 1, or another holds no 0.
    """
    if not any(cells.values()):
        return None
    marks = {outcome: _MARKS.get((cell or "").lower()) for outcome, cell in cells.items()}
    if None in marks.values() or sum(map(bool, marks.values())) != 1:
        names, got = (
            series([*columns.outcomes.values()], "and"),
            series([cell or "nothing" for cell in cells.values()], "and"),
        )
        raise ValueError(f"expected a 1 in one of the columns {names}, and a 0 in each other, got {got:.90}")
    return next(outcome for outcome, is_marked in marks.items() if is_marked)


class _UnknownWordError(Exception):
    """A word for the winner, or for a side, that is none of those known."""

    def __init__(self, part: str, word: str) -> None:
        super().__init__(word)
        self.part, self.word = part, word


def _winner(part: str, text: str, a: str | None, b: str | None, columns: VoteColumns) -> Winner:
    """Who won, by whatever it is called.

    Raises:
        _UnknownWordError: It is neither of the two, nor a tie.
    """
    if text in ("a", "b") and (columns.a, columns.b) == ("a", "b"):  # our own, whatever the methods are called
        return "a" if text == "a" else "b"
    if text == a:
        return "a"
    if text == b:
        return "b"
    sign = re.sub(r"[\s\[\]\"']", "", text).upper()
    if sign in _SIGNS:
        return _SIGNS[sign]
    plain = plain_name(text)
    for winner, side in (("a", columns.a), ("b", columns.b)):
        if side is not None and plain == plain_name(side):
            return "a" if winner == "a" else "b"
    if _are_numbered(columns) and plain in ("1", "1_0", "2", "2_0"):
        return "a" if plain.startswith("1") else "b"
    for winner, words in _WORDS.items():
        if plain in words:
            return winner
    raise _UnknownWordError(part, text)


def _are_numbered(columns: VoteColumns) -> bool:
    """Whether the headings of the two methods end in 1 and 2, so that these numbers name them."""
    return all(re.search(rf"(?<!\d){n}$", (side or "").strip()) for n, side in ((1, columns.a), (2, columns.b)))


def _not_understood(path: Path, columns: VoteColumns, unknown: Sequence[tuple[str, _UnknownWordError]]) -> DataError:
    """What is said of all words of one column that are none of those known.

    Args:
        path: The table.
        columns: How it was read.
        unknown: Where each stands, and which it is.
    """
    part = unknown[0][1].part
    found = [(where, each.word) for where, each in unknown if each.part == part]
    counts = Counter(shortened(one_line(word), 40) for _, word in found)
    got = listed([f"'{word}' ({counted(n, 'row')})" for word, n in counts.most_common()])
    return DataError(
        f"{path}: expected in its column '{getattr(columns, part)}' the name or the heading of one of the two methods, "
        f"a, b, left, right, A>B, B>A, A=B, tie or both_bad; got {got}, first in {found[0][0]}. Write one of these "
        f"there, or name another column: --map {part}=HEADING"
    )
