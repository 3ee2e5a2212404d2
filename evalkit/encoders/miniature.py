"""The miniature backend: the small CLIP that comes with evalkit and understands the shapes benchmark."""

from pathlib import Path

from evalkit.encoders.base import DType, LoadedEncoder
from evalkit.encoders.transformers import load_directory
from evalkit.errors import UnknownNameError, WeightsError

DIRECTORY = Path(__file__).parent / "miniature_clip"
DIRECTORIES = {"": DIRECTORY, "v2": DIRECTORY.with_name("miniature_clip_v2")}
"""By the version of the shapes world that each was trained on."""


def label(argument: str) -> str:
    """What signatures call it, before the digest of its weights.

    >>> label(""), label("v2")
    ('miniature/clip', 'miniature/clip_v2')
    """
    return f"miniature/clip{argument and f'_{argument}'}"


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """The CLIP that comes with evalkit: for the shapes benchmark and dry runs, not for photographs.

    ``miniature:v2`` has seen the second version of the world, whose captions leave things out.
    """
    if argument not in DIRECTORIES:
        raise UnknownNameError(
            f"The miniature encoder is called miniature or miniature:v2; got 'miniature:{argument}'. "
            f"--encoder miniature:v2"
        )
    directory = DIRECTORIES[argument]
    if not directory.is_dir():
        raise WeightsError(
            f"The miniature encoder's files are not in {directory}: this installation is incomplete. "
            f"pip install --force-reinstall --no-deps evalkit-editing"
        )
    return load_directory(directory, name=label(argument), device=device, dtype=dtype)
