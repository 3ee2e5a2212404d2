"""Tables and sentences on terminals of any width: nothing is cut, and nothing looks like something else."""

import io
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from evalkit.cli.output import Output
from evalkit.formatting import format_interval, format_score
from evalkit.tables.table import TextTable, in_columns
from evalkit.tables.terminal import INTERVAL, folded
from tests.support.terminal import parts_of, rows_of, without_spaces, written

NARROWEST = 36
"""Columns that the longest interval takes in a block of lines."""
NUMBERS = st.one_of(st.none(), st.floats(-1.5, 1.5), st.floats(-1e9, 1e9), st.just(1e-7))
NAMES = (
    st.text("ab_cd_:-./ 019é猫", min_size=1, max_size=60)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: any(map(str.isalnum, text)))
)


@st.composite
def tables(draw):
    """Methods by metrics: means with intervals and ranks, some of them not there; the last column may be of words."""
    methods = draw(st.lists(NAMES, min_size=1, max_size=30, unique_by=without_spaces))
    metrics = draw(st.lists(NAMES, min_size=1, max_size=12, unique_by=without_spaces))
    columns = []
    for _ in metrics:
        cells = []
        for _ in methods:
            mean, low, high = draw(NUMBERS), *sorted((draw(st.floats(-9e6, 9e6)), draw(st.floats(-9e6, 9e6))))
            ranks = draw(st.sampled_from(["1", "1–4", "10–30"]))
            cells.append((ranks, format_score(mean), format_interval(low, high) if mean is not None else "–"))
        columns.append(cells)
    rows = tuple(zip(methods, *map(in_columns, columns), strict=True))
    header, text_columns = ("method", *(f"{metric} ↑" for metric in metrics)), {0}
    if draw(st.booleans()):
        verdicts = draw(st.lists(NAMES, min_size=len(rows), max_size=len(rows)))
        rows, header = tuple((*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)), (*header, "verdict")
        text_columns.add(len(metrics) + 1)
    return TextTable(title="Means", header=header, rows=rows, text_columns=frozenset(text_columns)), columns


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.integers(NARROWEST, 200), st.sampled_from(["utf-8", "ascii", "cp1252"]))
def test_no_number_is_cut_and_no_two_names_look_the_same(drawn, width, encoding):
    """Whatever is drawn, every cell is read back from what is shown, and no line is wider than the terminal."""
    table, columns = drawn
    with written(width, encoding) as (output, text):
        output.table(table)
        table = replace(table, title="", header=tuple(map(output._cell, table.header)),
                        rows=tuple(tuple(map(output._cell, row)) for row in table.rows))  # fmt: skip
    shown = text()
    assert max(cell_len(line) for line in shown.split("\n")) <= width
    names = [row[0] for row in table.rows]
    parts = parts_of(shown)
    if not parts:  # blocks of lines
        assert without_spaces("".join("".join(row) for row in _blocks(table))) == without_spaces(shown[len("Means") :])
    else:
        heads = [head for part in parts for head in part.head[1:]]
        assert list(map(without_spaces, heads)) == list(map(without_spaces, table.header[1:]))
        read = {name: [] for name in names}
        for part in parts:
            for name, lines in rows_of(part, names).items():
                read[name] += [" ".join(line[n] for line in lines) for n in range(1, len(part.head))]
        for name, *cells in table.rows:
            for number, (found, cell) in enumerate(zip(read[name], cells, strict=True), start=1):
                # Words may be broken at their joints, numbers may not.
                shape = without_spaces if number in table.text_columns else str.split
                assert shape(found) == shape(cell)
    for cells in columns:
        for ranks, mean, interval in cells:
            for number in (ranks, mean, interval):
                assert output._cell(number) in shown


def _blocks(table):
    for name, *cells in table.rows:
        yield [name, *(f"{head}:{cell}" for head, cell in zip(table.header[1:], cells, strict=True) if cell)]


def test_the_usual_table_stands_beside_itself_as_far_as_it_fits():
    """Cells on one line while that takes the fewest lines; else intervals below means; else one column at a time."""
    cells = in_columns([("0.9387", "[0.9214, 0.9561]"), ("−0.0765", "[−0.1004, 0.1526]")])
    header = ("method", "clip_score ↑", "clip_directional_similarity ↑", "clip_image_similarity ↑")
    rows = tuple((name, cell, cell, cell) for name, cell in zip(("plug_and_play", "sdedit"), cells, strict=True))
    table = TextTable(title="", header=header, rows=rows)
    sizes = {}
    for width in (120, 80, 60, 40, 24):
        with written(width) as (output, text):
            output.table(table)
        parts = parts_of(text())
        sizes[width] = [(len(part.head) - 1, len(part.lines)) for part in parts]
    assert sizes[120] == [(3, 2)]
    assert sizes[80] == [(3, 4)]
    assert sizes[60] == [(2, 4), (1, 2)]
    assert [columns for columns, _ in sizes[40]] == [1, 1, 1]
    assert sizes[24] == []


def test_columns_that_are_empty_or_spare_are_left_out_and_the_spare_ones_named():
    """What is left out for want of room is said; an empty column says nothing."""
    rows = (("a", "0.1234", "", "0.5678"), ("b", "0.2345", "", "0.6789"))
    table = TextTable(title="T", header=("method", "difference", "undefined", "MDE"), rows=rows, spare_columns=(3,))
    with written(24) as (output, text):
        output.table(table)
    assert "left out on so narrow a" in text()
    assert "terminal: MDE" in text()
    with written(60) as (output, text):
        output.table(table)
    assert "MDE" in text().splitlines()[2]
    assert "undefined" not in text()


@given(st.text("ab c0._[],−", max_size=200), st.integers(20, 80))
def test_a_sentence_breaks_between_words(text, width):
    """No word that fits a line is broken, nor an interval, and no letter is lost."""
    lines = folded(text, width, "  ")
    assert max(map(cell_len, lines)) <= width
    assert without_spaces("".join(lines)) == without_spaces(text)
    together = "\n".join(lines)
    for word in [*re.findall(INTERVAL, text), *text.split()]:
        if cell_len(word) <= width - 2 and not re.search(r"[\[\],]", word.strip()):
            assert word in together
    said = "the difference is −0.1234 [−0.2345, +0.3456] in all"
    for each in range(20, 60):
        assert "[−0.2345, +0.3456]" in "\n".join(folded(said, each))


@pytest.mark.parametrize(("columns", "expected"), [("", 80), ("60", 60), ("3", 20), ("wide", 80)])
def test_a_pipe_is_as_wide_as_columns_says_and_else_eighty(monkeypatch, columns, expected):
    """Neither as wide as the widest table, nor as the terminal that the command was typed in."""
    monkeypatch.setenv("COLUMNS", columns)
    assert Output(stdout=io.StringIO()).width == expected
