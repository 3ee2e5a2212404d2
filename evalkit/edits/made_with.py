"""How a folder's edits were made, as its recipe says it: what tells runs of one method apart."""

import json
from pathlib import Path

from evalkit.edits.manifest import RECIPE_NAME
from evalkit.storage.documents import read_json

_FACTS = ("variant", "model", "revision", "dtype", "seeds")
_LIBRARIES = frozenset({"torch", "diffusers", "transformers"})


def made_with(folder: Path) -> dict[str, str]:
    """Settings, base model, seeds and the version of what made a folder's edits; empty where nobody says it."""
    try:
        recipe = read_json(folder / RECIPE_NAME)
    except (OSError, ValueError):  # none, or somebody else's file of that name
        return {}
    if not isinstance(recipe, dict):
        return {}
    settings, versions = (of if isinstance(of := recipe.get(key), dict) else {} for key in ("settings", "versions"))
    version = ", ".join(f"{name} {number}" for name, number in versions.items() if name not in _LIBRARIES)
    known = {**settings, **{name: recipe.get(name) for name in _FACTS}, "version": version or None}
    return {
        name: text if isinstance(text, str) else json.dumps(text) for name, text in known.items() if text is not None
    }
