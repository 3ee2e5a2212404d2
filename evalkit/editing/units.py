"""What is done with one source image: the fit that its edits share, then each edit; wherever an engine has it done."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import Adapter, BatchAdapter, Billed, MethodCard, MethodRun
from evalkit.editing.result import checked_picture
from evalkit.edits.item import EditItem
from evalkit.encoders.checkpoints import refuse_pickled
from evalkit.errors import BrokenPluginError, EvalkitError, ImageError
from evalkit.formatting import shortened
from evalkit.images.decode import decode_image
from evalkit.images.stored import AnyImage

REASON = 400
"""Characters of a reason; some libraries raise pages."""
ANY = (Exception, SystemExit)
"""What a method may raise without harming more than its item: research code calls ``sys.exit``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceUnit:
    """One source image, with a seed and the edits that are wanted of it."""

    source: bytes | ImageError
    """Its file, or why that cannot be read."""
    name: str
    """What messages call it."""
    caption: str | None
    seed: int
    items: tuple[EditItem, ...]
    """As the method sees them."""
    masks: Mapping[AnyImage, bytes] = field(default_factory=dict)
    """Their edit masks, for workers that may not see the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a method made of one item: an edited image, or the reason why there is none."""

    item_id: str
    picture: Image.Image | None = None
    """RGB, of the source's size or square."""
    seconds: float = 0.0
    """With its share of the fit."""
    cost: float | None = None
    currency: str | None = None
    reason: str = ""
    trace: str = ""

    @classmethod
    def failed(cls, item_id: str, error: BaseException) -> "Made":
        """An item that ended in an error."""
        return cls(item_id=item_id, reason=reason_of(error), trace="".join(traceback.format_exception(error)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EditWork:
    """What a worker opens: one method, with its settings and its base model."""

    method: type[Adapter[Any]]
    card: MethodCard
    run: MethodRun
    concurrency: ClassVar[int] = 1
    """A method changes its model while it edits."""

    def open(self, *, threads: int) -> Callable[[SourceUnit], Iterator[Made]]:  # noqa: ARG002 - the method's affair
        """The method with its base model."""
        adapter: Any = loaded(self.method, self.card, self.run)
        return partial(edits_of, adapter)


def edits_of(adapter: Adapter[Any], unit: SourceUnit) -> Iterator[Made]:
    """The edits of one source image, one by one."""
    started = time.perf_counter()
    try:
        if isinstance(unit.source, ImageError):
            raise unit.source
        picture = decode_image(unit.source, unit.name).image
        fitted = adapter.fit(picture, unit.caption, seed=unit.seed)
    except ANY as error:
        yield from (Made.failed(item.item_id, error) for item in unit.items)
        return
    share = (time.perf_counter() - started) / len(unit.items)
    with _local_copies(unit.masks) as copies:
        for item in unit.items:
            local = replace(item, edit_mask=copies.get(item.edit_mask, item.edit_mask)) if item.edit_mask else item
            yield _edit(adapter, local, fitted, picture.size, seed=unit.seed, share=share)


def _edit(
    adapter: Adapter[Any],
    item: EditItem,
    fitted: Any,  # noqa: ANN401 - whatever the method's fit returned
    size: tuple[int, int],
    *,
    seed: int,
    share: float,
) -> Made:
    started = time.perf_counter() - share
    try:
        made = made_of(item.item_id, adapter.edit(item, fitted, seed=seed), size)
    except ANY as error:
        return Made.failed(item.item_id, error)
    return replace(made, seconds=time.perf_counter() - started)


def made_of(item_id: str, made: object, size: tuple[int, int]) -> Made:
    """What a method returned for an item, checked.

    Raises:
        ImageError: It is no edited image.
    """
    bill = made if isinstance(made, Billed) else None
    return Made(
        item_id=item_id,
        picture=checked_picture(bill.picture if bill else made, size),
        cost=bill.cost if bill else None,
        currency=bill.currency if bill else None,
    )


@contextmanager
def _local_copies(masks: Mapping[AnyImage, bytes]) -> Iterator[Mapping[AnyImage, Path]]:
    """Files that were sent along, each under a name that can be opened here."""
    if not masks:
        yield {}
        return
    with TemporaryDirectory(prefix="evalkit-") as folder:
        copies = {path: Path(folder) / f"{number}{path.suffix}" for number, path in enumerate(masks)}
        for path, copy in copies.items():
            copy.write_bytes(masks[path])
        yield copies


def loaded(method: type[Adapter[Any]], card: MethodCard, run: MethodRun) -> Adapter[Any] | BatchAdapter:
    """A method with its base model in memory.

    Raises:
        EvalkitError: The model cannot be had.
    """
    try:
        adapter = method()
        adapter.load(run)
    except EvalkitError:
        raise
    except ANY as error:
        refuse_pickled(error, f"A checkpoint of the method {card.name}")
        hint = f" Its package may have to be installed with the extra [{card.extra}]." if card.extra else ""
        raise BrokenPluginError(
            f"The method {card.name} cannot be loaded: {reason_of(error).rstrip('.')}.{hint}"
        ) from error
    return adapter


def reason_of(error: BaseException) -> str:
    """What was raised, as a reason."""
    text = " ".join(str(error).split())
    if not isinstance(error, EvalkitError) or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return shortened(text, REASON)
