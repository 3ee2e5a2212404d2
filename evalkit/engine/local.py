"""The local engine: one worker, in this process."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from evalkit.engine.base import Lost, Result, Runner, Unit, Work


class LocalEngine:
    """Does the work here and now; units are begun in order, as many at a time as the work allows.

    Args:
        device: Where to compute.
    """

    distributed = False

    def __init__(self, device: str = "auto") -> None:
        self.device = device

    def start(self, work: Work[Unit, Result]) -> Runner[Unit, Result]:
        """Loads the model, on all cores of this machine, and gives what does the units."""
        do = work.open(threads=os.cpu_count() or 1)

        def run(units: Iterable[Unit]) -> Iterator[tuple[Unit, Result | Lost]]:
            if work.concurrency == 1:  # results are handed on one by one
                for unit in units:
                    for result in do(unit):
                        yield unit, result
                return
            waiting: deque[tuple[Unit, Future[list[Result]]]] = deque()
            with ThreadPoolExecutor(work.concurrency) as pool:
                for unit in units:
                    waiting.append((unit, pool.submit(lambda unit: list(do(unit)), unit)))
                    if len(waiting) > work.concurrency:
                        yield from _first(waiting)
                while waiting:
                    yield from _first(waiting)

        return run

    def close(self) -> None:
        """Nothing: this process goes on."""


def _first(waiting: deque[tuple[Unit, Future[list[Result]]]]) -> Iterator[tuple[Unit, Result | Lost]]:
    unit, future = waiting.popleft()
    for result in future.result():
        yield unit, result
