"""The command line: one file per command, imported here, each keeping its heavy imports inside the function."""

import importlib

import click

from evalkit import __version__

COMMANDS = {
    "cache": "evalkit.cli.cache:cache",
    "check": "evalkit.cli.check:check",
    "compare": "evalkit.cli.compare:compare",
    "dataset": "evalkit.cli.dataset:dataset",
    "demo": "evalkit.cli.demo:demo",
    "edit": "evalkit.cli.edit:edit",
    "leaderboard": "evalkit.cli.leaderboard:leaderboard",
    "list": "evalkit.cli.list:list_names",
    "power": "evalkit.cli.power:power",
    "score": "evalkit.cli.score:score",
    "submit": "evalkit.cli.submit:submit",
    "validate": "evalkit.cli.validate:validate",
}


class LazyGroup(click.Group):
    """Imports a command's file when that command, or the group's help, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands' names, in the order in which help shows them."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evalkit")
def main() -> None:
    """Measure text-guided image editing, and say how sure the numbers are.

    Start with: evalkit demo
    """
