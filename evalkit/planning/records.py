"""What is known before a study, and the plan of it, as records."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evalkit.stats.power import Design
from evalkit.stats.seeds import VarianceComponents
from evalkit.tables.exportable import Exportable, Shown

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What is known about the paired differences before the study."""

    standard_deviation: float
    """Of the items' differences, in the units of the scores."""
    intraclass_correlation: float
    """Of differences within a group, at least 0."""
    items_per_group: float
    """The mean of ``group_sizes``."""
    design_effect: float
    """How much the groups inflate the variance of the mean."""
    group_sizes: tuple[float, ...] = (1.0,)
    """Of the pilot's groups, whose mix the study keeps; one number for groups of one size."""
    n_items: int | None = None
    """Of the pilot; None where there was none."""
    n_groups: int | None = None
    components: VarianceComponents | None = None
    """Items against seeds, where both methods of the pilot have several."""
    miniature: bool = False
    """Whether the pilot was scored with a toy encoder."""
    notes: tuple[str, ...] = ()
    """Where these figures come from, and what was assumed."""

    @property
    def design(self) -> Design:
        """A study of such items, in groups of such sizes."""
        return Design(
            standard_deviation=self.standard_deviation,
            design_effect=self.design_effect,
            group_sizes=self.group_sizes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """What so many items can show."""

    items: int
    groups: int
    """Whole ones."""
    effect: float | None
    """Smallest true difference found with the power asked for; None where ``reason`` says why."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What an effect needs; None where no number up to a billion is enough."""

    effect: float
    items: int | None
    """In whole groups."""
    groups: int | None
    equivalence_items: int | None
    """Items that would show equivalence inside ± the effect, where there is no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsNeeded:
    """How many items people must label to find an effect, with a metric of all items beside their labels."""

    effect: float
    items: int
    """That are scored; the labelled ones are drawn from them at random."""
    labels: int | None
    """None where labelling all of them is not enough."""
    labels_alone: int | None
    """Without the metric; None where no number up to a billion is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedPlan:
    """How many items are needed with so many seeds per item; None where no number up to a billion is enough."""

    seeds: int
    items: int | None
    images: int | None
    """Edited images of both methods together: ``2 · seeds · items``."""
    standard_deviation: float
    """Of an item's difference, its seeds averaged."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StudyPlan(Exportable):
    """The answer to: how large must the study be?

    ``print(plan)`` shows the tables of the command, and a notebook shows them by itself.
    """

    basis: Basis
    detectable: tuple[Detectable, ...]
    needed: tuple[Needed, ...]
    seeds: tuple[SeedPlan, ...]
    """For the first effect; empty where the pilot has one seed."""
    alpha: float
    """After division by the number of comparisons."""
    family_alpha: float
    """Before it: of all comparisons together."""
    comparisons: int
    power: float
    fewest_groups: int
    """With fewer a sign-flip test can find nothing at this alpha."""
    fewest_items: int
    """In so many groups."""
    named_effects: bool
    """Whether somebody said what is to be found; else usual fractions of the standard deviation stand for it."""
    metric_correlation: float | None = None
    """Of people's labels with the metric, in the difference of two methods; None where no labels are planned."""
    labels: tuple[LabelsNeeded, ...] = ()
    """For each effect and number of items, where labels are planned."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for each number of items and for each effect: ``effect``, ``items``, ``groups``, ``equivalence_items``.

        ``given`` says which of them was asked about; for a pilot with several seeds further rows have ``seeds`` and
        ``images``. What no number of items shows is NaN.
        """
        import pandas

        answers: dict[str, tuple[Detectable | Needed | SeedPlan | LabelsNeeded, ...]] = {
            "items": self.detectable,
            "effect": self.needed,
            "seeds": self.seeds,
            "labels": self.labels,
        }
        return pandas.DataFrame([{"given": given, **asdict(row)} for given, rows in answers.items() for row in rows])

    def to_dict(self) -> dict[str, Any]:
        """The object that ``evalkit power --json`` prints."""
        return {
            "basis": asdict(self.basis),
            "detectable": [asdict(row) for row in self.detectable],
            "needed": [asdict(row) for row in self.needed],
            "seeds": [asdict(row) for row in self.seeds],
            **({"labels": [asdict(row) for row in self.labels]} if self.metric_correlation is not None else {}),
            "fewest": {"groups": self.fewest_groups, "items": self.fewest_items},
            "settings": {
                "comparisons": self.comparisons,
                "alpha": self.family_alpha,
                "power": self.power,
                "alpha_per_comparison": self.alpha,
            },
        }

    def _shown(self) -> Shown:
        from evalkit.planning.tables import shown_plan

        return shown_plan(self)
