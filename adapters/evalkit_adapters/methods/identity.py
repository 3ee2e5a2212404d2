"""Doing nothing: the method that every other must beat on alignment, and cannot on preservation."""

from typing import ClassVar

from PIL import Image

from evalkit.editing.method import MethodCard, MethodRun
from evalkit.edits.item import EditItem


class Identity:
    """Gives the source image back."""

    card: ClassVar[MethodCard] = MethodCard(
        name="identity",
        title="Identity",
        summary="Gives the source image back, untouched.",
        paper="",
        licence="Apache-2.0",
        variant="There is only one.",
        miniature={},
        edit_types=frozenset(),
        cannot="It makes no edit.",
    )

    def load(self, run: MethodRun) -> None:
        """Nothing to load."""

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> Image.Image:  # noqa: ARG002
        """The source image."""
        return source_image

    def edit(self, item: EditItem, fitted: Image.Image, *, seed: int) -> Image.Image:  # noqa: ARG002 - the protocol's
        """The source image."""
        return fitted
