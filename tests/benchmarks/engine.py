"""What the Ray engine costs: units of a known time over 1, 2 and 4 workers, and units that take no time at all.

Units sleep, so that the figures are of the scheduling and not of the machine's cores.

python tests/benchmarks/engine.py
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import ray

from evalkit.engine.open import open_engine

WORKERS = (1, 2, 4)
PICTURE = 1_000_000
"""Bytes that go out and come back with an edit: a PNG of 1024² and its like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """Work of a known cost, which gives back what it was sent."""

    seconds: float
    concurrency: int = 1

    def open(self, *, threads: int) -> Callable[[bytes], Iterator[bytes]]:
        """There is nothing to load."""

        def do(unit: bytes) -> Iterator[bytes]:
            time.sleep(self.seconds)
            yield unit

        return do


def measure(workers: int, seconds: float, n_units: int, size: int) -> dict[str, float]:
    """Seconds for so many units on so many workers: until the first has begun, and from then on."""
    begun = time.perf_counter()
    with open_engine("ray", device="cpu", workers=workers) as engine:
        run = engine.start(Sleep(seconds=seconds))
        list(run([b""] * 4 * workers))  # every worker has begun
        started = time.perf_counter()
        n_done = sum(1 for _ in run(bytes(size) for _ in range(n_units)))
        wall = time.perf_counter() - started
    if n_done != n_units:
        raise SystemExit(f"{n_done} of {n_units} units are done")
    return {"start_s": round(started - begun, 2), "wall_s": round(wall, 3)}


def main() -> None:
    """Print efficiency and overhead as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2, help="What a unit takes.")
    parser.add_argument("--units", type=int, default=100, help="Units per worker.")
    options = parser.parse_args()
    ray.init("local", num_cpus=max(WORKERS), include_dashboard=False, log_to_driver=False)
    figures: dict[str, dict[str, dict[str, float]]] = {"scheduling": {}, "overhead": {}}
    for workers in WORKERS:
        found = measure(workers, options.seconds, options.units * workers, 0)
        efficiency = options.seconds * options.units / found["wall_s"]
        figures["scheduling"][f"{workers} workers"] = {"efficiency": round(efficiency, 3), **found}
    for workers in WORKERS:
        for name, size in (("nothing", 0), ("1 MB each way", PICTURE)):
            found = measure(workers, 0.0, 1000, size)
            figures["overhead"][f"{workers} workers, 1000 units of {name}"] = found
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
