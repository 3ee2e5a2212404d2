"""Names are compared as strictly as the names at hand demand; schemes that the user spells out find what is in them."""

from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.benchmarks.tedbench import tedbench
from evalkit.edits.folder import ExpectedItems
from evalkit.edits.item import EditItem
from evalkit.edits.layouts import name_layout, pattern_layout
from evalkit.edits.names import Pattern
from evalkit.edits.open import open_folder
from evalkit.errors import OptionError
from tests.support.folders import codes, items_named, pairs, put
from tests.support.mangle import OFFICIAL, mangled

IMAGIC = Path("../shared/tedbench/imagic")
ORIGINALS = Path("../shared/tedbench/originals")
real = pytest.mark.skipif(not IMAGIC.is_dir(), reason="needs TEdBench's own files in ../shared/tedbench")
SLOTS_OF = name_layout([(name, (i, None)) for i, name in enumerate(OFFICIAL)])


@settings(max_examples=300, deadline=None)
@given(case=mangled())
def test_tolerated_spelling_fits_its_item_and_only_it(case: tuple[int, str]) -> None:
    """Case, blanks, underscores, a final full stop, suffixes and the Unicode form change nothing."""
    position, name = case

    assert SLOTS_OF(PurePath("some/folder") / name) == ((position, None),)


@settings(deadline=None)
@given(ids=st.lists(st.text(st.sampled_from("ab1_ -.É"), min_size=1, max_size=6), min_size=1, max_size=8, unique=True))
def test_exact_names_always_win(ids: list[str]) -> None:
    """However alike the ids are, a file named exactly as one of them is that one's."""
    slots_of = name_layout([(name, (position, None)) for position, name in enumerate(ids)])

    for position, name in enumerate(ids):
        if "." not in name:
            assert slots_of(PurePath(f"{name}.png")) == ((position, None),)


@settings(max_examples=100, deadline=None)
@given(case=mangled(), pattern=st.sampled_from(["{source}-{target_caption}", "*/{source}-{target_caption}.png"]))
def test_patterns_are_as_tolerant(case: tuple[int, str], pattern: str) -> None:
    """The official layout spelled as a pattern accepts the same spellings."""
    position, name = case
    texts = [official.removesuffix(".png").split("g-", 1)[1].replace("_", " ") for official in OFFICIAL]
    items = tuple(EditItem(item_id=str(i), target_caption=f"{text}.") for i, text in enumerate(texts))
    sources = {
        str(i): official[: -len(text) - 5] for i, (official, text) in enumerate(zip(OFFICIAL, texts, strict=True))
    }
    expected = ExpectedItems(items=items, source_names=sources)

    slots = pattern_layout(Pattern(pattern), expected)(PurePath("run1") / name)

    assert slots == ((position, None),)


@real
def test_tedbench_folder_explains_itself_by_a_pattern() -> None:
    """Without the benchmark, a pattern and the sources give the same 100 pairs, captions and 39 groups."""
    folder = open_folder(IMAGIC, sources=ORIGINALS, pattern="{source}-{target_caption}.png")

    expected = {item.target_caption.removesuffix("."): item.source_image.name for item in tedbench().items}
    assert (folder.layout, folder.n_matched, folder.problems) == ("pattern", 100, ())
    assert {item.target_caption for item in folder.items} == set(expected)
    assert len({item.group for item in folder.items}) == 39
    assert all(item.edited_image.name.startswith(item.source_image.name) for item in folder.items)


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [
        ("{item_id}_edited.png", "cat_big Edited.JPG", "cat_big"),
        ("*-{item_id}", "2024-01-cat.png", "cat"),
        ("{item_id}_*", "cat_0.png", "cat"),
        ("{item_id}_*", "cat_big_0.png", "cat_big"),
        ("seed{seed}/{item_id}", "runs/seed3/cat.png", "cat (seed 3)"),
        ("{item_id}-{seed}.*", "CAT BIG-007.png.png", "cat_big (seed 7)"),
        ("{target_caption}__{seed}", "About_cat.__12.png", "cat (seed 12)"),
        ("*/{item_id}/out", "x/cat/out.png", "cat"),
    ],
)
def test_patterns(pattern: str, name: str, label: str, tmp_path: Path) -> None:
    """Placeholders and ``*`` find the item and the seed in file names and in folders."""
    folder = open_folder(put(tmp_path, [name]), expected=items_named("cat", "cat_big"), pattern=pattern)

    assert {found: file for found, file in pairs(folder).items() if file} == {label: name}
    assert folder.layout == "pattern"


def test_pattern_describes_a_folder_by_itself(tmp_path: Path) -> None:
    """Without a benchmark the file names give ids, captions, seeds and groups."""
    names = ["road_A_wet_road_0.png", "road_A_wet_road_1.png", "lake_A_dry_lake_0.png"]

    folder = open_folder(
        put(tmp_path, names),
        sources=put(tmp_path / "s", ["road.jpg", "lake.jpg"]),
        pattern="{source}_{target_caption}_{seed}",
    )

    assert [(item.label, item.target_caption, item.source_image.name) for item in folder.items] == [
        ("lake-A_dry_lake (seed 0)", "A dry lake", "lake.jpg"),
        ("lake-A_dry_lake (seed 1)", "A dry lake", "lake.jpg"),
        ("road-A_wet_road (seed 0)", "A wet road", "road.jpg"),
        ("road-A_wet_road (seed 1)", "A wet road", "road.jpg"),
    ]


def test_source_names_group_where_the_sources_are_not_there(tmp_path: Path) -> None:
    """Items whose names say that they share a source are one group even without the file."""
    folder = open_folder(put(tmp_path, ["a.png-x.png", "A-y.png", "b-x.png"]), pattern="{source}-{target_caption}")

    assert [item.group for item in folder.items] == ["source:a", "source:a", "source:b"]


def test_unclear_readings_are_listed(tmp_path: Path) -> None:
    """A name that a pattern can read in two ways is nobody's, unless the sources decide."""
    put(tmp_path / "edits", ["half-eaten-A_pizza.png", "road-A_car.png"])
    sources = put(tmp_path / "sources", ["half-eaten.png", "road.png"])
    pattern = "{source}-{target_caption}"

    alone, decided = (
        open_folder(tmp_path / "edits", pattern=pattern),
        open_folder(tmp_path / "edits", pattern=pattern, sources=sources),
    )

    assert codes(alone) == [("ambiguous_name", "half-eaten-A_pizza.png")]
    assert [item.source_image.name for item in decided.items] == ["half-eaten.png", "road.png"]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("{itemid}", r"unknown placeholder \{itemid\}\. Did you mean \{item_id\}\? There are \{item_id\}, \{source\}"),
        ("*.png", r"must say which item a file belongs to"),
        ("{seed}", r"must say which item a file belongs to"),
        ("{item_id}{seed}", r"must have something before \{seed\}"),
        ("*{item_id}", r"must have something before \{item_id\}"),
        ("{item_id}_{item_id}", "must have each placeholder once"),
        ("{item_id", "a brace that is not closed"),
        ("{}", r"unknown placeholder \{\}"),
    ],
)
def test_bad_patterns_are_explained(pattern: str, says: str, tmp_path: Path) -> None:
    """A pattern that cannot work says why, and shows one that does."""
    with pytest.raises(OptionError, match=says):
        open_folder(put(tmp_path, ["a.png"]), pattern=pattern)


def test_pattern_may_only_ask_for_what_is_known(tmp_path: Path) -> None:
    """A placeholder that no item of the benchmark has is refused instead of matching nothing."""
    with pytest.raises(OptionError, match=r"asks for \{source\}, which is known of no item"):
        open_folder(put(tmp_path, ["a.png"]), expected=items_named("a"), pattern="{source}-{item_id}")
