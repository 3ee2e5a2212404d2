"""``evalkit edit``: runs a method over a benchmark, or over the user's own pictures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.control import make_control
from evalkit.cli.engine import EngineOptions, engine_options
from evalkit.cli.inputs import FolderPlace, PathOrUrl, written_to
from evalkit.cli.output import ExitCode, Output, names_in, output_options

if TYPE_CHECKING:
    from evalkit.editing import Edited
    from evalkit.editing.method import MethodCard, MethodRun, Precision
    from evalkit.edits.item import EditItem

_SHOWN = 5
"""Failures that are named."""
DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("method")
@click.option("--benchmark", metavar="NAME", help="What to edit: evalkit list benchmarks.")
@click.option("--data", metavar="DIR", type=DIRECTORY, help="A local copy of the benchmark's own files.")
@click.option("--sources", metavar="DIR", type=DIRECTORY, help="Your own source images, instead of a benchmark.")
@click.option("--captions", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Their CSV or JSONL.")
@click.option(
    "--output",
    "target",
    type=FolderPlace(),
    required=True,
    help="The edit folder; one that was begun goes on.",
)
@click.option("--seeds", default="0", show_default=True, metavar="S,S", help="One edit of each item per seed.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first items.")
@click.option("--items", metavar="ID,ID", help='Only these items; "*" and "?" stand for other characters.')
@click.option(
    "--model", help="Base model: Hub identifier, directory, or miniature.  [default: the benchmark's, card's]"
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
    benchmark: str | None,
    data: Path | None,
    sources: Path | None,
    captions: Path | None,
    target: PathOrUrl,
    seeds: str,
    limit: int | None,
    items: str | None,
    model: str | None,
    changes: tuple[str, ...],
    device: str,
    dtype: "Precision",
    artefacts: Path | None,
    engine: EngineOptions,
    output: Output,
) -> None:
    """Edit every item with METHOD, or a control of the benchmark, and write an edit folder.

    Killed and started again, it goes on. An item that fails is recorded with its reason; the others go on.
    """
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.benchmarks.controls import CONTROLS
    from evalkit.editing import edit_folder
    from evalkit.editing.method import METHODS, checked_card
    from evalkit.edits.sources import source_items
    from evalkit.errors import OptionError

    chosen = BENCHMARKS.get(benchmark)() if benchmark and not sources and not captions else None
    if chosen and method not in METHODS.names() and method in {*CONTROLS, *chosen.controls}:
        with written_to(target, output) as directory:
            make_control(method, chosen, data, directory, output)
        return
    adapter = METHODS.get(method)
    card = checked_card(adapter, registered=method)
    if model and not card.base_model:
        output.note(f"{card.title} has no base model: --model {model} is not used.")
    device = device if card.base_model or device != "auto" else "cpu"
    device = _device(device) if engine.name == "local" and device != "cpu" else device
    run = _run(card, model or (chosen.default_model if chosen else ""), changes, device, dtype, artefacts)
    if chosen:
        found = chosen.load(data).items
    elif sources and captions and not benchmark and not data:
        found = source_items(sources, captions)
    else:
        raise OptionError("Say what to edit: either --benchmark NAME, or --sources DIR with --captions FILE.")
    picked = _picked(found, items, limit)
    with (
        written_to(target, output) as directory,
        output.progress() as progress,
        _guarded(directory, output),
        engine.open(device) as opened,
    ):
        done = edit_folder(
            adapter,
            picked,
            directory,
            run=replace(run, device=opened.device),
            benchmark=benchmark,
            seeds=_seeds(seeds),
            keep_sources=not chosen,
            engine=opened,
            progress=progress,
        )
    output.json(_plain(card, run, done))
    kept = f", {done.n_kept} kept from before" if done.n_kept else ""
    charged = "".join(f", charged {cost:.4g} {currency}" for currency, cost in done.costs.items())
    output.line(f"{card.title}: {done.n_edited} edits in {done.seconds:.1f} s{charged}{kept}")
    output.first([f"{item.label} failed: {item.reason}" for item in done.failures], _SHOWN, indent=2)
    output.line(f"Wrote {target}")
    missing = " --missing floor" if done.failures else " --missing intersect" if chosen and (items or limit) else ""
    output.line(f"Next: evalkit score {target}{missing}")
    if done.failures:
        sys.exit(ExitCode.PROBLEMS)


@contextmanager
def _guarded(directory: Path, output: Output) -> Iterator[None]:
    """While a method runs: what it prints is not the command's result, and with --debug its failures are shown whole.

    Raises:
        OptionError: The folder cannot be written.
    """
    import logging

    from evalkit.errors import OptionError

    if output.debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("evalkit").setLevel(logging.DEBUG)
    try:
        with redirect_stdout(sys.stderr):
            yield
    except OSError as failure:
        raise OptionError(
            f"{failure.filename or directory} cannot be written: {failure.strerror}. What was edited is kept. "
            f"Make room, or name another place with --output."
        ) from failure


def _run(
    card: "MethodCard", model: str, changes: tuple[str, ...], device: str, dtype: "Precision", artefacts: Path | None
) -> "MethodRun":
    """The base model and the settings that the user, the benchmark or the card asks for, in this order."""
    from evalkit.editing.method import MINIATURE, MethodRun
    from evalkit.errors import OptionError

    if not card.base_model:
        model = ""
    elif model == MINIATURE and card.miniature is None:
        raise OptionError(
            f"The method {card.name} cannot edit with the miniature model. Name real weights: --model {card.base_model}"
        )
    chosen = {}
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError(f"A setting must look like KEY=VALUE; got '{text}'.")
        chosen[name.strip()] = value
    return MethodRun(
        model=model or card.base_model,
        revision=card.revision if card.base_model and model in ("", card.base_model) else None,
        settings=card.values(miniature=model == MINIATURE, chosen=chosen),
        device=device,
        dtype=dtype,
        artefacts=artefacts,
    )


def _device(name: str) -> str:
    from evalkit.encoders.network import resolve_device

    return str(resolve_device(name))


def _picked(items: "tuple[EditItem, ...]", listed: str | None, limit: int | None) -> "tuple[EditItem, ...]":
    """The items that the user named, the first of them if there is a limit."""
    from evalkit.errors import OptionError
    from evalkit.registry import nearest

    patterns = names_in(listed)
    ids = [item.item_id for item in items]
    for pattern in patterns:
        if not any(_fits(item_id, pattern) for item_id in ids):
            near = nearest(pattern, ids) or f"The first are: {', '.join(ids[:5])}."
            raise OptionError(f"No item is called '{pattern}'. {near.strip()}")
    picked = [item for item in items if not patterns or any(_fits(item.item_id, pattern) for pattern in patterns)]
    return tuple(picked[:limit])


def _fits(item_id: str, pattern: str) -> bool:
    return item_id == pattern or fnmatchcase(item_id, pattern.replace("[", "[[]"))


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
