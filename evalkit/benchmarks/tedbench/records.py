"""TEdBench's metadata as committed beside this file, without any image.

``items.jsonl`` has one line per edit, in the order of upstream's ``input_list.json``; ``sources.jsonl`` one per
photograph. Both carry the SHA-256 of the official files.
"""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import quote

REPOSITORY = "https://github.com/imagic-editing/imagic-editing.github.io"
COMMIT = "e711b1e515d4f1e297eecd031e55c4d0070cb41c"
"""The revision of the authors' repository that all digests belong to."""
TEDBENCH_URL = f"https://raw.githubusercontent.com/imagic-editing/imagic-editing.github.io/{COMMIT}/tedbench"
"""Where its folders ``originals`` and ``imagic`` are served."""
INPUT_LIST_SHA256 = "eb35aab9eb19b7926e1b9425d078be66a1696e583f0d5e2db6de66bcf7bc94d0"
"""Of upstream's ``input_list.json``, from which file names and target captions are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One photograph of TEdBench: the file, by name, size and digest, and its caption."""

    file_name: str
    sha256: str
    n_bytes: int
    caption: str
    """Ours: what the photograph shows, as far as its edits change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRow:
    """One edit of TEdBench: what its authors published of it, and what evalkit adds."""

    item_id: str
    """The photograph's stem and the target caption as a slug; never changes."""
    index: int
    """Position in upstream's ``input_list.json``, from 0."""
    source: str
    """File name of the photograph."""
    target_caption: str
    """Upstream's, to the letter."""
    instruction: str
    """Ours: the same edit as an order."""
    edit_type: str
    """Ours."""
    imagic_sha256: str
    """Of the published Imagic result, whose file name is :func:`official_name`."""


@functools.cache
def rows() -> tuple[EditRow, ...]:
    """The 100 edits, in upstream's order."""
    return tuple(EditRow(**line) for line in _lines("items.jsonl"))


@functools.cache
def sources() -> tuple[SourceRow, ...]:
    """The 40 photographs, by file name."""
    return tuple(SourceRow(**line) for line in _lines("sources.jsonl"))


def official_name(source: str, target_caption: str) -> str:
    """The file name that the authors give an edited image.

    Example:
        >>> official_name("egg_tree.jpeg", "A cracked egg.")
        'egg_tree.jpeg-A_cracked_egg.png'
    """
    return f"{source}-{target_caption.removesuffix('.').replace(' ', '_')}.png"


def source_url(file_name: str) -> str:
    """Where a photograph is served at the pinned revision."""
    return f"{TEDBENCH_URL}/originals/{quote(file_name)}"


def _lines(name: str) -> list[dict[str, Any]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
