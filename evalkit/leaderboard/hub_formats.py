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
from evalkit.leaderboard.protocol import covered_benchmark
from evalkit.leaderboard.records_io import write_text
from evalkit.leaderboard.store import LoadedEntry
from evalkit.metrics.base import METRICS
from evalkit.scores.run import MetricSummary

EEE_VERSION = "0.3.0"
TASK_TYPE = "image-to-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubResult:
    """One number as the Hub takes it: more is better."""

    task_id: str
    value: float
    notes: str
    """Interval, size, protocol, verification and signature."""


def hub_results(entry: LoadedEntry) -> Iterator[HubResult]:
    """The metrics of an entry that can be published: those of which more is better, and 1 less those in [0, 1]."""
    benchmark = entry.protocol.benchmark
    for name, summary in entry.metrics.items():
        metric, task = METRICS.get(name), name.replace(":", "_")
        if summary.mean is None:
            continue
        if metric.higher_is_better:
            notes = _notes(entry, summary, summary.ci_low, summary.ci_high)
            yield HubResult(task_id=f"{benchmark}_{task}", value=summary.mean, notes=notes)
        elif (metric.lowest, metric.highest) == (0, 1):
            low, high = (None if end is None else 1 - end for end in (summary.ci_high, summary.ci_low))
            notes = _notes(entry, summary, low, high)
            yield HubResult(task_id=f"{benchmark}_one_minus_{task}", value=1 - summary.mean, notes=notes)


def _notes(entry: LoadedEntry, summary: MetricSummary, low: float | None, high: float | None) -> str:
    known = low is not None and high is not None
    interval = f"{entry.run.record.level:.0%} CI {low:.4g} to {high:.4g}; " if known else ""
    return (
        f"{interval}{summary.n} items in {summary.n_groups} groups; {entry.record.protocol}; "
        f"{entry.level.replace('_', '-')}; {summary.signature}"
    )


def write_formats(entry: LoadedEntry, folder: Path, dataset_id: str, url: str) -> list[Path]:
    """Write an entry in all formats: two for the model's repository, one for the collection of Every Eval Ever."""
    benchmark = entry.protocol.benchmark
    contents = {
        f".eval_results/{benchmark}.yaml": _yaml(eval_results(entry, dataset_id, url)),
        "model-index.yaml": _yaml({"model-index": model_index(entry, dataset_id, url)}),
        every_eval_ever_path(entry): json.dumps(every_eval_ever(entry, dataset_id, url), indent=2) + "\n",
    }
    for name, text in contents.items():
        write_text(folder / name, text)
    return [folder / name for name in contents]


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text


def eval_results(entry: LoadedEntry, dataset_id: str, url: str) -> list[dict[str, Any]]:
    """The content of ``.eval_results/BENCHMARK.yaml`` in a model's repository.

    A ``verifyToken`` is never written: only Hugging Face can issue one.

    Args:
        entry: The entry.
        dataset_id: The benchmark's data set on the Hub.
        url: Where the entry's per-item scores can be seen.
    """
    return [
        {
            "dataset": {"id": dataset_id, "task_id": result.task_id},
            "value": result.value,
            "date": entry.record.submitted.isoformat(),
            "source": {"url": url, "name": "evalkit leaderboard"},
            "notes": result.notes,
        }
        for result in hub_results(entry)
    ]


def model_index(entry: LoadedEntry, dataset_id: str, url: str) -> list[dict[str, Any]]:
    """The older ``model-index`` of a model card's front matter, made by huggingface_hub itself."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    title = covered_benchmark(entry.protocol).title
    results = [
        EvalResult(
            task_type=TASK_TYPE,
            task_name="Text-guided image editing",
            dataset_type=dataset_id,
            dataset_name=title,
            metric_type=result.task_id,
            metric_name=result.task_id,
            metric_value=result.value,
            metric_args={"notes": result.notes},
            source_name="evalkit leaderboard",
            source_url=url,
        )
        for result in hub_results(entry)
    ]
    index: list[dict[str, Any]] = eval_results_to_model_index(entry.card.name, results)
    return index


def every_eval_ever(entry: LoadedEntry, dataset_id: str, url: str) -> dict[str, Any]:
    """The record of Every Eval Ever, the one of these formats that has a field for uncertainty."""
    record, submitter = entry.run.record, entry.record.submitter
    started = int(datetime.fromisoformat(record.started).timestamp())
    return {
        "schema_version": EEE_VERSION,
        "evaluation_id": f"{entry.name}/{started}",
        "retrieved_timestamp": str(started),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_name": "evalkit leaderboard",
            "source_organization_name": submitter.organisation or submitter.name,
            "evaluator_relationship": submitter.relationship,
        },
        "model_info": {
            "name": entry.card.title,
            "id": entry.card.name,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        "eval_library": {"name": "evalkit", "version": record.versions.get("evalkit", __version__)},
        "evaluation_results": [
            _eee_result(name, summary, dataset_id, url, record.level)
            for name, summary in entry.metrics.items()
            if summary.mean is not None
        ],
    }


def every_eval_ever_path(entry: LoadedEntry) -> str:
    """Where the record goes in the collection: its name follows from the run, and is the same every time."""
    name = UUID(bytes=bytes.fromhex(entry.record.run_sha256)[:16], version=4)
    protocol = entry.record.protocol.replace("/", "_")
    return f"data/evalkit_{protocol}/{entry.record.submitter.relationship}/{entry.card.name}/{name}.json"


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
