"""A toy that optimises: each edit moves a colour towards its caption's, step by step, and notes the steps."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from evalkit.editing.method import Setting
from evalkit.storage import tensors
from tests.support.toys import CARD, RUN, Toy, make, toy_items

N_STEPS = 4


class Trained(Toy):
    """Its artefact is a colour; ``eta`` has nothing to do with it."""

    card = replace(
        CARD,
        name="trained",
        settings={
            "rate": Setting(default=0.5, summary="Share of the way in a step.", lowest=0, highest=1),
            "eta": Setting(default=0.5, summary="Share of the colour.", lowest=0, highest=1),
        },
        miniature=None,
    )

    def load(self, run):
        """Keeps the run, and has taken no step."""
        self.run, self.taken = run, 0
        taken.append(self)

    def edit(self, item, fitted, *, seed):
        """A mean of the source and the colour."""
        made_of = {"caption": item.target_caption, "rate": self.run.settings["rate"], "seed": seed}
        colour = self.run.kept(made_of, lambda: {"colour": self._optimised(item.target_caption, seed)})["colour"]
        eta = self.run.settings["eta"]
        return (1 - eta) * fitted + eta * colour.numpy()

    def _optimised(self, caption, seed):
        goal = torch.rand(3, generator=torch.Generator().manual_seed(sum(caption.encode()) + seed), dtype=torch.float64)
        colour = torch.zeros_like(goal)
        self.run.progress("colour", 0, N_STEPS)
        for step in range(N_STEPS):
            colour += self.run.settings["rate"] * (goal - colour)
            self.taken += 1
            self.run.progress("colour", step + 1, N_STEPS)
        return colour


taken: list[Trained] = []
"""Every one that was loaded."""


def trained_run(keep: Path | None = None, **settings: float):
    """A run of it."""
    return replace(RUN, settings=Trained.card.values(miniature=False) | settings, artefacts=keep)


def steps_of(items, output: Path, **options) -> int:
    """Edits the items and says how many steps of optimisation that took."""
    taken.clear()
    make(Trained, items, output, **options)
    return sum(each.taken for each in taken)


def _die_at(moment: str) -> None:
    """Arranges for this process to be killed at the third item: in a step, or with its artefact half or whole."""

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "in a step":
        original = Trained._optimised
        Trained._optimised = lambda self, *given: die() if self.taken == 2 * N_STEPS else original(self, *given)
        return
    write, written = tensors._write, []

    def last(path, said, tensors):
        if len(written) == 2:
            if moment == "artefact whole":
                write(path, said, tensors)
            else:
                path.with_name(f".{path.name}.{os.getpid()}.1").write_bytes(b"half")
            die()
        written.append(path)
        write(path, said, tensors)

    tensors._write = last


if __name__ == "__main__":
    sources, output, when = sys.argv[1:]
    _die_at(when)
    make(Trained, toy_items(Path(sources)), Path(output), run=trained_run(Path(output) / "kept"))
