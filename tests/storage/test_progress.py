"""Bars are shown in a notebook, and elsewhere only to whoever asks for them."""

import pytest

from evalkit.storage.progress import progress_shown
from tests.support.fakes import write_folder

CELLS = (
    "import evalkit",
    "run = evalkit.score('mine', metrics=['l1', 'mse'], cached=False)",
    "run",
    "run.scalars()['l1/mean'] > 0",
)


@pytest.mark.parametrize(("asked", "shown"), [(True, True), (False, False), (None, False)])
def test_a_script_shows_bars_when_asked(asked, shown, capsys):
    """On standard error, and nothing on standard output; a kind of work that begins anew begins a bar anew."""
    with progress_shown(asked) as told:
        for done, total in ((0, 2), (2, 2), (0, 3), (3, 3)):
            told("reading images", done, total)
    output = capsys.readouterr()
    assert output.out == ""
    assert ("reading images: 100%" in output.err and "3/3" in output.err) == shown
    assert bool(output.err) == shown


def test_a_function_is_told_itself():
    """Whoever draws bars of their own gets the numbers."""
    heard = []
    with progress_shown(lambda *numbers: heard.append(numbers)) as told:
        told("scoring items", 1, 2)
    assert heard == [("scoring items", 1, 2)]


@pytest.mark.slow
def test_a_notebook_shows_bars_and_tables(tmp_path):
    """In a real kernel: a bar below the cell that scores, and the table of a run that is looked at."""
    nbformat = pytest.importorskip("nbformat", reason="no notebooks here: pip install nbclient ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="no notebooks here: pip install nbclient ipykernel")
    write_folder(tmp_path / "mine", 4)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    _, scored, looked_at, compared = [cell.outputs for cell in notebook.cells]
    assert "scoring items" in str(scored)  # as text, or as a widget where there are widgets
    assert "<td" in looked_at[0]["data"]["text/html"]
    assert looked_at[0]["data"]["text/plain"].startswith("<ScoredRun: mine, 4 items: l1 0.")
    assert compared[0]["data"]["text/plain"] == "True"
