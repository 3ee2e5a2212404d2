"""What metrics are worth, as text: verdicts, the true edit against controls, damage, agreement."""

from collections.abc import Iterable

from evalkit.report.runs import MINIATURE_NOTE
from evalkit.report.tables import TextTable, markdown_table
from evalkit.validity.records import AgainstControl, Agreement, MetricValidity, Scope, Validity

ANOTHER = "shuffled_source"


def verdict_lines(validity: Validity) -> list[str]:
    """One line per metric."""
    return [f"{metric.metric}: {metric.verdict}" for metric in validity.metrics]


def control_cells(validity: Validity) -> TextTable:
    """How often each metric prefers the true edit to each control on the same item."""
    names = control_names(validity, damage=False)
    rows = tuple(
        (
            headed(metric),
            str(metric.n_items),
            *(_preference(against(metric, name)) for name in names),
            _share(metric.floor_share),
            _share(metric.ceiling_share),
        )
        for metric in validity.metrics
    )
    title = f"% of items on which the {true_edit(validity)} beats the control, ties ½, {level(validity)} intervals"
    header = ("metric", "items", *names, "at worst", "at best")
    return TextTable(title=title, header=header, rows=rows)


def damage_cells(validity: Validity) -> TextTable:
    """How far each damage moves each metric."""
    names = control_names(validity, damage=True)
    rows = tuple(
        (headed(metric), *(_moved(metric, against(metric, name)) for name in names)) for metric in validity.metrics
    )
    title = (
        "Mean after damage minus before, in % of the way from the true edit to another source image "
        "(+ better, − worse), and % of items on which the undamaged edit wins"
    )
    return TextTable(title=title, header=("metric", *names), rows=rows)


def agreement_cells(validity: Validity, scope: Scope) -> TextTable | None:
    """Rank correlation with each truth; None where there is none."""
    found = [
        (metric, agreement)
        for metric in validity.metrics
        for agreement in metric.agreements
        if agreement.scope == scope and agreement.edit_type is None
    ]
    if not found:
        return None
    truths = list(dict.fromkeys(agreement.truth for _, agreement in found))
    rows = tuple(
        (headed(metric), *(_correlation(agreement_with(metric, truth, scope, None)) for truth in truths))
        for metric in validity.metrics
    )
    over = f"{found[0][1].n_systems} {'methods' if scope == 'methods' else 'methods and controls'}"
    title = f"Agreement with the truth: {found[0][1].how}, {over}, {level(validity)} intervals (items)"
    return TextTable(title=title, header=("metric", *truths), rows=rows)


def edit_type_cells(validity: Validity, scope: Scope, truth: str) -> TextTable | None:
    """Rank correlation with one truth, edit type by edit type; None where there are no types."""
    types = list(
        dict.fromkeys(
            agreement.edit_type
            for metric in validity.metrics
            for agreement in metric.agreements
            if agreement.edit_type and agreement.scope == scope and agreement.truth == truth
        )
    )
    if not types:
        return None
    rows = tuple(
        (headed(metric), *(_correlation(agreement_with(metric, truth, scope, kind)) for kind in types))
        for metric in validity.metrics
        if metric.metric != truth
    )
    title = f"Agreement with {truth} by edit type ({level(validity)} intervals, items)"
    return TextTable(title=title, header=("metric", *types), rows=rows)


def validity_notes(validity: Validity) -> list[str]:
    """What has to stand below."""
    signatures = [metric.signature for metric in validity.metrics]
    undefined = [
        f"{metric.metric} against {found.control}: no value, {found.reason}"
        for metric in validity.metrics
        for found in metric.controls
        if found.probability is None and found.reason
    ]
    toy = [MINIATURE_NOTE] if validity.miniature else []
    where = f"{validity.n_items} items in {validity.n_groups} groups of {validity.benchmark}, intervals by group"
    return [where, *validity.notes, *undefined, *signatures, *toy]


def tables(validity: Validity, *, by_type: bool = False) -> list[TextTable]:
    """Every table that has something in it."""
    scopes: tuple[Scope, ...] = ("methods", "all")
    found: list[TextTable | None] = [control_cells(validity), damage_cells(validity)]
    found += [agreement_cells(validity, scope) for scope in scopes]
    if by_type:
        found += [edit_type_cells(validity, scope, truth) for truth in truths_of(validity) for scope in scopes]
    return [cells for cells in found if cells is not None]


def markdown(validity: Validity) -> str:
    """Verdicts, tables and notes in GitHub's Markdown."""
    lines = [f"- **{metric.metric}**: {metric.verdict}" for metric in validity.metrics]
    for cells in tables(validity, by_type=True):
        lines += ["", f"*{cells.title}*", "", *markdown_table(cells)]
    lines += ["", *(f"- {note}".replace("|", "\\|") for note in validity_notes(validity))]
    return "\n".join(lines) + "\n"


def truths_of(validity: Validity) -> list[str]:
    """The truths that metrics were held against, in order."""
    return list(dict.fromkeys(found.truth for metric in validity.metrics for found in metric.agreements))


def control_names(validity: Validity, *, damage: bool) -> list[str]:
    """The controls of the metrics, in order."""
    return _distinct(
        found.control for metric in validity.metrics for found in metric.controls if (found.kind == "damage") == damage
    )


def against(metric: MetricValidity, control: str) -> AgainstControl | None:
    """A metric beside a control, where it was tried."""
    return next((found for found in metric.controls if found.control == control), None)


def agreement_with(metric: MetricValidity, truth: str, scope: Scope, edit_type: str | None) -> Agreement | None:
    """A metric beside a truth, where both are known."""
    return next((a for a in metric.agreements if (a.truth, a.scope, a.edit_type) == (truth, scope, edit_type)), None)


def relative_shift(metric: MetricValidity, found: AgainstControl) -> float | None:
    """How far damage moves the mean, in shares of the way to another picture; negative is worse."""
    other = against(metric, ANOTHER)
    if other is None or not other.shift or found.shift is None:
        return None
    sign = 1 if metric.higher_is_better else -1
    return sign * found.shift / abs(other.shift)


def headed(metric: MetricValidity) -> str:
    """The metric's name with an arrow towards the better values."""
    return f"{metric.metric} {'↑' if metric.higher_is_better else '↓'}"


def true_edit(validity: Validity) -> str:
    """What was taken for the true edit, in words."""
    return "reference edit" if validity.true_edit == "reference" else f"edit of {validity.true_edit}"


def level(validity: Validity) -> str:
    """The level of all intervals."""
    return f"{100 * validity.level:g} %"


def _preference(found: AgainstControl | None) -> str:
    if found is None:
        return ""
    if found.probability is None:
        return "undefined"
    ends = "" if found.ci_low is None or found.ci_high is None else f" [{_hundred(found.ci_low, found.ci_high)}]"
    return f"{100 * found.probability:.0f}{ends}"


def _moved(metric: MetricValidity, found: AgainstControl | None) -> str:
    share = relative_shift(metric, found) if found else None
    if found is None or share is None or found.probability is None:
        return "undefined"
    return f"{100 * share:+.1f} ({100 * found.probability:.0f})".replace("-", "−")


def _correlation(found: Agreement | None) -> str:
    if found is None:
        return ""
    if found.value is None:
        return "undefined"
    ends = f" [{found.ci_low:.2f}, {found.ci_high:.2f}]" if found.ci_low is not None else ""
    return f"{found.value:.2f}{ends} ({found.n_items})".replace("-", "−")


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _hundred(*shares: float) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in shares)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
