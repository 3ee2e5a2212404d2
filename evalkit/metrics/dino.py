"""Preservation as DINO sees it: of what is in the image, by the cosine of class tokens, and of its structure."""

from evalkit.metrics.base import UNRELATED_SQUARE, Scale, Scores, Vectors, define_metric
from evalkit.metrics.clip import clip_image_similarity, clip_reference_similarity, vector_features
from evalkit.metrics.features import PairFeature

LARGEST_DISTANCE = 2.0
"""Self-similarities are positive semi-definite with a diagonal of ones, so that the mean of their product is never
negative, and their mean squared difference at most that of two of them with entries ±1."""


def structure_distance(distance: Vectors) -> Scores:
    """Mean squared difference of the key self-similarities of both images, in [0, 2].

    Args:
        distance: ``(n, 1)``, as the encoder gives it.
    """
    return Scores.of(distance[:, 0])


_COSINE: Scale = (-1.0, 1.0, "up", 0.0)
_DISTANCE: Scale = (0.0, LARGEST_DISTANCE, "down", UNRELATED_SQUARE)

# fmt: off
METRICS = (
    define_metric("dino_image_similarity", "cos(edited image, source image), class token of DINO ViT-S/16",
        clip_image_similarity, vector_features("edited_image", "source_image", encoder="dino"), _COSINE,
        "Ruiz et al., DreamBooth, CVPR 2023 (DINO); Caron et al., DINO, ICCV 2021"),
    define_metric("dino_image_similarity:dinov2", "cos(edited image, source image), class token of DINOv2 ViT-B/14",
        clip_image_similarity, vector_features("edited_image", "source_image", encoder="dinov2"), _COSINE,
        "Oquab et al., DINOv2, TMLR 2024"),
    define_metric("dino_reference_similarity", "cos(edited image, reference image), class token of DINO ViT-S/16",
        clip_reference_similarity, vector_features("edited_image", "reference_image", encoder="dino"), _COSINE,
        "Zhang et al., MagicBrush, NeurIPS 2023 (DINO); Caron et al., DINO, ICCV 2021", "alignment"),
    define_metric("structure_distance",
        "mean squared difference of the self-similarities of the last keys of DINO ViT-B/8", structure_distance,
        {"distance": PairFeature(encoder="dino_structure")}, _DISTANCE,
        "Tumanyan et al., Splicing ViT Features, CVPR 2022, eq. 4 and 5"),
    define_metric("structure_distance:pie_bench",
        "structure_distance with PIE-Bench's pixels of 0 to 255, where 0 to 1 was meant, resized without antialiasing",
        structure_distance,
        {"distance": PairFeature(encoder="dino_structure_pie_bench")}, _DISTANCE,
        "Ju et al., PnP Inversion, ICLR 2024, as PIE-Bench's scripts compute it"),
)
# fmt: on
