"""What a folder was asked to hold is remembered beside its manifest: no more is expected of it, and no less."""

import json
import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.protocols import SHAPES_V1
from evalkit.cli import main
from evalkit.edits.asked import ASKED, as_record, asked_of, edits_in, read_asked, together
from evalkit.edits.manifest import read_manifest, write_manifest
from evalkit.edits.open import open_folder
from tests.support.fakes import save_picture
from tests.support.toys import Toy, make, toy, toy_items


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """A cache that the tests of this file share."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path_factory.getbasetemp() / "asked_cache"))


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def edits_of(folder):
    """Item, seed and status of a folder that is opened by itself."""
    return [(item.item_id, item.seed, item.status) for item in open_folder(folder).items]


EDITS = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.none() | st.integers(0, 5)), max_size=20)


@given(edits=EDITS)
def test_what_was_asked_for_reads_back_as_it_was_written(edits):
    """Whatever items and seeds, through JSON."""
    recipe = json.loads(json.dumps({ASKED: as_record(together(edits))}))
    assert set(edits_in(asked_of(recipe))) == set(edits)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", "{", '{"asked": 3}', '{"asked": [3]}', '{"asked": [{"items": ["a"]}]}',
        '{"asked": [{"items": "a", "seeds": [0]}]}', '{"asked": [{"items": [1], "seeds": [0]}]}',
        '{"asked": [{"items": [""], "seeds": [0]}]}', '{"asked": [{"items": ["a"], "seeds": [true]}]}',
    ],
)  # fmt: skip
def test_a_recipe_that_says_nothing_of_it_is_none(tmp_path, text):
    """Somebody else's file of that name asks for nothing, and the manifest counts as it stands."""
    make(Toy, toy_items(tmp_path, 3), tmp_path / "out")
    (tmp_path / "out" / "method.json").write_text(text)
    assert read_asked(tmp_path / "out") is None
    assert edits_of(tmp_path / "out") == [(f"item_{number}", 0, "ok") for number in range(3)]


def test_an_edit_that_was_asked_for_and_is_not_there_is_missing(tmp_path):
    """Of a run that was killed all that it had not made is missing, with every seed, though the manifest is silent."""
    items = toy_items(tmp_path, 3)
    make(Toy, items, tmp_path / "out", seeds=(0, 4))
    made = read_manifest(tmp_path / "out")
    write_manifest(tmp_path / "out", made.items[:1], benchmark="toys", method="toy")
    assert edits_of(tmp_path / "out") == [
        (f"item_{number}", seed, "ok" if (number, seed) == (0, 0) else "missing")
        for number in range(3)
        for seed in (0, 4)
    ]


def test_a_later_run_widens_what_is_asked_for_and_never_narrows_it(tmp_path):
    """Two items with two seeds after three with one: five edits are expected, and not six."""
    items = toy_items(tmp_path, 3)
    make(Toy, items, tmp_path / "out")
    make(Toy, items[:2], tmp_path / "out", seeds=(1,))
    make(Toy, items[:1], tmp_path / "out")
    expected = {("item_0", 0), ("item_0", 1), ("item_1", 0), ("item_1", 1), ("item_2", 0)}
    assert set(edits_in(read_asked(tmp_path / "out"))) == expected
    assert {(item, seed) for item, seed, _ in edits_of(tmp_path / "out")} == expected


def test_a_folder_of_an_older_version_was_asked_for_what_its_manifest_lists(tmp_path):
    """Its recipe does not say; what it holds is not forgotten when it is widened."""
    items = toy_items(tmp_path, 3)
    make(Toy, items[:2], tmp_path / "out")
    recipe = json.loads((tmp_path / "out" / "method.json").read_text())
    del recipe[ASKED]
    (tmp_path / "out" / "method.json").write_text(json.dumps(recipe))
    make(Toy, items[2:], tmp_path / "out")
    assert set(read_asked(tmp_path / "out")) == {"item_0", "item_1", "item_2"}


def test_a_failed_edit_was_asked_for_once(tmp_path):
    """It is failed, not missing, and another run that makes it takes its place."""
    items = toy_items(tmp_path, 2)

    def refuse(item, seed):
        raise ValueError("no")

    make(toy(edit=refuse), items, tmp_path / "out")
    assert edits_of(tmp_path / "out") == [("item_0", 0, "failed"), ("item_1", 0, "failed")]
    make(Toy, items, tmp_path / "out")
    assert edits_of(tmp_path / "out") == [("item_0", 0, "ok"), ("item_1", 0, "ok")]


@pytest.mark.parametrize("method", ["identity", "reference", "shuffled_source", "wrong_attribute"])
def test_a_part_of_a_benchmark_is_scored_as_it_was_asked_for(tmp_path, method):
    """Method or control: the command that is named next works as it stands, under a name with blanks, and widened."""
    folder = tmp_path / "my edits"
    for limit in (6, 8):
        done = evalkit("edit", method, "--benchmark", "shapes", "--limit", limit, "--output", folder)
        assert done.exit_code == 0, done.output
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("Next: ")]
        command = shlex.split(line.removeprefix("Next: evalkit "))
        scored = evalkit(*command, "--metrics", "l1", "--output", tmp_path / "run", "--json")
        assert scored.exit_code in (0, 3), scored.output  # sources untouched, or taken twice, are problems
        assert f"asked to hold {limit} of the 288 items" in scored.stderr
        result = json.loads(scored.stdout)
        assert (result["n_items"], result["n_edited"], result["metrics"]["l1"]["n"]) == (limit, limit, limit)
    checked = json.loads(evalkit("check", folder, "--json").stdout)
    assert (checked["n_items"], checked["n_edited"]) == (8, 8)


def test_some_items_of_a_shuffled_control_are_those_of_the_whole(tmp_path):
    """A single item has another's source too, and the one that it has among all."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert evalkit("edit", "shuffled_source", "--benchmark", "shapes", "--output", whole).exit_code == 0
    named = ["--items", "shapes-07-recolour"]
    assert evalkit("edit", "shuffled_source", "--benchmark", "shapes", *named, "--output", part).exit_code == 0
    (picture,) = part.glob("*.png")
    assert picture.read_bytes() == (whole / picture.name).read_bytes()


def test_floor_gives_the_worst_value_to_what_was_asked_for_alone(tmp_path):
    """Of six that were asked for one is gone: one is floored, not the 282 that nobody asked for."""
    folder = tmp_path / "out"
    assert evalkit("edit", "reference", "--benchmark", "shapes", "--limit", 6, "--output", folder).exit_code == 0
    next(iter(sorted(folder.glob("*.png")))).unlink()
    done = evalkit(
        "score", folder, "--metrics", "l1", "--missing", "floor", "--output", tmp_path / "run", "--json"
    )  # fmt: skip
    assert done.exit_code == 3
    result = json.loads(done.stdout)
    assert (result["n_items"], result["metrics"]["l1"]["n"]) == (6, 6)
    assert [problem["code"] for problem in result["problems"]] == ["missing_edited_image"]


def test_a_protocol_still_wants_its_own_items(tmp_path):
    """As many items as it has, but later ones of the benchmark, are not its items."""
    folder, pattern = tmp_path / "out", ",".join(f"shapes-{number:02}-*" for number in range(18, 36))
    done = evalkit("edit", "reference", "--benchmark", "shapes", "--items", pattern, "--output", folder)
    assert done.exit_code == 0, done.output
    opened = open_edits(folder).folder
    assert opened.n_items == SHAPES_V1.n_items
    assert SHAPES_V1.part_of(opened).n_items == 0
    done = evalkit("score", folder, "--protocol", "shapes/v1", "--output", tmp_path / "run")
    assert done.exit_code == 1
    assert "shapes/v1 fixes the number of items: expected 72, got 0." in done.stderr


def test_other_items_that_the_folder_holds_still_count(tmp_path):
    """A line of the manifest stands for an edit, whether the recipe asked for it or not."""
    items = toy_items(tmp_path, 2)
    make(Toy, items, tmp_path / "out")
    made = read_manifest(tmp_path / "out").items
    extra = replace(made[0], item_id="more", edited_image=save_picture(tmp_path / "out" / "more.png", 9))
    write_manifest(tmp_path / "out", [*made, extra], benchmark="toys", method="toy")
    assert edits_of(tmp_path / "out") == [("item_0", 0, "ok"), ("item_1", 0, "ok"), ("more", 0, "ok")]
