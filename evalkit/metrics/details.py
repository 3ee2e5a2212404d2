"""Ground truth of what nobody told the editor: the details and attributes that no caption names, kept or lost.

For version 2 of the shapes benchmark. A recogniser codes each attribute and each detail as a vector whose mean over a
uniform draw is 0: of length 1 where it is known, 0 where it is not. The product of what is seen in the edited image and
what is known of the source is then, for each of them,

* 1 where it was kept exactly;
* 0 in expectation where it was lost: where the edited image has one that does not depend on the source's, however it is
  distributed, as the source's is uniform. So a model that draws every horizon at mid-height gains nothing by it;
* 0 where it cannot be read, so that to erase a detail is worth as much as to draw another by chance;
* less where the edited image has another: −1 where it is half of its range away. What lies in a range is coded as if
  its ends met, or chance would not be 0: a horizon at the other end of the range counts as close.

Attributes: of k values, 1 for the right one and −1 / (k − 1) for any other, which is (hit − 1/k) / (1 − 1/k). The angle
of a stripe, uniform over 180°: cos 2Δ. A number uniform over a range r (height or slope of the horizon): cos 2πΔ/r.
"""

import numpy as np

from evalkit.arrays import Floats
from evalkit.metrics.base import Scale, Scores, Vectors, define_metric
from evalkit.metrics.features import PairFeature, VectorFeature
from evalkit.metrics.pixel import differences

RECOGNISER = "shapes_recogniser_v2"
CODED = ("shape", "colour", "size", "place", "background", "stripe_angle", "horizon_height", "horizon_slope")
"""What is coded, in order: the attributes, the detail of the subject, and those of the scene."""
CODE_LENGTH = 9
"""Numbers for each; the most values that one of them has."""
_ATTRIBUTES, _SUBJECT, _SCENE = slice(5), slice(5, 6), slice(6, 8)
_SAME = 0.99
"""Attributes that agree have a product of 1, any others of 0 at the most."""
UNRELATED_DRAWINGS = 0.282
"""Mean absolute difference of two drawings of version 2 without relation, as `recogniser_accuracy.md` measures it."""


def edit_success(edited_image: Vectors, source_attributes: Vectors, target_attributes: Vectors) -> Scores:
    """1 where every attribute that the edit should change has its target value in the edited image, else 0.

    Args:
        edited_image: ``(n, len(CODED) · CODE_LENGTH)`` codes of what is seen in the edited image.
        source_attributes: ``(n, …)`` codes of what is true of the source image.
        target_attributes: ``(n, …)`` codes of what is true of a perfect edit.
    """
    asked = (_products(source_attributes, target_attributes) < _SAME)[:, _ATTRIBUTES]
    right = (_products(edited_image, target_attributes) > _SAME)[:, _ATTRIBUTES]
    done, nothing = np.asarray((right | ~asked).all(axis=1)), np.asarray(~asked.any(axis=1))
    return Scores.of(done.astype(np.float64), {"nothing_asked": nothing})


def subject_detail_preservation(edited_image: Vectors, source_attributes: Vectors) -> Scores:
    """How far the stripe across the shape kept its angle: cos 2Δ, in [−1, 1].

    For an angle θ of the source that is uniform over [0°, 180°) and any angle φ of the edited image that does not
    depend on it, E cos 2(φ − θ) = 0: the mean of a cosine over a whole period.

    Args:
        edited_image: ``(n, len(CODED) · CODE_LENGTH)`` codes of what is seen in the edited image.
        source_attributes: ``(n, …)`` codes of what is true of the source image.
    """
    return _kept(edited_image, source_attributes, _SUBJECT)


def scene_detail_preservation(edited_image: Vectors, source_attributes: Vectors) -> Scores:
    """How far the horizon kept its height and its slope: the mean of both, each cos 2πΔ/r, in [−1, 1].

    With r the length of the range that a source's is drawn from: 0 at a quarter of it, −1 at a half. For a height h
    that is uniform over its range and a height h′ of the edited image that does not depend on it,
    E cos 2π(h′ − h)/r = 0, as for an angle. So the lowest horizon counts as the highest, and the steepest slope as the
    steepest in the other direction: of one edit in the outer tenths of a range the score says little, of many it says
    what does not depend on that. What is read a little beyond the range counts as its end; farther, the horizon counts
    as one that cannot be read.

    Args:
        edited_image: ``(n, len(CODED) · CODE_LENGTH)`` codes of what is seen in the edited image.
        source_attributes: ``(n, …)`` codes of what is true of the source image.
    """
    return _kept(edited_image, source_attributes, _SCENE)


def unnamed_attribute_preservation(
    edited_image: Vectors, source_attributes: Vectors, target_attributes: Vectors, target_caption: Vectors
) -> Scores:
    """How far what the caption leaves out and the edit does not concern still holds, corrected for chance.

    The mean over these attributes of (hit − 1/k) / (1 − 1/k), k being the number of an attribute's values; 0 for one
    that cannot be read. In [−1/2, 1].

    Args:
        edited_image: ``(n, len(CODED) · CODE_LENGTH)`` codes of what is seen in the edited image.
        source_attributes: ``(n, …)`` codes of what is true of the source image.
        target_attributes: ``(n, …)`` codes of what is true of a perfect edit.
        target_caption: ``(n, …)`` codes of what the caption names; 0 for what it leaves out.
    """
    to_keep = _products(source_attributes, target_attributes)[:, _ATTRIBUTES] > _SAME
    unnamed = to_keep & (_products(target_caption, target_caption)[:, _ATTRIBUTES] < _SAME)
    n_unnamed = unnamed.sum(axis=1)
    kept = np.where(unnamed, _products(edited_image, source_attributes)[:, _ATTRIBUTES], 0.0).sum(axis=1)
    return Scores.of(kept / np.maximum(n_unnamed, 1), {"nothing_unnamed": n_unnamed == 0})


def closeness(differences: Vectors) -> Scores:
    """How close the edited image comes to the perfect edit: 1 − L1 / 0.282, L1 being that to the reference image.

    1 for the reference image itself, 0 on average for a drawing of the same world that has nothing to do with it, less
    for what is farther still.

    Args:
        differences: ``(n, 2)``, as :func:`evalkit.metrics.pixel.differences` gives them.
    """
    return Scores.of(1.0 - differences[:, 0] / UNRELATED_DRAWINGS)


def _products(first: Vectors, second: Vectors) -> Floats:
    """For each item and each of ``CODED`` the product of two codes, to the 6 digits that they have: ``(n, …)``."""
    shape = (-1, len(CODED), CODE_LENGTH)
    return np.asarray((first.reshape(shape).astype(np.float64) * second.reshape(shape)).sum(axis=2).round(6))


def _kept(edited_image: Vectors, source_attributes: Vectors, which: slice) -> Scores:
    """Mean product of some details."""
    return Scores.of(_products(edited_image, source_attributes)[:, which].mean(axis=1))


def _codes(*fields: str) -> dict[str, VectorFeature]:
    return {name: VectorFeature(field=name, encoder=RECOGNISER) for name in fields}


_EDITED, _BEFORE, _WANTED = "edited_image", "source_attributes", "target_attributes"
_DETAIL: Scale = (-1.0, 1.0, "up", 0.0)
_REFERENCE = "Ground truth of version 2 of the shapes benchmark, evalkit.metrics.details"
_PAIR = {"differences": PairFeature(name="differences", measure=differences, against="reference_image")}

# fmt: off
METRICS = (
    define_metric("edit_success:v2", "whether the change that was asked for is there, in version 2 of shapes",
        edit_success, _codes(_EDITED, _BEFORE, _WANTED), (0.0, 1.0, "up", 0.0), _REFERENCE, "ground_truth",
        summarize="rate"),
    define_metric("subject_detail_preservation", "whether the stripe across the shape kept its angle; chance is 0",
        subject_detail_preservation, _codes(_EDITED, _BEFORE), _DETAIL, _REFERENCE, "ground_truth"),
    define_metric("scene_detail_preservation", "whether the horizon kept its height and slope; chance is 0",
        scene_detail_preservation, _codes(_EDITED, _BEFORE), _DETAIL, _REFERENCE, "ground_truth"),
    define_metric("unnamed_attribute_preservation",
        "whether attributes that the caption leaves out were kept; chance is 0",
        unnamed_attribute_preservation, _codes(_EDITED, _BEFORE, _WANTED, "target_caption"), (-0.5, 1.0, "up", 0.0),
        _REFERENCE, "ground_truth"),
    define_metric("closeness", "1 − L1 to the perfect edit, in units of the L1 of two unrelated drawings",
        closeness, _PAIR, (1.0 - 1.0 / UNRELATED_DRAWINGS, 1.0, "up", 0.0), _REFERENCE, "ground_truth"),
)
# fmt: on
