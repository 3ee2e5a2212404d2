"""Images that are no files of a folder: cells of a Parquet file, and files behind a URL.

They are read in passing: a column goes through memory a few rows at a time, in the order in which images are asked for,
and neither a whole column nor a whole file is ever held or copied.
"""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate, count
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from evalkit.errors import ImageError, RemoteError
from evalkit.storage.files import open_regular
from evalkit.storage.hub import hub_reason
from evalkit.storage.paths import is_url

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

BATCH_BYTES = 4 << 20
BATCH_ROWS = 64
"""Of a column, as much as is read at once, if a single image has no more."""
KEPT_BYTES = 32 << 20
KEPT_ROWS = 32
"""Of a column, what stays in memory of the rows before, for threads that ask a little late."""
CURSORS = 3
"""Of a column: one that digests, one that decodes what was digested, and one for whoever looks at single images."""
CURSOR_BYTES = 384 << 20
"""Of a column's cursors, above which there are fewer. What one takes is up to the file: whole pages are unpacked."""
PAGE_ROWS = 1024
"""Rows that writers put into a page, however large they are."""
COLUMNS = 8
"""Open at a time: four kinds of image, and those of the next file."""
DIGESTS = 1 << 17
"""That are known, of images that were read: sources are looked at for their groups before they are scored."""
BUFFER = 1 << 20
"""Bytes of a column that are asked of its file at a time."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in a cell of a Parquet file; or, without a row, an image file behind a URL."""

    location: str
    """The file's path or URL."""
    row: int | None = None
    """From 0, within the file."""
    column: str = ""
    file_name: str = ""
    """What the data set calls the image, if anything."""

    def __str__(self) -> str:
        """How it reads in messages: the cell by its file, row and column."""
        return self.location if self.row is None else f"{self.location}, row {self.row}, {self.column}"

    @property
    def name(self) -> str:
        """What a file of it would be called: as the data set says, else after its row."""
        name = self.file_name or (self.location if self.row is None else str(self.row))
        return PurePosixPath(name.replace("\\", "/")).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Of the name, such as ``.png``; the content may be something else."""
        return PurePosixPath(self.name).suffix

    def within(self, folder: Path) -> str:
        """How it reads in messages about the folder, or the file, that it lies in."""
        path = Path(self.location)
        if is_url(self.location) or not path.is_relative_to(folder):
            return str(self)
        short = path.name if path == folder else path.relative_to(folder).as_posix()
        return f"{short}, row {self.row}, {self.column}"

    def state(self) -> "State | None":
        """What changes when its file is written; None behind a URL, where a revision does not change.

        Raises:
            OSError: The file is not there.
        """
        return None if is_url(self.location) else file_state(Path(self.location))

    def read(self) -> bytes:
        """Its bytes; of a cell in which there are none, none.

        Raises:
            ImageError: There is no such file.
            RemoteError: What is behind a URL cannot be read, which says nothing of the image.
            OSError: The file cannot be read, or is no Parquet.
        """
        with _explained(self.location):
            if self.row is None:
                with open_location(self.location) as file:
                    return file.read()
            return _column(self.location, self.column, self.state()).read(self.row)

    def digest(self) -> str:
        """SHA-256 of its bytes, which are read again only where the file has changed.

        Raises:
            ImageError: See :meth:`read`.
            RemoteError: See :meth:`read`.
            OSError: See :meth:`read`.
        """
        with _explained(self.location):
            state = self.state()
        return _digest(self, state)


State = tuple[int, int, int]
"""Of a file: its size, the time of its last change, and which file it is."""
AnyImage = Path | StoredImage
"""Whatever an image can be read from."""


@contextmanager
def open_location(location: str) -> Iterator[IO[bytes]]:
    """A regular file by its path, or a file behind a URL, to be read at any position.

    Raises:
        OSError: It cannot be opened.
    """
    if not is_url(location):
        with open_regular(Path(location)) as file:
            yield file
        return
    import fsspec

    filesystem, path = fsspec.url_to_fs(location)
    with filesystem.open(path, "rb") as file:
        yield file


def location_size(location: str) -> int:
    """The bytes of a file, by its path or URL.

    Raises:
        OSError: It is not there.
    """
    if not is_url(location):
        return Path(location).stat().st_size
    import fsspec

    filesystem, path = fsspec.url_to_fs(location)
    return int(filesystem.size(path))


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """A connection that fails is not the fault of an image."""
    try:
        yield
    except FileNotFoundError as failure:
        raise ImageError("there is no such file") from failure
    except Exception as failure:
        if not is_url(location):
            raise
        raise RemoteError(f"{location} cannot be read: {hub_reason(failure)}. Run the same command again.") from failure


def file_state(path: Path) -> State:
    """What changes when a file is written.

    Raises:
        OSError: It is not there.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@lru_cache(maxsize=DIGESTS)
def _digest(image: StoredImage, _state: State | None) -> str:
    return sha256(image.read()).hexdigest()


@lru_cache(maxsize=COLUMNS)
def _column(location: str, column: str, _state: State | None) -> "_Column":
    """The reader of a column, one for everybody who reads the same file."""
    return _Column(location, column)


class _Column:
    """The images of one column of a Parquet file.

    Of several threads that wait, the one that asks for the first row goes first: so the rows are asked for nearly in
    their order, and nobody has to wait until a cursor has been where it was before.
    """

    def __init__(self, location: str, column: str) -> None:
        self._location, self._name = location, column
        self._free = threading.Condition()
        self._busy = False
        self._waiting: list[tuple[int, int]] = []
        self._ticket = count()
        self._layout: _ColumnChunks | None = None
        self._cursors: list[_Cursor] = []

    def read(self, row: int) -> bytes:
        """The bytes in a row."""
        with self._turn(row):
            self._layout = self._layout or _ColumnChunks.of(self._location, self._name)
            cursor = self._cursor_for(row, self._layout)
            try:
                return cursor.read(row)
            except BaseException:
                self._cursors.remove(cursor)
                cursor.close()
                raise

    @contextmanager
    def _turn(self, row: int) -> Iterator[None]:
        own = (row, next(self._ticket))
        with self._free:
            self._waiting.append(own)
            self._free.wait_for(lambda: not self._busy and own == min(self._waiting))
            self._waiting.remove(own)
            self._busy = True
        try:
            yield
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()

    def _cursor_for(self, row: int, layout: "_ColumnChunks") -> "_Cursor":
        """The one that has fewest rows to pass over, be it a new one from the beginning of the row group."""
        group = layout.group_of(row)
        nearest = min((c for c in self._cursors if c.first <= row), key=lambda c: row - c.position, default=None)
        if nearest is None or row - nearest.position > row - layout.starts[group]:
            while len(self._cursors) >= layout.n_cursors:
                self._cursors.pop(0).close()
            nearest = _Cursor(self._location, layout, group)
        else:
            self._cursors.remove(nearest)
        self._cursors.append(nearest)  # the one that was used last is given up last
        return nearest


@dataclass(frozen=True, slots=True)
class _ColumnChunks:
    """How a column lies in its file."""

    metadata: "pyarrow.parquet.FileMetaData"
    leaf: str
    """The column of bytes, as Parquet names it."""
    starts: tuple[int, ...]
    """The first row of each row group."""
    batch_rows: int
    n_cursors: int

    @classmethod
    def of(cls, location: str, column: str) -> "_ColumnChunks":
        """As the end of the file says it."""
        with open_parquet(location) as file:
            metadata = file.metadata
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
        leaf = next(name for name in (f"{column}.bytes", column) if name in names)
        n_bytes = sum(group.column(names.index(leaf)).total_uncompressed_size for group in groups)
        starts = tuple(accumulate((group.num_rows for group in groups), initial=0))
        each = max(n_bytes // max(starts[-1], 1), 1)
        page = each * min(PAGE_ROWS, max((group.num_rows for group in groups), default=0))
        # Compressed and not, and the one that others refer to. What is far away is not fetched again and again.
        n_cursors = max(CURSOR_BYTES // (3 * page + 1), 2 if is_url(location) else 1)
        return cls(metadata, leaf, starts[:-1], min(max(BATCH_BYTES // each, 1), BATCH_ROWS), min(n_cursors, CURSORS))

    def group_of(self, row: int) -> int:
        """The row group of a row."""
        if not 0 <= row < self.metadata.num_rows:
            raise ImageError(f"the file has {self.metadata.num_rows:,} rows")
        return bisect_right(self.starts, row) - 1


class _Cursor:
    """Goes forward through a column from the beginning of a row group, and keeps the last rows."""

    def __init__(self, location: str, layout: _ColumnChunks, group: int) -> None:
        self.position = layout.starts[group]
        """The row that comes next."""
        self._kept: deque[tuple[int, pyarrow.Array]] = deque()
        self._opened = open_parquet(location, layout.metadata)
        groups = range(group, len(layout.starts))
        self._batches = self._opened.__enter__().iter_batches(
            layout.batch_rows, row_groups=groups, columns=[layout.leaf], use_threads=False
        )

    @property
    def first(self) -> int:
        """The first row that can still be had."""
        return self._kept[0][0] if self._kept else self.position

    def read(self, row: int) -> bytes:
        """The bytes in a row, from :attr:`first` on."""
        while row >= self.position:
            self._go_on()
        start, cells = next((start, cells) for start, cells in reversed(self._kept) if start <= row)
        return bytes(cells[row - start].as_py() or b"")

    def close(self) -> None:
        """Let go of the file."""
        self._kept.clear()
        self._opened.__exit__(None, None, None)

    def _go_on(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            raise OSError("it ends too early")
        array = batch.column(0)
        cells = array.field("bytes") if array.type.num_fields else array
        self._kept.append((self.position, cells))
        self.position += len(cells)
        while len(self._kept) > 1 and self._keeps_enough():
            self._kept.popleft()

    def _keeps_enough(self) -> bool:
        """Whether it does without the first of the batches that are kept."""
        others = [cells for _, cells in list(self._kept)[1:]]
        return sum(map(len, others)) >= KEPT_ROWS or sum(cells.nbytes for cells in others) >= KEPT_BYTES


@contextmanager
def open_parquet(location: str, metadata: Any = None) -> "Iterator[pyarrow.parquet.ParquetFile]":  # noqa: ANN401
    """A Parquet file by its path or URL, to be read piece by piece.

    Args:
        location: Which.
        metadata: What its end says, where that is known.

    Raises:
        OSError: It cannot be opened, or is no Parquet file.
    """
    import pyarrow.parquet

    with open_location(location) as file:
        try:
            opened = pyarrow.parquet.ParquetFile(file, metadata=metadata, pre_buffer=False, buffer_size=BUFFER)
        except pyarrow.ArrowException as failure:
            raise OSError(f"it is no Parquet file ({' '.join(str(failure).split()).rstrip('.')})") from failure
        with opened:
            yield opened
