"""Data sets with images in their columns: which files they consist of, and what stands in their rows.

A data set is a Parquet file, a directory of them, an imagefolder, or any of these on the Hugging Face Hub. Its texts
are read when it is opened; its images stay where they are, and are read when somebody asks for their bytes
(:mod:`evalkit.images.stored`).
"""

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from evalkit.errors import LayoutError, ManifestError, OptionError, RemoteError
from evalkit.formatting import listed
from evalkit.images.decode import IMAGE_SUFFIXES
from evalkit.images.stored import AnyImage, StoredImage, open_parquet
from evalkit.storage.documents import parse_json
from evalkit.storage.hub import hub_reason, one_line
from evalkit.storage.paths import is_url

if TYPE_CHECKING:
    import pyarrow.parquet

Row = tuple[str, Mapping[str, Any]]
"""Where it stands, as messages call it, and its cells by column."""
ROWS = 1000
"""Whose texts are read at a time."""
ANSWER_SECONDS = 30.0
"""How long the Hub may take to say what a repository holds."""
_HUB = re.compile(r"hf://(?:datasets/)?(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<path>.+?))?/*", re.ASCII)
_DEPTH = 3
"""Folders inside of each other in which a data set's files are looked for."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set, or one split of it."""

    location: str
    """Its absolute path; or ``hf://datasets/owner/name@commit``, whatever revision was asked for."""
    name: str
    files: tuple[str, ...]
    """Paths or URLs of its Parquet files, in the order of its rows."""
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
        """Its columns with their types."""
        with _reading(self.files[0]), open_parquet(self.files[0]) as file:
            return file.schema_arrow

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(self.schema.names)

    @cached_property
    def pictures(self) -> frozenset[str]:
        """The columns whose cells hold images, or names of image files."""
        stored = {field.name for field in self.schema if _holds_bytes(field.type) and not self._is_other(field.name)}
        texts = [name for name in self.columns if _is_text(self.schema.field(name).type)]
        first = [row for _, row in self._rows(self.files[0], texts, (), limit=ROWS)]
        return frozenset(stored | {name for name in texts if any(_names_image(row[name]) for row in first)})

    def rows(self, columns: Collection[str] | None = None, pictures: Collection[str] | None = None) -> Iterator[Row]:
        """The rows of all files, in order; the bytes of images are not read.

        Args:
            columns: Those that are wanted; all by default.
            pictures: Those of them that are images, :attr:`pictures` by default. In their cells are images that can be
                read, or None.

        Raises:
            ManifestError: A file is damaged.
            RemoteError: The Hub cannot be reached.
        """
        wanted = self.columns if columns is None else [name for name in self.columns if name in columns]
        images = [name for name in wanted if name in (self.pictures if pictures is None else pictures)]
        for file in self.files:
            yield from self._rows(file, [name for name in wanted if name not in images], images)

    def _rows(
        self, file: str, texts: Sequence[str], pictures: Sequence[str], limit: int | None = None
    ) -> Iterator[Row]:
        with _reading(file), open_parquet(file) as opened:
            present = opened.schema_arrow.names
            if absent := [name for name in (*texts, *pictures) if name not in present]:
                raise ManifestError(
                    f"{file}: expected the columns of {self.files[0]}, got {listed(present, 20)} without {absent[0]}."
                )
            cells = {name: _Cells(opened, name) for name in pictures}
            leaves = [*texts, *(leaf for each in cells.values() for leaf in each.leaves)]
            number = 0
            for batch in opened.iter_batches(ROWS, columns=leaves, use_threads=False):
                for record in batch.to_pylist():
                    row = {name: self._text(name, record[name]) for name in texts}
                    row |= {name: each.image(self, file, number, record.get(name)) for name, each in cells.items()}
                    yield f"{self.short(file)}, row {number}", row
                    number += 1
                    if number == limit:
                        return

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
            return next((path for path in reversed(paths) if path.is_file()), paths[0])
        top, *_ = bases
        inside = [posixpath.normpath(f"{base.removeprefix(top)}/{name}").lstrip("/") for base in bases]
        found = next((path for path in reversed(inside) if path in self.names), inside[0])
        return StoredImage(f"{top}/{found}") if found != "." else None

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
    """Which cells of an image column hold bytes, which name a file, and which are empty; known without the bytes.

    Args:
        file: An open Parquet file.
        name: Of the column.
    """

    def __init__(self, file: "pyarrow.parquet.ParquetFile", name: str) -> None:
        self._name = name
        kind = file.schema_arrow.field(name).type
        self._is_text = _is_text(kind)
        self.leaves: list[str] = []
        """What must be read to tell."""
        if self._is_text:
            self.leaves = [name]
        elif _holds_bytes(kind) and kind.num_fields and kind.get_field_index("path") >= 0:
            self.leaves = [f"{name}.path"]
        self._empty = frozenset[int]() if self._is_text else _without_bytes(file, name)

    def image(self, dataset: Dataset, file: str, row: int, cell: object) -> AnyImage | None:
        """What is in a row, whose other values were read."""
        name = cell if self._is_text else cell.get("path") if isinstance(cell, dict) else None
        if self._is_text or row in self._empty:
            return dataset.file(name, file) if isinstance(name, str) and name else None
        return StoredImage(file, row, self._name, name if isinstance(name, str) else "")


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


def _holds_bytes(kind: "pyarrow.DataType") -> bool:
    """Whether cells of a type hold bytes, or bytes and the name of a file."""
    import pyarrow.types as types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


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


def is_dataset(location: str | Path) -> bool:
    """Whether a path is a data set's, by the names of its files: a Parquet file, or a directory of nothing else."""
    path = Path(location)
    if path.is_file():
        return path.suffix.lower() == ".parquet"
    return path.is_dir() and bool(_parquet_below(path)) and not _holds_images(path)


def _parquet_below(folder: Path) -> list[Path]:
    patterns = ["/".join(["*"] * depth) for depth in range(_DEPTH)]
    return sorted(
        path for pattern in patterns for path in folder.glob(f"{pattern}/*.parquet" if pattern else "*.parquet")
    )


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.rglob("*"))


def open_dataset(
    location: str | Path, *, split: str | None = None, config: str | None = None, revision: str | None = None
) -> Dataset:
    """Finds the files of a data set.

    Args:
        location: A Parquet file, a directory of Parquet files, or ``hf://owner/name`` with or without ``@revision``.
        split: Which; needed where there are several.
        config: Which of the data set's configurations; needed where there are several.
        revision: Of one on the Hub, instead of ``@revision``: a branch, a tag or a commit.

    Returns:
        The data set, at the commit that the revision names. ``rows()`` gives its texts, with images that can be read.

    Raises:
        LayoutError: There is no such file or directory, or nothing in it that can be read.
        OptionError: There are several splits or configurations, or none of that name.
        RemoteError: The Hub has no such data set or revision, does not show it, or cannot be reached.

    >>> open_dataset("hf://owner/name@v1.0", split="test").rows()  # doctest: +SKIP
    """
    if isinstance(location, str) and location.startswith("hf://"):
        return _on_hub(location, split, config, revision)
    path = Path(location).absolute()
    if path.is_file():
        if split or config:
            raise OptionError(f"{location} is one file: --split and --config choose among the files of a directory.")
        return Dataset(location=str(path), name=path.stem, files=(str(path),), root=str(path.parent))
    if not path.is_dir():
        raise LayoutError(f"Expected a data set, got {location}, which does not exist.")
    files, split = _chosen(str(path), {}, split, config, str(location))
    return Dataset(location=str(path), name=path.name, files=files, root=str(path), split=split, config=config)


def _on_hub(location: str, split: str | None, config: str | None, revision: str | None) -> Dataset:
    from huggingface_hub import HfApi

    parts = _HUB.fullmatch(location)
    if parts is None:
        raise OptionError(f"{location}: expected hf://OWNER/NAME, hf://OWNER/NAME@REVISION or a file in it.")
    repo_id, path = parts["repo"], parts["path"]
    revision = revision or parts["revision"]
    with _hub_errors(repo_id, revision):
        info = HfApi().dataset_info(repo_id, revision=revision, timeout=ANSWER_SECONDS)
        if info.gated:
            HfApi().auth_check(repo_id, repo_type="dataset")
    root = f"hf://datasets/{repo_id}@{info.sha}"
    names = frozenset(file.rfilename for file in info.siblings or ())
    name = repo_id.partition("/")[2]
    if path and path in names:
        return Dataset(location=f"{root}/{path}", name=name, files=(f"{root}/{path}",), root=root, names=names)
    options = {"revision": info.sha} | ({"data_dir": path} if path else {})
    with _hub_errors(repo_id, revision):
        files, split = _chosen(repo_id, options, split, config, location)
    return Dataset(location=root, name=name, files=files, root=root, split=split, config=config, names=names)


def _chosen(
    path: str, options: Mapping[str, Any], split: str | None, config: str | None, shown: str
) -> tuple[tuple[str, ...], str | None]:
    """The files of a split, as ``datasets`` finds them, and the split's name."""
    import datasets
    from datasets.exceptions import DataFilesNotFoundError

    try:
        builder = datasets.load_dataset_builder(path, config, **options)
    except DataFilesNotFoundError as failure:
        raise LayoutError(
            f"{shown} holds no files of a data set: expected Parquet files with image columns."
        ) from failure
    except ValueError as failure:
        names = datasets.get_dataset_config_names(path, **options)
        what = f"has no configuration '{config}'" if config else "has several configurations"
        raise OptionError(f"{shown} {what}. Choose one: --config {names[0]} ({listed(names, 20)})") from failure
    by_split = {str(name): list(map(str, files)) for name, files in (builder.config.data_files or {}).items()}
    if split is None and len(by_split) == 1:
        split = next(iter(by_split))
    if split not in by_split:
        what = f"has no split '{split}'" if split else "has several splits"
        raise OptionError(f"{shown} {what}. Choose one: --split {next(iter(by_split))} ({listed([*by_split], 20)})")
    files = tuple(file for file in by_split[split] if file.lower().endswith(".parquet"))
    if not files:
        kinds = sorted({PurePosixPath(file).suffix for file in by_split[split]})
        raise LayoutError(f"{shown}: expected Parquet files with image columns, got files named {listed(kinds, 5)}.")
    return files, split


@contextmanager
def _hub_errors(repo_id: str, revision: str | None) -> Iterator[None]:
    """Says what the Hub's refusals mean, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError

    page = f"{constants.ENDPOINT}/datasets/{repo_id}{f'@{revision}' if revision else ''}"
    try:
        yield
    except (OptionError, LayoutError):
        raise
    except HFValidationError as failure:
        raise OptionError(f"hf://{repo_id} is malformed: expected hf://OWNER/NAME.") from failure
    except Exception as failure:  # clients raise the system's errors and those of the HTTP library beneath
        raise RemoteError(f"The data set {page} cannot be read: {hub_reason(failure)}.") from failure
