"""The record of a run: what was asked, what came out, and how it went."""

import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from evalkit.edits.problems import Severity, severity_of
from evalkit.errors import RunError
from evalkit.judges.judgement import JUDGEMENTS, Judgement, JudgeRecord, judgement_lines, judgements_in
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.item_lines import BEGINNING, first_fault, lines_of, rows_in
from evalkit.storage.atomic import atomic_write, names_in_folder
from evalkit.storage.documents import MAX_JSON_BYTES, parse_json, read_json
from evalkit.storage.files import open_regular
from evalkit.tables.exportable import Exportable, Shown, scalars_of

if TYPE_CHECKING:
    import pandas

SCHEMA: Literal["evalkit.run/1"] = "evalkit.run/1"


class _RunPart(BaseModel):
    """A part of ``run.json``: read-only, and without keys that are not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricSummary(_RunPart):
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
    """Rows without an edited image that were given the score of a failed edit."""
    higher_is_better: bool
    interval: str
    """How the interval was made, or why there is none."""
    signature: str


class EncoderRecord(_RunPart):
    """An encoder that took part."""

    name: str
    label: str
    fingerprint: str
    weights_sha256: str
    device: str
    dtype: str


class ProblemRecord(_RunPart):
    """Something that was wrong with an item or a file."""

    code: str
    item_id: str | None
    message: str
    severity: Severity
    """Whether it counts as one, or is only worth knowing; older records leave it to the code."""

    @model_validator(mode="before")
    @classmethod
    def _with_severity(cls, value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        if isinstance(value, dict) and isinstance(value.get("code"), str):
            return {"severity": severity_of(value["code"]), **value}
        return value


class ImageCounts(_RunPart):
    """What was done, or could not be done, to bring edited images to where metrics see them."""

    transparent: int
    """Images that were laid on white."""
    resized: int
    """Edited images of another size than their source, to which metrics of pixels resize them."""
    other_aspect: int
    """Edited images of another aspect ratio, or whose mask is: without a value where images are held against each
    other."""
    tiny: int
    """Edited images too small to judge, likewise."""


class FolderRecord(_RunPart):
    """The folder that was scored: where it is, how it was read, and the digest of its edits."""

    path: str
    layout: str
    digest: str
    """SHA-256 over the id, seed and edited file's SHA-256 of every item that is there."""
    inputs: str = ""
    """SHA-256 over all that was scored of every item: ids, groups, texts and the bytes of its images; empty in older
    records."""
    n_files: int
    n_matched: int
    opened_with: dict[str, str] = {}
    """What it took to know what the files are, by option: ``benchmark``, ``data``, ``sources``, ``captions``,
    ``pattern``; paths are absolute. Reports open the folder again."""
    made_with: dict[str, str] = {}
    """How the edits were made, by setting, with the base model, seeds and version, as the folder's ``method.json`` says
    it; empty where nobody does, and in older records."""


class RunRecord(_RunPart):
    """Everything in ``run.json``."""

    format: Literal["evalkit.run/1"] = SCHEMA
    run: str
    named: bool = False
    """Whether somebody gave it that name; else it is the method's or the folder's."""
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
    judges: dict[str, JudgeRecord] = {}
    """By rubric; none in older records."""
    judgements_sha256: str = ""
    """Digest of ``judgements.jsonl``; empty where nobody judged."""
    problems: list[ProblemRecord]
    images: ImageCounts | None = None
    """None in older records, which say nothing of it."""
    items_sha256: str
    """Digest of ``items.jsonl``."""
    versions: dict[str, str]
    started: str
    """ISO 8601, UTC."""
    seconds: float
    n_encoded_images: int
    n_encoded_texts: int
    n_compared_pairs: int = 0


RUNS = Path("evalkit_runs")
"""Where run directories are written that nobody names."""
RECORD = "run.json"
ITEMS = "items.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScoredRun(Exportable):
    """A run: its record, and the scores of every item.

    ``print(run)`` shows the table of the command, and a notebook shows it by itself.
    """

    record: RunRecord
    table: ScoreFrame
    judgements: tuple[Judgement, ...] = ()
    """What judges answered about its items."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """The score of every item: see :meth:`ScoreFrame.to_dataframe`."""
        return self.table.to_dataframe()

    def scalars(self) -> dict[str, float]:
        """Each metric's ``mean``, ``ci_low``, ``ci_high`` and number of items ``n``, for a logger.

        Names are like ``clip_score/mean``: of letters, digits, blanks and ``_-./``, which W&B, TensorBoard and MLflow
        take.
        """
        found = self.record.metrics.items()
        numbers = ("mean", "ci_low", "ci_high", "n")
        return scalars_of({(name, number): getattr(summary, number) for name, summary in found for number in numbers})

    def to_dict(self) -> dict[str, Any]:
        """The object that ``evalkit score --json`` prints."""
        from evalkit.scores.tables import run_as_json

        return run_as_json(self.record)

    def _shown(self) -> Shown:
        from evalkit.scores.tables import shown_runs

        return shown_runs({self.record.run: self.record})


def write_run(directory: Path, run: ScoredRun) -> None:
    """Write a run directory; an older run of the same folder there is replaced.

    Raises:
        RunError: The directory holds something else, or cannot be written.
    """
    check_destination(directory, run.record.folder.path)
    lines = ((json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode() for line in lines_of(run.table))
    try:
        digests = {"items_sha256": _write_lines(directory / ITEMS, lines), "judgements_sha256": ""}
        if run.judgements:
            digests["judgements_sha256"] = _write_lines(directory / JUDGEMENTS, judgement_lines(run.judgements))
        record = run.record.model_copy(update=digests)
        # The record goes last: whoever finds one can rely on the items that it names.
        with atomic_write(directory / RECORD) as temporary:
            temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if not run.judgements:
            (directory / JUDGEMENTS).unlink(missing_ok=True)
    except OSError as failure:
        cause = "the disk is full" if failure.errno == errno.ENOSPC else failure.strerror
        raise RunError(
            f"{failure.filename or directory} cannot be written: {cause}. "
            "What was encoded is kept: name another place with --output and run the same command again."
        ) from failure


def _write_lines(path: Path, lines: Iterable[bytes]) -> str:
    """Writes a file of lines, and gives its SHA-256."""
    digest = hashlib.sha256()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for line in lines:
            digest.update(line)
            file.write(line)
    return digest.hexdigest()


def open_run_file(path: Path) -> BufferedReader:
    """A file of a run directory, to read: a regular one, and no record that would fill the memory.

    Raises:
        OSError: See :func:`evalkit.storage.files.open_regular`.
    """
    return open_regular(path, limit=MAX_JSON_BYTES if path.name == RECORD else None)


def read_run(directory: str | Path, *, opened: Callable[[Path], BufferedReader] = open_run_file) -> ScoredRun:
    """Read a run directory.

    Args:
        directory: Which.
        opened: Opens one of its files, or raises an OSError.

    Raises:
        RunError: There is none, it is damaged, or another version wrote it.
    """
    directory = Path(directory)
    record, path = _record(directory, opened), directory / ITEMS
    metrics = tuple(record.metrics)
    with _recorded(path, opened, record.items_sha256) as items:
        table = ScoreFrame.from_rows(rows_in(items, path, metrics), metrics)
    judgements: tuple[Judgement, ...] = ()
    if record.judgements_sha256:
        path = directory / JUDGEMENTS
        with _recorded(path, opened, record.judgements_sha256) as lines:
            judgements = tuple(judgements_in(lines, path))
    return ScoredRun(record=record, table=table, judgements=judgements)


@contextmanager
def _recorded(path: Path, opened: Callable[[Path], BufferedReader], digest: str) -> Iterator[BufferedReader]:
    """A file of a run directory, which is what its record says."""
    try:
        with opened(path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise RunError(f"{path} is not what {RECORD} recorded. Score the folder again.")
            file.seek(0)
            yield file
    except OSError as failure:
        raise RunError(f"{path} cannot be read: {failure.strerror}. Score the folder again.") from failure


def _record(directory: Path, opened: Callable[[Path], BufferedReader]) -> RunRecord:
    path = directory / RECORD
    if not path.is_file():
        raise RunError(f"{directory} is not a run directory: it has no {RECORD}. Make one with: evalkit score FOLDER")
    try:
        with opened(path) as file:
            return RunRecord.model_validate(parse_json(file.read()))
    except OSError as failure:
        raise RunError(f"{path} cannot be read: {failure.strerror}. Score the folder again.") from failure
    except ValueError as failure:
        raise RunError(f"{path} cannot be read: {first_fault(failure)}. Score the folder again.") from failure


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
    names = names_in_folder(directory, (ITEMS, JUDGEMENTS, RECORD))
    if not names or (names - {JUDGEMENTS} == {ITEMS} and _is_unfinished(directory / ITEMS)):
        return
    try:
        other = read_json(directory / RECORD)["folder"]["path"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            f"{directory} is not empty and holds no run, so nothing was written there. Name another: --output DIR"
        ) from None
    if other != folder:
        raise RunError(f"{directory} holds the run of another folder, {other}. Name another: --output DIR")


def _is_unfinished(items: Path) -> bool:
    """Whether items without a record are what a killed writer left: the record goes last."""
    try:
        with open_run_file(items) as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False
