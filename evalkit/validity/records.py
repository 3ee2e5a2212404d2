"""What was found out about metrics, as records: everything that its table, figure and page show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ControlKind = Literal["control", "caption", "damage"]
Scope = Literal["methods", "all"]
Measure = Literal["pairwise accuracy", "soft pairwise accuracy"]
OTHER_SOURCE = "shuffled_source"
"""The control that is another picture."""


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
class PairwiseAgreement:
    """How a metric agrees with people in pairs of edits, and in pairs of methods."""

    truth: str
    n_systems: int
    n_items: int
    """Items that every method has a label and a value on."""
    n_groups: int
    accuracy: float | None = None
    """Share of pairs of edits of an item that are ordered as people order them, ties included (Deutsch et al. 2023)."""
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    threshold: float | None = None
    """Differences of the metric up to this count as ties."""
    n_pairs: int = 0
    n_ties: int = 0
    """Pairs that people tie."""
    soft: float | None = None
    """1 less the mean distance of one-sided p-values between methods (Thompson et al. 2024)."""
    soft_low: float | None = None
    soft_high: float | None = None
    reason: str | None = None
    """Why a figure is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricContrast:
    """Two metrics held against people, on the items that both have."""

    truth: str
    first: str
    second: str
    measure: Measure
    difference: float
    """First less second; above 0 the first agrees more."""
    p_value: float
    """Two-sided, permuting both inputs (PERM-BOTH; Deutsch, Dror & Roth 2021)."""
    adjusted_p_value: float | None = None
    """By Holm, over all pairs of metrics on this measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValidity:
    """What the trials of one metric found: its controls, its agreement with the truth, and the verdict."""

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
    people: PairwiseAgreement | None = None
    """Where people labelled edits of two methods or more."""

    @property
    def label(self) -> str:
        """Its name with an arrow towards the better values."""
        return f"{self.metric} {'↑' if self.higher_is_better else '↓'}"

    def against(self, control: str) -> AgainstControl | None:
        """The metric beside a control, where it was tried."""
        return next((found for found in self.controls if found.control == control), None)

    def agreement(self, truth: str, scope: Scope, edit_type: str | None = None) -> Agreement | None:
        """The metric beside a truth, where both are known."""
        wanted = (truth, scope, edit_type)
        return next((a for a in self.agreements if (a.truth, a.scope, a.edit_type) == wanted), None)

    def relative_shift(self, control: str) -> float | None:
        """How far damage moves the mean, in shares of the way to another picture; negative is worse."""
        damage, other = self.against(control), self.against(OTHER_SOURCE)
        if damage is None or other is None or not other.shift or damage.shift is None:
            return None
        return (1 if self.higher_is_better else -1) * damage.shift / abs(other.shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A mean over items with its interval by group."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_items: int
    reason: str | None = None
    """Why there is no value, or no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What another form of the same pictures does to a judge's numbers."""

    image: str
    """How pictures were sent: ``1024-jpeg95``."""
    shift: Rate
    """Mean of that form minus the usual one, on the true edits."""
    distance: float | None
    """Mean absolute difference on them: a shift of 0 may hide large ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeWorth:
    """What a judge's numbers are worth on one criterion, or on what is combined of them."""

    metric: str
    repeats: int
    n_answers: int
    n_unread: int
    """Answers without scores."""
    differing: Rate
    """How often two answers about the same edit differ."""
    distance: float | None
    """By how much they do, on average, those that agree among them."""
    reversing: Rate
    """Of two edits of an item that one answer ranks, how often another answer about both ranks them the other way
    round; a tie is no ranking."""
    drifts: tuple[Drift, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEffect:
    """What the order of two edits does to a judge that says which is better."""

    others: tuple[str, ...]
    """Whose edits stood beside the true ones, one of them for each item."""
    n_answers: int
    """Two for each item."""
    n_unread: int
    """Answers that name no choice, or that could not be had."""
    changed: Rate
    """How often the choice is another one when the sides are swapped."""
    left: Rate
    """How much oftener the left edit is chosen than the right one, in [−1, 1]; 0 for a judge without position bias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The trials of several metrics on the edits of one benchmark."""

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
    contrasts: tuple[MetricContrast, ...] = ()
    """Every two metrics, where people labelled edits of two methods or more."""
    judge: tuple[JudgeWorth, ...] = ()
    """Whether the judge behind some of the metrics agrees with itself, for each of them."""
    order: OrderEffect | None = None
    """What the order of two edits does to that judge; None without one."""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """That no answer of the judge could be read."""

    @property
    def truths(self) -> list[str]:
        """The truths that metrics were held against, in order."""
        return list(dict.fromkeys(found.truth for metric in self.metrics for found in metric.agreements))

    def controls(self, *, damage: bool) -> list[str]:
        """The names of the controls, or of the kinds of damage, in order."""
        tried = (found for metric in self.metrics for found in metric.controls)
        return list(dict.fromkeys(found.control for found in tried if (found.kind == "damage") == damage))

    @property
    def true_edit_words(self) -> str:
        """What was taken for the true edit, in words."""
        return "reference edit" if self.true_edit == "reference" else f"edit of {self.true_edit}"
