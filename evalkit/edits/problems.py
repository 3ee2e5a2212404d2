"""Every rule that a folder can break, by its code."""

import os
from pathlib import Path
from typing import Literal

from evalkit.edits.item import Problem
from evalkit.images.stored import AnyImage, StoredImage

Severity = Literal["problem", "notice"]

PROBLEMS = {
    # The folder
    "ambiguous_name": "a file name that fits several items equally well",
    "broken_link": "a symbolic link to nothing",
    "duplicate_item": "several files for one item and seed; none is taken",
    "missing_named_file": "a source, reference or mask that a table names and that is not there",
    "missing_edited_image": "an expected item without a file",
    "other_benchmark": "data of a benchmark that are not as its card says",
    "failed_edit": "the method reported that it could not make this edit",
    "symlink_outside_folder": "a symbolic link that leads out of the folder; it is not followed",
    "unknown_item": "a line of the manifest whose item the benchmark does not have",
    "unmatched_file": "an image that is no item's",
    "unreadable_folder": "a sub-folder that cannot be listed",
    "unreadable_name": "a file or folder whose name is not UTF-8; it is not looked at",
    # The images
    "duplicate_output": "the same file for two items that ask for different things",
    "edited_equals_source": "an edited image with the very pixels of its source",
    "repeated_seed": "the same file for two seeds of one item",
    "other_aspect": "images that are held against each other and differ in aspect ratio; neither is stretched",
    "tiny_image": "an image too small to judge",
    "unreadable_image": "a file that is damaged, no image, or larger than what is decoded",
    # The run
    "changed_while_scored": "a file that was written, added or removed meanwhile: the scores are of what was read",
    "cache_unavailable": "the embedding cache cannot be used; the run goes on without, and keeps nothing",
    "nothing_measured": "no metric has a value for any item",
    "judge_failed": "answers of a judge that could not be had",
    "unread_answer": "answers of a judge without scores, whose words are kept",
    "judge_changed": "answers of several models, as the server names them, in one run",
    # The texts
    "empty_caption": "a caption without a word",
    "equal_captions": "a source caption that equals the target caption, so that there is no direction between them",
}
"""What is wrong: the numbers are affected, or a file does not count."""

NOTICES = {
    "animated_image": "an animation, of which the first frame is used",
    "caption_differs": "a target caption other than the benchmark's, or that of the item's first edit, which is used",
    "colour_profile": "an ICC profile that was converted to sRGB, or could not be used",
    "control_edits": "what a control does on purpose, and would be a problem in a method's edits",
    "cut_caption": "a caption of more tokens than the encoder reads, of which it does not see the end",
    "deep_image": "more than 8 bits per channel, scaled to 8",
    "guessed": "what you did not say, and evalkit took from names and contents",
    "indistinct_captions": "captions that differ only in what the encoder does not read, and are one to it",
    "long_caption": "a caption that most text encoders would cut, as far as can be told without one",
    "metrics_chosen": "usual metrics that were left out, as no item has what they need",
    "missing_source_caption": "items without a source caption; metrics that need one are undefined",
    "missing_source_image": "items whose source image is not known; metrics that need one are undefined",
    "missing_target_caption": "items without a target caption; metrics that need one are undefined",
    "other_file": "a file that is no image",
    "replaced_metrics": "metrics of an earlier run of the folder, which could not be kept beside those of this one",
    "rotated_image": "an image that EXIF turns, and so do we",
    "size_differs": "an edited image of another size than its source, to which metrics of pixels resize it",
    "strip_of_images": "a strip of panels, as the benchmark's own scripts write it, of which the last is used",
    "suffix_mismatch": "a suffix that promises another format than the file holds; the content counts",
    "unknown_benchmark": "a manifest of a benchmark that is not known here; its own texts and images are used",
    "transparent_image": "transparent pixels, composited on white",
    "unneeded_encoder": "an encoder that was named, and that no chosen metric goes through",
}
"""What is worth knowing: handled by a documented rule."""


BY_SCORE_ALONE = frozenset(
    {"cache_unavailable", "changed_while_scored", "cut_caption", "indistinct_captions", "metrics_chosen"}
    | {"nothing_measured", "replaced_metrics", "unneeded_encoder", "judge_failed", "unread_answer", "judge_changed"}
)
"""What only a run can know: its cache, its metrics, what an encoder's tokenizer reads, and what changed meanwhile."""
BY_CHECK_ALONE = frozenset({"long_caption"})
"""What ``check`` estimates, and a run counts. Whatever else the two say of a folder is the same, word for word."""


def severity_of(code: str) -> Severity:
    """What stands under a code: a problem, or what is only worth knowing (:data:`NOTICES`)."""
    return "notice" if code in NOTICES else "problem"


def is_notice(problem: Problem) -> bool:
    """Whether a problem is only worth knowing: :data:`NOTICES`."""
    return severity_of(problem.code) == "notice"


def shown(path: AnyImage, root: Path) -> str:
    """A file of a folder as it reads in messages: relative, with forward slashes, whatever bytes its name holds."""
    if isinstance(path, StoredImage):
        return path.within(root)
    relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return os.fsencode(relative).decode("utf-8", "backslashreplace")
