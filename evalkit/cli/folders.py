"""The folders that a command is about: named one by one, or as the sub-folders of one."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command_lines import same_command
from evalkit.cli.inputs import FolderOptions, FolderOrUrl, PathOrUrl, read_from
from evalkit.cli.output import Output
from evalkit.errors import EvalkitError, OptionError
from evalkit.formatting import counted

if TYPE_CHECKING:
    from evalkit.benchmarks.open import OpenedFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFolder:
    """A folder as it was named, and what it holds, or why that is not known."""

    location: PathOrUrl
    opened: "OpenedFolder | None" = None
    failure: EvalkitError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderArguments:
    """The folders that the user named."""

    paths: tuple[PathOrUrl, ...]
    each: tuple[PathOrUrl, ...]
    """Folders whose sub-folders are meant."""

    @property
    def several(self) -> bool:
        """Whether they are to be shown side by side."""
        return bool(self.each) or len(self.paths) > 1

    def open(self, options: FolderOptions, output: Output, opener: "Opener | None" = None) -> list[NamedFolder]:
        """All folders; of several one that cannot be understood does not keep the others from it.

        Args:
            options: What the user said of them.
            output: Where it is said that files are fetched.
            opener: Opens a folder with the options; :func:`evalkit.open_edits` by default.

        Raises:
            EvalkitError: None can be understood.
        """
        found: dict[Path | str, NamedFolder] = {}
        for location, read in self._locations(options, output):
            try:
                path = read()
                known = path.resolve() if isinstance(path, Path) else path
                if known not in found:
                    found[known] = NamedFolder(location=location, opened=_opened(path, options, opener))
            except EvalkitError as failure:
                if not self.several:
                    raise
                found[str(location)] = NamedFolder(location=location, failure=failure)
        folders = list(found.values())
        refuse_all_failed(folders, {folder.location: folder.failure for folder in folders if folder.failure})
        return folders

    def _locations(self, options: FolderOptions, output: Output) -> Iterator[tuple[PathOrUrl, Callable[[], PathOrUrl]]]:
        """Each folder as it reads in messages, and what gives its path."""
        from evalkit.benchmarks.method_folders import sub_folders

        for location in self.paths:
            yield location, functools.partial(read_from, location, output)
        apart = [path for path in asdict(options).values() if isinstance(path, Path)]
        for parent in self.each:
            folder = read_from(parent, output)
            if isinstance(folder, str):
                raise OptionError(f"{folder} is a data set, which has no sub-folders: leave --each out.")
            for path in sub_folders(folder, apart):
                location = f"{parent.rstrip('/')}/{path.name}" if isinstance(parent, str) else path
                yield location, functools.partial(Path, path)


Opener = Callable[[PathOrUrl, dict[str, Any]], "OpenedFolder"]


def folder_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``PATH…`` and ``--each`` to a command and passes them as one ``folders`` record."""

    @click.argument("paths", metavar="[PATH]...", nargs=-1, type=FolderOrUrl(exists=True, dataset=True))
    @click.option(
        "--each",
        metavar="DIR",
        multiple=True,
        type=FolderOrUrl(exists=True),
        help="Every sub-folder of DIR: one method's edits in each.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click passes options
        paths: tuple[PathOrUrl, ...],
        each: tuple[PathOrUrl, ...],
        **kwargs: Any,  # noqa: ANN401 - click passes options
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        if not paths and not each:
            raise click.UsageError("Missing argument 'PATH'.")
        return command(*args, folders=FolderArguments(paths=paths, each=each), **kwargs)

    return wrapped


def refuse_all_failed(folders: Sequence[object], failures: Mapping[PathOrUrl, EvalkitError]) -> None:
    """Raises what is wrong with the folders where it is something with each; what they have in common once.

    Raises:
        EvalkitError: All of them failed.
    """
    if not failures or len(failures) < len(folders):
        return
    first = next(iter(failures.values()))
    messages = {str(failure): None for failure in failures.values()}
    if len(messages) == 1:
        raise first
    said = " ".join(f"{location}: {failure}" for location, failure in failures.items())
    raise type(first)(f"None of the {len(failures)} folders can be used. {said}") from first


def show_failures(failures: Mapping[PathOrUrl, EvalkitError], output: Output) -> None:
    """The folders of several that could not be used, each with the reason, for a person."""
    if failures:
        output.line(f"Left out ({counted(len(failures), 'folder')}):")
    for location, failure in failures.items():
        output.line(f"  {location}: {failure}")


def _opened(path: PathOrUrl, options: FolderOptions, opener: "Opener | None") -> "OpenedFolder":
    """A folder; one that holds several methods' is refused with the command that scores or checks each.

    Raises:
        EvalkitError: It cannot be understood.
    """
    from evalkit.benchmarks.method_folders import explains_little, method_folders
    from evalkit.benchmarks.open import open_edits
    from evalkit.errors import LayoutError

    named = asdict(options)
    failure: LayoutError | None = None
    try:
        opened = opener(path, named) if opener else open_edits(path, **named)
        if not explains_little(opened.folder):
            return opened
    except LayoutError as error:
        failure = error
    methods = method_folders(path, named) if isinstance(path, Path) else []
    if len(methods) < 2:
        if failure:
            raise failure
        return opened
    raise LayoutError(
        f"{path} holds a folder for each of {len(methods)} methods: {', '.join(method.name for method in methods)}. "
        f"Type: {same_command('--each', path, without=('paths', 'each'))}"
    ) from failure
