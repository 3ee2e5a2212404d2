"""What people said of some of the items, beside what a metric says of all of them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evalkit.arrays import Mask
from evalkit.comparison.load import Method
from evalkit.comparison.options import ComparisonOptions, ComparisonPlan
from evalkit.comparison.records import ComparedMetric
from evalkit.errors import DataError, OptionError
from evalkit.formatting import counted, format_number, format_p_relation, listed, one_line
from evalkit.scores.columns import ColumnNames
from evalkit.scores.directions import higher_is_better
from evalkit.scores.people import HumanLabels, rater_words, read_labels
from evalkit.stats.clusters import Labels
from evalkit.stats.multiplicity import adjust
from evalkit.stats.prediction_powered import balance
from evalkit.stats.scores import MetricScores
from evalkit.votes.read import holds_votes

NOT_LABELLED = "not_labelled"
"""Why an item has no label."""
UNBALANCED = 0.01
"""With a smaller p-value than this the labelled items are said to be no random part."""
FEWEST_LABELS = 20
"""With fewer labelled items intervals cover less than they say where labels are skewed."""


def labels_for(methods: Sequence[Method], options: ComparisonOptions) -> HumanLabels | None:
    """What people said of the methods' edits, where there is a table of it.

    Raises:
        DataError: The table cannot be read, or has no such column.
        OptionError: It holds votes, or several columns that could be meant.
    """
    if options.human is None:
        return None
    return labels_in(Path(options.human), options.human_columns, options.human_column, _known_names(methods))


def labels_in(path: Path, columns: ColumnNames | None, name: str | None, methods: Sequence[str]) -> HumanLabels:
    """What people said, from a table that is none of votes; see `read_labels`.

    Raises:
        DataError: The table cannot be read, or has no such column.
        OptionError: It holds votes, or several columns that could be meant.
    """
    if holds_votes(path):
        raise OptionError(
            f"{path} holds votes, and --human takes labels, a number for each item and method: votes are compared by "
            f"themselves: evalkit compare {shlex.quote(str(path))}"
        )
    return read_labels(path, columns, name, methods)


def with_labels(
    methods: Sequence[Method], plan: ComparisonPlan, labels: HumanLabels, margins: Mapping[str, float]
) -> tuple[list[Method], ComparisonPlan]:
    """Put people's labels before the metrics: the first primary one stands beside them, and others are exploratory.

    Args:
        methods: All that are compared.
        plan: What would be compared without labels.
        labels: What people said.
        margins: Metric, or column of labels, to the difference below which methods count as equivalent.

    Raises:
        OptionError: The plan's test or correction is about something else, or names fit fewer than two methods.
        DataError: No item of the labels is among those of the methods.
    """
    _refuse(plan)
    for margin in margins:
        if margin not in (*plan.names, labels.name):
            expected = ", ".join([labels.name, *plan.names])
            raise OptionError(f"--margin names '{margin}', which is not compared: expected one of {expected}.")
    known = _matched(methods, labels)
    beside = next(metric for metric in plan.metrics if metric.primary)
    name = labels.name if labels.name not in plan.names else f"human {labels.name}"
    notes = [*labels.left_out]
    direction = higher_is_better(labels.name) is not False
    if not direction:
        notes.append(f"assumed of the labels that less is better, by the name only: {one_line(labels.name)}")
    values = [label for items in labels.methods.values() for of_item in items.values() for label in of_item]
    human = ComparedMetric(
        name=name,
        higher_is_better=direction,
        family="unknown",
        primary=True,
        signature=None,
        margin=margins.get(labels.name),
        range=(0.0, 1.0) if set(values) <= {0.0, 1.0} else (None, None),
        beside=beside,
    )
    declared = bool(plan.options.primary)
    others = tuple(replace(metric, primary=declared and metric.primary) for metric in plan.metrics)
    found = [_labelled(method, human.name, known.get(method.name, {})) for method in methods]
    n_labelled = sum(bool((~np.isnan(method.table.column(name))).any()) for method in found)
    if n_labelled < 2:
        ours = next(iter(methods[0].table.groups()))[0]
        theirs = next(iter(next(iter(labels.methods.values()))))
        raise DataError(
            f"{labels.source} labels no item of two methods: items are joined by their id, and got ids like '{theirs}' "
            f"and '{ours}'. Name the column of ids: --map item=HEADING"
        )
    notes += [*_strangers(methods, labels), *rater_words(labels)]
    return found, replace(plan, metrics=(human, *others), notes=(*plan.notes, *notes))


def labelling_notes(scores: MetricScores, items: Sequence[str]) -> Iterator[str]:
    """What is assumed of the labelled items, and which are left out for want of a label.

    Args:
        scores: People's labels, with the metric beside them.
        items: ``(n,)`` their ids.
    """
    beside, missing = scores.assisted_by, _missing(scores)
    if beside is None:
        return
    labelled: Mask = np.logical_not(missing.any(axis=1))
    partly: Mask = np.logical_not(labelled | missing.all(axis=1))
    n_items, n_labelled = len(labelled), int(labelled.sum())
    if partly.any():
        first = int(np.argmax(partly))
        lacking = [name for name, absent in zip(scores.ranked, missing[first], strict=True) if absent]
        yield (
            f"{one_line(scores.metric)}: {int(partly.sum()):,} of {counted(n_labelled + int(partly.sum()), 'item')} "
            f"with labels left out, since one of the methods has none there ({items[first]}: {listed(lacking)})"
        )
    if n_labelled < n_items:
        yield (
            f"it is assumed that the {n_labelled:,} labelled of {counted(n_items, 'item')} "
            f"{'was' if n_labelled == 1 else 'were'} drawn at random; "
            f"nothing else is assumed of {one_line(beside.metric)}"
        )


def labelling_warnings(scores: MetricScores, groups: Labels) -> Iterator[str]:
    """That the labelled items are no random part, or few.

    Args:
        scores: People's labels, with the metric beside them.
        groups: ``(n,)``.
    """
    labelled: Mask = np.logical_not(_missing(scores).any(axis=1))
    n_labelled = int(labelled.sum())
    if scores.assisted_by is None or n_labelled == len(labelled):
        return
    yield from _imbalance(scores.assisted_by, labelled, groups)
    if 1 < n_labelled < FEWEST_LABELS:
        yield (
            f"warning: with {counted(n_labelled, 'labelled item')} the interval covers less than it says if labels "
            "are skewed"
        )


def confounded_raters(methods: Sequence[Method], labels: HumanLabels) -> Iterator[str]:
    """That raters differ wherever methods do, so that a difference can be either's."""
    names = _known_names(methods)
    raters = {name: who for name, who in labels.raters_of.items() if name in names}
    if len(raters) > 1 and sum(map(len, raters.values())) == len(frozenset().union(*raters.values())):
        (one, its), (other, theirs) = [*raters.items()][:2]
        yield (
            f"warning: nobody rated edits of two methods (of {one} {listed(sorted(its))}, of {other} "
            f"{listed(sorted(theirs))}): a difference between methods may be one between their raters"
        )


def _missing(scores: MetricScores) -> Mask:
    """``(n, methods)``: edits of the ranked methods without a label."""
    return np.isnan(scores.means[:, [name in scores.ranked for name in scores.scores]])


def _imbalance(beside: MetricScores, labelled: Mask, groups: Labels) -> Iterator[str]:
    """That the labelled items are no random part, where the metric shows it."""
    found = {name: balance(beside.means[:, at], labelled, groups) for at, name in enumerate(beside.scores)}
    known = {name: each for name, each in found.items() if each is not None}
    p_values = dict(zip(known, adjust([each.p_value for each in known.values()]), strict=True))
    differing = [name for name, p in p_values.items() if p is not None and p < UNBALANCED]
    if differing:
        worst = min(differing, key=lambda name: known[name].p_value)
        amount, p_value = known[worst].difference, p_values[worst] or 0.0
        yield (
            f"warning: the labelled items differ from the others in {one_line(beside.metric)} ({worst}: by "
            f"{format_number(amount)} standard deviations, p {format_p_relation(p_value, UNBALANCED)}), as a random "
            "part would not: what holds for them need not hold for all"
        )


def _refuse(plan: ComparisonPlan) -> None:
    if plan.options.test == "wilcoxon":
        raise OptionError("--human estimates means, and --test wilcoxon is about ranks: leave one of them out.")
    if plan.options.correction == "maxt":
        raise OptionError("--human has no sign flips that --correction maxt could come from: use --correction holm.")


def _matched(methods: Sequence[Method], labels: HumanLabels) -> dict[str, dict[str, float]]:
    """Method to item to mean label, by the names of runs, or of the methods that they are runs of."""
    found = {}
    for method in methods:
        theirs = next((name for name in _names_of(method) if name in labels.methods), None)
        if theirs is not None:
            found[method.name] = labels.means(theirs)
    if len(found) < 2:
        alone = (
            ", or, without --human-column, a column of labels for each method, headed by its name"
            if len(labels.methods) == 1
            else ""
        )
        raise OptionError(
            f"{labels.source} labels edits of {listed(list(labels.methods))}, and the methods are "
            f"{listed([method.name for method in methods])}: expected labels of two of these at least. Name the column "
            f"of methods: --map method=HEADING, or the methods as the labels do: NAME=RUN{alone}"
        )
    return found


def _names_of(method: Method) -> list[str]:
    """What labels may call a method: as its run is, or as what it is a run of."""
    others = (method.record.run, method.record.method) if method.record else ()
    return [method.name, *(name for name in others if name)]


def _known_names(methods: Sequence[Method]) -> list[str]:
    """All names under which there may be labels."""
    return [name for method in methods for name in _names_of(method)]


def _labelled(method: Method, name: str, label_of: Mapping[str, float]) -> Method:
    """The method with a column of labels: one for each item, in the row of its first seed."""
    rows = method.table.rows
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        before = first.setdefault(row.item_id, number)
        if (row.seed or 0) < (rows[before].seed or 0):
            first[row.item_id] = number
    values = np.full(len(rows), np.nan)
    for item, number in first.items():
        values[number] = label_of.get(item, np.nan)
    reasons = [NOT_LABELLED if missing else None for missing in np.isnan(values).tolist()]
    return replace(method, table=method.table.with_metric(name, values, reasons))


def _strangers(methods: Sequence[Method], labels: HumanLabels) -> Iterator[str]:
    """Labels of methods and of items that nobody has a run of."""
    names = _known_names(methods)
    others = [name for name in labels.methods if name not in names]
    if others:
        yield f"{labels.source.name}: labels of {listed(others)} left out: no run is called so"
    known = {item for method in methods for item, _ in method.table.groups()}
    strange = [item for name in labels.methods if name in names for item in labels.methods[name] if item not in known]
    if strange:
        unknown = list(dict.fromkeys(strange))
        yield f"{labels.source.name}: {counted(len(unknown), 'item')} of no run were left out ({listed(unknown)})"
