"""TEdBench: 100 edits of 40 photographs, published with Imagic (Kawar et al., CVPR 2023, arXiv 2210.09276).

The photographs and the target captions are the authors'. Item ids, source captions, instructions and edit types are
this project's, written by looking at each photograph; how is told in :mod:`evalkit.benchmarks.tedbench.records`.
"""

from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.tedbench.files import locate, locate_imagic
from evalkit.benchmarks.tedbench.records import (
    COMMIT,
    REPOSITORY,
    EditRow,
    SourceRow,
    official_name,
    rows,
    source_url,
    sources,
)
from evalkit.edits.item import EditItem

EDIT_TYPES = {
    "pose": "The subject takes another posture, gesture, gaze or orientation, one that it could hold still.",
    "action": "The subject does something, alone or to another, that it does not do in the source.",
    "add_object": "Something is added that was not there: a thing, a person, a garment, a topping.",
    "replace_object": "A thing gives way to a thing of another kind in its place.",
    "attribute": "The subject stays what it is; its state, proportions, colour, marking or trim changes.",
    "scene": "The surroundings change: the place, its season, era or condition, or how full it is.",
    "spatial": "The same things stand in another relation to one another or to the camera.",
}
"""An item that asks for several has the type of what its target caption names first."""

NOTES = (
    f"Photographs and target captions are those of the authors' repository at revision `{COMMIT}`. Item ids, source "
    "captions, instructions and edit types were written for evalkit by looking at each photograph.",
    "`bird.png` has the same bytes as `bird.jpeg` (both are JPEG): the two are one group.",
    "Target captions are upstream's to the letter, misspellings included (`enterance`, `convertable`, `greetting`).",
    "`elephant.jpeg` already shows a standing elephant and `red_car.jpeg` a convertible with its roof up: the targets "
    "`A standing elephant.` and `A convertable car.` leave open what is wanted.",
    "A source caption begins as most targets of its photograph do, and names the subject and, where most of them "
    "change it, its state, number or relation; so what differs between the two captions is the edit.",
    "An item that asks for several changes has the edit type of what its target caption names first.",
    "The published Imagic results are one method's output, not ground truth, and are not part of this data set.",
    "The authors' own copy on the Hub is `bahjat-kawar/tedbench`; it calls its split `val`.",
)

CITATION = """\
@inproceedings{kawar2023imagic,
  title     = {Imagic: Text-Based Real Image Editing with Diffusion Models},
  author    = {Kawar, Bahjat and Zada, Shiran and Lang, Oran and Tov, Omer and Chang, Huiwen and Dekel, Tali and
               Mosseri, Inbar and Irani, Michal},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2023},
  eprint    = {2210.09276},
  archivePrefix = {arXiv}
}
"""


def tedbench() -> Benchmark:
    """The benchmark; no image is needed to make it.

    Example:
        >>> benchmark = tedbench()
        >>> len(benchmark.items), benchmark.n_groups
        (100, 39)
        >>> benchmark.items[0].item_id
        'dog2_standing-sitting_dog'
    """
    by_name = {source.file_name: source for source in sources()}
    groups = _groups(sources())
    return Benchmark(
        name="tedbench",
        title="TEdBench",
        version="1",
        description=(
            "The Textual Editing Benchmark: complex non-rigid edits of real photographs, each a photograph and a text "
            "that describes the wanted result."
        ),
        homepage=REPOSITORY,
        licence=(
            "Unknown for the photographs and the target captions: the authors' repository states no licence. "
            "The item ids, source captions, instructions and edit types are evalkit's, under Apache-2.0."
        ),
        citation=CITATION,
        notes=NOTES,
        default_encoder="open_clip:ViT-B-32-quickgelu/openai",
        default_metrics=("clip_score", "clip_directional_similarity", "clip_image_similarity"),
        edit_types=EDIT_TYPES,
        items=tuple(_item(row, by_name[row.source], groups[row.source]) for row in rows()),
        locate=locate,
        edited_names={row.item_id: official_name(row.source, row.target_caption) for row in rows()},
        published={"imagic_published": locate_imagic},
        source_urls={name: source_url(name) for name in by_name},
    )


def _groups(files: tuple[SourceRow, ...]) -> dict[str, str]:
    """Each file's group: the name of the first file with the same bytes."""
    first: dict[str, str] = {}
    return {source.file_name: first.setdefault(source.sha256, source.file_name) for source in files}


def _item(row: EditRow, source: SourceRow, group: str) -> EditItem:
    return EditItem(
        item_id=row.item_id,
        target_caption=row.target_caption,
        source_caption=source.caption,
        instruction=row.instruction,
        edit_type=row.edit_type,
        group=group,
        source_image=Path(source.file_name),
    )


__all__ = ["COMMIT", "EDIT_TYPES", "tedbench"]
