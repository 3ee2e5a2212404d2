"""Folders on the command line: a path, or a URL of which a local copy is used."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.completion import completed
from evalkit.cli.output import Output, names_in
from evalkit.formatting import abridged

PathOrUrl = str | Path
"""A URL, or a path."""


class FolderOrUrl(click.ParamType):  # type: ignore[type-arg]  # it has a type in new versions of click only
    """A folder by its path, which may have to exist, or by a URL.

    Args:
        exists: Whether the path must lead to a folder; a URL is looked at when it is used.
        dataset: Whether it may be the Parquet file of a data set.
    """

    name = "directory or URL"

    def __init__(self, *, exists: bool = False, dataset: bool = False) -> None:
        self._path = click.Path(exists=exists, file_okay=False, path_type=Path)
        self._file = click.Path(exists=exists, path_type=Path) if dataset else self._path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PathOrUrl:  # noqa: ANN401
        """The URL as it is, or the path."""
        from evalkit.storage.paths import is_url

        if isinstance(value, str) and is_url(value):
            return value
        kind = self._file if str(value).lower().endswith(".parquet") else self._path
        return kind.convert(value, param, ctx)


def read_from(location: PathOrUrl, output: Output) -> PathOrUrl:
    """The folder, or the local copy of what is behind a URL, brought up to date; a data set stays where it is.

    Raises:
        RemoteError: The URL cannot be read.
    """
    from evalkit.edits.datasets import is_dataset, is_hub

    if isinstance(location, Path) or (is_hub(location) and is_dataset(location)):
        return location
    with output.progress() as progress:
        return _remote(location).pull(progress)


def runs_from(runs: Iterable[str], output: Output) -> list[str]:
    """What runs are to be compared, ``[NAME=]RUN``, with local copies in place of URLs.

    Raises:
        RemoteError: A URL cannot be read.
    """
    from evalkit.storage.paths import is_url

    found = []
    for run in runs:
        name, equals, location = ("", "", run) if is_url(run) else run.partition("=")
        found.append(f"{name}{equals}{read_from(location, output)}" if is_url(location) else run)
    return found


@contextmanager
def written_to(location: PathOrUrl, output: Output) -> Iterator[Path]:
    """The folder; or a local copy of what is behind a URL, kept equal while the block writes to it.

    Raises:
        RemoteError: The URL cannot be read or written.
    """
    if isinstance(location, Path):
        yield location
        return
    remote = _remote(location)
    with output.progress() as progress:
        remote.pull(progress, required=False)
    with remote.kept_up() as folder:
        yield folder


def _remote(url: str) -> "Remote":
    """The folder behind a URL, whose manifest and run record say what the other files hold."""
    from evalkit.edits.manifest import MANIFEST_NAME, RECIPE_NAME
    from evalkit.scores.run import RECORD
    from evalkit.storage.remote import Remote

    return Remote(url, index=MANIFEST_NAME, beside=(RECIPE_NAME,), last=(MANIFEST_NAME, RECORD))


if TYPE_CHECKING:
    from evalkit.edits.folder import EditFolder
    from evalkit.scores.columns import ColumnNames
    from evalkit.storage.remote import Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions:
    """What the user said about a folder."""

    benchmark: str | None
    data: Path | None
    sources: PathOrUrl | None
    captions: Path | None
    pattern: tuple[str, ...]
    source_pattern: str | None
    mapped: str
    strip: str | None
    split: str | None
    config: str | None


SOURCES_HELP = "Source images, for a folder without a benchmark; or a data set: a Parquet file, hf://OWNER/NAME."
CAPTIONS_HELP = (
    "What was edited: a table (CSV, Excel, JSON, JSON Lines, YAML, Parquet), or a folder with a text file per image. "
    "Known headings: evalkit list headings."
)
MAP_HELP = (
    "A column of the captions, or of the data set, by its heading, such as target_caption=HEADING; can be repeated."
)
STRIP_HELP = "What the panels of each file are, such as source,edited, where it is a strip of several images."
PATTERN_HELP = 'How files are named: "{item_id}", "{source}", "{target_caption}", "{seed}" and "*"; can be repeated.'


def folder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the folder options to a command and passes them as one ``folder_options`` record."""
    existing = click.Path(exists=True, path_type=Path)

    @click.option(
        "-b",
        "--benchmark",
        metavar="NAME",
        shell_complete=completed("benchmarks"),
        help="What was edited; inferred from the manifest or the file names.",
    )
    @click.option(
        "--data",
        metavar="DIR|FILE",
        type=click.Path(exists=True, path_type=Path),
        help="A local copy of the benchmark's own files.",
    )
    @click.option("--sources", type=FolderOrUrl(exists=True, dataset=True), help=SOURCES_HELP)
    @click.option("--captions", type=existing, help=CAPTIONS_HELP)
    @click.option("--map", "mapped", metavar="FIELD=HEADING", multiple=True, help=MAP_HELP)
    @click.option("--pattern", metavar="P", multiple=True, help=PATTERN_HELP)
    @click.option(
        "--source-pattern", metavar="P", help="How source images are named, in --sources or beside the edits."
    )
    @click.option("--split", metavar="NAME", help="Of the data set in PATH or --sources.")
    @click.option("--config", metavar="NAME", help="The configuration of the data set in PATH or --sources.")
    @click.option("--strip", metavar="A,B", help=STRIP_HELP)
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click passes options
        mapped: tuple[str, ...],
        **kwargs: Any,  # noqa: ANN401 - click passes options
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        given = {field.name: kwargs.pop(field.name) for field in fields(FolderOptions) if field.name != "mapped"}
        chosen = FolderOptions(**given, mapped="\n".join(mapped))
        return command(*args, folder_options=chosen, **kwargs)

    return wrapped


def summary(location: "Path | str", folder: "EditFolder") -> str:
    """What was recognised, in one line."""
    location = abridged(str(location))
    owner = f" of {folder.benchmark}" if folder.benchmark else ""
    found = f"{folder.n_edited} of {len(folder.items)} edited images found"
    if folder.layout == "dataset":
        return f"{location}: a data set{owner}; {found}."
    n_all = len(folder.benchmark_items)
    asked = f"; it was asked to hold {folder.n_items} of the {n_all} items" if folder.n_items < n_all else ""
    return (
        f"{location}: {folder.layout} layout{owner}; {folder.n_matched} of {folder.n_files} image files matched, "
        f"{found}{asked}."
    )


_COLUMN_OPTIONS = (
    click.option("--item-column", metavar="A,B", help="Tables: the column that names the items, or those that do."),
    click.option("--method-column", metavar="NAME", help="Tables: the column that names the method."),
    click.option(
        "--method-columns", metavar="A,B", help="Tables: columns that are methods, with a score of each item."
    ),
    click.option("--seed-column", metavar="NAME", help="Tables: the column with the seed."),
    click.option("--metric-column", metavar="NAME", help="Long tables: the column that names the metric."),
    click.option("--value-column", metavar="NAME", help="Long tables: the column with the value."),
    click.option(
        "--items-are",
        type=click.Choice(["outer", "inner"]),
        help="JSON and YAML: which names of {a: {b: x}} are the items.",
    ),
    click.option(
        "--groups", metavar="NAME|FILE", help="Tables: the column of groups; or a table of items and groups; or none."
    ),
)


HUMAN_COLUMN_HELP = "The column of labels in --human, more is better.  [default: the only one of numbers]"
HUMAN_MAP_HELP = (
    "A column of --human by its heading: item=HEADING, or method, rater, group, metric, value; can be repeated."
)


def human_options(about: str, others: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the options that name what people said, and hands on ``human``, ``human_column`` and ``human_columns``.

    Args:
        about: The help of ``--human``.
        others: What ``--map`` names without ``--human``, for a command that hands that on as ``mapped``.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--human", type=click.Path(exists=True, dir_okay=False, path_type=Path), help=about)
        @click.option("--human-column", metavar="NAME", help=HUMAN_COLUMN_HELP)
        @click.option(
            "--map", "mapped", metavar="PART=HEADING", multiple=True, help=f"{HUMAN_MAP_HELP} {others}".strip()
        )
        @functools.wraps(command)
        def wrapped(
            *args: Any,  # noqa: ANN401 - click passes options
            human: Path | None,
            human_column: str | None,
            mapped: tuple[str, ...],
            **kwargs: Any,  # noqa: ANN401 - click passes options
        ) -> Any:  # noqa: ANN401 - whatever the command returns
            if human is None and (human_column or (mapped and not others)):
                raise click.UsageError("--human-column and --map say how to read --human FILE: give it, too.")
            of_people: dict[str, Any] = {"human": human, "human_column": human_column, "human_columns": None}
            if human is not None:
                of_people["human_columns"], mapped = _mapped_columns(mapped), ()
            return command(*args, **of_people, **({"mapped": mapped} if others else {}), **kwargs)

        return wrapped

    return add


def _mapped_columns(mapped: tuple[str, ...]) -> "ColumnNames | None":
    """The columns of options ``PART=HEADING``."""
    from evalkit.scores.columns import GUESSES, ColumnNames

    parts = (*GUESSES, "rater")
    found: dict[str, Any] = {}
    for text in mapped:
        part, _, heading = text.partition("=")
        if part not in parts or not heading:
            raise click.BadParameter(
                f"expected PART=HEADING with one of {', '.join(parts)}, got '{text}'.", param_hint="--map"
            )
        found[part] = heading
    return ColumnNames(**found) if found else None


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say which column is what, and hands on ``columns`` and ``groups``."""

    @functools.wraps(command)
    def wrapped(*args: Any, groups: str | None, **kwargs: Any) -> Any:  # noqa: ANN401 - click passes options
        from evalkit.scores.columns import ColumnNames

        file = Path(groups) if groups is not None and Path(groups).is_file() else None
        named = {part: kwargs.pop(f"{part}_column") for part in ("item", "method", "seed", "metric", "value")}
        columns = ColumnNames(
            **named,
            group=groups if file is None else None,
            methods=tuple(names_in(kwargs.pop("method_columns"))),
            items_are=kwargs.pop("items_are"),
        )
        return command(*args, columns=columns, groups=file, **kwargs)

    for option in reversed(_COLUMN_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
