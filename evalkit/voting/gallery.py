"""The gallery of a page of votes: the edits on which raters disagree most, and those that decide."""

from collections.abc import Sequence
from pathlib import Path

from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.errors import DataError, EvalkitError
from evalkit.formatting import counted, listed, one_line
from evalkit.images.stored import AnyImage
from evalkit.judges.pairs import shown_texts
from evalkit.report.page.pictures import GalleryPicture, edited_picture, source_picture
from evalkit.report.page.votes import CriterionContests, ShownContest, VotedEdit, VotesGallery
from evalkit.votes.arrays import PREFERENCE
from evalkit.votes.columns import VoteColumns
from evalkit.votes.contests import VotedContest, contests_of, most_decisive, most_disputed
from evalkit.votes.read import read_study_votes
from evalkit.votes.records import Vote
from evalkit.voting.edits import VotedEdits, open_methods
from evalkit.voting.study import Study, read_study, study_file

MOST = 6
"""Contests of each kind on a question."""
MOST_IN_ALL = 60
"""Contests of a page: three pictures each."""


def find_gallery(
    comparison: VoteComparison, columns: VoteColumns | None = None, runs: Sequence[str] = ()
) -> VotesGallery | None:
    """The edits that were voted on, where they can be found; None where nothing says where they are.

    Args:
        comparison: What was found of the votes.
        columns: Of the tables, what cannot be guessed.
        runs: Where the edits are, each optionally as ``NAME=RUN``; by default what the record of the study says that
            lies beside the votes.

    Raises:
        EvalkitError: A run that was given cannot be opened.
    """
    votes = read_study_votes(comparison.sources, columns).votes
    if runs:
        return gallery_of(comparison, votes, open_methods(runs))
    studies = [study for source in comparison.sources if (study := _study_beside(Path(source)))]
    named = {name: run for study in studies for name, run in study.runs.items()}
    if not named:
        return None
    try:
        edits = open_methods([f"{name}={run}" for name, run in named.items()])
    except (EvalkitError, OSError) as failure:
        return gallery_of(comparison, [], None, [f"The edits are not shown: {failure} Say where they are: --edits RUN"])
    changed = [each.name for each in edits.methods if any(s.methods.get(each.name, each.digest) != each.digest
                                                          for s in studies)]  # fmt: skip
    problem = f"The edits of {listed(changed)} have changed since they were voted on; they are shown as they are now."
    return gallery_of(comparison, votes, edits, [problem] if changed else [])


def gallery_of(
    comparison: VoteComparison, votes: Sequence[Vote], edits: VotedEdits | None, problems: Sequence[str] = ()
) -> VotesGallery:
    """The gallery of every question, as long as the page's weight allows, the primary ones first."""
    ordered = sorted(comparison.criteria, key=lambda each: not each.primary)
    shown = ordered[: MOST_IN_ALL // 2]
    left_out = listed([one_line(each.name) for each in ordered[len(shown) :]])
    notes = [*problems, *([f"The edits that were voted on are not shown for {left_out}."] if left_out else [])]
    most = min(MOST, MOST_IN_ALL // (2 * len(shown)))
    sources: dict[AnyImage, GalleryPicture] = {}
    found = [_of_criterion(each, votes, edits, sources, most) for each in shown] if edits else []
    return VotesGallery(criteria=tuple(found), problems=tuple(notes if edits else problems))


def _of_criterion(
    criterion: ComparedCriterion,
    votes: Sequence[Vote],
    edits: VotedEdits,
    sources: dict[AnyImage, GalleryPicture],
    most: int,
) -> CriterionContests:
    """The contests of one question, at most so many that are disputed, and as many that decide."""
    of = [vote for vote in votes if vote.expected is None and (vote.criterion or PREFERENCE) == criterion.name]
    contests = [each for each in contests_of(of) if _is_there(each, edits)]
    better = {frozenset((pair.a, pair.b)): pair.winner for pair in criterion.result.pairs if pair.winner}
    disputed, decisive = most_disputed(contests), most_decisive(contests, better)
    on, of_all = f"On {one_line(criterion.name)}", f"of {counted(len(contests), 'pair')} of edits that are there"
    return CriterionContests(
        name=one_line(criterion.name),
        primary=criterion.primary,
        disputed=tuple(_shown(each, edits, sources) for each in disputed[:most]),
        decisive=tuple(_shown(each, edits, sources) for each in decisive[:most]),
        about_disputed=f"{on} raters prefer different edits in {len(disputed):,} {of_all}{_cut(disputed, most)}, "
        "first those in which most are of another opinion than the majority.",
        about_decisive=f"{on} two votes or more all prefer the method that is decided better in {len(decisive):,} "
        f"{of_all}{_cut(decisive, most)}, first those with most votes, the pairs of methods in turn.",
    )


def _cut(found: Sequence[VotedContest], most: int) -> str:
    """How many are shown, if not all."""
    return f", of which {most} {'is' if most == 1 else 'are'} shown" if len(found) > most else ""


def _study_beside(votes: Path) -> Study | None:
    """The record of the study that collected votes."""
    try:
        return read_study(study_file(votes))
    except DataError:
        return None


def _is_there(contest: VotedContest, edits: VotedEdits) -> bool:
    return contest.item_id in edits.items and all(
        edits.edit(name, contest.item_id, contest.seed) for name in contest.methods
    )


def _shown(contest: VotedContest, edits: VotedEdits, sources: dict[AnyImage, GalleryPicture]) -> ShownContest:
    item = edits.items[contest.item_id]
    first, second = (
        VotedEdit(
            method=name,
            picture=edited_picture(name, edits.edit(name, contest.item_id, contest.seed)),
            won=f"{won} of {contest.n_votes}",
        )
        for name, won in zip(contest.methods, contest.won, strict=True)
    )
    ties = "no tie" if not contest.tied else counted(contest.tied, "tie")
    bad = f", {contest.both_bad} of them both bad" if contest.both_bad else ""
    return ShownContest(
        item_id=contest.item_id,
        edit_type=contest.edit_type or item.edit_type,
        texts=tuple((label.lower(), text) for label, text in shown_texts(item)),
        source=source_picture(item, sources),
        edits=(first, second),
        said=f"{counted(contest.n_votes, 'vote')}, {ties}{bad}.",
    )
