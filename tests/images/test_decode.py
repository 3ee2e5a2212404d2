"""Any picture file becomes 8-bit sRGB by documented rules, or one sentence that names it."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images.bounds import MAX_PIXELS
from evalkit.images.decode import (
    decode_image,
    image_digest,
    image_size,
    read_image,
    read_image_bytes,
    sniff_format,
    write_image,
)
from evalkit.images.digests import pixel_digest
from tests.support import pictures
from tests.support.pictures import encoded, scene

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")


def pixels_of(data: bytes) -> np.ndarray:
    """The decoded pixels, ``(height, width, 3)``."""
    return np.asarray(decode_image(data, "picture").image)


def with_alpha(alpha: int) -> np.ndarray:
    """The scene with one opacity everywhere, ``(height, width, 4)``."""
    return np.dstack([scene(), np.full(scene().shape[:2], alpha, dtype=np.uint8)])


@settings(max_examples=40, deadline=None)
@given(format_name=st.sampled_from(FORMATS), width=st.integers(1, 70), height=st.integers(1, 70))
def test_any_format_and_size_is_read_by_its_content(
    format_name: str, width: int, height: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file is decoded as what it contains, whatever its suffix says, and a lossless one gives its very pixels."""
    path, pixels = tmp_path_factory.getbasetemp() / "bird.txt", scene(width, height)
    path.write_bytes(encoded(pixels, format_name))

    image = read_image(path)

    assert (image.mode, image.size, image.info) == ("RGB", (width, height), {})
    assert sniff_format(path) == decode_image(path.read_bytes(), path).format == format_name
    assert image_size(path) == (width, height)
    if format_name in ("PNG", "TIFF", "BMP", "PPM"):
        assert np.array_equal(np.asarray(image), pixels)


def test_opaque_alpha_is_no_alpha() -> None:
    """An alpha channel that is opaque everywhere changes nothing, in colour and in grey."""
    grey = scene()[..., 0]
    opaque_grey = Image.merge("LA", [Image.fromarray(grey), Image.new("L", (24, 16), 255)])

    assert np.array_equal(pixels_of(encoded(with_alpha(255))), scene())
    assert np.array_equal(pixels_of(encoded(opaque_grey)), np.dstack([grey] * 3))
    assert not decode_image(encoded(with_alpha(255)), "x").transparent


@settings(max_examples=20, deadline=None)
@given(alpha=st.integers(0, 254))
def test_transparency_lies_on_white(alpha: int) -> None:
    """A pixel of opacity a shows a·colour + (1 − a)·white."""
    expected = scene() * (alpha / 255) + 255 * (1 - alpha / 255)

    decoded = decode_image(encoded(with_alpha(alpha)), "x")

    assert np.abs(np.asarray(decoded.image) - expected).max() <= 1
    assert decoded.transparent


def test_transparent_palette_entry_lies_on_white() -> None:
    """A palette image's transparent colour becomes white, its other colours stay."""
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)

    assert pixels_of(encoded(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert pixels_of(encoded(image, transparency=0)).tolist() == [[[255, 255, 255], [200, 100, 50]]]
    assert pixels_of(encoded(image, transparency=bytes([255, 0]))).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_colour_key_lies_on_white() -> None:
    """A PNG that declares one colour transparent shows white there, in RGB and in grey."""
    rgb = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    grey = np.array([[7, 8]], dtype=np.uint8)

    assert pixels_of(encoded(rgb, transparency=(1, 2, 3))).tolist() == [[[255, 255, 255], [4, 5, 6]]]
    assert pixels_of(encoded(grey, transparency=8)).tolist() == [[[7, 7, 7], [255, 255, 255]]]


def test_grey_and_bits_become_rgb() -> None:
    """Grey levels are repeated in three channels; one bit is black or white."""
    grey = scene()[..., 1]
    bits = Image.fromarray(grey).point(lambda level: 255 * (level > 100)).convert("1")

    assert np.array_equal(pixels_of(encoded(grey)), np.dstack([grey] * 3))
    assert np.array_equal(pixels_of(encoded(bits)), np.dstack([(grey > 100) * np.uint8(255)] * 3))


def test_cmyk_becomes_rgb() -> None:
    """Full magenta and yellow ink without black is red, and black ink is black."""
    inks = np.zeros((1, 2, 4), dtype=np.uint8)
    inks[0, 0] = (0, 255, 255, 0)
    inks[0, 1] = (0, 0, 0, 255)

    image = Image.frombytes("CMYK", (2, 1), inks.tobytes())

    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))

    assert pixels_of(encoded(image, "TIFF")).tolist() == [[[255, 0, 0], [0, 0, 0]]]
    assert np.abs(pixels_of(encoded(red, "JPEG")) - np.array([255, 0, 0], dtype=np.int16)).max() <= 3


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    """Every 16-bit value v becomes v/257, within one rounding, in grey and in colour."""
    ramp = np.arange(0, 65536, 257 // 3, dtype=np.uint16)[None, :]
    expected = np.rint(ramp / 257)

    grey, colour = decode_image(pictures.png16(ramp), "x"), decode_image(pictures.png16(np.dstack([ramp] * 3)), "x")
    tiff = pixels_of(encoded(Image.frombytes("I;16", ramp.shape[::-1], ramp.astype("<u2").tobytes()), "TIFF"))

    assert np.array_equal(np.asarray(grey.image)[..., 0], expected)
    assert np.array_equal(tiff[..., 0], expected)
    assert np.abs(np.asarray(colour.image)[..., 0] - expected).max() <= 1
    assert (grey.deep, colour.deep) == (True, True)


def test_floating_point_is_read_as_zero_to_one() -> None:
    """A float TIFF's 0 to 1 becomes 0 to 255."""
    unit = np.linspace(0, 1, 256, dtype=np.float32)[None, :]

    assert np.array_equal(pixels_of(encoded(unit, "TIFF"))[0, :, 0], np.arange(256))


@pytest.mark.parametrize(
    ("image", "why"),
    [
        *((np.array([[0.5, x]], dtype=np.float32), "between 0 and 1") for x in (255.0, -0.5, np.nan, np.inf)),
        (Image.new("I", (2, 2), 70_000), "no defined range"),
    ],
    ids=["bytes", "negative", "nan", "inf", "int32"],
)
def test_pixels_without_an_agreed_range_are_refused(image: np.ndarray | Image.Image, why: str) -> None:
    """Floats outside 0 to 1 and 32-bit integers are refused instead of guessed."""
    with pytest.raises(ImageError, match=why):
        pixels_of(encoded(image, "TIFF"))


@settings(max_examples=40, deadline=None)
@given(orientation=st.integers(1, 8), format_name=st.sampled_from(["PNG", "TIFF", "WEBP", "JPEG"]))
def test_exif_rotation_is_applied(format_name: str, orientation: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each of the eight EXIF orientations comes out upright, and the header alone gives the upright size."""
    path = tmp_path_factory.getbasetemp() / "photo"
    stored = pictures.turned_back(scene(), orientation)
    path.write_bytes(pictures.with_orientation(stored, orientation, format_name))

    decoded = decode_image(read_image_bytes(path), path)

    assert format_name == "JPEG" or np.array_equal(np.asarray(decoded.image), scene())
    assert image_size(path) == decoded.image.size == (24, 16)
    assert decoded.rotated == (orientation != 1)


def test_linear_profile_is_converted_to_srgb() -> None:
    """Linear light v is encoded as IEC 61966-2-1 says, for every v."""
    levels = np.arange(256, dtype=np.uint8)
    light = levels / 255
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)

    decoded = decode_image(encoded(np.dstack([levels[None]] * 3), icc_profile=pictures.linear_profile()), "x")

    assert np.abs(np.asarray(decoded.image)[0] - expected[:, None]).max() <= 1
    assert decoded.profile == "converted"


def test_profile_applies_below_transparency() -> None:
    """Colours are converted before they are composited: white under a profile is still white."""
    decoded = decode_image(encoded(with_alpha(0), icc_profile=pictures.linear_profile()), "x")

    assert (np.asarray(decoded.image) == 255).all()
    assert (decoded.profile, decoded.transparent) == ("converted", True)


@pytest.mark.parametrize(
    ("profile", "verdict"),
    [(pictures.srgb_profile(), "srgb"), (b"not a profile at all", "ignored"), (b"", "none")],
    ids=["srgb", "broken", "none"],
)
def test_profiles_that_change_nothing(profile: bytes, verdict: str) -> None:
    """An sRGB profile leaves every bit alone, and a broken one is ignored."""
    decoded = decode_image(encoded(scene(), icc_profile=profile), "x")

    assert np.array_equal(np.asarray(decoded.image), scene())
    assert decoded.profile == verdict


def test_profile_for_other_channels_is_ignored() -> None:
    """An RGB profile in a grey image cannot be meant."""
    decoded = decode_image(encoded(scene()[..., 0], icc_profile=pictures.linear_profile()), "x")

    assert np.array_equal(np.asarray(decoded.image), np.dstack([scene()[..., 0]] * 3))
    assert decoded.profile == "ignored"


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "TIFF", "WEBP"])
def test_first_frame_counts(format_name: str) -> None:
    """Of an animation, the first frame is the image."""
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if format_name == "WEBP" else {}
    data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:], **lossless)

    decoded = decode_image(data, "x")

    assert np.asarray(decoded.image)[2, 2].tolist() == [255, 0, 0]
    assert decoded.animated


def test_huge_image_is_read_without_a_warning(tmp_path: Path) -> None:
    """12,000 × 9,000 pixels are decoded, and Pillow says nothing."""
    path = tmp_path / "huge.png"
    path.write_bytes(pictures.huge())

    image = read_image(path)

    assert image.size == image_size(path) == (12_000, 9_000)
    assert image.getpixel((11_999, 8_999)) == (255, 255, 255)


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "GIF"])
def test_bomb_is_refused_from_its_header(format_name: str, tmp_path: Path) -> None:
    """Too many pixels are refused before decoding: the complaint is about their number, not about missing data."""
    path = tmp_path / "bomb"
    path.write_bytes(pictures.bomb(format_name))

    for read in (read_image, image_size):
        with pytest.raises(ImageError, match=f"20,000 × 20,000 pixels are more than the {MAX_PIXELS:,}"):
            read(path)


def test_text_bomb_is_refused() -> None:
    """A comment that unpacks to megabytes is an error of that file, not a crash."""
    with pytest.raises(ImageError, match=r"^comment\.png cannot be used"):
        decode_image(pictures.text_bomb(), "comment.png")


@pytest.mark.parametrize(
    ("format_name", "mode", "why"),
    [
        *(
            (name, mode, "truncated")
            for name, mode in (("PNG", "RGB"), ("PNG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"))
        ),
        *((name, "RGB", "") for name in ("WEBP", "TIFF", "BMP")),
    ],
)
def test_half_a_file_is_refused(format_name: str, mode: str, why: str) -> None:
    """What was cut off in copying, the usual damage, is one sentence, which does not blame the header."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).convert(mode), format_name)

    with pytest.raises(ImageError, match=f"^half cannot be used as an image: .*{why}.*$") as caught:
        decode_image(data[: len(data) // 2], "half")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty"), (b"<html>404</html>", "not a PNG, JPEG"), (b"BM", "damaged")]
)
def test_file_that_is_no_image_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    """An empty file, a web page and a stump each get their own reason."""
    path = tmp_path / "edit.png"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=why):
        read_image(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory, a name without a file, and a pipe (which must not be waited for) are refused."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)

    for path, why in ((tmp_path, "not a file"), (tmp_path / "gone.png", "no such file"), (pipe, "not a file")):
        for read in (read_image, image_size, image_digest):
            with pytest.raises(ImageError, match=why):
                read(path)


@settings(max_examples=200, deadline=None)
@given(
    format_name=st.sampled_from(FORMATS),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0.05, 1),
)
def test_damaged_bytes_raise_nothing_but_image_error(
    format_name: str, flips: list[tuple[int, int]], keep: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever bytes are changed or cut off, there is an RGB image or an ImageError."""
    data = bytearray(encoded(scene(), format_name))
    for position, value in flips:
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data[: max(1, int(len(data) * keep))])

    for read in (read_image, image_size):
        try:
            result = read(path)
        except ImageError as error:
            result = str(error)
        accepted = result.mode == "RGB" if isinstance(result, Image.Image) else len(result) == 2
        assert accepted or str(path) in result


def test_threads_do_not_disturb_each_other() -> None:
    """Eight threads decoding profiles, rotations and transparency get what one thread gets."""
    kinds = [
        encoded(scene(200, 100), icc_profile=pictures.linear_profile()),
        pictures.with_orientation(scene(200, 100), 6, "JPEG"),
        encoded(with_alpha(77)),
        pictures.png16(np.arange(4096, dtype=np.uint16).reshape(64, 64)),
    ]
    alone = [pixels_of(data).tobytes() for data in kinds]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: pixels_of(data).tobytes(), kinds * 25))

    assert together == alone * 25


def test_pillow_settings_are_left_alone() -> None:
    """The limit is ours: Pillow's own, which belongs to the whole process, is not touched."""
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_digest_is_of_the_bytes(tmp_path: Path) -> None:
    """Equal bytes have equal digests under any name, and SHA-256 is what it says."""
    first, second = tmp_path / "bird.png", tmp_path / "bird.jpeg"
    for path in (first, second):
        path.write_bytes(b"abc")

    assert image_digest(first) == image_digest(second)
    assert image_digest(first) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_written_image_is_read_back(tmp_path: Path) -> None:
    """What is written is read back bit for bit, without the original's metadata, and the same bytes each time."""
    original = Image.fromarray(scene())
    original.info["icc_profile"] = pictures.linear_profile()
    for name in ("a/one.png", "a/two.png"):
        write_image(tmp_path / name, original)

    assert np.array_equal(np.asarray(read_image(tmp_path / "a/one.png")), scene())
    assert image_digest(tmp_path / "a/one.png") == image_digest(tmp_path / "a/two.png")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["one.png", "two.png"]


def test_pixels_have_a_digest_of_their_own() -> None:
    """Equal pictures of one shape have one digest, in whatever strips a large one is taken; others have another."""
    large = Image.fromarray(scene(3, 1)).resize((3000, 3000))
    plain = hashlib.sha256(b"3000x3000" + large.tobytes()).hexdigest()

    assert pixel_digest(large) == plain
    assert pixel_digest(Image.new("RGB", (2, 3))) != pixel_digest(Image.new("RGB", (3, 2)))


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "RGB"), ("a.png", "RGBA")])
def test_write_refuses_what_would_lose_something(name: str, mode: str, tmp_path: Path) -> None:
    """Only RGB is written, and only as PNG."""
    with pytest.raises(ImageError, match="expected an RGB image and a"):
        write_image(tmp_path / name, Image.new(mode, (2, 2)))
