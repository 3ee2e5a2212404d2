"""The record of a run: what was asked, what came out, and how it went."""

import errno
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from evalkit.errors import RunError
from evalkit.results.item_rows import ItemRows, ItemScores
from evalkit.scores.frame import ScoreTable
from evalkit.storage.atomic import atomic_write

SCHEMA: Literal["evalkit.run/1"] = "evalkit.run/1"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricSummary(_Record):
    """One metric over all items."""

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    """Items with a value."""
    n_groups: int
    """Source images among them: the units of inference."""
    n_undefined: int
    undefined: dict[str, int]
    """Reason to number of rows without a value."""
    n_floored: int
    """Rows without an edited image that were given the metric's floor."""
    higher_is_better: bool
    interval: str
    """How the interval was made, or why there is none."""
    signature: str


class EncoderRecord(_Record):
    """An encoder that took part."""

    name: str
    label: str
    fingerprint: str
    weights_sha256: str
    device: str
    dtype: str


class ProblemRecord(_Record):
    """Something that was wrong with an item or a file."""

    code: str
    item_id: str | None
    message: str


class FolderRecord(_Record):
    """What was scored."""

    path: str
    layout: str
    digest: str
    """SHA-256 over the id, seed and edited file's SHA-256 of every item that is there."""
    n_files: int
    n_matched: int
    opened_with: dict[str, str] = {}
    """What it took to know what the files are, by option: ``benchmark``, ``data``, ``sources``, ``captions``,
    ``pattern``; paths are absolute. Reports open the folder again."""


class RunRecord(_Record):
    """Everything in ``run.json``."""

    format: Literal["evalkit.run/1"] = SCHEMA
    run: str
    method: str | None
    benchmark: str | None
    benchmark_version: str | None
    protocol: str | None = None
    """The protocol that it was scored under, whose demands it met."""
    folder: FolderRecord
    n_items: int
    n_edited: int
    missing: Literal["fail", "floor", "intersect"]
    level: float
    """Coverage of the intervals."""
    metrics: dict[str, MetricSummary]
    encoders: dict[str, EncoderRecord]
    problems: list[ProblemRecord]
    items_sha256: str
    """Digest of ``items.jsonl``."""
    versions: dict[str, str]
    started: str
    """ISO 8601, UTC."""
    seconds: float
    n_encoded_images: int
    n_encoded_texts: int
    n_compared_pairs: int = 0


RECORD = "run.json"
ITEMS = "items.jsonl"
OWN_KEYS = ("item_id", "group", "seed", "edit_type", "status", "reasons")
"""The keys of a line of ``items.jsonl`` that are not metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """A scored folder."""

    record: RunRecord
    table: ScoreTable


def write_run(directory: Path, run: ScoredRun) -> None:
    """Write a run directory; an older run of the same folder there is replaced.

    Raises:
        RunError: The directory holds something else, or cannot be written.
    """
    check_destination(directory, run.record.folder.path)
    digest = hashlib.sha256()
    try:
        with atomic_write(directory / ITEMS) as draft, draft.open("wb") as file:
            for line in _lines(run.table):
                text = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()
                digest.update(text)
                file.write(text)
        record = run.record.model_copy(update={"items_sha256": digest.hexdigest()})
        # The record goes last: whoever finds one can rely on the items that it names.
        with atomic_write(directory / RECORD) as draft:
            draft.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as failure:
        cause = "the disk is full" if failure.errno == errno.ENOSPC else failure.strerror
        raise RunError(
            f"The run directory {directory} cannot be written: {cause}. "
            "What was encoded is kept: name another place with --output and run the same command again."
        ) from failure


def read_run(directory: Path) -> ScoredRun:
    """Read a run directory.

    Raises:
        RunError: There is none, it is damaged, or another version wrote it.
    """
    path = directory / RECORD
    if not path.is_file():
        raise RunError(f"{directory} is not a run directory: it has no {RECORD}. Make one with: evalkit score FOLDER")
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
        with (directory / ITEMS).open("rb") as items:
            found = hashlib.file_digest(items, "sha256").hexdigest()
    except ValidationError as failure:
        first = failure.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or RECORD
        raise RunError(f"{path} cannot be read: {where}: {first['msg']}. Score the folder again.") from failure
    except OSError as failure:
        raise RunError(f"The run in {directory} cannot be read: {failure}. Score the folder again.") from failure
    if found != record.items_sha256:
        raise RunError(f"{directory / ITEMS} is not what {RECORD} recorded. Score the folder again.")
    with (directory / ITEMS).open("rb") as items:
        rows = ItemRows(_row(json.loads(line)) for line in items)
    return ScoredRun(record=record, table=ScoreTable(metrics=tuple(record.metrics), rows=rows))


def check_destination(directory: Path, folder: str) -> None:
    """Refuse, before any work, a run directory that must not be overwritten.

    Args:
        directory: Where a run is to go.
        folder: What it will be a run of: an absolute path or a URL, as in its record.

    Raises:
        RunError: The directory is not empty and holds no run of this folder.
    """
    if directory.exists() and not directory.is_dir():
        raise RunError(
            f"{directory} is a file, and a run directory was to be written there. Name another: --output DIR"
        )
    if not directory.is_dir() or not any(directory.iterdir()):
        return
    try:
        other = json.loads((directory / RECORD).read_bytes())["folder"]["path"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            f"{directory} is not empty and holds no run, so nothing was written there. Name another: --output DIR"
        ) from None
    if other != folder:
        raise RunError(f"{directory} holds the run of another folder, {other}. Name another: --output DIR")


def _lines(table: ScoreTable) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        line: dict[str, Any] = {"item_id": row.item_id, "group": row.group}
        if row.seed is not None:
            line["seed"] = row.seed
        if row.edit_type is not None:
            line["edit_type"] = row.edit_type
        line["status"] = row.status
        line.update({metric: row.values.get(metric) for metric in table.metrics})
        if row.reasons:
            line["reasons"] = dict(row.reasons)
        yield line


def _row(line: dict[str, Any]) -> ItemScores:
    return ItemScores(
        item_id=line["item_id"],
        group=line["group"],
        seed=line.get("seed"),
        edit_type=line.get("edit_type"),
        status=line["status"],
        values={key: value for key, value in line.items() if key not in OWN_KEYS},
        reasons=line.get("reasons", {}),
    )
