"""An entry in the formats that the Hugging Face Hub and Every Eval Ever read.

The Hub's formats have no field for an interval, a direction or the number of items: these go into the notes, and only
metrics of which more is better are published there, so that no reader sorts them the wrong way round.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from evalkit import __version__
from evalkit.leaderboard.files import write_text
from evalkit.leaderboard.protocol import get_protocol, open_benchmark
from evalkit.leaderboard.store import LoadedEntry
from evalkit.metrics.base import METRICS, Metric
from evalkit.scores.run import MetricSummary

EEE_VERSION = "0.3.0"
TASK_TYPE = "image-to-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One number as the Hub takes it: more is better."""

    task_id: str
    metric: Metric
    value: float
    low: float | None
    high: float | None
    summary: MetricSummary


def published(held: LoadedEntry) -> list[Published]:
    """The metrics of an entry that can be published: those of which more is better, and 1 less those in [0, 1]."""
    return list(_published(held))


def _published(held: LoadedEntry) -> Iterator[Published]:
    benchmark = get_protocol(held.entry.protocol).benchmark
    for name, summary in held.run.record.metrics.items():
        metric = METRICS.get(name)
        if summary.mean is None:
            continue
        task = f"{benchmark}_{name.replace(':', '_')}"
        if metric.higher_is_better:
            low, high = summary.ci_low, summary.ci_high
            yield Published(task_id=task, metric=metric, value=summary.mean, low=low, high=high, summary=summary)
        elif (metric.lowest, metric.highest) == (0, 1):
            ends = [None if end is None else 1 - end for end in (summary.ci_high, summary.ci_low)]
            yield Published(
                task_id=f"{benchmark}_one_minus_{name.replace(':', '_')}",
                metric=metric,
                value=1 - summary.mean,
                low=ends[0],
                high=ends[1],
                summary=summary,
            )


def write_formats(held: LoadedEntry, folder: Path, dataset_id: str, url: str) -> list[Path]:
    """Write an entry in all formats: two for the model's repository, one for the collection of Every Eval Ever."""
    benchmark = get_protocol(held.entry.protocol).benchmark
    contents = {
        f".eval_results/{benchmark}.yaml": _yaml(eval_results(held, dataset_id, url)),
        "model-index.yaml": _yaml({"model-index": model_index(held, dataset_id, url)}),
        every_eval_ever_path(held): json.dumps(every_eval_ever(held, dataset_id, url), indent=2) + "\n",
    }
    for name, text in contents.items():
        write_text(folder / name, text)
    return [folder / name for name in contents]


def eval_results(held: LoadedEntry, dataset_id: str, url: str) -> list[dict[str, Any]]:
    """The content of ``.eval_results/BENCHMARK.yaml`` in a model's repository.

    A ``verifyToken`` is never written: only Hugging Face can issue one.

    Args:
        held: The entry.
        dataset_id: The benchmark's data set on the Hub.
        url: Where the entry's per-item scores can be seen.
    """
    return [
        {
            "dataset": {"id": dataset_id, "task_id": one.task_id},
            "value": one.value,
            "date": held.entry.submitted.isoformat(),
            "source": {"url": url, "name": "evalkit leaderboard"},
            "notes": _notes(held, one),
        }
        for one in published(held)
    ]


def model_index(held: LoadedEntry, dataset_id: str, url: str) -> list[dict[str, Any]]:
    """The older ``model-index`` of a model card's front matter, made by huggingface_hub itself."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results = [
        EvalResult(
            task_type=TASK_TYPE,
            task_name="Text-guided image editing",
            dataset_type=dataset_id,
            dataset_name=open_benchmark(get_protocol(held.entry.protocol)).title,
            metric_type=one.task_id,
            metric_name=one.task_id,
            metric_value=one.value,
            metric_args={"notes": _notes(held, one)},
            source_name="evalkit leaderboard",
            source_url=url,
        )
        for one in published(held)
    ]
    index: list[dict[str, Any]] = eval_results_to_model_index(held.card.name, results)
    return index


def every_eval_ever(held: LoadedEntry, dataset_id: str, url: str) -> dict[str, Any]:
    """The record of Every Eval Ever, the one of these formats that has a place for uncertainty."""
    started = datetime.fromisoformat(held.run.record.started)
    return {
        "schema_version": EEE_VERSION,
        "evaluation_id": f"{held.entry.protocol}/{held.entry.method}/{int(started.timestamp())}",
        "retrieved_timestamp": str(int(started.timestamp())),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_name": "evalkit leaderboard",
            "source_organization_name": held.entry.submitter.organisation or held.entry.submitter.name,
            "evaluator_relationship": held.entry.submitter.relationship,
        },
        "model_info": {
            "name": held.card.title,
            "id": held.card.name,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        "eval_library": {"name": "evalkit", "version": held.run.record.versions.get("evalkit", __version__)},
        "evaluation_results": [
            _eee_result(name, summary, dataset_id, url, held.run.record.level)
            for name, summary in held.run.record.metrics.items()
            if summary.mean is not None
        ],
    }


def every_eval_ever_path(held: LoadedEntry) -> str:
    """Where the record goes in the collection: its name follows from the run, and is the same every time."""
    name = UUID(bytes=bytes.fromhex(held.entry.run_sha256)[:16], version=4)
    protocol = held.entry.protocol.replace("/", "_")
    return f"data/evalkit_{protocol}/{held.entry.submitter.relationship}/{held.card.name}/{name}.json"


def _eee_result(name: str, summary: MetricSummary, dataset_id: str, url: str, level: float) -> dict[str, Any]:
    metric = METRICS.get(name)
    config: dict[str, Any] = {
        "metric_id": name,
        "evaluation_description": metric.summary,
        "lower_is_better": not metric.higher_is_better,
        "score_type": "continuous",
    }
    if math.isfinite(metric.lowest) and math.isfinite(metric.highest):
        config |= {"min_score": metric.lowest, "max_score": metric.highest}
    details: dict[str, Any] = {"score": summary.mean}
    if summary.ci_low is not None and summary.ci_high is not None:
        interval = {
            "lower": summary.ci_low,
            "upper": summary.ci_high,
            "confidence_level": level,
            "method": f"{summary.interval}, {summary.n_groups} groups",
        }
        details["uncertainty"] = {"confidence_interval": interval, "num_samples": summary.n}
    return {
        "evaluation_name": name,
        "source_data": {"dataset_name": dataset_id, "source_type": "hf_dataset", "hf_repo": dataset_id, "url": [url]},
        "metric_config": config,
        "score_details": details,
    }


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text


def _notes(held: LoadedEntry, one: Published) -> str:
    known = one.low is not None and one.high is not None
    interval = f"{held.run.record.level:.0%} CI {one.low:.4g} to {one.high:.4g}; " if known else ""
    return (
        f"{interval}{one.summary.n} items in {one.summary.n_groups} groups; {held.entry.protocol}; "
        f"{held.level.replace('_', '-')}; {one.summary.signature}"
    )
