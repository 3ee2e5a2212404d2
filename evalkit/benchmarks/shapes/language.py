"""The words for scenes."""

from evalkit.benchmarks.shapes.world import Scene


def caption(scene: Scene) -> str:
    """The one caption that the benchmark gives a scene.

    >>> caption(Scene(shape="circle", colour="red", size="small", place="top left", background="white"))
    'A small red circle at the top left on a white background.'
    """
    return f"A {_thing(scene)} {_where(scene)} on a {scene.background} background."


def paraphrases(scene: Scene) -> tuple[str, ...]:
    """Other ways to say the same, the canonical caption first."""
    thing, where, background = _thing(scene), _where(scene), scene.background
    return (
        caption(scene),
        f"A {background} background with a {thing} {where}.",
        f"There is a {thing} {where} of the {background} picture.",
        f"{_article(scene.colour)} {scene.colour} {scene.shape}, {scene.size}, {where}, on {background}.",
        f"A picture of a {thing} {where}; the background is {background}.",
    )


def _thing(scene: Scene) -> str:
    return f"{scene.size} {scene.colour} {scene.shape}"


def _where(scene: Scene) -> str:
    return "in the centre" if scene.place == "centre" else f"at the {scene.place}"


def _article(word: str) -> str:
    return "An" if word[0] in "aeiou" else "A"
