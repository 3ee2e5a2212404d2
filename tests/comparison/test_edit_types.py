"""A comparison edit type by edit type: each as if its items were all, but corrected together."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.comparison.compare import compare
from evalkit.comparison.edit_types import by_edit_type
from evalkit.comparison.statements.captions import about_edit_types
from evalkit.comparison.tables.edit_types import edit_type_notes, edit_type_tables, primary_edit_types
from evalkit.comparison.tables.export import export
from evalkit.comparison.tables.text import means_table
from evalkit.report.page.render import render_page
from evalkit.scores.frame import ScoreFrame
from evalkit.stats.multiplicity import correct_families
from tests.support.audit import Tables

TYPES = ("object", "style", "background")


def write(path, rows, columns=("item_id", "method", "group", "score", "lpips")):
    """A table as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def typed(comparison, type_of):
    """The comparison with an edit type for each method and item, or none."""
    methods = tuple(
        replace(method, table=ScoreFrame.from_rows(
            [replace(row, edit_type=type_of(method.name, int(row.item_id[1:]))) for row in method.table.rows],
            method.table.metrics,
        ))
        for method in comparison.methods
    )  # fmt: skip
    return replace(comparison, methods=methods)


def in_turn(_, item):
    """The type of an item of ``rows``."""
    return TYPES[item % 3]


def rows(methods=("a", "b", "c"), n_items=45):
    """Three methods on items of three types, in groups of two across types; method b is better on styles only."""
    rng = np.random.default_rng(3)
    return [
        {
            "item_id": f"i{item}", "method": method, "group": f"g{item // 2}", "edit_type": TYPES[item % 3],
            "score": round(rng.normal() + 3 * (method == "b" and item % 3 == 1), 4), "lpips": round(rng.random(), 4),
        }
        for item in range(n_items)
        for method in methods
    ]  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The table of three methods."""
    return write(tmp_path_factory.mktemp("types") / "all.csv", rows())


def test_a_type_is_compared_as_if_its_items_were_all(table, tmp_path):
    """Means, intervals, differences and uncorrected p-values are those of a comparison of its items alone."""
    types = by_edit_type(typed(compare([table]), in_turn))

    assert tuple(types.of) == TYPES
    for name, found in types.of.items():
        alone = write(tmp_path / f"{name}.csv", [row for row in rows() if row["edit_type"] == name])
        expected = compare([alone], n_permutations=9_999)
        for pair, other in zip(found.pairs, expected.pairs, strict=True):
            assert (pair.a, pair.b, pair.metric, pair.n_items, pair.n_total, pair.n_groups) == (
                other.a, other.b, other.metric, other.n_items, other.n_total, other.n_groups,
            )  # fmt: skip
            assert pair.difference == pytest.approx(other.difference, abs=1e-12)
            assert pair.p_value == pytest.approx(other.p_value, abs=0.02)
            assert (pair.ci_low, pair.ci_high) == pytest.approx((other.ci_low, other.ci_high), abs=0.05)
        for row, other in zip(found.ranking, expected.ranking, strict=True):
            assert (row.method, row.mean, row.ci_low) == (other.method, other.mean, other.ci_low)
        assert found.settings["n_items"] == 15
        assert not any(metric.primary for metric in found.metrics)


def test_all_types_are_corrected_as_one_family(table):
    """On each metric the corrected p-values are Benjamini and Hochberg's over every type and pair; sentences say so."""
    types = by_edit_type(typed(compare([table]), in_turn))
    for metric in ("score", "lpips"):
        pairs = [pair for part in types.of.values() for pair in part.pairs if pair.metric == metric]
        family = [pair.p_value for pair in pairs], [None] * 9, [False] * 9
        expected = correct_families(*family, "holm", alpha=0.05, max_t=[None] * 9)

        assert [pair.adjusted_p_value for pair in pairs] == pytest.approx([one.p_value for one in expected])
        assert {pair.n_comparisons for pair in pairs} == {9}
        assert all("Benjamini–Hochberg" in pair.sentence and "15 items" in pair.sentence for pair in pairs)
    decided = {name: {p.winner for p in c.pairs if p.metric == "score"} for name, c in types.of.items()}
    assert decided == {"object": {None}, "style": {"b", None}, "background": {None}}
    assert next(row.rank_high for row in types.of["style"].ranking if row.method == "b") == 1
    said = about_edit_types(types.of, types.left_out, types.n_untyped)
    assert "over all 9 comparisons of all edit types on a metric." in said


def test_what_is_found_on_a_metric_does_not_depend_on_the_others(table):
    """A page that shows one metric says what the terminal says of all."""
    comparison = typed(compare([table]), in_turn)
    one, both = by_edit_type(comparison, comparison.metrics[:1]), by_edit_type(comparison)

    assert {metric.name for part in one.of.values() for metric in part.metrics} == {"score"}
    for name, part in one.of.items():
        assert part.pairs == tuple(pair for pair in both.of[name].pairs if pair.metric == "score")
        assert part.ranking == tuple(row for row in both.of[name].ranking if row.metric == "score")


def test_edit_types_are_shown_and_exported(table):
    """A table per metric, lines of their own in the CSV, tables in Markdown, records in JSON, with what they are."""
    comparison = typed(compare([table]), in_turn)
    asked = replace(comparison, edit_types=by_edit_type(comparison))
    tables = list(edit_type_tables(asked))

    assert [t.title for t in tables] == ["score ↑ by edit type, exploratory", "lpips ↓ by edit type, exploratory"]
    assert tables[0].header == ("method", "object (15 items)", "style (15 items)", "background (15 items)")
    best = dict(zip(tables[0].header[1:], next(row for row in tables[0].rows if row[0] == "b")[1:], strict=True))
    assert best["style (15 items)"].split()[:2] == ["1", "•"]
    (note,) = edit_type_notes(asked)
    assert note.startswith("Exploratory: ")
    rows = list(csv.DictReader(io.StringIO(export(asked, "csv"))))
    assert [sum(row["edit_type"] == name for row in rows) for name in ("", *TYPES)] == [6, 6, 6, 6]
    assert {row["n_items"] for row in rows} == {"45", "15"}
    assert "edit_type" not in export(comparison, "csv").splitlines()[0].split(",")
    tex, without = export(asked, "latex"), export(comparison, "latex")
    assert tex.count(r"\begin{table}") - without.count(r"\begin{table}") == 2
    assert r"\caption{lpips $\downarrow$ by edit type, exploratory.}" in tex
    assert r"\caption{score $\uparrow$ by edit type, exploratory. Exploratory: nobody declared" in tex
    row = tex[tex.index("score $\\uparrow$ by edit type") :].partition("\nb & ")[2].partition("\n")[0]
    assert [cell.startswith(r"\textbf{") for cell in row.split(" & ")][1:2] == [True]
    assert "| method | object (15 items) |" in export(asked, "md").replace("\\", "")
    record = asked.to_dict()["edit_types"]["style"]
    assert [len(record[key]) for key in ("comparisons", "ranking")] == [6, 6]
    assert "edit_types" not in comparison.to_dict()
    page = Tables(render_page(asked))
    assert sum(caption.startswith("Means by edit type") for caption, _ in page.tables) == 2


def test_a_table_of_another_tool_may_name_edit_types(tmp_path, table):
    """A column that is called so is that of edit types, and no metric."""
    named = [{**row, "Edit Type": row["edit_type"]} for row in rows()]
    columns = ("item_id", "method", "group", "Edit Type", "score", "lpips")
    found = compare([write(tmp_path / "named.csv", named, columns)], by="edit_type")

    assert [metric.name for metric in found.metrics] == ["score", "lpips"]
    assert found.edit_types.of.keys() == set(TYPES)
    expected = by_edit_type(typed(compare([table]), in_turn))
    assert {name: part.pairs for name, part in found.edit_types.of.items()} == {
        name: part.pairs for name, part in expected.of.items()
    }
    assert any("edit_type 'Edit Type'" in note for note in found.notes)


def test_without_edit_types_that_is_said(table):
    """Asked for where items have none, the comparison says so and is otherwise the same."""
    (note,) = edit_type_notes(compare([table], by="edit_type"))

    assert note == "The items have no edit types, or all the same one: there is nothing to tell apart by edit type."


def test_a_type_that_one_method_names_counts_for_all(table):
    """Items without a type are counted; one that only one method's run gives has it for all methods."""
    only_b = typed(compare([table]), lambda method, item: in_turn(method, item) if method == "b" and item else None)
    types = by_edit_type(only_b)

    assert {name: c.settings["n_items"] for name, c in types.of.items()} == {
        "style": 15,
        "background": 15,
        "object": 14,
    }
    assert types.n_untyped == 1
    assert "Not shown: 1 item of no known type." in about_edit_types(types.of, types.left_out, types.n_untyped)


def test_a_type_that_nobody_shares_is_left_out_and_one_type_is_no_table(tmp_path, table):
    """Where a method has none of a type's items nothing can be compared on it, and the reason is said."""
    partly = [row for row in rows() if not (row["method"] == "c" and row["edit_type"] == "style")]
    types = by_edit_type(typed(compare([write(tmp_path / "partly.csv", partly)]), in_turn))
    assert tuple(types.of) == ("object", "background")
    assert types.left_out == {"style": "no item of it was scored for all methods"}
    said = about_edit_types(types.of, types.left_out, types.n_untyped)
    assert "Not shown: style is left out: no item of it was scored for all methods." in said

    assert by_edit_type(typed(compare([table]), lambda *_: "style")).of == {}
    assert by_edit_type(typed(compare([table]), lambda *_: None)).of == {}


def test_few_groups_are_said(tmp_path):
    """On so few groups that nobody is ranked the reason stands below the table."""
    few = [{**row, "lpips": "" if row["method"] == "c" else row["lpips"]} for row in rows(n_items=12)]
    types = by_edit_type(typed(compare([write(tmp_path / "few.csv", few)]), in_turn))

    said = about_edit_types(types.of, types.left_out, types.n_untyped)
    everywhere = "On object, style, background"
    assert f" {everywhere} no method is ranked: 4 groups leave 3 degrees of freedom: a ranking needs 4." in said
    assert f" {everywhere} c is not ranked on lpips: no value for any item." in said
    assert said.count("ranked") == 2


def test_a_terminal_shows_the_types_of_primary_metrics_in_the_order_of_the_means(tmp_path):
    """The other metrics are counted and stand in the details; every table has the rows of the main one."""
    columns = ("item_id", "method", "group", "edit_type", "score", "lpips")
    path = write(tmp_path / "typed.csv", rows(), columns)
    asked = compare([path], by="edit_type")
    order = [row[0] for row in means_table(asked).rows]

    tables = list(edit_type_tables(asked))
    assert [[row[0] for row in table.rows] for table in tables] == [order, order]
    assert [table.rows for table in edit_type_tables(primary_edit_types(asked))] == [tables[0].rows]
    words = ["compare", str(path), "--by", "edit_type"]
    terminal, details = (CliRunner().invoke(main, [*words, *more]).stdout for more in ([], ["--details"]))
    assert terminal.count("by edit type, exploratory") == 1
    assert "1 more metric by edit type: --details" in terminal
    assert details.count("by edit type, exploratory") == 2
    assert "more metric" not in details
