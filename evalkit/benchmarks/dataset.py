"""Writes any benchmark as a Hugging Face data set: one Parquet file, and a card.

::

    DIR/README.md                             the card
    DIR/benchmark.json                        what the card says beside the figures
    DIR/data/test-00000-of-00001.parquet      one row per edit, images with their official bytes

The same benchmark and files give the same bytes again, so that publishing twice changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.benchmarks.base import Benchmark, LoadedBenchmark
from evalkit.benchmarks.dataset_card import COLUMNS, SPLIT, CardText, card_text, render_card
from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.errors import DataError, OptionError
from evalkit.images.decode import read_image_bytes
from evalkit.images.stored import AnyImage
from evalkit.storage.atomic import atomic_update, atomic_write, finish_update, names_in_folder, remove_drafts_of

if TYPE_CHECKING:
    import pyarrow

CARD_FILE = "README.md"
TEXT_FILE = "benchmark.json"
ROWS_FILE = f"data/{SPLIT}-00000-of-00001.parquet"
ROWS_PER_BATCH = 100
"""Rows that a reader holds at once: with large photographs, some tens of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDataset:
    """A data set on disk."""

    folder: Path
    benchmark: str
    version: str
    n_items: int
    n_groups: int
    n_bytes: int
    """Of all its files."""


def build_dataset(benchmark: Benchmark, data: Path | None, output: Path) -> BuiltDataset:
    """Writes a benchmark as a data set that ``datasets.load_dataset(str(output))`` opens.

    Args:
        benchmark: What to write.
        data: The user's local copy of its files; None has them found or fetched.
        output: A new folder, an empty one, or one that an earlier call wrote, which is then replaced.

    Raises:
        BenchmarkError: The benchmark's files are absent or not the official ones.
        ImageError: One of them cannot be read.
        OptionError: The output folder holds something else.
        DataError: The output folder cannot be written.
    """
    _require_ours(output)
    loaded = benchmark.load(data)
    benchmark, rows = loaded.benchmark, _rows(loaded)
    try:
        for name in (ROWS_FILE, CARD_FILE, TEXT_FILE):
            remove_drafts_of(output / name)
        with atomic_update(output) as new:
            write_dataset(new, card_text(benchmark), table_of(rows))
    except OSError as error:
        where = "" if error.filename in (None, str(output)) else f": {error.filename}"
        raise DataError(f"The data set cannot be written to {output}{where}: {error.strerror or error}.") from error
    return BuiltDataset(
        folder=output,
        benchmark=benchmark.name,
        version=benchmark.version,
        n_items=len(rows),
        n_groups=len({row["group"] for row in rows}),
        n_bytes=sum((output / name).stat().st_size for name in (CARD_FILE, TEXT_FILE, ROWS_FILE)),
    )


def _require_ours(output: Path) -> None:
    """Raises unless a folder is new, empty or a data set of ours, be it one whose writer was killed."""
    if output.is_dir():
        finish_update(output)
    if (output / TEXT_FILE).is_file() or not output.exists():
        return
    names, rows = names_in_folder(output, (CARD_FILE, TEXT_FILE)), output / ROWS_FILE
    below = names_in_folder(rows.parent, (rows.name,))
    unfinished = names == {rows.parent.name} and below <= {rows.name} and not _is_foreign(rows)
    if not output.is_dir() or (names and not unfinished):
        raise OptionError(
            f"--output {output} holds something other than a data set of evalkit: expected a new or an empty folder. "
            f"Choose another with: --output DIR"
        )


def _is_foreign(rows: Path) -> bool:
    """Whether a file is a whole table that is none of ours."""
    import pyarrow.parquet

    try:
        return not {*pyarrow.parquet.read_schema(rows).names} <= COLUMNS.keys()
    except (OSError, pyarrow.ArrowException):
        return False


def write_dataset(folder: Path, text: CardText, table: "pyarrow.Table") -> None:
    """Writes a data set's three files, each whole or not at all.

    Raises:
        OSError: The folder cannot be written.
    """
    import pyarrow.parquet

    with atomic_write(folder / ROWS_FILE) as temporary:
        pyarrow.parquet.write_table(table, temporary, row_group_size=ROWS_PER_BATCH)
    rows = table.drop_columns([name for name in table.column_names if name in IMAGE_FIELDS]).to_pylist()
    with atomic_write(folder / CARD_FILE) as temporary:
        temporary.write_text(render_card(text, rows, _kinds(table)), encoding="utf-8")
    with atomic_write(folder / TEXT_FILE) as temporary:
        temporary.write_text(json.dumps(asdict(text), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table_of(rows: list[dict[str, Any]]) -> "pyarrow.Table":
    """The rows with the types that ``datasets`` reads back: images as Image features.

    Args:
        rows: One per edit, all with the same columns; an image is ``{"bytes": ..., "path": ...}``.
    """
    import datasets
    import pyarrow

    text = datasets.Value("string")
    features = {}
    for name in rows[0] if rows else ():
        cell = next((row[name] for row in rows if row[name] is not None), None)
        if name in IMAGE_FIELDS:
            features[name] = datasets.Image()
        else:
            features[name] = dict.fromkeys(cell, text) if isinstance(cell, Mapping) else text
    return pyarrow.Table.from_pylist(rows, schema=datasets.Features(features).arrow_schema)


def _rows(loaded: LoadedBenchmark) -> list[dict[str, Any]]:
    """One row per edit, without the columns that no edit has anything in."""
    read: dict[AnyImage, bytes] = {}
    rows = [_row(item, loaded.root, read, loaded.benchmark.source_urls) for item in loaded.items]
    used = [name for name in COLUMNS if any(row[name] is not None for row in rows)]
    return [{name: row[name] for name in used} for row in rows]


def _row(item: EditItem, root: Path, read: dict[AnyImage, bytes], urls: Mapping[str, str]) -> dict[str, Any]:
    """One edit; ``read`` keeps each file's bytes for the other edits of it."""
    if item.source_image is None:
        raise DataError(f"{item.label} has no source image: a benchmark's items must have one.")

    def image(path: AnyImage | None) -> dict[str, Any] | None:
        if path is None:
            return None
        if path not in read:
            read[path] = read_image_bytes(path)
        return {"bytes": read[path], "path": path.name}

    source, name = image(item.source_image), _name_of(item.source_image, root)
    digest = hashlib.sha256(read[item.source_image]).hexdigest()
    return {
        "item_id": item.item_id,
        "source_image": source,
        "reference_image": image(item.reference_image),
        "edit_mask": image(item.edit_mask),
        "source_caption": item.source_caption,
        "target_caption": item.target_caption,
        "instruction": item.instruction,
        "edit_type": item.edit_type,
        "group": item.group or digest[:12],
        "source_attributes": _sorted(item.source_attributes),
        "target_attributes": _sorted(item.target_attributes),
        "source_file_name": name,
        "source_sha256": digest,
        "source_url": urls.get(name),
    }


def _name_of(image: AnyImage, root: Path) -> str:
    """What a benchmark calls an image."""
    return image.relative_to(root).as_posix() if isinstance(image, Path) else image.name


def _sorted(attributes: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if attributes is None else dict(sorted(attributes.items()))


def _kinds(table: "pyarrow.Table") -> dict[str, str]:
    """Name to type of each column, as the card shows it."""
    kinds = {}
    for field in table.schema:
        is_struct = str(field.type).startswith("struct")
        kinds[field.name] = "image" if field.name in IMAGE_FIELDS else "struct of strings" if is_struct else "string"
    return kinds
