"""``evalkit leaderboard verify``: whatever is changed in an entry is found, whatever a file holds it is only read."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.cli import main
from evalkit.errors import EntryError
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.records import SCHEMAS
from evalkit.leaderboard.store import Leaderboard, schemas
from evalkit.leaderboard.verify import verify
from tests.support.boards import known
from tests.support.entries import better, change_json, change_rows, resealed


@pytest.fixture(scope="module", autouse=True)
def small_benchmark(tmp_path_factory):
    """Every test knows the small benchmark."""
    with known(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def made(small_leaderboard):
    """A leaderboard of three controls and three methods."""
    return small_leaderboard


@pytest.fixture
def board(made, tmp_path):
    """A copy of it to be tampered with."""
    shutil.copytree(made.root, tmp_path / "leaderboard")
    return Leaderboard(tmp_path / "leaderboard")


def with_value(value):
    """The first score is something."""

    def change(rows):
        rows[0]["clip_score"] = value
        return rows

    return change


def regrouped(rows):
    """Every item is its own group, which would make the intervals narrower."""
    return [{**row, "group": row["item_id"]} for row in rows]


def all_with(**fields):
    """Every row says something else."""
    return lambda rows: [{**row, **fields} for row in rows]


def shorter(rows):
    """One row less."""
    return rows[1:]


def doubled(rows):
    """One row twice."""
    return [*rows, rows[0]]


def test_an_honest_leaderboard_has_no_problem(made):
    """Controls and methods as they were submitted pass, and their checks say what the controls are."""
    verified = verify(made)

    assert verified.problems == ()
    assert {entry.level for entry in verified.entries} == {"self_scored"}
    identity = {check.name: check for check in verified.anomalies["few/v1/identity"]}
    assert identity["equals_source"].value == 1
    assert not identity["equals_source"].flagged  # it is a control


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (lambda path: change_rows(path, "items.jsonl", better), "unreadable"),
        (lambda path: (change_rows(path, "items.jsonl", better), resealed(path)), "wrong_mean"),
        (lambda path: (change_rows(path, "items.jsonl", regrouped), resealed(path)), "coverage"),
        (lambda path: (change_rows(path, "items.jsonl", shorter), resealed(path)), "coverage"),
        (lambda path: (change_rows(path, "items.jsonl", doubled), resealed(path)), "coverage"),
        (lambda path: (change_rows(path, "items.jsonl", with_value(1.7)), resealed(path)), "wrong_value"),
        (lambda path: (change_rows(path, "items.jsonl", with_value(None)), resealed(path)), "unreadable"),
        (lambda path: (change_rows(path, "items.jsonl", with_value(True)), resealed(path)), "unreadable"),
        (lambda path: (change_rows(path, "items.jsonl", with_value("1e9")), resealed(path)), "unreadable"),
        (lambda path: (change_rows(path, "items.jsonl", with_value(float("nan"))), resealed(path)), "unreadable"),
        (lambda path: change_rows(path, "outputs.jsonl", shorter), "wrong_digest"),
        (lambda path: (change_rows(path, "outputs.jsonl", shorter), resealed(path)), "coverage"),
        (lambda path: change_json(path, "entry.json", method="other"), "unreadable"),
        (lambda path: change_json(path, "entry.json", protocol="tedbench/v1"), "wrong_place"),
        (lambda path: change_json(path, "entry.json", extra=1), "unreadable"),
        (lambda path: (change_json(path, "run.json", missing="intersect"), resealed(path)), "wrong_protocol"),
        (lambda path: (change_json(path, "run.json", benchmark_version="2"), resealed(path)), "wrong_protocol"),
        (lambda path: (path / "setup.py").write_text("raise SystemExit"), "unknown_file"),
        (lambda path: (path / "pictures" / "page.html").write_text("<script>"), "unknown_file"),
        (lambda path: (path / "entry.json").unlink(), "unreadable"),
        (lambda path: (path / "entry.json").write_text("[" * 100_000), "unreadable"),
        (lambda path: (path / "run.json").write_bytes(b"\xff\xfe"), "unreadable"),
    ],
)  # fmt: skip
def test_what_is_changed_is_found(board, tamper, code):
    """A changed score, mean, group, row, digest, name or file gives a problem of its kind, and of this entry only."""
    path = board.entry_path("few/v1", "good")
    tamper(path)
    problems = verify(board).problems

    assert [problem.code for problem in problems] == [code]
    assert problems[0].where == "entries/few/v1/good"
    assert len(problems[0].message) < 1500


def test_a_copied_entry_is_found(board):
    """The same edits under another name are one method, not two; the copy's check says whose they are."""
    shutil.copytree(board.entry_path("few/v1", "good"), board.entry_path("few/v1", "thief"))
    path = board.entry_path("few/v1", "thief")
    change_json(path, "run.json", run="thief")
    change_json(path, "entry.json", method="thief")
    resealed(path)
    card = board.card_path("good").read_text().replace("name: good", "name: thief")
    board.card_path("thief").write_text(card)
    verified = verify(board)
    checks = {check.name: check for check in verified.anomalies["few/v1/thief"]}

    assert [problem.code for problem in verified.problems] == ["duplicate_entry"]
    assert checks["equals_other_entry"].value == 1
    assert checks["equals_other_entry"].flagged
    assert "good" in checks["equals_other_entry"].note


def test_signatures_of_one_board_agree(board):
    """Scores of other weights are not comparable, whoever signs them."""
    path = board.entry_path("few/v1", "good")
    record = json.loads((path / "run.json").read_text())
    line = record["metrics"]["clip_score"]["signature"]
    label = next(part for part in line.split("|") if part.startswith("enc:"))
    record["metrics"]["clip_score"]["signature"] = line.replace(label, "enc:miniature@000000000000")
    (path / "run.json").write_text(json.dumps(record))
    resealed(path)
    problems = verify(board).problems

    assert "enc is" in problems[0].message
    assert {problem.code for problem in problems} == {"wrong_protocol"}


def test_a_card_with_another_name_than_its_file_is_found(board):
    """A card lies under its own name."""
    board.card_path("stray").write_text(board.card_path("good").read_text())

    assert [problem.code for problem in verify(board).problems] == ["wrong_place"]


def test_stale_schemas_are_found_and_written_again(board):
    """The schemas are generated; the command writes them."""
    (board.root / "schema" / "entry.schema.json").write_text("{}")
    assert [problem.code for problem in verify(board).problems] == ["stale_schema"]

    CliRunner().invoke(main, ["leaderboard", "schema", "--leaderboard", str(board.root)], catch_exceptions=False)
    assert verify(board).problems == ()


def git(folder, *arguments):
    """A git command with a committer of its own."""
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def publish(board):
    """The leaderboard as it stands on the branch main."""
    git(board.root.parent, "init", "-b", "main")
    git(board.root.parent, "add", ".")
    git(board.root.parent, "commit", "-m", "Land")
    return board


@pytest.fixture
def published(board):
    """The leaderboard, published."""
    return publish(board)


def test_what_is_published_and_is_as_it_was_gives_no_problem(published):
    """Nothing changed, nothing found; a new card does not matter either."""
    published.card_path("new").write_text(published.card_path("good").read_text())

    assert published_problems(published, "main") == []


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda path: (change_rows(path, "items.jsonl", better), resealed(path)), "edit_success of"),
        (lambda path: change_rows(path, "items.jsonl", shorter), "and is now absent"),
        (lambda path: change_rows(path, "outputs.jsonl", shorter), "outputs that had landed were exchanged"),
        (lambda path: change_json(path, "entry.json", submitted="2020-01-01"), "submitted had landed as"),
        (lambda path: (path / "items.jsonl").unlink(), "is not there any more"),
        (lambda path: (path / "items.jsonl").write_text("[]\n"), "not of its schema"),
        (lambda path: change_rows(path, "items.jsonl", all_with(group="one")), "group of"),
        (lambda path: change_rows(path, "items.jsonl", all_with(status="failed")), "status of"),
        (lambda path: change_json(path, "run.json", level=0.5), "level had landed as 0.95"),
        (lambda path: change_json(path, "run.json", encoders={}), "in encoders had landed as"),
        (lambda path: change_json(path, "run.json", versions={}), "versions had landed as"),
    ],
)  # fmt: skip
def test_what_is_published_does_not_change(published, tamper, words):
    """A changed score, output, declaration or record of a published entry is found, however well it is resealed."""
    tamper(published.entry_path("few/v1", "good"))
    problems = published_problems(published, "main")

    assert {problem.code for problem in problems} == {"landed_changed"}
    assert words in " ".join(problem.message for problem in problems)


def test_metrics_may_be_added_to_what_is_published(published):
    """A new metric of the same edits changes nothing that was there, apart from when and where the last run was."""
    path = published.entry_path("few/v1", "good")
    metrics = json.loads((path / "run.json").read_text())["metrics"]
    change_rows(path, "items.jsonl", all_with(clip_image_similarity=0.5))
    change_json(path, "run.json", metrics={**metrics, "clip_image_similarity": metrics["clip_score"]}, versions={})
    resealed(path)

    assert published_problems(published, "main") == []


def test_a_published_reason_stays(board):
    """Why a value is not there is as much a result as a value; a new metric may bring reasons of its own."""
    path = board.entry_path("few/v1", "good")
    change_rows(path, "items.jsonl", all_with(clip_score=None, reasons={"clip_score": "no_direction"}))
    publish(board)
    change_rows(path, "items.jsonl", all_with(reasons={"clip_score": "no_direction", "new": "no_source_image"}))
    assert published_problems(board, "main") == []

    change_rows(path, "items.jsonl", all_with(reasons={"clip_score": "no_source_image"}))
    assert "the reason for no clip_score of" in published_problems(board, "main")[0].message


def test_a_submission_cannot_verify_itself(published):
    """A verification that comes with a submission is found; from a maintainer it is none."""
    (published.entry_path("few/v1", "good") / "verification.json").write_text("{}")

    assert [problem.code for problem in published_problems(published, "main")] == ["verification_changed"]
    assert published_problems(published, "main", maintainer=True) == []


def test_a_base_that_git_does_not_know_is_one_sentence(published):
    """The message says what to type; a base that looks like an option is none."""
    with pytest.raises(EntryError, match="git fetch origin main"):
        published_problems(published, "nowhere")
    with pytest.raises(EntryError, match="is no branch"):
        published_problems(published, "--output=x")


def test_the_command_exits_with_3_where_something_is_wrong(board):
    """Problems are listed with what they mean; --json has them as objects."""
    change_json(board.entry_path("few/v1", "good"), "entry.json", extra=1)
    done = CliRunner().invoke(main, ["leaderboard", "verify", "--leaderboard", str(board.root), "--json"])
    found = json.loads(done.stdout)

    assert done.exit_code == 3
    assert [problem["code"] for problem in found["problems"]] == ["unreadable"]
    assert found["entries"]["few/v1/fair"] == "self_scored"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(["entry.json", "run.json", "items.jsonl", "outputs.jsonl", "verification.json", "card"]),
    content=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    field=st.text(min_size=1, max_size=20) | st.sampled_from(["method", "metrics", "item_id", "level", "declarations"]),
    value=JSON,
    whole=st.booleans(),
)
def test_whatever_a_file_holds_is_a_problem_and_no_crash(made, tmp_path_factory, name, content, field, value, whole):
    """Any bytes in place of a file, and any value in any field of it, end as listed problems, or change nothing."""
    root = tmp_path_factory.getbasetemp() / "fuzzed"
    shutil.rmtree(root, ignore_errors=True)
    for part in ("methods/good.yaml", "entries/few/v1/good", "schema"):
        source, target = made.root / part, root / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, _parent(target))
    board = Leaderboard(root)
    path = board.card_path("good") if name == "card" else board.entry_path("few/v1", "good") / name
    before = path.read_bytes() if path.exists() else b""
    if not whole and name.endswith((".json", ".jsonl")) and before:
        lines = before.decode().split("\n") if name.endswith("jsonl") else [before.decode()]
        lines[0] = json.dumps({**json.loads(lines[0]), field: value})
        content = "\n".join(lines).encode()
    path.write_bytes(content)
    problems = verify(board).problems

    assert problems or _same(before, content)
    assert all(len(problem.message) < 2000 for problem in problems)


def _parent(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _same(before, now):
    """Whether a file says what it said."""
    try:
        return [json.loads(line) for line in before.splitlines()] == [json.loads(line) for line in now.splitlines()]
    except ValueError:
        return before == now


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_schemas_that_are_checked_in_are_the_generated_ones(name):
    """What editors and other tools validate against is what evalkit reads."""
    assert Path(f"leaderboard/schema/{name}.schema.json").read_text("utf-8") == schemas()[f"{name}.schema.json"]


def test_the_projects_own_entries_have_no_problem():
    """What this repository publishes is what its per-item scores say."""
    assert verify(Leaderboard(Path("leaderboard"))).problems == ()
