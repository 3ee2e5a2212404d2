"""``evalkit submit``: what becomes an entry, what is refused in which words, and what a second submission adds."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import EntryError, OptionError
from evalkit.leaderboard.records import Submission
from evalkit.leaderboard.records_io import read_yaml
from evalkit.leaderboard.submit import submit
from evalkit.leaderboard.thumbnails import write_pictures
from evalkit.leaderboard.verify import verify
from evalkit.scores.run import read_run
from tests.support.boards import FEW, N_ITEMS, card_of, edits, few, known, write_card


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of edits that covers every item."""
    with known():
        return edits(tmp_path_factory.mktemp("edits") / "mine", good=0.7)


@pytest.fixture
def card(tmp_path):
    """The card of a method."""
    return write_card(tmp_path / "mine.yaml", card_of())


def evalkit(folder, card, board, *options):
    """The command."""
    return CliRunner().invoke(main, ["submit", str(folder), "--card", str(card), "--leaderboard", str(board.root),
                                     *options])  # fmt: skip


def test_an_entry_holds_scores_outputs_and_declarations_and_nothing_of_this_machine(folder, empty, card, tmp_path):
    """A submission writes a run directory, the outputs' digests and what was declared, without any local path."""
    done = evalkit(folder, card, empty)
    path = empty.entry_path("few/v1", "mine")
    run = read_run(path)

    assert done.exit_code == 0, done.output
    assert f"  git add {path} {empty.card_path('mine')}" in done.output
    assert "  git switch -c submit-mine" in done.output
    assert '  git commit -m "Submit mine under few/v1"' in done.output
    assert run.record.protocol == "few/v1"
    assert list(run.record.metrics) == ["edit_success", "attribute_preservation", "clip_score"]
    assert len(run.table.rows) == N_ITEMS
    assert not (path / "pictures").exists()  # the benchmark's licence allows them, the method's card does not
    assert verify(empty).problems == ()
    for file in path.rglob("*.json*"):
        assert str(folder.parent) not in file.read_text()
        assert str(tmp_path) not in file.read_text()

    again = evalkit(folder, card, empty, "--json")
    assert again.exit_code == 1
    assert json.loads(again.stdout)["error"]["type"] == "EntryError"
    assert "has all of these metrics" in json.loads(again.stdout)["error"]["message"]
    with pytest.raises(EntryError, match="the id 'mine' is taken"):
        submit(edits(tmp_path / "other", seed=5), card, empty)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_item_tuning": None}, "declarations.per_item_tuning is not filled in"),
        ({"selection": None}, "declarations.selection is not filled in"),
        ({"selection": "best"}, "declarations.selection is not as it must be"),
        ({"attempts_per_item": 0}, "declarations.attempts_per_item"),
        ({"saw_benchmark": ""}, "declarations.saw_benchmark is not as it must be"),
        ({"protocol": "few/v2"}, "There is no protocol 'few/v2'. Did you mean few/v1?"),
        ({"protocol": "shapes/v1"}, "the benchmark few, and the card names the protocol shapes/v1"),
        ({"name": "../../etc"}, "method.name is not as it must be"),
        ({"name": "identity"}, "The card says that 'identity' is a method"),
        ({"kind": "control"}, "The card says that 'mine' is a control"),
        ({"paper": "javascript:alert(1)"}, "method.paper is not as it must be"),
        ({"colour": "red"}, "method.colour is no field that is known"),
        *(({section: None}, f"{section} is not filled in") for section in ("method", "declarations", "submitter")),
    ],
)
def test_what_a_card_must_say(folder, empty, tmp_path, changes, words):
    """A card that leaves something out, or says what cannot be, is refused with the field named; nothing is written."""
    with pytest.raises(EntryError) as refused:
        submit(folder, write_card(tmp_path / "mine.yaml", card_of(**changes)), empty)

    assert words in str(refused.value)
    assert not (empty.root / "entries").exists()


def test_a_yes_or_no_that_yaml_takes_for_a_truth_value_is_understood(card):
    """YAML reads a bare no as false; the card means the word."""
    card.write_text(card.read_text().replace("saw_benchmark: 'no'", "saw_benchmark: no"))

    assert read_yaml(card, Submission).declarations.saw_benchmark == "no"


@pytest.mark.parametrize(
    ("content", "words"), [("a: &a [x, x]\nb: &b [*a, *a]\n", "uses an alias"), ("a: [", "is not YAML")]
)
def test_a_file_that_is_no_card_is_not_expanded(tmp_path, content, words):
    """Aliases, by which ten lines can stand for a billion values, are refused, and so is what is no YAML."""
    (tmp_path / "card.yaml").write_text(content)

    with pytest.raises(EntryError, match=words):
        read_yaml(tmp_path / "card.yaml", Submission)


def test_incomplete_coverage_is_refused_with_the_items(empty, card, tmp_path):
    """An item without an edit and without a declared failure is named, and nothing is scored."""
    absent = few().items[3].item_id
    with pytest.raises(EntryError, match=f"1 are absent: {absent}"):
        submit(edits(tmp_path / "edits", skip=(absent,)), card, empty)


def test_a_declared_failure_is_covered_and_scores_the_worst(empty, card, tmp_path):
    """A failed edit is an answer: it has a row, the worst value, and no digest."""
    failed = few().items[3].item_id
    done = submit(edits(tmp_path / "edits", failed=(failed,)), card, empty)
    row = next(row for row in read_run(done.entry.path).table.rows if row.item_id == failed)

    assert (row.status, row.values["edit_success"]) == ("failed", 0)
    assert verify(empty).problems == ()


def test_uneven_seeds_are_refused(empty, card, tmp_path):
    """Every item has the same seeds."""
    folder = edits(tmp_path / "edits", seeds=(0, 1))
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text("\n".join(lines[:-1]) + "\n")

    with pytest.raises(EntryError, match="expected the same seeds for every item"):
        submit(folder, card, empty)


def test_metrics_can_be_added_to_the_same_edits(folder, empty, card):
    """What needs weights can be scored later by the same command; what is there keeps its values."""
    first = submit(folder, card, empty, metrics=["edit_success"])
    before = [row.values for row in read_run(first.entry.path).table.rows]
    second = submit(folder, card, empty)
    after = [row.values for row in read_run(second.entry.path).table.rows]

    assert first.entry.awaiting == ("attribute_preservation", "clip_score")
    assert second.completed
    assert second.entry.awaiting == ()
    assert [row["edit_success"] for row in after] == [row["edit_success"] for row in before]
    assert set(after[0]) == {"edit_success", "attribute_preservation", "clip_score"}
    assert verify(empty).problems == ()


def test_what_does_not_keep_to_the_protocol_is_not_scored(folder, empty, card, monkeypatch):
    """The record says that it met the protocol's demands, so they are asked while it is scored."""
    monkeypatch.setattr("tests.support.boards.FEW", replace(FEW, n_seeds=2))

    with pytest.raises(OptionError, match="fixes the number of edited images per item: expected 2, got 1"):
        submit(folder, card, empty)
    with pytest.raises(OptionError, match="few/v1 has no metric 'clip_image_similarity'"):
        submit(folder, card, empty, metrics=["clip_image_similarity"])
    assert not (empty.root / "entries").exists()


def test_a_method_keeps_its_card(folder, empty, tmp_path):
    """A method that is known cannot be described otherwise by a later submission."""
    empty.card_path("mine").parent.mkdir()
    write_card(empty.card_path("mine"), card_of()["method"])

    with pytest.raises(EntryError, match="another title: expected 'Mine', got 'Yours'"):
        submit(folder, write_card(tmp_path / "mine.yaml", card_of(title="Yours")), empty)


def test_pictures_are_kept_where_the_method_has_a_licence_for_them(small_leaderboard):
    """Eight of them, for the same items of every entry."""
    shown = {path.name for path in (small_leaderboard.entry_path("few/v1", "good") / "pictures").iterdir()}

    assert len(shown) == 8
    assert shown == {path.name for path in (small_leaderboard.entry_path("few/v1", "fair") / "pictures").iterdir()}


def test_pictures_of_an_entry_that_is_there_stay(tmp_path):
    """Metrics may be added later with another library, whose PNGs have other bytes; what a killed command left goes."""
    items = [replace(item, edited_image=item.source_image) for item in few().load().items[:4]]
    write_pictures(tmp_path, items)
    first = min((tmp_path / "pictures").iterdir())
    expected = first.read_bytes()
    first.write_bytes(b"another library's")

    write_pictures(tmp_path, items, keep=True)
    assert first.read_bytes() == b"another library's"
    write_pictures(tmp_path, items)
    assert first.read_bytes() == expected
    write_pictures(tmp_path, [item.without_edit("failed", "it could not") for item in items])
    assert list((tmp_path / "pictures").iterdir()) == []
