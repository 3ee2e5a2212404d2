"""The recogniser as an encoder: its "embedding" of a picture, or of known attributes, is their codes.

So the ground-truth metrics go the same way as all others: planned, cached and recorded by the recogniser's fingerprint.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalkit.arrays import Pixels
from evalkit.benchmarks.shapes.details import HEIGHTS, SLOPES, STRIPE_WIDTH
from evalkit.benchmarks.shapes.language import named_in
from evalkit.benchmarks.shapes.recognise import PREPROCESS, UNKNOWN, read, recognise
from evalkit.benchmarks.shapes.world import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    DETAILED_RADII,
    OUTLINES,
    PLACES,
    RADII,
)
from evalkit.encoders.base import DType, Embeddings, EncoderSpec, LoadedEncoder, settings_digest
from evalkit.errors import EncoderError, UnknownNameError
from evalkit.metrics.details import CODE_LENGTH, CODED

VERSION = 1
"""Raised whenever a change of code makes the recogniser see anything differently."""
VERSION_2 = 2
"""The same of the recogniser of version 2."""
UNKNOWN_CODE = 0.0
_RANGES = {"stripe_angle": (0.0, 180.0), "horizon_height": HEIGHTS, "horizon_slope": SLOPES}
"""Of the details; the two ends of a range are coded alike."""


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


class ShapesReader(ShapesRecogniser):
    """The same for version 2: what is seen, known or said of a picture, each a vector of length 1, or 0 where unknown.

    Two such vectors have a product of 1 where they say the same, and of 0 on average where one of them is drawn
    uniformly from all that there is.
    """

    @property
    def spec(self) -> EncoderSpec:
        """What can change its answers: as of version 1, and what the world knows of details."""
        first = super().spec
        ranges = [VERSION_2, first.weights_sha256, CODED, HEIGHTS, SLOPES, STRIPE_WIDTH, dict(DETAILED_RADII)]
        digest = settings_digest(ranges)
        return replace(first, name="shapes_recogniser_v2", weights_sha256=digest, version=VERSION_2)

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """What is seen in ``(n, size, size, 3)`` pictures: ``(n, len(CODED) · CODE_LENGTH)``."""
        readings = (read(picture) for picture in pixels)
        return _flat([codes({**reading.attributes, **reading.details}) for reading in readings])

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """What is known, given as JSON objects, or said, given as captions: likewise.

        Raises:
            EncoderError: A JSON object is not the attributes and details of a scene of version 2.
        """
        return _flat([codes(_known(text) if text.lstrip()[:1] == "{" else named_in(text)) for text in texts])


def codes(values: Mapping[str, str | float | None]) -> Embeddings:
    """What is seen, known or said of a picture, each in a row of ``CODED``: ``(len(CODED), CODE_LENGTH)``.

    A word of k becomes a corner of the regular simplex of k corners, an angle the point of the circle at twice the
    angle, and a number from a range the point of the circle that far around it: each of length 1, with a mean of 0 over
    a uniform draw. What is unknown or not said is 0.

    Args:
        values: Attribute or detail to value; those that are not there are unknown.
    """
    rows = np.zeros((len(CODED), CODE_LENGTH))
    for row, name in zip(rows, CODED, strict=True):
        value = values.get(name)
        if value is None or value == UNKNOWN:
            continue
        if name in ATTRIBUTES:
            k = len(ATTRIBUTES[name])
            row[:k] = -1 / k
            row[ATTRIBUTES[name].index(str(value))] += 1
            row *= np.sqrt(k / (k - 1))
        else:
            first, last = _RANGES[name]
            turn = 2 * np.pi * (np.clip(float(value), first, last) - first) / (last - first)
            row[:2] = np.cos(turn), np.sin(turn)
    return rows.astype(np.float32)


def _flat(rows: list[Embeddings]) -> Embeddings:
    return np.array(rows, np.float32).reshape(-1, len(CODED) * CODE_LENGTH)


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
            f"{', '.join(attributes) or 'none'}. Its metrics are for version 1 of the shapes benchmark, those of "
            "version 2 are edit_success:v2 and others: evalkit list metrics"
        )
    return np.array([_code(name, attributes[name]) for name in ATTRIBUTES], np.float32)


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:  # noqa: ARG001 - one device and one type
    """The recogniser of the shapes benchmark's ground truth."""
    if argument:
        raise UnknownNameError(f"There is one shapes recogniser, without variants; got ':{argument}'.")
    return LoadedEncoder(encoder=ShapesRecogniser())


def load_v2(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """The recogniser of the ground truth of version 2: attributes, and details that no caption names."""
    return replace(load(argument, device=device, dtype=dtype), encoder=ShapesReader())


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


def _known(text: str) -> dict[str, str]:
    values = _parsed(text)
    missing = [name for name in CODED if name not in values]
    wrong = [
        name
        for name, value in values.items()
        if name not in CODED or (name in ATTRIBUTES and value not in (*ATTRIBUTES[name], UNKNOWN))
    ]
    if missing or wrong:
        fault = f"{missing[0]} is missing" if missing else f"{wrong[0]} is none of them or has none of these"
        raise EncoderError(
            f"Attributes of a picture: version 2 of the shapes has {', '.join(CODED)}, each with values of its own; "
            f"got '{text[:80]}', where {fault}. These metrics are for the benchmark shapes:v2: evalkit list metrics"
        )
    return values
