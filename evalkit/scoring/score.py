"""From edit folders to runs: ``score_folder`` computes one, ``score_into`` opens what that takes and writes it."""

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit.benchmarks.open import OpenedFolder, open_edits
from evalkit.benchmarks.protocols import Protocol
from evalkit.edits.check import edits_digest, inputs_digest
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.made_with import made_with
from evalkit.edits.problems import severity_of
from evalkit.encoders.base import AnyEncoder, FeatureCache, precision
from evalkit.engine.base import Engine
from evalkit.errors import MissingItemsError, OptionError
from evalkit.formatting import counted, listed
from evalkit.images.stored import AnyImage
from evalkit.judges.asking import RubricJudge
from evalkit.judges.judgement import Judgement
from evalkit.metrics.base import Metric, get_metrics
from evalkit.registry import refuse_unknown_options
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.merging import with_earlier_metrics
from evalkit.scores.run import FolderRecord, ProblemRecord, RunRecord, ScoredRun, check_destination, write_run
from evalkit.scoring.changes import Snapshot
from evalkit.scoring.defaults import default_metrics
from evalkit.scoring.directories import names_of_runs, run_directory
from evalkit.scoring.encoders import open_encoders, specs_in, unneeded
from evalkit.scoring.features import Features
from evalkit.scoring.inspection import Inspection, count_images
from evalkit.scoring.judging import (
    chosen_metrics,
    judge_problems,
    judge_records,
    judgements_of,
    open_judges,
    rubrics_for,
)
from evalkit.scoring.options import Missing, ScoreOptions, completed
from evalkit.scoring.requests import requests_about, requests_of
from evalkit.scoring.resources import Resources, open_resources
from evalkit.scoring.summaries import (
    encoder_record,
    nothing_measured,
    score_items,
    summaries_of,
    versions,
    with_failures_scored,
    without_unreadable,
)
from evalkit.storage.prefetch import Progress, in_batches, no_progress
from evalkit.storage.progress import progress_shown

CHUNK = 2000
"""Items whose vectors are in memory at a time; at 512 numbers, two images and two texts each, 17 MB at most."""
_NAMED = 10
"""Missing items that an error names before it only counts them."""


def score(
    edits: str | Path | OpenedFolder,
    output: str | Path | None = None,
    options: ScoreOptions | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress | bool | None = None,
    **changes: Any,  # noqa: ANN401 - fields of the options
) -> ScoredRun:
    """Score edited images and write a run directory, as ``evalkit score`` does.

    Args:
        edits: The folder; or, where more must be said of it, what :func:`evalkit.open_edits` gave.
        output: The run directory; ``evalkit_runs/<name>`` by default, under another name where that is taken. A run of
            the same folder there is replaced.
        options: How. What they leave open is the benchmark's, where the folder holds edits of one.
        engine: Whose workers compute; by default this process does.
        progress: Whether bars show how far it is; by default in a notebook only. Or a function that is told the kind of
            work, how much is done and how much there is.
        **changes: Fields of the options by name, such as ``metrics=["l1"]`` or ``encoder="miniature"``; they come
            before those of ``options``.

    Returns:
        The run, with the score of every item. It shows its table when it is printed; ``run.to_dataframe()`` has a row
        per item, ``run.record.metrics["clip_score"].mean`` is a mean.

    Raises:
        EvalkitError: The folder cannot be understood, or what :func:`score_into` raises.

    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> root = Path(mkdtemp())
    >>> for name, colour in (("photos", "white"), ("mine", "black")):
    ...     (root / name).mkdir()
    ...     Image.new("RGB", (32, 32), colour).save(root / name / "cat.png")
    >>> score(open_edits(root / "mine", sources=root / "photos"), root / "run", metrics=["l1"])
    <ScoredRun: mine, 1 item: l1 1.0000>
    """
    refuse_unknown_options(changes, score, ScoreOptions)
    opened = edits if isinstance(edits, OpenedFolder) else open_edits(edits)
    options = completed(replace(options or ScoreOptions(), **changes), opened.benchmark)
    if output is None:
        own = names_of_runs([opened.folder])[0]
        options, output = replace(options, default_name=own), run_directory(options.name or own)
    with progress_shown(progress) as told:
        return score_into(Path(output), opened.folder, options, engine=engine, progress=told)


def score_into(
    directory: Path,
    folder: EditFolder,
    options: ScoreOptions | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress = no_progress,
    resources: Resources | None = None,
) -> ScoredRun:
    """Score an edit folder and write its run directory.

    Args:
        directory: Where the run goes. Of a run of the same folder there, other metrics are kept if all that was scored
            is the same, and else replaced with a notice.
        folder: What to score.
        options: How.
        engine: Whose workers compute; by default this process does. Its device is the workers'.
        progress: Called with the kind of work, how much is done and how much there is.
        resources: What it shares with other runs, if it does.

    Raises:
        EvalkitError: A name is unknown, items are missing, weights cannot be had, the run cannot be written, or the
            folder is not what the protocol asks for.
    """
    options = options or ScoreOptions()
    _require_text(folder, options)
    check_destination(directory, folder.origin)
    protocol = options.protocol
    if protocol and not set(options.metrics or ()) <= set(protocol.metrics):
        raise OptionError(f"{protocol.name} fixes the metrics: leave --metrics out.")
    if protocol and options.judge:
        raise OptionError(f"{protocol.name} fixes the metrics: leave --judge out.")
    rubrics = rubrics_for(options.judge, folder.items) if options.judge else ()
    metrics, remarks = (chosen_metrics(options.metrics, rubrics), ()) if rubrics else _metrics_of(folder, options)
    if protocol:
        folder = protocol.part_of(folder)
        _require(protocol, folder, metrics, options)
        options = replace(options, default_encoder=protocol.encoder)
    with nullcontext(resources) if resources else open_resources(cached=options.cached) as shared:
        encoders = open_encoders(metrics, options, cache=shared.cache, engine=engine, opened=shared.encoders)
        run = score_folder(
            folder,
            metrics,
            encoders,
            shared.cache,
            options,
            engine=engine,
            problems=(*shared.problems, *remarks, *_unneeded(metrics, options)),
            progress=progress,
            judges=open_judges(metrics, options, rubrics, shared),
        )
    run = with_earlier_metrics(directory, run)
    write_run(directory, run)
    return run


def _metrics_of(folder: EditFolder, options: ScoreOptions) -> tuple[Sequence[Metric], tuple[Problem, ...]]:
    """The metrics that were named or are usual, and a notice where some of these are left out."""
    if options.metrics or options.protocol:
        return get_metrics(options.metrics or (options.protocol.metrics if options.protocol else ())), ()
    return default_metrics(options.default_metrics, folder.items)


def _unneeded(metrics: Sequence[Metric], options: ScoreOptions) -> list[Problem]:
    """A notice for each encoder that was named for nothing, and is not even looked for."""
    return [
        Problem(code="unneeded_encoder", message=f"No metric here goes through {spec}, which was not looked for.")
        for spec in unneeded(metrics, options)
    ]


def _require_text(folder: EditFolder, options: ScoreOptions) -> None:
    """A run names its folder and what it was opened with: before anything is computed, it is asked whether it can."""
    for text in (folder.origin, _name(folder, options), *folder.opened_with.values()):
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(text).decode("utf-8", "backslashreplace")
            raise OptionError(f"The name '{shown}' is not UTF-8, and a run could not name it. Rename it.") from None


def score_folder(
    folder: EditFolder,
    metrics: Sequence[Metric],
    encoders: Mapping[str, AnyEncoder],
    cache: FeatureCache,
    options: ScoreOptions | None = None,
    *,
    engine: Engine | None = None,
    problems: Sequence[Problem] = (),
    progress: Progress = no_progress,
    judges: Mapping[str, RubricJudge] | None = None,
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
        progress: Called with the kind of work, how much is done and how much there is.
        judges: By the names that the metrics' features use in the place of encoders.

    Raises:
        MissingItemsError: Under ``missing="fail"``, edited images are absent or unreadable.
        EncoderError: An encoder cannot be loaded.
        OptionError: Two metrics give one name to different measures.
    """
    options = options or ScoreOptions()
    started, clock = datetime.now(UTC), time.monotonic()
    features = Features(encoders, cache, engine, batch_size=options.batch_size, progress=progress, judges=judges)
    judgements: list[Judgement] = []
    table, digests, found = _score_chunks(folder, metrics, features, judgements, options.missing, progress)
    judged = judge_records(features.judges, judgements)
    summaries = summaries_of(metrics, table, encoders, options, judged)
    found += judge_problems(judged, judgements)
    record = RunRecord(
        **_asked(folder, options),
        folder=_folder_record(folder, digests),
        n_items=table.n_items,
        n_edited=int(table.is_ok().sum()),
        metrics=summaries,
        encoders={name: encoder_record(encoder) for name, encoder in encoders.items()},
        judges=judged,
        problems=_problem_records([*problems, *found, *nothing_measured(summaries)]),
        images=count_images(found),
        items_sha256="",
        versions=versions(encoders.values()),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        n_encoded_images=features.n_computed["image"],
        n_encoded_texts=features.n_computed["text"],
        n_compared_pairs=features.n_computed["pair"],
    )
    return ScoredRun(record=record, table=table, judgements=tuple(judgements))


def _score_chunks(
    folder: EditFolder,
    metrics: Sequence[Metric],
    features: Features,
    judgements: list[Judgement],
    missing: Missing,
    progress: Progress,
) -> tuple[ScoreFrame, dict[AnyImage, str], list[Problem]]:
    """All items by all metrics, the SHA-256 of their files, and what there is to say of folder, images and captions.

    What judges answered joins ``judgements``.

    Raises:
        MissingItemsError: Under ``missing="fail"``, edited images are absent, or images that metrics need unreadable.
    """
    _refuse_missing(folder.items, missing)
    names = tuple(metric.name for metric in metrics)
    frames, digests = [ScoreFrame.from_rows([], names)], dict[AnyImage, str]()
    inspection, unreadable = Inspection(folder, metrics, features), dict[AnyImage, str]()
    before = Snapshot.of(folder)
    for chunk in in_batches(folder.items, CHUNK):
        requests = requests_of(metrics, chunk)
        features.prepare({**requests, **requests_about(metrics, chunk)})
        digests |= features.digests
        needed = {path for request in requests.values() for content in request.contents for path in content.files}
        unreadable |= {path: message for path, message in features.unreadable.items() if path in needed}
        if missing != "fail" or not unreadable:  # else the others are encoded, and that is all
            readable = [without_unreadable(item, unreadable) for item in chunk]
            frames.append(ScoreFrame.from_rows(score_items(readable, metrics, features), names))
            judgements += judgements_of(features, metrics, readable)
            inspection.add(chunk)
        progress("scoring items", sum(map(len, frames)), len(folder.items))
    _refuse_unreadable(unreadable.values(), missing)
    table = with_failures_scored(ScoreFrame.concatenate(frames), metrics, missing)
    return table, digests, [*inspection.problems(), *before.changes(folder)]


def _folder_record(folder: EditFolder, digests: Mapping[AnyImage, str]) -> FolderRecord:
    return FolderRecord(
        path=folder.origin,
        layout=folder.layout,
        digest=edits_digest(folder.items, digests),
        inputs=inputs_digest(folder.items, digests),
        n_files=folder.n_files,
        n_matched=folder.n_matched,
        opened_with=dict(folder.opened_with),
        made_with=made_with(folder.root),
    )


def _asked(folder: EditFolder, options: ScoreOptions) -> dict[str, Any]:
    """What a record says of the run before anything is computed."""
    return {
        "run": _name(folder, options),
        "named": options.name is not None,
        "method": folder.method,
        "benchmark": folder.benchmark,
        "benchmark_version": options.benchmark_version,
        "protocol": options.protocol.name if options.protocol else None,
        "missing": options.missing,
        "level": options.level,
    }


def _name(folder: EditFolder, options: ScoreOptions) -> str:
    return options.name or options.default_name or folder.name


def _problem_records(problems: Iterable[Problem]) -> list[ProblemRecord]:
    return [
        ProblemRecord(code=p.code, item_id=p.item_id, message=p.message, severity=severity_of(p.code)) for p in problems
    ]


def _refuse_missing(items: Iterable[EditItem], missing: Missing) -> None:
    absent = [item for item in items if item.status == "missing"]
    if absent and missing == "fail":
        total = len(absent)
        raise MissingItemsError(
            f"{total} item{'s have' if total > 1 else ' has'} no edited image: "
            f"{listed([item.label for item in absent], _NAMED)}. "
            "Nothing was scored. Add them, or say how to treat them: --missing floor (scored like the worst edit) or "
            "--missing intersect (left out)."
        )


def _refuse_unreadable(messages: Collection[str], missing: Missing) -> None:
    if messages and missing == "fail":
        raise MissingItemsError(
            f"{counted(len(messages), 'image')} cannot be read: {listed(list(messages), _NAMED)} "
            "Nothing was scored; what was encoded is kept. Replace them, or say how to treat them: --missing floor or "
            "--missing intersect."
        )


def _require(protocol: Protocol, folder: EditFolder, metrics: Sequence[Metric], options: ScoreOptions) -> None:
    """Raises an OptionError where the run would not keep to the protocol.

    The weights of networks that metrics bring themselves may come from a file; the CLIP encoder is the protocol's.
    """
    own = {name for metric in metrics for name in metric.encoders} - {"clip"}
    for spec in specs_in(options):
        if spec.partition(":")[0] not in own:
            raise OptionError(
                f"{protocol.name} fixes the CLIP encoder, {protocol.encoder}: leave --encoder {spec} out."
            )
    seeds = Counter(item.item_id for item in folder.items)
    mismatch = protocol.mismatch(
        benchmark=folder.benchmark,
        version=options.benchmark_version,
        n_items=len(seeds),
        n_seeds=max(seeds.values(), default=0),
        missing=options.missing,
        dtype=precision(options.dtype, compiled=options.compiled),
    )
    if mismatch:
        raise OptionError(f"{mismatch} Leave --protocol out to score the folder in another way.")
