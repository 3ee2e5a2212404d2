"""A study plan as tables and sentences."""

from evalkit.formatting import counted, format_number
from evalkit.planning.plan import StudyPlan
from evalkit.report.tables import TextTable


def plan_tables(plan: StudyPlan) -> list[TextTable]:
    """What items can show, what effects need, and what seeds are worth where that is known."""
    chance = f"α = {plan.alpha:.3g}, power {plan.power:.3g}"
    tables = [
        TextTable(
            title=f"What so many items can show ({chance})",
            header=("items", "groups", "smallest difference found"),
            rows=tuple((f"{row.items:,}", f"{row.groups:,}", format_number(row.effect)) for row in plan.detectable),
            text_columns=frozenset(),
        ),
        TextTable(
            title=f"What a difference needs ({chance})",
            header=("difference", "items", "groups", "items to show equivalence inside ± it"),
            rows=tuple(
                (format_number(row.effect), _needed(row.items), _needed(row.groups), _needed(row.equivalence_items))
                for row in plan.needed
            ),
            text_columns=frozenset(),
        ),
    ]
    if plan.seeds:
        tables.append(
            TextTable(
                title=f"Seeds against items, for a difference of {format_number(plan.needed[0].effect)}",
                header=("seeds per item", "items", "edited images of both methods"),
                rows=tuple((str(row.seeds), _needed(row.items), _needed(row.images)) for row in plan.seeds),
                text_columns=frozenset(),
            )
        )
    return tables


def plan_notes(plan: StudyPlan) -> list[str]:
    """What the plan rests on."""
    basis = plan.basis
    notes = [
        f"standard deviation of the items' differences {format_number(basis.standard_deviation)}",
        f"items per group {basis.items_per_group:.3g}, correlation within groups {basis.intraclass_correlation:.2f}: "
        f"design effect {basis.design_effect:.3g}, {100 / basis.design_effect:.0f} of 100 items count",
    ]
    if basis.components is not None and (enough := basis.components.enough_seeds) is not None:
        notes.append(f"beyond {counted(enough, 'seed')} per item only new items help")
    return [*notes, *basis.notes]


def _needed(number: int | None) -> str:
    """A number of items, or that none is enough."""
    return "never" if number is None else f"{number:,}"
