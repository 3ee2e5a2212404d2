"""Markdown as a command prints it: within the width, except for code, whose lines are to be copied; nothing is cut."""

from collections.abc import Iterator
from typing import ClassVar

from rich.console import Console, ConsoleOptions, JustifyMethod
from rich.markdown import CodeBlock, Markdown, MarkdownElement, TableDataElement
from rich.text import Text


class _Cell(TableDataElement):
    """A cell, a long word of which goes on in the next line."""

    def __init__(self, justify: JustifyMethod) -> None:
        super().__init__(justify)
        self.content.overflow = "fold"


class _Code(CodeBlock):
    """Lines of code as they are."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line in str(self.text).rstrip().splitlines():
            yield Text(f"  {line}", style="markdown.code_block", no_wrap=True, overflow="ignore")


class LaidOutMarkdown(Markdown):
    """A text in Markdown."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements, "td_open": _Cell, "th_open": _Cell, "fence": _Code, "code_block": _Code,
    }  # fmt: skip
