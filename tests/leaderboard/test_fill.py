"""``evalkit leaderboard fill``: what entries await is added where anybody can have their edits, and nothing changes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.edits.manifest import RECIPE_NAME
from evalkit.errors import WeightsError
from evalkit.leaderboard import submit as submitting
from evalkit.leaderboard.fill import fill
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.store import Leaderboard
from evalkit.leaderboard.submit import submit
from evalkit.leaderboard.verify import verify
from tests.support import boards
from tests.support.boards import FEW, card_of, control, edits, empty_board, few, write_card
from tests.support.entries import change_json, change_rows, publish

ALL = ("edit_success", "attribute_preservation", "clip_score")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A published board of a control, a method whose edits are public, and one whose are not: all await two metrics."""
    root = tmp_path_factory.mktemp("waiting")
    with_seed = control(root / "identity", "identity")
    change_rows(with_seed, "metadata.jsonl", lambda rows: [row | {"seed": 0} for row in rows])
    (with_seed / RECIPE_NAME).unlink()  # which names no seed
    board = empty_board(root / "leaderboard")
    for name, folder in (
        ("identity", with_seed),
        ("imagined", edits(root / "imagined", good=0.9)),
        ("private", edits(root / "private", seed=1)),
    ):
        card = card_of(name, kind="control" if name == "identity" else "method", pictures_licence="Apache-2.0")
        submit(folder, write_card(root / f"{name}.yaml", card), board, metrics=["edit_success"])
    publish(board)
    return root


@pytest.fixture
def waiting(made, tmp_path, monkeypatch):
    """The board, beside the public edits, to be filled."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    with_public = replace(few(), published={"imagined": lambda data=None, *, near=None: tmp_path / "imagined"})
    monkeypatch.setattr(boards, "few", lambda: with_public)
    return Leaderboard(tmp_path / "leaderboard")


def run(board, *options):
    """The command."""
    return CliRunner().invoke(main, ["leaderboard", "fill", *options, "--leaderboard", str(board.root)])


def untouched(board):
    """The bytes of everything on a board that holds no score."""
    return {
        path.relative_to(board.root): path.read_bytes()
        for path in board.root.rglob("*")
        if path.is_file() and path.name not in ("run.json", "items.jsonl", "entry.json")
    }


def test_awaited_metrics_are_added_and_nothing_else_changes(waiting, small_leaderboard):
    """The control and the public edits have all metrics, with the scores of a whole submission; the private await."""
    before = untouched(waiting)
    found = fill(waiting)
    entries = {entry.method: entry for entry in waiting.entries("few/v1")}

    assert [entry.method for entry in found.filled] == ["identity", "imagined"]
    assert dict(found.awaiting) == {"few/v1/private": ALL[1:]}
    assert {name: tuple(entry.metrics) for name, entry in entries.items()} == {
        "identity": ALL, "imagined": ALL, "private": ALL[:1],
    }  # fmt: skip
    whole = small_leaderboard.read(small_leaderboard.entry_path("few/v1", "identity"))
    assert [row.values for row in entries["identity"].run.table.rows] == [row.values for row in whole.run.table.rows]
    assert untouched(waiting) == before
    assert published_problems(waiting, "main") == []
    assert verify(waiting).problems == ()
    assert fill(waiting).filled == ()


def test_other_edits_than_those_published_are_refused(waiting, tmp_path):
    """Where one public edit was exchanged its entry stays as it was, the others are filled, and the command says so."""
    path = sorted((tmp_path / "imagined").glob("*.png"))[3]
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    done = run(waiting, "few/v1", "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 3
    assert list(found["filled"]) == ["few/v1/identity"]
    assert [(problem["code"], problem["where"]) for problem in found["problems"]] == [
        ("wrong_digest", "entries/few/v1/imagined")
    ]
    assert "1 of 24 edits are not those of the entry" in found["problems"][0]["message"]
    assert tuple(waiting.read(waiting.entry_path("few/v1", "imagined")).metrics) == ALL[:1]


def test_weights_that_cannot_be_had_are_no_ones_choice(waiting, monkeypatch):
    """The protocol fixes the encoder: none is offered in its place; what was filled before stays."""
    score_into, scored = submitting.score_into, []

    def score_once(*arguments, **options):
        if scored:
            raise WeightsError("The weights cannot be downloaded.", "Give a copy that you have: --encoder FILE")
        scored.append(arguments)
        return score_into(*arguments, **options)

    monkeypatch.setattr(submitting, "score_into", score_once)
    done = run(waiting)

    assert done.exit_code == 1
    assert "few/v1/imagined is as it was. Run the same command where the weights can be downloaded." in done.stderr
    assert "--encoder" not in done.stderr
    assert tuple(waiting.read(waiting.entry_path("few/v1", "identity")).metrics) == ALL


def test_nothing_is_added_to_what_is_wrong(waiting):
    """An entry that was tampered with does not get new digests: the command refuses, and names it."""
    change_json(waiting.entry_path("few/v1", "identity"), "run.json", level=0.5)
    done = run(waiting)

    assert done.exit_code == 1
    assert "Nothing is added: 1 problem, the first in entries/few/v1/identity" in done.stderr


@pytest.mark.parametrize(
    ("protocol", "words"),
    [("few/v2", "Did you mean few/v1?"), ("tedbench/v1", "has no entries of tedbench/v1: expected one of few/v1.")],
)
def test_a_board_that_is_not_there_is_said(waiting, protocol, words):
    """A protocol that is unknown, or without entries, is an error that names those there are."""
    done = run(waiting, protocol)

    assert done.exit_code == 1
    assert words in done.stderr
    assert FEW.name in done.stderr
