"""The project's file: what would be typed every time, in ``evalkit.toml`` or below ``[tool.evalkit]``.

::

    device = "cuda"                       # of every command that has the option
    [score]
    metrics = ["clip_score", "l1"]        # of one command, by the option's long name
    [leaderboard.verify]
    leaderboard = "board"

The nearest file counts, from the working directory upwards; an option that is typed counts before it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from evalkit.errors import OptionError
from evalkit.registry import nearest

NAME = "evalkit.toml"
_LARGEST = 1 << 20
"""Bytes of a file that somebody wrote by hand, at most."""


def find_project_file(start: Path) -> Path | None:
    """The nearest file with options, in a folder or above it."""
    for folder in (start, *start.parents):
        if (folder / NAME).is_file():
            return folder / NAME
        shared = folder / "pyproject.toml"
        if shared.is_file() and "[tool.evalkit" in shared.read_text(encoding="utf-8", errors="replace")[:_LARGEST]:
            return shared
    return None


def read_project_file(path: Path) -> dict[str, Any]:
    """What it says.

    Raises:
        OptionError: It cannot be read.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise OptionError(f"{path} is larger than a file of options can be ({_LARGEST:,} bytes).")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise OptionError(f"{path} cannot be read: {failure}.") from failure
    if path.name == NAME:
        return content
    ours = content.get("tool", {}).get("evalkit", {})
    return ours if isinstance(ours, dict) else {}


def default_map(root: click.Group, ctx: click.Context, path: Path) -> dict[str, Any]:
    """The options of a project's file as click takes defaults: by command and parameter.

    Args:
        root: The command line.
        ctx: Its context.
        path: The file.

    Raises:
        OptionError: It cannot be read, or names a command or an option that is not there.
    """
    content = read_project_file(path)
    common = {name: value for name, value in content.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    commands = dict(_commands(root, ctx))
    known = {option for command in commands.values() for option in _options(command)}
    for name in common:
        if name not in known:
            raise OptionError(f"{path}: no command has the option '{name}'. {nearest(name, known)}".rstrip())
    found = _defaults(root, ctx, path, tables, "")
    for words, command in commands.items():
        table = found
        for word in words:
            table = table.setdefault(word, {})
        options = _options(command)
        for name, value in common.items():
            if name in options:
                table.setdefault(options[name].name, _value(options[name], value, path))
    return found


def _defaults(
    group: click.Group, ctx: click.Context, path: Path, tables: Mapping[str, Any], above: str
) -> dict[str, Any]:
    """The tables of commands, checked."""
    found: dict[str, Any] = {}
    for name, table in tables.items():
        command, title = group.get_command(ctx, name), f"{above}{name}"
        if command is None:
            near = nearest(name, group.list_commands(ctx))
            raise OptionError(f"{path}: there is no command '{title}'. {near}".rstrip())
        if not isinstance(table, dict):
            raise OptionError(f"{path}: expected a table [{title}] with options, got {table!r}.")
        if isinstance(command, click.Group):
            found[name] = _defaults(command, ctx, path, table, f"{title}.")
            continue
        options = _options(command)
        for option in table:
            if option not in options:
                raise OptionError(
                    f"{path}, [{title}]: evalkit {title.replace('.', ' ')} has no option '{option}'. "
                    f"{nearest(option, options)}".rstrip()
                )
        found[name] = {options[option].name: _value(options[option], value, path) for option, value in table.items()}
    return found


def _commands(
    group: click.Group, ctx: click.Context, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by its words."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from _commands(command, ctx, (*above, name))
        elif command:
            yield (*above, name), command


def _options(command: click.Command) -> dict[str, click.Option]:
    """A command's options by their long names."""
    return {
        name.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--")
    }


def _value(option: click.Option, value: Any, path: Path) -> Any:  # noqa: ANN401 - what TOML and click hold
    """A value as click converts it; lists may be written as lists, and files are found beside the project's file."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, dict) for each in values):
        raise OptionError(f"{path}: expected a value or a list for '{option.opts[-1].lstrip('-')}', got {value!r}.")
    if isinstance(option.type, click.Path):
        values = [str(path.parent / str(each)) for each in values]
    if option.multiple:
        return values
    return ",".join(map(str, values)) if isinstance(value, list) else values[0]
