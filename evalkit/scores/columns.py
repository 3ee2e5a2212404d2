"""Which column of another tool's table is what: named by the user, or guessed from the names."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import DataError
from evalkit.scores.directions import higher_is_better
from evalkit.scores.numbers import number_of
from evalkit.storage.orientation import ItemsAre

if TYPE_CHECKING:
    import pandas as pd

GUESSES: Mapping[str, tuple[str, ...]] = {
    "item": ("item_id", "item", "image_id", "file_id", "sample_id", "id", "key", "name", "file_name", "file",
             "filename", "uid", "uuid", "image_name", "img_name", "img_id", "item_name", "edit_id", "case_id",
             "example_id", "instance_id", "question_id", "pair_id", "prompt_id", "task_id", "image", "img", "idx",
             "sample", "example", "image_file", "image_path", "img_path", "file_path", "path", "case", "index"),
    "method": ("method", "model", "system", "method_name", "model_name"),
    "seed": ("seed", "random_seed"),
    "group": ("group", "group_id", "source_image", "source_id", "source", "cluster_id", "cluster", "image"),
    "edit_type": ("edit_type", "editing_type", "edit_category"),
    "metric": ("metric", "metric_name", "measure"),
    "value": ("value", "score"),
}  # fmt: skip
"""Column names, in lower case, from which a column's part is plain; the first that is there stands."""
_PLAIN_GROUPS = ("group", "group_id", "cluster_id", "cluster")
NO_GROUPS = "none"
"""Named as the column of groups, it means that no column is."""
_SEED = re.compile(r"-?[0-9]{1,100}(\.0*)?")
_TOGETHER = "/"
"""What stands between the parts of a compound id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """Which column is what; None is guessed from the names."""

    item: str | None = None
    """Several columns, with commas between them, name an item together."""
    method: str | None = None
    seed: str | None = None
    group: str | None = None
    """``none`` if no column says which items belong together."""
    edit_type: str | None = None
    metric: str | None = None
    """Of a long table, where each row holds one value: whose it is."""
    value: str | None = None
    """Of a long table: the value."""
    methods: tuple[str, ...] = ()
    """Columns that are methods, each with its scores on one and the same metric."""
    rater: str | None = None
    """Of labels: who gave them."""
    metrics: tuple[str, ...] = ()
    """Columns that are known to be metrics, whatever their names."""
    items_are: ItemsAre | None = None
    """Of JSON and YAML: which names of ``{a: {b: x}}`` are the items."""

    def described(self) -> str:
        """The parts that are known, for a note."""
        parts = {part: name for part, name in asdict(self).items() if part in GUESSES and name}
        if self.rater is not None and self.seed is not None:
            parts = {"rater" if part == "seed" else part: name for part, name in parts.items()}
        return ", ".join(f"{part} '{name}'" for part, name in parts.items())

    def taken(self) -> set[str]:
        """The columns that have a part."""
        return {name for part, name in asdict(self).items() if part in GUESSES and name} | set(self.methods)


def is_column(name: str) -> bool:
    """Whether a name is a column's, as far as names say it."""
    return higher_is_better(name) is not None or any(plain_name(name) in guesses for guesses in GUESSES.values())


def names_items(name: str) -> bool:
    """Whether a column is an id or an index, so that its numbers are no scores."""
    return plain_name(name) in GUESSES["item"] or name.lower().startswith("unnamed:")


def says_groups(name: str | None) -> bool:
    """Whether a column is called one of groups; others may name the edited image, or a path on one machine."""
    return name is not None and plain_name(name) in _PLAIN_GROUPS


def resolve(path: Path, table: "pd.DataFrame", named: ColumnNames) -> tuple["pd.DataFrame", ColumnNames]:
    """The columns as named by the user, the others guessed; and the table, with a column of compound ids if asked for.

    Raises:
        DataError: A named column is not there, or none can be guessed for what must be.
    """
    table = _with_compound(table, named.item)
    present = list(table.columns)
    found: dict[str, Any] = {part: name for part, name in asdict(named).items() if part in GUESSES}
    ungrouped = named.group is not None and named.group.lower() == NO_GROUPS and named.group not in present
    if ungrouped:
        found["group"] = None
    for name in (*found.values(), *named.methods):
        if name is not None and name not in present:
            raise DataError(f"{path} has no column '{name}': expected one of {', '.join(present)}.")
    for part, guesses in GUESSES.items():
        taken = {*found.values(), *named.methods}
        free = {plain_name(column).removesuffix("s"): column for column in reversed(present) if column not in taken}
        free |= {plain_name(column): column for column in reversed(present) if column not in taken}
        found[part] = found[part] or next((free[guess] for guess in guesses if guess in free), None)
    if ungrouped:
        found["group"] = None
    if found["item"] is None and _is_index_of_names(table):
        found["item"] = present[0]
    if found["item"] is None:
        raise DataError(
            f"It is not plain which column of {path} names the items: got {', '.join(present)}. "
            "Say which: --item-column NAME"
        )
    if named.metric and not found["value"]:
        raise DataError(f"It is not plain which column of {path} holds the values. Say which: --value-column NAME")
    if not (found["metric"] and found["value"]):  # a wide table may well have a metric that is called "score"
        found |= {"metric": None, "value": named.value}
    return table, replace(named, **found)


def plain_name(name: str) -> str:
    """A name in lower case, with its words joined: ``Image ID`` as ``image_id``."""
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def _with_compound(table: "pd.DataFrame", item: str | None) -> "pd.DataFrame":
    parts = [part.strip() for part in item.split(",")] if item and item not in table.columns else []
    if len(parts) < 2 or not item or not set(parts) <= set(table.columns):
        return table
    names = [[name_of(cell) for cell in table[part]] for part in parts]
    joined = [None if None in cells else _TOGETHER.join(map(str, cells)) for cells in zip(*names, strict=True)]
    return table.assign(**{item: joined}).drop(columns=parts)


def _is_index_of_names(table: "pd.DataFrame") -> bool:
    """Whether the first column has no heading and holds names, as pandas writes an index."""
    first = str(table.columns[0])
    is_headless = first == "" or first.lower().startswith("unnamed: 0")
    return is_headless and any(number_of(cell)[1] == "not_a_number" for cell in table[first])


def name_of(raw: Any) -> str | None:  # noqa: ANN401 - a cell of any kind of table
    """A cell that names something, as text: 1 and 1.0 and "1" are the same item."""
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return None
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    return str(raw).strip() or None


def seed_of(path: Path, where: str, raw: Any) -> int | None:  # noqa: ANN401 - a cell of any kind of table
    """A cell of the column of seeds; a whole number that pandas wrote as "0.0" is one.

    Raises:
        DataError: It is no whole number.
    """
    seed = name_of(raw)
    if seed is None:
        return None
    if not _SEED.fullmatch(seed):
        raise DataError(f"{path}, {where}: the seed must be a whole number, got '{seed:.40}'.")
    return int(seed.partition(".")[0])
