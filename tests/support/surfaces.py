"""Pictures with structure at every scale, for metrics that look at pixels."""

import numpy as np
from PIL import Image

SIDE = 176
"""The smallest that five scales of structural similarity take."""


def picture(seed, height=SIDE, width=SIDE + 16, levels=(30, 220)):
    """A picture with structure at every scale."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for cells in (2, 8, 40):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        image += np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR), dtype=float)
    return (levels[0] + image / 765 * (levels[1] - levels[0])).astype(np.uint8)
