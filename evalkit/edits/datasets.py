"""Data sets with images in their columns are found: a file, a directory or a repository on the Hub, and its rows.

Directories and repositories of Parquet files are read as the library ``datasets`` reads them, by its own rules for
splits and configurations. An imagefolder is known by its ``metadata.csv``, ``.jsonl`` or ``.parquet``.
"""

import logging
import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.edits.dataset_rows import FILE_NAME, Dataset
from evalkit.edits.manifest import MANIFEST_NAME, is_manifest
from evalkit.errors import DataError, LayoutError, OptionError, RemoteError
from evalkit.formatting import listed
from evalkit.images.decode import IMAGE_SUFFIXES
from evalkit.storage.hub import hub_reason, one_line

ANSWER_SECONDS = 30.0
"""How long the Hub may take to say what a repository holds."""
TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")
"""What can hold the rows of a data set."""
_METADATA = tuple(f"metadata{suffix}" for suffix in (".csv", ".jsonl", ".parquet"))
_HUB = re.compile(r"hf://(?:datasets/)?(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?(?:/(?P<path>.+?))?/*", re.ASCII)
_DEPTH = 3
"""Folders inside of each other in which a data set's files are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directory:
    """A directory of files, here or on the Hub."""

    given: str
    root: str
    """Its path, or the URL of a repository at a commit."""
    name: str
    files: Sequence[str]
    """Relative to ``root``."""
    library_path: str
    """What the library ``datasets`` opens it by."""
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    """The part of it that was named; of a repository."""
    is_remote: bool = False

    def holding(self, *names: str) -> list[str]:
        """The metadata of imagefolders, or other files of these names."""
        return [file for file in self.files if PurePosixPath(file).name in names]

    def dataset(self, files: Iterable[str], split: str | None, config: str | None) -> Dataset:
        """The data set of some of its files, given relative to ``root`` or whole."""
        whole = f"{self.root}/{self.path}".rstrip("/")
        below = f"{self.root}/" if self.root != "." else ""
        return Dataset(
            given=self.given,
            location=whole if self.is_remote else str(Path(whole).resolve()),
            name=self.name,
            files=tuple(f"{below}{file}" if file in self.files else file for file in files),
            root=self.root,
            split=split,
            config=config,
            names=frozenset(self.files) if self.is_remote else None,
        )


def open_dataset(
    location: str | Path, *, split: str | None = None, config: str | None = None, revision: str | None = None
) -> Dataset:
    """Finds the files of a data set.

    Args:
        location: A Parquet file; a directory of Parquet files, or an imagefolder; ``hf://owner/name`` with or without
            ``@revision``, or a file or directory in it.
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
    given = str(location)
    if is_hub(location):
        directory = _on_hub(given, revision)
        single = directory.path if directory.path in directory.files else None
    else:
        path = Path(location)
        if not path.exists():
            raise LayoutError(f"Expected a data set, got {location}, which does not exist.")
        single = path.name if path.is_file() else None
        directory = _local(path, given)
    if single:
        if split or config:
            raise OptionError(f"{given} is one file: --split and --config choose among the files of a directory.")
        return directory.dataset([single], None, None)
    is_imagefolder = directory.holding(*_METADATA) and not config
    found = _imagefolder(directory, split) if is_imagefolder else _by_library(directory, split, config)
    return replace(found, name="-".join(filter(None, (found.name, config, split))))


def is_hub(location: str | Path) -> bool:
    """Whether a location may be a data set on the Hugging Face Hub; models, spaces and buckets are none."""
    kinds = ("hf://models/", "hf://spaces/", "hf://buckets/")
    return isinstance(location, str) and location.startswith("hf://") and not location.startswith(kinds)


def is_dataset(location: str | Path) -> bool:
    """Whether what is to be scored is a data set, and no folder of edited images.

    It is by its Parquet files with images, or by the metadata of an imagefolder; not if there is a manifest.

    Raises:
        OptionError: It is no address of the Hub.
        RemoteError: The Hub has no such data set, or cannot be reached.
    """
    if is_hub(location):
        directory = _on_hub(str(location), None)
        if directory.path in directory.files:
            return True
    else:
        path = Path(location)
        if not path.is_dir():
            return path.is_file() and path.suffix.lower() == ".parquet"
        if (path / MANIFEST_NAME).is_file() and is_manifest(path / MANIFEST_NAME):
            return False
        directory = _local(path, str(location))
    if any(_is_manifest(directory, file) for file in directory.holding(MANIFEST_NAME)):
        return False
    if any(_names_files(directory, file) for file in directory.holding(*_METADATA)):
        return True
    tables = [file for file in directory.files if file.lower().endswith(".parquet")]
    if directory.is_remote:
        return bool(tables) or not any(PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES for file in directory.files)
    return any(_holds_images(directory, file) for file in tables)


def _is_manifest(directory: _Directory, file: str) -> bool:
    opened = directory.dataset([file], None, None)
    return is_manifest(opened.copy_of(opened.files[0]))


def _holds_images(directory: _Directory, file: str) -> bool:
    with suppress(DataError):
        return bool(directory.dataset([file], None, None).stored_pictures)
    return False


def _names_files(directory: _Directory, file: str) -> bool:
    """Whether a table of metadata names image files as those of imagefolders do."""
    with suppress(DataError):
        columns = directory.dataset([file], None, None).columns
        return any(name.endswith(FILE_NAME) for name in columns)
    return False


def _local(path: Path, given: str) -> _Directory:
    """A directory, or that of a file, with those of its files that could hold rows."""
    root = path.parent if path.is_file() else path
    return _Directory(
        given=given,
        root=str(root),
        name=path.stem if path.is_file() else path.resolve().name,
        files=[path.name] if path.is_file() else sorted(_tables_below(path)),
        library_path=str(root.resolve()),
        path=path.name if path.is_file() else "",
    )


def _tables_below(root: Path) -> Iterator[str]:
    """The files of a directory that could hold rows, relative to it, without hidden ones."""
    for directory, folders, names in os.walk(root):
        below = Path(directory).relative_to(root)
        is_deep = len(below.parts) + 1 >= _DEPTH
        folders[:] = [] if is_deep else [name for name in folders if not name.startswith(".")]
        tables = (name for name in names if name.lower().endswith(TABLES) and not name.startswith("."))
        yield from ((below / name).as_posix() for name in tables)


def _on_hub(given: str, revision: str | None) -> _Directory:
    """A repository at the commit that a revision names, and what lies in the part of it that was asked for."""
    from huggingface_hub import HfApi

    parts = _HUB.fullmatch(given)
    if parts is None:
        raise OptionError(f"{given}: expected hf://OWNER/NAME, hf://OWNER/NAME@REVISION, or a file in it.")
    repo_id, path = parts["repo"], parts["path"] or ""
    revision = revision or parts["revision"]
    with hub_errors(repo_id, revision):
        info = HfApi().dataset_info(repo_id, revision=revision, timeout=ANSWER_SECONDS)
        if info.gated:
            HfApi().auth_check(repo_id, repo_type="dataset")
    names = [file.rfilename for file in info.siblings or ()]
    inside = [name for name in names if not path or name == path or name.startswith(f"{path}/")]
    if path and not inside:
        raise LayoutError(f"{given}: there is no {path} in the data set {repo_id}.")
    return _Directory(
        given=given,
        root=f"hf://datasets/{repo_id}@{info.sha}",
        name=PurePosixPath(path).stem if path in names else repo_id.partition("/")[2],
        files=inside,
        library_path=repo_id,
        options={"revision": info.sha} | ({"data_dir": path} if path else {}),
        path=path,
        is_remote=True,
    )


def _imagefolder(directory: _Directory, split: str | None) -> Dataset:
    """The image files that a table names: one for all, or one in the folder of each split."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for file in sorted(directory.holding(*_METADATA)):
        below = PurePosixPath(file).parent.relative_to(directory.path or ".")
        by_folder[below.parts[0] if below.parts else ""].append(file)
    if "" in by_folder:
        by_folder = {"": by_folder[""]}
    files, chosen = _chosen(directory, by_folder, split)
    return directory.dataset(files, chosen or None, None)


def _by_library(directory: _Directory, split: str | None, config: str | None) -> Dataset:
    """The files of a split, as ``datasets`` finds them."""
    import datasets

    given, where, options = directory.given, directory.library_path, directory.options
    explained = hub_errors(where, options["revision"]) if directory.is_remote else nullcontext()
    try:
        with explained, _silent(logging.getLogger("huggingface_hub")):
            builder = datasets.load_dataset_builder(where, config, **options)
    except FileNotFoundError as failure:
        raise LayoutError(f"{given} holds no data set: expected Parquet files with columns of images.") from failure
    except ValueError as failure:
        names = datasets.get_dataset_config_names(where, **options)
        if not config and len(names) < 2:
            raise LayoutError(f"{given} cannot be read as a data set: {one_line(failure)}.") from failure
        what = f"has no configuration '{config}'" if config else "has several configurations"
        raise OptionError(
            f"{given} {what}. Choose one: --config {shlex.quote(names[0])} ({listed(names, 20)})"
        ) from failure
    by_split = {str(name): list(map(str, files)) for name, files in (builder.config.data_files or {}).items()}
    files, split = _chosen(directory, by_split, split)
    tables = [file for file in files if file.lower().endswith(TABLES)]
    if not tables:
        kinds = sorted({PurePosixPath(file).suffix or file for file in files})
        raise LayoutError(f"{given}: expected Parquet files with columns of images, got files like {listed(kinds, 5)}.")
    return directory.dataset(tables, split, config)


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Without remarks, such as that a card says nothing."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _chosen(
    directory: _Directory, by_split: Mapping[str, Sequence[str]], split: str | None
) -> tuple[Sequence[str], str]:
    """The files of the split that was asked for, or of the only one, and its name."""
    if split is None and len(by_split) == 1:
        split = next(iter(by_split))
    if split is None or split not in by_split:
        what = f"has no split '{split}'" if split else "has several splits"
        choose = f"Choose one: --split {shlex.quote(next(iter(by_split), ''))} ({listed([*by_split], 20)})"
        choose = choose if any(by_split) else "Leave --split out."
        raise OptionError(f"{directory.given} {what}. {choose}")
    return by_split[split], split


@contextmanager
def hub_errors(repo_id: str, revision: str | None) -> Iterator[None]:
    """Says what the Hub's refusals mean, and what to do."""
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError

    page = f"{constants.ENDPOINT}/datasets/{repo_id}{f'@{revision}' if revision else ''}"
    try:
        yield
    except HFValidationError as failure:
        raise OptionError(f"hf://{repo_id} is malformed: expected hf://OWNER/NAME.") from failure
    except (ValueError, DataFilesNotFoundError, EmptyDatasetError):  # no failure of the Hub
        raise
    except Exception as failure:  # clients raise the system's errors and those of the HTTP library beneath
        raise RemoteError(f"The data set {page} cannot be read: {hub_reason(failure)}.") from failure
