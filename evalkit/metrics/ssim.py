"""Structural similarity of two 8-bit images: Wang et al., "Image quality assessment", IEEE TIP 2004, eq. 13.

Of each channel of RGB by itself, with the paper's Gaussian window of 11 × 11 pixels (σ = 1.5), population moments, and
only windows that lie inside the image; the mean is over windows and channels. Large images are worked on in strips.
"""

from collections.abc import Iterator

import numpy as np

from evalkit.arrays import Floats, Mask, Pixels

PixelLevels = Pixels | Floats
"""``(height, width, 3)``, 0 to 255."""

RADIUS = 5
WINDOW = 2 * RADIUS + 1
SIGMA = 1.5
LEVELS = 255.0
C1, C2 = 0.01**2, 0.03**2
"""The paper's constants, for unit floats."""
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights from the finest to the coarsest scale: Wang et al., "Multiscale structural similarity", Asilomar 2003."""
STRIP = 1 << 21
"""Pixels that are worked on at a time."""


def structural_similarity(edited: Pixels, source: Pixels) -> tuple[float]:
    """Mean structural similarity, in [−1, 1]; NaN for images smaller than the window."""
    if min(source.shape[:2]) < WINDOW:
        return (np.nan,)
    return (float(_channel_means(edited, source).mean()),)


def multiscale_similarity(edited: Pixels, source: Pixels) -> tuple[float]:
    """Multi-scale structural similarity, in [0, 1]; NaN for images that are smaller than the window at some scale.

    Of each channel the product over scales: the contrast-structure terms of the four finer ones and the full similarity
    of the coarsest, each clamped at 0, to the powers of :data:`SCALES` (Wang et al. 2003, eq. 7). Then the mean over
    channels, as in pytorch-msssim and piq. Each scale is the one before averaged over 2 × 2 pixels; how an odd side is
    halved, on which no two packages agree, is pytorch-msssim's way: with a row of zeros before it.
    """
    if min(source.shape[:2]) < WINDOW << (len(SCALES) - 1):
        return (np.nan,)
    one: PixelLevels = edited
    other: PixelLevels = source
    products = np.ones(source.shape[2])
    for scale, weight in enumerate(SCALES):
        if scale:
            one, other = _halved(one), _halved(other)
        terms = _channel_means(one, other, contrast_only=scale < len(SCALES) - 1)
        products *= np.maximum(terms, 0.0) ** weight
    return (float(products.mean()),)


def background_similarity(edited: Pixels, source: Pixels, background: Mask) -> tuple[float, float, float, float]:
    """Structural similarity with the mask blackened in both images.

    Returns:
        The mean over the windows inside the image whose centre is background (NaN if there is none); the mean over a
        window at every pixel, the image reflected at its rim, as torchmetrics takes it; both NaN for images smaller
        than the window. Then the number of pixels of the background and of the mask.
    """
    n_kept = int(background.sum())
    counts = (float(n_kept), float(background.size - n_kept))
    if min(source.shape[:2]) < WINDOW:
        return (np.nan, np.nan, *counts)
    kept = background[..., None]
    centres = background.copy()
    for rim in (centres[:RADIUS], centres[-RADIUS:], centres[:, :RADIUS], centres[:, -RADIUS:]):
        rim[:] = False
    sums = np.zeros(2)
    for _, rows, similarity, _ in _maps(_reflected(edited * kept), _reflected(source * kept)):
        sums += similarity.sum(), similarity[centres[rows]].sum()
    n_centres, n_channels = int(centres.sum()), source.shape[2]
    mean = float(sums[1]) / (n_channels * n_centres) if n_centres else np.nan
    return (mean, float(sums[0]) / (n_channels * centres.size), *counts)


def _channel_means(one: PixelLevels, other: PixelLevels, *, contrast_only: bool = False) -> Floats:
    """``(channels,)`` means over windows, of the similarity or of its contrast-structure factor alone."""
    height, width, channels = one.shape
    sums = np.zeros(channels)
    for channel, _, similarity, contrast in _maps(one, other):
        sums[channel] += float((contrast if contrast_only else similarity).sum())
    means: Floats = sums / ((height - 2 * RADIUS) * (width - 2 * RADIUS))
    return means


def _maps(one: PixelLevels, other: PixelLevels) -> Iterator[tuple[int, slice, Floats, Floats]]:
    """Similarity and its contrast-structure factor, ``(rows, columns)``, strip by strip and channel by channel."""
    height, width, channels = one.shape
    inner = height - 2 * RADIUS
    step = max(1, STRIP // width)
    for top in range(0, inner, step):
        rows = slice(top, min(top + step, inner))
        strip = slice(rows.start, rows.stop + 2 * RADIUS)
        for channel in range(channels):
            yield channel, rows, *_similarity(one[strip, :, channel] / LEVELS, other[strip, :, channel] / LEVELS)


def _similarity(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    mean_one, mean_other = _windowed(one), _windowed(other)
    product, squares = mean_one * mean_other, mean_one**2 + mean_other**2
    covariance = _windowed(one * other) - product
    # The two variances enter only by their sum.
    variances = _windowed(one**2 + other**2) - squares
    contrast: Floats = (2 * covariance + C2) / (variances + C2)
    return contrast * (2 * product + C1) / (squares + C1), contrast


def _windowed(values: Floats) -> Floats:
    """Gaussian means over the windows that lie inside the array."""
    from scipy.ndimage import correlate1d

    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    down = correlate1d(values, taps, axis=0)[RADIUS:-RADIUS]
    across: Floats = correlate1d(down, taps, axis=1)[:, RADIUS:-RADIUS]
    return across


def _reflected(image: Pixels) -> Pixels:
    return np.pad(image, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="reflect")


def _halved(image: PixelLevels) -> Floats:
    """Means over blocks of 2 × 2, a row or column of zeros before an odd side."""
    height, width, channels = image.shape
    even = np.zeros((height + height % 2, width + width % 2, channels))
    even[height % 2 :, width % 2 :] = image
    halved: Floats = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, channels).mean(axis=(1, 3))
    return halved
