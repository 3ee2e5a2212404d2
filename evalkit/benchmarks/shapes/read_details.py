"""Reads the details of version 2 off any picture, in closed form: the horizon, then the stripe of what is before it.

Both are two tones along a line, and both are found by least squares over lines: where the step between the two tones
runs, and how much of the picture's variation it explains.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats, Mask
from evalkit.benchmarks.shapes.details import (
    HEIGHTS,
    SLOPES,
    STRIPE_WIDTH,
    below_horizon,
    covered_by_stripe,
    mixed,
    on_stripe,
    stripe_tone,
)

CERTAINTY = np.diag([1.0, 0.3, 0.3]) @ np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
"""RGB to brightness and the two hue differences of JPEG (ITU-T T.871), each weighted by how far it is trusted."""
_STRIP = 8
"""Rows at the top and at the bottom that lie on one side of every horizon, of 64."""
_LEAST_STEP = 15.0
"""Least distance of the background's tones, in RGB levels; the nearest pair of the world is 44 apart."""
_OFF_GROUND = 30.0
"""A pixel farther than this from every mixture of the two tones is no background."""
_MAX_MISFIT = 0.12
"""Largest mean deviation of the background from one straight step, as a share of the step."""
_LEAST_GROUND = 0.7
"""Least share of a picture that two tones make a background of, wherever they meet."""
_MARGIN = 0.05
"""How far beyond its range a reading may lie, in shares of the side."""
_LEAST_TONES = 30.0
"""Least distance of the shape's tones, in RGB levels; the nearest pair of the world is 117 apart."""
_LEAST_EXPLAINED = 0.3
"""Least share of the variation within the shape that a stripe explains."""
_ROUNDS = 4
"""Of finding which of its pixels have one tone, and which the other."""
_ANGLES = np.arange(0.0, 180.0, 4.0)
_OFFSETS = np.arange(-1.0, 1.5, 0.5)
"""How far a stripe may run beside the middle of the bounding box, in pixels."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The background."""

    upper: Floats
    """The colour that it is called after."""
    field: Floats
    """``(size, size, 3)``: how it looks in every pixel, also behind the shape."""
    contrast: Floats
    """``(size, size)``: how far each pixel is from every mixture of its tones, in RGB levels."""
    height: float | None = None
    """Of the horizon; None where none is found."""
    slope: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The colours of the shape."""

    colour: Floats
    """Beside the stripe."""
    field: Floats
    """``(size, size, 3)``: how it looks in every pixel, in mixtures of its tones."""
    angle: float | None = None
    """Of the stripe; None where none is found."""

    def seen_from(self, inside: Mask) -> Floats:
        """``(size, size, 3)``: how it would look in every pixel if it went on as it ends, straight stripe or not."""
        return self.field[_nearest(inside)]


def read_ground(square: Floats) -> Ground:
    """The background of a square picture: two tones with a straight line between them, or the median colour."""
    upper, lower = (np.median(rows, axis=(0, 1)) for rows in (square[:_STRIP], square[-_STRIP:]))
    plain = np.median(square, axis=(0, 1))
    without = Ground(plain, np.broadcast_to(plain, square.shape), np.linalg.norm(square - plain, axis=2))
    if np.linalg.norm(lower - upper) < _LEAST_STEP:
        return without
    share = _share_of_second(square, upper, lower)
    as_mixture = mixed(upper, lower, share)
    off_ground = np.linalg.norm(square - as_mixture, axis=2)
    seen = off_ground < _OFF_GROUND
    height, slope = _steepest_line(share, seen)
    below = below_horizon(height, slope, size=len(square))
    if np.abs(share - below)[seen].mean() > _MAX_MISFIT:
        if seen.mean() < _LEAST_GROUND:
            return without
        return Ground(upper, as_mixture[_nearest(seen)], off_ground)
    within = HEIGHTS[0] - _MARGIN <= height <= HEIGHTS[1] + _MARGIN
    within = within and SLOPES[0] - 2 * _MARGIN <= slope <= SLOPES[1] + 2 * _MARGIN
    return Ground(upper, mixed(upper, lower, below), off_ground, *((height, slope) if within else ()))


def _steepest_line(share: Floats, seen: Mask) -> tuple[float, float]:
    """Height and slope of the line that best parts a picture into none and all of the lower tone.

    Args:
        share: ``(size, size)``: of the lower tone in each pixel.
        seen: ``(size, size)``: the pixels that count.
    """
    size = len(share)
    # What a line costs in a column when it runs there between two rows: the lower tone above it, the upper one below.
    above, under = (np.where(seen, tone, 0.0).cumsum(axis=0) for tone in (share, 1.0 - share))
    first = np.zeros((1, size))
    cost = np.concatenate([first, above]) + under[-1] - np.concatenate([first, under])
    heights, slopes = np.linspace(0.15, 0.85, 71), np.linspace(-0.5, 0.5, 41)
    column = np.arange(size)
    along = (column + 0.5) / size - 0.5
    rows = np.clip(np.rint((heights[:, None, None] + slopes[:, None] * along) * size), 0, size).astype(int)
    height, slope = np.unravel_index(cost[rows, column].sum(axis=2).argmin(), (len(heights), len(slopes)))
    return _refined(share, seen, float(heights[height]), float(slopes[slope]))


def _refined(share: Floats, seen: Mask, height: float, slope: float) -> tuple[float, float]:
    """The line through where each column crosses, in parts of pixels: as high as its upper tone reaches."""
    size, reach = len(share), 4
    column = np.arange(size)
    along = (column + 0.5) / size - 0.5
    for _ in range(2):
        top = np.rint((height + slope * along) * size).astype(int) - reach
        rows = np.clip(top + np.arange(2 * reach)[:, None], 0, size - 1)
        whole = seen[rows, column].all(axis=0)
        if whole.sum() < size // 4:
            break
        crossing = (top + (1.0 - share[rows, column]).sum(axis=0)) / size
        slope, height = np.polyfit(along[whole], crossing[whole], 1)
    return float(height), float(slope)


def read_subject(square: Floats, blob: Mask, inner: Mask) -> Subject:
    """The two tones of what stands before the background, or its one colour.

    Args:
        square: ``(size, size, 3)``.
        blob: ``(size, size)``: its pixels.
        inner: ``(size, size)``: those of them that lie inside, away from mixtures with the background.
    """
    size, pixels = len(square), square[inner]
    rows, columns = np.flatnonzero(blob.any(axis=1)), np.flatnonzero(blob.any(axis=0))
    x, y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    width = STRIPE_WIDTH * float(np.sqrt(blob.sum() / np.pi))
    down, right = np.nonzero(inner)
    turns = np.deg2rad(_ANGLES)[:, None]
    off_axis = (right + 0.5 - x) * np.sin(turns) + (down + 0.5 - y) * np.cos(turns)
    explained = _explained(pixels @ CERTAINTY.T, covered_by_stripe(off_axis[:, None] - _OFFSETS[:, None], width))
    best, beside = np.unravel_index(explained.argmax(), explained.shape)
    turn = turns[best, 0]
    middle = (x + _OFFSETS[beside] * np.sin(turn)) / size, (y + _OFFSETS[beside] * np.cos(turn)) / size
    on = on_stripe(float(_ANGLES[best]), middle=middle, width=width / size, size=size)
    parts = inner & (on < 0.25), inner & (on > 0.75)
    if explained[best, beside] >= _LEAST_EXPLAINED and all(part.any() for part in parts):
        colour, tone = (np.median(square[part], axis=0) for part in parts)
        if np.linalg.norm(tone - colour) >= _LEAST_TONES:
            return Subject(
                colour, mixed(colour, tone, _share_of_second(square, colour, tone)), _peak(explained.max(axis=1))
            )
    return _two_tones(square, pixels)


def _two_tones(square: Floats, pixels: Floats) -> Subject:
    """What has no straight stripe: two tones all the same, where its pixels fall into two halves that are far apart."""
    plain = np.median(pixels, axis=0)
    without = Subject(plain, np.broadcast_to(plain, square.shape))
    along = (pixels - plain) @ np.linalg.svd(pixels - plain, full_matrices=False)[2][0]
    between = (along.min() + along.max()) / 2
    for _ in range(_ROUNDS):
        half = along > between
        if not half.any() or half.all():
            return without
        between = (np.median(along[half]) + np.median(along[~half])) / 2
    one, other = (np.median(pixels[part], axis=0) for part in (half, ~half))
    if np.linalg.norm(one - other) < _LEAST_TONES:
        return without
    # Of two tones the shape's colour is the one whose stripe would look like the other.
    if np.linalg.norm(stripe_tone(one) - other) > np.linalg.norm(stripe_tone(other) - one):
        one, other = other, one
    return Subject(one, mixed(one, other, _share_of_second(square, one, other)))


def _share_of_second(square: Floats, first: Floats, second: Floats) -> Floats:
    """``(size, size)``: how much of the second tone the mixture of two has that is nearest to each pixel, 0 to 1."""
    step = second - first
    return np.asarray(np.clip((square - first) @ step / (step @ step), 0.0, 1.0))


def _nearest(mask: Mask) -> tuple[npt.NDArray[np.intp], ...]:
    """For each pixel, row and column of the nearest one of the mask."""
    from scipy import ndimage

    return tuple(ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True))


def _explained(pixels: Floats, on: Floats) -> Floats:
    """The share of the pixels' variation that two colours mixed as ``on`` says explain, for each candidate.

    Args:
        pixels: ``(n, 3)``.
        on: ``(…, n)``, one row per candidate.
    """
    centred = pixels - pixels.mean(axis=0)
    shares = on - on.mean(axis=-1, keepdims=True)
    shared = ((shares @ centred) ** 2).sum(axis=-1) / np.maximum((shares**2).sum(axis=-1), 1e-9)
    return np.asarray(shared / max((centred**2).sum(), 1e-9))


def _peak(explained: Floats) -> float:
    """The angle at which a curve over ``_ANGLES`` is highest, between them by a parabola."""
    best = int(explained.argmax())
    before, top, after = (explained[(best + step) % len(explained)] for step in (-1, 0, 1))
    bend = before - 2 * top + after
    shift = (before - after) / (2 * bend) if bend < 0 else 0.0
    return float((_ANGLES[best] + shift * (_ANGLES[1] - _ANGLES[0])) % 180.0)
