"""Which items ``evalkit edit`` is to edit."""

import functools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.cli.inputs import PathOrUrl
from evalkit.cli.output import names_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.benchmarks.base import Benchmark
    from evalkit.edits.item import EditItem


@dataclass(frozen=True, kw_only=True)
class ItemOptions:
    """What the user wants to be edited."""

    benchmark: str | None
    data: Path | None
    sources: PathOrUrl | None
    captions: Path | None
    items: str | None
    limit: int | None
    mapped: tuple[str, ...] = ()
    split: str | None = None
    config: str | None = None

    @functools.cached_property
    def of_benchmark(self) -> "Benchmark | None":
        """The benchmark, where the items are one's."""
        from evalkit.benchmarks.base import BENCHMARKS

        return BENCHMARKS.get(self.benchmark)() if self.benchmark and not self.sources and not self.captions else None

    def chosen(self, note: "Callable[[str], None]") -> "tuple[EditItem, ...]":
        """The items that are to be edited, with their source images; what is to be said of them is noted."""
        from evalkit.edits.dataset_items import items_to_edit
        from evalkit.edits.datasets import is_dataset, open_dataset
        from evalkit.edits.headings import mapped_fields
        from evalkit.edits.sources import source_items
        from evalkit.errors import OptionError

        if self.of_benchmark:
            return self.part_of(self.of_benchmark.load(self.data).items)
        if isinstance(self.sources, Path) and self.captions and not self.benchmark and not self.data:
            return self.part_of(source_items(self.sources, self.captions, mapped_fields(self.mapped)))
        if self.sources and not self.captions and not self.benchmark and is_dataset(self.sources):
            rows = open_dataset(self.sources, split=self.split, config=self.config)
            found = items_to_edit(rows, mapped_fields(self.mapped))
            for problem in found.problems:
                note(problem.message)
            return self.part_of(found.items)
        raise OptionError(
            "Say what to edit: either --benchmark NAME, or --sources DIR with --captions FILE, or a data set with "
            "both in its columns: --sources FILE.parquet, --sources hf://OWNER/NAME."
        )

    def part_of(self, items: "tuple[EditItem, ...]") -> "tuple[EditItem, ...]":
        """Of some items those that the user named, the first of them if there is a limit."""
        return _named(items, self.items)[: self.limit]


def _named(items: "tuple[EditItem, ...]", listed: str | None) -> "tuple[EditItem, ...]":
    """The items that the user named, all of them where no name was given."""
    from evalkit.errors import OptionError
    from evalkit.registry import nearest

    patterns = names_in(listed)
    ids = [item.item_id for item in items]
    for pattern in patterns:
        if not any(_fits(item_id, pattern) for item_id in ids):
            near = nearest(pattern, ids) or f"The first are: {', '.join(ids[:5])}."
            raise OptionError(f"No item is called '{pattern}'. {near.strip()}")
    return tuple(item for item in items if not patterns or any(_fits(item.item_id, pattern) for pattern in patterns))


def _fits(item_id: str, pattern: str) -> bool:
    return item_id == pattern or fnmatchcase(item_id, pattern.replace("[", "[[]"))
