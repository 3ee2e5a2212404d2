"""Types of arrays that are spoken of everywhere."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
"""Positions of items, or codes of categories."""
Pixels = npt.NDArray[np.uint8]
"""``(height, width, 3)``, 8-bit sRGB, red first."""
