"""What is said of two methods on one metric."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator

from evalkit.comparison.records import ComparedMetric, PairResult
from evalkit.comparison.statements.terms import (
    CORRECTION_NAMES,
    CROSSED,
    CROSSED_NAME,
    PREDICTION_POWERED_NAME,
    TEST_NAMES,
    Inference,
    items_and_groups,
)
from evalkit.formatting import (
    DASH,
    counted,
    format_declared,
    format_interval,
    format_number,
    format_p_relation,
    format_signed,
    one_line,
    share_of_studies,
)
from evalkit.stats.labelled import PREDICTION_POWERED
from evalkit.stats.records import CompleteCases, LabelsAlone, PairComparison
from evalkit.stats.seeds import SeedInterval

SKEWED = 0.3
"""Above this |skewness of group sums| / √G the test of equivalence errs more often than it says."""


def sentence_of(pair: PairComparison, metric: ComparedMetric, inference: Inference) -> str:
    """The line to paste into a paper: effect with interval and size, p-values, wins, limits, and the verdict."""
    if pair.difference is None:
        return f"{pair.b} and {pair.a} cannot be compared on {one_line(metric.name)}: {pair.reason}"
    parts = [
        _effect(pair, metric, inference),
        *_labels(pair),
        *_seeds(pair, metric),
        _p_values(pair, metric, inference),
        f"{'win/tie/loss' if metric.direction_known else 'more/equal/less'} {win_tie_loss(pair)}"
        + (f" of the {pair.labels.n_items:,} labelled" if pair.labels else ""),
        *_failures(pair, inference),
        *equivalence_words(pair, inference),
        *detectable_words(pair, inference),
    ]
    return f"{'; '.join(parts)} → {conclusion(pair, inference)}"


def conclusion(pair: PairComparison, inference: Inference) -> str:
    """The verdict in words, with what it does not reach to."""
    if pair.winner is not None:
        if inference.is_about_ranks:
            return f"{pair.winner} is better in ranks{_reach(pair)}; no difference of means follows"
        return f"{pair.winner} is better{_reach(pair)}"
    if pair.verdict == "equivalent":
        also = "different, by less than the margin" if pair.practically_equivalent else "equivalent within the margin"
        return "; ".join([f"{also} of {format_declared(pair.margin or 0.0)}{_common(pair)}", *_whatever(pair)])
    if pair.undirected:
        return "; ".join([f"a difference is shown{_common(pair)}; {_undirected(pair)}", *_whatever(pair)])
    parts = ["inconclusive: no difference is shown"]
    p_value = pair.p_value if pair.adjusted_p_value is None else pair.adjusted_p_value
    if p_value is not None and p_value <= inference.alpha:
        parts.append("p does not exceed α, but the interval includes 0")
    if pair.floor is not None:
        parts.append(floor_words(pair, inference))
    if pair.items_needed is not None and pair.margin is not None:
        groups = whole_groups_of(pair)
        n = f"{pair.items_needed:,} items" + (f" ({counted(groups, 'group')})" if groups < pair.items_needed else "")
        parts.append(
            f"a true difference of the margin, {format_declared(pair.margin)}, would be found by "
            f"{share_of_studies(inference.power)} with {n}"
        )
    return "; ".join([*parts, *_whatever(pair)])


def verdict_words(pair: PairComparison, *, ranks: bool = False) -> str:
    """The verdict as a cell shows it, with the better method's name.

    Args:
        pair: Two methods on one metric.
        ranks: Whether ranks were tested.
    """
    return _in_a_cell(pair, "" if pair.winner is None else f"{pair.winner} better{' in ranks' if ranks else ''}")


def verdict_on_words(pair: PairResult, method: str) -> str:
    """The verdict on one of the two as a cell shows it: better, worse, equivalent or inconclusive."""
    return _in_a_cell(pair, pair.verdict_on(method))


def _in_a_cell(pair: PairComparison, decided: str) -> str:
    if pair.difference is None:
        return "not comparable"
    if pair.winner is not None:
        return decided + (f" on {pair.n_items:,} common items, open on the benchmark" if pair.is_open else "")
    if pair.verdict == "equivalent":
        return "different, by less than the margin" if pair.practically_equivalent else "equivalent"
    if pair.undirected:
        return "different, direction unknown"
    if pair.floor is not None:
        what = "groups" if pair.floor.n_differing == pair.n_groups else "that differ"
        return f"inconclusive, {pair.floor.groups_needed:,} {what} needed at least"
    needed = "" if pair.items_needed is None else f", {pair.items_needed:,} items for the margin"
    return f"inconclusive{needed}"


def plain_verdict(pair: PairComparison, inference: Inference) -> str:
    """The verdict as a headline of a page has it: one sentence, names and no numbers but what is needed."""
    if pair.difference is None:
        return f"{pair.a} and {pair.b} cannot be compared: {pair.reason}."
    if pair.verdict == "equivalent":
        margin = format_declared(pair.margin or 0.0)
        if pair.practically_equivalent:
            return f"{pair.a} and {pair.b} differ, by less than the margin that was declared, {margin}."
        return f"{pair.a} and {pair.b} are equivalent within the margin that was declared, {margin}."
    if pair.undirected:
        return f"{pair.a} and {pair.b} differ; {_undirected(pair)}."
    if pair.winner is None:
        because = f"; the design {floor_words(pair, inference)}" if pair.floor is not None else ""
        of_ranks = " in ranks" if inference.is_about_ranks else ""
        return f"no difference{of_ranks} between {pair.a} and {pair.b} is shown{because}."
    loser = pair.b if pair.winner == pair.a else pair.a
    where = " in ranks" if inference.is_about_ranks else ""
    return f"{pair.winner} is better than {loser}{where}{_reach(pair)}."


def _undirected(pair: PairComparison) -> str:
    """Why a difference that is shown has no winner, and what gives it one."""
    name = shlex.quote(one_line(pair.metric))
    return f"which of them is better is not known: say it with --higher-is-better {name} or --lower-is-better {name}"


def floor_words(pair: PairComparison, inference: Inference) -> str:
    """Why no difference, however large, could have been significant."""
    floor = pair.floor
    if floor is None:
        return ""
    unit = "group" if inference.groups_known else "item"
    all_differ = floor.n_differing == pair.n_groups
    differ = f"{floor.n_differing or 'none'} {'differs' if floor.n_differing == 1 else 'differ'}"
    groups = counted(pair.n_groups, unit) + ("" if all_differ else f", of which {differ},")
    many = "" if pair.n_comparisons < 2 else f" and {pair.n_comparisons:,} comparisons"
    smallest = format_p_relation(floor.smallest_p_value, inference.alpha).removeprefix("= ")
    enough = counted(floor.groups_needed, unit) if all_differ else f"{floor.groups_needed:,} that differ"
    return (
        f"cannot reach α = {format_declared(inference.alpha)}: with {groups}{many} the smallest "
        f"{'p' if pair.n_comparisons < 2 else 'corrected p'} is {smallest}; {enough} would do"
    )


def pair_reasons(pair: PairComparison) -> Iterator[str]:
    """Why figures of a pair are missing."""
    if pair.reason and pair.difference is not None:
        yield f"{pair.b} − {pair.a} on {one_line(pair.metric)}: {pair.reason}"


def reasons_counted(pairs: Iterable[PairComparison]) -> Iterator[str]:
    """The same of many pairs, each reason once with the number of pairs on a metric that it holds for."""
    total: Counter[str] = Counter()
    found: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        total[pair.metric] += 1
        for line in pair_reasons(pair):
            found.setdefault((pair.metric, pair.reason or ""), []).append(line)
    for (metric, reason), lines in found.items():
        many = f"{len(lines):,} of {total[metric]:,} comparisons on {one_line(metric)}: {reason}"
        yield lines[0] if len(lines) == 1 else many


def effect_of(pair: PairComparison, *, ranks: bool) -> tuple[float | None, float | None, float | None]:
    """The effect that was decided on and the ends of its interval: the mean difference, or of ranks their balance."""
    if not ranks:
        return pair.difference, pair.ci_low, pair.ci_high
    found = pair.rank_biserial
    return (found.value, found.low, found.high) if found else (None, None, None)


def effect_cells(pair: PairComparison, *, ranks: bool) -> tuple[str, str]:
    """The effect and its interval in two cells."""
    value, low, high = effect_of(pair, ranks=ranks)
    return format_signed(value), format_interval(low, high, format_signed)


def detectable(pair: PairComparison, inference: Inference) -> float | None:
    """The true difference that the share of studies asked for would find.

    None where ranks were tested, which find no difference of means, and at the floor of a design, which finds none.
    """
    return None if inference.is_about_ranks or pair.floor is not None else pair.minimum_detectable_effect


def win_tie_loss(pair: PairComparison) -> str:
    """On how many items b is better, equal and worse."""
    return f"{pair.win}/{pair.tie}/{pair.loss}"


def whole_groups_of(pair: PairComparison) -> int:
    """How many groups the items needed fill, of the size that the pair's have on average."""
    return round((pair.items_needed or 0) * pair.n_groups / pair.n_items) if pair.n_items else 0


def _effect(pair: PairComparison, metric: ComparedMetric, inference: Inference) -> str:
    """The difference, or under a test of ranks their balance, with its interval and what it rests on."""
    effect, interval = effect_cells(pair, ranks=inference.is_about_ranks)
    ends = "" if interval == DASH else f" {interval}"
    of = "answers of the judge to each" if metric.repeated else "seeds"
    seeds = f", {pair.n_seeds} {of}" if pair.n_seeds > 1 else ""
    basis = f"{inference.level}, {items_and_groups(inference, pair.n_items, pair.n_groups)}{seeds}"
    name = one_line(metric.name)
    if inference.is_about_ranks:
        return f"{pair.b} over {pair.a} on {name}: rank-biserial correlation {effect}{ends} ({basis})"
    lower = "" if metric.higher_is_better else "; lower is better"
    return f"{pair.b} − {pair.a} = {effect} {name}{ends} ({basis}{lower})"


def _labels(pair: PairComparison) -> Iterator[str]:
    """What the labels say alone, and what the metric beside them adds."""
    if (labels := pair.labels) is not None:
        ends = "" if labels.ci_low is None else f" {format_interval(labels.ci_low, labels.ci_high, format_signed)}"
        yield (
            f"the {labels.n_items:,} labelled items alone {format_signed(labels.difference)}{ends}; "
            f"{metric_adds(labels)}"
        )


def metric_adds(labels: LabelsAlone) -> str:
    """How many labels the metric beside them is worth, or why nothing of it is taken."""
    name = one_line(labels.metric)
    if labels.reason is not None:
        return f"nothing of {name} is taken: {labels.reason}"
    return f"with {name} as certain as {labels.n_worth or labels.n_items:,.0f} labelled items would be alone"


def _p_values(pair: PairComparison, metric: ComparedMetric, inference: Inference) -> str:
    test = _test_name(pair, metric, inference)
    if pair.p_value is None:
        return f"no {test} p-value: {pair.reason}"
    raw = f"{test} p {format_p_relation(pair.p_value, inference.alpha)}"
    if pair.n_comparisons < 2 or pair.adjusted_p_value is None:
        return raw
    correction = inference.correction_of(metric)
    # Without a correction the same number again would read as a second result.
    adjusted = "" if correction == "none" else f" {format_p_relation(pair.adjusted_p_value, inference.alpha)}"
    family = "" if metric.primary else ", exploratory"
    return f"{raw}, {CORRECTION_NAMES[correction]}{adjusted} ({counted(pair.n_comparisons, 'comparison')}{family})"


def _test_name(pair: PairComparison, metric: ComparedMetric, inference: Inference) -> str:
    """What gave the p-value, or would have."""
    if pair.how == CROSSED:
        return CROSSED_NAME
    if metric.beside is None:
        return TEST_NAMES[inference.test]
    return PREDICTION_POWERED_NAME if pair.how in (None, PREDICTION_POWERED) else TEST_NAMES["sign_flip"]


def _seeds(pair: PairComparison, metric: ComparedMetric) -> Iterator[str]:
    """The other question: not "new items like these", but "these items, new seeds", or new answers of a judge."""
    if pair.new_seeds is not None:
        yield _new_answers(pair.new_seeds) if metric.repeated else _new_seeds(pair.new_seeds)
    if pair.seed_effect:
        yield (
            f"seeds seem to shift all items together (standard deviation {format_number(pair.seed_effect)}), which is "
            "part of the interval and of p"
        )


def _new_seeds(found: SeedInterval) -> str:
    if found.low is None or found.high is None:
        return f"on these very items with new seeds no interval: {found.reason}"
    ends = format_interval(found.low, found.high, format_signed)
    return f"on these very items with new seeds {ends}, seeds {'paired' if found.paired else 'not paired'}"


def _new_answers(found: SeedInterval) -> str:
    if found.low is None or found.high is None:
        reason = (found.reason or "").replace("seeds", "repeats")
        return f"on these very edits with new answers of the judge no interval: {reason}"
    return f"on these very edits with new answers of the judge {format_interval(found.low, found.high, format_signed)}"


def _failures(pair: PairComparison, inference: Inference) -> Iterator[str]:
    if pair.n_failed:
        complete = "" if inference.is_about_ranks else _complete(pair.complete_cases)  # which is about means
        yield f"on {counted(pair.n_failed, 'item')} an edit failed and was given a score{complete}"


def _complete(found: CompleteCases | None) -> str:
    if found is None or found.difference is None:
        return "; no item was edited by both"
    interval = "" if found.ci_low is None else f" {format_interval(found.ci_low, found.ci_high, format_signed)}"
    return f"; on the {found.n_items:,} that both edited {format_signed(found.difference)}{interval}"


def equivalence_words(pair: PairComparison, inference: Inference) -> Iterator[str]:
    """Whether equivalence within a margin is shown, where one was declared."""
    if pair.margin is None:
        return
    p_value = pair.equivalence_p_value
    relation = "" if p_value is None else f" (p {format_p_relation(p_value, inference.alpha)})"
    shown = "shown" if pair.equivalent else "not shown"
    caution = ""
    if pair.skewness_ratio is not None and pair.skewness_ratio > SKEWED:
        caution = (
            f", by a test that errs more often than α = {format_declared(inference.alpha)} on differences so skewed"
        )
    yield f"margin ±{format_declared(pair.margin)}: equivalence {shown}{relation}{caution}"


def detectable_words(pair: PairComparison, inference: Inference) -> Iterator[str]:
    """What true difference would be found, where there is one."""
    effect = detectable(pair, inference)
    if effect is not None:
        yield f"a true difference of {format_number(effect)} would be found by {share_of_studies(inference.power)}"


def _reach(pair: PairComparison) -> str:
    """How far a decision reaches where the two were not run on every item."""
    if not pair.n_not_run:
        return _common(pair)
    if pair.is_open and pair.bounds is None:
        others = f"the {counted(pair.n_not_run, 'item')} not run"
        unknown = f"the metric has no known range, so {others} could turn it round"
        return f" on the {pair.n_items:,} common items; open on the benchmark: {unknown}"
    open_ = "; open on the benchmark" if pair.is_open else ""
    return "; ".join([f" on the {pair.n_items:,} common items{open_}", *_whatever(pair)])


def _whatever(pair: PairComparison) -> Iterator[str]:
    """Between what the difference on the benchmark lies, whatever the items that were not run would score."""
    if pair.n_not_run and pair.bounds is not None:
        low, high = (format_signed(end) for end in pair.bounds)
        others = f"the {counted(pair.n_not_run, 'item')} not run"
        yield f"on the benchmark between {low} and {high} whatever {others} would score"


def _common(pair: PairComparison) -> str:
    return f" on the {pair.n_items:,} common items" if pair.n_items < pair.n_total else ""
