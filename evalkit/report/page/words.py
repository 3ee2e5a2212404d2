"""The words of a page: what was found, in a sentence per metric, and the methods section to paste."""

from jinja2 import Environment, StrictUndefined

from evalkit.comparison.records import CORRECTION_NAMES, TEST_NAMES, ComparedMetric, Comparison, PairResult
from evalkit.formatting import counted, series
from evalkit.report.comparison import level_of, metric_label, metric_ranking
from evalkit.report.page import asset

HOW = {
    "enumeration": "every arrangement counted",
    "dynamic_programming": "exactly, by dynamic programming",
    "monte_carlo": "by random arrangements",
}


def headline(comparison: Comparison, metric: ComparedMetric) -> str:
    """What was found on one metric, in words."""
    pairs = [pair for pair in comparison.pairs if pair.metric == metric.name]
    if len(pairs) == 1:
        return f"On {metric_label(metric)}: {_of_pair(pairs[0])}"
    best = [row.method for row in metric_ranking(comparison, metric.name) if row.tied_with_best]
    if not best:
        leaders = "no method could be ranked"
    elif len(best) == 1:
        leaders = f"{best[0]} is best"
    else:
        leaders = f"the best cannot be told: it may be any of {series(best)}"
    return f"On {metric_label(metric)}: {leaders}. {_tally(pairs)}"


def _of_pair(pair: PairResult) -> str:
    if pair.difference is None:
        return f"{pair.a} and {pair.b} cannot be compared: {pair.reason}."
    if pair.verdict == "equivalent":
        return f"{pair.a} and {pair.b} are equivalent, within the margin that was declared."
    if pair.verdict == "inconclusive":
        return f"one cannot say whether {pair.a} or {pair.b} is better."
    better, worse = (pair.a, pair.b) if pair.verdict == "a_better" else (pair.b, pair.a)
    small = ", but by less than the margin that was declared" if pair.practically_equivalent else ""
    return f"{better} is better than {worse}{small}."


def _tally(pairs: list[PairResult]) -> str:
    differ = sum(pair.verdict.endswith("better") for pair in pairs)
    equivalent = sum(pair.verdict == "equivalent" for pair in pairs)
    open_ = len(pairs) - differ - equivalent
    return (
        f"Of {len(pairs)} comparisons, {counted(differ, 'shows', 'show')} a difference, "
        f"{counted(equivalent, 'shows', 'show')} equivalence, and {counted(open_, 'is', 'are')} inconclusive."
    )


def methods_section(comparison: Comparison) -> list[str]:
    """The paragraphs to paste into a paper: data, tests, correction, margins, ranks, and what reproduces them."""
    environment = Environment(undefined=StrictUndefined)  # noqa: S701 - plain text, which the page escapes
    environment.filters.update(series=series, corrected=_corrected)
    settings = comparison.settings
    primary = [metric.name for metric in comparison.metrics if metric.primary]
    text = environment.from_string(asset("methods.txt")).render(
        settings=settings,
        names=[method.name for method in comparison.methods],
        benchmark=comparison.benchmark,
        baseline=comparison.baseline,
        level=level_of(comparison),
        n_seeds=max((pair.n_seeds for pair in comparison.pairs), default=1),
        missing=[f"{method.name} {method.n_missing}" for method in comparison.methods if method.n_missing],
        test=TEST_NAMES[settings["test"]],  # type: ignore[index]
        computed=sorted({HOW[pair.how] for pair in comparison.pairs if pair.how in HOW}),
        primary=primary,
        exploratory=len(primary) < len(comparison.metrics),
        n_tests=sum(pair.metric in primary and pair.p_value is not None for pair in comparison.pairs),
        margins=[f"±{m.margin:g} for {m.name}" for m in comparison.metrics if m.margin is not None],
        ranked=bool(comparison.ranking),
    )
    return text.split("\n\n")


def signatures(comparison: Comparison) -> list[str]:
    """One line per metric that says everything that can change its number."""
    lines = [metric.signature or f"{metric.name}: scores of another tool" for metric in comparison.metrics]
    return list(dict.fromkeys(lines))


def _corrected(correction: object) -> str:
    if correction == "none":
        return "were not corrected"
    return f"were corrected ({CORRECTION_NAMES[correction]})"  # type: ignore[index]
