"""What is said of methods that were compared by votes."""

import math
from collections.abc import Iterator, Sequence

from evalkit.comparison.statements.pairs import (
    conclusion,
    detectable_words,
    effect_cells,
    equivalence_words,
    plain_verdict,
    win_tie_loss,
)
from evalkit.comparison.statements.rankings import against_baseline, leaders, tally, unranked_notes
from evalkit.comparison.statements.terms import (
    CORRECTION_NAMES,
    FALSE_DISCOVERY,
    Inference,
    how_corrected,
    items_and_groups,
)
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison, VotingRater
from evalkit.formatting import (
    counted,
    format_declared,
    format_interval,
    format_number,
    format_p_relation,
    format_percent,
    format_signed,
    listed,
    one_line,
    series,
    share_of_studies,
)
from evalkit.stats.copied_answers import RaterPair
from evalkit.stats.raters import FEWEST_SHARED
from evalkit.stats.votes import VotePair

MODEL = (
    "Davidson's (1970) Bradley–Terry model with ties: of methods with abilities β, in log-odds, "
    "P(a preferred) : P(b preferred) : P(tie) = exp(d/2) : exp(−d/2) : exp(ν), d = β(a) − β(b)"
)
_NAMED = 5
"""Pairs of raters that are named at most."""


def key_sentences(comparison: VoteComparison) -> Iterator[str]:
    """What was found on each primary question: one pair's own sentence, or who leads and how many pairs are decided."""
    inference = Inference.of(comparison.settings)
    for criterion in comparison.criteria:
        if criterion.primary:
            pairs = criterion.result.pairs
            found = answer(comparison, criterion)
            yield (
                sentence_of(pairs[0], criterion, inference) if len(pairs) == 1 else f"{found} {tally(pairs, inference)}"
            )


def answer(comparison: VoteComparison, criterion: ComparedCriterion) -> str:
    """What was found on one question, in one sentence."""
    inference, pairs = Inference.of(comparison.settings), criterion.result.pairs
    name = one_line(criterion.name)
    if len(pairs) == 1:
        return f"On {name}: {plain_verdict(pairs[0], inference)}"
    if comparison.baseline is not None:
        return f"On {name}: {against_baseline(pairs, comparison.baseline, inference)}."
    return f"On {name}: {leaders(criterion.result.ranking.methods, inference)}."


def sentence_of(pair: VotePair, criterion: ComparedCriterion, inference: Inference) -> str:
    """The line to paste into a paper: effect with interval and size, p-values, votes, limits, and the verdict."""
    if pair.difference is None:
        return f"{pair.b} and {pair.a} cannot be compared on {one_line(pair.metric)}: {pair.reason}"
    return "; ".join(
        [
            _effect(pair, criterion, inference),
            _p_values(pair, criterion, inference),
            f"votes won/tied/lost {win_tie_loss(pair)}",
            *equivalence_words(pair, inference),
            *detectable_words(pair, inference),
        ]
    ) + f" → {conclusion(pair, inference)}{_more(pair, inference)}"  # fmt: skip


def _effect(pair: VotePair, criterion: ComparedCriterion, inference: Inference) -> str:
    effect, interval = effect_cells(pair, ranks=False)
    votes = counted(criterion.n_votes, "vote")
    raters = "raters unknown" if criterion.n_raters is None else counted(criterion.n_raters, "rater")
    basis = f"{inference.level}, {votes}, {items_and_groups(inference, criterion.n_items, pair.n_groups)}, {raters}"
    if pair.runs_off:
        end = pair.ci_low if pair.ci_low is not None else pair.ci_high
        sign = ">" if pair.ci_low is not None else "<"
        of = f"log-odds on {one_line(pair.metric)} ({basis}; {pair.reason})"
        return f"{pair.b} − {pair.a} {sign} {format_signed(end)} {of}"
    ends = "" if pair.ci_low is None else f" {interval}"
    return f"{pair.b} − {pair.a} = {effect} log-odds on {one_line(pair.metric)}{ends} ({basis}); {preferred(pair)}"


def preferred(pair: VotePair) -> str:
    """How often which of two is preferred, by the model."""
    difference = pair.difference or 0.0
    name, odds = (pair.b, difference) if difference >= 0 else (pair.a, -difference)
    return f"{name} in {format_percent(round(1 / (1 + math.exp(-odds)), 3))} of votes that are no ties"


def _p_values(pair: VotePair, criterion: ComparedCriterion, inference: Inference) -> str:
    if pair.p_value is None:
        return f"no p-value: {pair.reason}"
    raw = f"t over {series(clusters(criterion.n_raters, criterion.n_groups), 'and')} p "
    raw += format_p_relation(pair.p_value, inference.alpha)
    if pair.n_comparisons < 2 or pair.adjusted_p_value is None:
        return raw
    correction = inference.correction if criterion.primary else inference.exploratory_correction
    adjusted = "" if correction == "none" else f" {format_p_relation(pair.adjusted_p_value, inference.alpha)}"
    family = "" if criterion.primary else ", exploratory"
    return f"{raw}, {CORRECTION_NAMES[correction]}{adjusted} ({counted(pair.n_comparisons, 'comparison')}{family})"


def clusters(n_raters: int | None, n_groups: int) -> list[str]:
    """What of votes is a sample: their raters, groups of items, or both."""
    several = {"raters": (n_raters or 1) > 1, "groups": n_groups > 1}
    return [name for name, are in several.items() if are]


def _more(pair: VotePair, inference: Inference) -> str:
    """How many votes are lacking for a difference that was declared."""
    if pair.more_votes is None or pair.margin is None:
        return ""
    return (
        f"; a true difference of the margin, {format_declared(pair.margin)}, would be found by "
        f"{share_of_studies(inference.power)} with {counted(pair.more_votes, 'more vote')}, if raters and items grow "
        "alike"
    )


def basis(comparison: VoteComparison, criterion: ComparedCriterion | None = None) -> str:
    """On what votes a table rests: on those on a question, or on all."""
    inference = Inference.of(comparison.settings)
    if criterion is None:
        n_votes, n_raters = sum(each.n_votes for each in comparison.criteria), comparison.n_raters
        items = items_and_groups(inference, inference.n_items, inference.n_groups)
    else:
        n_votes, n_raters = criterion.n_votes, criterion.n_raters
        items = items_and_groups(inference, criterion.n_items, criterion.n_groups)
    by = "" if n_raters is None else f", by {counted(n_raters, 'rater')}"
    return f"{counted(n_votes, 'vote')} on {items}{by}"


def about_ranks(comparison: VoteComparison) -> str:
    """What ranks are, and what holds for them; empty where nobody is ranked."""
    if all(row.rank_low is None for row in comparison.ranking):
        return ""
    correction = Inference.of(comparison.settings).correction
    if correction == "none":
        holds = "uncorrected, they hold one pair at a time"
    elif correction in FALSE_DISCOVERY:
        holds = "they follow from decisions whose false discovery rate is held, and need not hold at once"
    else:
        where = " on primary questions" if any(not each.primary for each in comparison.criteria) else ""
        holds = f"they hold at once{where}, since the family-wise error of the decisions is held"
    return (
        "Ranks are sets, from 1 + the number of methods decided better to the number of ranked methods less those "
        f"decided worse; {holds}."
    )


def notes_of(comparison: VoteComparison) -> Iterator[str]:
    """What a reader must know, most important first."""
    for criterion in comparison.criteria:
        if criterion.result.only_place is not None:
            yield (
                f"every vote on {one_line(criterion.name)} that is no tie is for the edit that was shown "
                f"{criterion.result.only_place}: it was its place that was preferred, and nothing is known of the edits"
            )
    yield from _about_raters(comparison.raters)
    yield from _about_copies(comparison)
    for criterion in comparison.criteria:
        yield from _about_criterion(criterion, Inference.of(comparison.settings))
    yield from unranked_notes(comparison.ranking)
    reasons = {pair.reason: None for pair in comparison.pairs if pair.runs_off and pair.reason}
    yield from reasons
    yield from comparison.notes


def _about_criterion(criterion: ComparedCriterion, inference: Inference) -> Iterator[str]:
    name, found = one_line(criterion.name), criterion.agreement
    if found is not None and found.value is None:
        yield f"raters' agreement on {name} is not known: {found.reason}"
    elif found is not None:
        ends = (
            f" {format_interval(found.low, found.high)}" if found.low is not None else f" (no interval: {found.reason})"
        )
        alpha = f"Krippendorff's α = {format_number(found.value, 2)}{ends}"
        yield f"raters' agreement on {name}: {alpha}; 1 is perfect, 0 chance"
    if criterion.n_ties:
        bad = f", {criterion.n_both_bad:,} of them both bad" if criterion.n_both_bad else ""
        yield f"{criterion.n_ties:,} of {counted(criterion.n_votes, 'vote')} on {name} are ties{bad}"
    first = criterion.result.first
    if first is not None:
        ends = "" if first.low is None else f" {format_interval(first.low, first.high, format_signed)}"
        advantage = f"{format_signed(first.value)} log-odds{ends} ({inference.level})"
        yield f"advantage of being shown first on {name}: {advantage}"
    for members in criterion.result.ranking.cliques:
        yield f"not told apart on {name}, which does not mean equal: {', '.join(members)}"


def _about_raters(raters: Sequence[VotingRater]) -> Iterator[str]:
    flagged = [each.name for each in raters if each.agreement.is_flagged]
    if flagged:
        be, who = ("agrees", "this rater") if len(flagged) == 1 else ("agree", "these raters")
        yield (
            f"{listed(flagged)} {be} less with the others than these do with each other, and not more than by chance "
            f"(corrected): look at {who}; all votes were used"
        )
    failed = [f"{each.name} {failed_checks(each)}" for each in raters if each.n_failed_checks]
    if failed:
        yield f"failed attention checks: {listed(failed)}"
    unanswered = [f"{each.name} {each.n_open_checks} of {each.n_checks}" for each in raters if each.n_open_checks]
    if unanswered:
        yield f'attention checks answered "both bad", neither passed nor failed: {listed(unanswered)}'


def _about_copies(comparison: VoteComparison) -> Iterator[str]:
    copied = comparison.copied
    if copied is None:
        return
    found = [
        f"{' and '.join(rater_names(comparison, pair))}, {pair.n_same} of {pair.n_shared} where "
        f"{format_number(pair.expected, 1)} are expected"
        for pair in copied.flagged
    ]
    if found:
        yield (
            f"the same answers far more often than agreement with the others explains (corrected): "
            f"{'; '.join(found[:_NAMED])}{f'; and {len(found) - _NAMED} pairs more' if len(found) > _NAMED else ''}: "
            "one person may have voted twice, or answers were copied, or two judge alike; look at these raters; all "
            "votes were used"
        )
    elif not copied.n_tested:
        yield (
            f"whether answers were copied cannot be said of any two raters: that takes {FEWEST_SHARED} votes of both on"
            f" the same, as many of each that others share, and others who agree on {FEWEST_SHARED} more than by chance"
        )


def rater_names(comparison: VoteComparison, pair: RaterPair) -> tuple[str, str]:
    """What two raters are called."""
    a, b = pair.raters
    return comparison.raters[a].name, comparison.raters[b].name


def failed_checks(rater: VotingRater) -> str:
    """How many attention checks a rater failed, of those that were passed or failed."""
    return f"{rater.n_failed_checks} of {rater.n_checks - rater.n_open_checks}"


def methods_section(comparison: VoteComparison) -> list[str]:
    """The paragraphs to paste into a paper."""
    inference = Inference.of(comparison.settings)
    methods = sorted({row.method for row in comparison.ranking})
    ways = {
        ("raters", "groups"): (
            "raters and groups of items (two-way sandwich of Cameron, Gelbach and Miller, 2011, each way a jackknife)",
            "raters, or groups if fewer,",
        ),
        ("raters",): ("raters (a cluster jackknife)", "raters"),
    }
    sampled = tuple(clusters(comparison.n_raters, inference.n_groups))
    robust, fewest = ways.get(sampled, ("groups of items (a cluster jackknife)", "groups"))
    pairs = f"with {comparison.baseline}" if comparison.baseline else "of all pairs"
    first = any(each.result.first is not None for each in comparison.criteria)
    order = ", and δ, added to d where a was shown first and taken off it where b was," if first else ""
    n_tests = sum(pair.p_value is not None for pair in comparison.pairs)
    corrected = f" P-values were {how_corrected(inference.correction)}." if n_tests > 1 else ""
    ranks = about_ranks(comparison)
    return [
        f"{series(methods, 'and')} were compared by {basis(comparison)}.",
        f"Abilities β{order} are of greatest likelihood under {MODEL}. For comparisons {pairs}, their differences "
        f"have {inference.level} intervals and two-sided t tests whose errors are robust to {robust}, with as many "
        f"degrees of freedom as {fewest} voted on either method, less one.{corrected} {ranks}".strip(),
        f"Computed with evalkit {comparison.settings['evalkit']}, α = {format_declared(inference.alpha)}, seed "
        f"{comparison.settings['seed']}.",
    ]
