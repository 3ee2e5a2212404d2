"""The caption of a scene."""

from evalkit.benchmarks.shapes.world import Scene


def caption(scene: Scene) -> str:
    """The one caption that the benchmark gives a scene.

    >>> caption(Scene(shape="circle", colour="red", size="small", place="top left", background="white"))
    'A small red circle at the top left on a white background.'
    """
    where = "in the centre" if scene.place == "centre" else f"at the {scene.place}"
    return f"A {scene.size} {scene.colour} {scene.shape} {where} on a {scene.background} background."
