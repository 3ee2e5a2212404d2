"""The project's own entries of the leaderboard: controls of a new protocol, and every adapter in the miniature world.

::

    python -m tests.studies.project_entries shapes/v1 --controls         # identity, shuffled_source, reference, …
    python -m tests.studies.project_entries shapes/v1 --methods all      # every adapter, in the miniature world
    python -m tests.studies.project_entries shapes/v1 --summaries        # after a change of how intervals are made

Edits that are there already (``--work``) are used; a run that was killed goes on. An entry that is there is left as
it is. What entries of controls and of published edits await later is added by
``evalkit leaderboard fill``.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evalkit.benchmarks.base import LoadedBenchmark
from evalkit.benchmarks.controls import CONTROLS, controls_of, write_control
from evalkit.benchmarks.protocols import Protocol
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MINIATURE, MethodCard, MethodRun
from evalkit.leaderboard.protocol import covered_benchmark, get_protocol
from evalkit.leaderboard.records_io import file_digest, write_json
from evalkit.leaderboard.store import ENTRY_FILE, VERIFICATION_FILE, Leaderboard
from evalkit.leaderboard.submit import submit
from evalkit.metrics.base import METRICS
from evalkit.scores.run import RECORD, write_run
from evalkit.scoring.summaries import summarize
from tests.studies.shapes_v2 import tried_methods

SUBMITTER = {"name": "The evalkit maintainers", "relationship": "third_party"}
OURS = {"licence": "Apache-2.0", "pictures_licence": "Apache-2.0"}
"""Pictures are shown only where the benchmark's licence allows it, too."""


def controls(protocol: Protocol, loaded: LoadedBenchmark, work: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each control's folder and what its card says."""
    for name in controls_of(loaded.benchmark):
        folder = work / name
        if not (folder / "metadata.jsonl").exists():
            write_control(name, loaded, folder, rng=np.random.default_rng(0))
        summary = CONTROLS.get(name) or str(loaded.benchmark.controls[name].__doc__).strip().splitlines()[0]
        card = {"name": name, "title": name.replace("_", " ").capitalize(), "summary": summary, "kind": "control"}
        declared = {"deterministic": True, "uses": [], "saw_benchmark": "no", "settings": {}}
        yield folder, submission(protocol, card | OURS, declared)


def methods(protocol: Protocol, loaded: LoadedBenchmark, work: Path, names: list[str]) -> Iterator[Any]:
    """Each adapter's folder, edited here in the miniature world, and what its card says."""
    for name in names:
        method = METHODS.get(name)
        card, folder = method.card, work / name
        settings = card.values(miniature=True, chosen={})
        run = MethodRun(model=loaded.benchmark.default_model, revision=None, settings=settings)
        edit_folder(method, loaded.items, folder, run=run, benchmark=loaded.benchmark.name)
        yield folder, submission(protocol, described(card), declared_by(card, run))


def described(card: MethodCard) -> dict[str, Any]:
    """The leaderboard's card of an adapter."""
    return {
        "name": card.name,
        "title": card.title,
        "summary": card.summary,
        "paper": card.paper,
        "base_model": MINIATURE,
        "licence": card.licence,
        "pictures_licence": OURS["pictures_licence"],
    }


def declared_by(card: MethodCard, run: MethodRun) -> dict[str, Any]:
    """What an adapter's card and settings say for its submission: one edit per item, by one setting for all.

    Only Text2LIVE may choose among several tries, by the CLIP that guides it.
    """
    tries = run.settings.get("tries", 1)
    return {
        "selection": "best_of_n" if tries > 1 else "none",
        "attempts_per_item": tries,
        "deterministic": False,
        "uses": sorted({*card.needs, *card.takes}),
        # The settings for the miniature world were chosen on this benchmark.
        "saw_benchmark": "yes",
        "settings": {"model": run.model, **run.settings},
    }


def submission(protocol: Protocol, card: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """The content of ``METHOD.yaml``."""
    usual = {"per_item_tuning": "no", "selection": "none", "attempts_per_item": 1}
    return {"protocol": protocol.name, "method": card, "declarations": usual | declared, "submitter": SUBMITTER}


def write_entry(folder: Path, content: dict[str, Any], board: Leaderboard, asked: argparse.Namespace) -> None:
    """Submit one folder, unless its entry is there."""
    path = board.entry_path(content["protocol"], content["method"]["name"])
    if (path / ENTRY_FILE).exists():
        print(f"{path}: is there")
        return
    if (known := board.card_path(content["method"]["name"])).exists():
        content = content | {"method": yaml.safe_load(known.read_text(encoding="utf-8"))}
    card = folder.with_suffix(".yaml")
    card.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    metrics = [name for name in asked.metrics.split(",") if name]
    entry = submit(folder, card, board, metrics=metrics, data=asked.data).entry
    means = ", ".join(f"{name} {summary.mean}" for name, summary in entry.metrics.items())
    print(f"{entry.path}: {means}", flush=True)


def summarize_again(board: Leaderboard, protocol: str) -> None:
    """Bring the means and intervals that the entries record in line with their scores, and the digests with them."""
    for entry in board.entries(protocol):
        record = entry.run.record
        summaries = {
            name: summarize(METRICS.get(name), entry.run.table, held.signature, record.level)
            for name, held in record.metrics.items()
        }
        write_run(entry.path, replace(entry.run, record=record.model_copy(update={"metrics": summaries})))
        digest = {"run_sha256": file_digest(entry.path / RECORD)}
        write_json(entry.path / ENTRY_FILE, entry.record.model_copy(update=digest))
        if entry.verification:
            write_json(entry.path / VERIFICATION_FILE, entry.verification.model_copy(update=digest))
        print(entry.path, flush=True)


def main() -> None:
    """Fill a board."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol")
    parser.add_argument("--controls", action="store_true")
    parser.add_argument("--summaries", action="store_true", help="recompute what is recorded of the entries' scores")
    parser.add_argument("--methods", default="", help="names with commas between them, or all")
    parser.add_argument("--metrics", default="", help="some of the protocol's")
    parser.add_argument("--data", type=Path, help="the benchmark's own files")
    parser.add_argument("--work", type=Path, default=Path("build/leaderboard"))
    parser.add_argument("--leaderboard", type=Path, default=Path("leaderboard"))
    asked = parser.parse_args()
    protocol = get_protocol(asked.protocol)
    if asked.summaries:
        summarize_again(Leaderboard(asked.leaderboard), protocol.name)
        return
    loaded, work = covered_benchmark(protocol).load(asked.data), asked.work / asked.protocol
    names = [name for name in tried_methods() if name not in CONTROLS] if asked.methods == "all" else []
    names = names or [name for name in asked.methods.split(",") if name]
    folders = chain(controls(protocol, loaded, work) if asked.controls else (), methods(protocol, loaded, work, names))
    for folder, content in folders:
        write_entry(folder, content, Leaderboard(asked.leaderboard), asked)


if __name__ == "__main__":
    sys.exit(main())
