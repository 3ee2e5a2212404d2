"""Captions: what was edited, for folders that have neither a manifest nor a benchmark.

They come as a table, whatever its format and its headings, or as one text or JSON file beside or for each image.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.headings import FIELDS, Columns, is_heading, resolve_headings
from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.edits.names import path_parts, stem
from evalkit.edits.problems import shown
from evalkit.edits.scan import scan_folder
from evalkit.errors import ManifestError
from evalkit.formatting import listed
from evalkit.images.decode import IMAGE_SUFFIXES
from evalkit.storage.delimited import text_encoding
from evalkit.storage.documents import read_json
from evalkit.storage.files import open_regular
from evalkit.storage.tables import read_table

MAX_TEXT_BYTES = 1 << 16
"""Of a file that holds the caption of one image."""
_TEXTS = ("source_caption", "target_caption", "instruction", "edit_type", "group")
_LOOKED_AT = 1000
"""Rows by which it is told whether a column holds names of files or texts."""
Rows = Sequence[tuple[str, Mapping[str, Any]]]
"""Where each record stands, and its cells by heading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CaptionRow:
    """A record under our own names."""

    where: str
    cells: Mapping[str, str | None]
    seed: int | None

    @property
    def file(self) -> str:
        """The file that identifies it where it has no ``item_id``."""
        return self.cells["edited_image"] or self.cells["source_image"] or ""


def read_captions(path: Path, mapped: Mapping[str, str] | None = None) -> ExpectedItems:
    """Reads captions.

    Args:
        path: A table, see :func:`evalkit.storage.tables.read_table`; or a folder with a ``.txt`` or ``.json`` file for
            each image, named as the image is or lying in a folder that is. A row of a table needs an item's id or a
            file; without an id, the stem of the edited image's name identifies the item, else that of the source's,
            and where these are not distinct, the texts tell them apart.
        mapped: Our fields with the headings that the user says hold them.

    Returns:
        The rows as items without files, in their order, and the names of their files as far as they are given.

    Raises:
        DataError: The table cannot be read, a row names nothing, or two rows are one item. The message names the row.
        OptionError: See :func:`evalkit.edits.headings.resolve_headings`.
    """
    if path.is_dir():
        rows, files = _beside_images(path)
        headings = tuple(dict.fromkeys(heading for _, record in rows for heading in record))
        notes: tuple[str, ...] = ()
    else:
        table = read_table(path, value="caption", known=is_heading)
        rows, headings, notes, files = table.rows, table.columns, table.notes, [path]
    columns = resolve_headings(headings, mapped or {}, where=str(path), pictures=_names_of_files(headings, rows))
    columns, unnamed = _with_unnamed_ids(columns, headings, rows, mapped or {})
    columns, without_names = _with_names_only(columns, rows, mapped or {})
    columns, only_images = _with_only_images(columns, headings, rows, mapped or {})
    read = [_row(record, columns.of, f"{path}, {where}") for where, record in rows]
    _require_contents(path, read, headings)
    expected = _expected(read, columns)
    notes = (*notes, *columns.notes, *(f"{path}: {note}" for note in (*unnamed, *without_names, *only_images)))
    return replace(expected, notes=notes, table=path, caption_files=frozenset(files))


def _expected(rows: Sequence[_CaptionRow], columns: Columns) -> ExpectedItems:
    """The items that the rows are."""
    items: dict[str, EditItem] = {}
    lines: dict[tuple[str, int | None], str] = {}
    names: dict[str, dict[str, str]] = {field: {} for field in IMAGE_FIELDS}
    seed_names: dict[tuple[str, int], str] = {}
    for item_id, row in zip(_ids(rows), rows, strict=True):
        texts: dict[str, Any] = {name: row.cells[name] for name in _TEXTS}
        item = EditItem(item_id=item_id, **texts)
        earlier = lines.get((item_id, row.seed)) or (lines.get((item_id, None)) if row.seed is not None else None)
        if earlier or items.get(item_id, item) != item:
            earlier = earlier or next(where for (other, _), where in lines.items() if other == item_id)
            raise ManifestError(
                f"{row.where}: the item '{item_id}' stands in {earlier.rpartition(', ')[2]} already. "
                "Give every row an item_id of its own, or a seed."
            )
        lines[item_id, row.seed] = row.where
        items[item_id] = item
        for field, by_item in names.items():
            if not (name := row.cells[field]):
                continue
            if field == "edited_image" and row.seed is not None:
                seed_names[item_id, row.seed] = name
            else:
                by_item[item_id] = name
    return ExpectedItems(
        items=tuple(items.values()),
        source_names=names["source_image"],
        edited_names=names["edited_image"],
        reference_names=names["reference_image"],
        mask_names=names["edit_mask"],
        seed_names=seed_names,
        rows={item_id: where for (item_id, _), where in lines.items()},
        unsure=columns.unsure,
        numbered=not ({"item_id", "edited_image", "source_image"} & columns.of.keys()),
    )


def _ids(rows: Sequence[_CaptionRow]) -> list[str]:
    """What identifies each row: its id, its file, or in a table with neither its place in it."""
    ids = [row.cells["item_id"] or "" for row in rows]
    if not any(ids) and not any(row.file for row in rows):
        return [str(number) for number in range(len(rows))]
    files = {row.file for item_id, row in zip(ids, rows, strict=True) if not item_id}
    bare = Counter(stem(path_parts(file)[-1]) for file in files if path_parts(file))
    texts = Counter((row.file, row.seed) for row in rows)

    def from_file(row: _CaptionRow) -> str:
        parts = path_parts(row.file)
        if not parts:
            raise ManifestError(f"{row.where}: expected an item_id, a source_image or an edited_image, got none.")
        name = stem(parts[-1] if bare[stem(parts[-1])] == 1 else "/".join(parts))
        text = row.cells["target_caption"] or row.cells["instruction"]
        return f"{name}-{text}" if texts[row.file, row.seed] > 1 and text else name

    named = [item_id or from_file(row) for item_id, row in zip(ids, rows, strict=True)]
    if all(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in named):  # ids that are names of files
        stems = [stem(name) for name in named]
        return stems if len({*stems}) == len({*named}) else named
    return named


def _row(record: Mapping[str, Any], headings: Mapping[str, str], where: str) -> _CaptionRow:
    cells = {field: _text(record, headings[field], where) if field in headings else None for field in FIELDS}
    seed = cells["seed"]
    if seed is not None and not seed.removesuffix(".0").isdecimal():
        raise ManifestError(f"{where}, column {headings['seed']}: expected a whole number, got '{seed}'.")
    return _CaptionRow(where=where, cells=cells, seed=None if seed is None else int(seed.removesuffix(".0")))


def _text(record: Mapping[str, Any], heading: str, where: str) -> str | None:
    """A cell; an empty one says nothing."""
    value = record.get(heading)
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, list):
        raise ManifestError(
            f"{where}, column {heading}: expected a text, got the list {value!r:.80}, which does not say what each is. "
            'Say it: {"source_caption": "…", "target_caption": "…"}, or a column for each.'
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ManifestError(f"{where}, column {heading}: expected a text, got {value!r:.80}.")
    return str(value).strip()


def _names_of_files(headings: Sequence[str], rows: Rows) -> list[str]:
    """The columns of which every cell may be the name of a file: it ends as one does, or has no blank in it."""

    def may_be_one(value: object) -> bool:
        return _is_image_name(value) or (isinstance(value, str) and not {*" \n\t"} & {*value})

    looked_at = [record for _, record in rows[:_LOOKED_AT]]
    filled = {heading: [record[heading] for record in looked_at if record.get(heading)] for heading in headings}
    return [heading for heading, values in filled.items() if values and all(map(may_be_one, values))]


def _with_unnamed_ids(
    columns: Columns, headings: Sequence[str], rows: Rows, mapped: Mapping[str, str]
) -> tuple[Columns, list[str]]:
    """The columns, with the one without a heading for the ids, as pandas writes its index, where no other has them."""
    unnamed = [heading for heading in headings if not heading.strip() or heading.startswith("Unnamed:")]
    if {"item_id"} & (columns.of.keys() | mapped.keys()) or len(unnamed) != 1:
        return columns, []
    ids = [record.get(unnamed[0]) for _, record in rows]
    if None in ids or "" in ids or len({*map(str, ids)}) < len(ids):
        return columns, []
    note = "read item_id from the column without a heading; to have it otherwise: --map FIELD=HEADING"
    return replace(columns, of={**columns.of, "item_id": unnamed[0]}), [note]


def _with_names_only(columns: Columns, rows: Rows, mapped: Mapping[str, str]) -> tuple[Columns, list[str]]:
    """The columns without those that were guessed to name files and hold something else, such as runs of pixels."""
    other = [
        field
        for field in IMAGE_FIELDS
        if field in columns.of
        and field not in mapped
        and not all(isinstance(record.get(columns.of[field]), str | int | float | None) for _, record in rows)
    ]
    kept = {field: heading for field, heading in columns.of.items() if field not in other}
    return replace(columns, of=kept), [
        f"'{columns.of[field]}' holds no names of files and was not read" for field in other
    ]


def _with_only_images(
    columns: Columns, headings: Sequence[str], rows: Rows, mapped: Mapping[str, str]
) -> tuple[Columns, list[str]]:
    """The columns, with the only one that names image files for the sources, where no heading says which these are."""
    if columns.of.keys() & {*IMAGE_FIELDS} or "source_image" in mapped:
        return columns, []
    free = [heading for heading in headings if heading not in columns.of.values()]
    cells = {heading: [record[heading] for _, record in rows if record.get(heading)] for heading in free}
    named = [heading for heading, values in cells.items() if values and all(map(_is_image_name, values))]
    if len(named) != 1:
        return columns, []
    note = f"read source_image from '{named[0]}', which names image files; to have it otherwise: --map FIELD=HEADING"
    return replace(columns, of={**columns.of, "source_image": named[0]}), [note]


def _is_image_name(value: object) -> bool:
    return isinstance(value, str) and Path(value).suffix.lower() in IMAGE_SUFFIXES


def _require_contents(path: Path, rows: Sequence[_CaptionRow], headings: Sequence[str]) -> None:
    """A table that neither has a text nor pairs images has other headings than are known, or is no captions table."""
    has = {field for row in rows for field, cell in row.cells.items() if cell}
    if not has & {"target_caption", "source_caption", "instruction"} and len(has & {*IMAGE_FIELDS}) < 2:
        raise ManifestError(
            f"{path}: expected rows with a target_caption, a source_caption or an instruction, got {len(rows)} rows "
            f"with the columns {listed([repr(name) for name in headings], 20) or 'of empty rows'}. Say which is which: "
            "--map target_caption=HEADING (evalkit list headings has those that are known)"
        )


def _beside_images(folder: Path) -> tuple[Rows, list[Path]]:
    """The caption of each image in a file of its own, and those files."""
    others = scan_folder(folder).other_files
    files = [path for path in others if path.suffix.lower() == ".txt"]
    files = files or [path for path in others if path.suffix.lower() == ".json"]
    if not files:
        raise ManifestError(
            f"{folder}: expected a .txt or .json file with the caption of each image, got none. "
            "Give a table instead: --captions FILE"
        )
    relative = [path.relative_to(folder) for path in files]
    by_folder = len({path.name for path in files}) == 1 and all(path.parent != folder for path in files)
    return [
        (
            shown(path, folder),
            {**_contents(path), "item_id": (name.parent if by_folder else name.with_suffix("")).as_posix()},
        )
        for path, name in zip(files, relative, strict=True)
    ], files


def _contents(path: Path) -> Mapping[str, Any]:
    """What the file of one image says."""
    try:
        if path.suffix.lower() == ".json":
            value = read_json(path, limit=MAX_TEXT_BYTES)
            if not isinstance(value, dict):
                raise ManifestError(f"{path}: expected an object with the captions of one image, got another value.")
            return value
        with open_regular(path, limit=MAX_TEXT_BYTES) as file:
            return {"target_caption": " ".join(file.read().decode(text_encoding(path).name).split())}
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read as the caption of an image: {error}.") from error
