"""What stands in the rows of a data set: texts, and images that are read when somebody asks for their bytes.

Its files are Parquet, or tables beside image files that they name, as in an imagefolder.
"""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from evalkit.errors import ManifestError, RemoteError
from evalkit.formatting import listed
from evalkit.images.decode import IMAGE_SUFFIXES
from evalkit.images.stored import AnyImage, StoredImage, location_size, open_parquet
from evalkit.storage.documents import MAX_CELLS, parse_json
from evalkit.storage.hub import hub_reason, one_line
from evalkit.storage.paths import is_url, is_within
from evalkit.storage.tables import Table, read_table

if TYPE_CHECKING:
    import pyarrow.parquet

Row = tuple[str, Mapping[str, Any]]
"""Where it stands, as messages call it, and its cells by column."""
ROWS = 1000
"""Whose texts are read at a time."""
FILE_NAME = "file_name"
"""With which headings of an imagefolder end that name files."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set, or one split of it."""

    given: str
    """As it was named, for messages."""
    location: str
    """Its absolute path; or ``hf://datasets/owner/name@commit``, whatever revision was asked for."""
    name: str
    files: tuple[str, ...]
    """Paths or URLs of the files that hold its rows, in their order."""
    root: str
    """The directory, or its URL, that files named in it are relative to."""
    split: str | None = None
    config: str | None = None
    names: frozenset[str] | None = None
    """On the Hub: the names of all files."""

    @property
    def revision(self) -> str | None:
        """The commit, of one on the Hub."""
        found = re.match(r"hf://datasets/[^@]+@([^/]+)", self.location)
        return found[1] if found else None

    @cached_property
    def schema(self) -> "pyarrow.Schema":
        """The columns of the first file with their types, if it is Parquet; else none."""
        if not _is_parquet(self.files[0]):
            import pyarrow

            return pyarrow.schema([])
        with _reading(self.files[0]), open_parquet(self.files[0]) as file:
            return file.schema_arrow

    @cached_property
    def _tables(self) -> Mapping[str, Table]:
        """The files that are no Parquet; of those on the Hub, the copies that its client keeps."""
        return {file: read_table(self.copy_of(file), value="text") for file in self.files if not _is_parquet(file)}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        headings = (heading for table in self._tables.values() for heading in table.columns)
        return tuple(dict.fromkeys([*self.schema.names, *headings]))

    @cached_property
    def stored_pictures(self) -> frozenset[str]:
        """The columns whose cells hold images."""
        fields = [self.schema.field(name) for name in self.schema.names]
        return frozenset(each.name for each in fields if _holds_bytes(each.type) and not self._is_other(each.name))

    def refuse_lists(self, pictures: Iterable[str]) -> None:
        """Refuse columns that are taken for images and hold lists of them.

        Raises:
            ManifestError: One does.
        """
        for name in pictures:
            kind = self.schema.field(name).type if name in self.schema.names else None
            if kind is not None and _is_list(kind):
                raise ManifestError(
                    f"{self.given}, column {name}: expected one image in a cell, got lists of them. Give each a row of "
                    f"its own, such as by pandas.DataFrame.explode({name!r}), and a seed where they are of one item."
                )

    @cached_property
    def pictures(self) -> frozenset[str]:
        """The columns whose cells hold images, or names of image files."""
        texts = [name for name in self.schema.names if _is_text(self.schema.field(name).type)]
        texts = texts if _is_parquet(self.files[0]) else [*self.columns]
        first = [row for _, row in self._rows(self.files[0], texts, (), limit=ROWS)]
        named = {name for name in texts if any(_names_image(row.get(name)) for row in first)}
        return frozenset(self.stored_pictures | named | {name for name in texts if name.endswith(FILE_NAME)})

    def rows(self, columns: Collection[str] | None = None, pictures: Collection[str] | None = None) -> Iterator[Row]:
        """The rows of all files, in order; the bytes of images are not read.

        Args:
            columns: Those that are wanted; all by default.
            pictures: Those of them that are images, :attr:`pictures` by default. In their cells are images that can be
                read, or None.

        Raises:
            DataError: A file is damaged.
            RemoteError: The Hub cannot be reached.
        """
        wanted = self.columns if columns is None else [name for name in self.columns if name in columns]
        images = [name for name in wanted if name in (self.pictures if pictures is None else pictures)]
        for file in self.files:
            yield from self._rows(file, [name for name in wanted if name not in images], images)

    def _rows(
        self, file: str, texts: Sequence[str], pictures: Sequence[str], limit: int | None = None
    ) -> Iterator[Row]:
        rows = self._parquet_rows if _is_parquet(file) else self._table_rows
        return islice(rows(file, texts, pictures), limit)

    def _table_rows(self, file: str, texts: Sequence[str], pictures: Sequence[str]) -> Iterator[Row]:
        for where, record in self._tables[file].rows:
            row: dict[str, Any] = {name: record.get(name) for name in texts}
            row |= {name: self._named(record.get(name), file) for name in pictures}
            yield f"{self.short(file)}, {where}", row

    def _parquet_rows(self, file: str, texts: Sequence[str], pictures: Sequence[str]) -> Iterator[Row]:
        with _reading(file), open_parquet(file) as opened:
            present = opened.schema_arrow.names
            if absent := [name for name in (*texts, *pictures) if name not in present]:
                raise ManifestError(
                    f"{file}: expected the columns of {self.files[0]}, got {listed(present, 20)} without {absent[0]}."
                )
            n_rows, n_cells = opened.metadata.num_rows, opened.metadata.num_rows * (len(texts) + len(pictures))
            if n_cells > MAX_CELLS and n_cells > location_size(file):
                raise ValueError(f"it has {n_rows:,} rows in a few bytes")
            cells = {name: _Cells(opened, name) for name in pictures}
            leaves = [*texts, *(leaf for each in cells.values() for leaf in each.leaves)]
            number = count()
            for batch in opened.iter_batches(ROWS, columns=leaves, use_threads=False):
                for record in batch.to_pylist():
                    at = next(number)
                    row = {name: self._text(name, record[name]) for name in texts}
                    row |= {name: self._image(each, file, at, record.get(name)) for name, each in cells.items()}
                    yield f"{self.short(file)}, row {at}", row

    def _image(self, cells: "_Cells", file: str, row: int, cell: object) -> AnyImage | None:
        """What is in a row of an image column, of which the name was read."""
        name = cell.get("path") if isinstance(cell, dict) else cell
        if not cells.has_bytes(row):
            return self._named(name, file)
        return StoredImage(file, row, cells.name, name if isinstance(name, str) else "")

    def _named(self, name: object, file: str) -> AnyImage | None:
        return self.file(name, file) if isinstance(name, str) and name else None

    def copy_of(self, file: str) -> Path:
        """A table that is no Parquet, on this machine."""
        if not is_url(file):
            return Path(file)
        from huggingface_hub import hf_hub_download

        repo_id = self.root.removeprefix("hf://datasets/").partition("@")[0]
        with _reading(file):
            return Path(hf_hub_download(repo_id, self.short(file), repo_type="dataset", revision=self.revision))

    def short(self, file: str) -> str:
        """One of its files as it reads in messages."""
        return file.removeprefix(f"{self.root}/")

    def file(self, name: str, beside: str) -> AnyImage | None:
        """An image file that a cell names, looked for beside the file of the rows, then from the root.

        On the Hub it is one of the same repository and revision, or None. It need not be there.
        """
        bases = dict.fromkeys((self.root, beside.rpartition("/")[0]))
        if self.names is None:
            paths = [Path(base) / name for base in bases]
            found = next((path for path in reversed(paths) if path.is_file()), paths[0])
            if not is_within(found, Path(self.root)):
                raise ManifestError(
                    f"{self.name}: expected names of image files inside {self.root}, got '{name}', which is none. Copy "
                    "the file there, and name it relative to that folder."
                )
            return found
        top, *_ = bases
        inside = [posixpath.normpath(f"{base.removeprefix(top)}/{name}").lstrip("/") for base in bases]
        in_repository = next((path for path in reversed(inside) if path in self.names), inside[0])
        return StoredImage(f"{top}/{in_repository}") if in_repository != "." else None

    def has(self, image: AnyImage) -> bool:
        """Whether an image is there, as far as that is known without reading it."""
        if isinstance(image, Path):
            return image.is_file()
        return image.row is not None or self.names is None or self.short(image.location) in self.names

    @cached_property
    def _features(self) -> Mapping[str, Any]:
        """What ``datasets`` wrote about the columns, if it wrote the files."""
        try:
            info = parse_json((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
        except (KeyError, TypeError, ValueError):
            return {}
        return info if isinstance(info, dict) else {}

    def _is_other(self, name: str) -> bool:
        """Whether a column is said to hold sound or films."""
        feature = self._features.get(name)
        return isinstance(feature, dict) and feature.get("_type") not in (None, "Image", "Value")

    def _text(self, name: str, value: object) -> object:
        """A value; of a column of classes, the name of the class."""
        feature = self._features.get(name)
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list) and isinstance(value, int) and 0 <= value < len(names):
            return names[value]
        return value


class _Cells:
    """Which cells of an image column hold bytes, and how to know what the others name; without reading the bytes.

    Args:
        file: An open Parquet file.
        name: Of the column.
    """

    def __init__(self, file: "pyarrow.parquet.ParquetFile", name: str) -> None:
        self.name = name
        kind = file.schema_arrow.field(name).type
        stored = _holds_bytes(kind)
        self._empty = _without_bytes(file, name) if stored else None
        self.leaves = [name]
        """What names files."""
        if stored:
            self.leaves = [f"{name}.path"] if kind.num_fields and kind.get_field_index("path") >= 0 else []

    def has_bytes(self, row: int) -> bool:
        """Whether there are bytes in a row."""
        return self._empty is not None and row not in self._empty


def _without_bytes(file: "pyarrow.parquet.ParquetFile", name: str) -> frozenset[int]:
    """The rows in which a column has no bytes: as the file's statistics say it, else by looking."""
    metadata, empty, start = file.metadata, set[int](), 0
    leaves = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    leaf = f"{name}.bytes" if f"{name}.bytes" in leaves else name
    for group in range(metadata.num_row_groups):
        part = metadata.row_group(group)
        statistics = part.column(leaves.index(leaf)).statistics
        n_empty = statistics.null_count if statistics is not None and statistics.has_null_count else None
        if n_empty == part.num_rows:
            empty.update(range(start, start + part.num_rows))
        elif n_empty != 0:
            row = start
            for batch in file.iter_batches(16, row_groups=[group], columns=[leaf], use_threads=False):
                array = batch.column(0)
                cells = array.field("bytes") if array.type.num_fields else array
                empty.update(row + index for index, filled in enumerate(cells.is_valid().to_pylist()) if not filled)
                row += len(cells)
        start += part.num_rows
    return frozenset(empty)


def _is_parquet(file: str) -> bool:
    return file.lower().endswith(".parquet")


def _holds_bytes(kind: "pyarrow.DataType") -> bool:
    """Whether cells of a type hold bytes, or bytes and the name of a file."""
    import pyarrow.types as types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_list(kind: "pyarrow.DataType") -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_text(kind: "pyarrow.DataType") -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _names_image(value: object) -> bool:
    return isinstance(value, str) and PurePosixPath(value.replace("\\", "/")).suffix.lower() in IMAGE_SUFFIXES


@contextmanager
def _reading(file: str) -> Iterator[None]:
    """Whatever reading a file raises, as one sentence."""
    try:
        yield
    except (OSError, ValueError, NotImplementedError) as failure:
        if is_url(file) and not isinstance(failure, ValueError):
            raise RemoteError(f"{file} cannot be read: {hub_reason(failure)}. Run the same command again.") from failure
        raise ManifestError(
            f"{file} cannot be read: {getattr(failure, 'strerror', None) or one_line(failure)}."
        ) from failure
