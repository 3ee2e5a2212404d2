"""How what is missing is divided into units of work.

The last digits of a network's numbers depend on who shares a batch. So all that is wanted is divided, and only then is
what is known left out: a run that goes on where one was killed, with any engine, has the batches that were left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from evalkit.encoders.cache import ContentKind
from evalkit.metrics.features import Feature
from evalkit.scoring.requests import Content
from evalkit.scoring.units import Batch
from evalkit.storage.prefetch import in_batches

EDITS = 4
"""Edits of one source image, or items before a judge, that go together; a killed run loses few more."""
Batches = tuple[Batch, ...]
"""What makes a unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A feature, all that it is wanted of, and what of that must be computed."""

    feature: Feature
    contents: Mapping[str, Content]
    """Digest to content, in the order in which they are wanted."""
    digests: frozenset[str]
    """Those that are not known."""

    def batches(self, size: int) -> Iterator[tuple[Content, ...]]:
        """What is missing, of batches of ``size`` of all that is wanted."""
        for batch in in_batches(self.contents, size):
            if left := tuple(self.contents[digest] for digest in batch if digest in self.digests):
                yield left


def units_of(kind: ContentKind, missing: Sequence[Missing], *, batch_size: int, pairs: int) -> list[Batches]:
    """The units of one kind of work.

    Args:
        kind: Of all the features.
        missing: What must be computed.
        batch_size: Images, texts or items per pass of a network.
        pairs: Of how many pairs a unit is made, so that the threads of a worker have enough to do.
    """
    if kind == "image":
        return _image_units(missing, batch_size)
    if kind == "text":
        return [(Batch(feature=each.feature, contents=c),) for each in missing for c in each.batches(batch_size)]
    if kind == "pair":
        return list(_packed(_pair_units(missing), pairs))
    sizes = [batch_size if each.feature.encoder != "none" else EDITS for each in missing]
    return [
        (Batch(feature=each.feature, contents=contents),)
        for each, size in zip(missing, sizes, strict=True)
        for contents in each.batches(size)
    ]


def single_units(batches: Batches) -> Iterator[Batches]:
    """A unit divided, a content to each."""
    for content in dict.fromkeys(content for batch in batches for content in batch.contents):
        yield tuple(Batch(feature=b.feature, contents=(content,)) for b in batches if content in b.contents)


def _image_units(missing: Sequence[Missing], size: int) -> list[Batches]:
    """Networks that want the same pictures get them in one unit, so that each is decoded once."""
    wanted: dict[tuple[Content, ...], list[Feature]] = {}
    for each in missing:
        for contents in each.batches(size):
            wanted.setdefault(contents, []).append(each.feature)
    return [tuple(Batch(feature=f, contents=contents) for f in features) for contents, features in wanted.items()]


def _pair_units(missing: Sequence[Missing]) -> Iterator[Batches]:
    """By source image, in the order in which items first ask for it."""
    wanted: dict[Content, list[Feature]] = {}
    for each in missing:
        for digest, content in each.contents.items():
            features = wanted.setdefault(content, [])
            if digest in each.digests:
                features.append(each.feature)
    # Side by side, an edit's contents with and without its mask have their images decoded once.
    paths = dict.fromkeys(path for content in wanted for path in content.files[:2])
    rank: dict[Path, int] = {path: number for number, path in enumerate(paths)}
    ordered = sorted(wanted, key=lambda content: (rank[content.files[0]], rank[content.files[1]]))
    for _, edits in groupby(ordered, key=lambda content: content.files[0]):
        for group in in_batches(edits, EDITS):
            by_feature: dict[int, tuple[Feature, list[Content]]] = {}
            for content in group:
                for feature in wanted[content]:
                    by_feature.setdefault(id(feature), (feature, []))[1].append(content)
            if by_feature:
                yield tuple(Batch(feature=f, contents=tuple(contents)) for f, contents in by_feature.values())


def _packed(units: Iterator[Batches], pairs: int) -> Iterator[Batches]:
    """Small units together, their batches as they are."""
    together: list[Batch] = []
    count = 0
    for unit in units:
        n_pairs = len({content for batch in unit for content in batch.contents})
        if together and count + n_pairs > pairs:
            yield tuple(together)
            together, count = [], 0
        together.extend(unit)
        count += n_pairs
    if together:
        yield tuple(together)
