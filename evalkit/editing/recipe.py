"""``method.json``: how the edits of a folder are made, and the guard against mixing two ways in one folder."""

import json
import shlex
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.editing.method import METHODS, MINIATURES, Adapter, MethodCard, MethodRun
from evalkit.edits.asked import ASKED, Asked, ItemSeed, as_record, asked_of, edits_in, together
from evalkit.edits.manifest import RECIPE_NAME
from evalkit.errors import OptionError, RunError
from evalkit.storage.atomic import atomic_write
from evalkit.storage.documents import read_json

_SAME = ("method", "model", "revision", "settings", "dtype", "benchmark")
"""What all edits of one folder have in common."""
_LIBRARIES = ("torch", "diffusers", "transformers")
Recipe = dict[str, Any]
"""Card, settings, base model, what was asked for, versions."""


def recipe_of(
    method: type[Adapter[Any]], card: MethodCard, run: MethodRun, benchmark: str | None, asked: Asked
) -> Recipe:
    """Everything that a run's edits follow from, and which they are."""
    return {
        "method": card.name,
        "title": card.title,
        "paper": card.paper,
        "variant": card.variant,
        "model": run.model,
        "revision": run.revision,
        "miniature": run.model in MINIATURES,
        "settings": dict(run.settings),
        "dtype": run.dtype,
        "device": run.device,
        "benchmark": benchmark,
        "seeds": _seeds(asked),
        ASKED: as_record(asked),
        "versions": {
            "evalkit": __version__,
            **_provider(method),
            **{name: metadata.version(name) for name in _LIBRARIES},
        },
    }


def _provider(method: type[Adapter[Any]]) -> dict[str, str]:
    """The distribution that the method comes from, with its version; a package may register what its modules define."""

    def is_registered_by(point: metadata.EntryPoint) -> bool:
        return point.attr == method.__qualname__ and f"{method.__module__}.".startswith(f"{point.module}.")

    points = (point for point in metadata.entry_points(group=METHODS.group) if is_registered_by(point))
    return {point.dist.name: point.dist.version for point in points if point.dist}


def require_same(output: Path, recipe: Recipe, card: MethodCard, earlier: Iterable[ItemSeed]) -> Recipe:
    """The recipe with what was asked for before.

    Args:
        output: The folder.
        recipe: Of this run.
        card: Of its method.
        earlier: The edits that the folder knows of, which are all that was asked for where its recipe does not say it.

    Raises:
        OptionError: They were made in another way, or by something else.
        RunError: The folder's own recipe cannot be read.
    """
    path = output / RECIPE_NAME
    if not path.exists():
        raise OptionError(
            f"{output} already holds edits that evalkit edit did not make. Choose another folder: {_another(output)}"
        )
    before = _read(path)
    for name in _SAME:
        if _shaping(before, name, card) != _shaping(recipe, name, card):
            raise OptionError(
                f"{path} says that this folder was made with {name} {json.dumps(before.get(name))}, and this run "
                f"has {json.dumps(recipe[name])}. One folder holds one method's edits. Choose another: "
                f"{_another(output)}"
            )
    asked = together([*edits_in(asked_of(before) or together(earlier)), *edits_in(asked_of(recipe) or {})])
    return recipe | {"seeds": _seeds(asked), ASKED: as_record(asked)}


def _seeds(asked: Asked) -> list[int]:
    return sorted({seed for _, seed in edits_in(asked) if seed is not None})


def _shaping(recipe: Recipe, name: str, card: MethodCard) -> Any:  # noqa: ANN401 - whatever the file holds
    """A fact of a recipe as far as edits depend on it."""
    value = recipe.get(name)
    if name != "settings" or not isinstance(value, dict):
        return value
    free = {key for key, setting in card.settings.items() if not setting.shapes_edits}
    return {key: setting for key, setting in value.items() if key not in free}


def write_recipe(output: Path, recipe: Recipe) -> None:
    """Writes the folder's recipe in one step.

    Raises:
        OSError: The folder cannot be written.
    """
    with atomic_write(output / RECIPE_NAME) as temporary:
        temporary.write_text(json.dumps(recipe, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _another(output: Path) -> str:
    """The option that names a folder which is not there yet."""
    names = (output.with_name(f"{output.name}-{number}") for number in range(2, 1000))
    return f"--output {shlex.quote(str(next((name for name in names if not name.exists()), output / 'more')))}"


def _read(path: Path) -> Recipe:
    try:
        recipe = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}). Move the folder away and edit again.") from error
    if not isinstance(recipe, dict):
        raise RunError(f"{path} must hold one JSON object. Move the folder away and edit again.")
    return recipe
