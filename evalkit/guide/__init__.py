"""The guide: short pages in Markdown, read in the terminal by ``evalkit guide`` and on the site."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from evalkit.errors import UnknownNameError
from evalkit.registry import nearest

TOPICS = (
    "scoring", "tables", "comparing", "votes", "voting", "planning", "metrics", "encoders", "judging", "validity",
    "methods", "benchmarks", "protocols", "leaderboard", "machines", "python", "project", "questions",
)  # fmt: skip
"""The pages in the order in which they are read; each is a file ``<topic>.md`` beside this one."""
_HEADING = re.compile(r"^#+ +(.+)$")
_MENTION = re.compile(rf"(<code>evalkit guide ({'|'.join(TOPICS)})</code>)")


@dataclass(frozen=True)
class Page:
    """One page of the guide."""

    topic: str

    @cached_property
    def text(self) -> str:
        """Its Markdown, the title first."""
        return (Path(__file__).parent / f"{self.topic}.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.text.partition("\n")[0].lstrip("# ")

    @property
    def summary(self) -> str:
        """The sentence below it."""
        return self.text.split("\n\n", 2)[1].replace("\n", " ")

    def html(self) -> str:
        """The page in HTML, other pages of the guide as links; HTML in its Markdown is text."""
        from markdown_it import MarkdownIt

        shown = MarkdownIt("commonmark", {"html": False}).enable("table").render(self.text)
        tables = shown.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
            "</table>", "</table></div>"
        )
        return _MENTION.sub(r'<a href="\2.html">\1</a>', tables)

    def passages(self) -> Iterator[tuple[str, str]]:
        """Its paragraphs, tables row by row and code, each with the heading that it stands below."""
        heading = self.title
        for block in re.split(r"\n\n+(?=\S)", self.text):
            if found := _HEADING.match(block):
                heading = found[1]
                continue
            yield from ((heading, part) for part in (block.splitlines() if block.startswith("|") else [block]))


def pages() -> tuple[Page, ...]:
    """All pages, in their order."""
    return tuple(map(Page, TOPICS))


def page(topic: str) -> Page:
    """The page on a topic.

    Raises:
        UnknownNameError: There is none.
    """
    if topic not in TOPICS:
        near = nearest(topic, TOPICS) or f"There are: {', '.join(TOPICS)}. "
        raise UnknownNameError(f"The guide has no page '{topic}'. {near}Or search it: evalkit guide --search WORD")
    return Page(topic)


def search(words: str) -> list[tuple[Page, str, str]]:
    """Where most of the words stand together, in any case: page, heading, and the passage below it that has them.

    First what stands on a page that holds more of them, then what has more of them in its headings.
    """
    wanted = words.casefold().split()

    def n_in(text: str) -> int:
        return sum(word in text.casefold() for word in wanted)

    found: list[tuple[tuple[int, ...], tuple[Page, str, str]]] = []
    for each in pages():
        for heading, below in groupby(each.passages(), key=itemgetter(0)):
            passages = [passage for _, passage in below]
            titles = f"{each.title} {heading}"
            best = max(passages, key=n_in)
            found.append(((n_in(f"{titles} {best}"), n_in(each.text), n_in(titles)), (each, heading, best)))
    most = max(rank[0] for rank, _ in found)
    found = [each for each in found if most and each[0][0] == most]
    return [each for _, each in sorted(found, key=itemgetter(0), reverse=True)]
