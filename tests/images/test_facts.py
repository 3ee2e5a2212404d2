"""What an image file is like is kept as numbers and read back as it was."""

import numpy as np
import pytest
from PIL import Image

from evalkit.images.decode import SUFFIXES, decode_image
from evalkit.images.digests import pixel_digest
from evalkit.images.facts import facts_from, facts_of
from tests.support.pictures import encoded, scene


@pytest.mark.parametrize("form", SUFFIXES)
def test_facts_survive_as_numbers(form):
    """Of every format: size, format and the digest of the pixels are exact in float64."""
    decoded = decode_image(encoded(scene(37, 21), form), "picture")
    facts = facts_of(decoded)
    assert facts_from(facts.as_numbers()) == facts
    assert (facts.size, facts.format, facts.pixels) == ((37, 21), form, pixel_digest(decoded.image))
    assert not any(getattr(facts, flag) for flag in ("transparent", "deep", "rotated", "animated"))


def test_facts_tell_what_was_done_to_a_file():
    """Transparency, depth, rotation, animation and colour profile, each by itself."""
    picture = Image.fromarray(scene(20, 30))
    clear = picture.convert("RGBA")
    clear.putalpha(100)
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    files = {
        "transparent": encoded(clear),
        "rotated": encoded(picture, "JPEG", exif=exif),
        "animated": encoded(picture, "GIF", save_all=True, append_images=[picture.rotate(180)]),
        "deep": encoded(deep),
    }
    for name, data in files.items():
        facts = facts_from(facts_of(decode_image(data, name)).as_numbers())
        assert [flag for flag in files if getattr(facts, flag)] == [name]
        assert facts.size == ((30, 20) if name in ("rotated", "deep") else (20, 30))
