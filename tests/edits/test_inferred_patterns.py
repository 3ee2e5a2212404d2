"""How files are named is found out from their names, where one way to read them explains most; else it is asked."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.tedbench import tedbench
from evalkit.cli import main
from evalkit.edits.inferred_patterns import infer_patterns, role_of
from evalkit.edits.item import EditItem
from evalkit.edits.open import infer_benchmark, open_folder
from evalkit.errors import LayoutError
from tests.support.folder_cases import are_pairs, edit, guesses, source, write
from tests.support.folders import items_named, pairs, put

IDS = ["0001", "0002", "0003"]
SEEDED = [
    "{id}_seed{seed}.png",
    "{id}-{seed}.png",
    "{id}_s{seed}.png",
    "{id}.{seed}.png",
    "{id}/seed_{seed}.png",
    "{id}/{seed}.png",
    "seed{seed}/{id}.png",
    "seed_{seed}/{id}_edited.png",
    "results/{id}/out_{seed}.png",
    "img{id} ({seed}).png",
    "{id}_seed={seed}_steps50.png",
    "v2_{id}_sample{seed}.png",
]


@pytest.mark.parametrize("scheme", SEEDED)
def test_seeds_in_names(scheme: str, tmp_path: Path) -> None:
    """A number that tells the files of each item apart is the seed, wherever in the path it stands."""
    sources = write(tmp_path / "s", {f"{item}.png": source(n) for n, item in enumerate(IDS)})
    pictures = {scheme.format(id=item, seed=seed): edit(n, seed) for n, item in enumerate(IDS) for seed in (0, 7)}

    folder = open_edits(write(tmp_path / "e", pictures), sources=sources).folder

    assert [item.label for item in folder.items] == [f"{item} (seed {seed})" for item in IDS for seed in (0, 7)]
    assert (are_pairs(folder), folder.n_matched) == (True, 6)


@pytest.mark.parametrize(
    "scheme",
    [
        "{}_edited.png",
        "edited_{}.png",
        "{}_result_512.png",
        "mymethod-{}-final.jpg",
        "a/b/{}_x.png",
        "epoch3_{}.png",
        "cats and dogs {}!.png",
        "{}_cfg7.5.png",
    ],
)
def test_names_around_an_id(scheme: str, tmp_path: Path) -> None:
    """What is the same in all names does not matter, and how they were read is said with the pattern."""
    sources = write(tmp_path / "s", {f"{item}.png": source(n) for n, item in enumerate(IDS)})
    pictures = {scheme.format(item): edit(n) for n, item in enumerate(IDS)}

    folder = open_edits(write(tmp_path / "e", pictures), sources=sources).folder

    assert (folder.n_edited, are_pairs(folder)) == (3, True)
    pattern = re.search(r'read as "(.*?)"', guesses(folder)[0])
    assert pattern is not None
    again = open_edits(tmp_path / "e", sources=sources, pattern=pattern[1]).folder
    assert (again.n_edited, are_pairs(again)) == (3, True)


def test_ids_of_letters_and_sources_by_their_names(tmp_path: Path) -> None:
    """The longest id in a name counts; a table's sources are known by their own names in the edits'."""
    ids = ["cat", "cat_big", "dog"]
    folder = open_folder(put(tmp_path, [f"out-{name}-v1.png" for name in ids]), expected=items_named(*ids))
    assert pairs(folder) == {name: f"out-{name}-v1.png" for name in ids}


def test_two_numbers_that_may_both_be_the_item_are_refused(tmp_path: Path) -> None:
    """Where ids and seeds are the same numbers, no rule says which is which; the commands of the error do."""
    sources = write(tmp_path / "s", {f"{n}.png": source(n) for n in range(3)})
    edits = write(tmp_path / "e", {f"{n}_{seed}.png": edit(n, seed) for n in range(3) for seed in range(3)})

    with pytest.raises(LayoutError, match="may be an edit of") as caught:
        open_edits(edits, sources=sources)

    commands = [text.strip() for text in str(caught.value).split("Say which: ")[1].split(" or evalkit")]
    assert len(commands) == 2
    arguments = shlex.split(commands[0])[1:]
    assert CliRunner().invoke(main, arguments).exit_code == 0


def test_ids_and_sources_that_disagree_are_refused(tmp_path: Path) -> None:
    """Edits whose names are ids of some items and sources of others may be either's."""
    edits = put(tmp_path / "e", ["a.png", "b.png"])
    table = tmp_path / "c.csv"
    table.write_text("item_id,source_image,target_caption\na,b.png,x\nb,a.png,y\n")
    put(tmp_path / "s", ["a.png", "b.png"])

    with pytest.raises(LayoutError, match=r"a.png may be an edit of a or b: .* --pattern '\{item_id\}'"):
        open_edits(edits, sources=tmp_path / "s", captions=table)

    decided = open_edits(edits, sources=tmp_path / "s", captions=table, pattern="{source}").folder
    assert pairs(decided) == {"a": "b.png", "b": "a.png"}


def test_a_pattern_is_suggested_only_where_it_matches(tmp_path: Path) -> None:
    """Of names that follow no pattern nothing is made up; of some that do, the command that explains them is named."""
    nothing = put(tmp_path / "x", ["foo.png", "bar.png", "baz.png"])
    some = put(tmp_path / "y", ["a_x.png", *(f"z{n}.png" for n in range(5))])

    with pytest.raises(LayoutError) as first:
        open_folder(nothing, expected=items_named("a", "b", "c"))
    with pytest.raises(LayoutError, match="1 of them would be explained by") as second:
        open_folder(some, expected=items_named("a", "b", "c"))

    assert "evalkit check" not in str(first.value)
    assert "'{item_id}_x'" in str(second.value)


def test_numbers_of_folders_are_no_seeds(tmp_path: Path) -> None:
    """What a number in a folder's name counts is not known: it may be a method's."""
    edits = put(tmp_path / "e", [f"run{run}/{item}.png" for run in (1, 2) for item in IDS])
    folder = open_folder(edits, expected=items_named(*IDS))
    assert folder.n_edited == 0


def test_words_say_what_an_image_is() -> None:
    """The last word that is known counts, whole words only."""
    assert role_of("inputs/x_result") == "edited_image"
    assert role_of("X_mask") == "edit_mask"
    assert role_of("output_gt") == "reference_image"
    assert role_of("inputted") is None


def test_ten_thousand_names_are_read_from_some(tmp_path: Path) -> None:
    """Patterns are inferred from a part of very many names, and hold for all of them."""
    names = [tmp_path / f"run/out_{n:05d}_seed{seed}.png" for n in range(5000) for seed in (0, 1)]
    (found, *_) = infer_patterns(names, tmp_path, [f"{n:05d}" for n in range(5000)], "item_id")
    assert (found.pattern.text, found.role) == ("out_{item_id}_seed{seed}", None)


# The shapes of the names in witcherofresearch/tedbench, forgedit/: settings, caption and, in most, the source.
WITH_SOURCE = "{n}_{strategy}_{caption}_guidance_scale=7.5__textalpha=0.7_alpha={alpha}_{source}.png"
WITHOUT = "{strategy}_{n}{caption}textalpha=0.0_alpha={alpha}_guidance_scale=7.5__{alpha}.png"


def test_forgedits_names_give_all_of_tedbench(tmp_path: Path) -> None:
    """Names that hold the caption, and mostly the source, among settings of all kinds are known without an option."""
    benchmark = tedbench()
    captions = [item.target_caption or "" for item in benchmark.items]
    meant: dict[str, EditItem] = {}
    for n, item in enumerate(benchmark.items):
        caption = item.target_caption or ""
        alone = captions.count(caption) == 1 and n % 7 == 0
        spelled = caption.replace("greetting", "greeting").replace("enterance", "entrance")
        name = (WITHOUT if alone else WITH_SOURCE).format(
            n=n % 8,
            strategy=["orig", "encoderattn+encoder1", "noencoder"][n % 3],
            caption=spelled,
            alpha=["1.1", "1.2000000000000002"][n % 2],
            source=item.source_image.name if item.source_image else "",
        )
        meant[name] = item
    folder = put(tmp_path / "forgedit", meant)

    opened = open_folder(folder, expected=benchmark.without_files)

    assert infer_benchmark(folder, [items_named("a", "b"), benchmark.without_files]) == "tedbench"
    assert (opened.n_files, opened.n_matched, opened.n_edited) == (100, 100, 100)
    assert {item.edited_image.name: item.item_id for item in opened.items if item.edited_image} == {
        name: item.item_id for name, item in meant.items()
    }
