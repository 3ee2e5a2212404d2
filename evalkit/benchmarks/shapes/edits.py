"""Which edits the shapes benchmark asks for: 72 sources, four edits of each, from one fixed seed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import numpy as np

from evalkit.benchmarks.shapes.world import ATTRIBUTES, PLACES, Jitter, Scene

N_SOURCES = 72
"""A multiple of every attribute's number of values, so that each value is equally frequent among the sources."""
_SEED = 20230701


@dataclass(frozen=True, slots=True, kw_only=True)
class EditType:
    """A kind of edit: what it changes and how it is asked for."""

    attribute: str
    """The one attribute that changes."""
    definition: str
    instruction: str
    """A format string over ``source`` and ``target``, the two scenes."""


EDIT_TYPES: Mapping[str, EditType] = MappingProxyType(
    {
        "recolour": EditType(
            attribute="colour",
            definition="The shape takes another colour.",
            instruction="Make the {source.shape} {target.colour}.",
        ),
        "reshape": EditType(
            attribute="shape",
            definition="The shape becomes another shape of the same area, at the same place.",
            instruction="Turn the {source.shape} into a {target.shape}.",
        ),
        "resize": EditType(
            attribute="size",
            definition="The shape becomes smaller or larger around its middle.",
            instruction="Make the {source.shape} {target.size}.",
        ),
        "background": EditType(
            attribute="background",
            definition="The background takes another colour.",
            instruction="Make the background {target.background}.",
        ),
        "move_left": EditType(
            attribute="place",
            definition="Spatial: the shape moves to the left column, at the same height.",
            instruction="Move the {source.shape} to the left.",
        ),
        "move_right": EditType(
            attribute="place",
            definition="Spatial: the shape moves to the right column, at the same height.",
            instruction="Move the {source.shape} to the right.",
        ),
    }
)
"""The benchmark's closed list of edit types."""
_STILL_TYPES = ("recolour", "reshape", "resize", "background")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of one drawing. Source, target and wrong edit share the jitter: nothing else differs."""

    item_id: str
    edit_type: str
    group: str
    """Of the source: ``shapes-`` and its number."""
    source: Scene
    target: Scene
    wrong: Scene
    """The right kind of edit with a wrong value: neither the source's nor the one asked for."""
    jitter: Jitter

    @property
    def instruction(self) -> str:
        """What an editor is told."""
        return EDIT_TYPES[self.edit_type].instruction.format(source=self.source, target=self.target)


@cache
def edits() -> tuple[Edit, ...]:
    """All edits of the benchmark, in order: source by source.

    Every source has one move, to the side where it is not (from the middle column to either side in turn), and three
    of the four other types, each source in turn leaving out another.
    """
    rng = np.random.default_rng(_SEED)
    made: list[Edit] = []
    n_central = 0
    for number, source in enumerate(_sources(rng)):
        x = PLACES[source.place][0]
        if x == 0.5:
            n_central += 1
        move = "move_right" if x < 0.5 or (x == 0.5 and n_central % 2) else "move_left"
        left_out = _STILL_TYPES[number % len(_STILL_TYPES)]
        jitter = Jitter.sample(rng)
        types = [name for name in EDIT_TYPES if name == move or (name in _STILL_TYPES and name != left_out)]
        made.extend(_edit(name, source, group=f"shapes-{number:02d}", jitter=jitter, rng=rng) for name in types)
    return tuple(made)


def _sources(rng: np.random.Generator) -> list[Scene]:
    """Scenes in which every value of every attribute is equally frequent, and attributes are independent."""
    columns = {
        name: rng.permutation(np.repeat(values, N_SOURCES // len(values))) for name, values in ATTRIBUTES.items()
    }
    return [Scene(**{name: str(column[row]) for name, column in columns.items()}) for row in range(N_SOURCES)]


def _edit(edit_type: str, source: Scene, *, group: str, jitter: Jitter, rng: np.random.Generator) -> Edit:
    attribute = EDIT_TYPES[edit_type].attribute
    value = source.attributes[attribute]
    others = [other for other in ATTRIBUTES[attribute] if other != value]
    wanted = _beside(value, edit_type) if attribute == "place" else others[int(rng.integers(len(others)))]
    others.remove(wanted)
    wrong = others[int(rng.integers(len(others)))]
    return Edit(
        item_id=f"{group}-{edit_type}",
        edit_type=edit_type,
        group=group,
        source=source,
        target=replace(source, **{attribute: wanted}),
        wrong=replace(source, **{attribute: wrong}),
        jitter=jitter,
    )


def _beside(place: str, edit_type: str) -> str:
    """The place at the same height in the column that a move goes to."""
    column = edit_type.removeprefix("move_")
    wanted = (PLACES[column][0], PLACES[place][1])
    return next(name for name, middle in PLACES.items() if middle == wanted)
