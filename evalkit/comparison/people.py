"""What people said of some of the items, beside what a metric says of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalkit.arrays import Mask
from evalkit.comparison.load import Method
from evalkit.comparison.options import ComparisonPlan
from evalkit.comparison.records import ComparedMetric
from evalkit.errors import DataError, OptionError
from evalkit.formatting import counted, format_number, format_p_relation, listed, one_line
from evalkit.scores.directions import higher_is_better
from evalkit.scores.people import HumanLabels, rater_words
from evalkit.stats.clusters import Labels
from evalkit.stats.multiplicity import adjust
from evalkit.stats.prediction_powered import balance
from evalkit.stats.scores import MetricScores

NOT_LABELLED = "not_labelled"
"""Why an item has no label."""
UNBALANCED = 0.01
"""With a smaller p-value than this the labelled items are said to be no random part."""
FEWEST_LABELS = 20
"""With fewer labelled items intervals cover less than they say where labels are skewed."""


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
    notes = [*labels.notes]
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
    notes += [*_about_items(methods, labels), *rater_words(labels)]
    return found, replace(plan, metrics=(human, *others), notes=(*plan.notes, *notes))


def labelling_notes(scores: MetricScores, groups: Labels) -> Iterator[str]:
    """What is assumed of the labelled items, and whether they look like it.

    Args:
        scores: People's labels, with the metric beside them.
        groups: ``(n,)``.
    """
    beside, names = scores.assisted_by, list(scores.scores)
    if beside is None:
        return
    labelled = np.logical_not(np.isnan(scores.means[:, [name in scores.ranked for name in names]]).any(axis=1))
    n_items, n_labelled = len(labelled), int(labelled.sum())
    if n_labelled == n_items:
        return
    yield (
        f"it is assumed that the {n_labelled:,} labelled of {counted(n_items, 'item')} were drawn at random; nothing "
        f"else is assumed of {one_line(beside.metric)}"
    )
    yield from _imbalance(beside, labelled, groups)
    if n_labelled < FEWEST_LABELS:
        yield f"with {counted(n_labelled, 'labelled item')} the interval covers less than it says if labels are skewed"


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
        names = [method.name, *((method.record.run, method.record.method) if method.record else ())]
        theirs = next((name for name in names if name in labels.methods), None)
        if theirs is not None:
            found[method.name] = labels.means(theirs)
    if len(found) < 2:
        raise OptionError(
            f"{labels.source} labels edits of {listed(list(labels.methods))}, and the methods are "
            f"{listed([method.name for method in methods])}: expected labels of two of these at least. Name the column "
            "of methods: --map method=HEADING, or the methods as the labels do: NAME=RUN"
        )
    return found


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


def _about_items(methods: Sequence[Method], labels: HumanLabels) -> Iterator[str]:
    """Labels of items that nobody has a run of."""
    known = {item for method in methods for item, _ in method.table.groups()}
    strange = [item for items in labels.methods.values() for item in items if item not in known]
    if strange:
        unknown = list(dict.fromkeys(strange))
        yield f"{labels.source.name}: {counted(len(unknown), 'item')} of no run were left out ({listed(unknown)})"
