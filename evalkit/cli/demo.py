"""``evalkit demo``: the whole way from edits to a verdict, offline, in the miniature world."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.output import Output, output_options

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark, LoadedBenchmark
    from evalkit.comparison.records import Comparison
    from evalkit.scores.run import RunRecord

EDITORS = {
    "sdedit": {},
    "plug_and_play": {"inversion_steps": "20"},
    "prompt_to_prompt": {"steps": "10", "null_text_iterations": "1"},
}
"""Editing methods, run with the miniature diffusion model, and what makes them quick enough for a demo."""
CONTROLS = {
    "identity": "the source untouched",
    "drawn_anew": "what the caption says, and nothing else of the source",
    "wrong_attribute": "a wrong value",
    "reference": "exactly what was asked",
}
"""Edits whose quality is known before they are scored."""
N_SOURCES = 10
"""The fewest with which the exact test of one pair can pass a correction for all 21."""


@click.command(cls=EvalkitCommand, examples=["evalkit demo --output evalkit_demo"])
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("evalkit_demo"),
    help="Where edits and runs are written.",
)
@output_options
def demo(directory: Path, *, output: Output) -> None:
    """Edit, score and compare on the shapes benchmark, offline.

    Models are miniature. Three published methods edit for real; four controls, whose quality is known, show what each
    metric makes of them.
    """
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.comparison.compare import compare
    from evalkit.report.page.render import write_page

    loaded = _part_of(BENCHMARKS.get("shapes:v2")()).load()
    metrics = loaded.benchmark.default_metrics
    records, files = {}, []
    for name in (*CONTROLS, *EDITORS):
        edits, run = directory / "edits" / name, directory / "runs" / name
        _make_edits(name, loaded, edits, output)
        records[name] = _score(name, loaded, edits, run)
        files.append({"method": name, "edits": str(edits), "run": str(run)})
    comparison = compare([file["run"] for file in files], metrics=metrics, primary=metrics[:1])
    page = directory / "report.html"
    write_page(comparison, page)
    output.json(
        {"runs": {name: record.model_dump() for name, record in records.items()}, "files": files, "report": str(page)}
    )
    show(comparison, directory, output)


def _part_of(shapes: "Benchmark") -> "Benchmark":
    """One edit of each of the first sources, of the types that every method of the demo claims to do in turn."""
    from dataclasses import replace

    from evalkit.editing.method import METHODS

    claimed = frozenset.intersection(*(METHODS.get(name).card.edit_types or frozenset() for name in EDITORS))
    chosen = []
    for number, group in enumerate(list(dict.fromkeys(item.group for item in shapes.items))[:N_SOURCES]):
        fitting = [item for item in shapes.items if item.group == group and item.edit_type in claimed]
        chosen.append(fitting[number % len(fitting)])
    return replace(shapes, items=tuple(chosen))


def _make_edits(name: str, loaded: "LoadedBenchmark", folder: Path, output: Output) -> None:
    """The edits of a control or of a method."""
    import numpy as np

    from evalkit.benchmarks.controls import write_control
    from evalkit.editing import edit_folder
    from evalkit.editing.method import METHODS, MethodRun

    if name in CONTROLS:
        write_control(name, loaded, folder, rng=np.random.default_rng(0))
        return
    method, model = METHODS.get(name), loaded.benchmark.default_model
    run = MethodRun(model=model, revision=None, settings=method.card.values(miniature=True, chosen=EDITORS[name]))
    with output.progress() as progress:
        edit_folder(method, loaded.items, folder, run=run, benchmark=loaded.benchmark.name, progress=progress)


def _score(name: str, loaded: "LoadedBenchmark", edits: Path, run: Path) -> "RunRecord":
    """The record of the edits' run."""
    from evalkit.benchmarks.open import OpenedFolder
    from evalkit.edits.open import open_folder
    from evalkit.scoring.score import score

    opened = OpenedFolder(folder=open_folder(edits, expected=loaded.expected), benchmark=loaded.benchmark)
    return score(opened, run, name=name).record


def show(comparison: "Comparison", directory: Path, output: Output) -> None:
    """What was found, what was compared, and where all of it is."""
    from evalkit.cli.command_lines import command_line
    from evalkit.cli.compare import show as show_comparison

    show_comparison(comparison, output)
    output.line()
    controls = ", ".join(f"{name} ({what})" for name, what in CONTROLS.items())
    output.text(f"Methods, with a miniature diffusion model: {', '.join(EDITORS)}.")
    output.text(f"Controls, whose quality is known: {controls}.")
    output.line(f"Wrote {directory / 'edits'} and {directory / 'runs'}")
    output.line(f"Wrote {directory / 'report.html'}: open it in a browser")
    runs = [str(directory / "runs" / name) for name in EDITORS]
    output.line(f"Next: {command_line('compare', *runs, '--details')}")
    output.line("  or: evalkit edit sdedit --benchmark shapes:v2 --output edits")
    output.line("  or: evalkit check YOUR_FOLDER")
