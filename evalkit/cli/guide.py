"""``evalkit guide``: the guide's pages in the terminal."""

import re
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.output import ExitCode, Output, output_options

if TYPE_CHECKING:
    from evalkit.guide import Page

_FENCE = re.compile(r"^```\w*|```$|^\||\|$")
"""What stands about code and rows of tables in Markdown."""


@click.command(
    cls=EvalkitCommand, examples=["evalkit guide", "evalkit guide scoring", "evalkit guide --search headings"]
)
@click.argument("topic", required=False)
@click.option("--search", "words", metavar="WORDS", help="Show which pages hold these words, and where.")
@output_options
def guide(topic: str | None, *, words: str | None, output: Output) -> None:
    """Read the guide's page on TOPIC, or see what pages there are."""
    from evalkit.guide import page, pages, search

    if words:
        _show_found(search(words), words, output)
    elif topic:
        read = page(topic)
        output.json({"topic": read.topic, "title": read.title, "text": read.text})
        output.markdown(read.text)
    else:
        output.json([{"topic": each.topic, "title": each.title, "summary": each.summary} for each in pages()])
        width = max(len(each.topic) for each in pages())
        for each in pages():
            output.line(f"{each.topic:<{width}}  {each.title}")
        output.line("Read one: evalkit guide TOPIC    or find a word: evalkit guide --search WORD")


def _show_found(found: "list[tuple[Page, str, str]]", words: str, output: Output) -> None:
    output.json([{"topic": each.topic, "heading": heading, "text": text} for each, heading, text in found])
    for each, heading, passage in found:
        output.line(f"{each.topic}: {heading}")
        output.line(textwrap.shorten(_FENCE.sub("", passage), output.width, initial_indent="  ", placeholder=" …"))
    if not found:
        output.line(f"No page holds '{words}'. The pages are: evalkit guide")
        sys.exit(ExitCode.PROBLEMS)
    output.line("Read one: evalkit guide TOPIC")
