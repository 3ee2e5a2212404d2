"""The rows of a benchmark that is a data set: on the Hub, or in the user's copy of it."""

from collections.abc import Collection
from pathlib import Path

from evalkit.benchmarks.cards.record import BenchmarkCard
from evalkit.benchmarks.cards.rows import MADE, TableRow, refuse_column
from evalkit.edits.dataset_rows import FILE_NAME, Dataset
from evalkit.edits.datasets import open_dataset
from evalkit.edits.item import IMAGE_FIELDS
from evalkit.errors import BenchmarkError, OptionError, RemoteError


def dataset_rows(card: BenchmarkCard, data: Path | None, notes: list[str]) -> list[TableRow]:
    """The rows of a data set, of which only the columns that the card names are read; images stay where they are.

    Args:
        card: Names the data set and its columns.
        data: The user's copy: a Parquet file, or a folder of them or with an imagefolder; None is the Hub.
        notes: Is given what was taken in the place of something else, a sentence each.

    Raises:
        BenchmarkError: It has no column that the card names, or is in a format that is not read.
        EvalkitError: It cannot be opened or read.
    """
    dataset = _of_copy(card, data) if data else _of_hub(card, notes)
    named = [("", name) for name in (*card.where, card.source.explode, card.source.merge) if name]
    heading_of: dict[str, str] = {}
    pictures = set[str]()
    for field, name in (*named, *card.names):
        column = own_column(name, dataset.columns)
        heading = next((each for each in _headings(column) if each in dataset.columns), None)
        if heading:
            heading_of[column] = heading
            pictures |= {heading} if field in IMAGE_FIELDS else set()
        elif column not in (*MADE, *card.optional):
            refuse_column(column, dataset.given, dataset.columns)
    rows = dataset.rows(heading_of.values(), pictures)
    return [TableRow(where, {name: row[heading] for name, heading in heading_of.items()}) for where, row in rows]


def _headings(column: str) -> tuple[str, ...]:
    """How a column is headed: of images in an imagefolder, after the files that are named there."""
    return column, FILE_NAME if column == "image" else f"{column}_{FILE_NAME}"


def own_column(name: str, columns: Collection[str]) -> str:
    """The column of a row whose value a name in braces is made of.

    >>> own_column("first.image.stem", ["image"])
    'image'
    """
    for made in MADE:
        name = name.removeprefix(f"{made}.")
    return name if name in columns else name.partition(".")[0]


def _of_hub(card: BenchmarkCard, notes: list[str]) -> Dataset:
    """The data set at the revision that the card names; at its newest one, which is said, where that is gone."""
    from huggingface_hub.errors import RevisionNotFoundError

    source = card.source
    where = f"hf://{source.hub}"
    try:
        return open_dataset(where, split=source.split, config=source.config, revision=source.revision)
    except RemoteError as failure:
        if not source.revision or not isinstance(failure.__cause__, RevisionNotFoundError):
            raise BenchmarkError(f"{failure} A copy can be given with: --data DIR") from failure
    notes.append(f"{where} has no revision {source.revision}, which {card.title} is of: its newest one is read.")
    return _of_hub(card.model_copy(update={"source": source.model_copy(update={"revision": None})}), notes)


def _of_copy(card: BenchmarkCard, data: Path) -> Dataset:
    if data.is_file():
        return open_dataset(data)
    _refuse_arrow(data)
    try:
        return open_dataset(data, split=card.source.split)
    except OptionError as failure:
        raise BenchmarkError(
            f"{data} has no split '{card.source.split}' of {card.title}. If one of its files is that, give it: "
            "--data FILE"
        ) from failure


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
