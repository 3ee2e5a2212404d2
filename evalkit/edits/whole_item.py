"""An item as a judge is shown it: images decoded, texts beside them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeItem:
    """The images and texts of one item that were asked for; None for all others."""

    source_image: "Image.Image | None" = None
    """Mode RGB, 8-bit sRGB, of its own size, as are the others."""
    edited_image: "Image.Image | None" = None
    reference_image: "Image.Image | None" = None
    edit_mask: "Image.Image | None" = None
    """White may change."""
    source_caption: str | None = None
    target_caption: str | None = None
    instruction: str | None = None
