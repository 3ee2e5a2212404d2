"""``items.jsonl`` of a run directory: a line per item and seed, with the score of every metric."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evalkit.edits.item import Status
from evalkit.errors import RunError
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.storage.documents import LineError, json_lines

BEGINNING = b'{"item_id": '
"""Of every line."""


class ItemLine(BaseModel):
    """One line of ``items.jsonl``: an item and seed, with the score of every metric of the record under its name."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    item_id: str
    group: str
    """Items of one source image: the unit of inference."""
    seed: int | None = None
    edit_type: str | None = None
    status: Status
    reasons: dict[str, str] = {}
    """Metric to the reason why its score is null."""

    @property
    def scores(self) -> dict[str, float | None]:
        """Metric to score."""
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _has_reasons(self) -> "ItemLine":
        for metric, score in self.scores.items():
            if score is None and metric not in self.reasons:
                raise ValueError(f"{metric} is null, and there is no reason for it")
        return self


def lines_of(table: ScoreFrame) -> Iterator[dict[str, Any]]:
    """What is written of every row."""
    for row in table.rows:
        line: dict[str, Any] = {"item_id": row.item_id, "group": row.group}
        if row.seed is not None:
            line["seed"] = row.seed
        if row.edit_type is not None:
            line["edit_type"] = row.edit_type
        line["status"] = row.status
        line.update(row.values)
        if row.reasons:
            line["reasons"] = dict(row.reasons)
        yield line


def rows_in(lines: IO[bytes], path: Path, metrics: Sequence[str]) -> Iterator[ItemScores]:
    """The rows of a file with scores of these metrics.

    Raises:
        RunError: A line is not of its schema, or has scores of other metrics.
    """
    for number, line in item_lines(lines, path):
        if line.scores.keys() != set(metrics):
            raise RunError(
                f"{path}:{number}: expected scores of {', '.join(metrics)}, as in run.json, got "
                f"{', '.join(line.scores)}. Score the folder again."
            )
        yield ItemScores(
            item_id=line.item_id,
            group=line.group,
            seed=line.seed,
            edit_type=line.edit_type,
            status=line.status,
            values=line.scores,
            reasons=line.reasons,
        )


def item_lines(lines: IO[bytes], path: Path | str) -> Iterator[tuple[int, ItemLine]]:
    """The lines of an ``items.jsonl``, each with its number.

    Args:
        lines: The file, open at its beginning.
        path: What messages call it.

    Raises:
        RunError: A line is not of its schema.
    """
    try:
        for number, value in json_lines(lines):
            try:
                line = ItemLine.model_validate(value)
            except ValidationError as failure:
                raise LineError(number, first_fault(failure)) from failure
            yield number, line
    except LineError as failure:
        raise RunError(f"{path}:{failure.number}: {failure}. Score the folder again.") from failure


def first_fault(failure: ValueError) -> str:
    """Where the first thing is that is wrong with a record, and what it is."""
    if not isinstance(failure, ValidationError):
        return str(failure)
    first = failure.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = "expected an object" if first["type"] == "model_type" else first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
