"""The features of items: ask the cache, have an engine compute what it does not know, and give them in any order."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from itertools import islice

import numpy as np

from evalkit.edits.item import EditItem
from evalkit.encoders.base import AnyEncoder, ContentKind, EncoderSpec, FeatureCache, Numbers
from evalkit.encoders.tokens import TokenCount, token_count
from evalkit.engine.base import Engine, Lost
from evalkit.engine.local import LocalEngine
from evalkit.errors import EngineError, ImageError
from evalkit.images.decode import decode_image, image_digest, read_image_bytes
from evalkit.images.facts import ImageFacts, facts_from, facts_of
from evalkit.images.pairs import Misfit, misfit
from evalkit.images.stored import AnyImage
from evalkit.judges.asking import Answered, RubricJudge
from evalkit.judges.base import Picture
from evalkit.judges.metrics import answer_numbers
from evalkit.judges.rubric import ShownItem
from evalkit.metrics.base import Metric, Scores, Vectors
from evalkit.metrics.features import Feature, FeatureKey, ItemFeature, PairFeature
from evalkit.scoring.encoders import start
from evalkit.scoring.requests import (
    FILE,
    Content,
    InputFeature,
    Request,
    TokenFeature,
    cache_key,
    content_digest,
    contents_of,
    environment,
    key_label,
)
from evalkit.scoring.store import FeatureStore
from evalkit.scoring.units import (
    Batches,
    FileBytes,
    ScoreResult,
    ScoreUnit,
    Uncached,
    single_units,
    units_of,
)
from evalkit.storage.prefetch import Progress, no_progress, prefetch

READERS = 8
"""Threads that read files: on a network's file system it is the answers that are waited for."""
DOING: Mapping[ContentKind, str] = {
    "image": "encoding images",
    "text": "encoding texts",
    "pair": "comparing images",
    "item": "judging items",
    "tokens": "counting tokens",
    "file": "looking at images",
}
"""What is computed, in this order, as it reads beside a progress bar."""


class FileReader:
    """Files by their paths, read from disk; images in memory can be read in the same way."""

    def digest(self, path: AnyImage) -> str:
        """SHA-256 of a file, in hexadecimal; raises an ImageError where it cannot be read."""
        return image_digest(path)

    def read(self, path: AnyImage) -> bytes:
        """A file's bytes; raises an ImageError where it cannot be read."""
        return read_image_bytes(path)


class Features:
    """The features that metrics ask for, computed by an engine's workers, each content once.

    Contents are known by the SHA-256 of their files and texts, so that a picture that occurs under two names is
    encoded once, and one that was encoded in an earlier run not at all.

    Args:
        encoders: By the names that features use.
        cache: Where numbers are kept. If it fails midway the work goes on in memory, and ``cache_failure`` says so.
        engine: Where features are computed; by default in this process.
        batch_size: Images, or texts, that a network is asked for together.
        reader: Reads files.
        progress: Called with the kind of work, how much is done and how much there is.
        judges: By the names that features use in the place of an encoder's.
    """

    def __init__(
        self,
        encoders: Mapping[str, AnyEncoder],
        cache: FeatureCache,
        engine: Engine | None = None,
        *,
        batch_size: int = 32,
        reader: FileReader | None = None,
        progress: Progress = no_progress,
        judges: Mapping[str, RubricJudge] | None = None,
    ) -> None:
        self.encoders = encoders
        self.judges = judges or {}
        self.answered: dict[tuple[str, str], Answered] = {}
        self._store = FeatureStore(cache)
        self._threads = os.cpu_count() or 1
        self._engine = engine or LocalEngine()
        self._batch_size = batch_size
        self._reader = reader or FileReader()
        self._progress = progress
        self.digests: dict[AnyImage, str] = {}
        """SHA-256 of the image files that were last asked for."""
        self._content_digests: dict[Content, str] = {}
        self.facts: dict[AnyImage, ImageFacts] = {}
        """What the image files are like that were last asked about, but for unreadable ones."""
        self._unexamined: set[AnyImage] = set()
        self.unreadable: dict[AnyImage, str] = {}
        """Image files that could not be decoded, each with the reason."""
        self.n_computed: dict[ContentKind, int] = dict.fromkeys(DOING, 0)
        """Vectors of images and of texts, pairs and items that were computed, and not known from an earlier run."""

    @property
    def cache_failure(self) -> str | None:
        """Why numbers are no longer kept, if the cache failed midway."""
        return self._store.failure

    def prepare(self, requests: Mapping[FeatureKey, Request]) -> None:
        """Make everything that is requested available; what is made from unreadable images is left out and listed.

        What was asked for before is let go, but for files that are asked for again.
        """
        self._store.release()
        self._content_digests.clear()
        contents = (content for request in requests.values() for content in request.contents)
        paths = dict.fromkeys(path for content in contents for path in content.files)
        self.digests = {path: self.digests[path] for path in paths if path in self.digests}
        self._digest([path for path in paths if path not in self.digests and path not in self.unreadable])
        self._note_unexamined(requests.get(FILE.key))
        by_kind = {kind: [each for key, each in requests.items() if key.kind == kind] for kind in DOING}
        of_judges = [
            (each.feature, each)
            for each in by_kind["item"]
            if isinstance(each.feature, ItemFeature) and each.feature.encoder in self.judges
        ]
        by_kind["item"] = [each for each in by_kind["item"] if each.feature.encoder not in self.judges]
        files = by_kind.pop("file")
        for kind, of_kind in by_kind.items():
            self._compute(kind, of_kind)
        self.answered = {}
        for feature, request in of_judges:  # files that nobody knows yet are looked at while they think
            self._judge(feature, request)
        self._compute("file", files)
        self.facts = self._known_facts(requests.get(FILE.key))

    def compute(self, metric: Metric, items: Sequence[EditItem]) -> Scores:
        """A metric's values for items that have all that it needs."""
        arrays = {name: self._array(feature, items) for name, feature in metric.features.items()}
        resolutions = [self.encoders[name].spec.resolution for name in metric.encoders if name in self.encoders]
        return metric.compute(arrays, resolution=max(resolutions, default=0.0))

    def tokens(self, encoder: str, contents: Sequence[Content]) -> list[TokenCount | None]:
        """What texts are to the tokenizer of an encoder; None where that does not say."""
        feature, digests = TokenFeature(encoder), [self._digest_of(content) for content in contents]
        found = self._store.get(self._key(feature), feature.key.kind, digests)
        return [token_count(found[digest]) for digest in digests]

    def misfit(self, metric: Metric, item: EditItem) -> Misfit | None:
        """Why a metric cannot hold an item's images against each other; None where it can, or does not."""
        for image, frame in metric.frames:
            of_image, of_frame = (self.facts.get(getattr(item, name)) for name in (image, frame))
            if of_image and of_frame:
                reason = misfit(of_image.size, of_frame.size, is_mask=image == "edit_mask")
                if reason:
                    return reason
        return None

    def _array(self, feature: Feature, items: Sequence[EditItem]) -> Vectors:
        """``(n, dimension)``, or ``(n, contents, dimension)`` where an item has several contents."""
        rows = [[self._digest_of(content) for content in contents_of(feature, item)] for item in items]
        found = self._store.get(self._key(feature), feature.key.kind, [digest for row in rows for digest in row])
        stacked = np.stack([np.stack([found[digest] for digest in row]) for row in rows])
        return stacked[:, 0] if stacked.shape[1] == 1 else stacked

    def answers(self, feature: ItemFeature, item: EditItem) -> Answered | None:
        """What a judge answered about an item; None where it was not asked."""
        (content,) = contents_of(feature, item)
        known = all(path in self.digests for path in content.files)
        return self.answered.get((feature.encoder, self._digest_of(content))) if known else None

    def _judge(self, feature: ItemFeature, request: Request) -> None:
        """Has a judge asked about everything; its answers it keeps itself."""
        judge, contents = self.judges[feature.encoder], dict[str, Content]()
        for content in request.contents:
            if all(path in self.digests and path not in self.unreadable for path in content.files):
                contents.setdefault(self._digest_of(content), content)

        facts, unreadable = dict[AnyImage, ImageFacts](), dict[AnyImage, str]()

        def picture(path: AnyImage) -> Picture:
            try:
                data = self._read(path)
                if isinstance(data, ImageError):
                    raise data
                if path in self._unexamined and path not in facts:
                    decoded = decode_image(data, path)
                    facts[path] = facts_of(decoded)
                    return judge.settings.picture_of_file(data, path, decoded=decoded.image)
                return judge.settings.picture_of_file(data, path, decoded=True)
            except ImageError as failure:
                unreadable[path] = str(failure)
                raise

        def look(content: Content) -> ShownItem:
            pictures = [picture(path) for path in content.files]
            shown, written = zip(feature.images, pictures, strict=True), zip(feature.texts, content.texts, strict=True)
            return {**dict(shown), **dict(written)}

        key = self._key(feature)
        unjudged = ((digest, partial(look, content)) for digest, content in contents.items())
        for done, answered in enumerate(judge.ask(unjudged), start=1):
            self._progress("judging edits", done, len(contents))
            if answered.unreadable:
                self._note_unreadable({p: unreadable[p] for p in contents[answered.digest].files if p in unreadable})
                continue
            self.answered[feature.encoder, answered.digest] = answered
            judgements = judge.judgements("", None, answered)
            self._store.hold(key, "item", {answered.digest: answer_numbers(judge.rubric, judgements)})
        self._note_facts({Content((path,)): seen.as_numbers() for path, seen in facts.items()})

    def _digest(self, paths: Sequence[AnyImage]) -> None:
        def digest(path: AnyImage) -> str | ImageError:
            try:
                return self._reader.digest(path)
            except ImageError as failure:
                return failure

        with ThreadPoolExecutor(self._threads) as pool:
            results = prefetch(pool, digest, paths, 4 * self._threads)
            for done, (path, result) in enumerate(results, start=1):
                if isinstance(result, ImageError):
                    self.unreadable[path] = str(result)
                else:
                    self.digests[path] = result
                self._progress("reading images", done, len(paths))

    def _note_unexamined(self, files: Request | None) -> None:
        """Files of which nothing is known: whoever decodes one says what it is like."""
        unknown = self._missing("file", files).digests if files else frozenset[str]()
        readable = [content for content in (files.contents if files else ()) if content.files[0] in self.digests]
        self._unexamined = {content.files[0] for content in readable if self._digest_of(content) in unknown}
        if self._unexamined:
            self._store.describe(self._key(FILE), key_label(FILE, None))

    def _note_facts(self, numbers: Mapping[Content, Numbers]) -> None:
        """What files are like that somebody decoded."""
        self._store.put(self._key(FILE), FILE.key.kind, {self._digest_of(c): row for c, row in numbers.items()})
        self._unexamined.difference_update(content.files[0] for content in numbers)

    def _known_facts(self, files: Request | None) -> dict[AnyImage, ImageFacts]:
        readable = [content for content in (files.contents if files else ()) if content.files[0] in self.digests]
        digests = [self._digest_of(content) for content in readable]
        found = self._store.get(self._key(FILE), FILE.key.kind, digests) if digests else {}
        pairs = zip(readable, digests, strict=True)
        return {content.files[0]: facts_from(found[digest]) for content, digest in pairs if digest in found}

    def _digest_of(self, content: Content) -> str:
        if content not in self._content_digests:
            files = [self.digests[path] for path in content.files]
            self._content_digests[content] = content_digest(files, content.texts)
        return self._content_digests[content]

    def _spec(self, feature: Feature | InputFeature) -> EncoderSpec | None:
        is_encoded = feature.encoder != "none" and feature.encoder not in self.judges
        return self.encoders[feature.encoder].spec if is_encoded else None

    def _key(self, feature: Feature | InputFeature) -> str:
        return cache_key(feature, self._spec(feature))

    def _compute(self, kind: ContentKind, requests: Sequence[Request]) -> None:
        """Everything of one kind that is not known yet."""
        missing = [self._missing(kind, request) for request in requests if request.contents]
        keys = {each.feature.key: self._key(each.feature) for each in missing if each.digests}
        for each in missing:
            if each.digests:
                self._store.describe(keys[each.feature.key], key_label(each.feature, self._spec(each.feature)))
        units = units_of(kind, missing, batch_size=self._batch_size, pairs=2 * self._threads)
        total, done = sum(_size(kind, unit) for unit in units), 0
        for unit, result in self._results(units):
            for key, numbers in result.numbers.items():
                if key == FILE.key:  # any unit may have looked at them
                    self._note_facts(numbers)
                    continue
                self._store.put(keys[key], key.kind, {self._digest_of(c): row for c, row in numbers.items()})
                self.n_computed[kind] += len(numbers) if key.kind == kind in ("image", "text") else 0
            self._note_unreadable(result.unreadable)
            done += _size(kind, unit.batches)
            self._progress(DOING[kind], done, total)
        self.n_computed[kind] += total if kind in ("pair", "item") else 0

    def _missing(self, kind: ContentKind, request: Request) -> Uncached:
        wanted: list[Content] = list(request.contents)
        if kind in ("text", "tokens"):  # those of like length together: where padding is ignored there is then little
            wanted.sort(key=lambda content: len(content.texts[0]))
        contents: dict[str, Content] = {}
        for content in wanted:
            if all(path in self.digests for path in content.files):
                contents.setdefault(self._digest_of(content), content)
        digests = self._store.missing(self._key(request.feature), kind, contents)
        return Uncached(feature=request.feature, contents=contents, digests=frozenset(digests))

    def _note_unreadable(self, unreadable: Mapping[AnyImage, str]) -> None:
        """Files that cannot be decoded, with those of the same bytes."""
        for path, message in unreadable.items():
            alike = [other for other, digest in self.digests.items() if digest == self.digests[path]]
            self.unreadable |= {other: message.replace(str(path), str(other), 1) for other in alike}

    def _results(self, units: Sequence[Batches]) -> Iterator[tuple[ScoreUnit, ScoreResult]]:
        """What came of units; one that no worker survives is divided, and what none survives is given up."""
        if not units:
            return
        lost: list[Batches] = []
        for unit, answer in start(self._engine, self.encoders)(self._with_files(units)):
            if isinstance(unit, ScoreUnit) and isinstance(answer, ScoreResult):
                yield unit, answer
            elif isinstance(unit, ScoreUnit) and isinstance(answer, Lost):
                divided = list(single_units(unit.batches))
                if len(divided) > 1:
                    lost.extend(divided)
                else:
                    yield unit, _given_up(unit, answer)
        yield from self._results(lost)

    def _with_files(self, units: Sequence[Batches]) -> Iterator[ScoreUnit]:
        """Units with their files, a few of which are read before they are asked for."""
        paths = [tuple(dict.fromkeys(p for b in unit for c in b.contents for p in c.files)) for unit in units]
        names = {batch.feature.encoder for unit in units for batch in unit} - {"none"}
        keys, here = {name: self.encoders[name].spec.cache_key for name in names}, environment()
        with ThreadPoolExecutor(READERS) as pool:
            files = prefetch(pool, self._read, (path for each in paths for path in each), 4 * READERS)
            for batches, own in zip(units, paths, strict=True):
                needed = {b.feature.encoder: keys[b.feature.encoder] for b in batches if b.feature.encoder != "none"}
                own_files = dict(islice(files, len(own)))
                unknown = self._unexamined.intersection(own)
                yield ScoreUnit(
                    batches=batches,
                    encoder_keys=needed,
                    environment=here,
                    files=own_files,
                    unexamined=frozenset(unknown),
                )

    def _read(self, path: AnyImage) -> FileBytes:
        try:
            data = self._reader.read(path)
        except ImageError as failure:
            return failure
        if sha256(data).hexdigest() != self.digests[path]:  # its numbers are kept under that name
            return ImageError(f"{path} changed while it was scored. Score the folder again.")
        return data


def _size(kind: ContentKind, batches: Batches) -> int:
    """How much a unit is: vectors of images and texts, or pairs and items whatever is computed of them."""
    if kind in ("image", "text"):
        return sum(len(batch.contents) for batch in batches)
    return len({content for batch in batches for content in batch.contents})


def _given_up(unit: ScoreUnit, lost: Lost) -> ScoreResult:
    """A content that no worker survives: its edited image, or what it has, is unreadable.

    Raises:
        EngineError: It has no image.
    """
    (content,) = unit.contents
    if not content.files:
        raise EngineError(f"These texts cannot be encoded ({lost.reason}): {', '.join(content.texts)}")
    feature, path = unit.batches[0].feature, content.files[0]
    if isinstance(feature, PairFeature):
        path = content.files[1]
    elif isinstance(feature, ItemFeature) and "edited_image" in feature.takes:
        path = content.files[feature.images.index("edited_image")]
    message = f"{path} cannot be used as an image: {lost.reason}."
    return ScoreResult(numbers={}, unreadable={path: message})
