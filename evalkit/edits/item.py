"""The records of edits: one edit of one image, and one problem with a folder, an edit or a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from evalkit.images.stored import AnyImage
from evalkit.storage.names import file_stem

Status = Literal["ok", "failed", "missing"]
IMAGE_FIELDS = ("source_image", "edited_image", "reference_image", "edit_mask")
"""The fields of an item that are images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditItem:
    """One edit: a source image, the texts, and, once a method has run, the edited image.

    A benchmark's items have no ``edited_image``; an edit folder's have one per item and seed. The fields are the
    columns of a manifest, in their order; those of :data:`IMAGE_FIELDS` have ``_file_name`` appended there.
    """

    item_id: Annotated[str, Field(min_length=1)]
    """Stable identifier, unique within a benchmark."""
    seed: int | None = None
    """The method's random seed, where several images were made for one item."""
    source_image: AnyImage | None = None
    """File of the image before the edit."""
    edited_image: AnyImage | None = None
    """File that the method produced."""
    reference_image: AnyImage | None = None
    """File of the ground-truth edit, where a data set has one."""
    edit_mask: AnyImage | None = None
    """File of the region that may change: white may, black is background."""
    source_caption: str | None = None
    """Text that describes the image before the edit."""
    target_caption: str | None = None
    """Text that describes the wanted result; None where a folder carries no text, and text metrics are undefined."""
    instruction: str | None = None
    """Imperative text ("make it snow")."""
    edit_type: str | None = None
    """One of the benchmark's edit types."""
    group: str | None = None
    """Items that share a source image: the unit that is resampled. None until the source is known."""
    source_attributes: Mapping[str, str] | None = None
    """What is known to be true of the source image, attribute by attribute."""
    target_attributes: Mapping[str, str] | None = None
    """What would be true of a perfect edit."""
    status: Status = "ok"
    """``failed``: the method reported that it could not; ``missing``: no file where one was expected."""
    reason: str | None = None
    """Why the status is not ``ok``."""
    seconds: float | None = None
    """What the edit took, with its share of the work that all edits of its source image have in common."""
    cost: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """What was charged for the edit, in units of ``currency``."""
    currency: str | None = None
    """Such as USD."""

    @property
    def label(self) -> str:
        """The item's id, with its seed where there is one, as it reads in messages."""
        return self.item_id if self.seed is None else f"{self.item_id} (seed {self.seed})"

    @property
    def images(self) -> tuple[AnyImage, ...]:
        """All image files that it has, in the order of :data:`IMAGE_FIELDS`."""
        return tuple(path for name in IMAGE_FIELDS if (path := getattr(self, name)))

    @property
    def file_stem(self) -> str:
        """The item's id as the stem of a file name, whatever characters it holds: another for every id."""
        return file_stem(self.item_id)

    def with_images(self, file: Callable[[AnyImage], AnyImage | None]) -> "EditItem":
        """This item with what ``file`` gives in the place of each of its image files."""
        given: dict[str, AnyImage] = {name: path for name in IMAGE_FIELDS if (path := getattr(self, name))}
        changed: dict[str, Any] = {name: found for name, path in given.items() if (found := file(path)) != path}
        return replace(self, **changed) if changed else self

    def without_edit(self, status: Status, reason: str) -> "EditItem":
        """This item with its edited image taken away, and why."""
        return replace(self, edited_image=None, status=status, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with a folder, an item or a file; listed by name, never raised."""

    code: str
    """Short name of the rule, such as ``missing_edited_image``."""
    message: str
    """One sentence for a person."""
    item_id: str | None = None
    path: AnyImage | None = None
