"""The local engine: one worker, in this process."""

from collections.abc import Iterable, Iterator

from evalkit.engine.base import Lost, Result, Runner, Unit, Work


class LocalEngine:
    """Does the work here and now, unit by unit; results are handed on one by one.

    Args:
        device: Where to compute.
        threads: Processor cores to be used.
    """

    distributed = False

    def __init__(self, device: str = "auto", threads: int = 1) -> None:
        self.device = device
        self._threads = threads

    def start(self, work: Work[Unit, Result]) -> Runner[Unit, Result]:
        """Loads the model."""
        do = work.open(threads=self._threads)

        def run(units: Iterable[Unit]) -> Iterator[tuple[Unit, Result | Lost]]:
            for unit in units:
                for result in do(unit):
                    yield unit, result

        return run

    def close(self) -> None:
        """There is nothing to end."""
