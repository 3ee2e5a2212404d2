"""Judgements on the board: what a judge said lies beside an entry, and every number is read again in its words."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import EntryError
from evalkit.judges.base import JudgeSettings
from evalkit.leaderboard.judge_tables import judge_tables
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.store import Leaderboard
from evalkit.leaderboard.verify import verify
from tests.support import boards
from tests.support.boards import FEW, card_of, edits, write_card
from tests.support.entries import change_json, change_rows, publish
from tests.support.judged import judged
from tests.support.judging import completes, judge_server

RUBRIC = "judge"
OFF_SCALE = '{"following": 12, "preservation": 6, "quality": 9}'


@pytest.fixture(scope="module")
def judged_board(small_leaderboard, tmp_path_factory):
    """The small board, whose good entry is judged twice an edit, now and then in words without a number."""
    root = tmp_path_factory.mktemp("judged")
    shutil.copytree(small_leaderboard.root, root / "leaderboard")
    board = Leaderboard(root / "leaderboard")
    with judge_server() as server:
        server.script = [completes(text) for text in ("I would say eight.", OFF_SCALE) * 2]
        judged(board, root, "good", server.spec(), repeats=2)
    return board


@pytest.fixture
def tampered(judged_board, tmp_path):
    """A copy of it, and the folder of the judge."""
    shutil.copytree(judged_board.root, tmp_path / "leaderboard")
    board = Leaderboard(tmp_path / "leaderboard")
    return board, board.find("few/v1/good").judged[0].path


def sealed(path):
    """The judge's run with digests that fit again, as a cheat would have them."""
    record = json.loads((path / "run.json").read_text())
    for key, name in (("items_sha256", "items.jsonl"), ("judgements_sha256", "judgements.jsonl")):
        record[key] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    (path / "run.json").write_text(json.dumps(record))


def codes(board):
    """What is wrong with it."""
    return [problem.code for problem in verify(board).problems]


def test_a_judge_stands_beside_the_entry_which_stays_as_it_was(judged_board, small_leaderboard):
    """Its folder is named after model and signature, the signature says who was asked, what and how often."""
    entry, before = (board.find("few/v1/good") for board in (judged_board, small_leaderboard))
    (found,) = entry.judged

    assert verify(judged_board).problems == ()
    assert found.name.startswith("judge-1-2026-11-01-")
    for part in ("enc:judge/judge-1-2026-11-01", "img:1024-png", "tpl:judge@", "ask:t0+max1024+schema"):
        assert part in found.identity
    assert found.identity.endswith("|repeats:2")
    assert {path.name: path.read_bytes() for path in before.path.glob("*.json*")} == {
        path.name: path.read_bytes() for path in entry.path.glob("*.json*")
    }
    assert set(found.judge.unread) == {"judge_unreadable", "judge_off_scale"}
    assert found.run.record.folder.path == "good"


def number(lines):
    """A better number where it is shown, and nowhere else."""
    at = next(n for n, line in enumerate(lines) if line["judge:quality"] == 9)
    return [{**line, "judge:quality": 10.0} if n == at else line for n, line in enumerate(lines)]


def reading(lines):
    """A better number beside the words that do not say it."""
    at = next(n for n, line in enumerate(lines) if line.get("scores"))
    better = {**lines[at]["scores"], "following": 10.0}
    return [{**line, "scores": better} if n == at else line for n, line in enumerate(lines)]


def other_model(lines):
    """One answer is another model's."""
    return [{**lines[0], "model": "judge-2"}, *lines[1:]]


def unread_left_out(lines):
    """Whoever said nothing of use was not asked."""
    return [line for line in lines if line.get("scores")]


def twice(lines):
    """An answer counts twice, in the place of another repeat."""
    return [*lines[:-2], lines[-1], lines[-1]]


def of_nobody(lines):
    """An answer about an item that there is not."""
    return [*lines, {**lines[-1], "item_id": "a cat"}]


def failed(lines):
    """A judge that could not be asked."""
    return [{**lines[0], "reason": "judge_failed", "scores": None, "text": "503"}, *lines[1:]]


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("items.jsonl", number, "wrong_value"),
        ("items.jsonl", lambda lines: lines[1:], "wrong_value"),
        ("items.jsonl", lambda lines: [{**line, "group": line["item_id"]} for line in lines], "wrong_value"),
        ("judgements.jsonl", reading, "wrong_judgement"),
        ("judgements.jsonl", failed, "wrong_judgement"),
        ("judgements.jsonl", other_model, "wrong_protocol"),
        ("judgements.jsonl", lambda lines: [{**line, "model": "a\nb"} for line in lines], "wrong_protocol"),
        ("judgements.jsonl", unread_left_out, "wrong_protocol"),
        ("judgements.jsonl", twice, "coverage"),
        ("judgements.jsonl", of_nobody, "wrong_protocol"),
    ],
)  # fmt: skip
def test_a_number_that_is_not_in_the_words_is_found(tampered, name, change, code):
    """A typed number, a changed reading, another's answer, one left out, twice or of nothing: a problem by its kind."""
    board, path = tampered
    change_rows(path, name, change)
    sealed(path)
    (problem,) = verify(board).problems

    assert problem.code == code
    assert problem.where == path.relative_to(board.root).as_posix()


def test_words_that_are_not_those_of_the_record_are_not_read(tampered):
    """Words that were changed without the digest make the entry unreadable."""
    board, path = tampered
    change_rows(path, "judgements.jsonl", reading)

    assert codes(board) == ["unreadable"]


@pytest.mark.parametrize("field", ["temperature", "image", "rubric", "models", "repeats"])
def test_numbers_of_one_judge_do_not_pass_for_anothers(tampered, field):
    """Whatever of the judge is said otherwise, signature, folder or answers contradict it."""
    board, path = tampered
    judge = json.loads((path / "run.json").read_text())["judges"][RUBRIC]
    judge |= {
        "temperature": {"asked": {**judge["asked"], "temperature": 0.7}},
        "image": {"image": "512-png"},
        "rubric": {"rubric": {**judge["rubric"], "system": "Be kind."}},
        "models": {"models": ["a-better-judge"]},
        "repeats": {"repeats": 3},
    }[field]
    change_json(path, "run.json", judges={RUBRIC: judge})

    assert set(codes(board)) <= {"wrong_protocol", "coverage"}
    assert codes(board) != []


def test_a_signature_that_is_changed_throughout_is_another_folders(tampered):
    """A cheat who renames the model everywhere must rename the folder, and stands in another column then."""
    board, path = tampered
    for name in ("run.json", "judgements.jsonl"):
        (path / name).write_text((path / name).read_text().replace("judge-1-2026-11-01", "famous-judge"))
    sealed(path)

    assert codes(board) == ["wrong_protocol"]


def test_judgements_of_other_pictures_are_found(tampered):
    """What was said of another entry's edits does not fit this one's digests."""
    board, path = tampered
    folder = board.entry_path("few/v1", "fair") / "judgements"
    folder.mkdir()
    path.rename(folder / path.name)
    change_json(folder / path.name, "run.json", run="fair")
    (problem,) = verify(board).problems

    assert problem.code == "wrong_digest"
    assert "other pictures were judged" in problem.message


def test_a_link_or_a_file_too_many_is_found(tampered):
    """A judge's folder holds three files of its own and nothing else, none over its limit."""
    board, path = tampered
    (path / "words.html").write_text("<script>")
    assert codes(board) == ["unknown_file"]
    (path / "words.html").unlink()
    (path / "items.jsonl").unlink()
    (path / "items.jsonl").symlink_to(path / "judgements.jsonl")
    assert codes(board) == ["no_plain_file"]
    (path / "items.jsonl").unlink()
    with (path / "items.jsonl").open("wb") as file:
        file.truncate((16 << 20) + 1)
    assert codes(board) == ["no_plain_file"]


def test_a_million_repeats_that_nobody_gave_take_no_memory(tampered):
    """However often the record says that the judge was asked, its answers are counted."""
    board, path = tampered
    judge = json.loads((path / "run.json").read_text())["judges"][RUBRIC]
    change_json(path, "run.json", judges={RUBRIC: {**judge, "repeats": 10**15}})

    assert codes(board) == ["coverage"]


def test_landed_judgements_do_not_change(tampered):
    """Beside an entry judges may be added; of one that is there no byte changes."""
    board, path = tampered
    publish(board)
    shutil.copytree(path, path.with_name("another"))
    assert published_problems(board, "main") == []
    (path / "run.json").write_text((path / "run.json").read_text() + "\n")

    assert [problem.code for problem in published_problems(board, "main")] == ["landed_changed"]


def test_the_same_judge_is_not_asked_for_twice(tampered, tmp_path):
    """What one judge said of an entry is submitted once; another temperature is another judge beside it."""
    board, path = tampered
    with judge_server() as server:
        with pytest.raises(EntryError, match="has been submitted"):
            judged(board, tmp_path, "good", server.spec(), repeats=2)
        warmer = JudgeSettings(temperature=0.7)
        other = judged(board, tmp_path, "good", server.spec(), settings=warmer)

    assert other.name != path.name
    assert verify(board).problems == ()
    assert len(board.find("few/v1/good").judged) == 2


def test_an_answer_that_could_not_be_had_is_no_judgement(copied, tmp_path):
    """A judge that fails leaves the entry as it was, and says that the same command goes on."""
    with judge_server() as server:
        server.then = completes("", finish="stop", choices=[])
        with pytest.raises(EntryError, match="Give the same command again"):
            judged(copied, tmp_path, "fair", server.spec("broken"), settings=JudgeSettings(retries=0))

    assert copied.find("few/v1/fair").judged == ()
    assert verify(copied).problems == ()


def test_the_command_has_edits_judged(copied, tmp_path):
    """``submit --judge`` adds what the judge says to the entry that is there, and names the folder."""
    card = write_card(tmp_path / "new.yaml", card_of("new"))
    folder = edits(tmp_path / "new", good=0.7, method="new", seed=9)
    with judge_server() as server:
        arguments = ["submit", str(folder), "--card", str(card), "--leaderboard", str(copied.root)]
        done = CliRunner().invoke(main, [*arguments, "--judge", server.spec(), "--json"])
    said = json.loads(done.stdout)

    assert done.exit_code == 0, done.output
    assert said["judged"]["judge"] == copied.find("few/v1/new").judged[0].identity
    assert 0 < said["judged"]["metrics"]["judge:overall"] <= 10
    assert verify(copied).problems == ()


@pytest.fixture
def named(judged_board, monkeypatch):
    """The protocol names the judge of the good entry."""
    identity = judged_board.find("few/v1/good").judged[0].identity
    protocol = replace(FEW, judge=f"judge:overall|{identity}")
    monkeypatch.setattr(boards, "FEW", protocol)
    return protocol


def test_without_a_protocol_that_says_so_no_judge_ranks(judged_board):
    """What a judge says is a table of its own, in the order of names, without a rank."""
    (table,) = judge_tables(FEW, judged_board.entries("few/v1"))

    assert table.metric is None
    assert [(row.entry.method, row.ranked) for row in table.rows] == [("good", None)]


def test_the_named_judge_ranks_the_methods_that_it_was_asked_about(tampered, tmp_path, named):
    """Its numbers rank in sets, the better mean first; a control is shown and not ranked."""
    board, _ = tampered
    poor = '{"following": 2, "preservation": 6, "quality": 9}'
    with judge_server() as server:
        server.then = completes(poor)
        judged(board, tmp_path, "fair", server.spec(), repeats=2)
        judged(board, tmp_path, "identity", server.spec(), repeats=2)
    (table,) = judge_tables(named, board.entries("few/v1"))
    ranks = [(row.entry.method, row.ranked and (row.ranked.rank_low, row.ranked.rank_high)) for row in table.rows]

    assert verify(board).problems == ()
    assert table.metric == "judge:overall"
    assert ranks == [("good", (1, 1)), ("fair", (2, 2)), ("identity", None)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repeats": 1}, "expected the answers per edit 2, got 1"),
        ({"settings": JudgeSettings(temperature=0.7)}, "expected the manner of asking t0+max1024"),
        ({"settings": JudgeSettings(image_size=512)}, "expected the pictures 1024-png, got 512-png"),
        ({"rubrics": ("judge_caption",)}, "expected the rubric judge@"),
    ],
)
@pytest.mark.usefixtures("named")
def test_another_judge_is_not_even_asked_where_the_protocol_names_one(tampered, tmp_path, options, said):
    """One sentence names what differs, and the command that asks the judge that is named."""
    with judge_server() as server:
        with pytest.raises(EntryError) as refused:
            judged(tampered[0], tmp_path, "fair", server.spec(), **{"repeats": 2, **options})
        assert server.asked == []

    assert said in str(refused.value)
    assert str(refused.value).endswith(
        "Ask judge-1-2026-11-01: evalkit submit FOLDER --card METHOD.yaml --judge SPEC --rubric judge --repeats 2 "
        "--judge-set temperature=0 --judge-set max_tokens=1024 --judge-set image_size=1024 --judge-set image_format=png"
    )


@pytest.mark.usefixtures("named")
def test_another_model_is_refused_by_the_name_that_it_gives_itself(tampered, tmp_path):
    """What a server answers for is known only once it has answered: submit refuses it, and verify what was written."""
    board, _ = tampered
    with judge_server() as server:
        server.then = completes('{"following": 9, "preservation": 9, "quality": 9}', model="judge-2")
        with pytest.raises(EntryError, match="expected the model judge/judge-1-2026-11-01, got judge/judge-2"):
            judged(board, tmp_path, "fair", server.spec(), repeats=2)
    assert board.find("few/v1/fair").judged == ()


def test_two_judges_never_stand_in_one_table(tampered, tmp_path, named):
    """Numbers of another signature are a table of their own, and under a protocol that names one a problem."""
    board, _ = tampered
    boards.FEW = FEW  # the fixture puts it back
    with judge_server() as server:
        judged(board, tmp_path, "good", server.spec(), settings=JudgeSettings(temperature=0.7))
        judged(board, tmp_path, "fair", server.spec(), settings=JudgeSettings(temperature=0.7))
    tables = judge_tables(named, board.entries("few/v1"))
    assert codes(board) == []
    boards.FEW = named

    assert [[row.entry.method for row in table.rows] for table in tables] == [["good"], ["fair", "good"]]
    assert [table.metric for table in tables] == ["judge:overall", None]
    assert codes(board) == ["wrong_protocol", "wrong_protocol"]
