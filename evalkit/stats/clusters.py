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
ONE_GROUP = "one group only: no spread between groups can be known"


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

    Args:
        values: ``(n,)``, or ``(n, c)`` columns of the same items.
        groups: ``(n,)``.

    Raises:
        OptionError: Lengths differ, or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape[:1] != (len(groups),):
        raise OptionError(f"Every value needs its group: got {len(values)} values and {len(groups)} groups.")
    if not np.isfinite(values).all():
        raise OptionError("Values must be finite: leave undefined items out, with their reason.")
    return values, code_groups(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterError:
    """How uncertain a mean over items is that come in groups."""

    error: float
    """Standard error (CR2); exactly 0 where the groups do not differ."""
    freedom: float
    """Degrees of freedom (Satterthwaite's) that it has; at most G − 1."""


def cluster_error(values: Floats, groups: Groups) -> ClusterError | None:
    """Cluster-robust (CR2) standard error of the mean over items, see `cluster_errors`; None below two groups.

    Args:
        values: ``(n,)``, finite.
        groups: Of the same ``n`` items.

    >>> round(cluster_error(np.array([1.0, 2.0, 3.0]), code_groups("abc")).error, 4)
    0.5774
    """
    if groups.n_groups < 2:
        return None
    errors, freedom = cluster_errors(values[:, None], groups)
    return ClusterError(error=float(errors[0]), freedom=freedom)


def cluster_errors(columns: Floats, groups: Groups) -> tuple[Floats, float]:
    """Cluster-robust (CR2) standard error of each column's mean over items, with their degrees of freedom.

    ``SE² = Σ_g (Σ_{i∈g} (x_i − x̄))² / (1 − h_g) / n²`` with ``h_g = m_g/n`` makes up for what a group's own weight in
    the mean takes off its residual (Bell & McCaffrey 2002); the degrees of freedom are `satterthwaite`'s. With one
    item per group it is the textbook's ``s/√n`` with n − 1.

    Args:
        columns: ``(n, c)``, finite.
        groups: Of the same ``n`` items, two or more.

    Returns:
        ``(c,)`` errors, exactly 0 where the groups do not differ, and the degrees of freedom of all.

    Raises:
        OptionError: There are fewer than two groups.
    """
    largest = np.abs(columns).max(axis=0, initial=0.0)
    scale = np.where(largest > 0, largest, 1.0)  # squares of 1e300, or of 1e-300, are no numbers
    deviations = group_deviations(columns / scale, groups)
    return scale * np.sqrt(np.square(deviations).sum(axis=0)), satterthwaite(groups.sizes)


def group_deviations(columns: Floats, groups: Groups) -> Floats:
    """What each group adds to the error of the means: ``D.T @ D`` is their CR2 covariance.

    Args:
        columns: ``(n, c)``, finite.
        groups: Of the same ``n`` items, two or more.

    Returns:
        ``(G, c)``: ``Σ_{i∈g} (x_i − x̄) / √(1 − h_g) / n``.

    Raises:
        OptionError: There are fewer than two groups.
    """
    if groups.n_groups < 2:
        raise OptionError(f"A standard error needs two groups or more; got {groups.n_groups}.")
    shifted = columns - columns[0]  # equal values are exactly 0
    residuals = groups.sums(shifted - shifted.mean(axis=0))
    sizes = groups.sizes[:, None]
    rounding = 8 * np.finfo(np.float64).eps * np.abs(columns).max(axis=0) * sizes
    residuals[np.abs(residuals) <= rounding] = 0.0
    deviations: Floats = residuals / np.sqrt(1 - sizes / len(groups)) / len(groups)
    return deviations


def satterthwaite(sizes: Floats, *, agreeing: bool = False) -> float:
    """Degrees of freedom of the CR2 error of a mean (Bell & McCaffrey 2002; Pustejovsky & Tipton 2018).

    ``SE²`` is a sum of squares of group residuals with covariance matrix M, and varies as χ² with
    ``ν = tr(M)² / tr(M²)`` degrees of freedom. If items are independent that is ``1 / (Σ_g h_g² + Σ_{g≠k} u_g u_k)``,
    ``u_g = h_g²/(1 − h_g)``; if those of a group agree entirely, fewer where groups differ in size. G groups of one
    size have G − 1; one that dominates the others leaves few.

    Args:
        sizes: ``(G,)`` items per group, two groups or more.
        agreeing: Whether the items of a group agree: the safer choice where an error rate must be held.

    >>> groups = np.array([61.0] + [1.0] * 39)
    >>> round(satterthwaite(groups), 2), round(satterthwaite(groups, agreeing=True), 2)
    (2.61, 1.05)
    """
    share = np.sort(sizes) / sizes.sum()
    if not agreeing:
        crossed = share**2 / (1 - share)
        pairs = 2 * float((crossed[1:] * np.cumsum(crossed)[:-1]).sum())
        return 1 / (float(np.square(share).sum()) + pairs)
    # M has G² entries; its trace and its squared norm are sums over groups.
    weight, squares = 1 / (1 - share), float(np.square(share).sum())
    trace = float((weight * (share**2 - 2 * share**3 + squares * share**2)).sum())
    second, third, fourth = (float((weight * share**power).sum()) for power in (2, 3, 4))
    norm = float((weight**2 * (share**4 - 4 * share**5 + 2 * squares * share**4)).sum())
    norm += 2 * second * fourth + squares**2 * second**2 + 2 * third**2 - 4 * squares * second * third
    return trace**2 / norm


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
