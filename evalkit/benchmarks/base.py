"""What a benchmark is, and where benchmarks are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.sources import with_groups
from evalkit.images.stored import AnyImage
from evalkit.registry import Registry

if TYPE_CHECKING:
    from PIL import Image


class Locate(Protocol):
    """Finds, fetches or draws a benchmark's files."""

    def __call__(self, data: Path | None = None, *, near: Path | None = None) -> Path:
        """The directory, or the file, that holds the benchmark's files, verified.

        Args:
            data: The user's local copy; None looks at ``EVALKIT_DATA``, then beside ``near``, then in the cache, and
                at last fetches or draws them.
            near: The folder that is being scored, beside which an official copy often lies.

        Raises:
            BenchmarkError: The files are absent and cannot be fetched, or differ from the official ones.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A fixed list of edits, and what is needed to score a method on it.

    Everything here is known without a file; :meth:`load` gives the items with their images.
    """

    name: str
    title: str
    version: str
    """Raised whenever an item, a caption or a file changes."""
    description: str
    homepage: str
    """Where its authors publish it; empty for one that evalkit draws."""
    licence: str
    """Of the images, stated honestly."""
    default_encoder: str
    default_metrics: tuple[str, ...]
    edit_types: Mapping[str, str]
    """The closed list of edit types, each with its definition."""
    items: tuple[EditItem, ...]
    """Image fields are paths relative to the directory that ``locate`` returns. Empty where the list of edits is part
    of the user's copy; then ``read`` gives it."""
    locate: Locate
    edited_names: Mapping[str, str] = field(default_factory=dict)
    """``item_id`` to the official file name of its edited image, where the benchmark has an official layout."""
    default_model: str = ""
    """Base model of ``evalkit edit`` on it; empty leaves the choice to the method."""
    licence_id: str | None = None
    """The Hub's identifier of a licence under which the images may be passed on; None where there is none."""
    citation: str | None = None
    """BibTeX."""
    notes: tuple[str, ...] = ()
    """What a user of the data should know, one sentence each, in Markdown."""
    controls: "Mapping[str, Callable[[EditItem], Image.Image]]" = field(default_factory=dict)
    """Control methods of its own, beside those of :mod:`evalkit.benchmarks.controls`: name to what makes an edit."""
    published: Mapping[str, Locate] = field(default_factory=dict)
    """Edits that a method's authors published: name of the method to what finds or fetches them."""
    source_urls: Mapping[str, str] = field(default_factory=dict)
    """Source file name to where exactly these bytes are served, where they are."""
    read: "Callable[[Path], Benchmark] | None" = None
    """Gives this benchmark with its items and its version, where they are read from the directory that ``locate``
    returns. Raises a BenchmarkError where they cannot be."""
    language: str = "en"
    """Of its texts, as BCP 47 has it."""
    default_protocol: str | None = None
    """The protocol under which its numbers are usually reported."""
    stated_items: int | None = None
    stated_groups: int | None = None
    """How many there are, as far as that is known before ``read`` has counted them."""
    variants: tuple[str, ...] = ()
    """Names of its other lists of edits: ``name:variant`` is a benchmark too."""
    beside: tuple[str, ...] = ()
    """Patterns, of names or of paths below a folder, of what its official scripts write beside the edited images."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the data that were read."""
    edited_image: Callable[[Path], Path] | None = None
    """Gives the file of the edited image, for a benchmark whose own scripts write more than that into a file."""

    def load(self, data: Path | None = None, *, near: Path | None = None) -> "LoadedBenchmark":
        """Finds, fetches or draws the benchmark's files, and reads its list of edits where that is one of them.

        Args:
            data: The user's local copy; None has the files looked for, and fetched or drawn where they can be.
            near: The folder that is being scored, beside which an official copy often lies.

        Raises:
            BenchmarkError: The files are absent and cannot be fetched, differ from the official ones, or cannot be
                read.
        """
        root = self.locate(data, near=near)
        benchmark = self.read(root) if self.read else self
        items = tuple(item.with_images(partial(_below, root)) for item in benchmark.items)
        return LoadedBenchmark(benchmark=benchmark, root=root, items=items)

    @property
    def n_groups(self) -> int:
        """Distinct source images: the units of inference."""
        return len({item.group for item in self.items})

    @property
    def without_files(self) -> ExpectedItems:
        """The items as a folder is matched against them by name alone; none of them has an image."""
        items = tuple(item.with_images(lambda _path: None) for item in self.items)
        return ExpectedItems(
            benchmark=self.name, items=items, source_names=_source_names(self.items), edited_names=self.edited_names
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBenchmark:
    """A benchmark with its files: what methods edit, and what edit folders are matched against."""

    benchmark: Benchmark
    """What is known of it, with its list of edits and its version."""
    root: Path
    """The directory that holds its files."""
    items: tuple[EditItem, ...]
    """Its edits, with the full paths of their images."""

    @property
    def expected(self) -> ExpectedItems:
        """The items as a folder is matched against them."""
        return ExpectedItems(
            items=self.items,
            benchmark=self.benchmark.name,
            source_names=_source_names(self.items),
            edited_names=self.benchmark.edited_names,
        )

    def grouped(self) -> "LoadedBenchmark":
        """The same with a group for every item: where the benchmark has none, by the bytes of the source image."""
        if all(item.group for item in self.items):
            return self
        return replace(self, items=with_groups(self.items, {}).items)


def _below(root: Path, image: AnyImage) -> AnyImage:
    return root / image if isinstance(image, Path) else image


def _source_names(items: tuple[EditItem, ...]) -> dict[str, str]:
    return {item.item_id: item.source_image.name for item in items if item.source_image}


class Benchmarks(Registry[Callable[[], Benchmark]]):
    """Benchmarks by name, which may also be that of a card's variant, or the path of a card of the user's own."""

    def get(self, name: str) -> Callable[[], Benchmark]:
        """What makes the benchmark called ``name``: ``tedbench``, ``gedit_bench:cn`` or ``my_benchmark.yaml``.

        Raises:
            UnknownNameError: There is none.
            BrokenPluginError: The name is registered and its object cannot be imported.
            BenchmarkError: The card is wrong.
        """
        from evalkit.benchmarks.cards import card_benchmark, find_card

        card = find_card(name)
        return partial(card_benchmark, *card) if card else super().get(name)


CARDS = tuple(path.stem for path in sorted((Path(__file__).parent / "cards").glob("*.yaml")))
"""The benchmarks that are data, whose list of edits is known only when these are opened."""
BENCHMARKS = Benchmarks(
    "benchmark",
    {
        "tedbench": "evalkit.benchmarks.tedbench:tedbench",
        "shapes": "evalkit.benchmarks.shapes:shapes",
        "shapes:v2": "evalkit.benchmarks.shapes:shapes_v2",
        "shapes:v2_tuning": "evalkit.benchmarks.shapes:shapes_v2_tuning",
        "shapes:v2_final": "evalkit.benchmarks.shapes:shapes_v2_final",
        "pie_bench": "evalkit.benchmarks.pie_bench:pie_bench",
        **{name: f"evalkit.benchmarks.cards:{name}" for name in CARDS},
    },
    "evalkit.benchmarks",
)
