"""Whether a metric orders edits as the truth, or people, do."""

from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.arrays import Floats
from evalkit.metrics.base import Metric
from evalkit.stats.agreement import item_agreement, rank_correlation
from evalkit.stats.clusters import Groups
from evalkit.stats.intervals import Estimate
from evalkit.validity.records import Agreement, Scope
from evalkit.validity.trial import CLOSENESS, RECOGNISED_V2, Trial

RESAMPLES = 1_999
_DECISIVE = {
    "alignment": ("edit_success", "edit_success:v2"),
    "preservation": (CLOSENESS, "attribute_preservation", *RECOGNISED_V2[1:]),
}
"""The truth that a family of metrics is about, the best first; what people said comes before."""


def agreements_of(metric: Metric, trial: Trial) -> list[Agreement]:
    """With every truth but itself: over all items, then by edit type; over the methods, then with the controls."""
    methods = trial.systems.methods
    controls = [system.name for system in trial.systems.others if system.kind == "control"]
    true = [] if trial.systems.true.name in methods else [trial.systems.true.name]
    scopes: dict[Scope, list[str]] = {"methods": methods, "all": [*methods, *controls, *true]}
    types = [None, *dict.fromkeys(item.edit_type for item in trial.items if item.edit_type)]
    found = []
    for truth, columns in trial.truths.items():
        for scope, names in scopes.items():
            known = [name for name in names if name in columns]
            if truth == metric.name or not known or (scope == "all" and len(known) == len(methods)):
                continue
            ours = {name: trial.values(name, metric.name) for name in known}
            found += [_agreement(metric, trial, ours, columns, truth, scope, edit_type) for edit_type in types]
    return found


def decisive(metric: Metric, agreements: Sequence[Agreement]) -> Agreement | None:
    """The agreement with the truth that the metric's family is about: of the methods alone, if there is one."""
    overall = [found for found in agreements if found.edit_type is None and found.value is not None]
    known = {*_DECISIVE["alignment"], *_DECISIVE["preservation"]}
    wanted = [found.truth for found in overall if found.truth not in known] + list(_DECISIVE.get(metric.family, ()))
    return next((found for name in wanted for found in overall if found.truth == name), None)


def _agreement(
    metric: Metric,
    trial: Trial,
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Floats],
    truth: str,
    scope: Scope,
    edit_type: str | None,
) -> Agreement:
    """Across the edits of an item; of one method over items: how difficult these are is then in both."""
    rows = np.array([edit_type in (None, item.edit_type) for item in trial.items])
    x, y = (np.stack([columns[name][rows] for name in ours], axis=1) for columns in (ours, theirs))
    groups = trial.groups.where(rows)
    if len(ours) == 1:
        sign = 1 if metric.higher_is_better else -1
        interval, undefined = _over_items(sign * x[:, 0], y[:, 0], groups, trial)
        n_items = interval.n_items
    else:
        better = metric.higher_is_better
        result = item_agreement(
            x, y, groups, higher_is_better=better, level=trial.level, n_resamples=RESAMPLES, seed=trial.seed
        )
        interval, n_items, undefined = result.correlation, result.n_items, dict(result.undefined)
    return Agreement(
        truth=truth,
        edit_type=edit_type,
        scope=scope,
        n_systems=len(ours),
        how="spearman over items" if len(ours) == 1 else "kendall within items",
        value=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        n_items=n_items,
        n_groups=interval.n_groups,
        undefined=undefined,
    )


def _over_items(x: Floats, y: Floats, groups: Groups, trial: Trial) -> tuple[Estimate, dict[str, int]]:
    """The rank correlation of two columns, and why items or all of it have none."""
    both = ~np.isnan(x) & ~np.isnan(y)
    found = rank_correlation(x[both], y[both], groups.where(both), level=trial.level)
    undefined = {} if both.all() else {"no value of both": int((~both).sum())}
    if found.value is None and found.reason:
        undefined[found.reason] = 1
    return found, undefined
