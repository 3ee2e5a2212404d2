"""What a comparison is asked to do, checked before anything is computed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evalkit.benchmarks.protocols import PROTOCOLS, Protocol
from evalkit.comparison.load import Method
from evalkit.comparison.records import ComparedMetric
from evalkit.errors import OptionError, RunError
from evalkit.metrics.base import METRICS, Metric
from evalkit.stats.clusters import check_alpha
from evalkit.stats.multiplicity import FamilyCorrection, FamilyProcedure
from evalkit.stats.power import POWER

Test = Literal["sign_flip", "t", "wilcoxon"]
Correction = Literal["holm", "maxt", "bh", "by", "none"]

CORRECTIONS: Mapping[str, FamilyCorrection] = {
    "holm": "holm",
    "maxt": "max_t",
    "bh": "benjamini_hochberg",
    "by": "benjamini_yekutieli",
    "none": "none",
}
EXPLORATORY: Mapping[str, FamilyProcedure] = {
    "holm": "benjamini_hochberg",
    "maxt": "benjamini_hochberg",
    "bh": "benjamini_hochberg",
    "by": "benjamini_yekutieli",
    "none": "none",
}
"""What corrects the metrics that are not primary, by what corrects those that are."""
_LOWER = ("lpips", "mse", "rmse", "l1", "l2", "mae", "structure_distance", "dreamsim", "dists", "error", "distance")
"""Well-known metrics, by the first or last part of their names, of which less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions:
    """How to compare."""

    metrics: tuple[ComparedMetric, ...]
    baseline: str | None = None
    alpha: float = 0.05
    power: float = POWER
    seed: int = 0
    test: Test = "sign_flip"
    correction: Correction = "holm"
    n_flips: int | None = None
    n_resamples: int = 9_999
    rates: frozenset[str] = frozenset()
    """Metrics that are means of zeros and ones."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Metrics that are bounded, with their least and greatest values."""
    notes: tuple[str, ...] = field(default=())
    """What was assumed."""


def plan_comparison(
    methods: Sequence[Method],
    *,
    metrics: Sequence[str] = (),
    primary: Sequence[str] = (),
    lower_is_better: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    power: float = POWER,
    seed: int = 0,
    test: Test = "sign_flip",
    correction: Correction = "holm",
    n_flips: int | None = None,
) -> ComparisonOptions:
    """Decide which metrics are compared, which of them are primary, and which way each is better.

    Args:
        methods: Two or more.
        metrics: Names; all that every method has, if none is given.
        primary: Those whose p-values form the confirmatory family; if none is given, those of the protocol that all
            runs were scored under, or the first metric.
        lower_is_better: Metrics of other tools of which less is better.
        margins: Metric to the difference below which methods count as equivalent; they take the place of those of the
            runs' protocol.
        baseline: The method with which each other is compared; None for all pairs.
        alpha: Error rate of each family.
        power: For the minimum detectable effect and the items needed.
        seed: Determines every random number.
        test: Where the p-values come from.
        correction: Of the primary metrics' p-values.
        n_flips: Random arrangements of signs; None leaves it to the test.

    Raises:
        OptionError: An option names what is not there, or does not fit the others.
        RunError: There are fewer than two methods, or no metric that all have.
    """
    check_alpha(alpha)
    names = [method.name for method in methods]
    if len(methods) < 2:
        ways_out = "Name another run: evalkit compare RUN RUN"
        columns = methods[0].table.metrics if methods and methods[0].record is None else ()
        if len(columns) > 1:
            ways_out += (
                f". Or, if its columns {', '.join(columns[:3])} are methods, head each with method and metric, such as "
                f"'{columns[0]}|score'"
            )
        raise RunError(f"A comparison needs two methods or more; got {', '.join(names) or 'none'}. {ways_out}")
    if baseline is not None and baseline not in names:
        raise OptionError(f"The baseline '{baseline}' is none of the methods: expected one of {', '.join(names)}.")
    if correction == "maxt" and test != "sign_flip":
        raise OptionError(f"The correction maxt comes from the sign flips themselves: got --test {test}.")
    chosen, left_out = _choose(methods, metrics)
    protocol = _protocol_of(methods)
    agreed = {} if protocol is None else {name: x for name, x in protocol.margins.items() if name in chosen}
    for option, asked in (("primary", primary), ("lower-is-better", lower_is_better), ("margin", margins or ())):
        _check_known(option, asked, chosen)
    # Looking up the names of plug-ins takes a while: once is enough.
    known = {name: METRICS.get(name) for name in set(METRICS.names()).intersection(chosen)}
    directions, assumed = _directions(methods, chosen, known, lower_is_better)
    if protocol is not None:
        assumed.append(_agreed(protocol, agreed, primary=bool(primary), margins=margins or {}))
        primary = primary or [name for name in protocol.primary if name in chosen]
    margins = {**agreed, **(margins or {})}
    compared = tuple(
        ComparedMetric(
            name=name,
            higher_is_better=directions[name],
            family=known[name].family if name in known else "unknown",
            primary=name in (primary or chosen[:1]),
            signature=next((m.record.metrics[name].signature for m in methods if m.record), None),
            margin=_positive(name, margins.get(name)),
        )
        for name in chosen
    )
    return ComparisonOptions(
        metrics=compared,
        baseline=baseline,
        alpha=alpha,
        power=power,
        seed=seed,
        test=test,
        correction=correction,
        n_flips=n_flips,
        rates=frozenset(name for name, metric in known.items() if metric.summarize == "rate"),
        ranges={
            name: (metric.lowest, metric.highest)
            for name, metric in known.items()
            if math.isfinite(metric.lowest) and math.isfinite(metric.highest)
        },
        notes=(*left_out, *assumed),
    )


def _protocol_of(methods: Sequence[Method]) -> Protocol | None:
    """The protocol that every method was scored under, where there is one and it is still known."""
    names = {method.record.protocol if method.record else None for method in methods}
    name = names.pop() if len(names) == 1 else None
    return PROTOCOLS.get(name) if name in PROTOCOLS.names() else None


def _agreed(protocol: Protocol, agreed: Mapping[str, float], *, primary: bool, margins: Mapping[str, float]) -> str:
    """What the protocol decides of the comparison, as a note."""
    kept = [f"{name} ±{x:g}" for name, x in agreed.items() if name not in margins]
    parts = [] if primary else [f"primary metrics {' and '.join(protocol.primary)}"]
    parts.append(f"margins {', '.join(kept)}" if kept else "no margin")
    return f"as {protocol.name} has it: {'; '.join(parts)}"


def _choose(methods: Sequence[Method], metrics: Sequence[str]) -> tuple[list[str], list[str]]:
    """The metrics to compare, and a note on those that only some methods have."""
    everywhere = [name for name in methods[0].table.metrics if all(name in m.table.metrics for m in methods)]
    for name in metrics:
        lacking = next((method for method in methods if name not in method.table.metrics), None)
        if lacking is not None:
            remedy = f" Score it again: evalkit score FOLDER --metrics {name}" if lacking.record else ""
            raise OptionError(
                f"{lacking.name} has no metric '{name}': expected one of {', '.join(lacking.table.metrics)}.{remedy}"
            )
    if not (metrics or everywhere):
        held = "; ".join(f"{method.name} has {', '.join(method.table.metrics)}" for method in methods)
        raise RunError(f"The methods have no metric in common: {held}. Score them with the same --metrics.")
    somewhere = dict.fromkeys(name for method in methods for name in method.table.metrics)
    partly = [] if metrics else [name for name in somewhere if name not in everywhere]
    notes = [f"not compared, since only some methods have them: {', '.join(partly)}"] if partly else []
    return list(dict.fromkeys(metrics)) or everywhere, notes


def _check_known(option: str, asked: "Sequence[str] | Mapping[str, float]", chosen: Sequence[str]) -> None:
    for name in asked:
        if name not in chosen:
            raise OptionError(f"--{option} names '{name}', which is not compared: expected one of {', '.join(chosen)}.")


def _directions(
    methods: Sequence[Method], chosen: Sequence[str], known: Mapping[str, Metric], lower_is_better: Sequence[str]
) -> tuple[dict[str, bool], list[str]]:
    """Whether more is better, for each metric, and a note on what was assumed."""
    directions: dict[str, bool] = {}
    assumed: dict[bool, list[str]] = {True: [], False: []}
    for name in chosen:
        recorded = next((method.record.metrics[name] for method in methods if method.record), None)
        if recorded is not None or name in known:
            directions[name] = recorded.higher_is_better if recorded else known[name].higher_is_better
            if name in lower_is_better and directions[name]:
                raise OptionError(f"--lower-is-better names '{name}', of which evalkit knows that more is better.")
        elif name in lower_is_better:
            directions[name] = False
        else:
            directions[name] = not _sounds_lower(name)
            assumed[directions[name]].append(name)
    notes = [
        f"assumed that {word} is better, by the name only: {', '.join(assumed[higher])}"
        + ("; if not so, name them with --lower-is-better" if higher else "")
        for higher, word in ((True, "more"), (False, "less"))
        if assumed[higher]
    ]
    return directions, notes


def _sounds_lower(name: str) -> bool:
    lower = name.lower()
    return any(lower == known or lower.startswith(f"{known}_") or lower.endswith(f"_{known}") for known in _LOWER)


def _positive(metric: str, margin: float | None) -> float | None:
    if margin is not None and not margin > 0:
        raise OptionError(f"The margin of {metric} must be a positive number; got {margin}.")
    return margin
