"""What metrics are tried on: the true edits, controls, damaged edits and methods, all of the same items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from evalkit.benchmarks.base import LoadedBenchmark
from evalkit.benchmarks.controls import controls_of, following, write_control
from evalkit.benchmarks.open import open_edits_of
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit.validity.damage import DAMAGES, damaged

REFERENCE = "reference"
CAPTIONS = "shuffled_caption"
SystemKind = Literal["true", "control", "caption", "damage", "method"]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One edited image per item from one origin: the truth, a control, damage to the truth, or a method."""

    name: str
    kind: SystemKind
    items: tuple[EditItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """Everything that is scored, on the same items."""

    true: System
    others: tuple[System, ...]
    notes: tuple[str, ...]

    @property
    def methods(self) -> list[str]:
        """The names of the methods whose folders were given."""
        return [system.name for system in self.others if system.kind == "method"]

    @property
    def all(self) -> tuple[System, ...]:
        """Every system, the true edits first."""
        return (self.true, *self.others)


def collect_systems(
    loaded: LoadedBenchmark,
    methods: Sequence[Path],
    work: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Systems:
    """Reads, draws and writes them.

    Args:
        loaded: The benchmark with its files.
        methods: Edit folders of methods. Only items that all of them have are used.
        work: Where controls and damaged edits are written.
        limit: How many source images at most, with all their items.
        seed: Determines what is shuffled.

    Raises:
        OptionError: There are neither reference images nor methods, or no item that all methods have.
        EvalkitError: A folder cannot be read.
    """
    benchmark, names = loaded.benchmark, _distinct_names(methods)
    folders = {name: open_edits_of(loaded, path) for name, path in zip(names, methods, strict=True)}
    edited = {name: [item for item in folder.items if item.status == "ok"] for name, folder in folders.items()}
    kept = _common(loaded.items, edited.values(), limit)
    notes: list[str] = []
    if len(kept) < len(benchmark.items):
        of_which = f"those of the first {limit} source images" if limit else "those that all methods have"
        notes.append(f"{len(kept)} of the benchmark's {len(benchmark.items)} items: {of_which}")
    controls = _controls(loaded, kept, work / "controls", seed, notes)
    found = [System(name=name, kind="method", items=_of(items, kept)) for name, items in edited.items()]
    reference = next((system for system in controls if system.name == REFERENCE), None)
    chosen = reference or next(iter(found), None)
    if chosen is None:
        raise OptionError(
            f"{benchmark.name} has no reference images, so it takes a method's edits for the true ones. Give a folder: "
            f"evalkit validate METRIC --benchmark {benchmark.name} PATH"
        )
    true = replace(chosen, kind="true")
    others: list[System] = [system for system in controls if system.name != REFERENCE]
    if len({item.group for item in true.items}) > 1:
        shuffled = _with_other_captions(true.items, np.random.default_rng(seed))
        others.append(System(name=CAPTIONS, kind="caption", items=shuffled))
    others += [
        System(name=name, kind="damage", items=damaged(name, true.items, work / "damaged" / name)) for name in DAMAGES
    ]
    return Systems(true=true, others=(*others, *found), notes=tuple(notes))


def _controls(loaded: LoadedBenchmark, kept: set[str], work: Path, seed: int, notes: list[str]) -> list[System]:
    """Every control that the benchmark has; why another could not be made joins the notes."""
    controls = []
    for name in controls_of(loaded.benchmark):
        try:
            folder = write_control(name, loaded, work / name, rng=np.random.default_rng(seed))
        except OptionError as failure:
            notes.append(str(failure))
            continue
        items = open_edits_of(loaded, folder).items
        controls.append(System(name=name, kind="control", items=_of(items, kept)))
    return controls


def _common(expected: Sequence[EditItem], edited: Iterable[Sequence[EditItem]], limit: int | None) -> set[str]:
    """The ids of the items that every method has, of the first groups."""
    kept = {item.item_id for item in expected}.intersection(*({i.item_id for i in items} for items in edited))
    groups = list(dict.fromkeys(item.group for item in expected if item.item_id in kept))[:limit]
    kept &= {item.item_id for item in expected if item.group in groups}
    if not kept:
        raise OptionError("No item has an edited image in every folder: there is nothing to try the metrics on.")
    return kept


def _of(items: Iterable[EditItem], kept: set[str]) -> tuple[EditItem, ...]:
    return tuple(item for item in items if item.item_id in kept)


def _with_other_captions(items: Sequence[EditItem], rng: np.random.Generator) -> tuple[EditItem, ...]:
    """Every item with both captions of an item of another group: the next one in a random circle of groups."""
    members: dict[str, list[EditItem]] = {}
    for item in items:
        members.setdefault(item.group or item.item_id, []).append(item)
    other_group = following(list(members), rng)
    shuffled = []
    for item in items:
        own = item.group or item.item_id
        others = members[other_group[own]]
        other = others[members[own].index(item) % len(others)]
        shuffled.append(replace(item, source_caption=other.source_caption, target_caption=other.target_caption))
    return tuple(shuffled)


def _distinct_names(methods: Sequence[Path]) -> list[str]:
    """Folder names, with their parents' where two are the same."""
    names = [path.resolve().name for path in methods]
    return [
        name if names.count(name) == 1 else f"{path.resolve().parent.name}/{name}"
        for name, path in zip(names, methods, strict=True)
    ]
