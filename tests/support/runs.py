"""Run directories with scores of one's own choice, written as scoring would write them."""

import numpy as np

from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.run import FolderRecord, MetricSummary, RunRecord, ScoredRun, write_run

A = [0.20, 0.21, 0.25, 0.22, 0.19, 0.24]
B = [0.30, 0.41, 0.55, 0.32, 0.39, 0.64]  # better by .1, .2, .3, .1, .2, .4
FIELDS = {"enc": "fake/net@0123", "img": "224-bicubic", "tpl": "none", "dtype": "fp32", "v": "1", "evalkit": "0.1.0"}


def write_scores(
    directory, scores, *, groups=None, seeds=None, ids=None, reasons=None, lower=(), status=None, n_floored=0, **more
):
    """A run directory named after its folder; ``scores`` is metric to values, None where undefined.

    ``more`` overrides fields of the record, and of the signatures those of FIELDS.
    """
    n = len(next(iter(scores.values())))
    ids = ids or [f"item_{number}" for number in range(n)]
    groups = groups or ids
    fields = {**FIELDS, **{key: more.pop(key) for key in list(more) if key in FIELDS}}
    rows = []
    for number in range(n):
        values = {metric: column[number] for metric, column in scores.items()}
        why = {metric: (reasons or {}).get(metric, "equal_images") for metric, value in values.items() if value is None}
        rows.append(
            ItemScores(
                item_id=ids[number],
                group=groups[number],
                seed=None if seeds is None else seeds[number],
                status=(status or {}).get(ids[number], "ok"),
                values=values,
                reasons=why,
            )
        )
    line = "|".join(f"{key}:{value}" for key, value in fields.items())
    summaries = {
        metric: MetricSummary(
            mean=None, ci_low=None, ci_high=None, n=n, n_groups=n, n_undefined=0, undefined={}, n_floored=n_floored,
            higher_is_better=metric not in lower, interval="group_t", signature=f"{metric}|{line}",
        )
        for metric in scores
    }  # fmt: skip
    record = {
        "run": directory.name, "method": None, "benchmark": "tedbench", "benchmark_version": "1", "n_items": n,
        "n_edited": n, "missing": "fail", "level": 0.95, "encoders": {}, "problems": [], "items_sha256": "",
        "versions": {"evalkit": fields["evalkit"]}, "started": "2026-01-01T00:00:00", "seconds": 0.0,
        "n_encoded_images": 0, "n_encoded_texts": 0, **more,
    }  # fmt: skip
    folder = FolderRecord(path=str(directory.parent / "edits"), layout="manifest", digest="", n_files=n, n_matched=n)
    table = ScoreFrame.from_rows(rows, tuple(scores))
    write_run(directory, ScoredRun(record=RunRecord(folder=folder, metrics=summaries, **record), table=table))
    return directory


def random_runs(root, names, *, n=30, seed=0, metrics=("clip_score",), groups=None, lower=()):
    """Runs of normal scores, each method a little better than the one before."""
    rng = np.random.default_rng(seed)
    base = rng.normal(0.25, 0.05, n)
    return [
        write_scores(
            root / name,
            {metric: (base + 0.01 * place + rng.normal(0, 0.02, n)).tolist() for metric in metrics},
            groups=groups,
            lower=lower,
        )
        for place, name in enumerate(names)
    ]
