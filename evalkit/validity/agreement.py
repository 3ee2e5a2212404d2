"""Whether a metric orders edits as the truth, or people, do."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evalkit.arrays import Floats
from evalkit.metrics.base import Metric
from evalkit.stats.agreement import item_agreement, rank_correlation
from evalkit.validity.records import Agreement, Scope
from evalkit.validity.trial import Trial, Truth
from evalkit.validity.values import CLOSENESS

RESAMPLES = 1_999
_DECISIVE = {"alignment": ("edit_success",), "preservation": (CLOSENESS, "attribute_preservation")}
"""The truth that a family of metrics is about, the best first; what people said comes before."""


def agreements_of(metric: Metric, trial: Trial) -> list[Agreement]:
    """With every truth but itself: over all items, then by edit type; over the methods, then with the controls."""
    methods = [system.name for system in trial.systems.others if system.kind == "method"]
    controls = [system.name for system in trial.systems.others if system.kind == "control"]
    true = [] if trial.systems.true.name in methods else [trial.systems.true.name]
    scopes: dict[Scope, list[str]] = {"methods": methods, "all": [*methods, *controls, *true]}
    types: list[str | None] = [None, *dict.fromkeys(kind for kind in trial.edit_types if kind)]
    found = []
    for truth in trial.truths:
        for scope, names in scopes.items():
            held = [name for name in names if name in truth.columns]
            if truth.name == metric.name or not held or (scope == "all" and len(held) == len(methods)):
                continue
            found += [_agreement(metric, trial, truth, scope, held, kind) for kind in types]
    return [agreement for agreement in found if agreement]


def _agreement(
    metric: Metric, trial: Trial, truth: Truth, scope: Scope, names: Sequence[str], edit_type: str | None
) -> Agreement | None:
    rows = np.array([edit_type in (None, kind) for kind in trial.edit_types])
    groups = [group for group, kept in zip(trial.groups, rows, strict=True) if kept]
    ours = np.stack([trial.values(name, metric.name)[rows] for name in names], axis=1)
    theirs = np.stack([truth.columns[name].at(trial.items)[rows] for name in names], axis=1)
    if len(names) == 1:
        return _over_items(metric, trial, ours[:, 0], theirs[:, 0], groups, truth, edit_type)
    result = item_agreement(
        ours,
        theirs,
        groups,
        higher_is_better=metric.higher_is_better,
        level=trial.level,
        n_resamples=RESAMPLES,
        seed=trial.seed,
    )
    interval = result.correlation
    return Agreement(
        truth=truth.name,
        edit_type=edit_type,
        scope=scope,
        n_systems=len(names),
        how="kendall within items",
        value=interval.mean,
        ci_low=interval.low,
        ci_high=interval.high,
        n_items=result.n_items,
        n_groups=interval.n_groups,
        undefined=result.undefined,
    )


def _over_items(
    metric: Metric,
    trial: Trial,
    ours: Floats,
    theirs: Floats,
    groups: Sequence[str],
    truth: Truth,
    edit_type: str | None,
) -> Agreement | None:
    """One method: whether items that people like more score higher; how difficult items are is in both."""
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    sign = 1 if metric.higher_is_better else -1
    labels = [group for group, kept in zip(groups, both, strict=True) if kept]
    found = rank_correlation(
        sign * ours[both], theirs[both], labels, level=trial.level, n_resamples=RESAMPLES, seed=trial.seed
    )
    missing = Counter({"no value of both": int((~both).sum())}) + Counter()
    return Agreement(
        truth=truth.name,
        edit_type=edit_type,
        scope="methods",
        n_systems=1,
        how="spearman over items",
        value=found.value,
        ci_low=found.low,
        ci_high=found.high,
        n_items=found.n_items,
        n_groups=found.n_groups,
        undefined={**missing, **({found.reason: 1} if found.value is None and found.reason else {})},
    )


def decisive(metric: Metric, agreements: Sequence[Agreement]) -> Agreement | None:
    """The agreement with the truth that the metric's family is about: of the methods alone, if there is one."""
    overall = [found for found in agreements if found.edit_type is None and found.value is not None]
    known = {*_DECISIVE["alignment"], *_DECISIVE["preservation"]}
    wanted = [found.truth for found in overall if found.truth not in known] + list(_DECISIVE.get(metric.family, ()))
    return next((found for name in wanted for found in overall if found.truth == name), None)
