"""The Ray engine: workers are actors, each with the model in memory and, where there are GPUs, with one of its own.

Placement, restarts and moving to other machines are Ray's, and so are retries of the loading of the model. A unit whose
worker died is tried again by whichever worker is free, which Ray's own retries would not do (they wait for the same
actor, whose machine may be gone) and its ``ActorPool`` cannot (it does not say which unit failed). It then has a worker
to itself, so that one unit that kills its worker ruins no other; after :data:`TRIES` workers it is given up.
"""

import logging
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit.engine.base import Lost, Result, Runner, Unit, Work
from evalkit.engine.placement import Placement, place_workers
from evalkit.errors import EngineError, EvalkitError

TRIES = 3
"""Workers that a unit may end before it is recorded as failed, and that may end while they load the model."""
PATIENCE = 30.0
"""Seconds without any worker after which the user is told what is waited for."""
_CONNECT = 5.0
"""Seconds for a machine to answer; Ray itself tries for minutes."""
_THREADS = "OMP_NUM_THREADS"
_END = object()
_LOG = logging.getLogger(__name__)


class RayEngine:
    """Does the work on a Ray cluster.

    Args:
        device: What workers compute on; see :func:`evalkit.engine.placement.place_workers`.
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
        self._pool: _ActorPool | None = None
        try:
            self._placement = place_workers(_nodes(), device=device, workers=workers, threads=_own_threads)
        except EvalkitError:
            self.close()
            raise
        self.device = self._placement.device

    def start(self, work: Work[Unit, Result]) -> Runner[Unit, Result]:
        """Workers that have begun, at least one of them; those of other work end."""
        if self._pool is None or self._pool.work != work or not self._pool.ready:
            if self._pool:
                self._pool.end()
            self._pool = _ActorPool(work, self._placement)
            self._pool.wait_for_one()
        return self._pool.run

    def close(self) -> None:
        """Ends the workers, and Ray if it was started for them."""
        import ray

        if self._pool:
            self._pool.end()
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


class _Actor:
    """A worker: one process with the model."""

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

    def load(self) -> EvalkitError | None:
        """Loads the model if that has not been done; None, or what ends the run."""
        try:
            self._loaded()
        except EvalkitError as failure:
            return failure
        return None

    def do(self, unit: Any) -> list[Any] | EvalkitError:  # noqa: ANN401 - whatever the work's units are
        """All results of a unit, or what ends the run."""
        try:
            return list(self._loaded()(unit))
        except EvalkitError as failure:
            return failure

    def _loaded(self) -> Callable[[Any], Iterable[Any]]:
        with self._lock:
            self._do = self._do or self._work.open(threads=self._threads)
            return self._do


class _ActorPool:
    """The actors for some work, and what each of them is doing.

    Attributes:
        ready: Numbers of the actors that have loaded the model.
        loading: Each call that loads the model, to the actor's number; an actor that died is there again.
        running: Each call that does a unit, to the actor's number and the unit.
    """

    def __init__(self, work: Work[Any, Any], placement: Placement) -> None:
        import ray

        self.work = work
        self._placement = placement
        self._told = False
        actor = ray.remote(_Actor).options(
            num_cpus=placement.cpus,
            num_gpus=placement.gpus,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=work.concurrency,
            scheduling_strategy="SPREAD",
        )
        self._actors = [actor.remote(work, placement.threads, str(Path.cwd())) for _ in range(placement.workers)]
        self.ready: set[int] = set()
        self.loading: dict[Any, int] = {}
        self.running: dict[Any, tuple[int, Any]] = {}
        for number in range(placement.workers):
            self._load(number)

    def wait_for_one(self) -> None:
        """Returns when an actor is ready.

        Raises:
            EvalkitError: The model cannot be had, or every actor dies while it loads.
        """
        try:
            while not self.ready:
                self._next()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Ends the actors at once."""
        import ray

        for actor in self._actors:
            with suppress(ray.exceptions.RayError):
                ray.kill(actor)
        self._actors, self.ready, self.loading, self.running = [], set(), {}, {}

    def run(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
        """The results of all units; a unit that no worker survives has :class:`Lost` in their place."""
        try:
            lost = yield from self._do_each(units, self.work.concurrency)
            for _ in range(TRIES - 1):
                lost = yield from self._do_each(lost, 1)
            for unit in lost:
                yield unit, Lost(f"{TRIES} workers died of it, one after the other")
        finally:
            if self.running:  # nobody waits any more for what they do
                self.end()

    def _do_each(self, units: Iterable[Any], concurrency: int) -> Generator[tuple[Any, Any], None, list[Any]]:
        """Does each unit once, so many at a time on one actor; returns those whose actor died."""
        lost: list[Any] = []
        waiting = iter(units)
        following = next(waiting, _END)
        while following is not _END or self.running:
            while following is not _END and (number := self._free(concurrency)) is not None:
                self.running[self._actors[number].do.remote(following)] = number, following
                following = next(waiting, _END)
            done = self._next()
            if done is None:
                continue
            unit, results = done
            if results is None:
                lost.append(unit)
            else:
                yield from ((unit, result) for result in results)
        return lost

    def _free(self, concurrency: int) -> int | None:
        """The ready actor that has the fewest units, if it can have one more."""
        busy = Counter(number for number, _ in self.running.values())
        number = min(self.ready, key=busy.__getitem__, default=None)
        return number if number is not None and busy[number] < concurrency else None

    def _load(self, number: int) -> None:
        self.ready.discard(number)
        if number not in self.loading.values():
            self.loading[self._actors[number].load.options(max_task_retries=TRIES - 1).remote()] = number

    def _next(self) -> tuple[Any, list[Any] | None] | None:
        """Waits for a call; a unit with its results, None for them if its actor died, or None for any other call."""
        import ray

        done, _ = ray.wait([*self.loading, *self.running], timeout=PATIENCE)
        if not done:
            self._explain_silence()
            return None
        answer = _answer_of(done[0])
        if done[0] in self.loading:
            self._loaded(self.loading.pop(done[0]), answer)
            return None
        number, unit = self.running.pop(done[0])
        if isinstance(answer, list):
            return unit, answer
        self._load(number)  # Ray starts the actor anew, here or elsewhere
        return unit, None

    def _loaded(self, number: int, failure: Exception | list[Any] | None) -> None:
        if failure is None:
            self.ready.add(number)
        elif not self.ready and not self.loading:
            raise EngineError(f"No worker can be started; the last one said: {str(failure).strip().splitlines()[-1]}")

    def _explain_silence(self) -> None:
        if self.ready or self._told:
            return
        self._told = True
        _LOG.warning(
            "No worker has begun yet: either they are still loading, or the cluster has no room. Each takes "
            "%g of its cores and %g of its GPUs; what it has, and what is in use: ray status",
            self._placement.cpus,
            self._placement.gpus,
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
