"""Which PNG files hold just the pixels that decoding gives, so that they can be passed on as they are."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from evalkit.images.bounds import MAX_PARTS
from evalkit.images.decode import decode_image, write_image
from evalkit.images.plain_png import MAX_PLAIN_BYTES, is_plain_png
from tests.images import hostile
from tests.images.corpus import seeds
from tests.support.pictures import encoded, png, png_chunk, scene

SIDE = 64


def texts():
    """Metadata that tell who made a picture."""
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", "A method")
    return told


def turned():
    """What says that a picture lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def with_pixels(stream, *, width=2, height=2):
    """A PNG of 8-bit RGB with right checksums, whatever stream its pixels are."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", stream) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("level", range(10))
def test_what_pillow_writes_of_an_rgb_image_is_plain(level):
    """However it is compressed, and in however many chunks; longer than the longest side it is not."""
    pixels = np.random.default_rng(level).integers(0, 256, (SIDE, 300, 3), dtype=np.uint8)
    data = encoded(pixels, compress_level=level)
    assert is_plain_png(data, longest_side=300)
    assert not is_plain_png(data, longest_side=299)
    start, body = data[:41], zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels), level)
    parts = [png_chunk(b"IDAT", body[at : at + 1000]) for at in range(0, len(body), 1000)]
    divided = start[:33] + b"".join(parts) + png_chunk(b"IEND", b"")
    assert is_plain_png(divided, longest_side=300)
    assert np.array_equal(decode_image(divided, "divided").image, pixels)


def test_what_this_package_writes_is_plain(tmp_path):
    """The edits of every method of ours are."""
    for size in ((1, 1), (1, SIDE), (SIDE, 3)):
        write_image(tmp_path / "edit.png", Image.new("RGB", size, "red"))
        assert is_plain_png((tmp_path / "edit.png").read_bytes(), longest_side=SIDE)


def test_a_file_is_plain_only_if_pillow_alone_reads_the_pixels_that_decoding_gives():
    """Of every way of storing images; the plain ones among them are PNG."""
    plain = {name: data for name, data in seeds().items() if is_plain_png(data, longest_side=1024)}
    assert plain
    for name, data in plain.items():
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode) == ("PNG", "RGB"), name
            assert np.array_equal(image, decode_image(data, name).image), name


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(scene()).convert("L")),
        encoded(Image.fromarray(scene()).convert("P")),
        encoded(Image.fromarray(scene()).convert("RGBA")),
        encoded(Image.fromarray(scene()).convert("1")),
        png(2, 2, depth=16, colour=2, rows=bytes(2 * 13)),
        encoded(scene(), pnginfo=texts()),
        encoded(scene(), dpi=(72, 72)),
        encoded(scene(), transparency=(0, 0, 0)),
        encoded(scene(), icc_profile=b"profile"),
        encoded(scene(), exif=turned()),
        encoded(Image.fromarray(scene()), save_all=True, append_images=[Image.fromarray(scene(seed=1))]),
        encoded(scene()) + b"made by a method",
        encoded(scene()) + png_chunk(b"tEXt", b"by\0a method"),
        encoded(scene())[:-12] + png_chunk(b"IEND", b"a method"),
        encoded(scene())[:-12],
        encoded(scene())[:33] + encoded(scene())[-12:],
        png(2, 2, depth=8, colour=2, rows=bytes(14))[8:],
        encoded(scene(), "JPEG"),
        b"\x89PNG\r\n\x1a\n",
        b"",
    ],
)
def test_other_files_are_not(data):
    """Other pixels, any word or profile beside them, anything behind the end, no end, no pixels, or no PNG."""
    assert not is_plain_png(data, longest_side=SIDE)


def test_no_damage_goes_unseen():
    """A plain file of which any byte is changed, or that ends too early, is plain no more."""
    data = encoded(scene(5, 4))
    assert is_plain_png(data, longest_side=SIDE, decoded=True)
    for at in range(len(data)):
        for mask in (1, 128, 255):
            damaged = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            assert not is_plain_png(damaged, longest_side=SIDE, decoded=True), at
        assert not is_plain_png(data[:at], longest_side=SIDE, decoded=True), at


ROWS = bytes(14)


@pytest.mark.parametrize(
    ("stream", "is_plain"),
    [
        (zlib.compress(ROWS), True),
        (zlib.compress(b"\4" + ROWS[1:]), True),
        (zlib.compress(b"\5" + ROWS[1:]), False),
        (zlib.compress(ROWS[:7] + b"\5" + ROWS[8:]), False),
        (zlib.compress(ROWS[1:]), False),
        (zlib.compress(ROWS + b"\0"), False),
        (zlib.compress(ROWS)[:-1], False),
        (zlib.compress(ROWS)[:-4] + bytes(4), False),
        (zlib.compress(ROWS) + b"more", False),
        (zlib.compress(ROWS)[2:], False),
        (b"", False),
    ],
)
def test_pixels_are_complete_rows_with_filters_that_there_are(stream, is_plain):
    """Where the checksums of the chunks are right, the stream in them is looked at."""
    assert is_plain_png(with_pixels(stream), longest_side=SIDE) == is_plain


def test_sizes_that_a_header_promises_take_no_memory():
    """Large pictures are left to decoding and its limits, whatever the longest side; so are a great many chunks."""
    height = MAX_PLAIN_BYTES // 301
    for rows, is_plain in ((height, True), (height + 1, False)):
        data = with_pixels(hostile.squeezed(bytes(301), rows), width=100, height=rows)
        assert is_plain_png(data, longest_side=1 << 30) == is_plain
    assert not is_plain_png(with_pixels(hostile.squeezed(bytes(301), 1 << 20), width=100, height=9), longest_side=SIDE)
    assert is_plain_png(hostile.small_png(n_idat=1000), longest_side=SIDE)
    assert not is_plain_png(hostile.small_png(n_idat=MAX_PARTS), longest_side=SIDE)
    assert not is_plain_png(with_pixels(b"", width=0), longest_side=SIDE, decoded=True)
