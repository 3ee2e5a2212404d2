"""Strips: files that hold the source and the edit side by side, as scripts write them to be looked at.

A strip is a row or a column of panels of one size, with or without a margin around and between them. The panels have
the aspect ratio of the source image, which together with the size of the file says where they are.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.edits.item import EditItem
from evalkit.edits.problems import shown
from evalkit.errors import ImageError, LayoutError, OptionError
from evalkit.images.decode import image_digest, image_size, read_image, write_image
from evalkit.images.pairs import misfit, same_aspect
from evalkit.images.stored import AnyImage
from evalkit.storage.paths import cache_directory

if TYPE_CHECKING:
    from PIL import Image

PanelBox = tuple[int, int, int, int]
"""Left, upper, right and lower edge, in pixels."""
FIELDS = {"source": "source_image", "edited": "edited_image", "reference": "reference_image", "mask": "edit_mask"}
"""What panels may be, beside those that are passed over."""
MOST_PANELS = 6
_WIDEST_MARGIN = 0.2
"""Of a panel's shorter side."""
_ALIKE = 10.0
"""Mean difference of grey levels up to which a panel is the source image: lossy formats and other sizes change some."""
_NO_SHARE = 1e-9
_MOST_TRIED = 17
"""Widths of a margin where the sizes leave it open, from 1."""
_SAMPLED = 12
"""Edits that are looked at to see whether they are strips."""
_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """What the panels of every file of a folder are, from left to right or from top to bottom."""

    panels: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Strips":
        """The panels as the user names them, such as ``source,edited``.

        Raises:
            OptionError: There is no edited image among them, a known name is there twice, or there is but one.
        """
        panels = tuple(name.strip() for name in text.split(","))
        known = [name for name in panels if name in FIELDS]
        if len(panels) < 2 or "edited" not in known or len({*known}) < len(known):
            raise OptionError(
                f"--strip {text}: expected two panels or more, one of them 'edited', such as source,edited; others may "
                "be source, reference and mask, once each, or anything else, which is passed over."
            )
        return cls(panels=panels)

    def cut(self, items: Sequence[EditItem], root: Path) -> tuple[EditItem, ...]:
        """The items with the panels of their files as their images; what they have from elsewhere, they keep.

        Raises:
            LayoutError: A file does not consist of so many panels, or the one that is called the source is not.
            OSError: The cache cannot be written.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            return tuple(pool.map(lambda item: self._cut(item, root), items))

    def _cut(self, item: EditItem, root: Path) -> EditItem:
        strip = item.edited_image
        if strip is None:
            return item
        try:
            boxes = self._boxes(strip, item.source_image, root)
            cuts = {
                FIELDS[name]: cut_panel(strip, box)
                for name, box in zip(self.panels, boxes, strict=True)
                if name in FIELDS and (name == "edited" or getattr(item, FIELDS[name]) is None)
            }
        except ImageError:  # is left for others to report
            return item
        return replace(item, **cuts)  # type: ignore[arg-type]  # fields of images

    def _boxes(self, strip: AnyImage, source: AnyImage | None, root: Path) -> list[PanelBox]:
        """Where the panels are: of several possible margins those with which one panel is most like the source."""
        size, said = image_size(strip), f"--strip {','.join(self.panels)}"
        possible = grids(size, len(self.panels), image_size(source) if source else None)
        if not possible:
            raise LayoutError(
                f"{shown(strip, root)} was expected to be a strip of {len(self.panels)} panels of one size, as {said} "
                f"says, got {size[0]} × {size[1]} pixels. Name all of its panels, in their order."
            )
        if source is None or "source" not in self.panels:
            return possible[0]
        image, wanted, at = read_image(strip), read_image(source), self.panels.index("source")
        boxes = min(possible, key=lambda boxes: min(differences(image, wanted, boxes)))
        found = differences(image, wanted, boxes)
        if min(found) <= _ALIKE and found[at] > 2 * min(found) + 1:  # as far off as no lossy format makes it
            raise LayoutError(
                f"Panel {at + 1} of {shown(strip, root)} was expected to be the source image, as {said} says, and "
                f"panel {found.index(min(found)) + 1} is. Name the panels in their order."
            )
        return boxes


def grids(size: tuple[int, int], n_panels: int, frame: tuple[int, int] | None) -> list[list[PanelBox]]:
    """Where the panels of a strip may be, those first whose aspect ratio is most exactly the source image's.

    Args:
        size: Width and height of the file.
        n_panels: How many there are.
        frame: Width and height of the source image, whose aspect ratio the panels have; without one they fill the file.

    >>> grids((128, 64), 2, (64, 64))
    [[(0, 0, 64, 64), (64, 0, 128, 64)]]
    >>> grids((134, 68), 2, (512, 512))[0]
    [(2, 2, 66, 66), (68, 2, 132, 66)]
    """
    found: list[tuple[float, list[PanelBox]]] = []
    for is_row in (True, False) if size[0] >= size[1] else (False, True):
        along, across = size if is_row else size[::-1]
        ratio = None if frame is None else (frame[0] / frame[1] if is_row else frame[1] / frame[0])
        for gap, border in _margins(along, across, n_panels, ratio):
            length, rest = divmod(along - (n_panels - 1) * gap - 2 * border, n_panels)
            width = across - 2 * border
            panel = (length, width) if is_row else (width, length)
            if rest or min(panel) < 1 or max(gap, border) > _WIDEST_MARGIN * min(panel):
                continue
            if frame is not None and not same_aspect(panel, frame):
                continue
            error = abs(panel[0] * frame[1] / (panel[1] * frame[0]) - 1) if frame else 0.0
            starts = [border + number * (length + gap) for number in range(n_panels)]
            boxes = [(start, border, start + length, border + width) for start in starts]
            found.append((error, boxes if is_row else [(b, a, d, c) for a, b, c, d in boxes]))
    return [boxes for _, boxes in sorted(found, key=lambda each: each[0])]


def _margins(along: int, across: int, n_panels: int, ratio: float | None) -> Iterator[tuple[int, int]]:
    """Widths of the gaps between panels and of the border around them, that leave panels of the ratio."""
    yield 0, 0
    for gaps, borders in ((1, 0), (1, 1), (0, 1)):
        if ratio is None:
            return
        # along = n · ratio · (across − 2 borders) + (n − 1) gaps + 2 borders, with all margins of one width.
        share = (n_panels - 1) * gaps + 2 * borders - 2 * borders * n_panels * ratio
        excess = along - n_panels * ratio * across
        if abs(share) > _NO_SHARE:
            widths: Sequence[int] = [round(excess / share)]
        else:  # margins of any width leave the same ratio
            widths = range(1, _MOST_TRIED) if abs(excess) < 1 else []
        yield from ((width * gaps, width * borders) for width in widths if width > 0)


def differences(strip: "Image.Image", source: "Image.Image", boxes: Sequence[PanelBox]) -> list[float]:
    """The mean difference of grey levels between each panel and the source image, at the panels' size."""
    width, height = boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1]
    wanted = np.asarray(source.resize((width, height)), dtype=np.float32)
    panels = (np.asarray(strip.crop(box), dtype=np.float32) for box in boxes)
    return [float(np.abs(panel - wanted).mean()) for panel in panels]


def cut_panel(strip: AnyImage, box: PanelBox) -> Path:
    """The file of a panel in the cache; made if it is not there.

    Raises:
        ImageError: The strip cannot be read.
        OSError: The cache cannot be written.
    """
    name = f"{image_digest(strip)[:32]}-{'-'.join(map(str, box))}.png"
    cut = cache_directory() / "strips" / name
    if not cut.is_file():
        write_image(cut, read_image(strip).crop(box))
    return cut


def refuse_strips(items: Sequence[EditItem], root: Path, command: str) -> None:
    """Refuses a folder whose files are strips: all that is measured of them would be of several images at once.

    Args:
        items: Of the folder.
        root: The folder.
        command: What opened it, for the option to be added to.

    Raises:
        LayoutError: Most of some edits that are looked at have a panel that is their source image.
    """
    pairs = [(item.edited_image, item.source_image) for item in items if item.edited_image and item.source_image]
    sample = pairs[:: max(1, len(pairs) // _SAMPLED)][:_SAMPLED]
    found = [names for edited, source in sample if (names := _panels(edited, source))]
    if not found or 2 * len(found) < len(sample):
        return
    panels = max(set(found), key=found.count)
    other = "" if len(panels) == 2 else " (if the last one is the edit)"
    raise LayoutError(
        f"{shown(sample[0][0], root)} and others in {root} are strips of {len(panels)} images, one of them the source. "
        f"Cut them{other}: {command} --strip {','.join(panels)}"
    )


def _panels(edited: AnyImage, source: AnyImage) -> tuple[str, ...] | None:
    """What the panels of a file seem to be, if it is a strip."""
    try:
        size, frame = image_size(edited), image_size(source)
        if misfit(size, frame) != "other_aspect":
            return None
        possible = [boxes for n_panels in range(2, MOST_PANELS + 1) for boxes in grids(size, n_panels, frame)]
        if not possible:
            return None
        strip, wanted = read_image(edited), read_image(source)
        found = [differences(strip, wanted, boxes) for boxes in possible]
    except ImageError:
        return None
    best = min(found, key=min)
    if min(best) > _ALIKE:
        return None
    source_at = best.index(min(best))
    edited_at = max(at for at in range(len(best)) if at != source_at)
    names = {source_at: "source", edited_at: "edited"}
    return tuple(names.get(at, f"other{at}") for at in range(len(best)))
