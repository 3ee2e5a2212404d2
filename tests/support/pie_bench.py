"""A small folder in PIE-Bench's published layout, drawn here."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDERS = ("0_random_140", "1_change_object_80/1_artificial/1_animal", "9_change_style_80/2_natural/4_outdoor")
EDITS = (
    ("a [red] ball on grass", "a [blue] ball on grass", "make the ball blue", "0", [512 * 100 + 100, 50]),
    ("a cat", "a [dog]", "turn the cat into a dog", "1", [0, 512 * 512]),
    ("a photo of a hill", "a [watercolor] of a hill", "make it a watercolor", "9", [1000, 3, 2000, 4]),
    ("the same hill", "the same hill [in snow]", "make it snow", "9", [513, 510]),
)
"""Source prompt, target prompt, instruction, type, mask."""


def image_path(number: int) -> str:
    """Where the image of an edit lies below ``annotation_images``."""
    return f"{FOLDERS[min(number, 2)]}/{number:012}.jpg"


def picture(seed: int, size: tuple[int, int] = (512, 512)) -> Image.Image:
    """A smooth picture that only the seed decides."""
    colours = np.random.default_rng(seed).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


def write_copy(root: Path, size: tuple[int, int] = (512, 512)) -> Path:
    """Writes a benchmark of four edits; the last two share their image's bytes."""
    mapping = {}
    for number, (source, target, instruction, kind, mask) in enumerate(EDITS):
        path = root / "annotation_images" / image_path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(min(number, 2), size).save(path, quality=95)
        mapping[f"{number:012}"] = {
            "image_path": image_path(number),
            "original_prompt": source,
            "editing_prompt": target,
            "editing_instruction": instruction,
            "editing_type_id": kind,
            "blended_word": "ball ball",
            "mask": mask,
        }
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    return root


def write_outputs(root: Path, *, strips: bool = False, size: tuple[int, int] = (512, 512)) -> Path:
    """Writes a method's edits where the authors' scripts write them, as single images or in strips of four."""
    for number in range(len(EDITS)):
        path = root / "annotation_images" / image_path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        edit = picture(100 + number, size)
        if strips:
            strip = Image.new("RGB", (4 * size[0], size[1]))
            strip.paste(edit, (3 * size[0], 0))
            edit = strip
        edit.save(path, quality=95)
    return root
