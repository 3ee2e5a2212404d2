"""Preservation in pixels: how far the edited image is from its source, over the whole image or the background.

*Measures* look at one pair of 8-bit images of one size and give a few numbers; they are made once per pair, whichever
metrics ask. Values are on the scale of unit floats, white 1 and black 0.

PIE-Bench (Ju et al., "PnP Inversion", ICLR 2024) blackens the inside of the mask in both images and then averages over
all pixels, so that its numbers get better with the size of the mask alone; the ``:pie_bench`` variants do the same. Its
tables show MSE × 10⁴ and SSIM × 10².
"""

import math

import numpy as np

from evalkit.arrays import Floats, Mask, Pixels
from evalkit.metrics.base import (
    UNRELATED_DIFFERENCE,
    UNRELATED_SQUARE,
    Scale,
    Scores,
    Undefined,
    Vectors,
    define_metric,
)
from evalkit.metrics.features import PairFeature
from evalkit.metrics.ssim import background_similarity, multiscale_similarity, structural_similarity

LEVELS = 255.0


def differences(edited: Pixels, source: Pixels) -> tuple[float, float]:
    """Mean absolute and mean squared difference over all pixels and channels.

    >>> black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    >>> differences(white, black)
    (1.0, 1.0)
    """
    absolute, squared = _sums(edited, source, np.ones(source.shape[:2], dtype=bool))
    return absolute / source.size, squared / source.size


def background_differences(edited: Pixels, source: Pixels, background: Mask) -> tuple[float, float, float, float]:
    """The same over the background, then the number of pixels of the background and of the mask.

    >>> black, half = np.zeros((1, 2, 3), np.uint8), np.array([[[255] * 3, [0] * 3]], np.uint8)
    >>> background_differences(half, black, np.array([[True, False]]))
    (1.0, 1.0, 1.0, 1.0)
    """
    absolute, squared = _sums(edited, source, background)
    n_kept = int(background.sum())
    n_values = max(3 * n_kept, 1)
    return absolute / n_values, squared / n_values, float(n_kept), float(background.size - n_kept)


def l1(differences: Vectors) -> Scores:
    """Mean absolute difference, in [0, 1].

    Args:
        differences: ``(n, 2)``, as :func:`differences` gives them.
    """
    return Scores.of(differences[:, 0])


def mse(differences: Vectors) -> Scores:
    """Mean squared difference, in [0, 1].

    Args:
        differences: ``(n, 2)``, as :func:`differences` gives them.
    """
    return Scores.of(differences[:, 1])


def psnr(differences: Vectors) -> Scores:
    """Peak signal-to-noise ratio in decibels, ``−10 · log10(mse)``, of each image by itself.

    Args:
        differences: ``(n, 2)``, as :func:`differences` gives them.

    >>> psnr(np.array([[0.1, 0.01], [0.0, 0.0]])).reasons
    (None, 'equal_pixels')
    """
    return _decibels(differences[:, 1], {})


def l1_background(differences: Vectors) -> Scores:
    """Mean absolute difference of the background's pixels, in [0, 1].

    Args:
        differences: ``(n, 4)``, as :func:`background_differences` gives them.
    """
    return Scores.of(differences[:, 0], masks_without_background(differences[:, 2:]))


def mse_background(differences: Vectors) -> Scores:
    """Mean squared difference of the background's pixels, in [0, 1].

    Args:
        differences: ``(n, 4)``, as :func:`background_differences` gives them.
    """
    return Scores.of(differences[:, 1], masks_without_background(differences[:, 2:]))


def mse_background_pie_bench(differences: Vectors) -> Scores:
    """The background's squared differences divided by the number of all pixels, in [0, 1]."""
    return Scores.of(differences[:, 1] * _share(differences), masks_without_background(differences[:, 2:]))


def psnr_background(differences: Vectors) -> Scores:
    """Peak signal-to-noise ratio of the background's pixels, in decibels.

    Args:
        differences: ``(n, 4)``, as :func:`background_differences` gives them.
    """
    return _decibels(differences[:, 1], masks_without_background(differences[:, 2:]))


def psnr_background_pie_bench(differences: Vectors) -> Scores:
    """``−10 · log10`` of :func:`mse_background_pie_bench`."""
    return _decibels(differences[:, 1] * _share(differences), masks_without_background(differences[:, 2:]))


def ssim(similarity: Vectors) -> Scores:
    """Structural similarity, single- or multi-scale.

    Args:
        similarity: ``(n, 1)``; NaN for an image that is smaller than the window.
    """
    return Scores.of(similarity[:, 0], {"too_small": np.isnan(similarity[:, 0])})


def ssim_background(similarity: Vectors) -> Scores:
    """Mean structural similarity of the windows whose centre is background, both masks blackened, in [−1, 1].

    Args:
        similarity: ``(n, 4)``, as :func:`~evalkit.metrics.ssim.background_similarity` gives them.
    """
    return Scores.of(similarity[:, 0], _unseen(similarity) | {"no_background": np.isnan(similarity[:, 0])})


def ssim_background_pie_bench(similarity: Vectors) -> Scores:
    """Mean structural similarity of a window at every pixel, the mask blackened in both images, in [−1, 1]."""
    return Scores.of(similarity[:, 1], _unseen(similarity))


def masks_without_background(counts: Vectors) -> dict[str, Undefined]:
    """Reasons for which a metric of the background has no value.

    Args:
        counts: ``(n, 2)`` pixels of the background and of the mask.
    """
    return {"no_background": counts[:, 0] == 0, "empty_edit_mask": counts[:, 1] == 0}


def _sums(edited: Pixels, source: Pixels, where: Mask) -> tuple[float, float]:
    """Sums of absolute and squared differences of unit floats; exact, as they are made of whole levels."""
    absolute = squared = 0.0
    for channel in range(3):
        difference = (edited[..., channel].astype(np.float64) - source[..., channel])[where]
        absolute += float(np.abs(difference).sum())
        squared += float(np.dot(difference, difference))
    return absolute / LEVELS, squared / LEVELS**2


def _unseen(similarity: Vectors) -> dict[str, Undefined]:
    return {"too_small": np.isnan(similarity[:, 1]), **masks_without_background(similarity[:, 2:])}


def _share(differences: Vectors) -> Floats:
    counts = differences[:, 2:].astype(np.float64)
    share: Floats = counts[:, 0] / counts.sum(axis=1)
    return share


def _decibels(mean_square: Vectors, undefined: dict[str, Undefined]) -> Scores:
    with np.errstate(divide="ignore"):
        values = -10.0 * np.log10(mean_square.astype(np.float64))
    return Scores.of(values + 0.0, {**undefined, "equal_pixels": mean_square == 0})  # 0 dB and not −0


_PLAIN = "Mean of unit floats over pixels and the channels of RGB"
_MAGIC_BRUSH = "Zhang et al., MagicBrush, NeurIPS 2023"
_J340 = "ITU-T J.340, with peak 1, RGB"
_WANG = "Wang et al., Image quality assessment, IEEE TIP 2004"
_PIE_BENCH = "Ju et al., PnP Inversion, ICLR 2024, as PIE-Bench's scripts average"
_ERROR: Scale = (0.0, 1.0, "down", UNRELATED_DIFFERENCE)
_SQUARE: Scale = (0.0, 1.0, "down", UNRELATED_SQUARE)
_DECIBELS: Scale = (0.0, math.inf, "up", -10 * math.log10(UNRELATED_SQUARE))
_SIMILARITY: Scale = (-1.0, 1.0, "up", 0.0)
_DIFFERENCES = {"differences": PairFeature(name="differences", measure=differences)}
_REFERENCE = {"differences": PairFeature(name="differences", measure=differences, against="reference_image")}
BACKGROUND_DIFFERENCES = {
    "differences": PairFeature(name="background_differences", measure=background_differences, masked=True)
}
_SSIM = {"similarity": PairFeature(name="structural_similarity", measure=structural_similarity)}
_MULTISCALE = {"similarity": PairFeature(name="multiscale_similarity", measure=multiscale_similarity, version=2)}
_BACKGROUND_SSIM = {"similarity": PairFeature(name="background_similarity", measure=background_similarity, masked=True)}
_m = define_metric

# fmt: off
METRICS = (
    define_metric("l1", "mean absolute difference to the source, unit floats", l1, _DIFFERENCES, _ERROR, _PLAIN),
    define_metric("mse", "mean squared difference to the source, unit floats", mse, _DIFFERENCES, _SQUARE, _PLAIN),
    define_metric("psnr", "−10 · log10(mse) per item, in dB", psnr, _DIFFERENCES, _DECIBELS, _J340),
    define_metric("ssim", "structural similarity to the source, RGB, Gaussian window of 11 pixels", ssim, _SSIM,
        _SIMILARITY, _WANG),
    define_metric("ssim:multiscale", "structural similarity to the source over five scales; images from 176 pixels on",
        ssim, _MULTISCALE, (0.0, 1.0, "up", 0.0),
        "Wang et al., Multiscale structural similarity, Asilomar 2003, eq. 7", version=2),
    define_metric("l1_background", "mean absolute difference outside of the edit mask, per pixel outside of it",
        l1_background, BACKGROUND_DIFFERENCES, _ERROR, _PLAIN),
    define_metric("mse_background", "mean squared difference outside of the edit mask, per pixel outside of it",
        mse_background, BACKGROUND_DIFFERENCES, _SQUARE, _PLAIN),
    define_metric("mse_background:pie_bench",
        "sum of squared differences outside of the edit mask, per pixel of the whole image", mse_background_pie_bench,
        BACKGROUND_DIFFERENCES, _SQUARE, _PIE_BENCH),
    define_metric("psnr_background", "−10 · log10(mse_background), in dB", psnr_background, BACKGROUND_DIFFERENCES,
        _DECIBELS, _J340),
    define_metric("psnr_background:pie_bench", "−10 · log10(mse_background:pie_bench), in dB",
        psnr_background_pie_bench, BACKGROUND_DIFFERENCES, _DECIBELS, _PIE_BENCH),
    define_metric("ssim_background",
        "mean SSIM of the windows centred outside of the edit mask, which is black in both images", ssim_background,
        _BACKGROUND_SSIM, _SIMILARITY, _WANG),
    define_metric("ssim_background:pie_bench",
        "mean SSIM of a window at every pixel, the edit mask black in both images", ssim_background_pie_bench,
        _BACKGROUND_SSIM, _SIMILARITY, _PIE_BENCH),
    define_metric("l1_reference", "mean absolute difference to the reference edit, unit floats", l1, _REFERENCE, _ERROR,
        _MAGIC_BRUSH + " (L1)", "alignment"),
    define_metric("mse_reference", "mean squared difference to the reference edit, unit floats", mse, _REFERENCE,
        _SQUARE, _MAGIC_BRUSH + " (L2)", "alignment"),
)
# fmt: on
