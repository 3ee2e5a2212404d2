"""What a folder was asked to hold: the edits that ``evalkit edit`` was to make, as its recipe remembers them.

A run of the first six items of a benchmark does not miss the others. What it was to make and has not made is missing.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evalkit.edits.manifest import RECIPE_NAME
from evalkit.storage.documents import read_json

Seed = int | None
"""None for an edit that no seed was drawn for."""
ItemSeed = tuple[str, Seed]
"""An edit, by its item and seed."""
Asked = Mapping[str, frozenset[Seed]]
"""Item to the seeds with which it was to be edited."""
ASKED = "asked"
"""Its name in the recipe, where items that were to be edited with the same seeds stand together."""


def read_asked(folder: Path) -> Asked | None:
    """What a folder was asked to hold; None where that is not known, and it should hold all that there is."""
    try:
        return asked_of(read_json(folder / RECIPE_NAME))
    except (OSError, ValueError):  # none, or somebody else's file of that name
        return None


def asked_of(recipe: object) -> Asked | None:
    """What a recipe says that was asked for; None where it says nothing."""
    blocks = recipe.get(ASKED) if isinstance(recipe, dict) else None
    if not isinstance(blocks, list) or not all(map(_is_block, blocks)):
        return None
    return together((item, seed) for block in blocks for item in block["items"] for seed in block["seeds"])


def together(edits: Iterable[ItemSeed]) -> Asked:
    """Edits, by item and seed, as what is asked for; items in the order in which they come first."""
    seeds: dict[str, set[Seed]] = {}
    for item, seed in edits:
        seeds.setdefault(item, set()).add(seed)
    return {item: frozenset(of_item) for item, of_item in seeds.items()}


def edits_in(asked: Asked) -> list[ItemSeed]:
    """What is asked for as items and seeds, the other way round."""
    return [(item, seed) for item, seeds in asked.items() for seed in seeds]


def as_record(asked: Asked) -> list[dict[str, Any]]:
    """What is asked for as it stands in a recipe."""
    blocks: dict[frozenset[Seed], list[str]] = {}
    for item, seeds in asked.items():
        blocks.setdefault(seeds, []).append(item)
    return [
        {"seeds": sorted(seeds, key=lambda seed: (seed is not None, seed or 0)), "items": items}
        for seeds, items in blocks.items()
    ]


def _is_block(block: object) -> bool:
    if not isinstance(block, dict):
        return False
    items, seeds = block.get("items"), block.get("seeds")
    return (
        isinstance(items, list)
        and isinstance(seeds, list)
        and all(isinstance(item, str) and item for item in items)
        and all(seed is None or type(seed) is int for seed in seeds)
    )
