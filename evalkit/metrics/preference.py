"""Which image people would pick for a text, as a network learnt it from their choices."""

import numpy as np

from evalkit.metrics.base import Scores, Vectors, define_metric
from evalkit.metrics.clip import unit_vectors
from evalkit.metrics.features import VectorFeature


def pick_score(edited_image: Vectors, target_caption: Vectors) -> Scores:
    """PickScore: the learnt temperature times the cosine of image and caption, around 20 for good images.

    Only differences between images of one caption mean something: e to their power are the odds that people pick the
    first.

    Args:
        edited_image: ``(n, d)``.
        target_caption: ``(n, d)``, of the length of the temperature, as the encoder gives them.

    >>> pick_score(np.array([[2.0, 0.0]]), np.array([[60.0, 80.0]])).optional()
    [60.0]
    """
    values = np.einsum("nd,nd->n", unit_vectors(edited_image), np.asarray(target_caption, dtype=np.float64))
    return Scores.of(values, {"not_finite": ~np.isfinite(values)})


# fmt: off
METRICS = (
    define_metric("pick_score",
        "temperature · cos(edited image, target caption) of PickScore, learnt from people's choices", pick_score,
        {name: VectorFeature(field=name, encoder="pick_score") for name in ("edited_image", "target_caption")},
        (-100.0, 100.0, "up", 0.0), "Kirstain et al., Pick-a-Pic, NeurIPS 2023, eq. 1", "alignment"),
)
# fmt: on
