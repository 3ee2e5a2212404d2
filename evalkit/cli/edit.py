"""``evalkit edit``: runs a method over a benchmark, or over the user's own pictures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.command_lines import command_line
from evalkit.cli.completion import completed
from evalkit.cli.control import make_control
from evalkit.cli.engine import EngineOptions, engine_options
from evalkit.cli.inputs import CAPTIONS_HELP, MAP_HELP, FolderOrUrl, PathOrUrl, written_to
from evalkit.cli.items import ItemOptions
from evalkit.cli.output import ExitCode, Output, names_in, output_options

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark
    from evalkit.editing import Edited
    from evalkit.editing.method import Adapter, MethodCard, MethodRun, Precision

_SHOWN = 5
"""Failures that are named."""
OWN_HELP = "Your own source images, instead of a benchmark; or a data set of them: a Parquet file, hf://OWNER/NAME."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How the user wants the method to be run."""

    model: str | None
    changes: tuple[str, ...]
    device: str
    dtype: "Precision"
    artefacts: Path | None


@click.command(
    cls=EvalkitCommand,
    examples=[
        "evalkit edit sdedit --benchmark shapes --seeds 0,1 --output edits/sdedit",
        "evalkit edit sdedit --sources photos/ --captions captions.csv --output edits/photos",
    ],
)
@click.argument("method", shell_complete=completed("methods"))
@click.option(
    "-b",
    "--benchmark",
    metavar="NAME",
    shell_complete=completed("benchmarks"),
    help="What to edit: evalkit list benchmarks.",
)
@click.option(
    "--data",
    metavar="DIR|FILE",
    type=click.Path(exists=True, path_type=Path),
    help="A local copy of the benchmark's own files.",
)
@click.option("--sources", metavar="DIR", type=FolderOrUrl(exists=True, dataset=True), help=OWN_HELP)
@click.option("--captions", type=click.Path(exists=True, path_type=Path), help=CAPTIONS_HELP)
@click.option("--map", "mapped", metavar="FIELD=HEADING", multiple=True, help=MAP_HELP)
@click.option("--split", metavar="NAME", help="Of the data set in --sources.")
@click.option("--config", metavar="NAME", help="The configuration of the data set in --sources.")
@click.option(
    "-o",
    "--output",
    "target",
    type=FolderOrUrl(),
    required=True,
    help="The edit folder; one that was begun goes on.",
)
@click.option("--seeds", default="0", metavar="S,S", help="One edit of each item per seed.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first items; score then misses no others.")
@click.option("--items", metavar="ID,ID", help='Only these items; "*" and "?" stand for other characters.')
@click.option(
    "--model",
    help="Base model: Hub identifier, directory, or miniature (:v2).  [default: the benchmark's, card's]",
)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="A setting; evalkit list methods names them."
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:<index> or mps.")
@click.option("--dtype", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", help="The network's precision.")
@click.option(
    "--keep-artefacts",
    "artefacts",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep what is optimised (embeddings, weights) in DIR, and use again what is there.",
)
@engine_options
@output_options
def edit(
    method: str,
    *,
    target: PathOrUrl,
    seeds: str,
    engine: EngineOptions,
    output: Output,
    **options: Any,  # noqa: ANN401 - click passes options
) -> None:
    """Edit every item with METHOD, and write an edit folder.

    METHOD may be a control of the benchmark, too, such as shuffled_source.

    Killed and started again, it goes on. An item that fails is recorded with its reason; the others go on.
    """
    from evalkit.benchmarks.controls import CONTROLS
    from evalkit.editing.method import METHODS

    wanted = ItemOptions(**{field.name: options.pop(field.name) for field in fields(ItemOptions)})
    how = ModelOptions(**options)
    benchmark = wanted.of_benchmark
    with written_to(target, output) as directory:
        if benchmark and method not in METHODS.names() and method in {*CONTROLS, *benchmark.controls}:
            make_control(method, benchmark, wanted, directory, output)
            output.line(_next(target, wanted))
            return
        adapter = METHODS.get(method)
        card = adapter.card
        run = _run(card, how, benchmark, engine, output)
        done = _edited(adapter, run, wanted, _seeds(seeds), directory, engine, output)
    _show(card, run, done, target, output)
    output.line(_next(target, wanted, *(["--missing", "floor"] if done.failures else [])))
    if done.failures:
        sys.exit(ExitCode.PROBLEMS)


def _edited(
    adapter: "type[Adapter[Any]]",
    run: "MethodRun",
    wanted: ItemOptions,
    seeds: tuple[int, ...],
    directory: Path,
    engine: EngineOptions,
    output: Output,
) -> "Edited":
    from evalkit.editing import edit_folder

    items = wanted.chosen(output.note)
    with output.progress() as progress, _guarded(directory, output), engine.open(run.device) as opened:
        return edit_folder(
            adapter,
            items,
            directory,
            run=replace(run, device=opened.device),
            benchmark=wanted.of_benchmark.name if wanted.of_benchmark else None,
            seeds=seeds,
            keep_sources=not wanted.benchmark,
            engine=opened,
            progress=progress,
        )


def _next(target: PathOrUrl, wanted: ItemOptions, *more: str) -> str:
    """What to type next; whoever scores must know of a card of the user's own, and of a benchmark's files."""
    name = wanted.of_benchmark.name if wanted.of_benchmark else None
    own = ["--benchmark", str(wanted.benchmark)] if name != wanted.benchmark else []
    data = ["--data", str(wanted.data)] if wanted.data else []
    return f"Next: {command_line('score', target, *own, *data, *more)}"


def _show(card: "MethodCard", run: "MethodRun", done: "Edited", target: PathOrUrl, output: Output) -> None:
    output.json(_plain(card, run, done))
    kept = f", {done.n_kept} kept from before" if done.n_kept else ""
    charged = "".join(f", charged {cost:.4g} {currency}" for currency, cost in done.costs.items())
    output.line(f"{card.title}: {done.n_edited} edits in {done.seconds:.1f} s{charged}{kept}")
    output.first([f"{item.label} failed: {item.reason}" for item in done.failures], _SHOWN, indent=2)
    output.line(f"Wrote {target}")


@contextmanager
def _guarded(directory: Path, output: Output) -> Iterator[None]:
    """While a method runs: with --debug its failures are shown whole.

    Raises:
        OptionError: The folder cannot be written.
    """
    import logging

    from evalkit.errors import OptionError

    if output.debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("evalkit").setLevel(logging.DEBUG)
    try:
        yield
    except OSError as failure:
        raise OptionError(
            f"{failure.filename or directory} cannot be written: {failure.strerror}. What was edited is kept. "
            f"Make room, or name another place with --output."
        ) from failure


def _run(
    card: "MethodCard", how: ModelOptions, benchmark: "Benchmark | None", engine: EngineOptions, output: Output
) -> "MethodRun":
    """The base model and the settings that the user, the benchmark or the card asks for, in this order."""
    from evalkit.editing.method import MINIATURES, MethodRun
    from evalkit.encoders.network import resolve_device
    from evalkit.errors import OptionError

    if how.model and not card.base_model:
        output.note(f"{card.title} has no base model: --model {how.model} is not used.")
    model = (how.model or (benchmark.default_model if benchmark else "")) if card.base_model else ""
    if model in MINIATURES and card.miniature is None:
        raise OptionError(
            f"The method {card.name} cannot edit with the miniature model. Name real weights: --model {card.base_model}"
        )
    chosen = {}
    for text in how.changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(f"A setting must look like KEY=VALUE; got '{text}'.")
        chosen[name.strip()] = value
    device = how.device if card.base_model or how.device != "auto" else "cpu"
    if engine.name == "local" and device != "cpu":
        device = str(resolve_device(device))
    return MethodRun(
        model=model or card.base_model,
        revision=card.revision if card.base_model and model in ("", card.base_model) else None,
        settings=card.values(miniature=model in MINIATURES, chosen=chosen),
        device=device,
        dtype=how.dtype,
        artefacts=how.artefacts,
    )


def _seeds(text: str) -> tuple[int, ...]:
    from evalkit.errors import OptionError

    try:
        seeds = tuple(dict.fromkeys(int(part) for part in names_in(text)))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        raise OptionError(f"--seeds must be whole numbers from 0, such as 0,1,2; got '{text}'.")
    return seeds


def _plain(card: "MethodCard", run: "MethodRun", done: "Edited") -> dict[str, Any]:
    return {
        "method": card.name,
        "model": run.model,
        "settings": dict(run.settings),
        "folder": str(done.folder),
        "n_edited": done.n_edited,
        "n_kept": done.n_kept,
        "n_failed": len(done.failures),
        "seconds": done.seconds,
        "costs": dict(done.costs),
        "failures": [{"item_id": item.item_id, "seed": item.seed, "reason": item.reason} for item in done.failures],
    }
