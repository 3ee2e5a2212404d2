"""``evalkit leaderboard verify``: whatever is changed in an entry is found, whatever a file holds it is only read."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.cli import main
from evalkit.errors import EntryError
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.records import SCHEMAS
from evalkit.leaderboard.store import Leaderboard, schemas
from evalkit.leaderboard.verify import verify
from evalkit.metrics.base import METRICS
from tests.support.entries import better, change_json, change_rows, publish, resealed


def rows(change, name="items.jsonl", *, seal=True):
    """Tampers with the lines of a file, and lets the entry's digests fit again."""

    def tamper(path):
        change_rows(path, name, change)
        if seal:
            resealed(path)

    return tamper


def fields(name, *, seal=False, **changed):
    """Tampers with fields of a file."""

    def tamper(path):
        change_json(path, name, **changed)
        if seal:
            resealed(path)

    return tamper


def each(**changed):
    """Every line says something else."""
    return lambda lines: [{**line, **changed} for line in lines]


def with_value(value):
    """The first score is something."""
    return lambda lines: [{**lines[0], "clip_score": value}, *lines[1:]]


def regrouped(lines):
    """Every item is its own group, which would make the intervals narrower."""
    return [{**line, "group": line["item_id"]} for line in lines]


def shorter(lines):
    """One line less."""
    return lines[1:]


def test_an_honest_leaderboard_has_no_problem(small_leaderboard):
    """Controls and methods as they were submitted pass, and their checks say what the controls are."""
    verified = verify(small_leaderboard)
    identity = {check.name: check for check in verified.anomalies["few/v1/identity"]}

    assert verified.problems == ()
    assert {entry.level for entry in verified.entries} == {"self_scored"}
    assert identity["equals_source"].value == 1
    assert not identity["equals_source"].flagged  # it is a control


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (rows(better, seal=False), "unreadable"),
        (rows(better), "wrong_mean"),
        (rows(regrouped), "coverage"),
        (rows(shorter), "coverage"),
        (rows(lambda lines: [*lines, lines[0]]), "coverage"),
        (rows(with_value(1.7)), "wrong_value"),
        (rows(with_value(None)), "unreadable"),
        (rows(with_value(True)), "unreadable"),
        (rows(with_value("1e9")), "unreadable"),
        (rows(with_value(float("nan"))), "unreadable"),
        (rows(shorter, "outputs.jsonl", seal=False), "wrong_digest"),
        (rows(shorter, "outputs.jsonl"), "coverage"),
        (rows(each(sha256=None), "outputs.jsonl"), "coverage"),
        (fields("entry.json", method="other"), "unreadable"),
        (fields("entry.json", protocol="tedbench/v1"), "wrong_place"),
        (fields("entry.json", extra=1), "unreadable"),
        (fields("run.json", seal=True, missing="intersect"), "wrong_protocol"),
        (fields("run.json", seal=True, benchmark_version="2"), "wrong_protocol"),
        (fields("run.json", seal=True, n_items=12), "wrong_protocol"),
        (lambda path: (path / "setup.py").write_text("raise SystemExit"), "unknown_file"),
        (lambda path: (path / "pictures" / "page.html").write_text("<script>"), "unknown_file"),
        (lambda path: (path / "entry.json").unlink(), "unreadable"),
        (lambda path: (path / "entry.json").write_text("[" * 100_000), "unreadable"),
        (lambda path: (path / "run.json").write_bytes(b"\xff\xfe"), "unreadable"),
    ],
)  # fmt: skip
def test_what_is_changed_is_found(copied, tamper, code):
    """A changed score, mean, group, row, digest, name or file gives a problem of its kind, and of this entry only."""
    tamper(copied.entry_path("few/v1", "good"))
    problems = verify(copied).problems

    assert [problem.code for problem in problems] == [code]
    assert problems[0].where == "entries/few/v1/good"
    assert len(problems[0].message) < 1500


@pytest.mark.parametrize(("score", "code"), [(0.01, "wrong_value"), (0.0, "wrong_mean")])
def test_a_failed_edit_scores_no_better_than_the_worst(copied, score, code):
    """What it scores on the board is decided among all entries; what stands here must only not be a gift."""

    def failed(lines):
        known = [METRICS.get(name) for name in lines[0] if name in METRICS.names()]
        ends = {metric.name: metric.lowest if metric.higher_is_better else metric.highest for metric in known}
        return [{**lines[0], "status": "failed", **ends, "clip_score": score}, *lines[1:]]

    path = copied.entry_path("few/v1", "good")
    rows(lambda lines: [{**lines[0], "status": "failed", "sha256": None}, *lines[1:]], "outputs.jsonl")(path)
    rows(failed)(path)

    assert [problem.code for problem in verify(copied).problems] == [code]


def test_scores_of_another_precision_are_not_the_protocols(copied):
    """What the protocol asks of a run while it is scored, it asks of an entry."""
    path = copied.entry_path("few/v1", "good")
    encoders = json.loads((path / "run.json").read_text())["encoders"]
    half = {name: {**encoder, "dtype": "bf16"} for name, encoder in encoders.items()}
    fields("run.json", seal=True, encoders=half)(path)

    assert [p.message for p in verify(copied).problems] == ["few/v1 fixes the precision: expected fp32, got bf16."]


def test_a_copied_entry_is_found(copied):
    """The same edits under another name are one method, not two; the copy's check says whose they are."""
    path = copied.entry_path("few/v1", "thief")
    shutil.copytree(copied.entry_path("few/v1", "good"), path)
    change_json(path, "run.json", run="thief")
    change_json(path, "entry.json", method="thief")
    resealed(path)
    card = copied.card_path("good").read_text().replace("name: good", "name: thief")
    copied.card_path("thief").write_text(card)
    verified = verify(copied)
    check = next(c for c in verified.anomalies["few/v1/thief"] if c.name == "equals_other_entry")

    assert [problem.code for problem in verified.problems] == ["duplicate_entry"]
    assert (check.value, check.flagged) == (1, True)
    assert "good" in check.note


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("enc:miniature/clip@000000000000", "enc is"),
        ("enc:miniature/clip_v2@83eb3e7b2dfb", "expected the encoder miniature, got miniature/clip_v2"),
    ],
)
def test_signatures_of_one_board_agree(copied, label, said):
    """Scores of other weights, or of the encoder's other version, are not comparable, whoever signs them."""
    path = copied.entry_path("few/v1", "good")
    metrics = json.loads((path / "run.json").read_text())["metrics"]
    line = metrics["clip_score"]["signature"]
    own = next(part for part in line.split("|") if part.startswith("enc:"))
    metrics["clip_score"]["signature"] = line.replace(own, label)
    fields("run.json", seal=True, metrics=metrics)(path)
    problems = verify(copied).problems

    assert said in problems[0].message
    assert {problem.code for problem in problems} == {"wrong_protocol"}


def test_a_card_with_another_name_than_its_file_is_found(copied):
    """A card lies under its own name."""
    copied.card_path("stray").write_text(copied.card_path("good").read_text())

    assert [problem.code for problem in verify(copied).problems] == ["wrong_place"]


def test_every_row_of_a_reported_table_is_checked(copied):
    """Each value in a column that the table does not explain is a problem of its own."""
    table = yaml.safe_load(Path("leaderboard/reported/survey.yaml").read_text(encoding="utf-8"))
    for row in table["rows"][:2]:
        row["values"]["SSIM"] = 0.5
    (copied.root / "reported").mkdir()
    (copied.root / "reported" / "survey.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    found = [problem.message for problem in verify(copied).problems]
    assert len(found) == 2
    for row, message in zip(table["rows"], found, strict=False):
        assert f"{row['title']}: a value in a column that the table does not explain" in message


def test_stale_schemas_are_found_and_written_again(empty):
    """The schemas are generated; the command writes them."""
    (empty.root / "schema" / "entry.schema.json").write_text("{}")
    assert [problem.code for problem in verify(empty).problems] == ["stale_schema"]

    CliRunner().invoke(main, ["leaderboard", "schema", "--leaderboard", str(empty.root)], catch_exceptions=False)
    assert verify(empty).problems == ()


@pytest.fixture
def published(copied):
    """The leaderboard, published."""
    return publish(copied)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (rows(better), "edit_success of"),
        (rows(shorter), "and is now absent"),
        (rows(each(group="one")), "group of"),
        (rows(each(status="failed")), "status of"),
        (rows(shorter, "outputs.jsonl"), "outputs that had landed were exchanged"),
        (fields("entry.json", submitted="2020-01-01"), "submitted had landed as"),
        (fields("run.json", level=0.5), "level had landed as 0.95"),
        (fields("run.json", encoders={}), "in encoders had landed as"),
        (fields("run.json", versions={}), "versions had landed as"),
        (lambda path: (path / "items.jsonl").unlink(), "is not there any more"),
        (lambda path: (path / "items.jsonl").write_text("[]\n"), "not of its schema"),
    ],
)
def test_what_is_published_does_not_change(published, tamper, words):
    """A changed score, output, declaration or record of a published entry is found, however well it is resealed."""
    tamper(published.entry_path("few/v1", "good"))
    problems = published_problems(published, "main")

    assert {problem.code for problem in problems} == {"landed_changed"}
    assert words in " ".join(problem.message for problem in problems)


def signed(change):
    """Tampers with the signature of the first metric, and lets the entry's digests fit again."""

    def tamper(path):
        record = json.loads((path / "run.json").read_text())
        first = next(iter(record["metrics"].values()))
        first["signature"] = change(first["signature"])
        (path / "run.json").write_text(json.dumps(record))
        resealed(path)

    return tamper


def test_a_signature_may_say_more_than_it_did_and_nothing_else(published):
    """What was left to be understood may be added to it; a field that goes or says something else is a change."""
    path = published.entry_path("few/v1", "good")
    signed(lambda line: f"{line}|more:said")(path)
    assert published_problems(published, "main") == []
    signed(lambda line: line.replace("|alpha:white", "").replace("|more:said", ""))(path)
    assert [p.code for p in published_problems(published, "main")] == ["landed_changed"]
    signed(lambda line: f"{line}|alpha:black")(path)
    assert [p.code for p in published_problems(published, "main")] == ["landed_changed"]


def test_cards_and_metrics_may_be_added_to_what_is_published(published):
    """A new metric of the same edits changes nothing that was there, apart from when and where the last run was."""
    published.card_path("new").write_text(published.card_path("good").read_text())
    assert published_problems(published, "main") == []

    path = published.entry_path("few/v1", "good")
    metrics = json.loads((path / "run.json").read_text())["metrics"]
    change_json(path, "run.json", metrics={**metrics, "clip_image_similarity": metrics["clip_score"]}, versions={})
    rows(each(clip_image_similarity=0.5))(path)
    assert published_problems(published, "main") == []


def test_a_published_card_is_changed_by_maintainers_alone(published):
    """What people read of a method stays as it was, however it is written; a maintainer may correct it."""
    card = published.card_path("good")
    text = card.read_text()
    card.write_text(f"# Written by hand.\n{text}")
    assert published_problems(published, "main") == []

    card.write_text(text.replace("summary: About good.", "summary: The best there is."))
    (problem,) = published_problems(published, "main")
    assert (problem.code, problem.where) == ("landed_changed", "methods/good.yaml")
    assert problem.message == "summary had landed as 'About good.'"
    assert published_problems(published, "main", maintainer=True) == []
    card.unlink()
    assert "is not there any more" in published_problems(published, "main")[0].message


def test_a_published_reason_stays(copied):
    """Why a value is not there is as much a result as a value; a new metric may bring reasons of its own."""
    path = copied.entry_path("few/v1", "good")
    change_rows(path, "items.jsonl", each(clip_score=None, reasons={"clip_score": "no_direction"}))
    publish(copied)
    change_rows(path, "items.jsonl", each(reasons={"clip_score": "no_direction", "new": "no_source_image"}))
    assert published_problems(copied, "main") == []

    change_rows(path, "items.jsonl", each(reasons={"clip_score": "no_source_image"}))
    assert "the reason for no clip_score of" in published_problems(copied, "main")[0].message


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


def test_the_command_exits_with_3_where_something_is_wrong(copied):
    """Problems are listed with what they mean; --json has them as objects."""
    change_json(copied.entry_path("few/v1", "good"), "entry.json", extra=1)
    done = CliRunner().invoke(main, ["leaderboard", "verify", "--leaderboard", str(copied.root), "--json"])
    found = json.loads(done.stdout)

    assert done.exit_code == 3
    assert [problem["code"] for problem in found["problems"]] == ["unreadable"]
    assert found["entries"]["few/v1/fair"] == "self_scored"
    assert {check["name"] for check in found["screens"]["few/v1/fair"]} >= {"equals_source", "equals_other_entry"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(["entry.json", "run.json", "items.jsonl", "outputs.jsonl", "verification.json", "card"]),
    content=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    field=st.text(min_size=1, max_size=20) | st.sampled_from(["method", "metrics", "item_id", "level", "declarations"]),
    value=JSON,
    whole=st.booleans(),
)
def test_whatever_a_file_holds_is_a_problem_and_no_crash(
    small_leaderboard, tmp_path_factory, name, content, field, value, whole
):
    """Any bytes in place of a file, and any value in any field of it, end as listed problems, or change nothing."""
    board = Leaderboard(tmp_path_factory.getbasetemp() / "fuzzed")
    shutil.rmtree(board.root, ignore_errors=True)
    for part in ("methods/good.yaml", "entries/few/v1/good", "schema"):
        source, target = small_leaderboard.root / part, board.root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
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


def _same(before, now):
    """Whether a file says what it said."""
    try:
        return [json.loads(line) for line in before.splitlines()] == [json.loads(line) for line in now.splitlines()]
    except ValueError:
        return before == now


def test_what_the_project_publishes_is_what_its_scores_say():
    """Its own entries have no problem, and the schemas that other tools validate against are what evalkit reads."""
    assert verify(Leaderboard(Path("leaderboard"))).problems == ()
    assert schemas().keys() == {f"{name}.schema.json" for name in SCHEMAS}
