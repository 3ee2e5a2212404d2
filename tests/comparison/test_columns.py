"""What is taken for a metric in other tools' tables, and for a rate, a range, a group and a name."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from evalkit.cli import main
from evalkit.comparison.compare import compare
from evalkit.comparison.load import load_methods
from evalkit.comparison.options import ComparisonOptions, plan_comparison
from evalkit.errors import DataError
from evalkit.formatting import one_line_names
from tests.support.runs import A, B, write_scores


def table_of(path, columns, a, b, rows=8):
    """A wide table of two methods; the cells of each column by item, or one for all."""
    lines = ["item,method," + ",".join(columns)]
    for number in range(rows):
        for method, values in (("A", a), ("B", b)):
            cells = [values[name][number] if isinstance(values[name], list) else values[name] for name in columns]
            lines.append(f"p{number},{method}," + ",".join(map(str, cells)))
    path.write_text("\n".join(lines))
    return path


def notes_with(comparison, words):
    """The notes that hold these words."""
    return [note for note in comparison.notes if words in note]


@pytest.fixture
def constant(tmp_path):
    """The size of the pictures, the same everywhere, before the one metric."""
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.1, 0.2, 8).tolist(), rng.uniform(0.5, 0.6, 8).tolist()
    sizes = {"width": 512, "steps": 50}
    return table_of(
        tmp_path / "t.csv", ["width", "steps", "my_score"], {**sizes, "my_score": a}, {**sizes, "my_score": b}
    )


def test_columns_that_never_vary_are_no_metrics(constant):
    """Neither over items nor over methods: they are left out aloud, and the primary metric is said."""
    comparison = compare([constant])
    assert [(metric.name, metric.primary) for metric in comparison.metrics] == [("my_score", True)]
    assert "not compared, since they never vary: width, steps" in comparison.notes
    assert notes_with(comparison, "nobody named the primary metric: it is my_score")
    assert comparison.pairs[0].verdict == "b_better"


def test_a_constant_column_that_is_asked_for_is_compared(constant):
    """By --metrics, or as primary."""
    assert [metric.name for metric in compare([constant], metrics=["width"]).metrics] == ["width"]
    primary = compare([constant], primary=["steps"])
    assert [metric.name for metric in primary.metrics if metric.primary] == ["steps"]
    assert not notes_with(primary, "nobody named the primary metric")


def test_a_column_that_differs_between_methods_only_is_a_metric(tmp_path):
    """All of one method succeed and none of the other: that is the greatest difference there is."""
    path = table_of(tmp_path / "t.csv", ["done", "x"], {"done": 1, "x": A + A}, {"done": 0, "x": A + A})
    assert [metric.name for metric in compare([path]).metrics] == ["done", "x"]


def test_where_no_column_varies_all_are_compared(tmp_path):
    """Every edit of both methods succeeded: there is nothing else to compare them by."""
    path = table_of(tmp_path / "t.csv", ["success"], {"success": 1}, {"success": 1}, rows=3)
    comparison = compare([path])
    assert [(metric.name, metric.is_rate) for metric in comparison.metrics] == [("success", True)]
    assert [row.ci_low for row in comparison.ranking] == pytest.approx([1 / (1 + 1.959964**2 / 3)] * 2)


def test_a_metric_of_evalkit_is_compared_though_it_never_varies(tmp_path):
    """In a run somebody asked for it; nobody asked for a column of a table."""
    scores = {"clip_score": [0.5] * 6, "l1": A}
    runs = [write_scores(tmp_path / name, scores, lower=["l1"]) for name in "ab"]
    assert [metric.name for metric in compare(runs).metrics] == ["clip_score", "l1"]


def test_a_column_of_zeros_and_ones_is_a_rate(tmp_path):
    """With Wilson's interval, the range from 0 to 1, and a note; one value of another kind, and it is none."""
    a, b = [1] * 7 + [0] * 13, [1] * 12 + [0] * 8
    comparison = compare([table_of(tmp_path / "t.csv", ["correct"], {"correct": a}, {"correct": b}, rows=20)])
    (metric,) = comparison.metrics
    assert (metric.is_rate, metric.range) == (True, (0.0, 1.0))
    assert notes_with(comparison, "compared as rates, since all values are 0 or 1: correct")
    better, worse = comparison.ranking
    for row, count in ((better, 12), (worse, 7)):
        low, high = proportion_confint(count, 20, method="wilson")
        assert row.mean == count / 20
        assert (row.ci_low, row.ci_high) == pytest.approx((low, high), abs=0.02)
    graded = compare([table_of(tmp_path / "t.csv", ["correct"], {"correct": a}, {"correct": [2, *b[1:]]}, rows=20)])
    assert (graded.metrics[0].is_rate, graded.metrics[0].range) == (False, (None, None))


def test_a_known_name_has_its_range_only_where_the_values_keep_to_it(tmp_path):
    """Another tool's clip_score can be a percentage: 0 to 1 would be no bound of it."""
    unit = table_of(tmp_path / "unit.csv", ["clip_score"], {"clip_score": A + A}, {"clip_score": B + B})
    percent = [100 * x for x in A + A]
    scaled = table_of(tmp_path / "scaled.csv", ["clip_score"], {"clip_score": percent}, {"clip_score": percent[::-1]})
    assert compare([unit]).metrics[0].range == (0.0, 1.0)
    assert compare([scaled]).metrics[0].range == (None, None)


def test_an_end_that_is_open_stays_open(tmp_path):
    """PSNR has a least value and no greatest; what is not bounded says why."""
    scores = {"psnr": [20.0, 21.0, 22.0, 20.5, 19.0, 25.0]}
    runs = [write_scores(tmp_path / name, scores) for name in "ab"]
    methods = load_methods(runs).methods
    (metric,) = plan_comparison(methods, ComparisonOptions()).metrics
    assert metric.range == (0.0, None)
    assert metric.unbounded == "psnr can be any number from 0 on"


def test_items_that_were_not_run_have_no_bounds_where_the_range_is_not_known(tmp_path):
    """And that is said, so that nobody takes silence for a bound."""
    lines = [
        f"p{number},{method},{number + (method == 'B')}" for method, n in (("A", 8), ("B", 5)) for number in range(n)
    ]
    (tmp_path / "t.csv").write_text("item,method,charm\n" + "\n".join(lines))
    comparison = compare([tmp_path / "t.csv"])
    assert (comparison.pairs[0].n_not_run, comparison.pairs[0].bounds) == (3, None)
    assert notes_with(comparison, "the range of charm is not known, so that nothing bounds the difference")


def test_items_without_a_group_are_counted(tmp_path):
    """Some cells of the group's column are empty: each such item is a group of its own, and a note says how many."""
    lines = [
        f"p{number},{'g' if number < 3 else ''},{method},{value}"
        for method, values in (("A", A), ("B", B))
        for number, value in enumerate(values)
    ]
    (tmp_path / "t.csv").write_text("item,group,method,x\n" + "\n".join(lines))
    comparison = compare([tmp_path / "t.csv"])
    assert comparison.settings["n_groups"] == 4
    assert "3 of 6 items have no group and count as one each" in comparison.notes


def test_without_a_column_of_groups_nothing_is_claimed_of_sources(tmp_path):
    """Every item counts as its own group, since no column says more; runs know their groups."""
    comparison = compare([table_of(tmp_path / "t.csv", ["x"], {"x": A}, {"x": B}, rows=6)])
    assert "every item counts as its own group: no column says which items share a source image" in comparison.notes
    runs = [write_scores(tmp_path / name, {"clip_score": A}) for name in "ab"]
    assert not notes_with(compare(runs), "group")


def test_a_name_is_one_line(tmp_path):
    """A line break in the name of a method, a metric or an item breaks no sentence and no cell."""
    lines = [
        f'"p\n{number}","second\nline",{b}\n"p\n{number}",first,{a}'
        for number, (a, b) in enumerate(zip(A, B, strict=True))
    ]
    (tmp_path / "t.csv").write_text('item,method,"good\nscore"\n' + "\n".join(lines) + '\n"q\n",first,\n')
    comparison = compare([tmp_path / "t.csv"])
    (pair,) = comparison.pairs
    assert (pair.a, pair.metric) == ("second line", "good score")
    texts = [pair.sentence, *comparison.notes, *(method.name for method in comparison.methods)]
    assert not [text for text in texts if "\n" in text]


def test_two_names_do_not_become_one(tmp_path):
    """A line break and a blank are two methods, before and after."""
    lines = [f'p{n},"a\nb",{x}\np{n},a b,{y}' for n, (x, y) in enumerate(zip(A, B, strict=True))]
    (tmp_path / "t.csv").write_text("item,method,x\n" + "\n".join(lines))
    comparison = compare([tmp_path / "t.csv"])
    means = {row.method: row.mean for row in comparison.ranking}
    assert means == pytest.approx({"a b": np.mean(B), "a b (2)": np.mean(A)})


@given(st.lists(st.text(alphabet="ab \n\t(2)\x00", max_size=5)))
def test_one_line_names_are_as_many_as_the_names(names):
    """Distinct, on one line, and unchanged where there was nothing to change."""
    found = one_line_names(names)
    assert found.keys() == set(names)
    assert len(set(found.values())) == len(found)
    assert all(line.isprintable() for line in found.values())
    assert all(found[name] == name for name in found if name.isprintable())


@pytest.mark.parametrize("size", ["e-310", "e-300", "e-101"])
def test_sizes_that_vanish_when_squared_count_as_zero(tmp_path, size):
    """No traceback and no "−0.000000000": zeros, a note with their number and lines, and one JSON object."""
    path = table_of(tmp_path / "t.csv", ["x"], {"x": [f"-0.5{size}"] * 8}, {"x": [f"{n}.3{size}" for n in range(1, 9)]})
    comparison = compare([path])
    assert comparison.pairs[0].difference == 0
    assert str(comparison.pairs[0].mean_a) == "0.0"
    (note,) = notes_with(comparison, "t.csv: counted as 0, being smaller than 1e-100: 16 values of x (line 2, line 3, ")
    assert note.endswith("and 11 more)")
    assert not comparison.metrics[0].is_rate
    done = CliRunner().invoke(main, ["compare", str(path), "--json"])
    assert json.loads(done.stdout)["comparisons"][0]["difference"] == 0


def test_minus_zero_is_zero(tmp_path):
    """As a mean it would be shown with a sign."""
    path = table_of(tmp_path / "t.csv", ["x"], {"x": "-0.0"}, {"x": "-0.0"})
    (pair,) = compare([path]).pairs
    assert (str(pair.mean_a), str(pair.mean_b)) == ("0.0", "0.0")


@pytest.mark.parametrize("cell", ["1e101", "-3e300"])
def test_a_size_that_overflows_is_refused_by_name(tmp_path, cell):
    """File, line, item and column, and what to do."""
    path = table_of(tmp_path / "t.csv", ["x"], {"x": [*A, *A[:2]]}, {"x": [0.5] * 7 + [cell]})
    with pytest.raises(DataError, match=r"t\.csv, line 17: x of item 'p7' is .*up to 1e\+100\. Divide the column"):
        compare([path])


def test_columns_beside_those_of_a_long_table_are_left_out_aloud(tmp_path):
    """They may be scores: a table is either long or wide."""
    lines = [f"p{n},{method},x,{x},0.5" for method, values in (("A", A), ("B", B)) for n, x in enumerate(values)]
    (tmp_path / "t.csv").write_text("item,method,metric,value,lpips\n" + "\n".join(lines))
    comparison = compare([tmp_path / "t.csv"])
    assert [metric.name for metric in comparison.metrics] == ["x"]
    assert "t.csv: a row gives one value, so that other columns were left out: lpips" in comparison.notes
