"""Scenes of the shapes world, and other words for them than the benchmark's own."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from evalkit.benchmarks.shapes.details import Details
from evalkit.benchmarks.shapes.language import caption
from evalkit.benchmarks.shapes.world import ATTRIBUTES, Jitter, Scene

ANY_SCENE = st.builds(Scene, **{name: st.sampled_from(values) for name, values in ATTRIBUTES.items()})
ANY_DETAILS = st.builds(lambda seed: Details.sample(np.random.default_rng(seed)), st.integers(0, 2**32))
ANY_DETAILED_SCENE = st.builds(
    Scene, **{name: st.sampled_from(values) for name, values in ATTRIBUTES.items()}, details=ANY_DETAILS
)
ANY_JITTER = st.builds(lambda seed: Jitter.sample(np.random.default_rng(seed)), st.integers(0, 2**32))
RED_CIRCLE = Scene(shape="circle", colour="red", size="large", place="left", background="grey")


def scenes() -> Iterator[Scene]:
    """Every scene there is, in a fixed order."""
    for shape, colour, size, place, background in product(*ATTRIBUTES.values()):
        yield Scene(shape=shape, colour=colour, size=size, place=place, background=background)


def paraphrases(scene: Scene, named: Collection[str] = tuple(ATTRIBUTES)) -> tuple[str, ...]:
    """Other ways to say the same, or as much of it as is named, the benchmark's caption first."""
    said = {name: value for name, value in scene.attributes.items() if name in named}
    thing = " ".join([*(said[name] for name in ("size", "colour") if name in said), scene.shape])
    a_thing = f"{article(thing)} {thing}"
    where = [] if "place" not in said else ["in the centre" if scene.place == "centre" else f"at the {scene.place}"]
    background = said.get("background")
    there = " ".join([a_thing, *where])
    bare = " ".join([*([said["colour"]] if "colour" in said else []), scene.shape])
    listed = [f"{article(bare).capitalize()} {bare}", *([scene.size] if "size" in said else []), *where]
    return (
        caption(scene, named),
        f"A {background} background with {there}." if background else f"Here is {there}.",
        f"There is {there} {'of' if where else 'in'} the {f'{background} ' if background else ''}picture.",
        ", ".join([*listed, *([f"on {background}"] if background else [])]) + ".",
        f"A picture of {there}{f'; the background is {background}' if background else ''}.",
    )


def in_version(scene: Scene, version: str, rng: np.random.Generator) -> Scene:
    """The scene as it is in a version of the world: with details of its own in the second."""
    return replace(scene, details=Details.sample(rng)) if version == "2" else scene


def namings(version: str) -> list[tuple[str, ...]]:
    """The parts of the attributes that captions of a version name: all of them, or any that hold the shape."""
    others = [name for name in ATTRIBUTES if name != "shape"]
    parts = [part for length in range(len(others) + 1) for part in combinations(others, length)]
    return [("shape", *part) for part in (parts if version == "2" else [tuple(others)])]


def article(words: str) -> str:
    """The one that goes before."""
    return "an" if words[0] in "aeiou" else "a"
