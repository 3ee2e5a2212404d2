"""The square that a network reads, against the implementations that it must agree with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.encoders.base import GIANT, Preprocess

MEAN, STD = (0.48, 0.45, 0.4), (0.26, 0.27, 0.28)
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos")


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Noise, on which every difference of a filter shows."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def torchvision_square(image: Image.Image, size: int, interpolation: str) -> np.ndarray:
    """Resize and CenterCrop of torchvision on a Pillow image."""
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    mode = {"bicubic": InterpolationMode.BICUBIC, "bilinear": InterpolationMode.BILINEAR}
    chosen = mode.get(interpolation, InterpolationMode.LANCZOS)
    return np.asarray(Compose([Resize(size, interpolation=chosen), CenterCrop(size)])(image))


@settings(max_examples=60, deadline=None)
@given(
    short=st.integers(1, 120),
    aspect=st.one_of(st.floats(1, 4), st.floats(1, 100)),
    turned=st.booleans(),
    size=st.sampled_from([8, 31, 64]),
    interpolation=st.sampled_from(INTERPOLATIONS),
)
def test_center_is_torchvisions_to_the_pixel(short, aspect, turned, size, interpolation):
    """For an image of any shape, wide or tall, the pixels are those of torchvision's Resize and CenterCrop."""
    sides = (short, max(short, int(short * aspect)))
    image = picture(*(reversed(sides) if turned else sides))
    ours = Preprocess(size=size, interpolation=interpolation, mean=MEAN, std=STD).apply(image)
    np.testing.assert_array_equal(ours, torchvision_square(image, size, interpolation))


@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize("sides", [(64, 64), (100, 37), (37, 100), (333, 250), (20, 20), (512, 400)])
def test_the_network_is_given_what_open_clips_transform_gives(mode, sides):
    """Pixels and normalisation together are open_clip's own transform to the last bit."""
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from evalkit.encoders.base import EncoderSpec
    from evalkit.encoders.network import Network, TorchEncoder

    preprocess = Preprocess(size=32, mode=mode, mean=MEAN, std=STD)
    network = Network(
        model=torch.nn.Identity(),
        embed_images=lambda pixels: pixels.flatten(1),
        embed_texts=lambda tokens: tokens,
        tokenize=lambda texts: torch.zeros(len(texts), 1),
        tokenize_whole=lambda texts: [[0] for _ in texts],
        vocabulary={},
        preprocess=preprocess,
        settings={},
    )
    spec = EncoderSpec(name="test", weights_sha256="", preprocess=preprocess, tokenizer="none")
    image = picture(*sides)
    given_to_network = TorchEncoder(network, spec, torch.device("cpu")).encode_images(preprocess.apply(image)[None])
    resize_mode = {"center": "shortest", "squash": "squash"}[mode]
    theirs = image_transform_v2(PreprocessCfg(size=32, mean=MEAN, std=STD, resize_mode=resize_mode), is_train=False)
    np.testing.assert_array_equal(given_to_network[0], theirs(image).numpy().ravel())


@pytest.mark.parametrize("sides", [(64, 64), (333, 250), (251, 333), (512, 512), (47, 31)])
def test_the_processor_of_transformers_differs_by_one_level_at_most(sides):
    """Its tensor resize rounds otherwise than Pillow: at most 1 of 255, in less than 2 % of the values."""
    import transformers

    image = picture(*sides)
    ours = Preprocess(size=32, mean=MEAN, std=STD).apply(image).astype(int)
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_normalize=False
    )
    theirs = np.asarray(processor(image, return_tensors="pt")["pixel_values"][0]).transpose(1, 2, 0) * 255
    difference = np.abs(theirs.round().astype(int) - ours)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("sides", [(1, 50), (10, 300), (3, 100), (7, 300), (300, 6001), (32, 640), (11, 999), (1, 330)])
def test_tall_and_wide_images_are_torchvisions_to_the_pixel(sides, interpolation):
    """Noise of aspect ratios from 16 to 330, one pixel wide and more, is OpenAI's transform's at 224 pixels too."""
    for image in (picture(*sides), picture(*reversed(sides))):
        ours = Preprocess(size=224, interpolation=interpolation, mean=MEAN, std=STD).apply(image)
        np.testing.assert_array_equal(ours, torchvision_square(image, 224, interpolation))


@pytest.mark.parametrize("sides", [(12_000, 1), (1, 12_000), (50_000, 3), (1, 1_000_000)])
def test_an_extreme_shape_makes_no_giant(sides, monkeypatch):
    """Of an image a pixel high only the part that is kept is resized."""
    resized = []
    resize = Image.Image.resize

    def recorded(self, size, *args, **kwargs):
        resized.append(size[0] * size[1])
        return resize(self, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", recorded)
    pixels = Preprocess(size=224, mean=MEAN, std=STD).apply(picture(*sides))
    assert pixels.shape == (224, 224, 3)
    assert max(resized) <= 224 * 224


@pytest.mark.parametrize(
    ("mode", "interpolation"), [("center", "bicubic"), ("center", "lanczos"), ("margin", "bicubic")]
)
@pytest.mark.parametrize("sides", [(3, 3000), (57, 30_001), (200, 90_000)])
def test_what_would_be_a_giant_differs_by_a_level_here_and_there(sides, interpolation, mode, monkeypatch):
    """Resizing only what the crop keeps gives what resizing everything would, but for 1 of 255 in less than 0.1 %."""
    preprocess = Preprocess(size=224, mode=mode, interpolation=interpolation, mean=MEAN, std=STD)
    for image in (picture(*sides), picture(*reversed(sides))):
        assert 224 * 224 * max(sides) / min(sides) > max(GIANT, image.width * image.height)
        part = preprocess.apply(image).astype(int)
        with monkeypatch.context() as patched:
            patched.setattr("evalkit.encoders.base.GIANT", 1 << 40)
            difference = np.abs(preprocess.apply(image) - part)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_antialiasing_is_on():
    """Fine stripes become grey: without antialiasing images of 1024 and of 512 pixels would not be comparable."""
    stripes = np.zeros((512, 512, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    pixels = Preprocess(size=32, mean=MEAN, std=STD).apply(Image.fromarray(stripes))
    assert np.abs(pixels.astype(int) - 127).max() <= 4


def test_squash_keeps_the_edges_and_center_cuts_them():
    """A wide image with red ends: squashed they stay, cropped they are gone."""
    array = np.zeros((50, 200, 3), dtype=np.uint8)
    array[:, :40, 0] = array[:, -40:, 0] = 255
    image = Image.fromarray(array)
    squashed = Preprocess(size=16, mode="squash", mean=MEAN, std=STD).apply(image)
    centred = Preprocess(size=16, mode="center", mean=MEAN, std=STD).apply(image)
    assert squashed[:, 0, 0].min() > 200
    assert centred[..., 0].max() == 0
