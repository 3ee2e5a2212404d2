"""The record of a run: what was asked, what came out, and how it went."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

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
