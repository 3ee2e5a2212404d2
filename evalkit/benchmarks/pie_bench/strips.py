"""The strips that PIE-Bench's own scripts write: instruction, source, reconstruction and edit, side by side."""

from pathlib import Path

from evalkit.edits.strips import cut_panel
from evalkit.errors import ImageError
from evalkit.images.decode import image_size


def edited_image(path: Path) -> Path:
    """The file of the edited image that an output file holds.

    A picture that is several times as wide as it is high is a strip of squares, and its last square is the edit. It is
    cut out into the cache, once. Anything else is the edit itself; what cannot be read is left for others to report.

    Args:
        path: What a method wrote for an item.

    Raises:
        OSError: The cache cannot be written.
    """
    try:
        width, height = image_size(path)
        if width <= height or width % height:
            return path
        return cut_panel(path, (width - height, 0, width, height))
    except ImageError:
        return path
