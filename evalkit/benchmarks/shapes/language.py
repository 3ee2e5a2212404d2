"""The caption of a scene, what a caption names, and scenes that it fits."""

import re
from collections.abc import Collection

import numpy as np

from evalkit.benchmarks.shapes.details import Details
from evalkit.benchmarks.shapes.world import ATTRIBUTES, Scene


def caption(scene: Scene, named: Collection[str] = tuple(ATTRIBUTES)) -> str:
    """The one caption that the benchmark gives a scene, or what it says of a part of the attributes.

    Args:
        scene: What is described.
        named: The attributes that the caption names; the shape always is.

    >>> scene = Scene(shape="circle", colour="orange", size="small", place="top left", background="white")
    >>> caption(scene)
    'A small orange circle at the top left on a white background.'
    >>> caption(scene, ["shape", "colour"])
    'An orange circle.'
    """
    thing = " ".join(scene.attributes[name] for name in ("size", "colour") if name in named)
    thing = f"{thing} {scene.shape}".strip()
    where = "in the centre" if scene.place == "centre" else f"at the {scene.place}"
    parts = [f"{'An' if thing[0] in 'aeiou' else 'A'} {thing}"]
    parts += [where] if "place" in named else []
    parts += [f"on a {scene.background} background"] if "background" in named else []
    return " ".join(parts) + "."


def named_in(text: str) -> dict[str, str]:
    """The attributes that a caption names, with what it says of them, whatever its wording.

    >>> named_in("There is a red circle at the top left of the picture.")
    {'shape': 'circle', 'colour': 'red', 'place': 'top left'}
    """
    words = f" {' '.join(re.findall(r'[a-z]+', text.lower()))} "
    found = {}
    for name, values in ATTRIBUTES.items():
        said = [value for value in values if f" {value} " in words]
        if said:
            found[name] = max(said, key=len)  # "top left" says "top" and "left" too
    return found


def scene_for(text: str, rng: np.random.Generator) -> Scene:
    """A scene of version 2 that a caption fits: all that it does not name, and the details, by lot."""
    said = named_in(text)
    drawn = {name: str(rng.choice(values)) for name, values in ATTRIBUTES.items() if name not in said}
    return Scene(**said, **drawn, details=Details.sample(rng))
