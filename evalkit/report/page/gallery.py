"""The items that a page shows: chosen from all of them, each with its source, every method's edit and its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.comparison.edit_types import item_types
from evalkit.comparison.records import ComparedMethod, ComparedMetric, Comparison
from evalkit.edits.item import EditItem
from evalkit.images.stored import AnyImage
from evalkit.judges.judgement import JUDGEMENTS, Judgement
from evalkit.metrics.base import REASONS
from evalkit.report.page.pictures import (
    GalleryPicture,
    OpenedFolders,
    edited_picture,
    open_folders,
    source_picture,
)

MAX_PICTURES = 300
MAX_ITEMS = 60
MAX_WORDS = 1500
"""Signs of an answer."""
ItemValues = Mapping[str, float]
"""Metric to value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeWords:
    """One answer of a judge about an edit."""

    about: str
    """The rubric, and which repeat and which seed where there are several."""
    scores: str
    """Every number that was read in it, or why there is none."""
    words: str
    """What it said of the edit, or, where that does not stand apart, its whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryRow:
    """One item as the page shows it: its texts, its source, and the edits of every method with their scores."""

    item_id: str
    edit_type: str | None
    texts: tuple[tuple[str, str], ...]
    """What was known and asked: the name of a text, and the text."""
    source: GalleryPicture
    edits: Mapping[str, GalleryPicture]
    """Method to its edit."""
    scores: Mapping[str, ItemValues]
    """Method to its scores, means over seeds."""
    answers: Mapping[str, tuple[JudgeWords, ...]]
    """Method to what judges answered about its edits; without those of whom nobody was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The items that a page shows, those first on which methods differ most."""

    rows: tuple[GalleryRow, ...]
    n_items: int
    """Items of the comparison, shown or not."""
    chosen: "ChosenItems"
    metric: str
    """The metric by which they are chosen."""
    pictures: bool
    problems: tuple[str, ...] = ()
    """Why pictures are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenItems:
    """Which items are shown, and why."""

    disputed: tuple[str, ...]
    """On which the methods' scores lie farthest apart, the farthest first."""
    worst: tuple[str, ...] = ()
    """On which the methods' mean is worst, those apart that are disputed."""
    spread: tuple[str, ...] = ()
    """Evenly many between all others, in the order of how far the methods lie apart."""

    @property
    def items(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.disputed, *self.worst, *self.spread)


def build_gallery(comparison: Comparison) -> Gallery:
    """Choose items on the first primary metric, and make their thumbnails."""
    names = [method.name for method in comparison.methods]
    scores = {method.name: _scores(method) for method in comparison.methods}
    item_ids = list(dict.fromkeys(item_id for by_item in scores.values() for item_id in by_item))
    metric = next((metric for metric in comparison.metrics if metric.primary), comparison.metrics[0])
    answers = {method.name: _answers(method.judgements) for method in comparison.methods}
    limit = max(1, min(MAX_ITEMS, MAX_PICTURES // (len(names) + 1)))
    values = {item_id: [s[item_id][metric.name] for s in scores.values() if metric.name in s.get(item_id, {})]
              for item_id in item_ids}  # fmt: skip
    chosen = choose_items(values, metric, limit)
    shown = by_dispute({item_id: values[item_id] for item_id in chosen.items})
    type_of = item_types(comparison.methods)
    folders = open_folders(comparison)
    sources: dict[AnyImage, GalleryPicture] = {}
    return Gallery(
        rows=tuple(_row(item_id, type_of[item_id], names, scores, answers, folders, sources) for item_id in shown),
        n_items=len(item_ids),
        chosen=chosen,
        metric=metric.name,
        pictures=bool(folders.edits),
        problems=tuple(folders.problems),
    )


def choose_items(values: Mapping[str, Sequence[float]], metric: ComparedMetric, limit: int) -> ChosenItems:
    """At most so many items: a third where methods differ most, a third where all are bad, the others spread evenly.

    Args:
        values: Item to the scores of the methods that have one there.
        metric: Of the scores.
        limit: How many.
    """
    disputed = by_dispute(values)
    if len(disputed) <= limit:
        return ChosenItems(disputed=tuple(disputed))
    third = limit // 3
    first, rest = disputed[:third], disputed[third:]
    sign = 1 if metric.higher_is_better else -1
    worst = sorted((i for i in rest if values[i]), key=lambda i: sign * sum(values[i]) / len(values[i]))[:third]
    others = [item_id for item_id in rest if item_id not in set(worst)]
    n, last = limit - len(first) - len(worst), len(others) - 1
    spread = dict.fromkeys(others[round(number * last / max(1, n - 1))] for number in range(n))
    return ChosenItems(disputed=tuple(first), worst=tuple(worst), spread=tuple(spread))


def by_dispute(values: Mapping[str, Sequence[float]]) -> list[str]:
    """Items by how far the scores of the methods lie apart, the farthest first, those without scores last.

    >>> by_dispute({"a": [0.1, 0.2], "b": [0.5, 0.1], "c": []})
    ['b', 'a', 'c']
    """
    return sorted(values, key=lambda item_id: min(values[item_id], default=1.0) - max(values[item_id], default=0.0))


def _scores(method: ComparedMethod) -> dict[str, dict[str, float]]:
    by_item: dict[str, dict[str, float]] = {item_id: {} for item_id, _ in method.table.groups()}
    for metric in method.table.metrics:
        for item_id, value in method.table.item_means(metric).by_item().items():
            by_item[item_id][metric] = value
    return by_item


def _answers(judgements: Sequence[Judgement]) -> dict[str, tuple[JudgeWords, ...]]:
    """By item, in the order of rubrics, seeds and repeats."""
    is_repeated = any(each.repeat for each in judgements)
    is_seeded = len({each.seed for each in judgements}) > 1
    found: dict[str, list[JudgeWords]] = {}
    for each in sorted(judgements, key=lambda each: (each.rubric, each.seed or 0, each.repeat)):
        about = [each.rubric]
        if is_seeded:
            about.append("no seed" if each.seed is None else f"seed {each.seed}")
        if is_repeated:
            about.append(f"answer {each.repeat + 1}")
        scores = ", ".join(f"{name} {value:.4g}" for name, value in (each.scores or {}).items())
        words = (each.reasoning or each.text).strip()
        if len(words) > MAX_WORDS:
            words = f"{words[:MAX_WORDS]}… (the rest is in {JUDGEMENTS})"
        unread = f"no score: {REASONS.get(str(each.reason), each.reason)}"
        found.setdefault(each.item_id, []).append(
            JudgeWords(about=", ".join(about), scores=scores or unread, words=words)
        )
    return {item_id: tuple(words) for item_id, words in found.items()}


def _row(
    item_id: str,
    edit_type: str | None,
    names: Sequence[str],
    scores: Mapping[str, Mapping[str, ItemValues]],
    answers: Mapping[str, Mapping[str, tuple[JudgeWords, ...]]],
    folders: OpenedFolders,
    sources: dict[AnyImage, GalleryPicture],
) -> GalleryRow:
    item = folders.items.get(item_id, EditItem(item_id=item_id))
    texts = (("source", item.source_caption), ("asked for", item.target_caption), ("instruction", item.instruction))
    return GalleryRow(
        item_id=item_id,
        edit_type=edit_type or item.edit_type,
        texts=tuple((name, text) for name, text in texts if text),
        source=source_picture(item, sources),
        edits={name: edited_picture(name, folders.edits[name].get(item_id)) for name in names if name in folders.edits},
        scores={name: scores[name].get(item_id, {}) for name in names},
        answers={name: answers[name][item_id] for name in names if item_id in answers[name]},
    )
