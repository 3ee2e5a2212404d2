"""The controls of a benchmark, made by ``evalkit edit`` as if they were methods."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from evalkit.cli.output import Output

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark

_WHOLE = ("seeds", "limit", "items", "model", "changes", "device", "dtype", "artefacts")
"""Parameters of ``evalkit edit`` that a control has no use for: it is all items, once, without a model."""


def make_control(name: str, benchmark: "Benchmark", data: Path | None, directory: Path, output: Output) -> None:
    """Write a control's edit folder, and say so.

    Raises:
        UnknownNameError: The benchmark has no such control.
        OptionError: An option does not apply to a control, or the folder holds something already.
        BenchmarkError: The benchmark's files are not there.
    """
    import numpy as np

    from evalkit.benchmarks.controls import require_control, write_control
    from evalkit.errors import OptionError
    from evalkit.storage.atomic import finish_update, names_in_folder

    if benchmark.items:  # before anything is fetched
        require_control(name, benchmark)
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name in _WHOLE:
            option = parameter.opts[0]
            raise OptionError(f"{name} is a control: all items, once, without a model. Leave {option} out.")
    try:
        finished = finish_update(directory) and _is_control(directory, name, benchmark)
        if not finished and names_in_folder(directory):
            raise OptionError(f"{directory} is not empty. Name another folder for the control: --output DIR")
        loaded = benchmark.load(data)
        if not finished:
            write_control(name, loaded, directory, rng=np.random.default_rng(0))
    except OSError as failure:
        where = failure.filename or directory
        raise OptionError(f"{where} cannot be written: {failure.strerror}. Name another: --output DIR") from failure
    n_edited = len(loaded.items)
    output.json({"method": name, "folder": str(directory), "n_edited": n_edited})
    output.line(f"The control {name} of {benchmark.title}: {n_edited} edits")
    output.line(f"Wrote {directory}")
    output.line(f"Next: evalkit score {directory}")


def _is_control(directory: Path, name: str, benchmark: "Benchmark") -> bool:
    """Whether a folder, whose writer was killed at the very end, holds the edits of a control."""
    from evalkit.edits.manifest import read_manifest

    manifest = read_manifest(directory)
    return (manifest.method, manifest.benchmark) == (name, benchmark.name)
