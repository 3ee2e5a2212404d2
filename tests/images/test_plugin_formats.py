"""HEIC, JPEG 2000 and JPEG XL are read within the bounds of all formats, where they can be; else a package is named."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from evalkit.errors import ImageError
from evalkit.images import plugin_formats
from evalkit.images.decode import decode_image, image_size, read_image, sniff_format
from tests.support.pictures import scene

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
JXL = b"\0\0\0\x0cJXL \r\n\x87\n"
needs_openjpeg = pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no OpenJPEG")


def jpeg2000(**options: object) -> bytes:
    """The scene as a JPEG 2000, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(scene(64, 48)).save(buffer, "JPEG2000", irreversible=False, **options)
    return buffer.getvalue()


class Written:
    """Bits as JPEG XL has them, the lowest of each byte first: the other way round from what is tested."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def add(self, value: int, count: int) -> "Written":
        """Appends a number of so many bits."""
        self.bits += [value >> at & 1 for at in range(count)]
        return self

    def codestream(self) -> bytes:
        """All of them behind the first bytes of a file."""
        padded = [*self.bits, *([0] * (-len(self.bits) % 8))]
        octets = (padded[at : at + 8] for at in range(0, len(padded), 8))
        return b"\xff\x0a" + bytes(sum(bit << at for at, bit in enumerate(octet)) for octet in octets) + bytes(64)


@needs_openjpeg
@pytest.mark.parametrize("options", [{}, {"no_jp2": True}, {"tile_size": (32, 32)}, {"precinct_size": (64, 64)}])
def test_jpeg_2000_is_read_by_its_content(options: dict[str, object], tmp_path: Path) -> None:
    """A box or a bare codestream, in tiles or precincts, gives the very pixels, whatever the suffix is."""
    path = tmp_path / "a.png"
    path.write_bytes(jpeg2000(**options))
    assert sniff_format(path) == "JPEG2000"
    assert image_size(path) == (64, 48)
    assert np.array_equal(np.asarray(read_image(path)), scene(64, 48))


@needs_openjpeg
@pytest.mark.parametrize(
    ("at", "change", "says"),
    [
        (b"\xff\x51", (8, b"\0\xff\xff\xff\0\xff\xff\xff"), "pixels are more than"),
        (b"\xff\x51", (40, b"\xff\xff"), "components are more than the 4"),
    ],
)
def test_what_a_jpeg_2000_asks_for_is_bounded(at: bytes, change: tuple[int, bytes], says: str) -> None:
    """Size and components are refused from the header."""
    data = bytearray(jpeg2000(no_jp2=True))
    start = data.index(at) + change[0] - 2
    data[start : start + len(change[1])] = change[1]
    with pytest.raises(ImageError, match=says):
        decode_image(bytes(data), "a.jp2")


@needs_openjpeg
def test_precincts_and_boxes_are_bounded() -> None:
    """Tables for a million precincts of a pixel, and a million boxes, are refused before they are read."""
    data = bytearray(jpeg2000(no_jp2=True, precinct_size=(64, 64)))
    size = data.index(b"\xff\x51")
    data[size + 6 : size + 14] = (4096).to_bytes(4, "big") * 2
    style = data.index(b"\xff\x52") + 4
    levels = data[style + 5]
    data[style + 10 : style + 11 + levels] = bytes(levels + 1)
    with pytest.raises(ImageError, match="precincts are more than"):
        decode_image(bytes(data), "a.j2k")
    boxes = jpeg2000()[:12] + b"\0\0\0\x08free" * 5000
    with pytest.raises(ImageError, match="boxes are more than"):
        decode_image(boxes, "a.jp2")


@pytest.mark.parametrize(
    ("name", "data", "module", "package"),
    [
        ("a.heic", HEIC, "pillow_heif", "pillow-heif"),
        ("b.jxl", b"\xff\x0a" + bytes(99), "pillow_jxl", "pillow-jxl-plugin"),
    ],
)
def test_what_nothing_reads_names_the_package(
    name: str, data: bytes, module: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the plug-in a file is one sentence with its name and what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.JpegXLImagePlugin", None)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=f"{name} cannot be used as an image: .*; pip install {package}"):
        read_image(tmp_path / name)


def test_a_heic_that_holds_avif_is_avif(tmp_path: Path) -> None:
    """The content counts, and so it does where no plug-in is installed."""
    path = tmp_path / "a.heic"
    Image.fromarray(scene(64, 48)).save(path, "AVIF")
    assert sniff_format(path) == "AVIF"
    assert read_image(path).size == (64, 48)


def header(width: int, height: int, extra: int) -> bytes:
    """Of a JPEG XL of this size, with so many channels beside its colours."""
    bits = Written().add(0, 1).add(3, 2).add(height - 1, 30).add(0, 3).add(3, 2).add(width - 1, 30)
    bits.add(0, 1).add(0, 1).add(0, 1).add(0, 2).add(0, 1)  # not as usual, no extra fields, 8 bits, 16 in between
    return (bits.add(2, 2).add(extra - 2, 4) if extra > 1 else bits.add(extra, 2)).codestream()


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize(
    ("width", "height", "extra", "says"),
    [
        (1000, 700, 1, None),
        (1, 65_535, 4, None),
        (1000, 700, 5, "its 5 extra channels are more than the 4"),
        (1 << 20, 1 << 20, 0, "pixels are more than"),
        (1 << 30, 1, 0, "pixels are more than"),
        (70_000, 5, 0, "one side of its"),
        (10_000, 9_000, 0, "would take .* MiB of memory"),
    ],
)
def test_what_a_jpeg_xl_asks_for_is_bounded(
    width: int, height: int, extra: int, says: str | None, container: bool
) -> None:
    """Size and extra channels are known from the header, in a container or bare, before a decoder sees the file."""
    data = header(width, height, extra)
    if container:
        data = JXL + b"\0\0\0\x0cabcd" + bytes(4) + (8 + len(data)).to_bytes(4, "big") + b"jxlc" + data
    if says is None:
        plugin_formats._check_jxl(io.BytesIO(data), len(data))
        return
    with pytest.raises(ImageError, match=says):
        plugin_formats._check_jxl(io.BytesIO(data), len(data))


@given(st.binary(max_size=300), st.sampled_from([HEIC, JXL, JP2, b"\xff\x0a", b"\xff\x4f\xff\x51"]))
def test_any_bytes_end_in_a_sentence(tail: bytes, head: bytes) -> None:
    """Whatever follows the first bytes of one of the formats."""
    with pytest.raises(ImageError, match="cannot be used as an image"):
        decode_image(head + tail, "a")
