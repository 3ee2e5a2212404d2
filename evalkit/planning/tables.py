"""A study plan as tables and sentences."""

import math

from evalkit.formatting import DASH, counted, format_number, format_p_relation, share_of_studies
from evalkit.planning.records import LabelsNeeded, StudyPlan
from evalkit.scores.tables import MINIATURE_NOTE
from evalkit.stats.seeds import VarianceComponents
from evalkit.tables.exportable import Shown
from evalkit.tables.table import TextTable


def shown_plan(plan: StudyPlan) -> Shown:
    """What ``evalkit power`` prints."""
    first = plan.needed[0]
    needed = "no number of items shows" if first.items is None else f"{counted(first.items, 'item')} to find"
    return Shown(
        summary=f"{needed} a true difference of {format_number(first.effect)}",
        tables=tuple(plan_tables(plan)),
        notes=tuple(plan_notes(plan)),
    )


def plan_tables(plan: StudyPlan) -> list[TextTable]:
    """What items can show, what effects need, and what seeds are worth where that is known."""
    found, level = f"found by {share_of_studies(plan.power)}", f"α = {plan.alpha:.3g}"
    tables = [
        TextTable(
            title="\n".join(
                [f"What so many items find ({level})", *([MINIATURE_NOTE] if plan.basis.miniature else [])]
            ),
            header=("items", "groups", f"true difference {found}"),
            rows=tuple((f"{row.items:,}", f"{row.groups:,}", format_number(row.effect)) for row in plan.detectable),
            text_columns=frozenset(),
        ),
        TextTable(
            title=f"What a true difference needs, to be {found} ({level})",
            header=("true difference", "items", "groups", "items to show equivalence inside ± it"),
            rows=tuple(
                (format_number(row.effect), _needed(row.items), _needed(row.groups), _needed(row.equivalence_items))
                for row in plan.needed
            ),
            text_columns=frozenset(),
        ),
    ]
    if plan.labels:
        tables.append(_labels_table(plan, found))
    if plan.seeds and plan.basis.components is not None:
        paired = "same seeds for both" if plan.basis.components.paired else "other seeds for each"
        tables.append(
            TextTable(
                title=f"Seeds against items, for a true difference of {format_number(plan.needed[0].effect)}",
                header=(f"seeds per item ({paired})", "items", "edited images of both methods"),
                rows=tuple((str(row.seeds), _needed(row.items), _needed(row.images)) for row in plan.seeds),
                text_columns=frozenset(),
            )
        )
    return tables


def _labels_table(plan: StudyPlan, found: str) -> TextTable:
    """How many items people must label, by how many are scored."""
    numbers = list(dict.fromkeys(row.items for row in plan.labels))
    by_effect: dict[float, list[LabelsNeeded]] = {}
    for row in plan.labels:
        by_effect.setdefault(row.effect, []).append(row)
    return TextTable(
        title=f"Items that people must label, drawn at random, for a true difference to be {found}, with a metric "
        f"whose difference correlates {plan.metric_correlation:g} with theirs (– : all of them are not enough)",
        header=("true difference", "labels alone", *(f"of {number:,} scored" for number in numbers)),
        rows=tuple(
            (
                format_number(effect),
                _needed(rows[0].labels_alone),
                *(DASH if row.labels is None else f"{row.labels:,}" for row in rows),
            )
            for effect, rows in by_effect.items()
        ),
        text_columns=frozenset(),
    )


def plan_notes(plan: StudyPlan) -> list[str]:
    """What the plan rests on."""
    basis = plan.basis
    notes = [
        f"standard deviation of the items' differences {format_number(basis.standard_deviation)}",
        f"items per group {basis.items_per_group:.3g}, correlation within groups {basis.intraclass_correlation:.2f}: "
        f"design effect {basis.design_effect:.3g}, {100 / basis.design_effect:.0f} of 100 items count",
    ]
    if any(row.effect is None for row in plan.detectable):
        notes.append(
            f"no difference, however large, can be found with fewer than {counted(plan.fewest_groups, 'group')} "
            f"({counted(plan.fewest_items, 'item')}): the smallest p-value of G groups is 2/2^G, here above α"
        )
    if not plan.named_effects:
        notes.append("no difference was named (--effect): those above are usual fractions of the standard deviation")
    if basis.components is not None:
        notes += _seed_notes(basis.components)
    return [*notes, *basis.notes]


def _seed_notes(components: VarianceComponents) -> list[str]:
    notes = []
    if (enough := components.enough_seeds) is not None:
        notes.append(f"beyond {counted(enough, 'seed')} per item only new items help")
    if components.crossed is not None and components.crossed.counts:
        notes.append(
            f"all items of a seed seem to share an effect (F test p {format_p_relation(components.crossed.p_value)}, "
            f"standard deviation {format_number(math.sqrt(components.crossed.variance))}), which more items do not "
            "average out: plan more seeds"
        )
    return notes


def _needed(number: int | None) -> str:
    """A number of items, or that none is enough."""
    return "never" if number is None else f"{number:,}"
