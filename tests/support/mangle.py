"""What people make of file names."""

import unicodedata

from hypothesis import strategies as st

from evalkit.benchmarks.tedbench import tedbench

CAPTIONS = ("A crowded café.", "Ein großes Haus.", "Çay, half-drunk.", "A tree. Taken in autumn.")
OFFICIAL = [*tedbench().edited_names.values(), *(f"été.jpeg-{text[:-1].replace(' ', '_')}.png" for text in CAPTIONS)]
"""TEdBench's own names, and some with letters that have several forms."""


@st.composite
def mangled(draw: st.DrawFn, names: list[str] = OFFICIAL) -> tuple[int, str]:
    """A name's position and what people might have made of it, with everything that is tolerated."""
    position = draw(st.integers(0, len(names) - 1))
    source, _, text = names[position].removesuffix(".png").partition("-")
    while not source.endswith((".jpeg", ".jpg", ".png")):  # some sources have a hyphen of their own
        more, _, text = text.partition("-")
        source = f"{source}-{more}"
    suffixes = st.sampled_from([".png", ".jpg", ".jpeg", ".PNG", ".webp", ".png.png", ".jpeg.png"])
    if draw(st.booleans()):
        source = source.rpartition(".")[0] + draw(suffixes | st.just(""))
    name = f"{source}-{text}{draw(st.sampled_from(['', '.']))}"
    name = "".join(draw(st.sampled_from(["_", " ", "__", "_ "])) if letter == "_" else letter for letter in name)
    name = draw(st.sampled_from([str, str.upper, str.lower, str.swapcase, str.title]))(name)
    name = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), name)
    return position, name + draw(suffixes)
