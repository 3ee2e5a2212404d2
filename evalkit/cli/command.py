"""What all commands have in common: groups of options, examples, defaults of the project's file, near names."""

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

GROUPS: Mapping[str, tuple[str, ...]] = {
    "What is read": (
        "benchmark", "data", "sources", "captions", "mapped", "pattern", "patterns", "source_pattern", "strip", "split",
        "config", "each", "items", "limit", "seeds", "missing",
    ),
    "What is computed": (
        "encoders", "metrics", "protocol", "judge_spec", "rubrics", "repeats", "model", "changes", "level", "by",
        "primary", "baseline", "margins", "alpha", "test", "correction", "seed",
    ),
    "Columns of other tools' tables": (
        "item_column", "method_column", "seed_column", "metric_column", "value_column", "method_columns", "groups",
        "items_are", "higher_is_better", "lower_is_better",
    ),
    "How it is computed": (
        "device", "dtype", "compiled", "batch_size", "cached", "budget", "concurrency", "judge_settings", "artefacts",
        "name_of_engine", "address", "workers",
    ),
    "What is written": (
        "target", "directory", "output_dir", "name", "to", "figures", "figures_all", "report", "signatures", "details",
    ),
}  # fmt: skip
"""Headings of a long help, each with the parameters below it; the others stand below "Other options"."""
_SHORT = 10
"""Options that need no headings."""


class EvalkitCommand(click.Command):
    """A command whose help groups its options and ends with examples.

    Args:
        examples: EvalkitCommand lines as they are typed.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, below headings where there are many."""
        options = (param for param in self.get_params(ctx) if isinstance(param, click.Option))
        records = [(option.name or "", record) for option in options if (record := option.get_help_record(ctx))]
        if len(records) <= _SHORT:
            super().format_options(ctx, formatter)
            return
        heading_of = {name: heading for heading, names in GROUPS.items() for name in names}
        for heading in (*GROUPS, "Other options"):
            below = [record for name, record in records if heading_of.get(name, "Other options") == heading]
            if below:
                with formatter.section(heading):
                    formatter.write_dl(below)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes what was typed.

        Raises:
            UsageError: It cannot be taken; the message names what was probably meant.
        """
        from evalkit.registry import nearest

        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            options = {
                name.lstrip("-"): name for param in self.get_params(ctx) for name in param.opts if name[:1] == "-"
            }
            near = nearest(fault.option_name.lstrip("-"), options, shown=options)
            raise click.UsageError(f"{fault.message.rstrip('.')}. {near}".strip(), fault.ctx) from fault
        except click.BadParameter as fault:
            typed = re.search("'(.+?)'", fault.message)
            if near := _near(fault, typed[1]) if typed else "":
                message = f"{fault.message} {near}".strip()
                raise click.BadParameter(message, fault.ctx, fault.param, fault.param_hint) from fault
            raise

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        """Runs the command, and says which options come from the project's file."""
        of_file = [
            max(param.opts, key=len).lstrip("-")
            for param in self.params
            if ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT_MAP
        ]
        if of_file:
            click.echo(f"{ctx.meta['evalkit.project_file']} sets: {', '.join(of_file)}", err=True)
        return super().invoke(ctx)


def _near(fault: click.BadParameter, typed: str) -> str:
    """Which choice was probably meant, or for a path that leads nowhere which file beside it."""
    from evalkit.registry import nearest

    choices = getattr(fault.param and fault.param.type, "choices", ())
    if choices or "does not exist" not in fault.message:
        return nearest(typed, choices)
    path = Path(typed)
    beside = {other.name: str(other) for other in path.parent.glob("*")}
    return nearest(path.name, beside, shown=beside)


class EvalkitGroup(click.Group):
    """A group of commands that says what was probably meant, where a name is none of them."""

    command_class = EvalkitCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument.

        Raises:
            UsageError: There is none of that name.
        """
        from evalkit.registry import nearest

        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = nearest(args[0], names) or f"There are: {', '.join(names)}."
            ctx.fail(f"There is no command '{args[0]}'. {near.strip()}")
        return super().resolve_command(ctx, args)


EvalkitGroup.group_class = EvalkitGroup


class LazyGroup(EvalkitGroup):
    """Imports a command's file when that command, or the group's help, is asked for.

    Args:
        commands: Name to ``module:attribute`` of each command.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str] | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands' names, in the order in which help shows them."""
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """The command of that name, or None."""
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command
