"""Everything that judging a metric needs: values of all systems on the same items, and the truths."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.arrays import Floats
from evalkit.benchmarks.base import Benchmark
from evalkit.errors import OptionError
from evalkit.scores.external import ColumnNames
from evalkit.validity.systems import Systems
from evalkit.validity.values import MetricColumn, Scored, human_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Human:
    """A table of what people said of edits."""

    table: Path
    column: str
    columns: ColumnNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One truth: its value of every system that has it."""

    name: str
    columns: Mapping[str, MetricColumn]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything that judging a metric needs."""

    systems: Systems
    scored: Scored
    items: tuple[str, ...]
    groups: tuple[str, ...]
    edit_types: tuple[str | None, ...]
    truths: tuple[Truth, ...]
    level: float
    seed: int

    def values(self, system: str, metric: str) -> Floats:
        """A metric of a system, NaN where it has no value."""
        return self.scored.columns[system, metric].at(self.items)


def make_trial(
    benchmark: Benchmark, systems: Systems, scored: Scored, human: Human | None, level: float, seed: int
) -> Trial:
    """The trial of some systems, in the benchmark's order of items."""
    kept = {item.item_id for item in systems.true.items}
    items = [item for item in benchmark.items if item.item_id in kept]
    names = [system.name for system in systems.all if system.kind != "damage"]
    truths = [
        Truth(name=truth, columns={name: scored.columns[name, truth] for name in names}) for truth in scored.truths
    ]
    if human:
        truths.insert(0, _of_people(human, systems))
    return Trial(
        systems=systems,
        scored=scored,
        items=tuple(item.item_id for item in items),
        groups=tuple(item.group or item.item_id for item in items),
        edit_types=tuple(item.edit_type for item in items),
        truths=tuple(truths),
        level=level,
        seed=seed,
    )


def _of_people(human: Human, systems: Systems) -> Truth:
    """What people said of each method, by name; a table of one method is of the only one."""
    said = human_scores(human.table, human.column, human.columns)
    methods = [system.name for system in systems.others if system.kind == "method"]
    if len(said) == len(methods) == 1:
        said = {methods[0]: next(iter(said.values()))}
    common = [name for name in methods if name in said]
    if not common:
        raise OptionError(
            f"{human.table} holds scores of {', '.join(said)}, and the folders are {', '.join(methods) or 'none'}: "
            "expected the same names. Name the column of methods: --method-column NAME"
        )
    return Truth(name=human.column, columns={name: MetricColumn(by_item=said[name], undefined={}) for name in common})
