"""The Ray engine: workers are actors, each with the model in memory and, where there are GPUs, with one of its own.

Placement, restarts and moving to other machines are Ray's. What is decided here: which unit goes to which worker, never
more than it can have in hand, so that neither units nor results heap up and none waits behind a slow one; and what
becomes of the units of a worker that died. Each is tried again with a worker to itself, so that one unit that kills its
worker ruins no other; after :data:`TRIES` workers it is given up.
"""

import logging
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.engine.base import Lost, Result, Runner, Unit, Work
from evalkit.engine.placement import Placement, place_workers
from evalkit.errors import EngineError, EvalkitError

TRIES = 3
"""Workers that a unit may kill before it is given up, and that may die while they load before no more are started."""
PATIENCE = 30.0
"""Seconds without any worker after which the user is told what is waited for."""
_CONNECT = 5.0
"""Seconds for a machine to answer; Ray itself tries for minutes."""
_THREADS = "OMP_NUM_THREADS"
_LOG = logging.getLogger(__name__)


class RayEngine:
    """Does the work on a Ray cluster.

    Args:
        device: What workers compute on; see :func:`evalkit.engine.placement.place`.
        address: Of the cluster (``host:port``, or ``auto`` for the one that this machine is part of); by default
            ``RAY_ADDRESS``, or a Ray of this machine that lives as long as the engine.
        workers: How many.

    Raises:
        EngineError: Ray is not installed, does not answer, or has no GPU where one was asked for.
        OptionError: One certain GPU was asked for.
    """

    distributed = True

    def __init__(self, *, device: str = "auto", address: str | None = None, workers: int | None = None) -> None:
        self._connected = _connect(address)
        self._crew: _Crew | None = None
        try:
            self._placement = place_workers(_nodes(), device=device, workers=workers, threads=_own_threads)
        except EvalkitError:
            self.close()
            raise
        self.device = self._placement.device

    def start(self, work: Work[Unit, Result]) -> Runner[Unit, Result]:
        """Workers that have begun, at least one of them; those of other work end."""
        if self._crew is None or self._crew.work != work or self._crew.ended:
            if self._crew:
                self._crew.end()
            self._crew = _Crew(work, self._placement)
            self._crew.wait()
        return self._crew.run

    def close(self) -> None:
        """Ends the workers, and Ray if it was started for them."""
        import ray

        if self._crew:
            self._crew.end()
        if self._connected:
            ray.shutdown()


def _connect(address: str | None) -> bool:
    """Connects this process to Ray, unless it is; says whether that was to be done."""
    try:
        import ray
    except ImportError as failure:
        raise EngineError(
            f'The engine ray needs a package that is not installed ({failure}). Install it: pip install "ray>=2.49"'
        ) from failure
    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _require_listener(address)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ImportError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as failure:
        raise EngineError(f"Ray at {address} cannot be used: {' '.join(str(failure).split())}") from failure
    return True


def _require_listener(address: str) -> None:
    """Raises an EngineError where nothing listens; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        if address in ("local", "auto"):
            return
        raise EngineError(f"Expected the address of a Ray cluster, such as ray-head:6379, got '{address}'.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()
    except (OSError, OverflowError) as failure:
        raise EngineError(
            f"No Ray answers at {address} ({failure}). Start one there: ray start --head --port={port}. Without "
            f"--address and RAY_ADDRESS, evalkit starts a Ray of its own on this machine."
        ) from failure


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _own_threads() -> int:
    """How many threads this process computes with."""
    wanted = os.environ.get(_THREADS, "").partition(",")[0].strip()
    if "torch" not in sys.modules and wanted.isdecimal() and int(wanted):
        return int(wanted)
    import torch

    return torch.get_num_threads()


class _Worker:
    """What lives in an actor."""

    def __init__(self, work: Work[Any, Any], threads: int, directory: str) -> None:
        self._work = work
        self._threads = threads
        self._do: Callable[[Any], Iterable[Any]] | None = None
        self._lock = threading.Lock()
        os.environ[_THREADS] = str(threads)  # Ray has set what was reserved
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
        with suppress(OSError):  # so that relative names mean the same where directories are shared
            os.chdir(directory)

    def start(self) -> EvalkitError | None:
        """Loads the model if that has not been done; None, or what ends the run."""
        try:
            self._opened()
        except EvalkitError as failure:
            return failure
        return None

    def do(self, unit: Any) -> list[Any] | EvalkitError:  # noqa: ANN401 - whatever the work's units are
        """All results of a unit, or what ends the run."""
        try:
            return list(self._opened()(unit))
        except EvalkitError as failure:
            return failure

    def _opened(self) -> Callable[[Any], Iterable[Any]]:
        with self._lock:
            self._do = self._do or self._work.open(threads=self._threads)
            return self._do


@dataclass(slots=True, eq=False)
class _Attempt:
    """A unit on its way, and how many workers died of it, or beside it."""

    unit: Any
    deaths: int = 0


class _Fresh:
    """Units that nobody has been given, drawn one ahead."""

    def __init__(self, units: Iterable[Any]) -> None:
        self._attempts = (_Attempt(unit) for unit in units)
        self.following = next(self._attempts, None)

    def take(self) -> _Attempt | None:
        """The following one."""
        taken, self.following = self.following, next(self._attempts, None)
        return taken


@dataclass(slots=True, eq=False)
class _Hand:
    """An actor: what it has in hand, and whether it has begun."""

    actor: Any
    beginning: Any
    """The answer that tells that it has, as long as that is waited for."""
    deaths: int = 0
    """In a row, while it was loading."""
    held: dict[Any, _Attempt] = field(default_factory=dict)

    def has_room(self, already: int) -> bool:
        """Whether it may be given a unit beside so many; a suspect has its worker to itself."""
        suspected = any(attempt.deaths for attempt in self.held.values())
        return self.beginning is None and not suspected and len(self.held) <= already

    def give(self, attempt: _Attempt) -> None:
        """One more unit in hand."""
        self.held[self.actor.do.remote(attempt.unit)] = attempt


class _Crew:
    """The workers for some work."""

    def __init__(self, work: Work[Any, Any], placement: Placement) -> None:
        import ray

        self.work = work
        self._placement = placement
        self._explained = False
        self._remote = ray.remote(_Worker).options(
            num_cpus=placement.cpus,
            num_gpus=placement.gpus,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=work.concurrency,
            scheduling_strategy="SPREAD",
        )
        self._hands = [_Hand(*self._begun()) for _ in range(placement.workers)]

    def _begun(self) -> tuple[Any, Any]:
        actor = self._remote.remote(self.work, self._placement.threads, str(Path.cwd()))
        return actor, actor.start.remote()

    @property
    def ended(self) -> bool:
        """Whether there are no workers any more."""
        return not self._hands

    def wait(self) -> None:
        """Returns when a worker has begun.

        Raises:
            EvalkitError: The model cannot be had, or workers die of it.
        """
        try:
            while all(hand.beginning is not None for hand in self._hands):
                self._listen()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Ends the workers at once."""
        import ray

        for hand in self._hands:
            with suppress(ray.exceptions.RayError):
                ray.kill(hand.actor)
        self._hands = []

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """The results of all units; those that a worker had in hand when it died are done again."""
        fresh, suspects = _Fresh(units), deque[_Attempt]()
        try:
            while self._hand_out(fresh, suspects):
                done = self._listen()
                if done is None:
                    continue
                attempt, results = done
                if results is not None:
                    yield from ((attempt.unit, result) for result in results)
                elif attempt.deaths < TRIES:
                    suspects.append(attempt)
                else:
                    yield attempt.unit, Lost(f"{attempt.deaths} workers died of it, one after the other")
        finally:
            if any(hand.held for hand in self._hands):  # nobody waits any more for what they do
                self.end()

    def _hand_out(self, fresh: "_Fresh", suspects: deque[_Attempt]) -> bool:
        """Gives units to whoever has room, suspects where there is nothing else; says whether anything is left."""
        for already in range(self.work.concurrency):  # nobody gets a second one before all have one
            for hand in self._hands:
                if hand.has_room(already) and (attempt := fresh.take()):
                    hand.give(attempt)
        for hand in self._hands:
            if suspects and hand.beginning is None and not hand.held:
                hand.give(suspects.popleft())
        return bool(fresh.following or suspects) or any(hand.held for hand in self._hands)

    def _listen(self) -> tuple[_Attempt, list[Any] | None] | None:
        """The next answer: of a unit with its results, None for them if its worker died; or None for anything else."""
        import ray

        waited = {ref: hand for hand in self._hands for ref in (hand.beginning, *hand.held) if ref is not None}
        ready, _ = ray.wait(list(waited), num_returns=1, timeout=PATIENCE)
        if not ready:
            self._explain_silence()
            return None
        hand = waited[ready[0]]
        answer = _answer_of(ready[0])
        if ready[0] == hand.beginning:
            self._begin(hand, answer)
            return None
        attempt = hand.held.pop(ready[0])
        if isinstance(answer, list):
            return attempt, answer
        attempt.deaths += 1
        if hand.beginning is None:  # Ray starts the actor anew, here or elsewhere; it gets units when it has begun
            hand.beginning = hand.actor.start.remote()
        return attempt, None

    def _begin(self, hand: _Hand, failure: Exception | list[Any] | None) -> None:
        import ray

        hand.beginning = None
        if failure is None:
            hand.deaths = 0
            return
        hand.deaths += 1
        with suppress(ray.exceptions.RayError):
            ray.kill(hand.actor)
        if hand.deaths < TRIES or hand.held:
            hand.actor, hand.beginning = self._begun()
            return
        self._hands.remove(hand)
        if not self._hands:
            raise EngineError(f"No worker can be started; the last one said: {_last_line(failure)}")

    def _explain_silence(self) -> None:
        if not self._explained and all(hand.beginning is not None for hand in self._hands):
            self._explained = True
            place_workers = self._placement
            _LOG.warning(
                "No worker has begun yet: either they are still loading, or the cluster has no room. Each takes "
                "%g of its cores and %g of its GPUs; what it has, and what is in use: ray status",
                place_workers.cpus,
                place_workers.gpus,
            )


def _answer_of(ref: Any) -> list[Any] | Exception | None:  # noqa: ANN401 - a reference of Ray's
    """What an actor answered, or how it was lost.

    Raises:
        EvalkitError: What ends the run.
        Exception: An error in the work itself, with the traceback of the worker.
    """
    import ray

    try:
        answer: list[Any] | EvalkitError | None = ray.get(ref)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as loss:
        lost: Exception = loss
        return lost
    if isinstance(answer, EvalkitError):
        raise answer
    return answer


def _last_line(failure: object) -> str:
    return str(failure).strip().splitlines()[-1].strip()
