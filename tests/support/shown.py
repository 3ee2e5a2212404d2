"""The command lines that README, guide and help show: where they stand, and what stands in when they run here."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner, Result

from evalkit.cli import main
from evalkit.cli.command import EvalkitCommand

DOCUMENTS = (
    Path("README.md"),
    Path("CONTRIBUTING.md"),
    Path("leaderboard/README.md"),
    *sorted(Path("evalkit/guide").glob("*.md")),
)
HELP = Path("--help")
"""Stands for the examples in the help of all commands."""
_SHOWN = re.compile(r"```(?:sh)?\n(?P<block>.*?)```|```\w+\n.*?```|`(?P<inline>evalkit [a-z][^`]*)`", re.DOTALL)
_COMMAND = re.compile(r"(?:^|&& |; |\bdo |\s|[\"'])(evalkit [a-z-].*?)(?= && |; | \| | >> |  +#|$)")

STAND_INS: tuple[tuple[str, str, str], ...] = (
    (r"edit my_method\b", "edit identity", "is the reader's own method"),
    (r"fill (PROTOCOL|tedbench/v1)$", "fill shapes/v2", "has tests of its own where entries await something"),
    (r"PROTOCOL/METHOD", "shapes/v2/my_method", "is any entry"),
    (r"--device cuda", "--device cpu", "there is no GPU"),
    (r" --dtype (fp16|bf16)\b", "", "a CPU has no fp16, and bf16 is slow on it"),
    (r" --workers 16| --address auto", "", "belongs to Ray's cluster"),
    (r"--engine ray", "--engine local", "starting Ray takes half a minute; it has tests of its own"),
    (r"conda run -n old python", "python", "is a program of the reader's"),
    (r"judge:http://localhost:8000/v1/", "judge:$JUDGE_SERVER/", "is a server of the reader's"),
    (r"(--rater|--without) http/MODEL", r"\g<1> r1", "is a judge of the reader's"),
    (r"--set model=gpt-image-1", r"\g<0> --set base_url=$IMAGE_SERVER", "is a service that charges"),
    (r"^evalkit (check|score|compare|power|validate|submit)$", r"\g<0> --help", "is named, not shown"),
    (r"requests_per_minute=5", "requests_per_minute=6000", "is twelve seconds for each"),
    (r"\$eta", "0.5", "is the shell's"),
    (r"edit (sdedit|instruct_pix2pix|flux2_klein)\b", r"\g<0> --set steps=2", "has many steps"),
    (r"edit instruct_pix2pix\b", r"\g<0> --set side=64", "has pictures of 512 pixels"),
    (r"--set side=768", "--set side=64", "are many pixels for a CPU"),
    (r"edit plug_and_play\b", r"\g<0> --set steps=2 --set inversion_steps=2", "has 50 steps"),
    (r"edit prompt_to_prompt\b", r"\g<0> --set steps=2 --set null_text_iterations=1", "has 50 steps"),
    (
        r"edit imagic\b",
        r"\g<0> --set steps=2 --set embedding_steps=2 --set model_steps=2",
        "has 120 steps in the miniature world",
    ),
)
"""What is written, what is run in its place, and why. Data and weights that stand in:
:mod:`tests.support.shown_world`."""
WALK_THROUGH = "is run word for word by tests/editing/test_plugin_method.py"
NOT_RUN = {
    "evalkit vote judge runs/ours runs/baseline --judge judge:http://localhost:8000/v1/MODEL --output judged.jsonl": (
        "asks a server; tests/voting/test_judging.py has judges that answer it"
    ),
    "evalkit submit votes.jsonl --card votes.yaml": "takes a study; tests/leaderboard/test_votes.py has some",
    "evalkit submit judged.jsonl --card votes.yaml": "takes a judge; tests/leaderboard/test_judges_votes.py has one",
    "evalkit submit judged.jsonl --card votes.yaml --study votes.study.json": "likewise",
    "evalkit demo": "takes a minute; `.ci/run` and the test of the wheel run it",
    "evalkit demo --output evalkit_demo": "takes a minute; `.ci/run` and the test of the wheel run it",
    "evalkit edit colour_wash --benchmark shapes --limit 20 --set strength=0.8 --output edits": WALK_THROUGH,
    "evalkit score edits --missing intersect": WALK_THROUGH,
}


def lines_in(document: Path) -> list[str]:
    """The command lines of evalkit that a document shows, in blocks and in sentences, in their order."""
    if document == HELP:  # an entry is there before it is scored again, and what is published is as it was
        first = ("evalkit leaderboard verify", "evalkit submit")
        return sorted(_examples(main), key=lambda line: not line.startswith(first))
    return list(_of_text(document.read_text(encoding="utf-8")))


def _of_text(text: str) -> Iterator[str]:
    for shown in _SHOWN.finditer(text):
        block = (shown["block"] or shown["inline"] or "").replace("\\\n", " ")
        for line in block.splitlines() if shown["block"] else [block.replace("\n", " ")]:
            for command in _COMMAND.findall(line):
                # Of a command in another's quotes the last one is not its own.
                yield (command[:-1] if command.count(command[-1]) % 2 and command[-1] in "\"'" else command).strip()


def _examples(group: click.Group) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from _examples(command)
        elif isinstance(command, EvalkitCommand):
            yield from (_COMMAND.findall(example)[0] for example in command.examples)


def ran(document: Path, laid_out: Path, root: Path) -> Iterator[tuple[str, Result]]:
    """Each line that a document shows with what it ended with, run one after the other.

    Args:
        document: One of :data:`DOCUMENTS`, or :data:`HELP`.
        laid_out: What :func:`tests.support.shown_world.lay_out` wrote.
        root: A new directory to run in.
    """
    from tests.support.shown_world import world

    lines = [line for line in lines_in(document) if line not in NOT_RUN]
    with world(laid_out, root, lines):
        for line in lines:
            yield line, CliRunner().invoke(main, words_of(line), prog_name="evalkit")


def words_of(line: str) -> list[str]:
    """The arguments with which a line that is shown is run here."""
    for pattern, stand_in, _ in STAND_INS:
        line = re.sub(pattern, stand_in, line)
    return [os.path.expandvars(word) for word in shlex.split(line)[1:]]
