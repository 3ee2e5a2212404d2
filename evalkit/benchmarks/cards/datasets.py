"""The rows of a benchmark that is a data set: on the Hub, or in the user's copy of it."""

from collections.abc import Collection, Iterator
from pathlib import Path

from evalkit.benchmarks.cards.record import BenchmarkCard
from evalkit.benchmarks.cards.rows import MADE, TableRow, image_in, plain_rows, refuse_column
from evalkit.edits.datasets import Dataset, open_dataset
from evalkit.edits.item import IMAGE_FIELDS
from evalkit.errors import BenchmarkError, OptionError

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""The tables of an imagefolder, beside its images."""
FILE_NAME = "file_name"
"""The column of an imagefolder that names its images; with something before it another column of images."""


def dataset_rows(card: BenchmarkCard, data: Path | None) -> list[TableRow]:
    """The rows of a data set, of which only the columns that the card names are read; images stay where they are.

    Args:
        card: Names the data set and its columns.
        data: The user's copy: a Parquet file, or a folder of them or with an imagefolder; None is the Hub.

    Raises:
        BenchmarkError: It has no column that the card names, or is in a format that is not read.
        EvalkitError: It cannot be opened or read.
    """
    if data and data.is_dir():
        if table := _metadata_in(data, card.source.split or ""):
            return list(_imagefolder(table))
        _refuse_arrow(data)
    dataset = _opened(card, data)
    named = [("", name) for name in (*card.where, card.source.explode, card.source.merge) if name]
    wanted: dict[str, bool] = {}
    for field, name in (*named, *card.names):
        column = own_column(name, dataset.columns)
        if column in dataset.columns:
            wanted[column] = wanted.get(column, False) or field in IMAGE_FIELDS
        elif column not in (*MADE, *card.optional):
            refuse_column(column, str(data or f"hf://{card.source.hub}"), dataset.columns)
    pictures = [column for column, is_image in wanted.items() if is_image]
    return [TableRow(where, values) for where, values in dataset.rows(wanted, pictures)]


def own_column(name: str, columns: Collection[str]) -> str:
    """The column of a row whose value a name in braces is made of.

    >>> own_column("first.image.stem", ["image"])
    'image'
    """
    for made in MADE:
        name = name.removeprefix(f"{made}.")
    return name if name in columns else name.partition(".")[0]


def _opened(card: BenchmarkCard, data: Path | None) -> Dataset:
    source = card.source
    if data is None:
        return open_dataset(f"hf://{source.hub}", split=source.split, config=source.config, revision=source.revision)
    try:
        return open_dataset(data, split=None if data.is_file() else source.split)
    except OptionError as failure:
        raise BenchmarkError(
            f"{data} has no split '{source.split}' of {card.title}. If one of its files is that, give it: --data FILE"
        ) from failure


def _metadata_in(data: Path, split: str) -> Path | None:
    """The table of an imagefolder, in the folder of the split or in the folder itself."""
    files = (folder / name for folder in (data / split, data) for name in METADATA)
    return next((path for path in files if path.is_file()), None)


def _imagefolder(table: Path) -> Iterator[TableRow]:
    """The rows as ``datasets`` gives them: with images in the place of their names."""
    for row in plain_rows(table):
        values = dict(row.values)
        for name in [name for name in values if name.endswith(FILE_NAME)]:
            file = str(values.pop(name))
            values[name.removesuffix(FILE_NAME).rstrip("_") or "image"] = image_in(table.parent, file) or file
        yield TableRow(row.where, values)


def _refuse_arrow(data: Path) -> None:
    """Raises a BenchmarkError for what ``save_to_disk`` writes, with what makes a copy of it that can be read."""
    folder = next((path.parent for path in sorted(data.rglob("*.arrow"))), None)
    if folder is None or any(data.rglob("*.parquet")):
        return
    target = data.with_name(f"{data.name}.parquet")
    raise BenchmarkError(
        f"{data} holds Arrow files, in which single images cannot be read. Write them as Parquet, and give --data "
        f'{target}: python -c \'import datasets; datasets.load_from_disk("{folder}").to_parquet("{target}")\''
    )
