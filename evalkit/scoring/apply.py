"""Score an edit folder: vectors first, then each metric over the items, then means with intervals."""

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from evalkit import __version__
from evalkit.edits.duplicates import duplicates, edits_digest
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem, Problem
from evalkit.encoders.base import AnyEncoder
from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import MissingItemsError
from evalkit.formatting import listed
from evalkit.images.pairs import MASK_RULE, SIZE_RULE
from evalkit.metrics.base import Metric, Signature
from evalkit.results.item_rows import ItemRows, ItemScores
from evalkit.scores.frame import ScoreTable
from evalkit.scores.run import EncoderRecord, FolderRecord, MetricSummary, ProblemRecord, RunRecord, ScoredRun
from evalkit.scoring.features import Features
from evalkit.scoring.requests import missing_fields, plan_features
from evalkit.scoring.workers import Workers
from evalkit.stats.intervals import group_t_interval, group_wilson_interval
from evalkit.storage.prefetch import Progress, in_batches, no_progress
from evalkit.storage.remote import origin_of

Missing = Literal["fail", "floor", "intersect"]
CHUNK = 2000
"""Items whose vectors are in memory at a time; at 512 numbers, two images and two texts each, 17 MB at most."""
_NAMED = 10
"""Missing items that an error names before it only counts them."""
LIBRARIES = ("numpy", "pillow", "torch", "open_clip_torch", "transformers")


def score_folder(
    folder: EditFolder,
    metrics: Sequence[Metric],
    encoders: Mapping[str, AnyEncoder],
    cache: EmbeddingCache,
    *,
    name: str,
    benchmark_version: str | None = None,
    protocol: str | None = None,
    missing: Missing = "fail",
    level: float = 0.95,
    batch_size: int = 32,
    problems: Sequence[Problem] = (),
    workers: Workers | None = None,
    progress: Progress = no_progress,
) -> ScoredRun:
    """Score every item of a folder.

    Args:
        folder: What to score.
        metrics: Which metrics.
        encoders: By the names that the metrics' features use.
        cache: Where vectors are kept between runs.
        name: The run's name.
        benchmark_version: Of the benchmark that the folder's items belong to.
        protocol: The name of the one that the run keeps to, for the record.
        missing: What an absent or unreadable edited image means: ``fail`` scores nothing, ``floor`` gives it each
            metric's floor, ``intersect`` leaves it out. An edit that its method declared failed is always floored.
        level: Coverage of the intervals.
        batch_size: Images per pass of the network; it does not change a score.
        problems: What was found wrong before, to be recorded with the run.
        workers: Workers elsewhere that encode and compare; by default this process does.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        MissingItemsError: Under ``missing="fail"``, edited images are absent or unreadable.
        EncoderError: An encoder cannot be loaded.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    if missing == "fail":
        _refuse_missing(folder.items)
    features = Features(encoders, cache, batch_size=batch_size, workers=workers, progress=progress)
    rows, digests = ItemRows(), dict[Path, str]()
    for chunk in in_batches(folder.items, CHUNK):
        features.prepare(plan_features(metrics, chunk))
        items = [_without_unreadable(item, features.unreadable) for item in chunk]
        digests |= features.digests
        if missing != "fail" or not features.unreadable:  # else the others are encoded, and that is all
            rows.extend(_score_chunk(items, metrics, features, missing))
        progress("scoring items", len(rows), len(folder.items))
    unreadable = tuple(
        Problem(code="unreadable_image", message=message, path=path) for path, message in features.unreadable.items()
    )
    if missing == "fail":
        _refuse_unreadable(unreadable)
    table = ScoreTable(metrics=tuple(metric.name for metric in metrics), rows=rows)
    readable = {path: digest for path, digest in digests.items() if path not in features.unreadable}
    found = [*problems, *folder.problems, *unreadable, *duplicates(folder.items, readable)]
    if features.cache_failure:
        found.append(Problem(code="cache_unavailable", message=features.cache_failure))
    record = RunRecord(
        run=name,
        method=folder.method,
        benchmark=folder.benchmark,
        benchmark_version=benchmark_version,
        protocol=protocol,
        folder=FolderRecord(
            path=origin_of(folder.root),
            layout=folder.layout,
            digest=edits_digest(folder.items, digests),
            n_files=folder.n_files,
            n_matched=folder.n_matched,
            opened_with=dict(folder.opened_with),
        ),
        n_items=rows.n_items,
        n_edited=int(rows.is_ok().sum()),
        missing=missing,
        level=level,
        metrics={
            metric.name: _summary(metric, table, signature(metric, encoders.get(metric.encoder), missing), level)
            for metric in metrics
        },
        encoders={name: _encoder_record(encoder) for name, encoder in encoders.items()},
        problems=[ProblemRecord(code=p.code, item_id=p.item_id, message=p.message) for p in found],
        items_sha256="",
        versions=_versions(),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        n_encoded_images=features.n_encoded_images,
        n_encoded_texts=features.n_encoded_texts,
        n_compared_pairs=features.n_compared_pairs,
    )
    return ScoredRun(record=record, table=table)


def signature(metric: Metric, encoder: AnyEncoder | None, missing: Missing = "fail") -> Signature:
    """Everything that can change the numbers of a metric, through an encoder or from the pixels themselves."""
    image = []
    if metric.pair:
        image = [SIZE_RULE, *([MASK_RULE] if metric.pair.masked else [])]
    if encoder and encoder.spec.preprocess.mode != "native":
        image.append(encoder.spec.preprocess.label)
    return Signature(
        metric=metric.name,
        encoder=encoder.spec.label if encoder else "none",
        image="+".join(image),
        template=metric.template,
        dtype=encoder.spec.precision if encoder else "fp64",
        version=metric.version,
        evalkit=__version__,
        missing=missing,
    )


def _refuse_missing(items: Iterable[EditItem]) -> None:
    absent = [item for item in items if item.status == "missing"]
    if absent:
        total = len(absent)
        raise MissingItemsError(
            f"{total} item{'s have' if total > 1 else ' has'} no edited image: "
            f"{listed([item.label for item in absent], _NAMED)}. "
            "Nothing was scored. Add them, or say how to treat them: --missing floor (the worst score) or "
            "--missing intersect (left out)."
        )


def _refuse_unreadable(unreadable: Sequence[Problem]) -> None:
    if unreadable:
        raise MissingItemsError(
            f"{len(unreadable)} image{'s' if len(unreadable) > 1 else ''} cannot be read: "
            f"{listed([problem.message for problem in unreadable], _NAMED)} "
            "Nothing was scored; what was encoded is kept. Replace them, or say how to treat them: --missing floor or "
            "--missing intersect."
        )


def _without_unreadable(item: EditItem, unreadable: Mapping[Path, str]) -> EditItem:
    if item.source_image in unreadable:
        item = replace(item, source_image=None)
    if item.reference_image in unreadable:
        item = replace(item, reference_image=None)
    if item.edit_mask in unreadable:
        item = replace(item, edit_mask=None)
    if item.edited_image and item.edited_image in unreadable:
        item = item.without_edit("missing", unreadable[item.edited_image])
    return item


def _score_chunk(
    items: Sequence[EditItem], metrics: Sequence[Metric], features: Features, missing: Missing
) -> list[ItemScores]:
    values: list[dict[str, float | None]] = [{} for _ in items]
    reasons: list[dict[str, str]] = [{} for _ in items]
    for metric in metrics:
        absent = [missing_fields(metric, item) for item in items]
        usable = [index for index, fields in enumerate(absent) if not fields]
        cells = {
            index: _unscored(metric, items[index], fields, missing) for index, fields in enumerate(absent) if fields
        }
        if usable:
            scores = features.compute(metric, [items[index] for index in usable])
            cells.update(zip(usable, zip(scores.optional(), scores.reasons, strict=True), strict=True))
        for index, (value, reason) in cells.items():
            values[index][metric.name] = value
            if reason:
                reasons[index][metric.name] = reason
    return [
        ItemScores(
            item_id=item.item_id,
            group=item.group or item.item_id,
            seed=item.seed,
            edit_type=item.edit_type,
            status=item.status,
            values=values[index],
            reasons=reasons[index],
        )
        for index, item in enumerate(items)
    ]


def _unscored(
    metric: Metric, item: EditItem, absent: Sequence[str], missing: Missing
) -> tuple[float | None, str | None]:
    """The value of an item that lacks some fields, and the reason if it has none."""
    others = [field for field in absent if field != "edited_image"]
    if others:
        return None, f"no_{others[0]}"
    if item.status == "failed" or missing == "floor":
        return metric.floor, None
    return None, "no_edited_image"


def _summary(metric: Metric, table: ScoreTable, line: Signature | str, level: float) -> MetricSummary:
    means = table.item_means(metric.name)
    make = group_wilson_interval if metric.summarize == "rate" else group_t_interval
    interval = make(means.values, means.groups.numbered()[0], level=level)
    low, mean, high = (_clamped(metric, end) for end in (interval.low, interval.mean, interval.high))
    return MetricSummary(
        mean=mean,
        ci_low=low,
        ci_high=high,
        n=interval.n_items,
        n_groups=interval.n_groups,
        n_undefined=sum(means.undefined.values()),
        undefined=dict(means.undefined),
        n_floored=table.n_floored(metric.name),
        higher_is_better=metric.higher_is_better,
        interval=interval.reason or interval.method,
        signature=str(line),
    )


def summarize(metric: Metric, table: ScoreTable, line: str, level: float) -> MetricSummary:
    """One metric over all items of a table, as a run records it: the mean with its interval, under a signature."""
    return _summary(metric, table, line, level)


def _clamped(metric: Metric, value: float | None) -> float | None:
    return max(value, 0.0) if metric.summarize == "clamped_mean" and value is not None else value


def _encoder_record(encoder: AnyEncoder) -> EncoderRecord:
    spec = encoder.spec
    return EncoderRecord(
        name=spec.name,
        label=spec.label,
        fingerprint=spec.fingerprint,
        weights_sha256=spec.weights_sha256,
        device=encoder.device,
        dtype=spec.precision,
    )


def _versions() -> dict[str, str]:
    found = {"evalkit": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        found[library] = metadata.version(library)
    return found
