"""Work of known cost and known faults for engines, and runs that are killed.

``python -m tests.support.engines edit|score FOLDER OUTPUT ADDRESS WORKERS LAST`` works on Ray and is killed when so
many edits are made, or images encoded.
"""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control
from evalkit.benchmarks.open import open_edits
from evalkit.editing import Edited, edit_folder
from evalkit.editing.method import MethodRun, Setting
from evalkit.edits.manifest import MANIFEST_NAME
from evalkit.engine.base import Engine, Lost
from evalkit.engine.open import open_engine
from evalkit.errors import EncoderError
from evalkit.scores.run import ScoredRun
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.storage.prefetch import Progress, no_progress
from tests.support.toys import CARD, Toy, toy_items

SEEDS = (0, 1)
METRICS = ("clip_score", "clip_directional_similarity", "edit_success", "l1", "ssim", "l1_background")
BATCH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores:
    """Units are texts that say what is to be done: ``sleep 0.1``, ``die``, ``die once FILE``, ``raise``, ``refuse``.

    The result is the text with the process that did it.
    """

    concurrency: int = 1
    log: Path | None = None
    """Where each unit is noted when it is begun."""
    fault: str = ""
    """What happens at the start."""

    def open(self, *, threads: int) -> Callable[[str], Iterator[tuple[str, int]]]:
        """There is no model."""
        if self.fault:
            self._do(self.fault)

        def do(unit: str) -> Iterator[tuple[str, int]]:
            if self.log:
                note(self.log, unit)
            self._do(unit)
            yield unit, os.getpid()

        return do

    def _do(self, unit: str) -> None:
        order, *rest = unit.split()
        if order == "sleep":
            time.sleep(float(rest[0]))
        elif order == "raise":
            raise RuntimeError("an error in the work")
        elif order == "refuse":
            raise EncoderError("The weights are not there.")
        elif order == "die":
            if rest:
                try:
                    Path(rest[1]).touch(exist_ok=False)
                except FileExistsError:
                    return
            os.kill(os.getpid(), signal.SIGKILL)


class Posted:
    """An engine whose one worker is this process, which everything reaches by post, as it would another machine.

    Args:
        deadly: Whether a unit kills all workers that it is given.
    """

    distributed = True
    device = "cpu"

    def __init__(self, deadly: Callable[[Any], bool] = lambda _unit: False) -> None:
        self._deadly = deadly

    def start(self, work: Any) -> Callable[[Iterable[Any]], Iterator[tuple[Any, Any]]]:
        """Opens a copy of the work."""
        do = posted(work).open(threads=2)

        def run(units: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
            for unit in units:
                if self._deadly(unit):
                    yield unit, Lost("3 workers died of it, one after the other")
                else:
                    yield from ((unit, posted(result)) for result in do(posted(unit)))

        return run

    def close(self) -> None:
        """There is nothing to end."""


def posted(value: Any) -> Any:
    """What comes out at the other end."""
    return pickle.loads(pickle.dumps(value))


def note(log: Path, text: str) -> None:
    """One more line in a file that several processes write."""
    with log.open("a") as file:
        file.write(f"{text}\n")


class Slow(Toy):
    """A toy that takes its time, notes each edit with its process, and dies of poison."""

    card = replace(
        CARD,
        name="slow",
        settings={
            **CARD.settings,
            "log": Setting(default="", summary="Where edits are noted.", shapes_edits=False),
            "together": Setting(default=1, summary="Processes that must have begun.", shapes_edits=False),
            "pause": Setting(default=0.1, summary="Seconds that an edit takes.", shapes_edits=False),
        },
    )

    def edit(self, item, fitted, *, seed):
        """The toy's."""
        if self.settings["log"]:
            log = Path(self.settings["log"])
            note(log, f"{item.item_id} {seed} {os.getpid()}")
            while len({line.split()[-1] for line in log.read_text().splitlines()}) < self.settings["together"]:
                time.sleep(0.02)
        if "poison" in item.target_caption:
            os.kill(os.getpid(), signal.SIGKILL)
        if "bug" in item.target_caption:
            raise ValueError("the method has a bug")
        time.sleep(self.settings["pause"])
        return super().edit(item, fitted, seed=seed)


def edited(
    folder: Path,
    output: Path,
    engine: Engine | None = None,
    *,
    log: Path | None = None,
    pause: float = 0.1,
    together: int = 1,
    progress: Progress = no_progress,
    captions: dict[str, str] | None = None,
) -> Edited:
    """Edits twelve items of six sources with two seeds: twelve units of two edits."""
    items = [
        replace(item, target_caption=(captions or {}).get(item.item_id, item.target_caption))
        for item in toy_items(folder, 12, 6)
    ]
    settings = Slow.card.values(miniature=False) | {"log": str(log or ""), "pause": pause, "together": together}
    run = MethodRun(model="", revision=None, settings=settings)
    return edit_folder(Slow, items, output, run=run, benchmark="toys", seeds=SEEDS, engine=engine, progress=progress)


def shapes_edits(folder: Path, n_items: int) -> Path:
    """An edit folder of the shapes benchmark, with the wrong attribute edited."""
    shapes = BENCHMARKS.get("shapes")()
    write_control("wrong_attribute", shapes.load(), folder, rng=np.random.default_rng(0))
    lines = (folder / MANIFEST_NAME).read_text().splitlines(keepends=True)
    (folder / MANIFEST_NAME).write_text("".join(lines[:n_items]))
    return folder


def scored(folder: Path, output: Path, engine: Engine | None = None, *, progress: Progress = no_progress) -> ScoredRun:
    """Scores a folder of the shapes benchmark through the miniature encoder."""
    opened = open_edits(folder, benchmark="shapes")
    options = ScoreOptions(metrics=METRICS, encoder="miniature", device="cpu", missing="intersect", batch_size=BATCH)
    return score_into(output, opened.folder, options, engine=engine, progress=progress)


def dying(last: int) -> Progress:
    """A watcher that kills its process, as the kernel does it, when so much is done."""

    def progress(what: str, done: int, total: int) -> None:
        if what in ("edits", "encoding images") and done >= last:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


if __name__ == "__main__":
    task, folder, output, address, workers, last = sys.argv[1:]
    with open_engine("ray", device="cpu", address=address, workers=int(workers)) as engine:
        {"edit": edited, "score": scored}[task](Path(folder), Path(output), engine, progress=dying(int(last)))
