"""``evalkit demo``: the whole way from edits to a verdict, offline, in the miniature world."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.output import Output, output_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.benchmarks.base import Benchmark, LoadedBenchmark
    from evalkit.scores.run import RunRecord

EDITORS = {
    "sdedit": {},
    "plug_and_play": {"inversion_steps": "20"},
    "prompt_to_prompt": {"steps": "10", "null_text_iterations": "1"},
}
"""Editing methods, run with the miniature diffusion model, and what makes them quick enough for a demo."""
CONTROLS = {
    "identity": "The source untouched.",
    "shuffled_source": "Another item's source.",
    "wrong_attribute": "The right attribute with a wrong value.",
    "reference": "Exactly what was asked.",
}
"""Edits whose quality is known before they are scored."""
N_SOURCES = 10
"""The fewest with which the exact test of one pair can pass a correction for all 21."""


@click.command(cls=EvalkitCommand, examples=["evalkit demo --output evalkit_demo"])
@click.option(
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("evalkit_demo"),
    show_default=True,
    help="Where edits and runs are written.",
)
@output_options
def demo(directory: Path, *, output: Output) -> None:
    """Edit, score and compare on the shapes benchmark, offline, with miniature models.

    Three published methods edit for real; four controls, whose quality is known, show what each metric makes of them.
    """
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.comparison.compare import compare
    from evalkit.report.page.render import write_page

    loaded = _part_of(BENCHMARKS.get("shapes")()).load()
    metrics = loaded.benchmark.default_metrics
    records, files = {}, []
    for name in (*CONTROLS, *EDITORS):
        edits, run = directory / "edits" / name, directory / "runs" / name
        _make_edits(name, loaded, edits, output)
        records[name] = _score(name, loaded, edits, run)
        files.append({"method": name, "edits": str(edits), "run": str(run)})
    comparison = compare([file["run"] for file in files], metrics=metrics)
    page = directory / "report.html"
    write_page(comparison, page)
    output.json(
        {"runs": {name: record.model_dump() for name, record in records.items()}, "files": files, "report": str(page)}
    )
    _show_runs(records, loaded, output)
    for pair in comparison.pairs:
        if pair.metric == metrics[0] and {pair.a, pair.b} <= {*EDITORS, "identity"}:
            output.line(pair.sentence)
    _show_notes(records, output)
    for file in files:
        output.line(f"Wrote {file['edits']} and {file['run']}")
    output.line(f"Wrote {page}: open it in a browser")
    output.line("Next: evalkit edit sdedit --benchmark shapes --output edits    or: evalkit check YOUR_FOLDER")


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
    from evalkit.editing.method import METHODS, MINIATURE, MethodRun

    if name in CONTROLS:
        write_control(name, loaded, folder, rng=np.random.default_rng(0))
        return
    method = METHODS.get(name)
    run = MethodRun(model=MINIATURE, revision=None, settings=method.card.values(miniature=True, chosen=EDITORS[name]))
    with output.progress() as progress:
        edit_folder(method, loaded.items, folder, run=run, benchmark=loaded.benchmark.name, progress=progress)


def _score(name: str, loaded: "LoadedBenchmark", edits: Path, run: Path) -> "RunRecord":
    """The record of the edits' run."""
    from evalkit.benchmarks.open import OpenedFolder
    from evalkit.edits.open import open_folder
    from evalkit.scoring.score import score

    opened = OpenedFolder(folder=open_folder(edits, expected=loaded.expected), benchmark=loaded.benchmark)
    return score(opened, run, name=name).record


def _show_runs(records: "Mapping[str, RunRecord]", loaded: "LoadedBenchmark", output: Output) -> None:
    """The means of all runs, and what each method is."""
    from evalkit.editing.method import METHODS
    from evalkit.report.runs import runs_table

    shapes = loaded.benchmark
    output.table(runs_table(records, f"{len(shapes.items)} edits of {shapes.n_groups} pictures of {shapes.title}"))
    for name in records:
        output.line(f"  {name}: {CONTROLS[name] if name in CONTROLS else METHODS.get(name).card.summary}")
    output.line()


def _show_notes(records: "Mapping[str, RunRecord]", output: Output) -> None:
    """What is to be known about the runs, each note once."""
    from evalkit.report.runs import run_notes, signature_lines

    output.line()
    for note in run_notes(*records.values()):
        output.text(f"  {note}", indent="    ")
    for line in signature_lines(records.values()):
        output.line(f"  {line}")
    output.line()
