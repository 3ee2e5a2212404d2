"""A folder that somebody writes to while it is scored: it is said so, and nothing wrong is kept."""

import pytest

from evalkit.encoders.cache import EmbeddingCache
from evalkit.metrics.base import get_metrics
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_folder
from tests.support.fakes import FakeEncoder, make_edit_folder, save_picture

METRICS = get_metrics(["clip_score", "l1"])


def run(folder, cache, **more):
    """A run with an encoder that projects pixels."""
    options = ScoreOptions(name="test", missing="intersect")
    return score_folder(folder, METRICS, {"clip": FakeEncoder()}, cache, options, **more)


@pytest.fixture
def memory():
    """A cache of the test's own."""
    with EmbeddingCache.in_memory() as opened:
        yield opened


def meanwhile(step, do):
    """A progress that does something once, when a kind of work is done."""
    done = []

    def progress(what, n_done, total):
        if what == step and n_done == total and not done:
            done.append(do())

    return progress


def changed(run):
    """Item and message of each change that was found."""
    return [(p.item_id, p.message) for p in run.record.problems if p.code == "changed_while_scored"]


def test_files_that_are_written_added_or_removed_meanwhile_are_named(tmp_path, memory):
    """Each is a problem of its own, with its item; other files there are nobody's affair, and rest is no problem."""
    folder = make_edit_folder(tmp_path)
    assert changed(run(folder, memory)) == []

    def write():
        save_picture(tmp_path / "item_3.png", 77)
        (tmp_path / "item_4.png").unlink()
        save_picture(tmp_path / "item_99.png", 78)
        (tmp_path / "metadata.jsonl").write_text("{}\n")
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / ".item_5.png").write_text("half")

    found = changed(run(folder, memory, progress=meanwhile("scoring items", write)))
    assert set(found) == {
        (None, "item_99.png was added while the folder was scored. Score it again."),
        (None, "metadata.jsonl was added while the folder was scored. Score it again."),
        ("item_3", "item_3.png was written while the folder was scored. Score it again."),
        ("item_4", "item_4.png was removed while the folder was scored. Score it again."),
    }


def test_an_image_that_changes_between_being_known_and_being_decoded_has_no_score(tmp_path, memory):
    """Its numbers would be kept as those of the bytes that it had: the next run finds none but its own."""
    folder, first = make_edit_folder(tmp_path), tmp_path / "item_2.png"
    before = first.read_bytes()
    during = run(folder, memory, progress=meanwhile("reading images", lambda: save_picture(first, 77)))
    unreadable = [p.message for p in during.record.problems if p.code == "unreadable_image"]
    assert unreadable == ["item_2.png changed while it was scored. Score the folder again."]
    assert [row.item_id for row in during.table.rows if row.values["l1"] is None] == ["item_2"]
    assert [item for item, _ in changed(during)] == ["item_2"]

    first.write_bytes(before)
    with EmbeddingCache.in_memory() as empty:
        assert run(folder, memory).table.rows == run(folder, empty).table.rows
