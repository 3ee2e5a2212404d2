"""Re-scoring and reproduction: the steps of the ladder for which the maintainers need the images themselves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from evalkit import __version__
from evalkit.arrays import Floats
from evalkit.benchmarks.protocols import Protocol
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem
from evalkit.errors import EntryError
from evalkit.images.decode import decode_image, read_image, write_image
from evalkit.leaderboard.anomalies import check_outputs
from evalkit.leaderboard.digests import digest_outputs, exchanged
from evalkit.leaderboard.records import AnomalyCheck, Reproduction, Verification
from evalkit.leaderboard.store import Leaderboard, LoadedEntry
from evalkit.leaderboard.submit import protocol_edits
from evalkit.metrics.base import METRICS
from evalkit.scores.frame import ScoreFrame
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_into
from evalkit.stats.equivalence import equivalence_test
from evalkit.stats.permutation import sign_flip_test
from evalkit.storage.prefetch import Progress, no_progress

TOLERANCE = 1e-3
"""Of a metric's range (of 1 where it has none): more than devices and libraries differ by, less than any margin."""
SURVIVES = 0.5
"""Where less of the gain over the source image than this survives, the edit pleased the encoder and not the eye."""
AGREES = 0.25
"""The same for another encoder, whose view may well differ more."""
JPEG_QUALITY = 90
MIN_SHARE = 0.2
"""Of the groups, that a reproduction must cover."""
DRIFT_ALPHA = 0.01

Score = Callable[[Sequence[EditItem], list[str], str], ScoreFrame]
"""Scores items by metrics through an encoder."""


def tolerance_of(metric: str) -> float:
    """How far apart an item's score may be, submitted and computed again."""
    span = METRICS.get(metric).highest - METRICS.get(metric).lowest
    return TOLERANCE * (span if math.isfinite(span) else 1.0)


def rescore(
    entry: LoadedEntry,
    folder: Path,
    leaderboard: Leaderboard,
    *,
    data: Path | None = None,
    second_encoder: str | None = None,
    reproduction: Path | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Verification:
    """Score an entry's images again, and say how far up the ladder it is.

    Args:
        entry: The entry.
        folder: Its outputs, which must be those of its manifest.
        leaderboard: Where the others are, for the checks for anomalies.
        data: A local copy of the benchmark's files.
        second_encoder: An encoder that the submitter did not know of, for the check that asks it as well.
        reproduction: Edits that the maintainers made with the method, of a fifth of the groups or more.
        device: Of the encoder.
        progress: Called with the kind of work, how much is done and how much there is.

    Raises:
        EntryError: The outputs are others than those submitted, a score differs by more than its tolerance, or the
            reproduction covers too little, is not equivalent, or shows a drift.
        EvalkitError: The folders cannot be read or scored.
    """
    protocol = entry.protocol
    edits = _without_missing(protocol_edits(folder, protocol, data))
    _check_files(entry, edits)
    score = _scorer(edits, protocol, device, progress)
    tolerances = {name: tolerance_of(name) for name in entry.metrics}
    differences = _differences(entry, score(edits.items, list(entry.metrics), protocol.encoder), tolerances)
    reproduced = None
    if reproduction is not None:
        again = _without_missing(protocol_edits(reproduction, protocol, data))
        reproduced = _reproduced(entry, score(again.items, [protocol.alignment], protocol.encoder), protocol)
    return Verification(
        level="re_scored" if reproduced is None else "reproduced",
        verified=datetime.now(UTC).date(),
        evalkit=__version__,
        run_sha256=entry.record.run_sha256,
        differences=differences,
        tolerances=tolerances,
        screens=(
            *check_outputs(leaderboard.entries(protocol.name))[entry.method],
            _jpeg_check(edits, entry, protocol, score),
            _second_encoder_check(edits, protocol, score, second_encoder),
        ),
        reproduction=reproduced,
    )


def _scorer(edits: EditFolder, protocol: Protocol, device: str, progress: Progress) -> Score:
    def score(items: Sequence[EditItem], metrics: list[str], encoder: str) -> ScoreFrame:
        with TemporaryDirectory() as scratch:
            options = ScoreOptions(
                metrics=metrics, encoder=encoder, benchmark_version=protocol.benchmark_version, device=device
            )
            folder = replace(edits, items=tuple(items))
            run = score_into(Path(scratch) / "run", folder, options, progress=progress)
        return run.table

    return score


def _without_missing(edits: EditFolder) -> EditFolder:
    return replace(edits, items=tuple(item for item in edits.items if item.status != "missing"))


def _check_files(entry: LoadedEntry, edits: EditFolder) -> None:
    differ = exchanged(entry.outputs, digest_outputs(edits.items))
    if differ:
        raise EntryError(
            f"{edits.root} does not hold the outputs of {entry.method}: {len(differ)} of {len(entry.outputs)} differ, "
            f"{differ[0]} first. Ask the submitter for the files that were scored."
        )


def _differences(entry: LoadedEntry, again: ScoreFrame, tolerances: dict[str, float]) -> dict[str, float]:
    """Metric to the largest difference of an item's score."""
    rows = {(row.item_id, row.seed): row for row in again.rows}
    largest = dict.fromkeys(tolerances, 0.0)
    for row in entry.run.table.rows:
        if row.status != "ok":  # nothing was measured: on the board its score is decided among all entries
            continue
        for metric, tolerance in tolerances.items():
            here, submitted = rows[row.item_id, row.seed].values[metric], row.values[metric]
            if here is None or submitted is None:
                difference = 0.0 if here == submitted else math.inf
            else:
                difference = abs(here - submitted)
            if difference > tolerance:
                raise EntryError(
                    f"{entry.method} cannot be re-scored: {metric} of {row.item_id} is {submitted} in the entry and "
                    f"{here} here; expected a difference of at most {tolerance:g}. It stays self-scored."
                )
            largest[metric] = max(largest[metric], difference)
    return largest


def _reproduced(entry: LoadedEntry, again: ScoreFrame, protocol: Protocol) -> Reproduction:
    """The method's own run against the maintainers', item by item, on the metric that tells whether it edits."""
    metric, margin = protocol.alignment, protocol.margins.get(protocol.alignment)
    if margin is None:
        raise EntryError(f"{protocol.name} declares no margin for {metric}: a reproduction cannot be judged without.")
    submitted = entry.run.table.item_means(metric)
    group_of = dict(zip(submitted.item_ids, submitted.groups, strict=True))
    before = submitted.by_item()
    now = {item: value for item, value in again.item_means(metric).by_item().items() if item in before}
    groups = [group_of[item] for item in now]
    needed = math.ceil(MIN_SHARE * len(set(submitted.groups)))
    if len(set(groups)) < needed:
        raise EntryError(
            f"The reproduction covers {len(set(groups))} groups: expected {needed} or more, a fifth of all. Edit more."
        )
    sign = 1 if METRICS.get(metric).higher_is_better else -1
    difference = np.array([sign * (value - before[item]) for item, value in now.items()])
    known = METRICS.get(metric)
    span, is_rate = known.highest - known.lowest, known.summarize == "rate"
    equivalence = equivalence_test(
        difference, groups, margin=margin, is_rate=is_rate, width=span if math.isfinite(span) else None
    )
    drift = _drift(difference, groups)
    same = not difference.any()  # a method that gives the very same again needs no test
    if not (same or equivalence.equivalent) or drift <= DRIFT_ALPHA:
        raise EntryError(
            f"{entry.method} is not reproduced: on {metric} the new run is {difference.mean():+.4f} better, the "
            f"margin is ±{margin:g} (equivalence p {equivalence.p_value}), and the p-value of a drift to the worse is "
            f"{drift:.4f}. It stays re-scored: verify it without --reproduction."
        )
    return Reproduction(
        n_items=len(now),
        n_groups=len(set(groups)),
        margin=margin,
        difference=float(difference.mean()),
        equivalence_p_value=equivalence.p_value,
        drift_p_value=drift,
    )


def _drift(difference: Floats, groups: list[str]) -> float:
    """One-sided p-value that the new run is the worse one."""
    two_sided = sign_flip_test(difference, groups).p_value or 1.0
    return two_sided / 2 if difference.mean() < 0 else 1 - two_sided / 2


def _jpeg_check(edits: EditFolder, entry: LoadedEntry, protocol: Protocol, score: Score) -> AnomalyCheck:
    """The share of the gain over the source image that is left after the pictures went through JPEG."""
    metric, encoder = protocol.alignment, protocol.encoder
    with TemporaryDirectory() as scratch:
        through = [_through_jpeg(item, Path(scratch) / f"{number}.png") for number, item in enumerate(edits.items)]
        after = score(through, [metric], encoder)
    before = entry.run.table if metric in entry.metrics else score(edits.items, [metric], encoder)
    sources = score(_as_sources(edits), [metric], encoder)
    gain, left = (_gains(table, sources, metric).mean() for table in (before, after))
    note = f"of the gain in {metric} over the source image is left after JPEG at quality {JPEG_QUALITY}"
    return share_left("jpeg_round_trip", gain, left, SURVIVES, note)


def _second_encoder_check(edits: EditFolder, protocol: Protocol, score: Score, encoder: str | None) -> AnomalyCheck:
    """How large the gain in CLIP score is to another encoder, in standard deviations, against the protocol's."""
    if encoder is None:
        return AnomalyCheck(name="second_encoder", value=None, flagged=False, note="no second encoder was asked")
    effects = []
    for spec in (protocol.encoder, encoder):
        sources = score(_as_sources(edits), ["clip_score"], spec)
        gains = _gains(score(edits.items, ["clip_score"], spec), sources, "clip_score")
        effects.append(gains.mean() / (gains.std(ddof=1) or 1.0))
    note = f"of the standardised gain in clip_score over the source image is seen by {encoder}"
    return share_left("second_encoder", effects[0], effects[1], AGREES, note)


def share_left(name: str, gain: float, left: float, least: float, note: str) -> AnomalyCheck:
    """What is left of a gain, flagged where that is less than ``least`` of it."""
    if gain <= 0:
        return AnomalyCheck(name=name, value=None, flagged=False, note="there is no gain over the source image")
    share = float(left / gain)
    return AnomalyCheck(name=name, value=share, flagged=share < least, note=note)


def _gains(table: ScoreFrame, sources: ScoreFrame, metric: str) -> Floats:
    """Each item's score less its source image's."""
    before, after = sources.item_means(metric).by_item(), table.item_means(metric).by_item()
    return np.array([value - before[item] for item, value in after.items() if item in before])


def _as_sources(edits: EditFolder) -> list[EditItem]:
    """The items with their source image in place of an edit."""
    distinct = {item.item_id: item for item in edits.items}.values()
    return [replace(item, edited_image=item.source_image, status="ok", seed=None) for item in distinct]


def _through_jpeg(item: EditItem, path: Path) -> EditItem:
    if item.edited_image is None:
        return item
    file = BytesIO()
    read_image(item.edited_image).save(file, "JPEG", quality=JPEG_QUALITY)
    write_image(path, decode_image(file.getvalue(), item.label).image)
    return replace(item, edited_image=path)
