"""Scenes of the shapes world, and other words for them than the benchmark's own."""

from collections.abc import Iterator
from itertools import product

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


def paraphrases(scene: Scene) -> tuple[str, ...]:
    """Other ways to say the same, the benchmark's caption first."""
    thing, background = f"{scene.size} {scene.colour} {scene.shape}", scene.background
    where = "in the centre" if scene.place == "centre" else f"at the {scene.place}"
    article = "An" if scene.colour[0] in "aeiou" else "A"
    return (
        caption(scene),
        f"A {background} background with a {thing} {where}.",
        f"There is a {thing} {where} of the {background} picture.",
        f"{article} {scene.colour} {scene.shape}, {scene.size}, {where}, on {background}.",
        f"A picture of a {thing} {where}; the background is {background}.",
    )
