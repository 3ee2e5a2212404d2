"""Digests of decoded pictures; those of files are :func:`evalkit.images.decode.image_digest`."""

import hashlib

from PIL import Image

_STRIP = 1 << 20
"""Pixels that are hashed at a time, so that no second copy of a large image is made."""


def pixel_digest(image: Image.Image) -> str:
    """SHA-256 of an image's size and values: equal for equal pictures, whatever file holds them.

    Args:
        image: RGB, as :func:`evalkit.images.decode.read_image` gives it.

    Returns:
        The digest in hexadecimal.
    """
    width, height = image.size
    digest = hashlib.sha256(f"{width}x{height}".encode())
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        digest.update(image.crop((0, top, width, min(top + rows, height))).tobytes())
    return digest.hexdigest()
