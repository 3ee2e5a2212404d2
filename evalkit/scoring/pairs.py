"""Edited images beside their sources: each pair read once for all that looks at it, and what was seen kept.

The unit of work is one source image with a few of its edits. Threads read and align it and take the measures of pixels;
encoders that compare pairs get it afterwards, on the calling thread. Only a window of such units is in memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.encoders.base import Embeddings, PairEncoder
from evalkit.encoders.digest import settings_digest
from evalkit.images.pairs import MASK_RULE, SIZE_RULE, ImagePair, PairFiles, read_pairs
from evalkit.metrics.base import PairFeature
from evalkit.scoring.vectors import Vectors
from evalkit.storage.prefetch import Progress, in_batches, no_progress, prefetch

UNIT = 4
"""Edits of one source that are in memory together; a process that is killed loses no more than this per thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUnit:
    """One source image with a few of its edits, and which features each of them still lacks."""

    files: tuple[PairFiles, ...]
    lacking: tuple[tuple[PairFeature, ...], ...]


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was made of a unit of work."""

    measured: dict[PairFeature, dict[PairFiles, Embeddings]] = field(default_factory=dict)
    pairs: dict[PairFeature, dict[PairFiles, ImagePair]] = field(default_factory=dict)
    """For the encoders."""
    unreadable: dict[Path, str] = field(default_factory=dict)

    def compared(self, encoders: Mapping[str, PairEncoder]) -> "Seen":
        """The same, with the encoders' numbers in the place of the pairs."""
        measured = dict(self.measured)
        for feature, pairs in self.pairs.items():
            vectors = encoders[feature.encoder].encode_pairs(list(pairs.values()))
            measured[feature] = dict(zip(pairs, vectors, strict=True))
        return Seen(measured=measured, unreadable=self.unreadable)


class Pairs:
    """The numbers that metrics ask for about pairs.

    Args:
        encoders: By the names that features use.
        vectors: Where the numbers are kept, by the SHA-256 of the files.
        digests: SHA-256 of each file.
        threads: Threads that read and measure.
        elsewhere: Has it done by others instead.
        progress: Called with the kind of work, how much is done and how much there is.
    """

    def __init__(
        self,
        encoders: Mapping[str, PairEncoder],
        vectors: Vectors,
        digests: Mapping[Path, str],
        *,
        threads: int,
        elsewhere: Callable[[Sequence[PairUnit]], Iterator[tuple[PairUnit, Seen]]] | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._encoders = encoders
        self._vectors = vectors
        self._digests = digests
        self._threads = threads
        self._see = elsewhere or self._looked_at
        self._progress = progress
        self.n_compared = 0

    def prepare(self, plan: Mapping[PairFeature, Sequence[PairFiles]]) -> dict[Path, str]:
        """Make every number of the plan available.

        Returns:
            The files that cannot be decoded, each with the reason.
        """
        units = list(self._units(plan))
        for feature in dict.fromkeys(feature for unit in units for lacking in unit.lacking for feature in lacking):
            self._vectors.describe(self._fingerprint(feature), self._label(feature))
        total, done, unreadable = sum(len(unit.files) for unit in units), 0, {}
        for unit, seen in self._see(units):
            for feature, measured in seen.measured.items():
                self._keep(feature, measured)
            unreadable.update(seen.unreadable)
            done += len(unit.files)
            self._progress("comparing images", done, total)
        self.n_compared += total
        return unreadable

    def _looked_at(self, units: Sequence[PairUnit]) -> Iterator[tuple[PairUnit, Seen]]:
        with ThreadPoolExecutor(self._threads) as pool:
            for unit, seen in prefetch(pool, look, units, self._threads + 1):
                yield unit, seen.compared(self._encoders)

    def array(self, feature: PairFeature, files: Sequence[PairFiles]) -> Embeddings:
        """A feature's numbers, ``(n, dimension)``."""
        digests = [self._digest(place) for place in files]
        found = self._vectors.get(self._fingerprint(feature), "pair", digests)
        return np.stack([found[digest] for digest in digests])

    def _units(self, plan: Mapping[PairFeature, Sequence[PairFiles]]) -> Iterator[PairUnit]:
        """The work that is left, by source image, in the order in which items first ask for it."""
        lacking: dict[PairFiles, list[PairFeature]] = {}
        for feature, places in plan.items():
            by_digest: dict[str, PairFiles] = {}
            for place in places:
                if all(path in self._digests for path in place.paths):
                    by_digest.setdefault(self._digest(place), place)
            for place in by_digest.values():
                lacking.setdefault(place, [])
            for digest in self._vectors.missing(self._fingerprint(feature), "pair", by_digest):
                lacking[by_digest[digest]].append(feature)
        # Side by side, an edit's entries with and without its mask have their images decoded once.
        paths = (path for place in lacking for path in (place.source_image, place.edited_image))
        rank = {path: number for number, path in enumerate(dict.fromkeys(paths))}
        ordered = sorted(lacking, key=lambda place: (rank[place.source_image], rank[place.edited_image]))
        for _, group in groupby(ordered, key=lambda place: place.source_image):
            # Divided before what is known is left out: a run that goes on where one was killed has the same units.
            for chunk in in_batches(group, UNIT):
                if left := [place for place in chunk if lacking[place]]:
                    yield PairUnit(files=tuple(left), lacking=tuple(tuple(lacking[place]) for place in left))

    def _keep(self, feature: PairFeature, numbers: Mapping[PairFiles, Embeddings]) -> None:
        rows = {self._digest(place): vector for place, vector in numbers.items()}
        self._vectors.put(self._fingerprint(feature), "pair", rows)

    def _fingerprint(self, feature: PairFeature) -> str:
        """Of all that decides a feature's numbers but the pair itself."""
        made_by: object = self._encoders[feature.encoder].spec.fingerprint if feature.measure is None else None
        if feature.measure is not None:
            made_by = [feature.measure.__module__, feature.measure.__qualname__, feature.version]
        return settings_digest([made_by, feature.masked, SIZE_RULE, MASK_RULE])

    def _label(self, feature: PairFeature) -> str:
        if feature.measure is not None:
            return f"pixels/{feature.measure.__name__}"
        return self._encoders[feature.encoder].spec.label

    def _digest(self, place: PairFiles) -> str:
        return hashlib.sha256("".join(self._digests[path] for path in place.paths).encode()).hexdigest()


def look(unit: PairUnit, read: Callable[[Path], Image.Image] | None = None) -> Seen:
    """Reads the pairs of a unit and takes the measures of their pixels.

    Args:
        unit: Which pairs, and what they lack.
        read: Gives the image of a file, or raises an ImageError; from disk by default.
    """
    seen = Seen()
    lacking = dict(zip(unit.files, unit.lacking, strict=True))
    for place, pair in read_pairs(unit.files, read):
        if not isinstance(pair, ImagePair):
            seen.unreadable.update(pair)
            continue
        for feature in lacking[place]:
            if feature.measure is None:
                seen.pairs.setdefault(feature, {})[place] = pair
            else:
                images = {"edited": pair.edited, "source": pair.source}
                masked = {"background": pair.background} if feature.masked else {}
                numbers = np.array(feature.measure(**images, **masked), dtype=np.float32)
                seen.measured.setdefault(feature, {})[place] = numbers
    return seen
