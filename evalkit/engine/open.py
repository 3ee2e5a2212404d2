"""``open_engine``: from the options of a command to an engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from evalkit.engine.base import Engine
from evalkit.engine.local import LocalEngine
from evalkit.errors import OptionError

EngineName = Literal["local", "ray"]


@contextmanager
def open_engine(
    name: EngineName = "local", *, device: str = "auto", address: str | None = None, workers: int | None = None
) -> Iterator[Engine]:
    """An engine, whose workers end with the block.

    Args:
        name: ``local``: this process. ``ray``: the workers of a Ray cluster.
        device: Where workers compute. On Ray ``auto`` is ``cuda`` if the cluster has a GPU.
        address: Of a Ray cluster; that of ``RAY_ADDRESS`` by default, and without either a Ray of its own.
        workers: On Ray; by default one per GPU or, on processors, per as many cores as it has threads.

    Raises:
        OptionError: An option that the local engine has no use for, or a device that workers cannot be given.
        EngineError: Ray is not installed, does not answer, or has no room for a worker.
    """
    engine: Engine
    if name == "ray":
        from evalkit.engine.ray import RayEngine

        engine = RayEngine(device=device, address=address, workers=workers)
    elif address is not None or workers is not None:
        option = "--workers" if address is None else "--address"
        raise OptionError(f"{option} is for workers on Ray. Add: --engine ray")
    else:
        engine = LocalEngine(device)
    try:
        yield engine
    finally:
        engine.close()
