"""What metrics are worth, as text: verdicts, the true edit against controls, damage, agreement."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from evalkit.formatting import counted, format_interval, format_number, format_p, format_percent, format_signed, listed
from evalkit.scores.signatures import short_signature
from evalkit.scores.tables import MINIATURE_NOTE, SignatureLength
from evalkit.tables.table import TextTable, markdown_table
from evalkit.validity.records import AgainstControl, Agreement, Drift, MetricValidity, Rate, Scope, Validity

SCOPES: tuple[Scope, ...] = ("methods", "all")


def verdict_lines(validity: Validity) -> list[str]:
    """One line per metric."""
    return [f"{metric.metric}: {metric.verdict}" for metric in validity.metrics]


def tables(validity: Validity, *, by_type: bool = False) -> list[TextTable]:
    """Every table that has something in it."""
    found: list[TextTable | None] = [control_table(validity), damage_table(validity)]
    found += [judge_table(validity), drift_table(validity), order_table(validity)]
    found += [agreement_table(validity, scope) for scope in SCOPES]
    found += [people_table(validity), contrast_table(validity)]
    if by_type:
        found += [edit_type_table(validity, scope, truth) for truth in validity.truths for scope in SCOPES]
    return [table for table in found if table is not None]


def control_table(validity: Validity) -> TextTable:
    """How often each metric prefers the true edit to each control on the same item."""
    names = validity.controls(damage=False)
    rows = tuple(
        (
            metric.label,
            str(metric.n_items),
            *(_preference(metric.against(name)) for name in names),
            _share(metric.floor_share),
            _share(metric.ceiling_share),
        )
        for metric in validity.metrics
    )
    level = format_percent(validity.level)
    title = f"% of items on which the {validity.true_edit_words} beats the control, ties ½, {level} intervals"
    return TextTable(title=title, header=("metric", "items", *names, "at worst", "at best"), rows=rows)


def damage_table(validity: Validity) -> TextTable:
    """How far each damage moves each metric."""
    title = (
        "Mean after damage minus before, in % of the way from the true edit to another source image "
        "(+ better, − worse), and % of items on which the undamaged edit wins"
    )
    return _table(title, validity.metrics, validity.controls(damage=True), _moved)


def judge_table(validity: Validity) -> TextTable | None:
    """Whether the judge agrees with itself; None where it was asked once about each edit."""
    asked = [worth for worth in validity.judge if worth.repeats > 1]
    if not asked:
        return None
    rows = tuple(
        (worth.metric, str(worth.repeats), f"{worth.n_unread:,} of {worth.n_answers:,}", _percent(worth.differing),
         format_number(worth.distance), _percent(worth.reversing))
        for worth in asked
    )  # fmt: skip
    title = (
        "The judge against itself: % of pairs of answers about one edit that differ, by how much on average, and % of "
        f"rankings of two edits of an item that another answer reverses, {format_percent(validity.level)} intervals"
    )
    return TextTable(title=title, header=("metric", "repeats", "unread", "differ", "by", "reversed"), rows=rows)


def drift_table(validity: Validity) -> TextTable | None:
    """What the size and format of pictures do to the judge."""
    if not any(worth.drifts for worth in validity.judge):
        return None
    names = [drift.image for drift in validity.judge[0].drifts]
    rows = tuple((worth.metric, *(_drift(drift) for drift in worth.drifts)) for worth in validity.judge)
    title = (
        f"The judge's mean over the {validity.true_edit_words}s when pictures are sent otherwise, minus as they are, "
        f"{format_percent(validity.level)} intervals, and the mean distance of single scores"
    )
    return TextTable(title=title, header=("metric", *names), rows=rows)


def order_table(validity: Validity) -> TextTable | None:
    """What the order of two edits does to the judge; None without one."""
    order = validity.order
    if order is None:
        return None
    title = (
        f"The judge on pairs in both orders, the {validity.true_edit_words} beside that of {listed(order.others)}: "
        "% of pairs on which its choice changes when the sides are swapped, and % of answers for the left edit minus % "
        f"for the right one, {format_percent(validity.level)} intervals"
    )
    header = ("pairs", "unread", "changed", "left − right")
    unread = f"{order.n_unread:,} of {order.n_answers:,}"
    row = (str(order.changed.n_items), unread, _percent(order.changed), _percent(order.left))
    return TextTable(title=title, header=header, rows=(row,))


def _percent(rate: Rate) -> str:
    if rate.value is None:
        return "undefined"
    known = rate.ci_low is not None and rate.ci_high is not None
    ends = f" [{100 * rate.ci_low:.0f}, {100 * rate.ci_high:.0f}]" if known else ""  # type: ignore[operator]
    return f"{100 * rate.value:.0f}{ends}"


def _drift(drift: Drift) -> str:
    shift = drift.shift
    if shift.value is None:
        return "undefined"
    interval = format_interval(shift.ci_low, shift.ci_high, format_signed)
    return f"{format_signed(shift.value)} {interval} ({format_number(drift.distance)})"


def agreement_table(validity: Validity, scope: Scope) -> TextTable | None:
    """Rank correlation with each truth; None where there is none."""
    agreements = (agreement for metric in validity.metrics for agreement in metric.agreements)
    found = [agreement for agreement in agreements if agreement.scope == scope and agreement.edit_type is None]
    if not found:
        return None
    over = counted(found[0].n_systems, "method", "methods" if scope == "methods" else "methods and controls")
    title = f"Agreement with the truth: {found[0].how}, {over}, {format_percent(validity.level)} intervals (items)"
    truths = list(dict.fromkeys(agreement.truth for agreement in found))
    return _table(title, validity.metrics, truths, lambda metric, truth: _correlation(metric.agreement(truth, scope)))


def people_table(validity: Validity) -> TextTable | None:
    """How each metric agrees with people in pairs; None where they did not label two methods."""
    found = [(metric, metric.people) for metric in validity.metrics if metric.people is not None]
    if not found:
        return None
    rows = tuple(
        (
            metric.label,
            _with_ends(people.accuracy, people.accuracy_low, people.accuracy_high),
            format_number(people.threshold),
            f"{people.n_ties:,} of {people.n_pairs:,}",
            _with_ends(people.soft, people.soft_low, people.soft_high),
            f"{people.n_items:,}",
        )
        for metric, people in found
    )
    of = found[0][1]
    title = (
        f"Agreement with people ({of.truth}) over {of.n_systems} methods, {format_percent(validity.level)} intervals "
        "by group: in pairs of edits of an item, with ties calibrated, and in pairs of methods"
    )
    header = ("metric", "pairwise accuracy", "tie up to", "people tie", "soft pairwise accuracy", "items")
    return TextTable(title=title, header=header, rows=rows)


def contrast_table(validity: Validity) -> TextTable | None:
    """Which metric agrees more with people, two by two; None where there are no two, or no people."""
    if not validity.contrasts:
        return None
    alpha = 1 - validity.level
    rows = tuple(
        (
            f"{contrast.first} − {contrast.second}",
            contrast.measure,
            format_signed(contrast.difference),
            format_p(contrast.p_value, alpha),
            format_p(contrast.adjusted_p_value, alpha),
        )
        for contrast in validity.contrasts
    )
    title = (
        f"Which metric agrees more with people ({validity.contrasts[0].truth}): permuting both metrics (PERM-BOTH) by "
        "method and group, Holm-corrected on each measure"
    )
    header = ("metrics", "measure", "difference", "p", "adjusted p")
    return TextTable(title=title, header=header, rows=rows, text_columns=frozenset({0, 1}))


def edit_type_table(validity: Validity, scope: Scope, truth: str) -> TextTable | None:
    """Rank correlation with one truth, edit type by edit type; None where there are no types."""
    agreements = (agreement for metric in validity.metrics for agreement in metric.agreements)
    found = (agreement for agreement in agreements if (agreement.scope, agreement.truth) == (scope, truth))
    types = list(dict.fromkeys(agreement.edit_type for agreement in found if agreement.edit_type))
    if not types:
        return None
    title = f"Agreement with {truth} by edit type ({format_percent(validity.level)} intervals, items)"
    metrics = [metric for metric in validity.metrics if metric.metric != truth]
    return _table(title, metrics, types, lambda metric, kind: _correlation(metric.agreement(truth, scope, kind)))


def validity_notes(validity: Validity) -> list[str]:
    """What stands below the tables: on how many items they rest, and values that do not exist."""
    undefined = list(_undefined(validity))
    undefined += [
        f"{metric.metric} with people: {metric.people.reason}"
        for metric in validity.metrics
        if metric.people and metric.people.reason
    ]
    where = f"{validity.n_items} items in {validity.n_groups} groups of {validity.benchmark}, intervals by group"
    return [where, *validity.problems, *validity.notes, *undefined]


def _undefined(validity: Validity) -> Iterator[str]:
    """Against which controls metrics have no value, and why: each reason once for metrics that share all of it."""
    found: dict[tuple[str, str], list[str]] = {}
    for metric in validity.metrics:
        of_reason: dict[str, list[str]] = {}
        for against in metric.controls:
            if against.probability is None and against.reason:
                of_reason.setdefault(against.reason, []).append(against.control)
        for reason, names in of_reason.items():
            every = len(names) == len(metric.controls) > 1
            found.setdefault((reason, "every control" if every else ", ".join(names)), []).append(metric.metric)
    for (reason, controls), metrics in found.items():
        yield f"{', '.join(metrics)} against {controls}: no value, {reason}"


def signatures_of(validity: Validity, length: SignatureLength) -> list[str]:
    """One line for all metrics, or the signature of each."""
    lines = [metric.signature for metric in validity.metrics]
    return lines if length == "full" or not lines else [short_signature(lines)]


def miniature_note(validity: Validity) -> list[str]:
    """That the numbers are a toy network's, where any is."""
    return [MINIATURE_NOTE] if validity.miniature else []


def markdown(validity: Validity) -> str:
    """Verdicts, tables and notes in GitHub's Markdown."""
    lines = [f"- **{metric.metric}**: {metric.verdict}" for metric in validity.metrics]
    for table in tables(validity, by_type=True):
        lines += ["", f"*{table.title}*", "", *markdown_table(table)]
    notes = [*validity_notes(validity), *signatures_of(validity, "full"), *miniature_note(validity)]
    lines += ["", *(f"- {note}".replace("|", "\\|") for note in notes)]
    return "\n".join(lines) + "\n"


def _table(
    title: str, metrics: Iterable[MetricValidity], names: Sequence[str], cell: Callable[[MetricValidity, str], str]
) -> TextTable:
    rows = tuple((metric.label, *(cell(metric, name) for name in names)) for metric in metrics)
    return TextTable(title=title, header=("metric", *names), rows=rows)


def _preference(found: AgainstControl | None) -> str:
    if found is None:
        return ""
    if found.probability is None:
        return "undefined"
    known = found.ci_low is not None and found.ci_high is not None
    ends = f" [{100 * found.ci_low:.0f}, {100 * found.ci_high:.0f}]" if known else ""  # type: ignore[operator]
    return f"{100 * found.probability:.0f}{ends}"


def _moved(metric: MetricValidity, damage: str) -> str:
    found, shift = metric.against(damage), metric.relative_shift(damage)
    if found is None or shift is None or found.probability is None:
        return "undefined"
    return f"{format_signed(100 * shift, 1)} ({100 * found.probability:.0f})"


def _correlation(found: Agreement | None) -> str:
    if found is None:
        return ""
    if found.value is None:
        return "undefined"
    ends = "" if found.ci_low is None else f" [{format_number(found.ci_low, 2)}, {format_number(found.ci_high, 2)}]"
    return f"{format_number(found.value, 2)}{ends} ({found.n_items})"


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    ends = "" if low is None else f" [{format_number(low, 2)}, {format_number(high, 2)}]"
    return f"{format_number(value, 2)}{ends}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"
