"""``evalkit check``: what is wrong with folders, without a model."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.folders import FolderArguments, NamedFolder, folder_arguments, show_failures
from evalkit.cli.inputs import FolderOptions, PathOrUrl, folder_options, summary
from evalkit.cli.output import ExitCode, Output, output_options
from evalkit.errors import failures_as_json

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
@folder_arguments
@folder_options
@click.option("--decode/--no-decode", default=True, help="Decode the images, or look at headers and bytes only.")
@output_options
def check(folders: FolderArguments, *, folder_options: FolderOptions, decode: bool, output: Output) -> None:
    """List what is wrong with the edited images in each PATH.

    No model is loaded.

    Exits with 3 if there are problems. Notices, which are handled by a documented rule, do not count.
    """
    from evalkit.edits.problems import is_notice

    found = folders.open(folder_options, output, _opener(folder_options, output))
    checked: list[dict[str, Any]] = []
    grave = False
    for one in found:
        if one.opened:
            problems = _checked(one, one.opened.folder, output, decode=decode)
            checked.append(as_json(one.opened.folder, problems))
            grave = grave or not all(map(is_notice, problems))
    failures = {one.location: one.failure for one in found if one.failure}
    if folders.several:
        output.json({"folders": checked, "failed": failures_as_json(failures)})
        show_failures(failures, output)
    else:
        output.json(checked[0])
    if grave or failures:
        sys.exit(ExitCode.PROBLEMS)


def _checked(one: NamedFolder, folder: "EditFolder", output: Output, *, decode: bool) -> "Sequence[Problem]":
    """What is wrong with a folder, shown."""
    from evalkit.edits.check import check_folder
    from evalkit.edits.problems import is_notice

    with output.progress() as progress:
        problems = check_folder(folder, decode=decode, progress=progress)
    grave = [problem for problem in problems if not is_notice(problem)]
    minor = [problem for problem in problems if is_notice(problem)]
    output.text(summary(one.location, folder), indent="  ")
    output.problems("Problems", grave, shown=len(grave))
    output.problems("Notices", minor, shown=NOTICES_SHOWN)
    if not problems:
        output.line("Nothing is wrong with it.")
    return problems


def as_json(folder: "EditFolder", problems: "Sequence[Problem]") -> dict[str, Any]:
    """What ``evalkit check --json`` prints."""
    from evalkit.edits.problems import is_notice, shown

    return {
        "folder": folder.url or shown(folder.root, Path()),
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


def _opener(options: FolderOptions, output: Output) -> "Callable[[PathOrUrl, dict[str, Any]], OpenedFolder]":
    """Opens a folder with the benchmark's own images if they can be had: much can be checked without them."""
    from evalkit.benchmarks.open import open_edits
    from evalkit.errors import BenchmarkError

    def opened(path: PathOrUrl, named: dict[str, Any]) -> "OpenedFolder":
        try:
            return open_edits(path, **named)
        except BenchmarkError as failure:
            if options.data is not None:
                raise
            found = open_edits(path, **named, with_images=False)  # which raises again if the list of edits is absent
            output.note(f"{failure} What needs a source image is not checked.")
            return found

    return opened
