"""Folders on the command line: a path, or a URL of which a local copy is used."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from evalkit.cli.output import Output

Place = str | Path
"""A URL, or a path."""


class FolderPlace(click.ParamType):  # type: ignore[type-arg]  # it has a type in new versions of click only
    """A folder by its path, which may have to exist, or by a URL.

    Args:
        exists: Whether the path must lead to a folder; a URL is looked at when it is used.
    """

    name = "directory or URL"

    def __init__(self, *, exists: bool = False) -> None:
        self._path = click.Path(exists=exists, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:  # noqa: ANN401
        """The URL as it is, or the path."""
        from evalkit.data.remote import is_url

        return value if isinstance(value, str) and is_url(value) else self._path.convert(value, param, ctx)


def read_from(place: Place, output: Output) -> Path:
    """The folder, or the local copy of what is behind a URL, brought up to date.

    Raises:
        RemoteError: The URL cannot be read.
    """
    if isinstance(place, Path):
        return place
    from evalkit.data.remote import Remote

    with output.progress() as progress:
        return Remote(place).pull(progress)


def runs_from(runs: Iterable[str], output: Output) -> list[str]:
    """What runs are to be compared, ``[NAME=]RUN``, with local copies in place of URLs.

    Raises:
        RemoteError: A URL cannot be read.
    """
    from evalkit.data.remote import is_url

    found = []
    for run in runs:
        name, equals, place = ("", "", run) if is_url(run) else run.partition("=")
        found.append(f"{name}{equals}{read_from(place, output)}" if is_url(place) else run)
    return found


@contextmanager
def written_to(place: Place, output: Output) -> Iterator[Path]:
    """The folder; or a local copy of what is behind a URL, kept equal while the block writes to it.

    Raises:
        RemoteError: The URL cannot be read or written.
    """
    if isinstance(place, Path):
        yield place
        return
    from evalkit.data.remote import Remote

    remote = Remote(place)
    with output.progress() as progress:
        remote.pull(progress, required=False)
    with remote.kept_up() as folder:
        yield folder
