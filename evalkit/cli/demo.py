"""``evalkit demo``: the whole way from edits to numbers, offline, on the miniature world."""

from pathlib import Path
from typing import Any

import click

from evalkit.cli.output import Output, output_options

STORY = {
    "identity": "returns the source untouched",
    "shuffled_source": "returns another item's source",
    "wrong_attribute": "edits the right attribute to a wrong value",
    "reference": "does exactly what was asked",
}


@click.command()
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
    """Edit, score and compare on the shapes benchmark, offline, with the miniature encoder.

    Four control methods whose quality is known edit every item; tables and page show what each metric makes of them.
    """
    import numpy as np

    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.benchmarks.controls import write_control
    from evalkit.benchmarks.open import open_edit_folder
    from evalkit.compare.run import compare_runs
    from evalkit.report.comparison import verdict_sentences
    from evalkit.report.page import write_page
    from evalkit.report.tables import run_notes, runs_table
    from evalkit.scoring.score import score_into

    shapes = BENCHMARKS.get("shapes")()
    root = shapes.locate()
    records = {}
    files: list[dict[str, Any]] = []
    with output.progress() as progress:
        for number, name in enumerate(STORY):
            progress("methods", number, len(STORY))
            edits = write_control(name, shapes, root, directory / "edits" / name, rng=np.random.default_rng(0))
            run = score_into(
                directory / "runs" / name,
                open_edit_folder(edits, benchmark=shapes.name).folder,
                metrics=shapes.default_metrics,
                encoder=shapes.default_encoder,
                name=name,
                benchmark_version=shapes.version,
            )
            records[name] = run.record
            files.append({"method": name, "edits": str(edits), "run": str(directory / "runs" / name)})
        progress("methods", len(STORY), len(STORY))
    comparison = compare_runs([file["run"] for file in files], metrics=shapes.default_metrics)
    page = directory / "report.html"
    write_page(comparison, page)
    output.json(
        {"runs": {name: record.model_dump() for name, record in records.items()}, "files": files, "report": str(page)}
    )
    first = next(iter(records.values()))
    title = f"{len(records)} control methods on {shapes.title}: {first.n_items} edits of {shapes.n_groups} pictures"
    output.table(runs_table(records, title))
    for name, story in STORY.items():
        output.line(f"  {name} {story}")
    output.line()
    for sentence in verdict_sentences(comparison):
        output.line(sentence)
    output.line()
    for note in dict.fromkeys(note for record in records.values() for note in run_notes(record)):
        output.line(f"  {note}")
    output.line()
    for file in files:
        output.line(f"Wrote {file['edits']} and {file['run']}")
    output.line(f"Wrote {page}: open it in a browser")
    output.line(f"Next: evalkit score {files[-1]['edits']}    or your own folder: evalkit check FOLDER")
