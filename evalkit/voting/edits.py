"""What is voted on: the edits of several methods, opened again as they were scored, and the controls beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from PIL import Image

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.controls import following
from evalkit.benchmarks.open import OpenedFolder, open_again, open_edits
from evalkit.comparison.load import name_and_path
from evalkit.edits.check import edits_digest
from evalkit.edits.item import EditItem
from evalkit.errors import DataError, OptionError
from evalkit.formatting import listed
from evalkit.images.decode import read_image
from evalkit.images.stored import AnyImage
from evalkit.judges.pairs import shown_texts
from evalkit.scores.run import RECORD, read_run
from evalkit.voting.plan import Ballot, Contest

IDENTITY, SHUFFLED, REFERENCE, WRONG = "identity", "shuffled_source", "reference", "wrong_attribute"


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedMethod:
    """A method's edits."""

    name: str
    run: str
    """The run, or the folder of edits, that was named: an absolute path."""
    digest: str
    edits: Mapping[str, Mapping[int | None, EditItem]]
    """By item and seed; only those that are there."""


@dataclass(frozen=True, kw_only=True)
class VotedEdits:
    """The edits of all methods, and the items that can be voted on: with a source image and a text that asks."""

    methods: tuple[VotedMethod, ...]
    items: Mapping[str, EditItem]
    benchmark: Benchmark | None

    @cached_property
    def contests(self) -> tuple[Contest, ...]:
        """Every two edits of an item, of equal seeds; of two methods that share none, the first of each."""
        return tuple(
            _contest(item, a.name, b.name, seed)
            for item_id, item in self.items.items()
            for a, b in combinations(self.methods, 2)
            for seed in _shared_seeds(a, b, item_id)
        )

    @cached_property
    def contested(self) -> tuple[str, ...]:
        """The items that are voted on."""
        return tuple(dict.fromkeys(contest.item_id for contest in self.contests))

    @cached_property
    def checks(self) -> tuple[Contest, ...]:
        """Contests that nobody doubts who looks: the perfect edit against none and against a wrong one.

        Where there are no perfect edits: the untouched source against another picture.
        """
        own = self.benchmark.controls if self.benchmark else {}
        found = []
        for item in (self.items[item_id] for item_id in self.contested):
            pairs = [(IDENTITY, SHUFFLED)] if item.item_id in self._others else []
            if item.reference_image:
                pairs = [(REFERENCE, IDENTITY), *([(REFERENCE, WRONG)] if WRONG in own else [])]
            found += [_contest(item, a, b, None, is_check=True) for a, b in pairs]
        return tuple(found)

    @cached_property
    def missing(self) -> dict[str, list[str]]:
        """Method to the items of which it has no edit: nobody votes on these."""
        return {
            method.name: gone for method in self.methods if (gone := [i for i in self.items if i not in method.edits])
        }

    def picture(self, ballot: Ballot, side: str) -> Image.Image:
        """One of a ballot's three pictures: ``source``, ``left`` or ``right``.

        Raises:
            ImageError: It cannot be read.
        """
        shown = self.shown(ballot, side)
        return shown if isinstance(shown, Image.Image) else read_image(shown)

    def shown(self, ballot: Ballot, side: str) -> AnyImage | Image.Image:
        """The same as the file that holds it; of a control that draws it, the picture.

        Raises:
            ImageError: What a control draws on cannot be read.
        """
        item = self.items[ballot.item_id]
        if side == "source":
            return _there(item.source_image)
        name = ballot.left if side == "left" else ballot.right
        if ballot.expected is None:
            edit = self.edit(name, ballot.item_id, ballot.seed)
            return _there(edit.edited_image if edit else None)
        if name == WRONG and self.benchmark:
            return self.benchmark.controls[WRONG](item)
        images = {
            IDENTITY: item.source_image,
            REFERENCE: item.reference_image,
            SHUFFLED: self._others.get(item.item_id),
        }
        return _there(images[name])

    def edit(self, name: str, item_id: str, seed: int | None) -> EditItem | None:
        """A method's edit of an item: of that seed, or where it has none of that seed its first; None without any."""
        edits = next((method.edits for method in self.methods if method.name == name), {}).get(item_id, {})
        return edits[seed] if seed in edits else next(iter(edits.values()), None)

    @cached_property
    def _others(self) -> dict[str, AnyImage]:
        """For each item the source image of another group."""
        sources = {item.group or item.item_id: _there(item.source_image) for item in self.items.values()}
        if len(set(sources.values())) < 2:
            return {}
        other = following(list(sources), np.random.default_rng(0))
        return {item.item_id: sources[other[item.group or item.item_id]] for item in self.items.values()}


def open_methods(runs: Sequence[str]) -> VotedEdits:
    """The edits of runs, or of edit folders that were not scored.

    Args:
        runs: Directories, each optionally as ``NAME=DIRECTORY``.

    Raises:
        OptionError: There are fewer than two, two of one name, or a path leads nowhere.
        DataError: Their benchmarks differ, or there is nothing to vote on.
        EvalkitError: A folder cannot be read any more.
    """
    if len(runs) < 2:
        raise OptionError("Votes are between two methods or more: expected RUN RUN…, got one. Name another run.")
    opened = [_opened(run) for run in runs]
    methods = tuple(_method(run, *each) for run, each in zip(runs, opened, strict=True))
    names = [method.name for method in methods]
    for method in methods:
        if names.count(method.name) > 1:
            raise OptionError(
                f"Two of the runs are called '{method.name}'. Give one another name: evalkit vote NAME={method.run}"
            )
    benchmarks = list(dict.fromkeys(found.folder.benchmark for _, found in opened))
    if len(benchmarks) > 1:
        raise DataError(
            f"The runs are of different benchmarks, {listed([str(name) for name in benchmarks])}: expected the same "
            "items of all. Vote on those of one."
        )
    edits = VotedEdits(methods=methods, items=_items(opened), benchmark=opened[0][1].benchmark)
    if not edits.contests:
        raise DataError(
            "There is nothing to vote on: no item has a source image, a caption or an instruction, and edits of two "
            "methods. See what was found: evalkit check FOLDER"
        )
    return edits


def _opened(run: str) -> tuple[str, OpenedFolder]:
    """A run's name and its folder."""
    name, path = name_and_path(run)
    if not path.is_dir():
        raise OptionError(
            f"{path} is no directory: expected a run, or a folder of edits. Make one: evalkit score FOLDER"
        )
    if (path / RECORD).is_file():
        record = read_run(path).record
        return name or record.run, open_again(record.folder)
    opened = open_edits(path)
    return name or opened.folder.name, opened


def _method(run: str, name: str, opened: OpenedFolder) -> VotedMethod:
    edits: dict[str, dict[int | None, EditItem]] = {}
    for item in opened.folder.items:
        if item.edited_image:
            edits.setdefault(item.item_id, {})[item.seed] = item
    digest = edits_digest(opened.folder.items)
    path = name_and_path(run)[1].resolve()
    return VotedMethod(name=name, run=str(path), digest=digest, edits=edits)


def _items(opened: Sequence[tuple[str, OpenedFolder]]) -> dict[str, EditItem]:
    """Every item that can be shown, as the first folder describes it that can show it."""
    found: dict[str, EditItem] = {}
    for _, each in opened:
        for item in each.folder.items:
            if item.source_image and shown_texts(item):
                found.setdefault(item.item_id, item)
    return found


def _shared_seeds(a: VotedMethod, b: VotedMethod, item_id: str) -> list[int | None]:
    """The seeds with which both have an edit; None alone where both have one and no seed is shared."""
    of_a, of_b = (method.edits.get(item_id, {}) for method in (a, b))
    return [seed for seed in of_a if seed in of_b] or ([None] if of_a and of_b else [])


def _contest(item: EditItem, a: str, b: str, seed: int | None, *, is_check: bool = False) -> Contest:
    return Contest(
        item_id=item.item_id, a=a, b=b, seed=seed, edit_type=item.edit_type, group=item.group,
        expected="a" if is_check else None,
    )  # fmt: skip


def _there(image: AnyImage | None) -> AnyImage:
    """An image that a contest promises.

    Raises:
        DataError: It is not there after all.
    """
    if image is None:
        raise DataError("The picture is not there any more. Score its folder again: evalkit score FOLDER")
    return image
