"""The miniature backend: the small CLIP that comes with evalkit and understands the shapes benchmark."""

from pathlib import Path

from evalkit.encoders.base import DType, LoadedEncoder
from evalkit.encoders.transformers import load_directory
from evalkit.errors import UnknownNameError, WeightsError

DIRECTORY = Path(__file__).parent / "miniature_clip"


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """The CLIP that comes with evalkit: for the shapes benchmark and dry runs, not for photographs."""
    if argument:
        raise UnknownNameError(
            f"There is one miniature encoder, without variants; got ':{argument}'. --encoder miniature"
        )
    if not DIRECTORY.is_dir():
        raise WeightsError(
            f"The miniature encoder's files are not in {DIRECTORY}: this installation is incomplete. "
            f"pip install --force-reinstall --no-deps evalkit-editing"
        )
    return load_directory(DIRECTORY, name="miniature/clip", device=device, dtype=dtype)
