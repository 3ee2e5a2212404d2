"""The command line: one file per command, imported here, each keeping its heavy imports inside the function."""

from pathlib import Path

import click

from evalkit import __version__
from evalkit.cli.command import LazyGroup

COMMANDS = {
    "cache": "evalkit.cli.cache:cache",
    "check": "evalkit.cli.check:check",
    "compare": "evalkit.cli.compare:compare",
    "completion": "evalkit.cli.completion:completion",
    "dataset": "evalkit.cli.dataset:dataset",
    "demo": "evalkit.cli.demo:demo",
    "edit": "evalkit.cli.edit:edit",
    "guide": "evalkit.cli.guide:guide",
    "leaderboard": "evalkit.cli.leaderboard:leaderboard",
    "list": "evalkit.cli.list:list_names",
    "power": "evalkit.cli.power:power",
    "score": "evalkit.cli.score:score",
    "submit": "evalkit.cli.submit:submit",
    "validate": "evalkit.cli.validate:validate",
    "vote": "evalkit.cli.vote:vote",
}


@click.group(
    cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="evalkit")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Measure text-guided image editing, and say how sure the numbers are.

    Start with: evalkit demo, or evalkit guide
    """
    from evalkit.cli.project import default_map, find_project_file
    from evalkit.errors import OptionError

    if path := find_project_file(Path.cwd()):
        try:
            ctx.default_map = default_map(main, ctx, path)
        except OptionError as failure:
            ctx.fail(str(failure))
        ctx.meta["evalkit.project_file"] = str(path)
