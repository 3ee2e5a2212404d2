"""A comparison edit type by edit type: each as if its items were all, but corrected together."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from evalkit.comparison.compare import compare
from evalkit.comparison.edit_types import by_edit_type
from evalkit.comparison.statements.captions import about_edit_types
from evalkit.scores.frame import ScoreFrame
from evalkit.stats.multiplicity import correct_families

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
    rng = np.random.default_rng(0)
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
    """The corrected p-values are Benjamini and Hochberg's over every type, metric and pair; sentences say so."""
    types = by_edit_type(typed(compare([table]), in_turn))
    pairs = [pair for comparison in types.of.values() for pair in comparison.pairs]
    n = len(pairs)
    expected = correct_families(
        [pair.p_value for pair in pairs], [None] * n, [False] * n, "holm", alpha=0.05, max_t=[None] * n
    )

    assert n == 3 * 2 * 3
    assert [pair.adjusted_p_value for pair in pairs] == pytest.approx([one.p_value for one in expected])
    assert {pair.n_comparisons for pair in pairs} == {n}
    assert all("Benjamini–Hochberg" in pair.sentence and "15 items" in pair.sentence for pair in pairs)
    decided = {name: {p.winner for p in c.pairs if p.metric == "score"} for name, c in types.of.items()}
    assert decided == {"object": {None}, "style": {"b", None}, "background": {None}}
    assert next(row.rank_high for row in types.of["style"].ranking if row.method == "b") == 1


def test_some_metrics_can_be_chosen(table):
    """The family is then that of these metrics."""
    comparison = typed(compare([table]), in_turn)
    types = by_edit_type(comparison, comparison.metrics[:1])

    assert {pair.n_comparisons for c in types.of.values() for pair in c.pairs} == {9}
    assert {metric.name for c in types.of.values() for metric in c.metrics} == {"score"}


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
    types = by_edit_type(typed(compare([write(tmp_path / "few.csv", rows(n_items=12))]), in_turn))

    assert "a ranking needs 4" in about_edit_types(types.of, types.left_out, types.n_untyped)
