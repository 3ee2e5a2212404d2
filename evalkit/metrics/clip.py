"""Metrics of CLIP's joint space of images and texts: cosines, in float64, of vectors as the encoder gave them.

Hessel et al., "CLIPScore", EMNLP 2021; Gal et al., "StyleGAN-NADA", SIGGRAPH 2022 (the direction, eq. 2); Brooks et
al., "InstructPix2Pix", CVPR 2023 (the direction as a similarity between captions).
"""

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats
from evalkit.metrics.base import Scale, Scores, Vectors, define_metric
from evalkit.metrics.features import Feature, VectorFeature
from evalkit.metrics.pixel import BACKGROUND_DIFFERENCES

HESSEL_WEIGHT = 2.5
"""Hessel et al. stretch the cosines, which seldom pass 0.4, to about [0, 1]."""


def clip_score(edited_image: Vectors, target_caption: Vectors) -> Scores:
    """Agreement of the edited image with the target caption: ``max(cos, 0)`` per item, in [0, 1].

    Args:
        edited_image: ``(n, d)``.
        target_caption: ``(n, d)``.

    >>> clip_score(np.eye(2), np.array([[1.0, 0.0], [0.0, -1.0]])).optional()
    [1.0, 0.0]
    """
    cosines = cosine_scores(edited_image, target_caption)
    return Scores(values=np.maximum(cosines.values, 0.0), reasons=cosines.reasons)


def clip_score_hessel(edited_image: Vectors, target_caption: Vectors) -> Scores:
    """``2.5 · max(cos, 0)`` per item, in [0, 2.5] (Hessel et al. 2021, eq. 1)."""
    scores = clip_score(edited_image, target_caption)
    return Scores(values=HESSEL_WEIGHT * scores.values, reasons=scores.reasons)


def clip_score_torchmetrics(edited_image: Vectors, target_caption: Vectors) -> Scores:
    """``100 · cos`` per item, in [−100, 100]; torchmetrics clamps the mean of these at 0, not the items."""
    cosines = cosine_scores(edited_image, target_caption)
    return Scores(values=100.0 * cosines.values, reasons=cosines.reasons)


def clip_score_cosine(edited_image: Vectors, target_caption: Vectors) -> Scores:
    """The cosine itself per item, in [−1, 1], which others clamp at 0."""
    return cosine_scores(edited_image, target_caption)


def clip_score_pie_bench(edited_image: Vectors, target_caption: Vectors, differences: Vectors) -> Scores:
    """``100 · max(cos, 0)`` per item of the edited part, all else blackened, and the whole target caption, in [0, 100].

    PIE-Bench's scripts ask torchmetrics for one image at a time, whose clamped mean is then the item's.

    Args:
        edited_image: ``(n, d)`` of the edited image, black outside of the edit mask.
        target_caption: ``(n, d)``.
        differences: ``(n, 4)``, whose last column counts the pixels of the mask.
    """
    scores = clip_score(edited_image, target_caption)
    undefined = {
        "empty_edit_mask": differences[:, 3] == 0,
        "not_finite": np.array([reason is not None for reason in scores.reasons]),
    }
    return Scores.of(100.0 * scores.values, undefined)


def clip_image_similarity(edited_image: Vectors, source_image: Vectors) -> Scores:
    """Cosine of the edited and the source image, in [−1, 1]; an edit that changes nothing has 1."""
    return cosine_scores(edited_image, source_image)


def clip_reference_similarity(edited_image: Vectors, reference_image: Vectors) -> Scores:
    """Cosine of the edited image and the ground-truth edit, in [−1, 1]."""
    return cosine_scores(edited_image, reference_image)


def clip_directional_similarity(
    edited_image: Vectors,
    source_image: Vectors,
    target_caption: Vectors,
    source_caption: Vectors,
    *,
    resolution: float,
) -> Scores:
    """Whether the image changed in the direction in which the text did, in [−1, 1].

    ``cos(E(edited) − E(source), E(target caption) − E(source caption))``, each of the four L2-normalised before the
    differences.

    Args:
        edited_image: ``(n, d)``.
        source_image: ``(n, d)``.
        target_caption: ``(n, d)``, or ``(n, templates, d)`` to average the text direction over templates.
        source_caption: The same shape as ``target_caption``.
        resolution: A difference of unit vectors no longer than this is the encoder's rounding and not a direction.

    >>> e = np.eye(3)
    >>> clip_directional_similarity(e[1:2], e[:1], e[1:2], e[:1], resolution=1e-5).values.round(9)
    array([1.])
    >>> clip_directional_similarity(e[:1], e[:1], e[1:2], e[:1], resolution=1e-5).reasons
    ('equal_images',)
    """
    images = unit_vectors(edited_image) - unit_vectors(source_image)
    texts = unit_vectors(target_caption) - unit_vectors(source_caption)
    if texts.ndim == 3:
        texts = texts.mean(axis=1)
    image_length, text_length = np.linalg.norm(images, axis=-1), np.linalg.norm(texts, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.clip(np.einsum("nd,nd->n", images, texts) / (image_length * text_length), -1.0, 1.0)
    undefined = {
        "not_finite": ~np.isfinite(image_length + text_length),
        "equal_captions": text_length <= resolution,
        "equal_images": image_length <= resolution,
    }
    return Scores.of(values, undefined)


def clip_directional_similarity_loss(
    edited_image: Vectors,
    source_image: Vectors,
    target_caption: Vectors,
    source_caption: Vectors,
    *,
    resolution: float,
) -> Scores:
    """``1 −`` :func:`clip_directional_similarity`, in [0, 2]: the loss that StyleGAN-NADA minimises."""
    scores = clip_directional_similarity(
        edited_image, source_image, target_caption, source_caption, resolution=resolution
    )
    return Scores(values=1.0 - scores.values, reasons=scores.reasons)


def cosine_scores(one: Vectors, other: Vectors) -> Scores:
    """Cosine of the vectors of each item, in [−1, 1]."""
    values = np.clip(np.einsum("nd,nd->n", unit_vectors(one), unit_vectors(other)), -1.0, 1.0)
    return Scores.of(values, {"not_finite": ~np.isfinite(values)})


def unit_vectors(vectors: Vectors) -> Floats:
    """The vectors with length one; NaN for one that is zero or not finite, for the caller to give a reason."""
    wide: Floats = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    usable: npt.NDArray[np.bool_] = np.isfinite(length) & (length > 0)
    units: Floats = np.divide(wide, length, out=np.full_like(wide, np.nan), where=usable)
    return units


def vector_features(*fields: str, encoder: str = "clip", template: str = "none") -> dict[str, Feature]:
    """Fields of an item through an encoder, captions in a template, each under its own name."""
    templates = {name: template if name.endswith("_caption") else "none" for name in fields}
    return {name: VectorFeature(field=name, encoder=encoder, template=templates[name]) for name in fields}


_IMAGE_TEXT = vector_features("edited_image", "target_caption")
_EDITED_PART = {
    **_IMAGE_TEXT,
    "edited_image": VectorFeature(field="edited_image", masked=True),
    **BACKGROUND_DIFFERENCES,
}
_FOUR = ("edited_image", "source_image", "target_caption", "source_caption")
_COSINE: Scale = (-1.0, 1.0, "up", 0.0)
_SURVEY = "Cruz Cáceres 2023, "
_NADA = "Gal et al., StyleGAN-NADA, 2022, eq. 2"

# fmt: off
METRICS = (
    define_metric("clip_score", "max(cos(edited image, target caption), 0) per item", clip_score, _IMAGE_TEXT,
        (0.0, 1.0, "up", 0.0), _SURVEY + "eq. 1; Hessel et al. 2021 without weight and prefix", "alignment"),
    define_metric("clip_score:hessel",
        '2.5 · max(cos(edited image, target caption), 0) with the prefix "A photo depicts"', clip_score_hessel,
        vector_features("edited_image", "target_caption", template="photo_depicts"), (0.0, HESSEL_WEIGHT, "up", 0.0),
        "Hessel et al., CLIPScore, EMNLP 2021, eq. 1 (with ViT-B/32)", "alignment"),
    define_metric("clip_score:torchmetrics",
        "100 · cos(edited image, target caption), clamped at 0 after the mean, as torchmetrics does",
        clip_score_torchmetrics, _IMAGE_TEXT, (-100.0, 100.0, "up", 0.0), "torchmetrics.multimodal.CLIPScore",
        "alignment", summarize="clamped_mean"),
    define_metric("clip_score:cosine", "cos(edited image, target caption), not clamped", clip_score_cosine, _IMAGE_TEXT,
        _COSINE, "Zhang et al., MagicBrush, NeurIPS 2023 (CLIP-T)", "alignment"),
    define_metric("clip_score:pie_bench",
        "100 · max(cos, 0) per item, of the edited part, all else blackened, and the target caption",
        clip_score_pie_bench, _EDITED_PART, (0.0, 100.0, "up", 0.0),
        "Ju et al., PnP Inversion, ICLR 2024, CLIP similarity of the edited part (with ViT-L/14)", "alignment",
        version=2),
    define_metric("clip_directional_similarity", "cos(edited − source image, target − source caption)",
        clip_directional_similarity, vector_features(*_FOUR), _COSINE, _SURVEY + "eq. 2 as a similarity; " + _NADA,
        "alignment", needs_resolution=True),
    define_metric("clip_directional_similarity:loss", "1 − clip_directional_similarity",
        clip_directional_similarity_loss, vector_features(*_FOUR), (0.0, 2.0, "down", 1.0), _SURVEY + "eq. 2; " + _NADA,
        "alignment", needs_resolution=True),
    define_metric("clip_directional_similarity:templates",
        "cos(edited − source image, target − source caption), the latter averaged over 79 prompt templates",
        clip_directional_similarity, vector_features(*_FOUR, template="imagenet79"), _COSINE,
        _NADA + " and its prompt ensemble", "alignment", needs_resolution=True),
    define_metric("clip_image_similarity", "cos(edited image, source image)", clip_image_similarity,
        vector_features("edited_image", "source_image"), _COSINE,
        "Brooks et al., InstructPix2Pix, CVPR 2023, sec. 4.2"),
    define_metric("clip_reference_similarity", "cos(edited image, reference image)", clip_reference_similarity,
        vector_features("edited_image", "reference_image"), _COSINE, "Zhang et al., MagicBrush, NeurIPS 2023 (CLIP-I)",
        "alignment"),
)
# fmt: on
