"""From the features of items to what is recorded of them: values with reasons, means with intervals, signatures."""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit import __version__
from evalkit.edits.item import IMAGE_FIELDS, EditItem, Problem
from evalkit.encoders.base import ABSENT, AnyEncoder, library_versions
from evalkit.formatting import series
from evalkit.images.pairs import ALPHA_RULE, ASPECT_RULE, MASK_RULE, SIZE_RULE
from evalkit.images.stored import AnyImage
from evalkit.judges.judgement import JudgeRecord, encoder_label
from evalkit.metrics.base import REASONS, Metric, Signature, score_of_failed
from evalkit.metrics.features import ItemFeature
from evalkit.scores.frame import NO_EDIT, ItemScores, ScoreFrame
from evalkit.scores.run import EncoderRecord, MetricSummary
from evalkit.scoring.features import Features
from evalkit.scoring.options import Missing, ScoreOptions
from evalkit.scoring.requests import MEASURING, missing_fields
from evalkit.stats.intervals import mean_interval

LIBRARIES = (*MEASURING, "pillow", "torch", "open_clip_torch", "transformers")
"""Whose versions a record names, with those that its encoders name."""


def without_unreadable(item: EditItem, unreadable: Mapping[AnyImage, str]) -> EditItem:
    """An item without the images that cannot be decoded; without its edited image it is missing."""
    broken = {name for name in IMAGE_FIELDS if getattr(item, name) in unreadable}
    if item.edited_image and "edited_image" in broken:
        item = item.without_edit("missing", unreadable[item.edited_image])
    nothing: dict[str, Any] = dict.fromkeys(broken)
    return replace(item, **nothing) if broken else item


def score_items(items: Sequence[EditItem], metrics: Sequence[Metric], features: Features) -> list[ItemScores]:
    """Every metric's value of every item, or the reason why there is none; the features are there."""
    values: list[dict[str, float | None]] = [{} for _ in items]
    reasons: list[dict[str, str]] = [{} for _ in items]
    for metric in metrics:
        absent = [missing_fields(metric, item) for item in items]
        cells: dict[int, tuple[float | None, str | None]] = {
            index: (None, _reason(fields)) for index, fields in enumerate(absent) if fields
        }
        misfits = {index: features.misfit(metric, item) for index, item in enumerate(items) if index not in cells}
        cells |= {index: (None, reason) for index, reason in misfits.items() if reason}
        usable = [index for index, reason in misfits.items() if not reason]
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


def _reason(absent: Sequence[str]) -> str:
    """Why an item without some fields has no value: what the benchmark lacks comes before what the method lacks."""
    others = [field for field in absent if field != "edited_image"]
    return f"no_{others[0]}" if others else NO_EDIT


def with_failures_scored(table: ScoreFrame, metrics: Sequence[Metric], missing: Missing) -> ScoreFrame:
    """The same scores with those of failed edits, and under ``floor`` of all that are missing.

    Each gets the worse of the worst score that the run attained and of what an edit without merit scores.
    """
    for metric in metrics:
        failed = table.is_failed(metric.name, all_missing=missing == "floor")
        attained = table.column(metric.name)[table.is_ok()]
        score = score_of_failed(attained, higher_is_better=metric.higher_is_better, neutral=metric.neutral)
        if score is not None and failed.any():
            table = table.with_given(metric.name, failed, score)
    return table


def summaries_of(
    metrics: Sequence[Metric],
    table: ScoreFrame,
    encoders: Mapping[str, AnyEncoder],
    options: ScoreOptions,
    judges: Mapping[str, JudgeRecord] | None = None,
) -> dict[str, MetricSummary]:
    """Every metric over all items of a table, by name."""
    return {
        metric.name: summarize(
            metric, table, str(signature(metric, encoders, options.missing, judges=judges)), options.level
        )
        for metric in metrics
    }


def nothing_measured(summaries: Mapping[str, MetricSummary]) -> Iterator[Problem]:
    """The problem of a run in which no metric has a value, with all reasons for it."""
    if summaries and not any(summary.n for summary in summaries.values()):
        reasons = dict.fromkeys(reason for summary in summaries.values() for reason in summary.undefined)
        why = f": {series([REASONS.get(reason, reason) for reason in reasons], 'and')}" if reasons else ""
        message = f"No item has a value by {series(list(summaries))}{why}. Choose others: evalkit list metrics"
        yield Problem(code="nothing_measured", message=message)


def summarize(metric: Metric, table: ScoreFrame, line: str, level: float) -> MetricSummary:
    """One metric over all items of a table, as a run records it: the mean with its interval, under a signature."""
    means, undefined = table.item_means(metric.name), table.undefined(metric.name)
    is_rate = metric.summarize == "rate"
    interval = mean_interval(means.values, means.groups, is_rate=is_rate, level=level, bounds=metric.bounds)
    low, mean, high = (_clamped(metric, end) for end in (interval.low, interval.value, interval.high))
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


def signature(
    metric: Metric,
    encoders: Mapping[str, AnyEncoder],
    missing: Missing = "fail",
    *,
    judges: Mapping[str, JudgeRecord] | None = None,
) -> Signature:
    """Everything that can change the numbers of a metric, through encoders, from the pixels themselves, or by a judge.

    Args:
        metric: Which.
        encoders: By the names that features use.
        missing: How absent edits were treated.
        judges: What is known of those of the run, by rubric.
    """
    if judges and metric.name.partition(":")[0] in judges:
        return _judge_signature(metric, judges[metric.name.partition(":")[0]], missing)
    specs = [encoders[name].spec for name in metric.encoders]
    image = [
        SIZE_RULE.replace("source", other.removesuffix("_image"))
        for other in dict.fromkeys(p.against for p in metric.pairs)
    ]
    image += [MASK_RULE] if any(pair.masked for pair in metric.pairs) else []
    image += [spec.preprocess.label for spec in specs if spec.preprocess.mode != "native"]
    functions = [f"judge/{f.name}" for f in metric.features.values() if isinstance(f, ItemFeature) and f.judge]
    return Signature(
        metric=metric.name,
        encoder=_joined([*(spec.label for spec in specs), *functions]) or "none",
        image=_joined(image),
        template=metric.template,
        dtype=_joined([spec.precision for spec in specs]) or "fp64",
        alpha=ALPHA_RULE,
        aspect=ASPECT_RULE if metric.frames else None,
        version=metric.version_label,
        evalkit=__version__,
        missing=missing,
    )


def _judge_signature(metric: Metric, judge: JudgeRecord, missing: Missing) -> Signature:
    return Signature(
        metric=metric.name,
        encoder=encoder_label(judge.models or [judge.judge]),
        image=judge.image,
        template=judge.rubric.label,
        dtype=str(judge.asked.get("dtype", "unknown")),
        manner=judge.manner,
        alpha=ALPHA_RULE,
        aspect=None,
        version=metric.version_label,
        evalkit=__version__,
        missing=missing,
    )


def _joined(parts: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(parts))


def encoder_record(encoder: AnyEncoder) -> EncoderRecord:
    """An encoder that took part, for the record."""
    spec = encoder.spec
    return EncoderRecord(
        name=spec.name,
        label=spec.label,
        fingerprint=spec.fingerprint,
        weights_sha256=spec.weights_sha256,
        device=encoder.device,
        dtype=spec.precision,
    )


def versions(encoders: Iterable[AnyEncoder]) -> dict[str, str]:
    """The versions of all that computed a run's numbers, as they are in the keys of its features."""
    libraries = dict.fromkeys([*LIBRARIES, *(name for e in encoders for name, _ in e.spec.libraries)])
    found = {name: version for name, version in library_versions(libraries) if version != ABSENT}
    return {"evalkit": __version__, "python": platform.python_version(), **found}
