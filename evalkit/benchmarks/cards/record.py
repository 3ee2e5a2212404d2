"""The card of a benchmark: a YAML file that says where its edits are and what they are called there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from evalkit.benchmarks.cards.template import Template
from evalkit.errors import BenchmarkError, UnknownNameError
from evalkit.registry import nearest
from evalkit.storage.files import read_regular
from evalkit.storage.plain_yaml import MAX_YAML_BYTES, parse_yaml

CARDS = Path(__file__).parent
"""Where the cards that evalkit ships lie."""
SUFFIXES = (".yaml", ".yml")
ColumnName = Literal[
    "item_id",
    "source_image",
    "reference_image",
    "edit_mask",
    "source_caption",
    "target_caption",
    "instruction",
    "edit_type",
    "group",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Lookup(_Record):
    """A value that stands in another file of the copy."""

    file: str
    """JSON or YAML, relative to the table's folder."""
    at: tuple[str, ...]
    """The way down to it: a template for each key."""


class Cases(_Record):
    """A value that depends on another."""

    by: str
    """A template."""
    cases: Mapping[str, str | None]
    """What that gives, to the template that counts then; None where there is no value."""
    otherwise: str | None = None


Rule = str | Lookup | Cases
"""A template such as ``{img_id}-{turn_index}``, in which a column's name stands for its value; or where it is found."""


def _repository(name: object) -> object:
    """The name of a data set on the Hub, from its address too."""
    return re.sub(r"^(hf://|https://huggingface\.co/)(datasets/)?", "", name) if isinstance(name, str) else name


class Source(_Record):
    """Where the rows are: a data set that ``datasets`` opens, or a table in the user's copy."""

    hub: Annotated[str, BeforeValidator(_repository)] | None = None
    """``owner/name`` on the Hugging Face Hub."""
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    table: str | None = None
    """The file of rows in a copy; ``{name}`` stands for a part of its path, which becomes a column."""
    folders: tuple[str, ...] = (".",)
    """Folders of a copy in which the table may lie."""
    levels: tuple[str, ...] = ()
    """Of nested JSON or YAML: what the keys, or positions from 1, of each level are called; none: a list of rows."""
    explode: str | None = None
    """A column that holds a list: each of its values is a row, at its ``position`` from 1."""
    merge: str | None = None
    """A column: rows with the same value in it are one, the last, with the ``first`` of them and ``all`` values."""
    how: str = ""
    """How a copy is had, in a sentence."""

    @model_validator(mode="after")
    def _either(self) -> "Source":
        if (self.hub is None) == (self.table is None):
            raise ValueError("expected either hub or table")
        if self.hub and not re.fullmatch("[^/]+/[^/]+", self.hub):
            raise ValueError(f"hub: expected OWNER/NAME, got {self.hub}")
        if self.hub and (self.levels or self.folders != (".",)):
            raise ValueError("levels and folders go with table")
        if odd := [name for name in Template(self.table or "").columns if not name.isidentifier()]:
            raise ValueError(f"table: expected a word in braces, got {odd[0]}")
        if self.table and (self.revision or self.config or self.split):
            raise ValueError("revision, config and split go with hub")
        return self


def _templates(rule: Rule) -> Iterable[str]:
    if isinstance(rule, Lookup):
        return rule.at
    if isinstance(rule, Cases):
        return [text for text in (rule.by, *rule.cases.values(), rule.otherwise) if text]
    return (rule,)


def _definitions(types: object) -> object:
    return dict.fromkeys(types, "") if isinstance(types, list) else types


def _texts(values: object) -> object:
    """Values of truth as the texts that they are compared as."""
    return (
        {name: str(v) if isinstance(v, bool) else v for name, v in values.items()}
        if isinstance(values, dict)
        else values
    )


class BenchmarkCard(_Record):
    """A benchmark as data: what is known of it, and how its rows become edits."""

    title: str
    version: str = "v1"
    description: str = ""
    homepage: str = ""
    licence: str = "Not stated."
    licence_id: str | None = None
    citation: str | None = None
    language: str = "en"
    """Of its texts, as BCP 47 has it."""
    notes: tuple[str, ...] = ()
    n_items: Annotated[int, Field(gt=0)] | None = None
    n_groups: Annotated[int, Field(gt=0)] | None = None
    source: Source
    where: Annotated[Mapping[str, str | tuple[str, ...]], BeforeValidator(_texts)] = {}
    """Column to the value, or the values, that a row must have there."""
    columns: Mapping[ColumnName, Rule]
    optional: tuple[str, ...] = ()
    """Columns that a copy may lack, whose values are missing then."""
    edit_types: Annotated[Mapping[str, str], BeforeValidator(_definitions)] = {}
    """Each with its definition; none: as the data have them."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "clip_score",
        "clip_directional_similarity",
        "clip_image_similarity",
    )
    encoder: str = "open_clip:ViT-B-32-quickgelu/openai"
    protocol: str | None = None
    edited_names: Rule | None = None
    """Where the official scripts expect the edited image, below the folder of a method."""
    beside: tuple[str, ...] = ()
    """Patterns, of names or of paths below that folder, of what else the official scripts write into it."""
    variants: tuple[str, ...] = ()
    """In the file, each with the fields that are other ones then."""

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """Every name that stands in braces, with the field that it is for; empty where that is none."""
        rules: list[tuple[str, Rule]] = [*self.columns.items()]
        rules += [("", self.edited_names)] if self.edited_names else []
        for field, rule in rules:
            for text in _templates(rule):
                for name in Template(text).columns:
                    yield field, name

    @model_validator(mode="after")
    def _has_what_an_item_needs(self) -> "BenchmarkCard":
        for name in ("item_id", "source_image"):
            if name not in self.columns:
                raise ValueError(f"columns: expected {name} among them")
        for rule in (*self.columns.values(), self.edited_names or ""):
            for text in _templates(rule):
                Template(text).check()
        return self


def read_card(path: Path, variant: str = "") -> BenchmarkCard:
    """The card in a file.

    Args:
        path: A YAML file.
        variant: One of its ``variants``, which replaces what it names; of ``source`` and ``columns`` only the fields
            that it names, and a null takes one away.

    Raises:
        BenchmarkError: It cannot be read, or a field is wrong; the message names the file and the field.
        UnknownNameError: It has no such variant.
    """
    fields = _fields(path)
    variants = fields["variants"]
    if variant and variant not in variants:
        raise UnknownNameError(
            f"The benchmark {path.stem} has no variant '{variant}'. {nearest(variant, variants)}"
            f"It has: {', '.join(variants) or 'none'}."
        )
    changes = variants[variant] if variant else {}
    parts = {part: {**fields[part], **changes.get(part, {})} for part in _PARTS}
    parts = {part: {name: value for name, value in named.items() if value is not None} for part, named in parts.items()}
    where = f"{path}, variants.{variant}" if variant else str(path)
    try:
        return BenchmarkCard.model_validate({**fields, **changes, **parts, "variants": tuple(variants)})
    except ValidationError as failure:
        raise BenchmarkError(_first_fault(where, failure)) from failure


def _fields(path: Path) -> dict[str, Any]:
    """What a card says, as far as its variants can be put in the place of it."""
    try:
        content = parse_yaml(read_regular(path, limit=MAX_YAML_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError) as failure:
        reason = (failure.strerror if isinstance(failure, OSError) else None) or failure
        raise BenchmarkError(f"{path} cannot be read as the card of a benchmark: {reason}.") from failure
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: expected the fields of a benchmark's card, got {content!r:.40}. {_EXAMPLE}")
    fields = {"title": path.stem, "source": {}, "columns": {}, "variants": {}, **content}
    for part in (*_PARTS, "variants"):
        _require_fields(path, part, fields[part])
    for name, changes in fields["variants"].items():
        _require_fields(path, f"variants.{name}", changes)
        for part in _PARTS:
            _require_fields(path, f"variants.{name}.{part}", changes.get(part, {}))
    return fields


def _require_fields(path: Path, name: str, part: object) -> None:
    if not isinstance(part, dict):
        raise BenchmarkError(f"{path}: {name}: expected fields with values, got {part!r:.40}. {_EXAMPLE}")


_PARTS = ("source", "columns")
"""Of which a variant changes single fields."""
_EXAMPLE = f"For an example see {CARDS / 'gedit_bench.yaml'}"


def _first_fault(where: str, failure: ValidationError) -> str:
    """The first thing that is wrong, in a sentence that names the field."""
    fault = failure.errors()[0]
    names = [str(part) for part in fault["loc"] if part not in ("str", "Lookup", "Cases")]
    field = ".".join(names)
    if fault["type"] == "extra_forbidden":
        known = sorted(Source.model_fields if names[0] == "source" else BenchmarkCard.model_fields)
        return f"{where}: there is no field '{field}'. {nearest(names[-1], known)}{_EXAMPLE}"
    if fault["type"] == "missing":
        return f"{where}: the field '{field}' is missing. {_EXAMPLE}"
    said = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{where}: {field + ': ' if field else ''}{said}. {_EXAMPLE}"
