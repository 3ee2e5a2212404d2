"""Checkpoints that torch will not read as tensors alone, refused without its advice to read them all the same."""

import pickle
from collections.abc import Iterator
from pathlib import Path

from evalkit.errors import WeightsError


def refuse_pickled(failure: BaseException, place: Path | str) -> None:
    """Raises the one sentence for a checkpoint that is more than tensors, if that is what a library failed on.

    Args:
        failure: What the library raised while it read weights with ``torch.load(…, weights_only=True)``.
        place: What was to be read, to be named where the failure does not say which file it was.

    Raises:
        WeightsError: torch refused a file.
    """
    for error in _chain(failure):
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
            raise WeightsError(
                f"{_file_of(error) or place} is not read: it is damaged, or holds more than tensors, which could run "
                f"code; where you trust it, save its tensors as safetensors instead: safetensors.torch.save_file"
            ) from None  # what torch says advises to trust the file


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """The failure, and what it comes from."""
    error: BaseException | None = failure
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _file_of(error: BaseException) -> str | None:
    """The file that was given to ``torch.load``, whose first parameter is called ``f``."""
    step, file = error.__traceback__, None
    while step is not None:
        frame = step.tb_frame
        if frame.f_globals.get("__name__") == "torch.serialization" and frame.f_code.co_name == "load":
            file = frame.f_locals.get("f")
        step = step.tb_next
    path = file if isinstance(file, Path) else getattr(file, "name", file)
    return str(path) if isinstance(path, str | Path) else None
