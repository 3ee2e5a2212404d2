"""``compare_votes``: from tables of votes to who is better."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

from evalkit import __version__
from evalkit.comparison.records import CORRECTIONS
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison, VotingRater
from evalkit.errors import OptionError
from evalkit.formatting import counted, listed, one_line
from evalkit.registry import nearest, refuse_unknown_options
from evalkit.scores.external import read_groups
from evalkit.stats.clusters import check_alpha
from evalkit.stats.copied_answers import CopiedAnswers, copied_answers
from evalkit.stats.intervals import Estimate
from evalkit.stats.multiplicity import EXPLORATORY
from evalkit.stats.raters import krippendorff_alpha, rater_agreements
from evalkit.stats.scores import InferenceOptions
from evalkit.stats.votes import DAVIDSON_T, CriterionVotes, VoteResult
from evalkit.stats.votes import compare_votes as compare_by
from evalkit.votes.arrays import PREFERENCE, criterion_votes, item_groups, rater_votes
from evalkit.votes.columns import VoteColumns
from evalkit.votes.read import read_study_votes
from evalkit.votes.records import Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteOptions(InferenceOptions):
    """What is asked of a comparison by votes, beside what `InferenceOptions` has.

    Attributes:
        metrics: Questions; all by default. Votes that name none are on ``preference``.
        primary: Questions whose p-values form the confirmatory family; all by default.
        margins: Question to the log-odds below which methods count as equivalent.
        groups: A table that says which items belong together, instead of what votes say.
        columns: Of the tables, what cannot be guessed.
        by: Compare also on the items of each edit type.
    """

    metrics: Sequence[str] = ()
    primary: Sequence[str] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    groups: str | Path | None = None
    columns: VoteColumns | None = None
    by: Literal["edit_type"] | None = None


def compare_votes(
    *sources: str | Path,
    options: VoteOptions | None = None,
    **settings: Any,  # noqa: ANN401 - fields of the options
) -> VoteComparison:
    """Compare methods by votes between two edits of an item: Davidson's Bradley–Terry model with ties.

    Differences of abilities are tested and have intervals that are robust to raters and to groups of items; decisions
    are corrected for the number of comparisons, and ranks follow from them.

    Args:
        *sources: Tables of votes of one study, see `evalkit.votes.read.read_study_votes`.
        options: What is asked.
        **settings: Fields of the options by name, such as ``baseline="identity"``.

    Raises:
        DataError: A table cannot be read, or a row is no vote.
        OptionError: An option names what is not there, or does not fit votes.
    """
    refuse_unknown_options(settings, compare_votes, VoteOptions)
    options = replace(options or VoteOptions(), **settings)
    table = read_study_votes(sources, options.columns)
    everything = table.votes
    votes = [vote for vote in everything if vote.expected is None]
    groups = item_groups(votes, {} if options.groups is None else read_groups(options.groups))
    asked = _asked(votes, options)
    criteria = [
        criterion_votes(
            of,
            name,
            groups=groups,
            primary=not options.primary or name in options.primary,
            margin=options.margins.get(name),
        )
        for name, of in asked.items()
    ]
    results = compare_by(criteria, options)
    agreements = [_agreement(of, groups, options) for of in asked.values()]
    return VoteComparison(
        sources=tuple(map(str, sources)),
        criteria=tuple(map(_compared, criteria, asked.values(), results, agreements)),
        raters=_raters(everything, votes, groups, options),
        copied=_copied(votes, groups, options),
        settings=_settings(votes, criteria, options, groups),
        notes=tuple(one_line(note) for note in (*table.notes, *_notes(everything, groups))),
        edit_types=_by_edit_type(asked, groups, options) if options.by else None,
    )


def _asked(votes: Sequence[Vote], options: VoteOptions) -> dict[str, list[Vote]]:
    """The votes by question, refused where options do not fit them."""
    check_alpha(options.alpha)
    if options.test != "sign_flip" or options.correction == "maxt":
        what = "--correction maxt" if options.correction == "maxt" else f"--test {options.test}"
        raise OptionError(f"Votes are compared by Davidson's model, whose test is a t test: {what} is about scores.")
    found: dict[str, list[Vote]] = {}
    for vote in votes:
        found.setdefault(vote.criterion or PREFERENCE, []).append(vote)
    if not found:
        raise OptionError("There are no votes but attention checks: nothing can be compared.")
    for option, names in (("metrics", options.metrics), ("primary", options.primary), ("margin", [*options.margins])):
        for name in names:
            if name not in found:
                raise OptionError(
                    f"--{option} names '{name}', on which there are no votes: expected one of {', '.join(found)}. "
                    f"{nearest(name, found)}".rstrip()
                )
    if unfit := next((f"{name}={x:g}" for name, x in options.margins.items() if not x > 0), None):
        raise OptionError(f"A margin must be a positive number; got {unfit}.")
    asked = {name: of for name, of in found.items() if not options.metrics or name in options.metrics}
    methods = sorted({name for of in asked.values() for vote in of for name in (vote.a, vote.b)})
    if options.baseline is not None and options.baseline not in methods:
        raise OptionError(
            f"The baseline '{options.baseline}' is none of the methods: expected one of {', '.join(methods)}. "
            f"{nearest(options.baseline, methods)}".rstrip()
        )
    return asked


def _compared(
    of: CriterionVotes, votes: Sequence[Vote], result: VoteResult, agreement: Estimate | None
) -> ComparedCriterion:
    won: dict[str, list[float]] = {name: [] for name in of.methods}
    for vote in votes:
        won[vote.a].append(vote.score_of_a)
        won[vote.b].append(1 - vote.score_of_a)
    return ComparedCriterion(
        name=of.criterion,
        primary=of.primary,
        margin=of.margin,
        n_votes=len(votes),
        n_ties=sum(vote.is_tie for vote in votes),
        n_both_bad=sum(vote.winner == "both_bad" for vote in votes),
        n_items=of.n_items,
        n_groups=of.groups.n_groups,
        n_raters=None if of.raters is None else of.raters.n_groups,
        won={name: (sum(scores) / len(scores), len(scores)) for name, scores in won.items()},
        result=result,
        agreement=agreement,
    )


def _agreement(votes: Sequence[Vote], groups: Mapping[str, str], options: VoteOptions) -> Estimate | None:
    """Krippendorff's α of those whose raters are known."""
    first = {(vote.rater, vote.item_id, vote.seed, *sorted((vote.a, vote.b))): vote for vote in reversed(votes)}
    of = rater_votes([*first.values()], groups)  # whether a rater agrees with themselves is another question
    if len(of.names) < 2:
        return None
    return krippendorff_alpha(of.units, of.values, of.groups, level=1 - options.alpha, seed=options.seed)


def _raters(
    everything: Sequence[Vote], votes: Sequence[Vote], groups: Mapping[str, str], options: VoteOptions
) -> tuple[VotingRater, ...]:
    """Every rater that is known, with attention checks."""
    of = rater_votes(votes, groups)
    if not of.names:
        return ()
    found = []
    agreements = rater_agreements(of.raters, of.units, of.values, of.frames, of.groups, alpha=options.alpha)
    for name, agreement in zip(of.names, agreements, strict=True):
        own = [vote for vote in everything if vote.rater == name]
        checks = [vote.check for vote in own if vote.check]
        seconds = [vote.seconds for vote in own if vote.seconds is not None]
        found.append(
            VotingRater(
                name=name,
                seconds=median(seconds) if seconds else None,
                n_checks=len(checks),
                n_failed_checks=checks.count("failed"),
                n_open_checks=checks.count("open"),
                agreement=agreement,
            )
        )
    return tuple(found)


def _copied(votes: Sequence[Vote], groups: Mapping[str, str], options: VoteOptions) -> CopiedAnswers | None:
    """Raters who answer as one, by their votes on all questions."""
    of = rater_votes(votes, groups)
    return copied_answers(of.raters, of.units, of.values, alpha=options.alpha) if len(of.names) > 1 else None


def _by_edit_type(
    asked: Mapping[str, Sequence[Vote]], groups: Mapping[str, str], options: VoteOptions
) -> dict[str, tuple[ComparedCriterion, ...]]:
    """What the votes of each type say, all of them one exploratory family."""
    types = list(dict.fromkeys(vote.edit_type for of in asked.values() for vote in of if vote.edit_type))
    parts = [
        (kind, name, [vote for vote in of if vote.edit_type == kind]) for kind in types for name, of in asked.items()
    ]
    parts = [part for part in parts if part[2]]
    criteria = [criterion_votes(of, name, groups=groups, primary=False) for _, name, of in parts]
    found: dict[str, tuple[ComparedCriterion, ...]] = {}
    for (kind, _, votes), of, result in zip(parts, criteria, compare_by(criteria, options), strict=True):
        found[kind] = (*found.get(kind, ()), _compared(of, votes, result, None))
    return found


def _settings(
    votes: Sequence[Vote], criteria: Sequence[CriterionVotes], options: VoteOptions, groups: Mapping[str, str]
) -> dict[str, object]:
    """What it takes to get the same numbers again, and what `Inference` asks for."""
    items = {vote.item_id for vote in votes}
    return {
        "alpha": options.alpha,
        "power": options.power,
        "seed": options.seed,
        "test": DAVIDSON_T,
        "correction": CORRECTIONS[options.correction],
        "exploratory_correction": CORRECTIONS[EXPLORATORY[options.correction]],
        "primary": [of.criterion for of in criteria if of.primary],
        "margins": dict(options.margins),
        "baseline": options.baseline,
        "groups": None if options.groups is None else str(options.groups),
        "n_items": len(items),
        "n_groups": len({groups.get(item, item) for item in items}),
        "n_grouped": len(items & groups.keys()),
        "n_raters": _n_raters(votes),
        "evalkit": __version__,
    }


def _n_raters(votes: Sequence[Vote]) -> int | None:
    """How many voted, who is not named being one of their own; None where nobody is."""
    named = {vote.rater for vote in votes} - {None}
    return len(named) + sum(vote.rater is None for vote in votes) if named else None


def _notes(votes: Sequence[Vote], groups: Mapping[str, str]) -> Iterator[str]:
    """What is not known of the votes."""
    unnamed = sum(vote.rater is None for vote in votes)
    if unnamed == len(votes):
        yield "nobody knows who voted: intervals are robust to groups of items only, as if no rater voted twice"
    elif unnamed:
        yield f"of {counted(unnamed, 'vote')} nobody knows who gave them: each counts as a rater's only one"
    elif len({vote.rater for vote in votes}) == 1:
        yield "all votes are of one rater: what is found holds for this rater, whatever others would say"
    if len({groups.get(vote.item_id, vote.item_id) for vote in votes}) == 1:
        what = "item" if len({vote.item_id for vote in votes}) == 1 else "group of items"
        yield f"all votes are on one {what}: what is found holds for it, whatever others would show"
    elif not groups:
        yield "every item counts as its own group: no column says which items share a source image"
    checks = sum(vote.expected is not None for vote in votes)
    if checks:
        yield f"{counted(checks, 'attention check')} left out of abilities and agreement"
    untyped = listed(sorted({vote.item_id for vote in votes if vote.edit_type is None}))
    if any(vote.edit_type for vote in votes) and untyped:
        yield f"items without an edit type: {untyped}"
