"""Methods compared on what people said of some items, with a metric of all beside it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.comparison.compare import compare
from evalkit.comparison.tables.text import shown_notes
from evalkit.errors import DataError, OptionError
from tests.support.runs import write_scores

ITEMS = 120


def world(folder, *, labelled=40, raters=("ann", "bob"), methods=(0.0, 0.6, 0.5), chosen=None, types=False):
    """A table of scores of all items and one of labels of some, which agree on what distinguishes methods."""
    rng = np.random.default_rng(1)
    quality = rng.normal(size=(ITEMS, 1)) + np.array(methods) + rng.normal(size=(ITEMS, len(methods)))
    scores = 0.25 + 0.03 * (0.8 * quality + 0.6 * rng.normal(size=quality.shape))
    chosen = rng.permutation(ITEMS)[:labelled] if chosen is None else chosen(scores)
    names = "abcdef"[: len(methods)]
    lines = ["item_id,group,edit_type,method,clip_score"]
    lines += [
        f"i{i},g{i // 3},{'colour' if types and i % 2 else 'shape'},{m},{scores[i, at]:.5f}"
        for i in range(ITEMS)
        for at, m in enumerate(names)
    ]
    (folder / "scores.csv").write_text("\n".join(lines))
    lines = ["item_id,method,rater,rating"]
    lines += [
        f"i{i},{m},{rater},{5 + quality[i, at] + 0.5 * rng.normal():.2f}"
        for i in chosen
        for at, m in enumerate(names)
        for rater in raters
    ]
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "scores.csv", folder / "labels.csv"


def of_people(comparison):
    """The pairs on people's labels."""
    return [pair for pair in comparison.pairs if pair.labels is not None]


def test_people_are_what_methods_are_compared_on_and_the_metric_narrows_it(tmp_path):
    """Labels come first and are confirmed; with the metric beside them intervals are narrower than of labels alone."""
    scores, labels = world(tmp_path)
    found = compare(scores, human=labels)
    assert [(metric.name, metric.primary) for metric in found.metrics] == [("rating", True), ("clip_score", False)]
    pairs = of_people(found)
    assert len(pairs) == 3
    assert {pair.n_comparisons for pair in pairs} == {3}
    widths = [(p.ci_high - p.ci_low) / (p.labels.ci_high - p.labels.ci_low) for p in pairs]
    assert np.mean(widths) < 0.85
    assert all((p.n_items, p.n_groups, p.labels.n_items) == (120, 40, 40) for p in pairs)
    assert all(p.win + p.tie + p.loss == 40 for p in pairs)
    assert all(
        p.labels.n_worth == pytest.approx(40 / width**2, rel=0.1) for p, width in zip(pairs, widths, strict=True)
    )


def test_decisions_ranks_and_means_are_one(tmp_path):
    """Differences are those of the means shown, and rank sets count the corrected decisions."""
    scores, labels = world(tmp_path)
    found = compare(scores, human=labels)
    rows = {row.method: row for row in found.ranking if row.metric == "rating"}
    for pair in of_people(found):
        assert pair.difference == pytest.approx(rows[pair.b].mean - rows[pair.a].mean)
        assert (pair.mean_a, pair.mean_b) == pytest.approx((rows[pair.a].mean, rows[pair.b].mean))
    for name, row in rows.items():
        decided = [pair for pair in of_people(found) if pair.winner and name in (pair.a, pair.b)]
        assert row.rank_low == 1 + sum(pair.winner != name for pair in decided)
        assert row.rank_high == 3 - sum(pair.winner == name for pair in decided)


def test_raters_of_an_edit_are_averaged_first(tmp_path):
    """The table of two raters says what that of their means says, and how far raters are apart is told."""
    scores, labels = world(tmp_path)
    rows = [line.split(",") for line in labels.read_text().splitlines()[1:]]
    of_edit = {}
    for item, method, _, rating in rows:
        of_edit.setdefault((item, method), []).append(float(rating))
    means = tmp_path / "means.csv"
    means.write_text("\n".join(["item,model,rating", *(f"{i},{m},{np.mean(r)}" for (i, m), r in of_edit.items())]))
    one, two = compare(scores, human=labels), compare(scores, human=means)
    assert [p.difference for p in of_people(one)] == pytest.approx([p.difference for p in of_people(two)])
    within = np.sqrt(np.mean([np.var(r, ddof=1) for r in of_edit.values()]))
    assert any(f"2 labels per edit by 2 raters, averaged first; raters of one edit differ by a standard deviation of "
               f"{within:.3f}" in note for note in one.notes)  # fmt: skip
    assert not any("raters of one edit" in note for note in two.notes)


def test_labels_of_the_best_items_are_no_random_part(tmp_path):
    """The assumption is said in every comparison, and that it fails where the metric shows it."""
    scores, labels = world(tmp_path)
    notes = compare(scores, human=labels).notes
    assert any("assumed that the 40 labelled of 120 items were drawn at random" in note for note in notes)
    assert not any(note.startswith("warning") for note in notes)
    scores, labels = world(tmp_path, chosen=lambda scores: np.argsort(scores.mean(axis=1))[-40:])
    assert any("warning: the labelled items differ" in note for note in compare(scores, human=labels).notes)


def test_where_all_is_labelled_the_labels_stand_alone(tmp_path):
    """Then the metric adds nothing, and nothing is assumed of how items were drawn."""
    scores, labels = world(tmp_path, labelled=ITEMS)
    found = compare(scores, human=labels)
    for pair in of_people(found):
        assert (pair.labels.coefficient, pair.labels.reason) == (0.0, "every item is labelled")
        assert pair.difference == pytest.approx(pair.labels.difference)
        assert pair.labels.n_worth == pytest.approx(ITEMS)
    assert not any("at random" in note for note in found.notes)


def test_a_margin_of_labels_is_tested_for_equivalence(tmp_path):
    """A difference shown to lie inside the declared margin is equivalent; a margin of nothing compared is refused."""
    scores, labels = world(tmp_path, methods=(0.0, 0.0), labelled=100)
    (pair,) = of_people(compare(scores, human=labels, margins={"rating": 3.0}))
    assert pair.verdict == "equivalent"
    with pytest.raises(OptionError, match="'ratings', which is not compared"):
        compare(scores, human=labels, margins={"ratings": 1.0})


def test_declared_primary_metrics_stay_primary_and_the_first_stands_beside_the_labels(tmp_path):
    """Who names primary metrics has them in the family of the labels."""
    scores, labels = world(tmp_path)
    found = compare(scores, human=labels, primary="clip_score")
    assert [metric.primary for metric in found.metrics] == [True, True]
    assert {pair.n_comparisons for pair in found.pairs} == {6}


def test_edit_types_are_compared_on_their_own_labels(tmp_path):
    """On each type the labels of its items, with the metric of its items beside them."""
    scores, labels = world(tmp_path, labelled=80, types=True)
    found = compare(scores, human=labels, by="edit_type")
    for part in found.edit_types.of.values():
        pairs = of_people(part)
        assert {pair.n_items for pair in pairs} == {60}
        assert all(20 < pair.labels.n_items < 60 for pair in pairs)


@pytest.mark.parametrize(
    ("change", "settings", "error", "match"),
    [
        ({}, {"test": "wilcoxon"}, OptionError, "--test wilcoxon is about ranks"),
        ({}, {"correction": "maxt"}, OptionError, "--correction holm"),
        ({"method": "system"}, {}, OptionError, "expected labels of two of these"),
        ({"i": "item "}, {}, DataError, "labels no item of two methods"),
        ({"rating": "rating,extra"}, {"human_column": "quality"}, DataError, "no column of numbers 'quality'"),
    ],
    ids=["ranks", "maxt", "methods", "items", "column"],
)
def test_what_does_not_fit_is_refused_with_the_way_out(tmp_path, change, settings, error, match):
    """Options about something else, other methods, other items, a column that is not there."""
    scores, labels = world(tmp_path)
    rows = [line.split(",") for line in labels.read_text().splitlines()]
    if "method" in change:
        rows = [
            [item, f"x{method}", *rest] if method != "method" else [item, method, *rest] for item, method, *rest in rows
        ]
    if "i" in change:
        rows = [[f"n{item}" if item != "item_id" else item, *rest] for item, *rest in rows]
    labels.write_text("\n".join(",".join(row) for row in rows))
    with pytest.raises(error, match=match):
        compare(scores, human=labels, **settings)


def test_the_command_shows_both_and_json_has_all(tmp_path):
    """A table of labels alone and with the metric; JSON holds the numbers; --map names columns."""
    run = [
        write_scores(tmp_path / n, {"clip_score": list(np.linspace(0.1, 0.4, 30) + s)})
        for n, s in (("a", 0), ("b", 0.1))
    ]
    labels = tmp_path / "said.csv"
    rng = np.random.default_rng(0)
    names = [line["item_id"] for line in map(json.loads, (run[0] / "items.jsonl").read_text().splitlines())]
    rows = [f"{item},{m},{3 + (m == 'b') + rng.normal():.2f}" for item in rng.permutation(names)[:20] for m in "ab"]
    labels.write_text("\n".join(["what,whose,stars", *rows]))
    arguments = ["compare", *map(str, run), "--human", str(labels), "--map", "item=what", "--map", "method=whose"]
    shown = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "labels alone" in shown.stdout
    assert "with clip_score" in shown.stdout
    result = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    first = result["comparisons"][0]
    assert (first["metric"], first["labels"]["n_items"], first["how"]) == ("stars", 20, "prediction_powered_t")
    assert "labels" not in result["comparisons"][1]
    missing = CliRunner().invoke(main, ["compare", *map(str, run), "--human-column", "stars"])
    assert missing.exit_code == 2
    assert "--human FILE" in missing.output


def rated(folder, rows, *, header="item_id,method,rating"):
    """The table of labels with these rows."""
    path = folder / "said.csv"
    path.write_text("\n".join([header, *rows]))
    return path


def two_methods(folder):
    """Scores of two methods on all items, and labels of both on twenty."""
    scores, labels = world(folder, labelled=20, raters=("ann",), methods=(0.0, 0.6))
    rows = [line.split(",") for line in labels.read_text().splitlines()[1:]]
    return scores, [(item, method, rating) for item, method, _, rating in rows]


def test_warnings_come_first_and_are_never_counted_away(tmp_path):
    """What changes the conclusion stands before all other notes, and how tables were read stands last."""
    scores, labels = world(tmp_path, labelled=15, chosen=lambda scores: np.argsort(scores.mean(axis=1))[-15:])
    found = compare(scores, human=labels)
    assert [note[:22] for note in found.warnings] == ["warning: the labelled ", "warning: with 15 label"]
    assert found.notes[:2] == found.warnings
    assert "labels.csv was read by its columns" in found.notes[-1]
    many = replace(found, warnings=tuple("abcdefgh"), notes=(*"abcdefgh", "read so", "read as well"))
    assert [note for note in shown_notes(many) if note in many.warnings] == list("abcdefgh")


def test_few_groups_of_labels_rank_nobody_and_that_is_a_warning(tmp_path):
    """Three labelled items are too few for ranks: it is said first."""
    scores, rows = two_methods(tmp_path)
    found = compare(scores, human=rated(tmp_path, [",".join(row) for row in rows[:6]]))
    assert any(note.startswith("no method is ranked on rating") for note in found.warnings)


def test_items_without_a_label_of_every_method_are_counted(tmp_path):
    """With one of them and the method that lacks it."""
    scores, rows = two_methods(tmp_path)
    labels = rated(tmp_path, [",".join(row) for row in rows if row[1] == "b" or row[0] != rows[0][0]])
    notes = compare(scores, human=labels).notes
    said = "rating: 1 of 20 items with labels left out, since one of the methods has none there"
    assert f"{said} ({rows[0][0]}: a)" in notes


@pytest.mark.parametrize(("text", "many"), [("n/a", 3), ("inf", 1), ("see below", 2)])
def test_a_label_that_is_no_number_is_named_with_its_line(tmp_path, text, many):
    """Whatever stands in its place."""
    scores, rows = two_methods(tmp_path)
    cells = [",".join((item, method, text if at < many else rating)) for at, (item, method, rating) in enumerate(rows)]
    notes = compare(scores, human=rated(tmp_path, cells)).notes
    number = "number" if many == 1 else "numbers"
    labels = "label" if many == 1 else "labels"
    where = f"'{text}' in line 2, item {rows[0][0]}"
    assert f"said.csv: {many} {labels} of rating left out, being no finite {number} ({where})" in notes


def test_labels_of_a_method_that_no_run_has_are_said_to_be_left_out(tmp_path):
    """By its name."""
    scores, rows = two_methods(tmp_path)
    labels = rated(tmp_path, [*(",".join(row) for row in rows), f"{rows[0][0]},third,4"])
    assert "said.csv: labels of third left out: no run is called so" in compare(scores, human=labels).notes


def test_columns_called_like_the_methods_hold_their_labels(tmp_path):
    """A wide table says what the long one does."""
    scores, rows = two_methods(tmp_path)
    of = {(item, method): rating for item, method, rating in rows}
    long = compare(scores, human=rated(tmp_path, [",".join(row) for row in rows]))
    items = dict.fromkeys(item for item, _, _ in rows)
    cells = [f"{item},{of[item, 'a']},{of[item, 'b']}" for item in items]
    wide = compare(scores, human=rated(tmp_path, cells, header="item_id,a,b"))
    assert [p.difference for p in of_people(wide)] == pytest.approx([p.difference for p in of_people(long)])
    assert "said.csv: its columns a, b hold the labels of each" in wide.notes


def test_raters_of_one_method_each_are_a_warning(tmp_path):
    """Then nobody can tell methods from raters; where one person rated both there is none."""
    scores, rows = two_methods(tmp_path)
    header = "item_id,method,rater,rating"
    apart = rated(tmp_path, [f"{i},{m},{'ann' if m == 'a' else 'bob'},{r}" for i, m, r in rows], header=header)
    (said,) = [note for note in compare(scores, human=apart).warnings if "rated" in note]
    assert "nobody rated edits of two methods (of a ann, of b bob)" in said
    cells = [f"{i},{m},{'ann' if n % 3 else 'bob'},{r}" for n, (i, m, r) in enumerate(rows)]
    both = rated(tmp_path, cells, header=header)
    assert not any("rated" in note for note in compare(scores, human=both).warnings)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("item_id,a,b,winner\ni1,x,y,a", OptionError, "evalkit compare .*said.csv"),
        ("item_id,method,rating\ni1,a,good\ni1,b,bad", DataError, "--human takes a number for each label"),
        ("item_id,p,q\ni1,1,2\ni2,1,3", OptionError, r"head a column for each method as that is called \(a, b\)"),
    ],
    ids=["votes", "words", "other columns"],
)
def test_what_is_no_table_of_labels_is_refused_with_what_human_takes(tmp_path, text, error, match):
    """Votes, words, and columns that are neither labels nor methods."""
    scores, _ = two_methods(tmp_path)
    (tmp_path / "said.csv").write_text(text)
    with pytest.raises(error, match=match):
        compare(scores, human=tmp_path / "said.csv")


def test_labels_that_all_differ_by_the_same_are_decided_by_flipping_signs(tmp_path):
    """No t test has an error to go by then; on too few items the sentence says how many would do."""
    scores, rows = two_methods(tmp_path)
    cells = [f"{item},{method},{4 if method == 'b' else 3}" for item, method, _ in rows]
    (pair,) = of_people(compare(scores, human=rated(tmp_path, cells)))
    assert (pair.verdict, pair.difference, pair.ci_low, pair.labels.ci_low) == ("b_better", 1.0, None, None)
    assert pair.p_value == pair.labels.p_value == 2.0 ** (1 - pair.n_groups)
    assert "sign-flip p " in pair.sentence
    assert "nothing of clip_score is taken: labels or metric do not vary" in pair.sentence
    assert pair.seen_from("a").labels.difference == -1.0
    (few,) = of_people(compare(scores, human=rated(tmp_path, cells[:4])))
    assert few.verdict == "inconclusive"
    assert "with 2 groups the smallest p is 0.5; 6 groups would do" in few.sentence


def test_a_missing_p_value_is_of_the_test_that_was_wanted(tmp_path):
    """Labels of one item show no spread to a prediction-powered test; no sign was flipped."""
    scores, rows = two_methods(tmp_path)
    found = compare(scores, human=rated(tmp_path, [",".join(row) for row in rows[:2]]))
    assert "no prediction-powered t p-value: labels in fewer than two groups" in found.pairs[0].sentence
    assert any("the 1 labelled of 120 items was drawn at random" in note for note in found.notes)


def test_a_column_of_one_method_alone_is_refused_with_the_way_out(tmp_path):
    """Whoever names one of the columns of a table with one for each method is told to leave that out."""
    scores, _ = two_methods(tmp_path)
    (tmp_path / "said.csv").write_text("item_id,a,b\ni1,1,2\ni2,1,3")
    with pytest.raises(OptionError, match="or, without --human-column, a column of labels for each method"):
        compare(scores, human=tmp_path / "said.csv", human_column="a")
