"""Runs side by side: what each is called, and that no two look the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.scores.labels import run_labels
from evalkit.scores.run import FolderRecord, RunRecord
from evalkit.tables.table import TextTable
from tests.support.terminal import parts_of, rows_of, without_spaces, written

WORDS = st.text("ab_-=. ()2\n", min_size=1, max_size=8).filter(str.strip)


def record(run, *, folder="/edits/x", method=None, named=False, made_with=None):
    """A run without scores."""
    return RunRecord(
        run=run, named=named, method=method, benchmark=None, benchmark_version=None,
        folder=FolderRecord(
            path=folder, layout="manifest", digest="", n_files=0, n_matched=0, made_with=made_with or {}
        ),
        n_items=0, n_edited=0, missing="fail", level=0.95, metrics={}, encoders={}, problems=[], items_sha256="",
        versions={}, started="", seconds=0.0, n_encoded_images=0, n_encoded_texts=0,
    )  # fmt: skip


RECORDS = st.builds(
    record,
    WORDS,
    folder=WORDS.map("/edits/{}".format),
    method=st.none() | st.sampled_from(["sdedit", "a"]),
    named=st.booleans(),
    made_with=st.dictionaries(st.sampled_from(["strength", "steps", "seeds"]), st.sampled_from(["1", "0.5", "a b"])),
)


@settings(max_examples=50)
@given(st.lists(RECORDS, min_size=2, max_size=8), st.data())
def test_two_runs_never_look_the_same(records, data):
    """Whatever runs, folders and settings are called, each row of a table is read back, at every width."""
    directories = data.draw(st.lists(WORDS, min_size=len(records), max_size=len(records)))
    labels = run_labels(records, directories)
    assert len({without_spaces(label) for label in labels}) == len(records)
    table = TextTable(title="", header=("run", "l1 ↓"), rows=tuple((label, "0.1234") for label in labels))
    with written(data.draw(st.sampled_from((60, 80, 120)))) as (output, text):
        output.table(table)
    (part,) = parts_of(text())
    assert list(rows_of(part, labels)) == labels


def sweep(name, *, method="sdedit", **settings):
    """A run of a method that nobody named, of the folder of that name."""
    made = {key: str(value) for key, value in settings.items()}
    return record(f"{method}-{name}", folder=f"/sweep/{name}", method=method, made_with=made)


@pytest.mark.parametrize(
    ("records", "labels"),
    [
        (
            [sweep("a", strength=0.3, steps=50), sweep("b", strength=0.7, steps=50)],
            ["sdedit strength=0.3", "sdedit strength=0.7"],
        ),
        (
            [sweep("a", strength=0.3, seeds="[0]"), sweep("b", strength=0.7, seeds="[1]")],
            ["sdedit strength=0.3", "sdedit strength=0.7"],
        ),
        ([sweep("a", n=5, seeds="[0]"), sweep("b", n=5, seeds="[1]")], ["sdedit seeds=[0]", "sdedit seeds=[1]"]),
        (
            [sweep("a", strength=0.3), sweep("b", strength=0.3), sweep("c", strength=0.7)],
            ["sdedit strength=0.3 (a)", "sdedit strength=0.3 (b)", "sdedit strength=0.7"],
        ),
        ([sweep("a", steps=5), sweep("b", steps=5)], ["sdedit-a", "sdedit-b"]),
        ([sweep("a", steps=5), sweep("b", method="imagic", steps=6)], ["sdedit-a", "imagic-b"]),
        (
            [sweep("a", steps=5), record("weak", method="sdedit", named=True, made_with={"steps": "6"})],
            ["sdedit-a", "weak"],
        ),
        ([record("x", folder="/1/a"), record("x", folder="/1/b")], ["x (a)", "x (b)"]),
        ([record("x", folder="/1/a"), record("x", folder="/2/a")], ["x (runs/0)", "x (runs/1)"]),
    ],
)  # fmt: skip
def test_runs_of_one_method_are_called_by_what_differs(records, labels):
    """Settings, and seeds only where nothing else differs; else the folder, else the run's own; given names stay."""
    assert run_labels(records, [f"runs/{number}" for number in range(len(records))]) == labels
