"""Comparisons made by hand: a known table, and every record filled in by textbook formulas."""

from itertools import combinations

import numpy as np

from evalkit.comparison.records import ComparedMethod, ComparedMetric, Comparison, PairResult, RankedMethod
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.stats.clusters import cluster_error, code_groups

METRICS = (
    ComparedMetric(
        name="clip_score",
        higher_is_better=True,
        family="alignment",
        primary=True,
        signature="clip_score|enc:open_clip/ViT-B-32-quickgelu/openai@0123456789ab|dtype:fp32|v:1|evalkit:0.1.0",
        margin=0.01,
    ),
    ComparedMetric(
        name="lpips",
        higher_is_better=False,
        family="preservation",
        primary=False,
        signature=None,
        margin=None,
    ),
)
NAMES = (
    "imagic", "identity", "plug-and-play", "pix2pix-zero with cross-attention guidance (500 steps)", "hiper", "sine",
    "prompt-to-prompt", "text2live", "diffusionclip", "mdp", "ledits++", "instruct-pix2pix",
)  # fmt: skip


def table_of(item_ids, rng, quality):
    """A method's scores; every fifth item ties with every other method's."""
    rows = []
    for i, item_id in enumerate(item_ids):
        easy = i % 5 == 0
        noise = rng.normal(0, 0.02, 2) if not easy else np.zeros(2)
        values = {
            "clip_score": round(0.25 + 0.03 * np.sin(i) + (0 if easy else quality) + noise[0], 6),
            "lpips": round(0.3 + 0.05 * np.cos(i) + (0 if easy else 3 * quality) - noise[0] / 2 + noise[1], 6),
        }
        rows.append(ItemScores(item_id=item_id, group=f"g{i // 2}", edit_type="style", values=values))
    return ScoreFrame.from_rows(rows, ("clip_score", "lpips"))


def pair_of(metric, a, b):
    """Two methods by a group-robust z test."""
    first, second = (method.table.item_means(metric.name) for method in (a, b))
    d = second.values - first.values
    n_groups = len(set(first.groups))
    mean, error = float(d.mean()), cluster_error(d, code_groups(first.groups)).error
    low, high = mean - 2 * error, mean + 2 * error
    sign = 1 if metric.higher_is_better else -1
    verdict = "inconclusive"
    if low > 0 or high < 0:
        verdict = "b_better" if sign * mean > 0 else "a_better"
    elif metric.margin and -metric.margin < low and high < metric.margin:
        verdict = "equivalent"
    p = float(np.exp(-0.717 * abs(mean) / error - 0.416 * (mean / error) ** 2))
    return PairResult(
        metric=metric.name, a=a.name, b=b.name, n_items=len(d), n_total=len(d), n_groups=n_groups, n_seeds=1,
        mean_a=float(first.values.mean()), mean_b=float(second.values.mean()),
        difference=mean, ci_low=low, ci_high=high, p_value=p, adjusted_p_value=min(1.0, 3 * p), how="monte_carlo",
        effect_size_dz=mean / float(d.std(ddof=1)), win=int((sign * d > 0).sum()), tie=int((d == 0).sum()),
        loss=int((sign * d < 0).sum()), minimum_detectable_effect=2.8 * error, equivalence_p_value=None,
        margin=metric.margin, equivalent=None if metric.margin is None else verdict == "equivalent", verdict=verdict,
        sentence=f"{b.name} − {a.name} = {mean:+.4f} {metric.name} [{low:+.4f}, {high:+.4f}]",
    )  # fmt: skip


SETTINGS = {
    "alpha": 0.05,
    "seed": 0,
    "test": "sign_flip",
    "correction": "holm",
    "exploratory_correction": "benjamini_hochberg",
    "groups": None,
    "n_flips": 9_999,
    "n_resamples": 9_999,
    "evalkit": "0.1.0",
    "power": 0.8,
}


def comparison_of(
    n_methods, *, names=NAMES, n_items=60, baseline=None, metrics=METRICS, folders=None, spread=0.03, item_ids=None
):
    """So many methods on two metrics, from the seed 0."""
    item_ids = item_ids or [f"item{i:03}" for i in range(n_items)]
    rng = np.random.default_rng(0)
    methods = tuple(
        ComparedMethod(
            name=name,
            source=f"runs/{number}",
            table=table_of(item_ids, rng, spread * (number // 2) / n_methods),
            folder=(folders or {}).get(name),
            n_items=len(item_ids),
            n_missing=0,
        )
        for number, name in enumerate(names[:n_methods])
    )
    together = [(a, b) for a, b in combinations(methods, 2) if baseline in (None, a.name, b.name)]
    pairs = tuple(pair_of(metric, a, b) for metric in metrics for a, b in together)
    return Comparison(
        methods=methods,
        metrics=tuple(metrics),
        pairs=pairs,
        ranking=tuple(row for metric in metrics for row in ranked(metric, methods)),
        cliques={} if baseline else {metric.name: cliques_of(metric.name, methods, pairs) for metric in metrics},
        benchmark="tedbench",
        baseline=baseline,
        settings={
            **SETTINGS,
            "n_items": len(item_ids),
            "n_grouped": len(item_ids),
            "n_groups": (len(item_ids) + 1) // 2,
        },
    )


def ranked(metric, methods):
    """Each method's mean with an interval, ranks by position."""
    means = {method.name: method.table.item_means(metric.name) for method in methods}
    order = sorted(means, key=lambda name: means[name].values.mean() * (-1 if metric.higher_is_better else 1))
    for position, name in enumerate(order, 1):
        mean = float(means[name].values.mean())
        error = cluster_error(means[name].values, code_groups(means[name].groups)).error
        yield RankedMethod(
            metric=metric.name, method=name, mean=mean, ci_low=mean - 2 * error, ci_high=mean + 2 * error,
            rank_low=max(1, position - 1), rank_high=min(len(order), position + 1), tied_with_best=position <= 2,
        )  # fmt: skip


def cliques_of(metric, methods, pairs):
    """The maximal sets of methods of which no two are told apart, by looking at every set."""
    apart = {frozenset((p.a, p.b)) for p in pairs if p.metric == metric and p.verdict.endswith("better")}
    names = [method.name for method in methods]
    free = [
        set(group)
        for size in range(len(names), 0, -1)
        for group in combinations(names, size)
        if not any(frozenset(two) in apart for two in combinations(group, 2))
    ]
    maximal = []
    for group in free:
        if not any(group < other for other in maximal):
            maximal.append(group)
    return tuple(tuple(sorted(group)) for group in maximal)
