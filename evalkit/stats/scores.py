"""What a comparison of methods is given: every method's scores on the same items, and what is asked of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from evalkit.arrays import Floats, Mask
from evalkit.errors import OptionError
from evalkit.stats.clusters import EXACT_INTEGERS, GRID, to_steps
from evalkit.stats.multiplicity import Correction
from evalkit.stats.power import POWER

Test = Literal["sign_flip", "t", "wilcoxon"]
_USUAL = 1e-2
"""Metrics whose typical score is smaller are counted in millionths of it, all others in steps of 1e-6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """How methods are compared and ranked."""

    baseline: str | None = None
    """Compare each other method with this one only; None for all pairs."""
    alpha: float = 0.05
    """Error rate of each family; intervals have level 1 − alpha."""
    power: float = POWER
    """For the minimum detectable effect and the items needed."""
    seed: int = 0
    """Determines every random number."""
    test: Test = "sign_flip"
    """Where the p-values come from: ``sign_flip``, ``t`` (cluster-robust) or ``wilcoxon``, which is about ranks."""
    correction: Correction = "holm"
    """Of the primary metrics' p-values. The exploratory ones get Benjamini–Hochberg (or ``by``, ``none`` where that was
    asked for)."""
    n_permutations: int | None = None
    """Random permutations of signs; None for 99,999, or 9,999 where there are many comparisons."""
    n_resamples: int = 9_999
    """Bootstrap resamples behind the tests of equivalence."""


@dataclass(frozen=True, kw_only=True)
class MetricScores:
    """What every method scored on one metric."""

    metric: str
    scores: Mapping[str, Floats]
    """Method to ``(n, seeds)``, NaN where there is no value; the items are the same for all."""
    higher_is_better: bool
    direction_known: bool = True
    """Whether it is known which way is better; nobody is decided to be better otherwise."""
    primary: bool = True
    """Whether its p-values form the confirmatory family."""
    margin: float | None = None
    """Differences smaller than this do not matter; None where nobody said so."""
    range: tuple[float | None, float | None] = (None, None)
    """The metric's least and greatest value, None where it has none."""
    is_rate: bool = False
    """Whether the scores are means of zeros and ones."""
    unranked: Mapping[str, str] = field(default_factory=dict)
    """The methods that cannot be ranked, each with the reason. All others are compared on the same items."""
    not_run: Mapping[str, Mask] = field(default_factory=dict)
    """Method to ``(n,)``: items that it was not run on. Where it was and has no value the metric is undefined."""
    failed: Mapping[str, Mask] = field(default_factory=dict)
    """Method to ``(n,)``: items whose edit failed; their scores were given, not measured."""
    assisted_by: "MetricScores | None" = None
    """Where people labelled some of the items, and these scores are their labels: a metric of all of them."""
    seed_labels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Method to the names of its columns' seeds, None where they have none. Equal names are one and the same seed."""

    own_repeats: bool = False
    """Whether each item's columns are repeats of its own, as of a judge: the items of a column share nothing."""

    def __post_init__(self) -> None:
        """Raise an OptionError unless every method has a finite table of the same items."""
        tables = list(self.scores.values())
        if any(table.ndim != 2 or len(table) != len(tables[0]) or np.isinf(table).any() for table in tables):
            raise OptionError(
                f"Scores on {self.metric} must be finite, items × seeds of the same items, and NaN where there is none."
            )

    @cached_property
    def grid(self) -> float:
        """The step to which scores are rounded, so that ties are ties and sums are exact.

        It follows the typical score and the spread between methods, not the largest score: what all methods have in
        common, however large, costs no difference its digits.
        """
        known = np.abs(self._exact[~np.isnan(self._exact)])
        typical = float(np.median(known[known > 0])) if known.any() else 1.0
        grid = GRID if typical >= _USUAL else GRID * 10.0 ** (math.floor(math.log10(typical)) + 1)
        total = float(np.nansum(np.abs(self._centred(grid)), axis=0).max(initial=0.0))
        # Twice, since differences of two columns are summed.
        return grid * 10.0 ** max(0, math.ceil(math.log10(max(1.0, 2 * total / grid / EXACT_INTEGERS))))

    @cached_property
    def means(self) -> Floats:
        """``(n, methods)``: the mean over each item's seeds, on the grid; NaN for an item without any."""
        return np.rint(self._exact / self.grid) / (1 / self.grid)

    @cached_property
    def steps(self) -> Floats:
        """``(n, methods)`` means in whole steps of the grid, less what an item's methods have in common."""
        return to_steps(self._centred(self.grid), self.grid)

    @cached_property
    def _exact(self) -> Floats:
        return np.stack([_seed_means(table) for table in self.scores.values()], axis=1)

    def _centred(self, grid: float) -> Floats:
        """The means less each item's first, itself rounded to the grid."""
        present = ~np.isnan(self._exact)
        first = np.take_along_axis(self._exact, present.argmax(axis=1)[:, None], axis=1)
        return self._exact - np.rint(first / grid) * grid

    @property
    def width(self) -> float | None:
        """From the metric's least value to its greatest; None where it lacks one."""
        low, high = self.range
        return None if low is None or high is None else high - low

    @property
    def ranked(self) -> list[str]:
        """The methods that can be ranked."""
        return [name for name in self.scores if name not in self.unranked]


def _seed_means(table: Floats) -> Floats:
    """Mean over each item's seeds; NaN for an item without any. ``(n, seeds)`` to ``(n,)``."""
    counts = (~np.isnan(table)).sum(axis=1)
    return np.where(counts > 0, np.nansum(table, axis=1) / np.maximum(counts, 1), np.nan)
