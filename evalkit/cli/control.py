"""The controls of a benchmark, made by ``evalkit edit`` as if they were methods."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from evalkit.cli.items import ItemOptions
from evalkit.cli.output import Output

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark

_OF_METHODS = ("seeds", "model", "changes", "device", "dtype", "artefacts")
"""Parameters of ``evalkit edit`` that a control has no use for: it is one edit of each item, without a model."""


def make_control(name: str, benchmark: "Benchmark", wanted: ItemOptions, directory: Path, output: Output) -> None:
    """Write a control's edit folder, and say so; one that was written of fewer items is widened.

    Raises:
        UnknownNameError: The benchmark has no such control.
        OptionError: An option does not apply to a control, or the folder holds something else.
        BenchmarkError: The benchmark's files are not there.
    """
    import numpy as np

    from evalkit.benchmarks.controls import require_control, write_control
    from evalkit.errors import OptionError
    from evalkit.storage.atomic import finish_update, names_in_folder

    if benchmark.items:  # before anything is fetched
        require_control(name, benchmark)
    _refuse_options_of_methods(name)
    try:
        finish_update(directory)
        before = _items_of(directory, name, benchmark)
        if not before and names_in_folder(directory):
            raise OptionError(f"{directory} is not empty. Name another folder for the control: --output DIR")
        loaded = benchmark.load(wanted.data)
        asked = {*before, *(item.item_id for item in wanted.part_of(loaded.items))}
        items = [item for item in loaded.items if item.item_id in asked]
        write_control(name, loaded, directory, rng=np.random.default_rng(0), items=items)
    except OSError as failure:
        where = failure.filename or directory
        raise OptionError(f"{where} cannot be written: {failure.strerror}. Name another: --output DIR") from failure
    output.json({"method": name, "folder": str(directory), "n_edited": len(items)})
    output.line(f"The control {name} of {benchmark.title}: {len(items)} edits")
    output.line(f"Wrote {directory}")


def _refuse_options_of_methods(name: str) -> None:
    from evalkit.errors import OptionError

    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name in _OF_METHODS:
            raise OptionError(
                f"{name} is a control: one edit of each item, without a model. Leave {parameter.opts[0]} out."
            )


def _items_of(directory: Path, name: str, benchmark: "Benchmark") -> set[str]:
    """The items of a folder that holds the edits of this control; none of any other."""
    from evalkit.edits.asked import read_asked
    from evalkit.edits.manifest import MANIFEST_NAME, read_manifest

    asked = read_asked(directory)
    if not asked or not (directory / MANIFEST_NAME).is_file():
        return set()
    manifest = read_manifest(directory)
    return set(asked) if (manifest.method, manifest.benchmark) == (name, benchmark.name) else set()
