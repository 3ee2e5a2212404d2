"""Which image people would pick for a text, as a network learnt it from their choices."""

import numpy as np

from evalkit.metrics.base import Feature, Metric, Scores, Vectors
from evalkit.metrics.clip import unit_vectors


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


PICK_SCORE = Metric(
    name="pick_score",
    summary="temperature · cos(edited image, target caption) of PickScore, learnt from people's choices",
    reference="Kirstain et al., Pick-a-Pic, NeurIPS 2023, eq. 1",
    family="alignment",
    higher_is_better=True,
    lowest=-100.0,
    highest=100.0,
    features={
        "edited_image": Feature(field="edited_image", encoder="pick_score"),
        "target_caption": Feature(field="target_caption", encoder="pick_score"),
    },
    function=pick_score,
)
