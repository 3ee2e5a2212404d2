"""One self-contained HTML page for a comparison by votes: no request leaves it, and nothing in a name can act in it."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from evalkit.comparison.statements.rankings import tally
from evalkit.comparison.statements.terms import Inference
from evalkit.comparison.tables.text import marked
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.comparison.votes.shown import edit_types_title, pair_tables, raters_table
from evalkit.comparison.votes.statements import about_ranks, answer, basis, methods_section, notes_of, sentence_of
from evalkit.formatting import counted, format_percent, one_line
from evalkit.report.figures.votes import draw_votes
from evalkit.report.page import SCRIPTS, asset
from evalkit.report.page.cells import MARKS, MeansColumn
from evalkit.report.page.pictures import GalleryPicture
from evalkit.report.page.render import environment, page_figures
from evalkit.stats.records import RankedMethod
from evalkit.storage.atomic import atomic_write


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedEdit:
    """One of the two edits of a contest."""

    method: str
    picture: GalleryPicture
    won: str
    """How many preferred it, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownContest:
    """Two edits of an item, the source beside them, and what raters said."""

    item_id: str
    edit_type: str | None
    texts: tuple[tuple[str, str], ...]
    source: GalleryPicture
    edits: tuple[VotedEdit, VotedEdit]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionContests:
    """The contests that a page shows of one question."""

    name: str
    primary: bool
    disputed: tuple[ShownContest, ...]
    decisive: tuple[ShownContest, ...]
    about_disputed: str
    about_decisive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesGallery:
    """The contests that a page shows, question by question, the primary ones first."""

    criteria: tuple[CriterionContests, ...]
    problems: tuple[str, ...] = ()
    """Why pictures are missing, or may be others, or questions are left out."""


def write_votes_page(comparison: VoteComparison, path: Path, gallery: VotesGallery | None = None) -> None:
    """Write the page; it is there whole or not at all.

    Args:
        comparison: What was found.
        path: Of the page.
        gallery: Edits that were voted on, where they could be found.

    Raises:
        OSError: The file cannot be written.
    """
    page = render_votes_page(comparison, gallery).encode("utf-8", "replace")
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)


def render_votes_page(comparison: VoteComparison, gallery: VotesGallery | None = None) -> str:
    """The page as text: the answer, abilities, edit types, pairs, raters, edits, and the methods section to paste."""
    inference = Inference.of(comparison.settings)
    script = Markup(asset(*SCRIPTS, "votes.js"))  # noqa: S704 - files of this package
    methods = list(dict.fromkeys(row.method for row in comparison.ranking))
    primary = [each for each in comparison.criteria if each.primary]
    return (
        environment()
        .get_template("votes.html")
        .render(
            comparison=comparison,
            title=f"{counted(len(methods), 'method')}, compared by votes",
            about=basis(comparison),
            answers=[answer(comparison, each) for each in primary],
            columns=[_column(one_line(each.name), each, methods) for each in comparison.criteria],
            methods=methods,
            marks=MARKS,
            legend=_legend(comparison),
            figures=page_figures(draw_votes(comparison), draw_votes(comparison, narrow=True)),
            types=list(_types(comparison)),
            tally=tally(comparison.pairs, inference),
            pairs=list(pair_tables(comparison)),
            sentences=[sentence_of(p, each, inference) for each in comparison.criteria for p in each.result.pairs],
            raters=list(raters_table(comparison)),
            gallery=gallery,
            notes=[*filter(None, [about_ranks(comparison)]), *notes_of(comparison)],
            paragraphs=methods_section(comparison),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=Markup(asset("page.css")),  # noqa: S704 - a file of this package
        )
    )


def _types(comparison: VoteComparison) -> Iterator[tuple[str, list[MeansColumn]]]:
    """For each question the abilities by edit type, where these were asked for."""
    everybody = [row.method for row in comparison.ranking]
    for criterion in comparison.criteria:
        found = {kind: each for kind, of in (comparison.edit_types or {}).items() for each in of
                 if each.name == criterion.name}  # fmt: skip
        if found:
            columns = [_column(one_line(kind), each, everybody) for kind, each in found.items()]
            yield edit_types_title(criterion, Inference.of(comparison.settings)), columns


def _column(name: str, criterion: ComparedCriterion, everybody: Sequence[str]) -> MeansColumn:
    """The abilities on one question; whoever nobody voted on there has none."""
    of = criterion.name
    absent = [RankedMethod(metric=of, method=method, mean=None, ci_low=None, ci_high=None, rank_low=None,
                           rank_high=None, tied_with_best=False) for method in everybody]  # fmt: skip
    cells = {**marked(absent), **marked(criterion.result.ranking.methods)}
    return MeansColumn(name=name, note=counted(criterion.n_votes, "vote"), cells=cells)


def _legend(comparison: VoteComparison) -> str:
    """What stands in the table of abilities, and how many votes each method won."""
    level = Inference.of(comparison.settings).level
    won = [
        f"Votes won on {one_line(each.name)}, ties half: "
        + ", ".join(f"{row.method} {_won(*each.won[row.method])}" for row in each.result.ranking.methods)
        for each in comparison.criteria
    ]
    return " ".join(
        [
            f"{MARKS['best']}: greatest ability; {MARKS['tied']}: no method is decided better. Abilities in log-odds "
            f"around their mean, with pointwise {level} intervals.",
            *(f"{each}." for each in won),
        ]
    )


def _won(share: float, votes: int) -> str:
    return f"{format_percent(round(share, 3))} of {votes:,}"
