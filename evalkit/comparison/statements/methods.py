"""The methods section to paste into a paper: what was compared, how it was tested, and what that holds."""

from collections.abc import Iterator, Mapping

from evalkit.comparison.records import ComparedMetric, Comparison
from evalkit.comparison.statements.captions import compared_on, intervals_of_means, intervals_of_pairs
from evalkit.comparison.statements.pairs import detectable
from evalkit.comparison.statements.rankings import about_ranks
from evalkit.comparison.statements.terms import (
    CORRECTION_NAMES,
    CROSSED,
    CROSSED_NAME,
    FALSE_DISCOVERY,
    PREDICTION_POWERED_NAME,
    TEST_NAMES,
    Inference,
    items_and_groups,
)
from evalkit.formatting import counted, format_declared, one_line, series, share_of_studies

HOW: Mapping[str, str] = {
    "enumeration": "every assignment of signs counted",
    "dynamic_programming": "every assignment of signs counted by dynamic programming",
    "monte_carlo": "random signs",
    "saddlepoint": "random signs, their tail by a saddlepoint approximation",
    "normal": "the normal approximation of many groups",
}
"""How a p-value of random signs was computed."""
MEASURED: Mapping[str, tuple[str, float]] = {
    "no difference | TED39 | lognormal(1)": ("TEdBench's 100 items in 39 groups", 0.068),
    "no difference | 12 items | lognormal(1)": ("12 items", 0.112),
    "no difference | 8 items | lognormal(1)": ("8 items", 0.111),
}
"""Scenario of ``tests/studies/error_rates.json`` to what it is in words, and the share of false positives at α = .05 of
sign flips there: with skewed differences the signs of groups cannot be exchanged."""


def methods_section(comparison: Comparison) -> list[str]:
    """The paragraphs to paste into a paper: data, tests and corrections, ranks, equivalence, what reproduces them."""
    inference = Inference.of(comparison.settings)
    paragraphs = (
        _data(comparison, inference),
        _tests(comparison, inference),
        _ranks(comparison),
        _equivalence(comparison),
        _reproduction(comparison, inference),
    )
    return [" ".join(sentences) for sentences in paragraphs]


def signatures(comparison: Comparison) -> list[str]:
    """One line per metric that says everything that can change its number."""
    lines = [metric.signature or f"{one_line(metric.name)}: scores of another tool" for metric in comparison.metrics]
    return list(dict.fromkeys(lines))


def _data(comparison: Comparison, inference: Inference) -> Iterator[str]:
    of = f" of {one_line(comparison.benchmark)}" if comparison.benchmark else ""
    names = series([method.name for method in comparison.methods], "and")
    found = {compared_on(comparison, metric) for metric in comparison.metrics}
    if len(found) == 1:
        yield f"{names} were compared on {items_and_groups(inference, *found.pop())}{of}."
    else:
        each = [_metric_items(comparison, metric) for metric in comparison.metrics]
        yield f"{names} were compared on {counted(inference.n_items, 'item')}{of}: {series(each, 'and')}."
    if not inference.groups_known:
        yield "It is not known which items share a source image: all were taken as independent."
    elif inference.n_grouped < inference.n_items:
        alone = inference.n_items - inference.n_grouped
        yield f"Of {counted(alone, 'item')} no group is known; each counts as its own."
    elif comparison.settings["groups"] is not None:
        yield "Groups are those of a table that was given."
    else:
        yield "Items that share a source image form one group."
    n_seeds = max((pair.n_seeds for pair in comparison.pairs), default=1)
    if n_seeds > 1:
        yield f"Scores were averaged over up to {n_seeds} seeds per item."
    missing = [f"{method.name} {method.n_missing:,}" for method in comparison.methods if method.n_missing]
    if missing:
        yield f"Items without an edited image: {series(missing, 'and')}."
    elif all(n_items == inference.n_items for n_items in (pair.n_items for pair in comparison.pairs)):
        yield "Every item has an edited image of every method, and a score."
    failed = max((pair.n_failed for pair in comparison.pairs), default=0)
    if failed:
        yield f"Failed edits (of a pair at most {counted(failed, 'item')}) were given the score of the worst edit."


def _metric_items(comparison: Comparison, metric: ComparedMetric) -> str:
    n_items, n_groups = compared_on(comparison, metric)
    return f"{n_items:,} in {counted(n_groups, 'group')} on {one_line(metric.name)}"


def _tests(comparison: Comparison, inference: Inference) -> Iterator[str]:
    pairs = f"with {comparison.baseline}" if comparison.baseline else "of all pairs"
    what = "signed ranks of paired differences" if inference.is_about_ranks else "mean paired differences"
    computed = sorted(words for how, words in HOW.items() if any(pair.how == how for pair in comparison.pairs))
    by = f" ({series(computed)})" if computed else ""
    test = TEST_NAMES[inference.test]
    yield f"For comparisons {pairs}, {what} were tested with a two-sided {test} test over groups{by}."
    yield intervals_of_pairs(comparison)
    for metric in comparison.metrics:
        if metric.beside is not None:
            yield prediction_powered_words(comparison, metric)
    n_crossed = sum(pair.how == CROSSED for pair in comparison.pairs)
    if n_crossed:
        yield (
            f"In {counted(n_crossed, 'comparison')} seeds seem to shift all items together: there test and interval "
            f"are those of a {CROSSED_NAME}, which holds that variance too."
        )
    if inference.test == "sign_flip":
        yield _exactness()
    if inference.is_about_ranks:
        yield "No statement about means follows from these tests."
    yield from _corrections(comparison, inference)
    if any(detectable(pair, inference) is not None for pair in comparison.pairs):
        share = share_of_studies(inference.power)
        yield f"Minimum detectable effects are true differences that would be found by {share}, at the corrected level."


def prediction_powered_words(comparison: Comparison, metric: ComparedMetric) -> str:
    """How what people would say of all items was estimated."""
    beside = "a metric" if metric.beside is None else one_line(metric.beside.name)
    most = max((pair.labels.n_items for pair in comparison.pairs if pair.labels), default=0)
    return (
        f"Mean {one_line(metric.name)} over all items was estimated, and tested with a {PREDICTION_POWERED_NAME}, from "
        f"labels of up to {counted(most, 'item')}, taken to be drawn at random, and {beside} of all of them by "
        "prediction-powered inference (PPI++; Angelopoulos, Duchi & Zrnic 2023), the metric's coefficient tuned on the "
        "methods' differences, cross-fitted over groups and shrunk towards the labels alone."
    )


def _exactness() -> str:
    measured = series([f"{100 * rate:.1f} % on {words}" for words, rate in MEASURED.values()], "and")
    return (
        "Sign flips are exact where the signs of groups can be exchanged, as when two methods are interchangeable; of "
        f"strongly skewed (lognormal) differences without a difference of means they called, at α = 0.05, {measured} "
        "different."
    )


def _corrections(comparison: Comparison, inference: Inference) -> Iterator[str]:
    """What was corrected how, family by family, of as many comparisons as have a p-value."""
    primary = [metric for metric in comparison.metrics if metric.primary]
    exploratory = [metric for metric in comparison.metrics if not metric.primary]
    names = series([one_line(metric.name) for metric in primary], "and") if primary else ""
    if exploratory and primary:
        yield f"{names} {'is' if len(primary) == 1 else 'are'} primary; other metrics are exploratory."
    for metrics, correction, of in (
        (primary, inference.correction, names),
        (exploratory, inference.exploratory_correction, "exploratory metrics"),
    ):
        of_metrics = {metric.name for metric in metrics}
        n_tests = sum(pair.metric in of_metrics and pair.p_value is not None for pair in comparison.pairs)
        if n_tests > 1:
            yield f"p-values on {of} were {_corrected(correction)} over {n_tests:,} comparisons."


def _corrected(correction: str) -> str:
    if correction == "none":
        return "not corrected"
    held = "false discovery rate" if correction in FALSE_DISCOVERY else "family-wise error"
    return f"corrected ({CORRECTION_NAMES[correction]}, which holds the {held})"


def _ranks(comparison: Comparison) -> Iterator[str]:
    yield intervals_of_means(comparison)
    if ranks := about_ranks(comparison):
        yield ranks


def _equivalence(comparison: Comparison) -> Iterator[str]:
    margins = [
        f"±{format_declared(metric.margin)} for {one_line(metric.name)}"
        for metric in comparison.metrics
        if metric.margin is not None
    ]
    if not margins:
        yield "No margin of equivalence was declared, so equivalence was not tested."
        return
    yield f"Equivalence was tested by two one-sided tests with the margins {series(margins, 'and')}:"
    rates = [metric.is_rate for metric in comparison.metrics if metric.margin is not None]
    tests = []
    if not all(rates):
        tests.append("for means the larger p of a cluster-robust (CR2) t test and of the bootstrap-t over groups")
    if any(rates):
        tests.append("for rates Tango's score test with the design effect of the groups")
    yield f"{'; '.join(tests)}."


def _reproduction(comparison: Comparison, inference: Inference) -> Iterator[str]:
    settings = comparison.settings
    flips = ""
    if any(pair.how in ("monte_carlo", "saddlepoint") for pair in comparison.pairs):
        flips = f", {settings['n_flips']:,} random assignments of signs where not all were counted"
    yield (
        f"Computed with evalkit {settings['evalkit']}, α = {format_declared(inference.alpha)}, seed {settings['seed']}"
        f"{flips}."
    )
