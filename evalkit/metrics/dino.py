"""Preservation as DINO sees it: of what is in the image, and of its structure."""

from evalkit.metrics.base import Feature, Metric, PairFeature, Scores, Vectors
from evalkit.metrics.clip import cosine_scores

LARGEST_DISTANCE = 2.0
"""Self-similarities are positive semi-definite with a diagonal of ones, so that the mean of their product is never
negative, and their mean squared difference at most that of two of them with entries ±1."""


def dino_image_similarity(edited_image: Vectors, source_image: Vectors) -> Scores:
    """Cosine of the class tokens of the edited and the source image, in [−1, 1].

    Args:
        edited_image: ``(n, d)``.
        source_image: ``(n, d)``.
    """
    return cosine_scores(edited_image, source_image)


def structure_distance(distance: Vectors) -> Scores:
    """Mean squared difference of the key self-similarities of both images, in [0, 2].

    Args:
        distance: ``(n, 1)``, as the encoder gives it.
    """
    return Scores.of(distance[:, 0])


def _image_features(encoder: str) -> dict[str, Feature]:
    return {name: Feature(field=name, encoder=encoder) for name in ("edited_image", "source_image")}


DINO_IMAGE_SIMILARITY = Metric(
    name="dino_image_similarity",
    summary="cos(edited image, source image), class token of DINO ViT-S/16",
    reference="Ruiz et al., DreamBooth, CVPR 2023 (DINO); Caron et al., DINO, ICCV 2021",
    family="preservation",
    higher_is_better=True,
    lowest=-1.0,
    highest=1.0,
    features=_image_features("dino"),
    function=dino_image_similarity,
)
DINO_IMAGE_SIMILARITY_DINOV2 = Metric(
    name="dino_image_similarity:dinov2",
    summary="the same with DINOv2 ViT-B/14",
    reference="Oquab et al., DINOv2, TMLR 2024",
    family="preservation",
    higher_is_better=True,
    lowest=-1.0,
    highest=1.0,
    features=_image_features("dinov2"),
    function=dino_image_similarity,
)
STRUCTURE_DISTANCE = Metric(
    name="structure_distance",
    summary="mean squared difference of the self-similarities of the last keys of DINO ViT-B/8",
    reference="Tumanyan et al., Splicing ViT Features, CVPR 2022, eq. 4 and 5",
    family="preservation",
    higher_is_better=False,
    lowest=0.0,
    highest=LARGEST_DISTANCE,
    features={"distance": PairFeature(encoder="dino_structure")},
    function=structure_distance,
)
STRUCTURE_DISTANCE_PIE_BENCH = Metric(
    name="structure_distance:pie_bench",
    summary="the same with PIE-Bench's pixels of 0 to 255, where 0 to 1 was meant",
    reference="Ju et al., PnP Inversion, ICLR 2024, as PIE-Bench's scripts compute it",
    family="preservation",
    higher_is_better=False,
    lowest=0.0,
    highest=LARGEST_DISTANCE,
    features={"distance": PairFeature(encoder="dino_structure_pie_bench")},
    function=structure_distance,
)
