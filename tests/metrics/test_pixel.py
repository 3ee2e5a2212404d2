"""The metrics of pixels against closed forms, independent implementations, and a table of invariances."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image

from evalkit.benchmarks.open import open_edits
from evalkit.images.decode import read_image
from evalkit.images.pairs import align
from evalkit.metrics import ssim as ssim_module
from evalkit.metrics.base import METRICS, REASONS
from tests.support.surfaces import SIDE, picture

PIXEL_METRICS = [
    name for name in METRICS.names() if not METRICS.get(name).encoders and METRICS.get(name).family != "ground_truth"
]
BACKGROUND = [name for name in PIXEL_METRICS if "_background" in name]
INVARIANCES = {
    # metric: unchanged when (images exchanged, both mirrored, both negative, channels permuted, inside of the mask
    # changed, pixels shuffled in both alike, both shifted by some levels)
    "l1": {"exchange", "mirror", "negative", "channels", "shuffle", "shift"},
    "mse": {"exchange", "mirror", "negative", "channels", "shuffle", "shift"},
    "l1_reference": {"exchange", "mirror", "negative", "channels", "shuffle", "shift"},
    "mse_reference": {"exchange", "mirror", "negative", "channels", "shuffle", "shift"},
    "psnr": {"exchange", "mirror", "negative", "channels", "shuffle", "shift"},
    "ssim": {"exchange", "mirror", "channels"},
    "ssim:multiscale": {"exchange", "mirror", "channels"},
    "l1_background": {"exchange", "mirror", "negative", "channels", "inside", "shuffle", "shift"},
    "mse_background": {"exchange", "mirror", "negative", "channels", "inside", "shuffle", "shift"},
    "mse_background:pie_bench": {"exchange", "mirror", "negative", "channels", "inside", "shuffle", "shift"},
    "psnr_background": {"exchange", "mirror", "negative", "channels", "inside", "shuffle", "shift"},
    "psnr_background:pie_bench": {"exchange", "mirror", "negative", "channels", "inside", "shuffle", "shift"},
    "ssim_background": {"exchange", "mirror", "channels", "inside"},
    "ssim_background:pie_bench": {"exchange", "mirror", "channels", "inside"},
}
TEDBENCH = Path(__file__).parents[3] / "shared" / "tedbench"
PIXEL = arrays(np.uint8, (3, 4, 3))


def pair(seed=0, strength=0.3):
    """An edited picture, its source and a background of three quarters."""
    source, other = picture(seed), picture(seed + 100)
    edited = ((1 - strength) * source + strength * other).astype(np.uint8)
    background = np.ones(source.shape[:2], dtype=bool)
    background[20:110, 30:120] = False
    return edited, source, background


def scores(name, edited, source, background):
    """A metric's scores of one pair."""
    metric = METRICS.get(name)
    (feature,) = metric.pairs
    masked = {"background": background} if feature.masked else {}
    numbers = np.array([feature.measure(edited=edited, source=source, **masked)], dtype=np.float64)
    return metric.compute(dict.fromkeys(metric.features, numbers), resolution=0.0)


def value(name, edited, source, background=None):
    """The one value, which must be defined."""
    found = scores(name, edited, source, background)
    assert found.reasons == (None,)
    return found.values[0]


def unit(image):
    """Unit floats with the channels first, in a batch of one."""
    return torch.tensor(image / 255, dtype=torch.float64).permute(2, 0, 1)[None]


def similarity_map(one, other):
    """Luminance and contrast-structure of every window inside the image, by the definition in two dimensions."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(image):
        views = np.lib.stride_tricks.sliding_window_view(image, (11, 11), axis=(0, 1))
        return np.einsum("ijcab,ab->ijc", views, window)

    x, y = one / 255, other / 255
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    return luminance, (2 * cov + 9e-4) / (vx + vy + 9e-4)


def halved(image):
    """Averages over 2 × 2, with torch's pooling, zeros around odd sides: pytorch-msssim's way."""
    from torch.nn.functional import avg_pool2d

    padding = [side % 2 for side in image.shape[:2]]
    return avg_pool2d(torch.tensor(image).permute(2, 0, 1)[None], 2, padding=padding)[0].permute(1, 2, 0).numpy()


def multiscale(one, other):
    """Of each channel the product over five scales, from the maps of each; then the mean over channels."""
    products = np.ones(3)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        luminance, contrast = similarity_map(one, other)
        terms = luminance * contrast if scale == 4 else contrast
        products *= np.maximum(terms.mean(axis=(0, 1)), 0) ** weight
        one, other = (halved(image.astype(float)) for image in (one, other))
    return products.mean()


def reference(name, edited, source, background):
    """The definitions again, from libraries and loops and not from evalkit's code."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = edited / 255, source / 255
    kept = background[..., None]

    def loop(power):
        places = zip(*np.nonzero(background), strict=True)
        values = [abs(float(x[i, j, c]) - float(y[i, j, c])) ** power for i, j in places for c in range(3)]
        return math.fsum(values) / len(values)

    def centred():
        luminance, contrast = similarity_map(edited * kept, source * kept)
        return (luminance * contrast)[background[5:-5, 5:-5]].mean()

    whole = {"data_range": 1.0}
    weights = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, **whole}
    return {
        "l1": lambda: np.mean(np.abs(x - y)),
        "mse": lambda: np.mean((x - y) ** 2),
        "psnr": lambda: peak_signal_noise_ratio(y, x, **whole),
        "ssim": lambda: structural_similarity(x, y, **weights),
        "ssim:multiscale": lambda: multiscale(edited, source),
        "l1_background": lambda: loop(1),
        "mse_background": lambda: loop(2),
        "mse_background:pie_bench": lambda: np.mean((x * kept - y * kept) ** 2),
        "psnr_background": lambda: -10 * math.log10(loop(2)),
        "psnr_background:pie_bench": lambda: peak_signal_noise_ratio(y * kept, x * kept, **whole),
        "ssim_background": centred,
        "ssim_background:pie_bench": lambda: float(
            structural_similarity_index_measure(unit(edited * kept), unit(source * kept), **whole)
        ),
    }[name.removesuffix("_reference")]()


@pytest.mark.parametrize("name", PIXEL_METRICS)
def test_every_metric_agrees_with_an_independent_implementation(name):
    """Each metric is the number of scikit-image, torchmetrics or a loop, to 2e-6 in decibels and 1e-7 elsewhere."""
    tolerance = 2e-6 if name.startswith("psnr") else 1e-7
    for seed, strength in ((0, 0.3), (1, 0.9), (2, 0.02)):
        edited, source, background = pair(seed, strength)
        expected = reference(name, edited, source, background)
        assert value(name, edited, source, background) == pytest.approx(expected, abs=tolerance)


def test_torchmetrics_differs_by_its_windows_at_the_rim():
    """It also takes windows that hang over the image's rim, reflected, which moves the mean by less than 0.01."""
    from torchmetrics.functional import image as torchmetrics

    edited, source, _ = pair(3)
    one = float(torchmetrics.structural_similarity_index_measure(unit(edited), unit(source), data_range=1.0))
    many = torchmetrics.multiscale_structural_similarity_index_measure(unit(edited), unit(source), data_range=1.0)
    assert value("ssim", edited, source) == pytest.approx(one, abs=0.01)
    assert value("ssim:multiscale", edited, source) == pytest.approx(float(many), abs=0.01)


def test_channels_are_multiplied_over_scales_before_their_mean():
    """Blue inverted, red and green untouched: products 1, 1 and 0, mean 2/3, and not a product of means."""
    source = picture(5)
    edited = source.copy()
    edited[..., 2] = 255 - source[..., 2]
    assert value("ssim:multiscale", edited, source) == pytest.approx(2 / 3, abs=1e-12)
    _, source, _ = pair(6)
    edited = source.copy()
    edited[..., 2] = picture(7)[..., 2]
    alone = multiscale(np.repeat(edited[..., 2:], 3, axis=2), np.repeat(source[..., 2:], 3, axis=2))
    assert value("ssim:multiscale", edited, source) == pytest.approx((2 + alone) / 3, abs=1e-12)


@pytest.mark.skipif(not TEDBENCH.is_dir(), reason=f"TEdBench's images are not in {TEDBENCH}")
def test_multiscale_similarity_of_photographs_is_the_definitions(tedbench_pairs):
    """Of published edits of photographs, some of odd sizes, it is the definition's value, to 1e-9."""
    assert len(tedbench_pairs) == 4
    for edited, source in tedbench_pairs:
        assert value("ssim:multiscale", edited, source) == pytest.approx(multiscale(edited, source), abs=1e-9)


@pytest.fixture
def tedbench_pairs():
    """Four of Imagic's edits of photographs of up to 450 pixels; every other one is cut to an odd height."""
    pairs = []
    for item in open_edits(TEDBENCH / "imagic", data=TEDBENCH).folder.items:
        source = np.asarray(read_image(item.source_image))[len(pairs) % 2 :]
        if max(source.shape) <= 450 and len(pairs) < 4:
            pairs.append((align(read_image(item.edited_image), source).edited, source))
    return pairs


def test_every_metric_of_pixels_has_its_row_in_the_invariance_table():
    """A metric cannot be added without saying what leaves it unchanged."""
    assert set(INVARIANCES) == set(PIXEL_METRICS)


@pytest.mark.parametrize("name", PIXEL_METRICS)
def test_metrics_obey_their_invariances_and_no_others(name):
    """What may be done to both images, or inside of the mask, without changing the value is what the table says."""
    edited, source, background = pair()
    order = np.random.default_rng(1).permutation(background.size)
    shuffled = [
        image.reshape(background.size, -1)[order].reshape(image.shape) for image in (edited, source, background)
    ]
    inside = np.where(background[..., None], edited, picture(77))
    changed = {
        "exchange": (source, edited, background),
        "mirror": (edited[:, ::-1], source[:, ::-1], background[:, ::-1]),
        "negative": (255 - edited, 255 - source, background),
        "channels": (edited[..., ::-1], source[..., ::-1], background),
        "inside": (inside, source, background),
        "shuffle": shuffled,
        "shift": (edited + np.uint8(20), source + np.uint8(20), background),
    }
    before = value(name, edited, source, background)
    unchanged = {kind for kind, given in changed.items() if value(name, *given) == pytest.approx(before, abs=1e-6)}
    assert unchanged == INVARIANCES[name]


@pytest.mark.parametrize("name", PIXEL_METRICS)
def test_more_of_another_picture_is_worse(name):
    """Mixing in more and more of another picture moves every metric in the direction that it calls worse."""
    metric = METRICS.get(name)
    values = [value(name, *pair(strength=strength)) for strength in (0.05, 0.2, 0.5, 1.0)]
    assert values == sorted(values, reverse=metric.higher_is_better)
    assert metric.family == ("alignment" if name.endswith("_reference") else "preservation")


@pytest.mark.parametrize("name", PIXEL_METRICS)
def test_an_identical_edit_is_perfect_or_has_no_ratio(name):
    """Differences are 0, similarities 1, and the ratio of signal to noise is undefined and not infinite."""
    _, source, background = pair()
    found = scores(name, source, source.copy(), background)
    if name.startswith("psnr"):
        assert found.reasons == ("equal_pixels",)
    else:
        assert found.values == pytest.approx([1.0 if name.startswith("ssim") else 0.0])


def test_black_and_white_are_as_far_apart_as_can_be():
    """White against black: differences of one, no decibel, and next to no similarity."""
    black, white = np.zeros((SIDE, SIDE, 3), np.uint8), np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert (value("l1", white, black), value("mse", white, black), value("psnr", white, black)) == (1.0, 1.0, 0.0)
    assert value("ssim", white, black) == pytest.approx(1e-4 / 1.0001, abs=1e-9)


def test_one_level_more_everywhere_is_one_255th():
    """The scale is that of unit floats: a difference of one level is 1/255, of its square 48.13 dB."""
    source = np.full((16, 16, 3), 100, np.uint8)
    assert value("l1", source + np.uint8(1), source) == pytest.approx(1 / 255, rel=1e-6)
    assert value("mse", source + np.uint8(1), source) == pytest.approx(1 / 255**2, rel=1e-6)
    assert value("psnr", source + np.uint8(1), source) == pytest.approx(20 * math.log10(255), abs=1e-5)


def test_differences_do_not_wrap_around():
    """250 and 3 are 247 levels apart in either order: 8-bit arithmetic would make it 9 of one of them."""
    high, low = np.full((4, 4, 3), 250, np.uint8), np.full((4, 4, 3), 3, np.uint8)
    assert value("l1", high, low) == value("l1", low, high) == pytest.approx(247 / 255)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("mse_background", "mse_background:pie_bench"), ("ssim_background", "ssim_background:pie_bench")],
)
def test_a_larger_mask_flatters_pie_bench_averages_and_not_ours(ours, theirs):
    """The same damage everywhere: masking more of it changes nothing per pixel of the background, and all per pixel."""
    source = picture(0, levels=(40, 200))
    edited = source + np.uint8(20)
    noise = np.random.default_rng(0).integers(-15, 16, source.shape)
    edited = (edited.astype(int) + noise).astype(np.uint8)
    small, large = np.ones(source.shape[:2], dtype=bool), np.ones(source.shape[:2], dtype=bool)
    small[10:50, 10:50], large[10:150, 10:150] = False, False
    change = {name: value(name, edited, source, large) - value(name, edited, source, small) for name in (ours, theirs)}
    better = 1 if METRICS.get(ours).higher_is_better else -1
    assert better * change[theirs] > 3 * abs(change[ours])


def test_pie_bench_averages_are_ours_times_the_share_of_the_background():
    """MSE over all pixels is MSE over the background times its share; in decibels the share is added."""
    edited, source, background = pair()
    share = background.mean()
    assert share < 0.8
    ours, theirs = (value(f"mse_background{form}", edited, source, background) for form in ("", ":pie_bench"))
    assert theirs == pytest.approx(ours * share, rel=1e-6)
    ours, theirs = (value(f"psnr_background{form}", edited, source, background) for form in ("", ":pie_bench"))
    assert theirs == pytest.approx(ours - 10 * math.log10(share), abs=1e-5)


@pytest.mark.parametrize("name", BACKGROUND)
def test_the_mask_is_where_change_is_allowed(name):
    """An edit inside of the mask costs nothing; the same edit with the mask inverted costs all."""
    _, source, background = pair()
    edited = np.where(background[..., None], source, 255 - source)
    inside, outside = scores(name, edited, source, background), scores(name, edited, source, ~background)
    perfect = METRICS.get(name).highest if METRICS.get(name).higher_is_better else 0.0
    assert (
        inside.reasons == ("equal_pixels",) if name.startswith("psnr") else inside.values[0] == pytest.approx(perfect)
    )
    assert abs(outside.values[0] - perfect) > 1e-3


@pytest.mark.parametrize("name", BACKGROUND)
def test_masks_of_nothing_and_of_everything_have_no_background_to_judge(name):
    """Both are undefined with their reason, and not perfect."""
    edited, source, background = pair()
    assert scores(name, edited, source, np.zeros_like(background)).reasons == ("no_background",)
    assert scores(name, edited, source, np.ones_like(background)).reasons == ("empty_edit_mask",)


def test_a_background_at_the_rim_alone_has_no_window():
    """SSIM of a background narrower than half a window at the image's edge is undefined."""
    edited, source, _ = pair()
    rim = np.ones(source.shape[:2], dtype=bool)
    rim[5:-5, 5:-5] = False
    assert scores("ssim_background", edited, source, rim).reasons == ("no_background",)
    assert scores("ssim_background:pie_bench", edited, source, rim).reasons == (None,)


def test_images_smaller_than_the_window_have_no_structural_similarity():
    """10 pixels for one scale and 175 for five are too few, and say so."""
    for name, side in (("ssim", 10), ("ssim:multiscale", 175)):
        source = picture(0, side, 300)
        assert scores(name, source, source, None).reasons == ("too_small",)
        assert scores(name, *[picture(0, side + 1, 300)] * 2, None).reasons == (None,)
    source, background = picture(0, 10, 30), np.eye(10, 30, dtype=bool)
    assert scores("ssim_background", source, source, background).reasons == ("too_small",)


def test_anticorrelated_pictures_have_negative_structural_similarity_and_no_multiscale_one():
    """SSIM goes below 0 for a negative of fine structure; five scales clamp at 0 where a power would not exist."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert value("ssim", 255 - noise, noise) < -0.5
    assert value("ssim:multiscale", 255 - noise, noise) == 0.0


@pytest.mark.parametrize("name", ["ssim", "ssim:multiscale", "ssim_background", "ssim_background:pie_bench"])
def test_strips_change_nothing(name, monkeypatch):
    """A large image, worked on strip by strip, has the value that it has in one piece."""
    given_pair = pair(4)
    whole = value(name, *given_pair)
    monkeypatch.setattr(ssim_module, "STRIP", 7 * given_pair[1].shape[1])
    assert value(name, *given_pair) == pytest.approx(whole, abs=1e-7)


@settings(max_examples=60)
@given(PIXEL, PIXEL, arrays(np.bool_, (3, 4)))
def test_no_pixels_give_a_number_outside_the_range_or_a_nan_without_a_reason(edited, source, background):
    """Whatever the pixels and the mask, a value is in the stated range or absent with a reason from the closed list."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in PIXEL_METRICS:
            metric, found = METRICS.get(name), scores(name, edited, source, background)
            assert found.reasons[0] is None or found.reasons[0] in REASONS
            if found.reasons[0] is None:
                assert metric.lowest <= found.values[0] <= metric.highest


def test_the_edited_image_takes_the_source_size_and_never_the_other_way_round():
    """Pillow's bicubic filter at the source's size, whatever the shapes; the source's pixels stay as they are."""
    source, edited = picture(0, 40, 60), Image.fromarray(picture(1, 100, 80))
    aligned = align(edited, source)
    np.testing.assert_array_equal(aligned.edited, np.asarray(edited.resize((60, 40), Image.Resampling.BICUBIC)))
    assert aligned.source is source
    assert aligned.background is None


def test_a_larger_edit_of_the_same_picture_is_not_punished_for_aliasing():
    """Four times the resolution costs little; sampling it without antialiasing would cost ten times as much."""
    fine = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    large = Image.fromarray(fine)
    source = np.asarray(large.resize((64, 64), Image.Resampling.BOX))
    ours = value("mse", align(large, source).edited, source)
    aliased = value("mse", np.asarray(large)[2::4, 2::4], source)
    assert ours < aliased / 10


def test_a_mask_of_another_size_stays_a_mask():
    """White may change and black may not; a mask is resized by the nearest pixel, and grey decided at the middle."""
    mask = Image.fromarray(np.array([[0, 255], [127, 128]], np.uint8))
    background = align(Image.new("RGB", (4, 4)), np.zeros((4, 4, 3), np.uint8), mask).background
    np.testing.assert_array_equal(background, np.kron([[True, False], [True, False]], np.ones((2, 2), bool)))
