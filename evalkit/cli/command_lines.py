"""Commands of evalkit as text that can be pasted into a shell."""

import shlex
from collections.abc import Collection, Iterator
from typing import Any

import click
from click.core import ParameterSource


def command_line(*words: object) -> str:
    """A command of evalkit, whatever its words hold.

    >>> command_line("score", "my edits")
    "evalkit score 'my edits'"
    """
    return shlex.join(["evalkit", *map(str, words)])


def same_command(*more: object, without: Collection[str] = ()) -> str:
    """The command that is running, as it was given.

    Args:
        more: Words that are put in front.
        without: Names of parameters that are left out.
    """
    context = click.get_current_context()
    words: list[object] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and name not in without:
            words += _words_of(parameter, context.params[name])
    return command_line(context.info_name, *more, *words)


def _words_of(parameter: click.Parameter, value: Any) -> Iterator[object]:  # noqa: ANN401 - of any type
    values = value if isinstance(value, tuple | list) else (value,)
    if isinstance(parameter, click.Argument):
        yield from values
    elif isinstance(parameter, click.Option) and parameter.is_flag:
        yield (parameter.opts if value else parameter.secondary_opts)[0]
    else:
        for one in values:
            yield from (parameter.opts[0], one)
