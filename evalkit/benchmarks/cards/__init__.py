"""Benchmarks as data: each a card, a YAML file in this folder or one of the user's own.

A card says where the rows lie (a data set on the Hub, or a table in the user's copy), what the columns mean, and what
is known of the benchmark. Nothing is fetched before the items are asked for.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.cards.items import card_items
from evalkit.benchmarks.cards.record import CARDS, BenchmarkCard, read_card
from evalkit.benchmarks.cards.rows import shaped, table_rows, tables_in
from evalkit.edits.item import Problem
from evalkit.errors import BenchmarkError

_OWN = re.compile(r"(.+\.ya?ml)(?::([^:/\\]+))?")


def find_card(name: str) -> tuple[Path, str] | None:
    """The card that a benchmark's name stands for, and its variant; None if the name is no card's.

    Args:
        name: ``gedit_bench``, ``gedit_bench:cn``, or the path of a YAML file, with or without a variant.
    """
    if own := _OWN.fullmatch(name):
        return Path(own[1]), own[2] or ""
    stem, _, variant = name.partition(":")
    path = CARDS / f"{stem}.yaml"
    return (path, variant) if stem.isidentifier() and path.is_file() else None


def card_benchmark(path: Path, variant: str = "") -> Benchmark:
    """The benchmark of a card, without items until its data are opened.

    Raises:
        BenchmarkError: The card is wrong.
        UnknownNameError: It has no such variant.
    """
    card = read_card(path, variant)
    benchmark = Benchmark(
        name=f"{path.stem}:{variant}" if variant else path.stem,
        title=card.title,
        version=card.version,
        description=card.description,
        homepage=card.homepage,
        licence=card.licence,
        licence_id=card.licence_id,
        citation=card.citation,
        language=card.language,
        notes=card.notes,
        default_encoder=card.encoder,
        default_metrics=card.metrics,
        default_protocol=card.protocol,
        edit_types=card.edit_types,
        items=(),
        stated_items=card.n_items,
        stated_groups=card.n_groups,
        variants=card.variants,
        beside=card.beside,
        locate=partial(_locate, card, path),
    )
    return replace(benchmark, read=partial(_opened, benchmark, card, path))


def _locate(card: BenchmarkCard, path: Path, data: Path | None = None, *, near: Path | None = None) -> Path:
    """The folder of the user's copy; of a data set that lies on the Hub the card itself, which names it."""
    source = card.source
    if source.hub:
        return (data or path).absolute()
    chosen = data or (Path(os.environ["EVALKIT_DATA"]) if os.environ.get("EVALKIT_DATA") else None)
    own = [] if path.parent == CARDS else [path.parent]
    above = [] if chosen or near is None else list(near.resolve().parents[:3])
    for base in [chosen] if chosen else [*own, *above]:
        folder = (base.parent if base.is_file() else base).absolute()
        # An archive that was unpacked has put a folder around what it holds, or has not.
        inside = sorted(each for each in folder.glob("*") if each.is_dir()) if chosen else []
        for root in (outer / name for outer in (folder, *inside) for name in source.folders):
            if tables_in(root, source):
                return root
    looked = f" There is none in {chosen}." if chosen else ""
    how = f" {source.how}" if source.how else ""
    raise BenchmarkError(
        f"{card.title} is read from your own copy, a folder with {source.table}.{looked}{how} Then give it with: "
        "--data DIR"
    )


def _opened(benchmark: Benchmark, card: BenchmarkCard, path: Path, root: Path) -> Benchmark:
    """The benchmark with the items of its data, whose digest becomes a part of the version."""
    notes: list[str] = []
    if card.source.hub:
        from evalkit.benchmarks.cards.datasets import dataset_rows

        rows = dataset_rows(card, None if root == path.absolute() else root, notes)
    else:
        rows = table_rows(root, card.source, notes)
    found = card_items(card, shaped(rows, card.source, card.where), root)
    guessed = (Problem(code="guessed", message=note) for note in notes)
    return replace(
        benchmark,
        items=found.items,
        edited_names=found.edited_names,
        edit_types=found.edit_types,
        problems=(*guessed, *found.problems),
        version=f"{card.version}@{found.digest[:12]}",
    )


def __getattr__(name: str) -> Callable[[], Benchmark]:
    """What makes the benchmark of a card, which is registered as an object of this module."""
    if (card := find_card(name)) is None:
        raise AttributeError(name)
    return partial(card_benchmark, *card)
