"""PIE-Bench: 700 edits of as many images (Ju et al., *PnP Inversion*, ICLR 2024, arXiv 2310.01506).

Its authors hand it out themselves and nothing of it is part of evalkit, the list of edits included: the items are read
from the user's copy.
"""

from dataclasses import replace
from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.pie_bench.files import digest_of, locate, read_items
from evalkit.benchmarks.pie_bench.strips import edited_image

VERSION = "v1"
EDIT_TYPES = {
    "random": "A prompt written by volunteers or taken from earlier work.",
    "change_object": "An object gives way to another.",
    "add_object": "An object is added.",
    "delete_object": "An object is taken away.",
    "change_content": "An attribute's content changes, such as the expression of a face.",
    "change_pose": "The pose of something changes.",
    "change_color": "The colour of something changes.",
    "change_material": "The material of something changes.",
    "change_background": "The background changes.",
    "change_style": "The style of the whole image changes.",
}
"""In the order of the published numbers, 0 to 9."""

NOTES = (
    "Images, prompts and masks are the authors', who hand them out through a form on the page of their repository; "
    "none of them is part of evalkit.",
    "The prompts mark what differs with brackets; the captions here are without them, as in the authors' evaluation.",
    "Masks are given as runs of pixels of a grid of 512 × 512. One pixel along each side always may change: the "
    "authors add it against slips at the border.",
    "Where a mask covers the whole image there is no background, and background metrics are undefined there: means of "
    "different columns are over different items.",
)

CITATION = """\
@inproceedings{ju2024pnp,
  title     = {{PnP} Inversion: Boosting Diffusion-based Editing with 3 Lines of Code},
  author    = {Ju, Xuan and Zeng, Ailing and Bian, Yuxuan and Liu, Shaoteng and Xu, Qiang},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2024},
  eprint    = {2310.01506},
  archivePrefix = {arXiv}
}
"""


def pie_bench() -> Benchmark:
    """The benchmark, without items until a copy is opened.

    Example:
        >>> benchmark = pie_bench()
        >>> len(benchmark.edit_types), benchmark.items
        (10, ())
    """
    return Benchmark(
        name="pie_bench",
        title="PIE-Bench",
        version=VERSION,
        description=(
            "The Prompt-driven Image Editing Benchmark: 700 photographs and paintings with ten types of edits, each "
            "with captions before and after, an instruction and a mask of what may change."
        ),
        homepage="https://github.com/cure-lab/PnPInversion",
        licence=(
            "Unknown: the authors' repository states no licence for images, prompts or masks, which they hand out on "
            "request."
        ),
        citation=CITATION,
        notes=NOTES,
        default_encoder="open_clip:ViT-B-32-quickgelu/openai",
        default_metrics=("clip_score", "clip_directional_similarity", "clip_image_similarity"),
        edit_types=EDIT_TYPES,
        items=(),
        stated_items=700,
        locate=locate,
        read=_opened,
        edited_image=edited_image,
    )


def _opened(root: Path) -> Benchmark:
    """The benchmark with the items of a copy, whose digest becomes a part of the version."""
    items = read_items(root, tuple(EDIT_TYPES))
    names = {item.item_id: item.source_image.name for item in items if item.source_image}
    return replace(pie_bench(), items=items, edited_names=names, version=f"{VERSION}@{digest_of(root)[:12]}")


__all__ = ["EDIT_TYPES", "VERSION", "pie_bench"]
