"""``evalkit check``: what is wrong with a folder, without a model."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.inputs import FolderOptions, FolderOrUrl, PathOrUrl, folder_options, read_from, summary
from evalkit.cli.output import ExitCode, Output, output_options

if TYPE_CHECKING:
    from evalkit.benchmarks.open import OpenedFolder
    from evalkit.edits.folder import EditFolder
    from evalkit.edits.item import Problem

NOTICES_SHOWN = 5


@click.command(
    cls=EvalkitCommand,
    examples=[
        "evalkit check outputs/ --sources photos/ --captions captions.csv",
    ],
)
@click.argument("location", metavar="PATH", type=FolderOrUrl(exists=True))
@folder_options
@click.option("--decode/--no-decode", default=True, help="Decode the images, or look at headers and bytes only.")
@output_options
def check(location: PathOrUrl, *, folder_options: FolderOptions, decode: bool, output: Output) -> None:
    """List what is wrong with the edited images in PATH; no model is loaded.

    Exits with 3 if there are problems. Notices, which are handled by a documented rule, do not count.
    """
    from evalkit.edits.check import check_folder
    from evalkit.edits.problems import is_notice

    opened = _opened(read_from(location, output), folder_options, output)
    folder = opened.folder
    with output.progress() as progress:
        problems = check_folder(folder, decode=decode, progress=progress)
    grave = [problem for problem in problems if not is_notice(problem)]
    minor = [problem for problem in problems if is_notice(problem)]
    if output.as_json:
        output.json(as_json(folder, problems))
    output.line(summary(location, folder))
    output.problems("Problems", grave, shown=len(grave))
    output.problems("Notices", minor, shown=NOTICES_SHOWN)
    if not problems:
        output.line("Nothing is wrong with it.")
    if grave:
        sys.exit(ExitCode.PROBLEMS)


def as_json(folder: "EditFolder", problems: "Sequence[Problem]") -> dict[str, Any]:
    """What ``evalkit check --json`` prints."""
    from evalkit.edits.problems import is_notice, shown

    return {
        "folder": shown(folder.root, Path()),
        "layout": folder.layout,
        "benchmark": folder.benchmark,
        "method": folder.method,
        "n_items": folder.n_items,
        "n_edited": folder.n_edited,
        "n_files": folder.n_files,
        "n_matched": folder.n_matched,
        "problems": [
            {
                "code": problem.code,
                "severity": "notice" if is_notice(problem) else "problem",
                "item_id": problem.item_id,
                "path": shown(problem.path, folder.root) if problem.path else None,
                "message": problem.message,
            }
            for problem in problems
        ],
    }


def _opened(path: Path, options: FolderOptions, output: Output) -> "OpenedFolder":
    """The folder, with the benchmark's own images if they can be had: much can be checked without them."""
    from evalkit.benchmarks.open import open_edits
    from evalkit.errors import BenchmarkError

    try:
        return open_edits(path, **asdict(options))
    except BenchmarkError as failure:
        if options.data is not None:
            raise
        output.note(f"{failure} What needs a source image is not checked.")
        return open_edits(path, **asdict(options), with_images=False)
