"""``evalkit submit``: what becomes an entry, what is refused in which words, and what a second submission adds."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import EntryError, OptionError
from evalkit.leaderboard.records import Submission
from evalkit.leaderboard.records_io import read_yaml
from evalkit.leaderboard.submit import git_commands, submit
from evalkit.leaderboard.verify import verify
from evalkit.scores.run import read_run
from tests.support.boards import FEW, N_ITEMS, card_of, edits, empty_board, few, known, write_card


@pytest.fixture(autouse=True)
def small_benchmark(tmp_path, monkeypatch):
    """Every test knows the small benchmark, and keeps no cache."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    with known():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of edits that covers every item."""
    with known():
        return edits(tmp_path_factory.mktemp("edits") / "mine", good=0.7)


@pytest.fixture
def board(tmp_path):
    """An empty leaderboard."""
    return empty_board(tmp_path / "leaderboard")


def test_an_entry_holds_scores_outputs_and_declarations_and_nothing_of_this_machine(folder, board, tmp_path):
    """A submission writes a run directory, the outputs' digests and what was declared, without any local path."""
    done = submit(folder, write_card(tmp_path / "mine.yaml", card_of()), board)
    run = read_run(done.path)

    assert list(run.record.metrics) == ["edit_success", "attribute_preservation", "clip_score"]
    assert len(run.table.rows) == N_ITEMS
    assert done.awaiting == ()
    assert verify(board).problems == ()
    for path in done.path.rglob("*.json*"):
        assert str(folder.parent) not in path.read_text()
        assert str(tmp_path) not in path.read_text()


def test_the_commands_of_the_pull_request_name_the_entry_and_the_card(folder, board, tmp_path):
    """Three git commands make the pull request."""
    done = submit(folder, write_card(tmp_path / "mine.yaml", card_of()), board)
    switch, add, commit = git_commands(done)

    assert switch == "git switch -c submit-mine"
    assert str(done.path) in add
    assert str(done.card) in add
    assert commit.startswith("git commit")


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
    ],
)
def test_what_a_card_must_say(folder, board, tmp_path, changes, words):
    """A card that leaves something out, or says what cannot be, is refused with the field named; nothing is written."""
    with pytest.raises(EntryError) as refused:
        submit(folder, write_card(tmp_path / "mine.yaml", card_of(**changes)), board)

    assert words in str(refused.value)
    assert not (board.root / "entries").exists()


@pytest.mark.parametrize("section", ["method", "declarations", "submitter", "protocol"])
def test_no_section_of_a_card_may_be_absent(folder, board, tmp_path, section):
    """Silence is no answer."""
    content = card_of()
    del content[section]

    with pytest.raises(EntryError, match=f"{section} is not filled in"):
        submit(folder, write_card(tmp_path / "mine.yaml", content), board)


def test_a_yes_or_no_that_yaml_takes_for_a_truth_value_is_understood(tmp_path):
    """YAML reads a bare no as false; the card means the word."""
    path = write_card(tmp_path / "mine.yaml", card_of())
    path.write_text(path.read_text().replace("saw_benchmark: 'no'", "saw_benchmark: no"))

    assert read_yaml(path, Submission).declarations.saw_benchmark == "no"


def test_a_yaml_bomb_is_not_expanded(folder, board, tmp_path):
    """Aliases, by which ten lines can stand for a billion values, are refused."""
    path = tmp_path / "bomb.yaml"
    path.write_text("a: &a [x, x]\nb: &b [*a, *a]\n")

    with pytest.raises(EntryError, match="uses a YAML alias"):
        submit(folder, path, board)


def test_incomplete_coverage_is_refused_with_the_items(board, tmp_path):
    """An item without an edit and without a declared failure is named, and nothing is scored."""
    absent = few().items[3].item_id
    folder = edits(tmp_path / "edits", skip=(absent,))

    with pytest.raises(EntryError, match=f"1 are absent: {absent}"):
        submit(folder, write_card(tmp_path / "mine.yaml", card_of()), board)


def test_a_declared_failure_is_covered_and_scores_the_worst(board, tmp_path):
    """A failed edit is an answer: it has a row, the worst value, and no digest."""
    failed = few().items[3].item_id
    done = submit(edits(tmp_path / "edits", failed=(failed,)), write_card(tmp_path / "mine.yaml", card_of()), board)
    row = next(row for row in read_run(done.path).table.rows if row.item_id == failed)

    assert (row.status, row.values["edit_success"]) == ("failed", 0)
    assert verify(board).problems == ()


def test_uneven_seeds_are_refused(board, tmp_path):
    """Every item has the same seeds."""
    folder = edits(tmp_path / "edits", seeds=(0, 1))
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text("\n".join(lines[:-1]) + "\n")

    with pytest.raises(EntryError, match="expected the same seeds for every item"):
        submit(folder, write_card(tmp_path / "mine.yaml", card_of()), board)


def test_an_id_that_exists_is_refused(folder, board, tmp_path):
    """Landed numbers do not change: other edits under the same name are another method."""
    card = write_card(tmp_path / "mine.yaml", card_of())
    submit(folder, card, board)

    with pytest.raises(EntryError, match="has all of these metrics"):
        submit(folder, card, board)
    with pytest.raises(EntryError, match="the id 'mine' is taken"):
        submit(edits(tmp_path / "other", seed=5), card, board)


def test_metrics_can_be_added_to_the_same_edits(folder, board, tmp_path):
    """What needs weights can be scored later by the same command; what is there keeps its values."""
    card = write_card(tmp_path / "mine.yaml", card_of())
    first = submit(folder, card, board, metrics=["edit_success"])
    before = [row.values for row in read_run(first.path).table.rows]
    second = submit(folder, card, board)
    after = [row.values for row in read_run(second.path).table.rows]

    assert first.awaiting == ("attribute_preservation", "clip_score")
    assert second.completed
    assert second.awaiting == ()
    assert [row["edit_success"] for row in after] == [row["edit_success"] for row in before]
    assert set(after[0]) == {"edit_success", "attribute_preservation", "clip_score"}
    assert verify(board).problems == ()


def test_what_does_not_keep_to_the_protocol_is_not_scored(folder, board, tmp_path, monkeypatch):
    """The record says that it met the protocol's demands, so they are asked while it is scored."""
    monkeypatch.setattr("tests.support.boards.FEW", replace(FEW, n_seeds=2))

    with pytest.raises(OptionError, match="fixes the number of edited images per item: expected 2, got 1"):
        submit(folder, write_card(tmp_path / "mine.yaml", card_of()), board)
    assert not (board.root / "entries").exists()


def test_a_metric_of_another_protocol_is_refused(folder, board, tmp_path):
    """A protocol pins its metrics."""
    with pytest.raises(OptionError, match="few/v1 has no metric 'clip_image_similarity'"):
        submit(folder, write_card(tmp_path / "m.yaml", card_of()), board, metrics=["clip_image_similarity"])


def test_a_method_keeps_its_card(folder, board, tmp_path):
    """A method that is known cannot be described otherwise by a later submission."""
    board.card_path("mine").parent.mkdir()
    write_card(board.card_path("mine"), card_of()["method"])

    with pytest.raises(EntryError, match="another title: expected 'Mine', got 'Yours'"):
        submit(folder, write_card(tmp_path / "mine.yaml", card_of(title="Yours")), board)


def test_pictures_are_kept_only_where_the_method_has_a_licence_for_them(folder, board, tmp_path):
    """The benchmark's licence allows pictures; without the method's there are none."""
    without = submit(folder, write_card(tmp_path / "a.yaml", card_of("a")), board)
    licensed = card_of("b", pictures_licence="CC-BY-4.0")
    other = submit(edits(tmp_path / "other", seed=9, good=0.5), write_card(tmp_path / "b.yaml", licensed), board)

    assert not (without.path / "pictures").exists()
    assert len(list((other.path / "pictures").iterdir())) == 8


def test_the_command_prints_the_table_and_the_git_commands(folder, board, tmp_path):
    """What a person sees: means with intervals, where it was written, and what to type next."""
    card = write_card(tmp_path / "mine.yaml", card_of())
    done = CliRunner().invoke(
        main, ["submit", str(folder), "--card", str(card), "--leaderboard", str(board.root)], catch_exceptions=False
    )

    assert done.exit_code == 0
    assert "edit_success" in done.output
    assert "  git add " in done.output

    again = CliRunner().invoke(
        main, ["submit", str(folder), "--card", str(card), "--leaderboard", str(board.root), "--json"]
    )
    assert again.exit_code == 1
    assert json.loads(again.stdout)["error"]["type"] == "EntryError"
