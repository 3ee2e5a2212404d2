"""The options that say what an edit folder holds, shared by every command that opens one."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from evalkit.data.folder import EditFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions:
    """What the user said about a folder."""

    benchmark: str | None
    data: Path | None
    sources: Path | None
    captions: Path | None
    pattern: str | None


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the folder options to a command and passes them as one ``folder_options`` record."""
    directory = click.Path(exists=True, file_okay=False, path_type=Path)
    file = click.Path(exists=True, dir_okay=False, path_type=Path)

    @click.option("--benchmark", metavar="NAME", help="What was edited; inferred from the manifest or the file names.")
    @click.option("--data", type=directory, help="A local copy of the benchmark's own files.")
    @click.option("--sources", type=directory, help="Source images, for a folder without a benchmark.")
    @click.option("--captions", type=file, help="CSV or JSONL with the captions of each item, to go with --sources.")
    @click.option(
        "--pattern",
        metavar="P",
        help='How files are named: "{item_id}", "{source}", "{target_caption}", "{seed}" and "*".',
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click passes options
        benchmark: str | None,
        data: Path | None,
        sources: Path | None,
        captions: Path | None,
        pattern: str | None,
        **kwargs: Any,  # noqa: ANN401 - click passes options
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        chosen = FolderOptions(benchmark=benchmark, data=data, sources=sources, captions=captions, pattern=pattern)
        return command(*args, folder_options=chosen, **kwargs)

    return wrapped


def summary(place: "Path | str", folder: "EditFolder") -> str:
    """What was recognised, in one line."""
    owner = f" of {folder.benchmark}" if folder.benchmark else ""
    return (
        f"{place}: {folder.layout} layout{owner}; {folder.n_matched} of {folder.n_files} image files matched, "
        f"{folder.n_edited} of {len(folder.items)} edited images found."
    )
