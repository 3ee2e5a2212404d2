"""Reads the attributes off any picture, in closed form: nothing here is learnt.

The background is the median colour; what differs from it is one connected blob; the blob's mean colour, area, middle
and silhouette are compared with the world's own tables. Where a picture has no such blob, several, or one like nothing
in the tables, the attributes concerned are ``unknown``. In version 2 the background may have two tones with a horizon
between them, and the blob two with a stripe between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from evalkit.arrays import Floats, Mask, Pixels
from evalkit.benchmarks.shapes.read_details import CERTAINTY, Ground, read_ground, read_subject
from evalkit.benchmarks.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    DETAILED_RADII,
    PLACES,
    RADII,
    Scene,
    coverage,
)
from evalkit.encoders.base import Preprocess

UNKNOWN = "unknown"
PREPROCESS = Preprocess(size=64, mode="squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""What every picture is brought to before it is read."""

_MIN_CONTRAST = 40.0
"""Least distance of a shape from its background, in RGB levels; the nearest pair of the world is 80 apart."""
_MAX_COLOUR_ERROR = 60.0
"""A colour farther than this from every one of the tables is none of them."""
_PLAIN_SHARE = 0.75
"""Least share of the picture outside of the shape that must have the background's colour."""
_MAX_AREA = 0.25
"""What covers more of the picture than this is no shape."""
_RIVAL_SHARE = 0.3
"""A second blob of this share of the first's area makes it a picture of two things."""
_MIN_LIKENESS = 0.82
"""Least overlap (Dice coefficient) of a silhouette with a shape's."""
_MIN_CONTRAST_OF_TONES = 22.0
"""The same for a shape and its stripe, of which one is nearer to the background: 42 at the least."""
_MIN_INNER = 12
"""Least number of pixels from which the tones of a shape are read."""
_ROUNDS = 3
_SAMPLES = np.linspace(-1.75, 1.75, 36)
"""Where silhouettes are compared, in radii of the circle of equal area."""


@dataclass(frozen=True, slots=True)
class _Blob:
    """The one thing in a picture."""

    colour: Floats
    share: Floats
    """``(size, size)``: how much of each pixel it covers, 0 to 1."""
    core: Mask
    """``(size, size)``: the pixels that it covers for the most part."""


def recognise(picture: Pixels) -> dict[str, str]:
    """The attributes of a picture.

    Args:
        picture: ``(height, width, 3)`` of any size.

    Returns:
        Attribute to value, each one of ``ATTRIBUTES``' values or ``unknown``.
    """
    square = PREPROCESS.apply(Image.fromarray(picture)).astype(np.float64)
    background = np.median(square, axis=(0, 1))
    contrast = np.linalg.norm(square - background, axis=2)
    found = dict.fromkeys(ATTRIBUTES, UNKNOWN)
    blob = _blob(square, background, contrast)
    outside = np.ones(contrast.shape, bool) if blob is None else blob.share == 0
    if np.mean(contrast[outside] < _MIN_CONTRAST) >= _PLAIN_SHARE:
        found["background"] = _nearest_colour(background, BACKGROUNDS)
    if blob is None:
        return found
    return found | _of_blob(blob, RADII)


def _of_blob(blob: _Blob, radii: Mapping[str, float]) -> dict[str, str]:
    """The attributes of the shape, by the sizes that it may have."""
    return {
        "colour": _nearest_colour(blob.colour, COLOURS),
        "size": _size(blob, radii),
        "place": _place(blob),
        "shape": _shape(blob),
    }


@dataclass(frozen=True, slots=True)
class SceneReading:
    """What is read off a picture of version 2."""

    attributes: dict[str, str]
    """As :func:`recognise` gives them."""
    details: dict[str, float | None]
    """Detail to value; None where it is unknown."""


def read(picture: Pixels) -> SceneReading:
    """The attributes and the details of a picture of version 2.

    Args:
        picture: ``(height, width, 3)`` of any size.
    """
    square = PREPROCESS.apply(Image.fromarray(picture)).astype(np.float64)
    ground = read_ground(square)
    found = dict.fromkeys(ATTRIBUTES, UNKNOWN)
    blob, angle = _two_toned_blob(square, ground)
    outside = np.ones(square.shape[:2], bool) if blob is None else blob.share == 0
    if np.mean(ground.contrast[outside] < _MIN_CONTRAST) >= _PLAIN_SHARE:
        found["background"] = _nearest_colour(ground.upper, BACKGROUNDS)
    if blob is not None:
        found |= _of_blob(blob, DETAILED_RADII)
    details = {"stripe_angle": angle, "horizon_height": ground.height, "horizon_slope": ground.slope}
    return SceneReading(found, details)


def _two_toned_blob(square: Floats, ground: Ground) -> tuple[_Blob | None, float | None]:
    """The shape with its stripe, and the stripe's angle."""
    from scipy import ndimage

    region = _one_region(ground.contrast > _MIN_CONTRAST_OF_TONES)
    if region is None:
        return None, None
    core = ndimage.binary_fill_holes(region)
    near, inner = ndimage.binary_dilation(core), ndimage.binary_erosion(core)
    # Where the shape ends is known once its tones are, and its tones once it is known what lies inside.
    for _ in range(_ROUNDS):
        inside = inner if inner.sum() >= _MIN_INNER else core
        subject = read_subject(square, core, inside)
        axis = (subject.seen_from(inside) - ground.field) @ CERTAINTY.T
        along = ((square - ground.field) @ CERTAINTY.T * axis).sum(axis=2) / np.maximum((axis**2).sum(axis=2), 1.0)
        share = np.where(near, np.clip(along, 0.0, 1.0), 0.0)
        core = ndimage.binary_fill_holes(share > 0.5)
        share = np.where(core & (share <= 0.5), 1.0, share)  # a spot that looks like the background lies on the shape
        inner = share > 0.85
        if core.sum() < _MIN_INNER:
            return None, None
    return _Blob(colour=subject.colour, share=share, core=core), subject.angle


def _blob(square: Floats, background: Floats, contrast: Floats) -> _Blob | None:
    """The largest connected region that differs from the background, or None where none can be the shape."""
    from scipy import ndimage

    peak = np.sort(contrast, axis=None)[-32:].mean()  # half of the smallest shape's pixels
    if peak < _MIN_CONTRAST:
        return None
    core = _one_region(contrast > peak / 2)
    if core is None:
        return None
    # Pixels at the edge are mixtures: the colour is that of the half which differs most.
    inner = core & (contrast >= np.median(contrast[core]))
    colour = np.median(square[inner], axis=0)
    if np.linalg.norm(colour - background) < _MIN_CONTRAST / 2:  # differs all over, each pixel another way: noise
        return None
    # Compression blurs hue far more than brightness, so brightness says more about where the edge runs.
    axis = CERTAINTY @ (colour - background)
    share = np.clip((square - background) @ CERTAINTY.T @ axis / (axis @ axis), 0.0, 1.0)
    near = ndimage.binary_dilation(core, iterations=2)
    return _Blob(colour=colour, share=np.where(near, share, 0.0), core=core)


def _one_region(apart: Mask) -> Mask | None:
    """The one connected region of a mask; None where there is none, a second nearly as large, or one too large."""
    from scipy import ndimage

    labels, n_labels = ndimage.label(apart)
    if not n_labels:
        return None
    areas = np.bincount(labels.ravel(), minlength=n_labels + 1)[1:]
    largest = int(areas.argmax())
    rivals = np.delete(areas, largest) >= _RIVAL_SHARE * areas[largest]
    if rivals.any() or areas[largest] > _MAX_AREA * apart.size:
        return None
    return np.asarray(labels == largest + 1)


def _nearest_colour(colour: Floats, table: Mapping[str, tuple[int, int, int]]) -> str:
    distances = {name: float(np.linalg.norm(colour - value)) for name, value in table.items()}
    name = min(distances, key=distances.__getitem__)
    return name if distances[name] <= _MAX_COLOUR_ERROR else UNKNOWN


def _radius(blob: _Blob) -> float:
    """Of the circle of equal area, in pixels."""
    return float(np.sqrt(blob.share.sum() / np.pi))


def _size(blob: _Blob, radii: Mapping[str, float]) -> str:
    """The nearest size by ratio; half a step beyond the smallest and the largest there is none."""
    logs = np.log(list(radii.values()))
    distances = np.abs(np.log(_radius(blob) / len(blob.share)) - logs)
    return list(radii)[int(distances.argmin())] if distances.min() <= np.diff(logs).min() / 2 + 0.02 else UNKNOWN


def _place(blob: _Blob) -> str:
    """The place nearest to the middle of the bounding box."""
    rows, columns = np.flatnonzero(blob.core.any(axis=1)), np.flatnonzero(blob.core.any(axis=0))
    middle = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2 / len(blob.core)
    return min(PLACES, key=lambda name: float(np.linalg.norm(middle - PLACES[name])))


def _shape(blob: _Blob) -> str:
    silhouette = _silhouette(blob.share)
    likeness = {name: _dice(silhouette, template) for name, template in _templates().items()}
    name = max(likeness, key=likeness.__getitem__)
    return name if likeness[name] >= _MIN_LIKENESS else UNKNOWN


def _silhouette(share: Floats) -> Floats:
    """What a blob covers, seen from its centre of mass and in units of its own radius."""
    from scipy import ndimage

    total = share.sum()
    radius = np.sqrt(total / np.pi)
    steps = np.arange(len(share))
    middle_y, middle_x = (share.sum(axis=1) @ steps) / total, (share.sum(axis=0) @ steps) / total
    rows, columns = np.meshgrid(middle_y + radius * _SAMPLES, middle_x + radius * _SAMPLES, indexing="ij")
    return np.asarray(ndimage.map_coordinates(share, [rows, columns], order=1))


def _dice(a: Floats, b: Floats) -> float:
    """Overlap of two silhouettes, 0 to 1."""
    return float(2 * np.minimum(a, b).sum() / (a.sum() + b.sum()))


@cache
def _templates() -> dict[str, Floats]:
    plain: dict[str, Any] = {"colour": "red", "size": "medium", "place": "centre", "background": "white"}
    return {name: _silhouette(coverage(Scene(shape=name, **plain)) / 255) for name in ATTRIBUTES["shape"]}
