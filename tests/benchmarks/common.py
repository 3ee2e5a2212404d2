"""What the benchmarks share: generated folders, real checkpoints, and whole processes timed from outside."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

EDITS_PER_SOURCE = 5
NOUNS = ("dog", "cat", "horse", "car", "tree", "bird", "house", "boat", "cup", "chair")
COLOURS = ("red", "green", "blue", "yellow", "black", "white", "brown", "pink", "grey", "orange")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A process that ended: how long it took and how much memory it held at most."""

    seconds: float
    cpu_seconds: float
    """What it computed itself: the fair figure on a machine that does other things besides."""
    peak_mib: float
    output: str


def picture(rng: np.random.Generator, size: int) -> Image.Image:
    """A smooth random picture with some grain, which a PNG compresses about as well as a photograph's."""
    coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((size, size), Image.BICUBIC)
    grain = rng.normal(0, 4, (size, size, 1))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def make_folder(root: Path, n_edits: int, size: int) -> Path:
    """An edit folder with a manifest: ``n_edits`` PNGs of ``size`` pixels, five edits per source."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    lines = []
    for index in range(n_edits):
        group, number = divmod(index, EDITS_PER_SOURCE)
        noun = NOUNS[group % len(NOUNS)]
        source = f"images/source_{group}.png"
        if number == 0:
            picture(rng, size).save(root / source, compress_level=1)
        edited = f"images/edited_{index}.png"
        picture(rng, size).save(root / edited, compress_level=1)
        line = {
            "item_id": f"item_{index}",
            "source_image_file_name": source,
            "edited_image_file_name": edited,
            "source_caption": f"A photo of a {noun}, number {group}.",
            "target_caption": f"A photo of a {COLOURS[number]} {noun}, number {group}.",
        }
        lines.append(json.dumps(line))
    (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return root


def evalkit(*arguments: str, cache: Path) -> Finished:
    """Run the command as a whole process, with a cache of its own."""
    return process([sys.executable, "-m", "evalkit", *arguments], {"EVALKIT_CACHE": str(cache)})


def process(command: Sequence[str], environment: dict[str, str] | None = None) -> Finished:
    """Run a command to its end; a failure ends the benchmark.

    The peak memory is the operating system's own figure for that one process.
    """
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}, text=True)
    output = child.stdout.read() if child.stdout else ""
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}\n{output}")
    computed = usage.ru_utime + usage.ru_stime
    return Finished(seconds=seconds, cpu_seconds=computed, peak_mib=peak(usage), output=output)


def peak(usage: resource.struct_rusage) -> float:
    """Peak resident memory in MiB; the figure is in KiB on Linux and in bytes on macOS."""
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
