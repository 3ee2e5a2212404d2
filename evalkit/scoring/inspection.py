"""What is to be said about a run's inputs: of folder and images as ``check`` says it, of captions by their tokens."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from evalkit.edits.check import ExaminedFile, FolderCheck, unreadable_file
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem, Problem
from evalkit.encoders.tokens import TokenCount
from evalkit.images.stored import AnyImage
from evalkit.metrics.base import Metric
from evalkit.scores.run import ImageCounts
from evalkit.scoring.features import Features
from evalkit.scoring.requests import contents_of, distinct_texts


class Inspection:
    """Gathers what there is to say, chunk by chunk of a folder's items.

    Args:
        folder: What is scored.
        metrics: By which, which decides what encoders read of its texts.
        features: Of its items.
    """

    def __init__(self, folder: EditFolder, metrics: Sequence[Metric], features: Features) -> None:
        self._features = features
        self._root = folder.root
        self._check = FolderCheck(folder, estimate_captions=False)
        self._encoded = distinct_texts(metrics)
        self._captions: list[Problem] = []
        self._known: set[tuple[str, str, str]] = set()
        self._full: dict[tuple[str, int], tuple[int, str]] = {}
        """Encoder and what it reads, of texts that fill it, to the whole of the first such text and whose it is."""

    def add(self, items: Sequence[EditItem]) -> None:
        """Look at those items whose features were prepared last."""
        features = self._features
        files = {path: ExaminedFile(digest=features.digests.get(path), facts=f) for path, f in features.facts.items()}
        for path, message in features.unreadable.items():
            files[path] = unreadable_file(path, self._root, message)
        self._check.add(items, files)
        for feature in self._encoded:
            told = [item for item in items if getattr(item, feature.field)]
            contents = [contents_of(feature, item) for item in told]
            counts = iter(features.tokens(feature.encoder, [content for each in contents for content in each]))
            for item, each in zip(told, contents, strict=True):
                self._look_at(item, feature.field, feature.encoder, [next(counts) for _ in each])

    def problems(self) -> Iterator[Problem]:
        """What was found."""
        yield from self._check.problems()
        yield from self._captions
        if self._features.cache_failure:
            yield Problem(code="cache_unavailable", message=self._features.cache_failure)

    def _look_at(self, item: EditItem, field: str, encoder: str, counts: Iterable[TokenCount | None]) -> None:
        """One text of an item, as an encoder reads it in each sentence of its template."""
        text, name = (item.item_id, field, encoder), f"the {field.replace('_', ' ')} of {item.item_id}"
        filling = [count for count in counts if count and count.n_tokens >= count.n_read]
        longest = max(filling, key=lambda count: count.n_tokens, default=None)
        if longest is None or text in self._known:
            return
        self._known.add(text)
        network = self._features.encoders[encoder].spec.name
        if longest.is_cut:
            self._say(
                "cut_caption", item, f"{name}: {longest.n_tokens} tokens, of which {network} reads {longest.n_read}."
            )
        for count in filling:
            whole, first = self._full.setdefault((encoder, count.read), (count.whole, name))
            if whole != count.whole:
                self._say("indistinct_captions", item, f"{name} is to {network} the same as {first}, once it is cut.")
                break

    def _say(self, code: str, item: EditItem, message: str) -> None:
        self._captions.append(Problem(code=code, message=message[0].upper() + message[1:], item_id=item.item_id))


def count_images(problems: Iterable[Problem]) -> ImageCounts:
    """How many images were changed, or could not be held against another, of those that problems name."""
    named: dict[str, set[AnyImage | None]] = {}
    for problem in problems:
        named.setdefault(problem.code, set()).add(problem.path)
    counts = Counter({code: len(paths) for code, paths in named.items()})
    return ImageCounts(
        transparent=counts["transparent_image"],
        resized=counts["size_differs"],
        other_aspect=counts["other_aspect"],
        tiny=counts["tiny_image"],
    )
