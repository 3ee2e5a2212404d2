"""Methods joined by item: against a dictionary of every value, and what it says of seeds, gaps and groups."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.comparison.join import join
from evalkit.comparison.load import Method
from evalkit.errors import RunError
from evalkit.scores.frame import ItemScores, ScoreFrame

METRICS = ("x", "y")
REASONS = ("equal_images", "no_edited_image", "empty")
cells = st.one_of(st.integers(-9, 9).map(float), st.sampled_from(REASONS))
row_keys = st.tuples(st.integers(0, 4), st.integers(-1, 3))
methods_of_rows = st.lists(
    st.dictionaries(row_keys, st.tuples(cells, cells), min_size=1, max_size=12), min_size=1, max_size=3
)


def frame(rows, status=None):
    """Rows of ``{(item, seed): (x, y)}``; a text is the reason why there is no value, seed −1 is none."""
    return ScoreFrame.from_rows(
        (
            ItemScores(
                item_id=f"i{item}",
                group=f"g{item // 2}",
                seed=None if seed < 0 else seed,
                status=(status or {}).get((item, seed), "ok"),
                values={m: None if isinstance(cell, str) else cell for m, cell in zip(METRICS, row, strict=True)},
                reasons={m: cell for m, cell in zip(METRICS, row, strict=True) if isinstance(cell, str)},
            )
            for (item, seed), row in rows.items()
        ),
        METRICS,
    )


def joined_of(tables, **options):
    """The join of some rows of each method, called m0, m1 and so on."""
    frames = [table if isinstance(table, ScoreFrame) else frame(table) for table in tables]
    methods = [Method(name=f"m{k}", source="", table=table, **options) for k, table in enumerate(frames)]
    return join(methods, METRICS)


@given(methods_of_rows)
def test_the_join_is_that_of_a_dictionary(tables):
    """Every value of every method, item and seed is there once, under its seed, and nothing else is."""
    items = list(dict.fromkeys(f"i{item}" for rows in tables for item, _ in rows))
    alike = [{item for item, _ in tables[0]} & {item for item, _ in rows} for rows in tables[1:]]
    if not all(alike):
        with pytest.raises(RunError, match="have no item in common"):
            joined_of(tables)
        return
    joined = joined_of(tables)
    assert list(joined.items) == items
    assert joined.n_total == joined.n_grouped == len(items)
    for number, rows in enumerate(tables):
        for column, metric in enumerate(METRICS):
            method, values = f"m{number}", joined.values(f"m{number}", metric)
            labels = joined.seed_labels(method, metric)
            found: dict[str, dict[int, float]] = {}
            for (item, seed), row in rows.items():
                if not isinstance(row[column], str):
                    found.setdefault(f"i{item}", {})[seed] = row[column]
            for index, item in enumerate(items):
                expected = found.get(item, {})
                present = values[index][~np.isnan(values[index])].tolist()
                if labels is None:
                    assert present == list(expected.values())
                else:
                    by_label = dict(zip(labels, values[index].tolist(), strict=True))
                    assert {int(k): v for k, v in by_label.items() if not math.isnan(v)} == expected
                assert (joined.missing[method, metric][index] == 0) == bool(expected)
            assert sum(joined.missing[method, metric] == 0) == len(found)


@given(methods_of_rows, st.randoms())
def test_the_order_of_rows_does_not_matter_where_seeds_are_named(tables, random):
    """Columns follow the seeds' numbers, not the order in which they were run."""
    rows = {key: row for key, row in tables[0].items() if key[1] >= 0}
    shuffled = list(rows.items())
    random.shuffle(shuffled)
    if not rows:
        return
    one, other = joined_of([rows]), joined_of([dict(shuffled)])
    for metric in METRICS:
        labels = one.seed_labels("m0", metric)
        assert labels == other.seed_labels("m0", metric)
        if labels is not None:
            assert list(labels) == sorted(labels, key=int)
            order = [one.items.index(item) for item in other.items]
            np.testing.assert_array_equal(one.values("m0", metric)[order], other.values("m0", metric))


def test_the_same_seed_stands_in_the_same_column():
    """In ascending order, with a gap where an item lacks one."""
    a = {(item, seed): (float(seed), 0.0) for item in range(3) for seed in (3, 0, 2)}
    b = {(item, seed): (float(10 * seed), 0.0) for item in range(3) for seed in (2, 0, 3) if (item, seed) != (1, 2)}
    joined = joined_of([a, b])
    assert joined.seed_labels("m0", "x") == joined.seed_labels("m1", "x") == ("0", "2", "3")
    assert joined.values("m0", "x")[1].tolist() == [0.0, 2.0, 3.0]
    np.testing.assert_array_equal(joined.values("m1", "x")[1], [0.0, np.nan, 30.0])


def test_seeds_that_each_item_drew_are_no_labels():
    """Columns of their own would be as many as items, and nearly empty: they stand in the order of the rows."""
    joined = joined_of([{(item, item): (1.0, 1.0) for item in range(5)}])
    assert joined.seed_labels("m0", "x") is None
    assert joined.values("m0", "x").shape == (5, 1)


def test_rows_without_a_seed_have_no_labels():
    """A method that was run once, and did not say with which seed."""
    joined = joined_of([{(item, -1): (1.0, 1.0) for item in range(5)}])
    assert joined.seed_labels("m0", "x") is None


def test_a_seed_without_any_value_has_no_column():
    """A metric that is undefined for every edit of a seed was not measured with it."""
    rows = {(item, seed): (1.0, "empty" if seed else 2.0) for item in range(3) for seed in range(2)}
    joined = joined_of([rows])
    assert (joined.seed_labels("m0", "x"), joined.seed_labels("m0", "y")) == (("0", "1"), ("0",))


@given(st.lists(st.sampled_from(["ok", "failed", "missing"]), min_size=1, max_size=6))
def test_failed_edits_are_those_without_an_image_that_have_a_score(statuses):
    """An item counts where any of its seeds failed."""
    rows = {(number // 2, number % 2): (0.0, 0.0) for number in range(len(statuses))}
    table = frame(rows, dict(zip(rows, statuses, strict=True)))
    expected = [any(s != "ok" for s in statuses[k : k + 2]) for k in range(0, len(statuses), 2)]
    assert joined_of([table]).failed("m0").tolist() == expected


def test_minus_zero_is_zero():
    """A metric that is −0.0 for every edit would have a mean that is shown with its sign."""
    values = joined_of([{(item, 0): (-0.0, 1.0) for item in range(3)}]).values("m0", "x")
    assert not np.signbit(values).any()


def test_numbers_of_common_and_of_all_items():
    """What every sentence says: compared on so many of so many."""
    a = {(item, 0): (1.0, 1.0) for item in range(5)}
    b = {(item, 0): (1.0, "equal_images" if item == 1 else 1.0) for item in range(3)}
    joined = joined_of([a, b])
    assert joined.n_total == 5
    assert (joined.n_common("m0", "m1", "x"), joined.n_common("m0", "m1", "y")) == (3, 2)


def test_an_item_that_one_table_puts_into_no_group_is_in_that_of_the_other():
    """Not a contradiction, as a group of its own would be; and what nobody groups is counted."""
    rows = {(item, 0): (1.0, 1.0) for item in range(4)}
    known = Method(name="known", source="", table=frame(rows), ungrouped=frozenset({"i3"}))
    alone = frame(rows).with_groups({f"i{item}": f"i{item}" for item in range(4)})
    unknown = Method(name="unknown", source="", table=alone, ungrouped=frozenset({"i0", "i1", "i2", "i3"}))
    joined = join([unknown, known], METRICS)
    assert list(joined.group_names) == ["g0", "g0", "g1", "i3"]
    assert (joined.n_grouped, joined.n_total) == (3, 4)
