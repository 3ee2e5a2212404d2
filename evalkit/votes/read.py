"""Tables of votes, ours and those of others, in whatever shape they come."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.errors import DataError
from evalkit.formatting import counted, listed, one_line
from evalkit.scores.columns import name_of, plain_name
from evalkit.scores.item_lines import first_fault
from evalkit.storage import tables
from evalkit.votes.columns import PAIR_IN_KEY, VoteColumns, names_votes, resolve_vote_columns, shows_order
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
_PEEKED = 1 << 16
"""Bytes of a text from which it is told whether it may hold votes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteTable:
    """The votes of a file."""

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
    like. Chatbot Arena, GenAI-Arena and GEditBench v2 (whose key is ``ITEM_pair_A_vs_B``) are read as they are. Rows
    without a winner are no votes; they are left out and counted in the notes.

    Args:
        path: The file.
        columns: What cannot be guessed.

    Raises:
        DataError: The table cannot be read, a column is absent, or a row is no vote; the message names the row.
    """
    path = Path(path)
    table = tables.read_table(path, value="winner")
    keyed = None if (columns and columns.a) else _keyed(table)
    chosen = resolve_vote_columns(path, table.columns, columns or VoteColumns(), keyed=keyed)
    votes, empty = [], list[str]()
    for where, row in table.rows:
        vote = _vote(path, where, row, chosen, keyed)
        if vote is None:
            empty.append(where)
        else:
            votes.append(vote)
    if not votes:
        raise DataError(f"{path} holds no votes: the column '{chosen.winner}' is empty in every row.")
    left_out = [f"{path.name}: {counted(len(empty), 'row')} without a winner left out ({listed(empty)})"]
    return VoteTable(
        votes=tuple(votes),
        notes=(*table.notes, *_about_columns(path, chosen), *(left_out if empty else [])),
    )


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
    """The vote of one row; None where it holds no winner."""
    cells = {part: name_of(row.get(column)) for part, column in columns.known().items()}
    if keyed:
        before, _, after = str(row[keyed]).partition(PAIR_IN_KEY[0])
        cells |= {"item": before} | dict(zip("ab", after.split(PAIR_IN_KEY[1], 1), strict=True))
    if cells["winner"] is None:
        return None
    a, b = cells["a"], cells["b"]
    first = cells.get("first") or ("a" if keyed or shows_order(columns) else None)
    values: dict[str, Any] = {**cells, "item_id": cells["item"]}
    del values["item"]
    try:
        for part, text in (("winner", cells["winner"]), ("expected", cells.get("expected")), ("first", first)):
            values[part] = None if text is None else _winner(text, a, b, columns)
        return Vote.model_validate({part: value for part, value in values.items() if value is not None})
    except (ValidationError, ValueError) as failure:
        missing = next((part for part in ("item", "a", "b") if cells[part] is None), None)
        said = f"the column '{getattr(columns, missing)}' is empty" if missing else first_fault(failure)
        raise DataError(f"{path}, {where}: {one_line(said)}. Mend the row, or leave it out.") from None


def _winner(text: str, a: str | None, b: str | None, columns: VoteColumns) -> Winner:
    """Who won, by whatever it is called.

    Raises:
        ValueError: It is neither of the two, nor a tie.
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
    for winner, words in _WORDS.items():
        if plain in words:
            return winner
    raise ValueError(f"expected the winner to be '{a}', '{b}', 'a', 'b', 'tie' or 'both_bad', got '{text:.60}'")
