"""What was found out about metrics, as records: everything that its table, figure and page show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ControlKind = Literal["control", "caption", "damage"]
Scope = Literal["methods", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstControl:
    """A metric on the true edits beside a control on the same items. A None has its reason in ``reason``."""

    control: str
    kind: ControlKind
    """Another picture, other captions, or the true edit after it was damaged."""
    n_items: int
    """Items on which both have a value."""
    n_groups: int
    probability: float | None
    """That the true edit scores better on the same item; ties count half."""
    ci_low: float | None
    ci_high: float | None
    area: float | None
    """The same over any two items: the area under the ROC curve."""
    n_ties: int
    mean: float | None
    """Of the control."""
    shift: float | None
    """Mean of control minus true edit on the same items, in the metric's own unit and sign."""
    shift_low: float | None
    shift_high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a metric agrees with the truth or with people."""

    truth: str
    edit_type: str | None
    """None for all of them."""
    scope: Scope
    """Over the given methods, or over these and the controls."""
    n_systems: int
    how: Literal["kendall within items", "spearman over items"]
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_items: int
    """Items with a correlation."""
    n_groups: int
    undefined: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of items without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValidity:
    """One metric."""

    metric: str
    family: str
    higher_is_better: bool
    signature: str
    n_items: int
    """Items on which the true edit has a value."""
    n_undefined: int
    mean: float | None
    """Of the true edits."""
    floor_share: float | None
    """Share of the methods' edits, or without methods of the true ones, within a hundredth of the range of its worse
    end; None for an unbounded range."""
    ceiling_share: float | None
    controls: tuple[AgainstControl, ...]
    agreements: tuple[Agreement, ...]
    findings: tuple[str, ...]
    """What is wrong with it, the gravest first."""
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """Several metrics on one benchmark."""

    benchmark: str
    benchmark_version: str
    true_edit: str
    """``reference``, or the method whose edits were taken for it."""
    methods: tuple[str, ...]
    n_items: int
    n_groups: int
    level: float
    seed: int
    miniature: bool
    """Whether a toy encoder took part."""
    metrics: tuple[MetricValidity, ...]
    notes: tuple[str, ...] = ()
