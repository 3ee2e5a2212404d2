"""The edit folder: what a method produced, item by item, whatever the layout on disk; and what it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

from evalkit.edits.item import EditItem, Problem
from evalkit.storage.paths import origin_of

LayoutName = Literal["manifest", "official", "item_id", "parallel", "pattern", "dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedItems:
    """The items that a folder is expected to hold edits of, and the names of files that belong to them."""

    items: tuple[EditItem, ...]
    benchmark: str | None = None
    """The benchmark's name, if they are a benchmark's."""
    source_names: Mapping[str, str] = field(default_factory=dict)
    """``item_id`` to the name of its source image, where it is known."""
    edited_names: Mapping[str, str] = field(default_factory=dict)
    """``item_id`` to the name of its edited image, where one is prescribed."""
    problems: tuple[Problem, ...] = ()
    """What is to be said about them, before a folder is looked at."""
    seed_names: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """``item_id`` and seed to the name of that edited image, where a table gives one per seed."""
    reference_names: Mapping[str, str] = field(default_factory=dict)
    mask_names: Mapping[str, str] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)
    """Fields, with their headings, whose names may be other images': see :class:`evalkit.edits.headings.Columns`."""
    numbered: bool = False
    """Whether the ids are only the places of the rows in a table that identifies nothing."""
    unclear: frozenset[Path] = frozenset()
    """Files whose names describe several items equally well."""
    table: Path | None = None
    """Where captions were read from, if they were."""
    rows: Mapping[str, str] = field(default_factory=dict)
    """``item_id`` to the row that says it, as messages call it."""
    caption_files: frozenset[Path] = frozenset()
    """Files that were read for captions."""
    notes: tuple[str, ...] = ()
    """What was guessed, a sentence each."""


@dataclass(frozen=True, kw_only=True, repr=False)
class EditFolder:
    """One method's result on a set of items."""

    root: Path
    layout: LayoutName
    items: tuple[EditItem, ...]
    """One per item and seed, in the benchmark's order, the seeds of an item side by side; an expected item without a
    file has status ``missing``."""
    n_files: int
    """Image files below ``root``, without those that a manifest names as sources, references or masks."""
    n_matched: int
    """Those of them that are an item's edited image."""
    problems: tuple[Problem, ...] = ()
    benchmark: str | None = None
    method: str | None = None
    """The method's name, where a manifest gives it."""
    benchmark_items: tuple[str, ...] = ()
    """The ids of all items of its benchmark, in its order, of which it may have been asked to hold a part."""
    url: str | None = None
    """Its address, of a data set on the Hub; ``root`` then stands for it in messages, and is nowhere."""
    title: str | None = None
    """What it is called, where that is not the name of its folder."""
    opened_with: Mapping[str, str] = field(default_factory=dict)
    """The options that it was opened with, by name; paths are absolute."""

    def __repr__(self) -> str:
        return f"<EditFolder: {self.name}, {self.n_edited} of {len(self.items)} edits, {len(self.problems)} problems>"

    @property
    def name(self) -> str:
        """What a run of it is called that nobody names: the method of its manifest, or the folder's own name."""
        return self.method or self.title or self.root.resolve().name

    @property
    def origin(self) -> str:
        """Its URL, or that of what it is a copy of, else its absolute path."""
        return self.url or origin_of(self.root)

    @property
    def n_edited(self) -> int:
        """Items and seeds that have an edited image."""
        return sum(item.status == "ok" for item in self.items)

    @cached_property
    def n_items(self) -> int:
        """Items, each counted once whatever its seeds."""
        return sum(1 for _ in groupby(self.items, key=lambda item: item.item_id))
