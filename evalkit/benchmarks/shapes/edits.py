"""Which edits the shapes benchmark asks for: fixed lists of them, each from a seed of its own, four edits of a source.

Version 1 is one list of 72 sources. Version 2 is three of 24, declared before anything was tried on any of them:
settings are found on the *tuning* list, claims are tested on the *claim* list, and the *final* list is looked at once,
when everything else is decided. No two lists have a source in common.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from evalkit.benchmarks.shapes.details import Details
from evalkit.benchmarks.shapes.language import caption
from evalkit.benchmarks.shapes.world import ATTRIBUTES, PLACES, Jitter, Scene

N_SOURCES = 72
"""Of version 1; a multiple of every attribute's number of values: each is equally frequent among the sources."""
N_UNNAMED = 2
"""Attributes that the captions of an edit of version 2 leave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditList:
    """A list of edits, and what it is drawn from."""

    name: str
    """Of the benchmark that it is the list of."""
    title: str
    version: str
    """Raised whenever an item, a caption or a drawing changes."""
    use: str
    """What it is there for."""
    prefix: str
    """Of its groups and items."""
    seed: int
    n_sources: int
    partial: bool
    """Whether pictures hold details, and captions name a part of the attributes."""


_V1 = EditList(
    name="shapes",
    title="Shapes",
    version="1",
    use="Captions name every attribute.",
    prefix="shapes",
    seed=20230701,
    n_sources=N_SOURCES,
    partial=False,
)
_V2 = replace(
    _V1,
    name="shapes:v2",
    title="Shapes, version 2",
    version="2",
    use="The claim list: what is said of a method rests on it.",
    prefix="shapes-v2",
    seed=20261201,
    n_sources=24,
    partial=True,
)
LISTS: Mapping[str, EditList] = MappingProxyType(
    {
        made.name: made
        for made in (
            _V1,
            _V2,
            replace(
                _V2,
                name="shapes:v2_tuning",
                title="Shapes, version 2, tuning list",
                use="The tuning list: settings are found on it, and nothing is claimed from it.",
                prefix="shapes-v2-tuning",
                seed=20261202,
            ),
            replace(
                _V2,
                name="shapes:v2_final",
                title="Shapes, version 2, final list",
                use="The final list: looked at once, when every setting and every claim is fixed.",
                prefix="shapes-v2-final",
                seed=20261203,
            ),
        )
    }
)
"""Every list by the name of its benchmark."""


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
    named: tuple[str, ...] = tuple(ATTRIBUTES)
    """The attributes that both captions name; what the edit is about is always one of them."""

    @property
    def source_caption(self) -> str:
        """Of the source, as far as the edit's captions say."""
        return caption(self.source, self.named)

    @property
    def target_caption(self) -> str:
        """Of the target, likewise."""
        return caption(self.target, self.named)

    @property
    def instruction(self) -> str:
        """What an editor is told."""
        return EDIT_TYPES[self.edit_type].instruction.format(source=self.source, target=self.target)


@cache
def edits(name: str = "shapes") -> tuple[Edit, ...]:
    """All edits of one of ``LISTS``, in order: source by source.

    Every source has one move, to the side where it is not (from the middle column to either side in turn), and three
    of the four other types, each source in turn leaving out another.
    """
    chosen = LISTS[name]
    rng = np.random.default_rng(chosen.seed)
    made: list[Edit] = []
    n_central = 0
    for number, source in enumerate(_sources(chosen.n_sources, rng)):
        x = PLACES[source.place][0]
        if x == 0.5:
            n_central += 1
        move = "move_right" if x < 0.5 or (x == 0.5 and n_central % 2) else "move_left"
        left_out = _STILL_TYPES[number % len(_STILL_TYPES)]
        jitter = Jitter.sample(rng)
        scene = replace(source, details=Details.sample(rng)) if chosen.partial else source
        types = [kind for kind in EDIT_TYPES if kind == move or (kind in _STILL_TYPES and kind != left_out)]
        of_source = [
            _edit(kind, scene, group=f"{chosen.prefix}-{number:02d}", jitter=jitter, rng=rng) for kind in types
        ]
        made += [_saying_less(edit, rng) for edit in of_source] if chosen.partial else of_source
    return tuple(made)


def _sources(number: int, rng: np.random.Generator) -> list[Scene]:
    """Scenes in which the values of every attribute are as equally frequent as can be, and attributes independent."""
    columns = {
        name: rng.permutation(np.array(values)[np.sort(np.resize(np.arange(len(values)), number))])
        for name, values in ATTRIBUTES.items()
    }
    rows: list[dict[str, Any]] = [{name: str(column[row]) for name, column in columns.items()} for row in range(number)]
    return [Scene(**values) for values in rows]


def _saying_less(edit: Edit, rng: np.random.Generator) -> Edit:
    """An edit whose captions leave out some attributes, neither the shape nor what the edit is about."""
    kept = {"shape", EDIT_TYPES[edit.edit_type].attribute}
    unnamed = rng.choice([name for name in ATTRIBUTES if name not in kept], N_UNNAMED, replace=False)
    return replace(edit, named=tuple(name for name in ATTRIBUTES if name not in unnamed))


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
        target=_with(source, attribute, wanted),
        wrong=_with(source, attribute, wrong),
        jitter=jitter,
    )


def _with(scene: Scene, attribute: str, value: str) -> Scene:
    changed: dict[str, Any] = {attribute: value}
    return replace(scene, **changed)


def _beside(place: str, edit_type: str) -> str:
    """The place at the same height in the column that a move goes to."""
    column = edit_type.removeprefix("move_")
    wanted = (PLACES[column][0], PLACES[place][1])
    return next(name for name, middle in PLACES.items() if middle == wanted)
