"""What is exported as CSV is data to every spreadsheet: no name becomes a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.comparison.compare import compare
from evalkit.comparison.tables.text import means_by_method
from evalkit.tables.table import csv_text

CELLS = st.none() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet="=+-@\t\r\n＝ a1.|", max_size=6)


def read_back(text):
    """The cells of a CSV file."""
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_no_cell_begins_as_a_formula_does(cells):
    """Whatever a method, metric or item is called; a number stays a number, and what is quoted is all there."""
    for row in read_back(csv_text([str(cell) for cell in cells], [cells])):
        for shown, cell in zip(row, cells, strict=True):
            text = str(cell).replace("\r\n", "\n").replace("\r", "\n")
            assert shown in (text, f"'{text}") or (cell is None and shown == "")
            if shown[:1] in ("=", "+", "-", "@", "\t", "\n", "＝"):
                float(shown)


@pytest.mark.parametrize("cell", ["=cmd|x", "+1+1", "-2-3", "@SUM(A1)", "\t=1", "-", "＝1"])
def test_a_formula_is_given_an_apostrophe(cell):
    """As in the leaderboard's downloads."""
    assert read_back(csv_text([cell], [[cell]])) == [[f"'{cell}"], [f"'{cell}"]]


@pytest.mark.parametrize("cell", ["-1", "+0.5", "-1.5e-07", -0.25, -1e-300])
def test_a_number_stays_as_it_is(cell):
    """Negative numbers need no apostrophe, as text or not."""
    assert read_back(csv_text(["x"], [[cell]])) == [["x"], [str(cell)]]


def test_equal_means_are_equally_the_best(tmp_path):
    """Of two methods with the same mean none is marked alone as the best, whichever was named first."""
    rows = [f"p{item},{method},{item % 2 if method != 'C' else 0}" for item in range(8) for method in "ABC"]
    table = tmp_path / "success.csv"
    table.write_text("\n".join(["item_id,method,success", *rows]) + "\n")

    marks = {method: cells[0][1] for method, cells in means_by_method(compare([str(table)])).items()}

    assert marks["A"] == marks["B"] == "best"
    assert marks["C"] != "best"
