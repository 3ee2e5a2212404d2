"""What a comparison is asked to do, checked before anything is computed."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.benchmarks.protocols import PROTOCOLS, Protocol
from evalkit.comparison.load import Method
from evalkit.comparison.records import ComparedMetric
from evalkit.errors import OptionError, RunError
from evalkit.formatting import listed
from evalkit.metrics.base import METRICS, Metric
from evalkit.registry import nearest
from evalkit.scores.columns import ColumnNames
from evalkit.scores.directions import higher_is_better
from evalkit.scores.run_metrics import metrics_in
from evalkit.stats.clusters import check_alpha
from evalkit.stats.scores import InferenceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions(InferenceOptions):
    """What is asked of a comparison.

    Attributes:
        metrics: Which; all that every method has, if none is given.
        primary: Metrics whose p-values form the confirmatory family; if none is given, those of the protocol that all
            runs were scored under, or the first metric. The others are exploratory.
        higher_is_better: Metrics of other tools of which more is better, whatever their names say.
        lower_is_better: Metrics of other tools of which less is better.
        margins: Metric to the difference below which methods count as equivalent, declared before scoring; they take
            the place of those of the runs' protocol.
        groups: A table that says which items belong together, instead of what runs and tables say.
        columns: Of the tables, what cannot be guessed.
        by: Compare also on the items of each edit type by themselves.
        human: A table of what people said of some of the items, more is better: then that is what methods are compared
            on, and the first primary metric narrows its intervals.
        human_column: Its column of labels, where it has several of numbers.
        human_columns: Of that table, what else cannot be guessed.
        baseline: Compare each other method with this one only; None for all pairs.
        alpha: Error rate of each family; intervals have level 1 − alpha.
        power: For the minimum detectable effect and the items needed.
        seed: Determines every random number.
        test: Where the p-values come from: ``sign_flip``, ``t`` (cluster-robust) or ``wilcoxon``, which is about ranks.
        correction: Of the primary metrics' p-values. The exploratory ones get Benjamini–Hochberg (or ``by``, ``none``
            where that was asked for).
        n_permutations: Random permutations of signs; None for 99,999, or 9,999 where there are many comparisons.
        n_resamples: Bootstrap resamples behind the tests of equivalence.
    """

    metrics: Sequence[str] = ()
    primary: Sequence[str] = ()
    higher_is_better: Sequence[str] = ()
    lower_is_better: Sequence[str] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    groups: str | Path | None = None
    columns: ColumnNames | None = None
    by: Literal["edit_type"] | None = None
    human: str | Path | None = None
    human_column: str | None = None
    human_columns: ColumnNames | None = None

    def __post_init__(self) -> None:
        for option in ("metrics", "primary", "higher_is_better", "lower_is_better"):
            if isinstance(names := getattr(self, option), str):  # one name, which is a sequence of letters to Python
                object.__setattr__(self, option, (names,))

    @property
    def named_metrics(self) -> tuple[str, ...]:
        """Every metric that is named."""
        return (*self.metrics, *self.primary, *self.higher_is_better, *self.lower_is_better, *self.margins)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPlan:
    """What is compared, as options and runs decide it."""

    metrics: tuple[ComparedMetric, ...]
    options: ComparisonOptions
    notes: tuple[str, ...] = ()
    """Which metrics are left out, and what was assumed of the others."""

    @property
    def names(self) -> list[str]:
        """The metrics' names."""
        return [metric.name for metric in self.metrics]


def plan_comparison(methods: Sequence[Method], options: ComparisonOptions) -> ComparisonPlan:
    """Decide which metrics are compared, which of them are primary, and which way each is better.

    Raises:
        OptionError: An option names what is not there, or does not fit the others.
        RunError: There are fewer than two methods, or no metric that all have.
    """
    _check(methods, options)
    if options.human is not None:  # whose margin is no metric's
        theirs = {name: x for name, x in options.margins.items() if all(name in m.table.metrics for m in methods)}
        options = replace(options, margins=theirs)
    chosen, left_out = _choose(methods, options)
    _refuse_others(chosen, options)
    known = _known(methods, chosen)
    directions, assumed = _directions(methods, chosen, known, options)
    primary, margins = list(options.primary), dict(options.margins)
    protocol = _protocol_of(methods)
    if protocol is not None:
        agreed = {name: x for name, x in protocol.margins.items() if name in chosen}
        assumed.append(_agreed(protocol, agreed, options))
        primary = primary or [name for name in protocol.primary if name in chosen]
        margins = {**agreed, **margins}
    if not primary:
        primary = ([name for name in chosen if directions[name] is not None] or chosen)[:1]
        if len(chosen) > 1 or left_out:
            first = "the first" if primary == chosen[:1] else "the first of which it is known which way is better"
            left_out.append(f"nobody named the primary metric: it is {primary[0]}, {first}. Another: --primary NAME")
    signed = next((method.record for method in methods if method.record), None)
    scales, rates = _scales(methods, chosen, known)
    compared = tuple(
        ComparedMetric(
            name=name,
            higher_is_better=directions[name] is not False,
            direction_known=directions[name] is not None,
            family=known[name].family if name in known else "unknown",
            primary=name in primary,
            signature=signed.metrics[name].signature if signed else None,
            margin=_positive(name, margins.get(name)),
            is_rate=scales[name].is_rate,
            repeated=any(method.is_repeated(name) for method in methods),
            range=scales[name].range,
            neutral=known[name].neutral if name in known else None,
        )
        for name in chosen
    )
    return ComparisonPlan(metrics=compared, options=options, notes=(*left_out, *assumed, *rates))


def _known(methods: Sequence[Method], chosen: Sequence[str]) -> dict[str, Metric]:
    """Those of the metrics that are registered, or whose rubric is in the record of a run."""
    known = {name: METRICS.get(name) for name in set(METRICS.names()).intersection(chosen)}
    for method in methods:
        judged = metrics_in(method.record) if method.record else {}
        known |= {name: metric for name, metric in judged.items() if name in chosen}
    return known


def _check(methods: Sequence[Method], options: ComparisonOptions) -> None:
    """Refuse too few methods, and options that do not fit them or each other."""
    check_alpha(options.alpha)
    names = [method.name for method in methods]
    if len(methods) < 2:
        ways_out = "Name another run: evalkit compare RUN RUN"
        columns = methods[0].table.metrics if methods and methods[0].record is None else ()
        if len(columns) > 1:
            ways_out += (
                ". Or, if some of its columns are methods with a score each: --method-columns "
                f"{shlex.quote(','.join(columns[:3]))}"
            )
        raise RunError(f"A comparison needs two methods or more; got {', '.join(names) or 'none'}. {ways_out}")
    if options.baseline is not None and options.baseline not in names:
        expected = ", ".join(names)
        near = nearest(options.baseline, names)
        raise OptionError(
            f"The baseline '{options.baseline}' is none of the methods: expected one of {expected}. {near}".rstrip()
        )
    if options.correction == "maxt" and options.test != "sign_flip":
        raise OptionError(f"The correction maxt comes from the sign flips themselves: got --test {options.test}.")


def _refuse_others(chosen: Sequence[str], options: ComparisonOptions) -> None:
    """Refuse options about metrics that are not compared."""
    for option, asked in (
        ("primary", options.primary),
        ("higher-is-better", options.higher_is_better),
        ("lower-is-better", options.lower_is_better),
        ("margin", options.margins),
    ):
        for name in asked:
            if name not in chosen:
                expected = ", ".join(chosen)
                raise OptionError(
                    f"--{option} names '{name}', which is not compared: expected one of {expected}. "
                    f"{nearest(name, chosen)}".rstrip()
                )


def _protocol_of(methods: Sequence[Method]) -> Protocol | None:
    """The protocol that every method was scored under, where there is one and it is still known."""
    names = {method.record.protocol if method.record else None for method in methods}
    name = names.pop() if len(names) == 1 else None
    return PROTOCOLS.get(name) if name in PROTOCOLS.names() else None


def _agreed(protocol: Protocol, agreed: Mapping[str, float], options: ComparisonOptions) -> str:
    """What the protocol decides of the comparison, as a note."""
    kept = [f"{name} ±{x:g}" for name, x in agreed.items() if name not in options.margins]
    parts = [] if options.primary else [f"primary metrics {' and '.join(protocol.primary)}"]
    parts.append(f"margins {', '.join(kept)}" if kept else "no margin")
    return f"as {protocol.name} has it: {'; '.join(parts)}"


def _choose(methods: Sequence[Method], options: ComparisonOptions) -> tuple[list[str], list[str]]:
    """The metrics to compare, and notes on those that only some methods have, and on columns that are none."""
    metrics = options.metrics
    of_others = [frozenset(method.table.metrics) for method in methods[1:]]
    everywhere = dict.fromkeys(
        name for name in methods[0].table.metrics if all(name in metrics for metrics in of_others)
    )
    for name in metrics:
        without = next((method for method in methods if name not in method.table.metrics), None)
        if without is not None:
            has = without.table.metrics
            remedy = f"Score it again: evalkit score FOLDER --metrics {name}" if without.record else ""
            remedy = nearest(name, has) or remedy
            raise OptionError(
                f"{without.name} has no metric '{name}': expected one of {', '.join(has)}. {remedy}".rstrip()
            )
    if not (metrics or everywhere):
        each = "; ".join(f"{method.name} has {', '.join(method.table.metrics)}" for method in methods)
        raise RunError(f"The methods have no metric in common: {each}. Score them with the same --metrics.")
    somewhere = dict.fromkeys(name for method in methods for name in method.table.metrics)
    if metrics:
        return list(dict.fromkeys(metrics)), []
    partly = [name for name in somewhere if name not in everywhere]
    notes = [f"not compared, since only some methods have them: {listed(partly, 20)}"] if partly else []
    asked = {*METRICS.names(), *options.named_metrics}
    constant = dict.fromkeys(name for name in everywhere if name not in asked and _is_constant(methods, name))
    if constant and len(constant) < len(everywhere):
        notes.append(f"not compared, since they never vary: {listed([*constant], 20)}")
        everywhere = dict.fromkeys(name for name in everywhere if name not in constant)
    return list(everywhere), notes


def _is_constant(methods: Sequence[Method], name: str) -> bool:
    """Whether other tools' tables have one and the same value everywhere, for all items and methods."""
    return len(np.unique(_values(methods, name))) == 1 and not any(method.record for method in methods)


def _values(methods: Sequence[Method], name: str) -> Floats:
    """Every value of a metric, whose ever it is."""
    values: Floats = np.concatenate([method.table.column(name) for method in methods])
    return values[~np.isnan(values)]


def _directions(
    methods: Sequence[Method], chosen: Sequence[str], known: Mapping[str, Metric], options: ComparisonOptions
) -> tuple[dict[str, bool | None], list[str]]:
    """Whether more is better, for each metric, None where nobody knows; and notes on what was assumed."""
    said = {**dict.fromkeys(options.higher_is_better, True), **dict.fromkeys(options.lower_is_better, False)}
    if twice := set(options.higher_is_better) & set(options.lower_is_better):
        raise OptionError(f"--higher-is-better and --lower-is-better both name '{min(twice)}'. Leave one of them out.")
    directions: dict[str, bool | None] = {}
    assumed: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for name in chosen:
        recorded = next((method.record.metrics[name] for method in methods if method.record), None)
        if recorded is not None or name in known:
            directions[name] = recorded.higher_is_better if recorded else known[name].higher_is_better
            if said.get(name, directions[name]) != directions[name]:
                option, word = ("lower", "more") if directions[name] else ("higher", "less")
                raise OptionError(f"--{option}-is-better names '{name}', of which evalkit knows that {word} is better.")
        elif name in said:
            directions[name] = said[name]
        else:
            directions[name] = higher_is_better(name)
            assumed[directions[name]].append(name)
    return directions, [*_assumed(assumed)]


def _assumed(names: Mapping[bool | None, Sequence[str]]) -> Iterator[str]:
    """What was taken from metrics' names, and what they do not say."""
    for more, word, option in ((True, "more", "lower"), (False, "less", "higher")):
        if names[more]:
            yield (
                f"assumed that {word} is better, by the name only: {', '.join(names[more])}; if not so, name them with "
                f"--{option}-is-better"
            )
    if names[None]:
        given = shlex.quote(",".join(names[None]))
        yield (
            f"nobody is called better on {', '.join(names[None])}, since the names do not say which way is better: "
            f"--higher-is-better {given}, or --lower-is-better {given}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnScale:
    """What values a metric can have."""

    range: tuple[float | None, float | None] = (None, None)
    is_rate: bool = False


def _scales(
    methods: Sequence[Method], chosen: Sequence[str], known: Mapping[str, Metric]
) -> tuple[dict[str, ColumnScale], list[str]]:
    """Each metric's scale, and a note on columns that became rates by their values alone."""
    scales = {name: _scale(methods, name, known.get(name)) for name in chosen}
    guessed = [name for name in chosen if scales[name].is_rate and name not in known]
    return scales, [f"compared as rates, since all values are 0 or 1: {', '.join(guessed)}"] if guessed else []


def _scale(methods: Sequence[Method], name: str, known: Metric | None) -> ColumnScale:
    """A metric's scale; of another tool's metric what its values allow, whatever it is called."""
    values = _values(methods, name)
    ours = any(method.record for method in methods)
    if not ours and len(values) and np.isin(values, (0.0, 1.0)).all() and not any(name in m.zeroed for m in methods):
        return ColumnScale(range=(0.0, 1.0), is_rate=True)
    if known is None or not (ours or ((values >= known.lowest) & (values <= known.highest)).all()):
        return ColumnScale()
    low, high = (end if math.isfinite(end) else None for end in (known.lowest, known.highest))
    return ColumnScale(range=(low, high), is_rate=known.summarize == "rate")


def _positive(metric: str, margin: float | None) -> float | None:
    if margin is not None and not margin > 0:
        raise OptionError(f"The margin of {metric} must be a positive number; got {margin}.")
    return margin
