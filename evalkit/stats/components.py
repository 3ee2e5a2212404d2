"""Where the spread of a judge's answers comes from: items, what methods do to single items, and repeats."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerComponents:
    """Variance components of answers ``y_imk = μ_m + a_i + b_im + e_imk``: item i, method m, repeat k."""

    items: float
    """Variance of ``a_i``, which all methods' edits of an item share; never negative."""
    items_by_methods: float
    """Variance of ``b_im``, what a method does to one item more than to others; never negative."""
    repeats: float
    """Variance of ``e_imk``, between a judge's answers about one edit."""
    n_items: int
    n_methods: int
    n_repeats: int

    @property
    def shares(self) -> tuple[float, float, float]:
        """Those of items, items by methods and repeats in the variance of one answer, methods' means apart."""
        parts = (self.items, self.items_by_methods, self.repeats)
        return parts[0] / sum(parts), parts[1] / sum(parts), parts[2] / sum(parts)

    @property
    def share_in_difference(self) -> float:
        """What repeats make of the variance of two methods' mean difference: ``σ_e²/K`` of ``σ_b² + σ_e²/K``.

        >>> found = AnswerComponents(items=4, items_by_methods=3, repeats=2, n_items=9, n_methods=2, n_repeats=2)
        >>> found.share_in_difference, found.narrowing
        (0.25, 0.1339745962155614)
        """
        of_mean = self.repeats / self.n_repeats
        return of_mean / (self.items_by_methods + of_mean) if of_mean else 0.0

    @property
    def narrowing(self) -> float:
        """By what share of its width repeats without end would narrow the difference's interval."""
        return 1 - math.sqrt(1 - self.share_in_difference)


def answer_components(tables: Sequence[Floats]) -> AnswerComponents | None:
    """The components by the analysis of variance of items × methods with repeats (Henderson's method I, balanced).

    ``σ_e² = MS_e``, ``σ_b² = (MS_im − MS_e)/K``, ``σ_a² = (MS_i − MS_im)/(KM)``, each at least 0. They describe the
    answers; no test rests on them. Methods are the ones that are compared, no sample: their means are taken out.

    Args:
        tables: ``(n, repeats)`` of each method, the items the same; NaN where there is no answer. Items with every
            answer count, and as many repeats as all methods have.

    Returns:
        None for fewer than two items, methods or repeats, or where all answers about an item are the same for all.
    """
    n_repeats = min((table.shape[1] for table in tables), default=0)
    if len(tables) < 2 or n_repeats < 2:
        return None
    answers = np.stack([table[:, :n_repeats] for table in tables], axis=1)
    answers = answers[np.isfinite(answers).all(axis=(1, 2))]
    n_items, n_methods, _ = answers.shape
    if n_items < 2:
        return None
    cells = answers.mean(axis=2)
    cells = cells - cells.mean(axis=0)
    of_items = cells.mean(axis=1)
    error = float(answers.var(axis=2, ddof=1).mean())
    by_method = n_repeats * float(np.square(cells - of_items[:, None]).sum()) / ((n_items - 1) * (n_methods - 1))
    by_item = n_repeats * n_methods * float(np.square(of_items).sum()) / (n_items - 1)
    found = AnswerComponents(
        items=max(0.0, (by_item - by_method) / (n_repeats * n_methods)),
        items_by_methods=max(0.0, (by_method - error) / n_repeats),
        repeats=error,
        n_items=n_items,
        n_methods=n_methods,
        n_repeats=n_repeats,
    )
    return found if found.items + found.items_by_methods + found.repeats > 0 else None
