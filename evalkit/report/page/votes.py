"""One self-contained HTML page for a comparison by votes; it has no script, and no request leaves it."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evalkit.comparison.votes.records import VoteComparison
from evalkit.comparison.votes.shown import shown_in_full
from evalkit.comparison.votes.statements import answer, key_sentences, methods_section
from evalkit.report.page import asset
from evalkit.report.page.render import sentence
from evalkit.storage.atomic import atomic_write


def write_votes_page(comparison: VoteComparison, path: Path) -> None:
    """Write the page; it is there whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    page = render_votes_page(comparison).encode("utf-8", "replace")
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)


def render_votes_page(comparison: VoteComparison) -> str:
    """The page as text: the answer, abilities, edit types, pairs, raters, notes, and the methods section to paste."""
    environment = Environment(
        loader=PackageLoader("evalkit.report.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["sentence"] = sentence
    shown = shown_in_full(comparison)
    n_key = len(list(key_sentences(comparison)))
    return environment.get_template("votes.html").render(
        title=f"{len({row.method for row in comparison.ranking})} methods, compared by votes",
        version=comparison.settings["evalkit"],
        answers=[answer(comparison, each) for each in comparison.criteria if each.primary],
        sentences=shown.answer[:n_key] if len(shown.answer) == n_key else shown.answer[n_key:],
        tables=shown.tables,
        notes=shown.notes,
        paragraphs=methods_section(comparison),
        style=Markup(asset("page.css")),  # noqa: S704 - a file of this package
    )
