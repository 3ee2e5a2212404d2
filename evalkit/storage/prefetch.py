"""Work on many inputs: in a few threads, in batches, with memory that does not grow, and told how far it is."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Progress(Protocol):
    """What is told how far some work is."""

    def __call__(self, what: str, done: int, total: int, /) -> None:
        """Called now and then.

        Args:
            what: What is being done, such as ``reading images``.
            done: How many are done.
            total: How many there are.
        """


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def prefetch(
    pool: ThreadPoolExecutor, function: Callable[[T], R], inputs: Iterable[T], window: int
) -> Iterator[tuple[T, R]]:
    """``function`` over ``inputs`` in the pool, in order, with at most ``window`` results waiting to be taken."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    source = iter(inputs)
    for value in islice(source, window):
        waiting.append((value, pool.submit(function, value)))
    while waiting:
        value, future = waiting.popleft()
        result = future.result()
        for following in islice(source, 1):
            waiting.append((following, pool.submit(function, following)))
        yield value, result


def in_batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of ``size``, the last one shorter.

    >>> list(in_batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    source = iter(values)
    while batch := list(islice(source, size)):
        yield batch
