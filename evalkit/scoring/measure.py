"""``measure``: the metrics of images in memory, computed along the path that files take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evalkit.edits.item import EditItem
from evalkit.encoders.base import AnyEncoder
from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import ImageError, OptionError
from evalkit.images.decode import rgb_image
from evalkit.images.stored import AnyImage
from evalkit.metrics.base import get_metrics
from evalkit.registry import refuse_unknown_options
from evalkit.scoring.encoders import open_encoders
from evalkit.scoring.features import Features, FileReader
from evalkit.scoring.options import DEFAULT_METRICS, ScoreOptions
from evalkit.scoring.requests import requests_about, requests_of
from evalkit.scoring.summaries import score_items, signature

_CHANNELS = (1, 3, 4)
_HALF_LEVEL = 0.5 / 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The metrics of one edit: ``measured["l1"]`` is a number, or None where there is a reason."""

    values: Mapping[str, float | None]
    reasons: Mapping[str, str]
    """Metric to the reason why it has no value: a key of :data:`evalkit.metrics.base.REASONS`."""
    signatures: Mapping[str, str] = field(repr=False)
    """Metric to everything that can change its number, in one line."""

    def __getitem__(self, metric: str) -> float | None:
        return self.values[metric]


def measure(
    edited: Any,  # noqa: ANN401 - images in any form
    *,
    source: Any = None,  # noqa: ANN401 - as above
    reference: Any = None,  # noqa: ANN401 - as above
    edit_mask: Any = None,  # noqa: ANN401 - as above
    source_caption: str | Sequence[str] | None = None,
    target_caption: str | Sequence[str] | None = None,
    instruction: str | Sequence[str] | None = None,
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    **options: Any,  # noqa: ANN401 - fields of ScoreOptions
) -> Measured | list[Measured]:
    """The metrics of edited images in memory: the numbers that ``evalkit score`` gives for files with these pixels.

    A network's last digits depend on who shares a batch: they are the command's for the same edits in the same order.

    Args:
        edited: One image, or a batch of them: a list, or an array of four axes. An image is a PIL image of any mode, a
            NumPy array ``(height, width[, 1, 3 or 4])``, or a torch tensor ``([1, 3 or 4,] height, width)``; sRGB with
            red first, as 8-bit integers, floats from 0 to 1, or booleans.
        source: The image before the edit: one for all, or one for each.
        reference: The ground-truth edit, alike.
        edit_mask: White, or true, where the image may change, alike.
        source_caption: Describes the source: one for all, or one for each.
        target_caption: Describes the wanted result, alike.
        instruction: What to do, alike.
        metrics: Their names, which ``evalkit list metrics`` shows.
        **options: Of :class:`~evalkit.scoring.options.ScoreOptions`: ``encoder``, ``device``, ``batch_size``, …

    Returns:
        One record for one image, a list for a batch. Where a field that a metric needs is missing there is a reason.

    Raises:
        ImageError: An image has another shape or range.
        OptionError: There are not as many of something as there are edited images.
        EvalkitError: A metric or encoder is unknown, or weights cannot be had.

    >>> black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    >>> measure(white, source=black, metrics=["l1", "psnr"]).values
    {'l1': 1.0, 'psnr': 0.0}
    """
    refuse_unknown_options(options, measure, ScoreOptions)
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    settings = ScoreOptions(metrics=names, **options)
    if settings.judge:
        raise OptionError("Images in memory are not judged: write them to a folder, and score that.")
    chosen, reader, batch = get_metrics(names), _MemoryReader(), _batch_of(edited)
    n_items = 1 if batch is None else len(batch)
    images = {"edited_image": edited, "source_image": source, "reference_image": reference, "edit_mask": edit_mask}
    texts = {"source_caption": source_caption, "target_caption": target_caption, "instruction": instruction}
    columns = {name: _column(name, reader.added(name, value), n_items) for name, value in images.items()}
    columns |= {name: _column(name, text, n_items) for name, text in texts.items()}
    items = [EditItem(item_id=str(k), **{name: v[k] for name, v in columns.items()}) for k in range(n_items)]
    encoder = settings.encoder if isinstance(settings.encoder, str) else tuple(settings.encoder)
    encoders = _opened(names, replace(settings, encoder=encoder))
    with EmbeddingCache.in_memory() as cache:
        features = Features(encoders, cache, batch_size=settings.batch_size, reader=reader)
        features.prepare({**requests_of(chosen, items), **requests_about((), items)})
        rows = score_items(items, chosen, features)
    lines = {metric.name: str(signature(metric, encoders)) for metric in chosen}
    measured = [Measured(values=row.values, reasons=row.reasons, signatures=lines) for row in rows]
    return measured[0] if batch is None else measured


@lru_cache(maxsize=8)
def _opened(metrics: tuple[str, ...], options: ScoreOptions) -> dict[str, AnyEncoder]:
    """The encoders, whose networks stay in memory from call to call."""
    return open_encoders(get_metrics(metrics), options)


def _column(name: str, value: Any, n_items: int) -> list[Any]:  # noqa: ANN401 - a path, a text, or several
    """One value per item."""
    if value is None or isinstance(value, str | Path):
        return [value] * n_items
    if len(value) != n_items:
        raise OptionError(f"{name}: expected one, or {n_items}, as there are edited images, got {len(value)}.")
    return list(value)


def _batch_of(value: Any) -> list[Any] | None:  # noqa: ANN401 - images in any form
    """The images of a batch; None for a single image."""
    if isinstance(value, list | tuple):
        return list(value)
    return list(value) if len(getattr(value, "shape", ())) == 4 else None


def _is_tensor(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _as_image(name: str, value: Any) -> Image.Image:  # noqa: ANN401 - an image in any form
    """Any form of one image in mode RGB."""
    if isinstance(value, Image.Image):
        return rgb_image(value)
    kind, axes = "NumPy array", "height, width, channels"
    shape = tuple(getattr(value, "shape", ()))
    if _is_tensor(value):
        kind, axes = "torch tensor", "channels, height, width"
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
        value = np.moveaxis(value, 0, -1) if value.ndim == 3 else value
    array = np.asarray(value)
    if not array.ndim:
        hint = f" Open it: PIL.Image.open({str(value)!r})" if isinstance(value, str | Path) else ""
        raise ImageError(
            f"{name}: expected a PIL image, a NumPy array or a torch tensor, got a {type(value).__name__}.{hint}"
        )
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        raise ImageError(
            f"{name}: expected a {kind} of shape ({axes}), or (n, {axes}) for several images, with 1, 3 or 4 channels; "
            f"got shape {shape}."
        )
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= -_HALF_LEVEL and high <= 1 + _HALF_LEVEL):  # so that NaN fails too
            raise ImageError(f"{name}: floating-point pixels must lie between 0 and 1, got {low:g} to {high:g}.")
        array = np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    elif array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype != np.uint8:
        raise ImageError(f"{name}: expected 8-bit integers, floats from 0 to 1 or booleans, got {array.dtype}.")
    return rgb_image(Image.fromarray(array))


class _MemoryReader(FileReader):
    """Images in memory as files that can be hashed and decoded like any other."""

    def __init__(self) -> None:
        self._files: dict[AnyImage, bytes] = {}

    def added(self, name: str, value: Any) -> Path | list[Path] | None:  # noqa: ANN401 - images in any form
        """The paths by which images are known from now on."""
        if value is None:
            return None
        batch = _batch_of(value)
        if batch is not None:
            return [self._added(f"{name} {number}", each) for number, each in enumerate(batch)]
        return self._added(name, value)

    def _added(self, name: str, value: Any) -> Path:  # noqa: ANN401 - an image in any form
        image = _as_image(name, value)
        # PPM is the pixels behind one line: as quick as a copy, and every rule of decoding has been applied.
        self._files[Path(name)] = b"P6 %d %d 255\n" % image.size + image.tobytes()
        return Path(name)

    def digest(self, path: AnyImage) -> str:
        """SHA-256 of an image, in hexadecimal."""
        return sha256(self._files[path]).hexdigest()

    def read(self, path: AnyImage) -> bytes:
        """An image's bytes."""
        return self._files[path]
