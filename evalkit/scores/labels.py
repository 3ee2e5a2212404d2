"""What runs are called that stand side by side: no two of them alike."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from evalkit.formatting import abridged, one_line
from evalkit.scores.run import RunRecord

_LAST = frozenset({"seeds", "version"})
"""What tells runs apart only where nothing else does."""
_LONGEST = 60
"""Letters of a setting's value."""


def run_labels(records: Sequence[RunRecord], directories: Sequence[str]) -> list[str]:
    """The runs' names; where several are of one method, and nobody named them, with the settings in which they differ.

    Runs that would still look the same have the name of the folder that was scored behind it, or, if that is the same,
    their own directory.

    Args:
        records: Of the runs.
        directories: Where each lies, different ones.
    """
    labels = [one_line(record.run) for record in records]
    unnamed = [number for number, record in enumerate(records) if record.method and not record.named]
    for method in dict.fromkeys(records[number].method for number in unnamed):
        alike = [number for number in unnamed if records[number].method == method]
        for number, settings in zip(alike, _differences([records[n].folder.made_with for n in alike]), strict=True):
            labels[number] = one_line(f"{method} {settings}") if settings else labels[number]
    for names in ([PurePath(record.folder.path).name for record in records], directories):
        for clashing in _clashes(labels):
            if len({names[number] for number in clashing}) > 1:
                for number in clashing:
                    labels[number] = one_line(f"{labels[number]} ({names[number]})")
    while clashes := _clashes(labels):
        for clashing in clashes:
            for count, number in enumerate(clashing[1:], start=2):
                labels[number] = f"{labels[number]} ({count})"
    return labels


def _clashes(labels: Sequence[str]) -> list[list[int]]:
    """The numbers of labels that look the same, wherever a line of them is broken."""
    found: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        found.setdefault("".join(label.split()), []).append(number)
    return [numbers for numbers in found.values() if len(numbers) > 1]


def _differences(made: Sequence[Mapping[str, str]]) -> list[str]:
    """For each of several ways to make edits the settings that are not the same in all."""
    differing = [
        key for key in dict.fromkeys(key for one in made for key in one) if len({one.get(key) for one in made}) > 1
    ]
    first = [key for key in differing if key not in _LAST]
    texts = [_text(one, first) for one in made]
    return texts if len(set(texts)) == len(texts) else [_text(one, differing) for one in made]


def _text(made: Mapping[str, str], keys: Iterable[str]) -> str:
    return " ".join(f"{key}={abridged(made[key], _LONGEST)}" for key in keys if key in made)
