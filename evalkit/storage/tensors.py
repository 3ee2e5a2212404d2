"""What methods optimise (embeddings, tuned weights), kept on disk where the user wants it, and used again."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from evalkit.storage.atomic import atomic_write

if TYPE_CHECKING:
    import torch

ARTEFACT_SUFFIX = ".safetensors"
Tensors = dict[str, "torch.Tensor"]
_MADE_OF = "made_of"


def kept(directory: Path | None, made_of: Mapping[str, Any], make: Callable[[], Tensors]) -> Tensors:
    """The tensors that were made of the same things before; else they are made, and kept.

    Args:
        directory: One safetensors file for each artefact; None: nothing is read or written.
        made_of: Everything that the tensors follow from, as JSON has it; pictures stand for their pixels.
        make: Makes them.

    Returns:
        By name; on the CPU where they come from a file. A file that is damaged counts as none.

    Raises:
        OSError: The directory cannot be written.
    """
    if directory is None:
        return make()
    description = json.dumps({name: _plain(value) for name, value in made_of.items()}, sort_keys=True)
    path = directory / (hashlib.sha256(description.encode()).hexdigest()[:24] + ARTEFACT_SUFFIX)
    found = _read(path, description)
    if found is None:
        found = make()
        _write(path, description, found)
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - what JSON can hold
    if isinstance(value, Image.Image):
        return f"{value.mode} {value.size} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return value


def _read(path: Path, description: str) -> Tensors | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get(_MADE_OF) != description:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (FileNotFoundError, SafetensorError):
        return None


def _write(path: Path, description: str, tensors: Tensors) -> None:
    from safetensors.torch import save_file

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(whole, temporary, metadata={_MADE_OF: description})
