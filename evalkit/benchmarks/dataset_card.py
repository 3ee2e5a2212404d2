"""The card of a published benchmark: every figure on it is counted from the rows that it describes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from statistics import median
from string import Template
from typing import Any

from evalkit.benchmarks.base import Benchmark

SPLIT = "test"
COLUMNS = {
    "item_id": "stable name of the edit, unique and safe as a file name",
    "source_image": "the image before the edit: the official file's bytes",
    "reference_image": "the ground-truth edit",
    "edit_mask": "the region that may change: white may, black is background",
    "source_caption": "text that describes the source image",
    "target_caption": "text that describes the wanted result",
    "instruction": "the same edit as an order",
    "edit_type": "one of the types above",
    "group": "edits that belong together: as the benchmark says, else those with the same bytes of their source image",
    "source_attributes": "what is true of the source image, attribute by attribute",
    "target_attributes": "what would be true of a perfect edit",
    "source_file_name": "the official file of the source image",
    "source_sha256": "SHA-256 of that file",
    "source_url": "where exactly these bytes are served",
}
"""Every column that a data set may have, in order, with its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """What a card says beside the figures; stored with the data, so that a card can be rendered again."""

    name: str
    title: str
    version: str
    description: str
    homepage: str
    licence: str
    licence_id: str | None
    citation: str | None
    notes: tuple[str, ...]
    edit_types: Mapping[str, str]
    language: str = "en"


def card_text(benchmark: Benchmark) -> CardText:
    """The part of a benchmark that its card tells."""
    return CardText(
        name=benchmark.name,
        title=benchmark.title,
        version=benchmark.version,
        description=benchmark.description,
        homepage=benchmark.homepage,
        licence=benchmark.licence,
        licence_id=benchmark.licence_id,
        citation=benchmark.citation,
        notes=benchmark.notes,
        edit_types=benchmark.edit_types,
        language=benchmark.language,
    )


def render_card(text: CardText, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """The card in Markdown, with the Hub's YAML header.

    Args:
        text: What there is to say.
        rows: The data set's rows; images are not looked at and may be left out.
        columns: Name to type of the columns that the data set has; the card says so if none is an image.
    """
    groups, sources = _distinct(rows, "group"), _distinct(rows, "source_sha256")
    in_groups = "" if len(groups) == len(sources) else f" in {len(groups)} groups"
    fields = {
        "header": _header(text, len(rows)),
        "title": text.title,
        "description": text.description,
        "summary": f"{len(rows)} edits of {len(sources)} source images{in_groups}.",
        "version": text.version,
        "upstream": f" Upstream: <{text.homepage}>" if text.homepage else "",
        "split": SPLIT,
        "images": _images(text, columns),
        "counts": _table(("", "count"), _counts(rows)),
        "edit_types": _table(("type", "edits", "definition"), _types(text, rows)),
        "columns": _table(
            ("column", "type", "meaning"), [(f"`{name}`", kind, COLUMNS[name]) for name, kind in columns.items()]
        ),
        "licence": text.licence,
        "notes": "\n## Notes\n\n" + "".join(f"* {note}\n" for note in text.notes) if text.notes else "",
        "citation": f"\n## Citation\n\n```bibtex\n{text.citation.strip()}\n```\n" if text.citation else "",
    }
    template = resources.files(__package__).joinpath("card.md").read_text(encoding="utf-8")
    return Template(template).substitute(fields).rstrip() + "\n"


def _header(text: CardText, n_rows: int) -> str:
    from huggingface_hub import DatasetCardData

    bounds = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000))
    data = DatasetCardData(
        language=text.language,
        license=text.licence_id or "unknown",
        pretty_name=text.title,
        task_categories=["image-to-image"],
        tags=["image-editing", "text-guided-image-editing", "benchmark", "evalkit"],
        size_categories=[next((name for name, bound in bounds if n_rows < bound), "100K<n<1M")],
        configs=[{"config_name": "default", "data_files": [{"split": SPLIT, "path": f"data/{SPLIT}-*.parquet"}]}],
    )
    return f"---\n{data.to_yaml()}\n---"


def _images(text: CardText, columns: Mapping[str, str]) -> str:
    if "source_image" in columns:
        return "The images are the official files, byte for byte; `source_sha256` is the digest of each source image."
    where = "`source_url` says where each is served, and " if "source_url" in columns else ""
    return (
        "This repository holds no images, because no licence is known under which they could be passed on. "
        f"{where}`source_sha256` tells whether a copy is the official file. "
        "With a copy, or a network, this makes the same data set with the images:\n\n"
        f"```sh\nevalkit dataset build {text.name} --output DIR   # --data DIR for a local copy\n```"
    )


def _counts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    per_group = Counter(row["group"] for row in rows).values()
    return [
        ("edits", str(len(rows))),
        ("source files", str(len(_distinct(rows, "source_file_name")))),
        ("source images that differ in bytes", str(len(_distinct(rows, "source_sha256")))),
        ("groups", str(len(per_group))),
        ("edits per group: least, median, most", _spread(per_group)),
        ("different source captions", str(len(_distinct(rows, "source_caption")))),
        ("different target captions", str(len(_distinct(rows, "target_caption")))),
        ("different instructions", str(len(_distinct(rows, "instruction")))),
        ("words per target caption: least, median, most", _spread(_words(rows, "target_caption"))),
    ]


def _types(text: CardText, rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    counts = Counter(row.get("edit_type") for row in rows)
    return [(f"`{name}`", str(counts[name]), definition) for name, definition in text.edit_types.items()]


def _distinct(rows: Sequence[Mapping[str, Any]], column: str) -> set[Any]:
    return {row[column] for row in rows if row.get(column) is not None}


def _words(rows: Sequence[Mapping[str, Any]], column: str) -> list[int]:
    return [len(row[column].split()) for row in rows if row.get(column) is not None]


def _spread(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return f"{ordered[0]}, {median(ordered):g}, {ordered[-1]}" if ordered else "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
