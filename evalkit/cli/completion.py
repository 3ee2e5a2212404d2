"""``evalkit completion``: what makes a shell complete commands, options and names; and the names that it completes."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from evalkit.cli.command import EvalkitCommand

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command(
    cls=EvalkitCommand, examples=["evalkit completion bash >> ~/.bashrc", "evalkit completion fish | source"]
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete what is typed.

    Commands, options, metrics, methods, benchmarks, protocols and runs are completed.
    """
    found = get_completion_class(shell)
    if found is None:  # a version of click without it
        ctx.fail(f"This version of click completes nothing in {shell}.")
    click.echo(found(ctx.find_root().command, {}, "evalkit", "_EVALKIT_COMPLETE").source())


def completed(kind: str) -> Complete:
    """Completes an option that takes names, or names with commas between them.

    Args:
        kind: ``metrics``, ``methods``, ``benchmarks``, ``protocols`` or ``runs``.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
        before, comma, last = incomplete.rpartition(",")
        found = [f"{before}{comma}{name}" for name in _names(kind) if name.startswith(last)]
        items = [CompletionItem(name) for name in found]
        return [*items, CompletionItem(incomplete, type="file")] if kind == "runs" else items

    return complete


def _names(kind: str) -> Iterable[str]:
    if kind == "runs":
        from evalkit.scores.run import RECORD, RUNS

        return (str(path.parent) for path in sorted(RUNS.glob(f"*/{RECORD}")))
    if kind == "metrics":
        from evalkit.metrics.base import METRICS

        return METRICS.names()
    if kind == "methods":
        from evalkit.benchmarks.controls import CONTROLS
        from evalkit.editing.method import METHODS

        return [*METHODS.names(), *CONTROLS]
    if kind == "benchmarks":
        from evalkit.benchmarks.base import BENCHMARKS

        return BENCHMARKS.names()
    from evalkit.benchmarks.protocols import PROTOCOLS

    return PROTOCOLS.names()
