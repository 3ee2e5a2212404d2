"""What an engine is: it is given work and its units, and gives back results, wherever they were made.

A *unit* is the least that is done, and after a failure done again, as a whole: a batch of images to encode, a source
image with its edits. Units and results are data, with the bytes of files in the place of their paths, so that workers
need not see the files. Whoever asked for the results writes them down: there is one writer.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Unit_contra = TypeVar("Unit_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Work(Protocol[Unit_contra, Result_co]):
    """What workers do. It travels to them, so it is a frozen record of what they need in order to begin."""

    @property
    def concurrency(self) -> int:
        """Units that one worker may have in hand at the same time, each in a thread of its own."""

    def open(self, *, threads: int) -> Callable[[Unit_contra], Iterable[Result_co]]:
        """Loads the model; called once per worker.

        Args:
            threads: Processor cores that are the worker's own.

        Returns:
            From a unit to its results. What is wrong with a unit is a result; what it raises ends the run.

        Raises:
            EvalkitError: The model cannot be had; this ends the run.
        """


@dataclass(frozen=True, slots=True)
class Lost:
    """The result of a unit that ended its worker, and that of others who tried."""

    reason: str
    """One clause for a person."""


Runner = Callable[[Iterable[Unit]], Iterator[tuple[Unit, Result | Lost]]]
"""From units, taken one by one as there is room for them, to each of their results, in any order of the units."""


class Engine(Protocol):
    """A place where work is done."""

    @property
    def device(self) -> str:
        """Where workers compute: ``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``."""

    @property
    def distributed(self) -> bool:
        """Whether workers are other processes, perhaps on other machines."""

    def start(self, work: Work[Unit, Result]) -> Runner[Unit, Result]:
        """Workers that have begun; equal work is given those that are there already.

        Raises:
            EvalkitError: The model cannot be had, or no worker can be started.
        """

    def close(self) -> None:
        """Ends the workers."""
