"""Items that come in groups: coded once, summed everywhere, with the standard errors that respect them.

A group is a *cluster* of the cluster-robust methods: items that share a source image, and are dependent.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError

GRID = 1e-6
"""Scores are rounded to multiples of this, so that ties are ties and sums are exact."""
EXACT_INTEGERS = 2.0**52
"""Sums of whole numbers below this are exact in float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Which item belongs to which group, groups numbered in the order in which they first appear."""

    codes: npt.NDArray[np.intp]
    """``(n,)``, in [0, G)."""
    sizes: Floats
    """``(G,)`` items per group."""

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.codes)

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.sizes)

    def sums(self, values: Floats) -> Floats:
        """Sum over each group's items: ``(n,)`` to ``(G,)``, or ``(n, c)`` to ``(G, c)``."""
        if values.ndim == 1:
            return np.bincount(self.codes, weights=values, minlength=self.n_groups).astype(np.float64, copy=False)
        columns = [self.sums(column) for column in values.T]
        return np.stack(columns, axis=1) if columns else np.zeros((self.n_groups, 0))

    def where(self, kept: Mask) -> "Groups":
        """The groups of some of the items, numbered anew."""
        return self if kept.all() else code_groups(self.codes[kept])


Labels = Sequence[Hashable] | npt.NDArray[np.intp] | Groups
"""One group label per item, or the groups as they are coded; items with the same label are dependent."""


def code_groups(groups: Labels) -> Groups:
    """Number the groups and count their items; groups that are coded stay as they are.

    >>> code_groups(["dog", "cat", "dog"]).sizes.tolist()
    [2.0, 1.0]
    """
    if isinstance(groups, Groups):
        return groups
    if not isinstance(groups, np.ndarray):
        numbers: dict[Hashable, int] = {}
        groups = np.array([numbers.setdefault(label, len(numbers)) for label in groups], dtype=np.intp)
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    codes = rank[inverse]
    return Groups(codes=codes, sizes=np.bincount(codes, minlength=len(order)).astype(np.float64))


def finite_by_group(values: Floats, groups: Labels) -> tuple[Floats, Groups]:
    """The values as float64 with their groups.

    Raises:
        OptionError: Lengths differ, or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(groups),):
        raise OptionError(f"Every value needs its group: got {values.size} values and {len(groups)} groups.")
    if not np.isfinite(values).all():
        raise OptionError("Values must be finite: leave undefined items out, with their reason.")
    return values, code_groups(groups)


def cluster_error(values: Floats, groups: Groups) -> float | None:
    """Cluster-robust (CR1) standard error of the mean over items; None for fewer than two groups.

    ``SE² = G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / n²``. Values that are all equal have exactly 0.

    Args:
        values: ``(n,)``, finite.
        groups: Of the same ``n`` items.
    """
    if groups.n_groups < 2:
        return None
    if (values == values[0]).all():
        return 0.0
    residuals = groups.sums(values - values.mean())
    n_groups = groups.n_groups
    return float(np.sqrt(n_groups / (n_groups - 1) * np.square(residuals).sum()) / len(groups))


def unbiased_cluster_error(values: Floats, groups: Groups) -> tuple[float, float] | None:
    """Cluster-robust (CR2) standard error of the mean over items with its degrees of freedom; None below two groups.

    ``SE² = Σ_g (Σ_{i∈g} (x_i − x̄))² / (1 − h_g) / n²`` with ``h_g = m_g/n`` makes up for what a group's own weight in
    the mean takes off its residual (Bell & McCaffrey 2002). The degrees of freedom are Satterthwaite's, as if the
    items of a group agreed entirely: few large groups then count for as little as they can (Pustejovsky & Tipton
    2018). With one item per group it is Student's, with G−1.

    Args:
        values: ``(n,)``, finite.
        groups: Of the same ``n`` items.
    """
    if groups.n_groups < 2:
        return None
    share = groups.sizes / len(groups)
    weight, squares = 1 / (1 - share), float(np.square(share).sum())
    # SE² is a quadratic form whose matrix has the trace and the squared norm below: SE² varies like χ² with
    # trace²/norm² degrees of freedom. Both are written out because the matrix itself has G² entries.
    own = weight * (share**2 - 2 * share**3 + squares * share**2)
    second, third, fourth = (float((weight * share**power).sum()) for power in (2, 3, 4))
    norm = float((weight**2 * (share**4 - 4 * share**5 + 2 * squares * share**4)).sum())
    norm += 2 * second * fourth + squares**2 * second**2 + 2 * third**2 - 4 * squares * second * third
    freedom = float(own.sum()) ** 2 / norm
    if (values == values[0]).all():
        return 0.0, freedom
    residuals = groups.sums(values - values.mean())
    return float(np.sqrt((weight * np.square(residuals)).sum()) / len(groups)), freedom


def to_steps(values: Floats, grid: float = GRID) -> Floats:
    """Values in whole steps of the grid, as float64 that holds integers; NaN stays NaN.

    Raises:
        OptionError: The grid is not positive, or so fine that sums of steps would not be exact.

    >>> to_steps(np.array([0.30000004, -0.1])).tolist()
    [300000.0, -100000.0]
    """
    if not (np.isfinite(grid) and grid > 0):
        raise OptionError(f"The grid must be a positive number; got {grid}.")
    steps: Floats = np.rint(values / grid)
    if (np.nansum(np.abs(steps), axis=0) >= EXACT_INTEGERS).any():
        raise OptionError(f"Scores as large as {np.nanmax(np.abs(values)):g} need a coarser grid than {grid:g}.")
    return steps


def check_level(level: float) -> None:
    """Raise an OptionError unless the confidence level lies strictly between 0 and 1."""
    if not 0 < level < 1:
        raise OptionError(f"The confidence level must be between 0 and 1; got {level}.")


def check_alpha(alpha: float) -> None:
    """Raise an OptionError unless the error rate lies strictly between 0 and 1."""
    if not 0 < alpha < 1:
        raise OptionError(f"The error rate alpha must be between 0 and 1; got {alpha}.")
