"""Ground truth: did the edit do what was asked, and nothing else, attribute by attribute.

All compare what a recogniser sees in the edited image with what is known to be true of the item, never with what it
sees in the source image. For benchmarks whose attributes are known exactly and can be read off a picture.
"""

import numpy as np
import numpy.typing as npt

from evalkit.metrics.base import Scores, Vectors, define_metric
from evalkit.metrics.features import VectorFeature

RECOGNISER = "shapes_recogniser"
UNKNOWN = 0
"""The code of an attribute that could not be read; as a recognised attribute it equals nothing."""


def edit_success(edited_image: Vectors, source_attributes: Vectors, target_attributes: Vectors) -> Scores:
    """1 where every attribute that the edit should change has its target value in the edited image, else 0.

    Args:
        edited_image: ``(n, attributes)`` codes recognised in the edited image, 0 where unknown.
        source_attributes: ``(n, attributes)`` true codes of the source image.
        target_attributes: ``(n, attributes)`` true codes of a perfect edit.

    >>> source, target = np.array([[1, 4]]), np.array([[2, 4]])
    >>> edit_success(np.array([[2, 7]]), source, target).values
    array([1.])
    """
    asked = source_attributes != target_attributes
    done = (_matches(edited_image, target_attributes) | ~asked).all(axis=1)
    return Scores.of(done.astype(np.float64), {"nothing_asked": ~asked.any(axis=1)})


def attribute_preservation(edited_image: Vectors, source_attributes: Vectors, target_attributes: Vectors) -> Scores:
    """Share, in [0, 1], of the attributes that the edit should leave alone and that still hold in the edited image.

    Args:
        edited_image: ``(n, attributes)`` codes recognised in the edited image, 0 where unknown.
        source_attributes: ``(n, attributes)`` true codes of the source image.
        target_attributes: ``(n, attributes)`` true codes of a perfect edit.

    >>> source, target = np.array([[1, 4, 5]]), np.array([[2, 4, 5]])
    >>> attribute_preservation(np.array([[1, 4, 0]]), source, target).values
    array([0.5])
    """
    kept = source_attributes == target_attributes
    n_kept = kept.sum(axis=1)
    unchanged = (_matches(edited_image, source_attributes) & kept).sum(axis=1)
    return Scores.of(unchanged / np.maximum(n_kept, 1), {"nothing_to_preserve": n_kept == 0})


def _matches(recognised: Vectors, true: Vectors) -> npt.NDArray[np.bool_]:
    return np.asarray((recognised == true) & (recognised != UNKNOWN))


_ATTRIBUTES = {
    name: VectorFeature(field=name, encoder=RECOGNISER)
    for name in ("edited_image", "source_attributes", "target_attributes")
}
_REFERENCE = "Ground truth of the shapes benchmark, evalkit.metrics.attributes"

# fmt: off
METRICS = (
    define_metric("edit_success", "1 if every attribute that was to change has the value asked for, else 0",
        edit_success, _ATTRIBUTES, (0.0, 1.0, "up", 0.0), _REFERENCE, "ground_truth", summarize="rate"),
    define_metric("attribute_preservation", "share of the attributes that were to stay which still hold",
        attribute_preservation, _ATTRIBUTES, (0.0, 1.0, "up", 0.0), _REFERENCE, "ground_truth"),
)
# fmt: on
