"""A comparison by votes for programs: JSON, and a row for each pair."""

from dataclasses import asdict
from typing import Any

from evalkit.comparison.statements.terms import Inference
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.comparison.votes.statements import notes_of, rater_names, sentence_of

PAIR_COLUMNS = (
    "metric", "a", "b", "n_votes", "n_items", "n_groups", "n_raters", "mean_a", "mean_b", "difference", "ci_low",
    "ci_high", "p_value", "adjusted_p_value", "win", "tie", "loss", "minimum_detectable_effect", "verdict",
    "n_comparisons", "how", "margin", "equivalence_p_value", "practically_equivalent", "more_votes", "runs_off",
    "reason",
)  # fmt: skip
"""What a pair has one value of: columns of the CSV, and keys of each comparison in ``--json``; abilities are means."""
_RANKING_KEYS = ("metric", "method", "mean", "ci_low", "ci_high", "rank_low", "rank_high", "reason")


def pair_rows(comparison: VoteComparison) -> tuple[tuple[str, ...], list[list[object]]]:
    """The columns and the lines of the CSV."""
    if comparison.edit_types is None:
        return PAIR_COLUMNS, [[getattr(pair, name) for name in PAIR_COLUMNS] for pair in comparison.pairs]
    parts = {"": comparison.criteria, **comparison.edit_types}
    rows = [
        [kind, *(getattr(pair, name) for name in PAIR_COLUMNS)]
        for kind, criteria in parts.items()
        for criterion in criteria
        for pair in criterion.result.pairs
    ]
    return ("edit_type", *PAIR_COLUMNS), rows


def votes_as_json(comparison: VoteComparison) -> dict[str, Any]:
    """What ``evalkit compare VOTES --json`` prints: the keys that scores have, and what only votes have."""
    inference = Inference.of(comparison.settings)
    return {
        **_found(comparison.criteria, inference),
        "settings": {**comparison.settings, "notes": list(notes_of(comparison))},
        "not_told_apart": {
            each.name: [list(members) for members in each.result.ranking.cliques] for each in comparison.criteria
        },
        "signature": None,
        "votes": {each.name: _about(each) for each in comparison.criteria},
        "raters": [
            {
                "rater": rater.name,
                "seconds": rater.seconds,
                "n_checks": rater.n_checks,
                "n_failed_checks": rater.n_failed_checks,
                "n_open_checks": rater.n_open_checks,
                **{name: value for name, value in asdict(rater.agreement).items() if name != "rater"},
            }
            for rater in comparison.raters
        ],
        "copied_answers": comparison.copied
        and {
            "n_pairs": comparison.copied.n_pairs,
            "n_tested": comparison.copied.n_tested,
            "flagged": [
                {**asdict(pair), "raters": list(rater_names(comparison, pair))} for pair in comparison.copied.flagged
            ],
        },
        **(
            {}
            if comparison.edit_types is None
            else {"edit_types": {kind: _found(of, inference) for kind, of in comparison.edit_types.items()}}
        ),
    }


def _found(criteria: tuple[ComparedCriterion, ...], inference: Inference) -> dict[str, Any]:
    return {
        "comparisons": [
            {**{name: getattr(pair, name) for name in PAIR_COLUMNS}, "sentence": sentence_of(pair, each, inference)}
            for each in criteria
            for pair in each.result.pairs
        ],
        "ranking": [
            {
                **{key: getattr(row, key) for key in _RANKING_KEYS},
                "won": each.won[row.method][0],
                "n_votes": each.won[row.method][1],
            }
            for each in criteria
            for row in each.result.ranking.methods
        ],
    }


def _about(criterion: ComparedCriterion) -> dict[str, Any]:
    """What votes on one question are, and what is common to all methods."""
    counts = ("n_votes", "n_ties", "n_both_bad", "n_items", "n_groups", "n_raters")
    return {
        **{name: getattr(criterion, name) for name in counts},
        "tie_log_odds": criterion.result.tie,
        "first_shown": criterion.result.first and asdict(criterion.result.first),
        "krippendorff_alpha": criterion.agreement and asdict(criterion.agreement),
    }
