"""The options that say where work is done, shared by every command that has long work."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from evalkit.engine.base import Engine
    from evalkit.engine.open import EngineName


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What the user said about where work is done."""

    name: "EngineName"
    address: str | None
    workers: int | None

    @contextmanager
    def open(self, device: str) -> "Iterator[Engine]":
        """The engine, whose workers compute on that device and end with the block."""
        from evalkit.engine.open import open_engine

        with open_engine(self.name, device=device, address=self.address, workers=self.workers) as engine:
            yield engine


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the engine options to a command and passes them as one ``engine`` record."""

    @click.option(
        "--engine",
        "name_of_engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Where the work is done: this process, or workers on Ray.",
    )
    @click.option("--address", metavar="HOST:PORT", help="A Ray cluster.  [default: RAY_ADDRESS, or this machine]")
    @click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Workers on Ray.  [default: one per GPU, or per OMP_NUM_THREADS cores]",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click passes options
        name_of_engine: "EngineName",
        address: str | None,
        workers: int | None,
        **kwargs: Any,  # noqa: ANN401 - click passes options
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        return command(*args, engine=EngineOptions(name=name_of_engine, address=address, workers=workers), **kwargs)

    return wrapped
