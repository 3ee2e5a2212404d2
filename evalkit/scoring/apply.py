"""Score an edit folder: vectors first, then each metric over the items, then means with intervals."""

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from evalkit import __version__
from evalkit.edits.check import duplicates, edits_digest
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem, Problem
from evalkit.encoders.base import AnyEncoder
from evalkit.encoders.cache import FeatureCache
from evalkit.engine.base import Engine
from evalkit.errors import MissingItemsError
from evalkit.formatting import listed
from evalkit.images.pairs import MASK_RULE, SIZE_RULE
from evalkit.metrics.base import Metric, Signature
from evalkit.metrics.features import ItemFeature
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.run import EncoderRecord, FolderRecord, MetricSummary, ProblemRecord, RunRecord, ScoredRun
from evalkit.scoring.features import Features, FileReader
from evalkit.scoring.options import Missing, ScoreOptions
from evalkit.scoring.requests import missing_fields, requests_of
from evalkit.stats.intervals import group_t_interval, group_wilson_interval
from evalkit.storage.prefetch import Progress, in_batches, no_progress
from evalkit.storage.remote import origin_of

CHUNK = 2000
"""Items whose vectors are in memory at a time; at 512 numbers, two images and two texts each, 17 MB at most."""
_NAMED = 10
"""Missing items that an error names before it only counts them."""
LIBRARIES = ("numpy", "pillow", "torch", "open_clip_torch", "transformers")


def score_folder(
    folder: EditFolder,
    metrics: Sequence[Metric],
    encoders: Mapping[str, AnyEncoder],
    cache: FeatureCache,
    options: ScoreOptions | None = None,
    *,
    engine: Engine | None = None,
    problems: Sequence[Problem] = (),
    reader: FileReader | None = None,
    progress: Progress = no_progress,
) -> ScoredRun:
    """Score every item of a folder.

    Args:
        folder: What to score.
        metrics: Which metrics.
        encoders: By the names that the metrics' features use.
        cache: Where features are kept between runs.
        options: How: the name of the run, what absent edits mean, the level of intervals, the size of batches.
        engine: Whose workers compute features; by default this process does.
        problems: What was found wrong before, to be recorded with the run.
        reader: Reads the files of the items; from disk by default.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        MissingItemsError: Under ``missing="fail"``, edited images are absent or unreadable.
        EncoderError: An encoder cannot be loaded.
        OptionError: Two metrics give one name to different measures.
    """
    options = options or ScoreOptions()
    missing = options.missing
    started, clock = datetime.now(UTC), time.monotonic()
    if missing == "fail":
        _refuse_missing(folder.items)
    features = Features(encoders, cache, engine, batch_size=options.batch_size, reader=reader, progress=progress)
    names = tuple(metric.name for metric in metrics)
    frames, digests = [ScoreFrame.from_rows([], names)], dict[Path, str]()
    for chunk in in_batches(folder.items, CHUNK):
        features.prepare(requests_of(metrics, chunk))
        items = [_without_unreadable(item, features.unreadable) for item in chunk]
        digests |= features.digests
        if missing != "fail" or not features.unreadable:  # else the others are encoded, and that is all
            frames.append(ScoreFrame.from_rows(_score_chunk(items, metrics, features, missing), names))
        progress("scoring items", sum(map(len, frames)), len(folder.items))
    unreadable = tuple(
        Problem(code="unreadable_image", message=message, path=path) for path, message in features.unreadable.items()
    )
    if missing == "fail":
        _refuse_unreadable(unreadable)
    table = ScoreFrame.concatenate(frames)
    readable = {path: digest for path, digest in digests.items() if path not in features.unreadable}
    found = [*problems, *folder.problems, *unreadable, *duplicates(folder.items, readable)]
    if features.cache_failure:
        found.append(Problem(code="cache_unavailable", message=features.cache_failure))
    record = RunRecord(
        run=options.name or folder.method or folder.root.resolve().name,
        method=folder.method,
        benchmark=folder.benchmark,
        benchmark_version=options.benchmark_version,
        protocol=options.protocol.name if options.protocol else None,
        folder=FolderRecord(
            path=origin_of(folder.root),
            layout=folder.layout,
            digest=edits_digest(folder.items, digests),
            n_files=folder.n_files,
            n_matched=folder.n_matched,
            opened_with=dict(folder.opened_with),
        ),
        n_items=table.n_items,
        n_edited=int(table.is_ok().sum()),
        missing=missing,
        level=options.level,
        metrics={
            metric.name: summarize(metric, table, str(signature(metric, encoders, missing)), options.level)
            for metric in metrics
        },
        encoders={name: _encoder_record(encoder) for name, encoder in encoders.items()},
        problems=[ProblemRecord(code=p.code, item_id=p.item_id, message=p.message) for p in found],
        items_sha256="",
        versions=_versions(),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        n_encoded_images=features.n_computed["image"],
        n_encoded_texts=features.n_computed["text"],
        n_compared_pairs=features.n_computed["pair"],
    )
    return ScoredRun(record=record, table=table)


def signature(metric: Metric, encoders: Mapping[str, AnyEncoder], missing: Missing = "fail") -> Signature:
    """Everything that can change the numbers of a metric, through encoders or from the pixels themselves."""
    specs = [encoders[name].spec for name in metric.encoders]
    image = [
        SIZE_RULE.replace("source", other.removesuffix("_image"))
        for other in dict.fromkeys(p.against for p in metric.pairs)
    ]
    image += [MASK_RULE] if any(pair.masked for pair in metric.pairs) else []
    image += [spec.preprocess.label for spec in specs if spec.preprocess.mode != "native"]
    judges = [f"judge/{f.name}" for f in metric.features.values() if isinstance(f, ItemFeature) and f.judge]
    return Signature(
        metric=metric.name,
        encoder=_joined([*(spec.label for spec in specs), *judges]) or "none",
        image=_joined(image),
        template=metric.template,
        dtype=_joined([spec.precision for spec in specs]) or "fp64",
        version=metric.version_label,
        evalkit=__version__,
        missing=missing,
    )


def _joined(parts: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(parts))


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


def summarize(metric: Metric, table: ScoreFrame, line: str, level: float) -> MetricSummary:
    """One metric over all items of a table, as a run records it: the mean with its interval, under a signature."""
    means, undefined = table.item_means(metric.name), table.undefined(metric.name)
    make = group_wilson_interval if metric.summarize == "rate" else group_t_interval
    interval = make(means.values, means.groups, level=level)
    low, mean, high = (_clamped(metric, end) for end in (interval.low, interval.mean, interval.high))
    return MetricSummary(
        mean=mean,
        ci_low=low,
        ci_high=high,
        n=interval.n_items,
        n_groups=interval.n_groups,
        n_undefined=sum(undefined.values()),
        undefined=undefined,
        n_floored=table.n_floored(metric.name),
        higher_is_better=metric.higher_is_better,
        interval=interval.reason or interval.method,
        signature=line,
    )


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
