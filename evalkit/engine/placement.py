"""How many workers a cluster is asked for, and what each is given."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from evalkit.errors import EngineError, OptionError

_DEVICES = ("auto", "cuda", "cpu", "mps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What is asked of a cluster."""

    device: str
    workers: int
    cpus: float
    """Cores that are reserved for each worker."""
    gpus: float
    """GPUs for each worker; a half where two share one."""
    threads: int
    """Of each: on a machine with GPUs its cores divided by its workers; on processors what this process would use."""


def place_workers(
    nodes: Iterable[Mapping[str, float]], *, device: str, workers: int | None, threads: Callable[[], int]
) -> Placement:
    """What to ask of a cluster: one worker per GPU or, on processors, one per so many cores as it has threads.

    Args:
        nodes: What each machine has, by Ray's names, ``CPU`` and ``GPU``.
        device: What the user asked for.
        workers: How many the user asked for; if more than there are GPUs (or cores), several share one.
        threads: Gives the number of threads on processors, which the last digits of results depend on: so it is the
            same however many workers there are, and that of this process.

    Raises:
        OptionError: One certain GPU was asked for.
        EngineError: GPUs were asked for, and there is none.

    >>> place_workers([{"CPU": 64, "GPU": 8}], device="auto", workers=None, threads=lambda: 4)
    Placement(device='cuda', workers=8, cpus=1, gpus=1, threads=8)
    """
    nodes = list(nodes)
    if device not in _DEVICES:
        raise OptionError(f"Device '{device}': Ray gives each worker a GPU of its own. Say which kind: --device cuda")
    with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
    if device == "cuda" or (device == "auto" and with_gpu):
        gpus = [node["GPU"] for node in with_gpu]
        if not gpus and workers is None:
            raise EngineError(
                "The Ray cluster has no GPU. Compute on its processors: --device cpu. If it grows on demand, say how "
                "many workers it shall grow to: --workers N"
            )
        workers = workers or int(sum(map(floor, gpus)))
        share = _share([node.get("CPU", 1) for node in with_gpu], workers)
        each = min(1, _share(gpus, workers))
        return Placement(device="cuda", workers=workers, cpus=min(1, share), gpus=each, threads=max(1, int(share)))
    cores, own = [node.get("CPU", 0) for node in nodes], threads()
    workers = workers or max(1, sum(max(1, int(core) // own) for core in cores if core >= 1))
    device = "cpu" if device == "auto" else device
    return Placement(device=device, workers=workers, cpus=min(own, _share(cores, workers)), gpus=0, threads=own)


def _share(amounts: Sequence[float], workers: int) -> float:
    """The most that every worker can have of what lies divided over machines: whole ones, or an even part of one.

    >>> _share([3, 3], 2), _share([3, 3], 3), _share([2], 3), _share([], 3)
    (3, 1, 0.5, 1)
    """
    for share in range(int(max(amounts, default=0)), 0, -1):
        if sum(floor(amount / share) for amount in amounts) >= workers:
            return share
    total = sum(map(floor, amounts))
    return 1 / ceil(workers / total) if total else 1
