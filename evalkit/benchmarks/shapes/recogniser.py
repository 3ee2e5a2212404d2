"""The recogniser as an encoder: its "embedding" of a picture, or of known attributes, is their codes.

So the ground-truth metrics go the same way as all others: planned, cached and recorded by the recogniser's fingerprint.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.arrays import Pixels
from evalkit.benchmarks.shapes.recognise import PREPROCESS, UNKNOWN, recognise
from evalkit.benchmarks.shapes.world import ATTRIBUTES, BACKGROUNDS, COLOURS, OUTLINES, PLACES, RADII
from evalkit.encoders.base import DType, Embeddings, EncoderSpec, LoadedEncoder, settings_digest
from evalkit.errors import EncoderError, UnknownNameError

VERSION = 1
"""Raised whenever a change of code makes the recogniser see anything differently."""
UNKNOWN_CODE = 0.0


class ShapesRecogniser:
    """An encoder without weights, for pictures of the shapes world."""

    device = "cpu"

    @property
    def spec(self) -> EncoderSpec:
        """What can change its answers: its version and the world's tables."""
        outlines = {name: outline.round(9).tolist() for name, outline in OUTLINES.items()}
        tables = [dict(table) for table in (ATTRIBUTES, COLOURS, BACKGROUNDS, RADII, PLACES)]
        return EncoderSpec(
            name="shapes_recogniser",
            weights_sha256=settings_digest([VERSION, outlines, *tables]),
            preprocess=PREPROCESS,
            tokenizer="none",
            version=VERSION,
        )

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """The codes of the attributes seen in ``(n, size, size, 3)`` pictures: ``(n, attributes)``."""
        return np.array([attribute_codes(recognise(picture)) for picture in pixels], np.float32).reshape(
            -1, len(ATTRIBUTES)
        )

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """The codes of attributes given as JSON objects: ``(n, attributes)``.

        Raises:
            EncoderError: A text is not the attributes of a scene of the shapes world.
        """
        return np.array([attribute_codes(_parsed(text)) for text in texts], np.float32).reshape(-1, len(ATTRIBUTES))


def attribute_codes(attributes: Mapping[str, str]) -> Embeddings:
    """Attributes as numbers, in the order of ``ATTRIBUTES``: 0 is unknown, 1 the first value, and so on.

    Args:
        attributes: Attribute to value.

    Returns:
        ``(attributes,)``.

    Raises:
        EncoderError: An attribute is missing, or there is one, or a value of one, that the shapes world does not have.

    >>> attribute_codes({"shape": "square", "colour": "red", "size": "unknown", "place": "top", "background": "grey"})
    array([2., 1., 0., 2., 2.], dtype=float32)
    """
    if set(attributes) != set(ATTRIBUTES):
        raise EncoderError(
            f"Attributes of a picture: the shapes recogniser knows {', '.join(ATTRIBUTES)}, got "
            f"{', '.join(attributes) or 'none'}. Its metrics are for the shapes benchmark: evalkit list metrics"
        )
    return np.array([_code(name, attributes[name]) for name in ATTRIBUTES], np.float32)


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:  # noqa: ARG001 - one device and one type
    """The recogniser of the shapes benchmark's ground truth."""
    if argument:
        raise UnknownNameError(f"There is one shapes recogniser, without variants; got ':{argument}'.")
    return LoadedEncoder(encoder=ShapesRecogniser())


def _code(name: str, value: str) -> float:
    if value == UNKNOWN:
        return UNKNOWN_CODE
    if value not in ATTRIBUTES[name]:
        raise EncoderError(f"Attribute '{name}': expected one of {', '.join(ATTRIBUTES[name])}, got '{value}'.")
    return 1.0 + ATTRIBUTES[name].index(value)


def _parsed(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EncoderError(
            f"The shapes recogniser reads pictures and attributes in JSON, not captions; got '{text[:80]}'."
        )
    return value
