"""Perceptual distance to the source: Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018."""

from collections.abc import Callable, Mapping

import numpy as np

from evalkit.metrics.base import Metric, Scale, Scores, Vectors, define_metric
from evalkit.metrics.features import PairFeature
from evalkit.metrics.pixel import masks_without_background

LARGEST: Mapping[str, float] = {"alex": 7.74, "vgg": 5.45, "squeeze": 10.25}
"""No distance is larger: in each layer two unit vectors without negative entries differ at most by the sum of the two
largest weights of its head. Rounded up; a test holds them against the heads."""
UNRELATED: Mapping[str, float] = {"alex": 0.82, "vgg": 0.88, "squeeze": 1.05}
"""The distance of pictures whose features have nothing in common: two unit vectors at a right angle, spread evenly over
the channels, differ in each layer by twice the mean weight of its head. A test holds them against the heads."""


def lpips(distance: Vectors) -> Scores:
    """The distance, from 0.

    Args:
        distance: ``(n, 1)``; NaN for images that are too small for the network.
    """
    return Scores.of(distance[:, 0], {"too_small": np.isnan(distance[:, 0])})


def lpips_background(distance: Vectors) -> Scores:
    """The mean distance over the background, both masks blackened, from 0.

    Args:
        distance: ``(n, 4)``: over the background, over the whole; pixels of the background and of the mask.
    """
    return _masked(distance, 0)


def lpips_background_pie_bench(distance: Vectors) -> Scores:
    """The distance of the whole images, both masks blackened, from 0.

    Args:
        distance: As for :func:`lpips_background`.
    """
    return _masked(distance, 1)


def _masked(distance: Vectors, column: int) -> Scores:
    undefined = {"too_small": np.isnan(distance[:, 1]), **masks_without_background(distance[:, 2:])}
    return Scores.of(distance[:, column], undefined)


def _row(name: str, summary: str, function: Callable[[Vectors], Scores], net: str, *, masked: bool = False) -> Metric:
    feature = PairFeature(encoder=f"lpips_{net}", masked=masked)
    reference = "Zhang et al., The Unreasonable Effectiveness of Deep Features, CVPR 2018, eq. 1"
    scale: Scale = (0.0, LARGEST[net], "down", UNRELATED[net])
    return define_metric(name, summary, function, {"distance": feature}, scale, reference)


# fmt: off
METRICS = (
    _row("lpips", "learned perceptual distance to the source, on AlexNet", lpips, "alex"),
    _row("lpips:vgg", "learned perceptual distance to the source, on VGG-16", lpips, "vgg"),
    _row("lpips:squeeze", "learned perceptual distance to the source, on SqueezeNet", lpips, "squeeze"),
    _row("lpips_background", "LPIPS on AlexNet over what is outside of the edit mask, which is black in both images",
        lpips_background, "alex", masked=True),
    _row("lpips_background:pie_bench", "LPIPS of the whole on SqueezeNet, the edit mask black in both images",
        lpips_background_pie_bench, "squeeze", masked=True),
)
# fmt: on
