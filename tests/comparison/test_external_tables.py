"""Tables as other tools write them: whatever their shape, the comparison is that of the numbers that they hold."""

import csv
import io
import json
import re
from itertools import product

import numpy as np
import pandas
import pytest

from evalkit.comparison.compare import compare
from evalkit.errors import DataError, OptionError
from evalkit.report.figures.write import draw_figures
from evalkit.scores.columns import ColumnNames

N = 12
RNG = np.random.default_rng(17)
A = np.round(RNG.normal(0.5, 0.06, N), 4)
B = np.round(A + np.abs(RNG.normal(0.08, 0.03, N)), 4)
ITEMS = [f"p{number:02}" for number in range(N)]


def sign_flip(differences):
    """The exact two-sided p-value of the mean over all flips of signs."""
    flips = np.array(list(product((1, -1), repeat=len(differences))))
    sums = np.abs((flips * np.asarray(differences)).sum(axis=1))
    return float((sums >= abs(np.sum(differences)) - 1e-9).mean())


def lines(heading, rows, delimiter=","):
    """A table as a writer of CSV writes it."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([heading, *rows])
    return text.getvalue()


def scores(values, delimiter=","):
    """A table of items and scores."""
    return lines(("item_id", "score"), zip(ITEMS, values, strict=True), delimiter)


def with_comma(values):
    """Numbers with a decimal comma."""
    return [str(value).replace(".", ",") for value in values]


def of_items(values):
    """What JSON has for each item."""
    return dict(zip(ITEMS, values, strict=True))


def objects(values):
    """The same, with an object each."""
    return {item: {"score": value} for item, value in of_items(values).items()}


def written(tmp_path, suffix, contents, encoding="utf-8"):
    """A file for each method."""
    paths = []
    for name, content in zip(("one", "two"), contents, strict=True):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode(encoding))
        paths.append(path)
    return paths


def only(comparison):
    """The one pair of a comparison on one metric."""
    [pair] = comparison.pairs
    return pair


def agrees(pair, differences):
    """Whether a pair's difference and p-value are those of the items' differences."""
    assert pair.n_items == len(differences)
    assert pair.difference == pytest.approx(np.mean(differences))
    assert pair.p_value == pytest.approx(sign_flip(differences), rel=1e-6)


def answer(score):
    """A judge's answer about quality, as text."""
    return f"Reasoning: of 3 things, 2 are right: good.\nQuality: {score}\n"


SAME = {
    "utf16.csv": (scores, "utf-16"),
    "latin1.csv": (
        lambda values: lines(("item_id", "score", "note"), zip(ITEMS, values, ["café"] * N, strict=True)),
        "latin-1",
    ),
    "sep.csv": (lambda values: "sep=;\r\n" + scores(values, ";"), "utf-8"),
    "comment.csv": (lambda values: "# by a script, version 1.2\n" + scores(values), "utf-8"),
    "decimal_comma.csv": (lambda values: scores(with_comma(values), ";"), "utf-8"),
    "no_header.csv": (lambda values: scores(values).partition("\n")[2], "utf-8"),
    "pandas_index.csv": (lambda values: pandas.Series(values, ITEMS, name="score").to_csv(), "utf-8"),
    "columns.json": (lambda values: {"score": of_items(values)}, "utf-8"),
    "wrapped.json": (lambda values: {"mean": float(np.mean(values)), "per_image": of_items(values)}, "utf-8"),
    "inside.json": (lambda values: {"config": {"n": 1}, "results": objects(values)}, "utf-8"),
    "average.csv": (lambda values: scores(values) + f"Average,{np.mean(values):.4f}\n", "utf-8"),
    "summaries.csv": (lambda values: scores(values) + f"mean,{np.mean(values)}\nstd,{np.std(values)}\n", "utf-8"),
    "first.csv": (lambda values: scores(values).replace("score\n", f"score\noverall,{np.mean(values)}\n"), "utf-8"),
    "summary.json": (lambda values: {"mean": {"score": 0.5}, **objects(values)}, "utf-8"),
    "answers.json": (lambda values: of_items([answer(value) for value in values]), "utf-8"),
    "bold.json": (lambda values: of_items([f"1. **Quality**: {value} | it is fine" for value in values]), "utf-8"),
    "fenced.json": (
        lambda values: of_items([f'```json\n{{"quality": {value}, "why": "3: 4"}}\n```' for value in values]),
        "utf-8",
    ),
    "of_ten.csv": (lambda values: scores([f"{value}/10" for value in values]), "utf-8"),
    "percent.csv": (lambda values: scores([f"{value} %" for value in values]), "utf-8"),
}


@pytest.mark.parametrize("name", SAME)
def test_whatever_holds_the_numbers_the_comparison_is_the_same(tmp_path, name):
    """Encodings, delimiters, headings, summary rows, wrappers, answers and notations: the same items, mean and p."""
    written_by, encoding = SAME[name]
    paths = written(tmp_path, name, [written_by(values.tolist()) for values in (A, B)], encoding)
    pair = only(compare(paths))
    agrees(pair, B - A)
    assert pair.verdict == "b_better"


def test_summary_rows_are_named_in_a_note(tmp_path):
    """What is left out is said, with the file."""
    paths = written(tmp_path, ".csv", [scores(values) + f"average,{np.mean(values)}\n" for values in (A, B)])
    assert "one.csv: no items, and left out: the row that sums up the others (average)" in compare(paths).notes


def test_an_item_that_is_only_called_like_a_summary_stays(tmp_path):
    """Among words, a row "total" that does not say what the others add up to is an item, and that is said."""
    rows = [("cat", 1, 2), ("dog", 2, 4), ("total", 9, 9.5), ("fox", 3, 1)]
    for order in (rows, [*rows[:2], rows[3], rows[2]]):
        paths = written(tmp_path, ".csv", [lines(("item", "score"), [(r[0], r[at]) for r in order]) for at in (1, 2)])
        comparison = compare(paths)
        agrees(only(comparison), [1, 2, 0.5, -2])
        assert any("counted as items, for their values or where they stand: 'total'" in n for n in comparison.notes)


def test_a_mean_in_the_middle_of_coded_items_stays(tmp_path):
    """A summary stands before or behind the others."""
    rows = [("p0", 1), ("mean", 2), ("p1", 3)]
    paths = written(tmp_path, ".csv", [lines(("item", "score"), rows), lines(("item", "score"), rows)])
    assert only(compare(paths)).n_items == 3


def test_pandas_columns_are_metrics_and_not_items(tmp_path):
    """``DataFrame.to_json()``: column, item, value; each metric in its own direction."""
    frames = [pandas.DataFrame({"clip_score": values, "lpips": 1 - values}, ITEMS) for values in (A, B)]
    clip, lpips = compare(written(tmp_path, ".json", [frame.to_json() for frame in frames])).pairs
    agrees(clip, B - A)
    agrees(lpips, A - B)
    assert (clip.metric, clip.verdict, lpips.metric, lpips.verdict) == ("clip_score", "b_better", "lpips", "b_better")


@pytest.mark.parametrize(
    ("first", "second", "differences"),
    [
        (["-1"] * 4 + ["-2"] * 4, ["-5", "-4"] * 4, [-4, -3, -4, -3, -3, -2, -3, -2]),
        ([f".{75 + n}" for n in range(8)], [f"1.{n:02}" for n in range(8)], [0.25] * 8),
        (["−0.5"] * 8, ["+0.5"] * 8, [1] * 8),
        (["2/5"] * 4 + ["4/5"] * 4, ["3 out of 5", "3/5"] * 4, [1, 1, 1, 1, -1, -1, -1, -1]),
    ],
)
def test_a_judges_numbers_keep_their_signs_points_and_wholes(tmp_path, first, second, differences):
    """−1 is no 1, .75 no 75, and 4/5 is 4 of 5."""
    contents = [{f"p{at}": answer(number) for at, number in enumerate(given)} for given in (first, second)]
    agrees(only(compare(written(tmp_path, ".json", contents))), differences)


@pytest.mark.parametrize("pattern", ["{}", "{}: ok", "({})", "{} - because"])
def test_a_criterion_that_most_answers_lack_is_no_part_of_the_average(tmp_path, pattern):
    """One line of one answer names a house number; the average is over what every answer rates."""
    one, two = RNG.integers(1, 6, (2, 10, 2))
    texts = [[f"Fidelity: {x}\nNaturalness: {y}\nComment: fine" for x, y in ratings] for ratings in (one, two)]
    texts[1][4] = "House number: 1204\n" + texts[1][4]
    comparison = compare(written(tmp_path, ".json", [{f"p{n}": t for n, t in enumerate(each)} for each in texts]))
    assert [pair.metric for pair in comparison.pairs] == ["Fidelity", "Naturalness", "average"]
    agrees(comparison.pairs[2], two.mean(axis=1) - one.mean(axis=1))
    assert any("no part of average: House number" in note for note in comparison.notes)


def test_an_answer_that_lacks_a_rating_has_no_average(tmp_path):
    """The mean of what is there would be of other things."""
    texts = {"p0": "Fidelity: 5\nNaturalness: 1", "p1": "Fidelity: 5", "p2": "Fidelity: 2\nNaturalness: 2"}
    pairs = compare(written(tmp_path, ".json", [texts, texts])).pairs
    assert {pair.metric: pair.n_items for pair in pairs} == {"Fidelity": 3, "Naturalness": 2, "average": 2}


def test_lists_are_several_metrics(tmp_path):
    """``{"score": [5, 7]}`` is two ratings, and never one text."""
    one, two = RNG.integers(1, 9, (2, 10, 2))
    contents = [{f"p{n}": {"score": ratings.tolist()} for n, ratings in enumerate(each)} for each in (one, two)]
    pairs = compare(written(tmp_path, ".json", contents)).pairs
    assert [pair.metric for pair in pairs] == ["score.1", "score.2"]
    for at, pair in enumerate(pairs):
        agrees(pair, two[:, at] - one[:, at])


@pytest.mark.parametrize(
    "words", [("Yes", "yes.", "No", "no"), ("True", "true", "False", "false"), ("pass",) * 2 + ("fail",) * 2]
)
def test_yes_and_no_are_one_and_zero(tmp_path, words):
    """Words for a truth are a rate, and how they were read is said."""
    one, two = np.arange(16) < 10, np.arange(16) < 14
    contents = [of_truths(truths, words) for truths in (one, two)]
    comparison = compare(written(tmp_path, ".json", contents))
    agrees(only(comparison), two.astype(float) - one)
    assert any("final_judgement read as 1 and 0" in note for note in comparison.notes)


def of_truths(truths, words):
    """Judgements in words, of which the first two mean yes."""
    return {f"p{n:02}": {"final_judgement": words[(0 if t else 2) + n % 2]} for n, t in enumerate(truths)}


LESS = ("lpips-vgg", "LPIPS (Alex)", "bg_lpips_alex", "lpips1", "niqe", "brisque", "fid", "val_loss", "time_ms",
        "StructureDistance", "unedit.lpips", "L2", "meanL1", "clip_distance", "mse (x1000)", "Latency [s]")  # fmt: skip


def test_distances_are_better_where_they_are_smaller(tmp_path):
    """However a name is spelled, the method with the smaller distance wins."""
    rows = [(i, m, *[v] * len(LESS)) for i, a, b in zip(ITEMS, A, B, strict=True) for m, v in (("A", a), ("B", b))]
    (tmp_path / "t.csv").write_text(lines(("item_id", "method", *LESS), rows))
    pairs = compare([tmp_path / "t.csv"], correction="none").pairs
    assert {pair.metric: pair.verdict for pair in pairs} == dict.fromkeys(LESS, "a_better")


def one_table(tmp_path, name, rows=None, **columns):
    """A table of both methods with a column of that name, and others."""
    frame = pandas.DataFrame(
        {"item_id": [*ITEMS, *ITEMS], "method": ["A"] * N + ["B"] * N, **columns, name: rows or [*A, *B]}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_a_direction_can_be_said_either_way(tmp_path):
    """What a name suggests can be turned round, and not both ways at once."""
    path = one_table(tmp_path, "l1_similarity")
    agrees(only(compare([path], higher_is_better=["l1_similarity"])), B - A)
    assert only(compare([path], higher_is_better=["l1_similarity"])).verdict == "b_better"
    assert only(compare([path], lower_is_better=["l1_similarity"])).verdict == "a_better"
    with pytest.raises(OptionError, match="both name 'l1_similarity'"):
        compare([path], lower_is_better=["l1_similarity"], higher_is_better=["l1_similarity"])


def test_nobody_wins_on_a_metric_whose_direction_nobody_knows(tmp_path):
    """Difference, interval and p are there; verdict, sentence and ranks name no winner, and the options that help."""
    comparison = compare([one_table(tmp_path, "charm")])
    pair = only(comparison)
    agrees(pair, B - A)
    assert (pair.winner, pair.verdict, pair.undirected) == (None, "inconclusive", True)
    assert pair.ci_low > 0
    assert pair.sentence.endswith(
        "a difference is shown; which of them is better is not known: say it with --higher-is-better charm or "
        "--lower-is-better charm"
    )
    assert "no difference is shown" not in pair.sentence
    assert {(row.rank_low, row.reason) for row in comparison.ranking} == {(None, "nobody knows which way is better")}
    assert comparison.cliques == {"charm": ()}
    assert only(compare([one_table(tmp_path, "charm")], lower_is_better=["charm"])).winner == "A"


def test_no_figure_calls_anybody_better_on_it(tmp_path):
    """Captions and alternative texts speak of more and less."""
    table = pandas.DataFrame(
        {"item_id": ITEMS * 3, "method": np.repeat(["A", "B", "C"], N), "charm": [*A, *B, *(B + 1)]}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    figures = draw_figures(compare([tmp_path / "t.csv"]))
    said = " ".join(text for figure in figures for text in (figure.caption, figure.alt))
    assert figures
    assert "largest mean" in said
    assert not {"better", "best", "worse", "worst"} & set(re.findall(r"\w+", said))


def test_a_name_that_cannot_be_decoded_is_refused(tmp_path):
    """Ids in an unknown encoding could be others' ids; a column of notes does not matter."""
    rows = [(f"{item}кот", value, "кот") for item, value in zip(ITEMS, A, strict=True)]
    text = lines(("item_id", "score", "note"), rows)
    paths = written(tmp_path, ".csv", [text, text], "cp1251")
    with pytest.raises(DataError, match=r"cannot be told, and 'item_id' is needed\. Save it as UTF-8"):
        compare(paths)
    written(tmp_path, ".csv", [text.replace("кот,", ",", 1).replace("кот,0", ",0")] * 2, "cp1251")
    assert only(compare(paths)).n_items == N


def test_a_summary_without_a_method_is_no_row_of_one(tmp_path):
    """The mean over all methods has no method."""
    path = one_table(tmp_path, "score")
    path.write_text(path.read_text() + "average,,0.5\n")
    comparison = compare([path])
    agrees(only(comparison), B - A)
    assert "t.csv: no items, and left out: what sums up all methods (average)" in comparison.notes


def test_a_column_of_edited_images_makes_no_groups(tmp_path):
    """``image`` differs between the methods of an item, in one table or in two."""
    images = [f"out/{method}/{item}.png" for method in "AB" for item in ITEMS]
    comparison = compare([one_table(tmp_path, "clip_score", image=images)])
    agrees(only(comparison), B - A)
    assert only(comparison).n_groups == N
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, values in zip(paths, (A, B), strict=True):
        frame = pandas.DataFrame(
            {"item_id": ITEMS, "source": [f"{path.stem}/{n % 3}" for n in range(N)], "score": values}
        )
        frame.to_csv(path, index=False)
    comparison = compare(paths)
    assert only(comparison).n_groups == N
    assert any(
        "'source' differs between tables for one item, and is no column of groups" in n for n in comparison.notes
    )


def test_guessed_groups_can_be_refused(tmp_path):
    """``source`` may be the name of a data set; that it was taken for groups is said with the option."""
    path = one_table(tmp_path, "clip_score", source=["drawn", "photo"] * N)
    comparison = compare([path])
    assert only(comparison).n_groups == 2
    assert any("count as one group; if these are no source images: --groups none" in note for note in comparison.notes)
    agrees(only(compare([path], columns=ColumnNames(group="none"))), B - A)


def test_numbers_with_underscores_are_names(tmp_path):
    """Python takes "3_1" for 31; a column of such is no metric."""
    comparison = compare([one_table(tmp_path, "quality", pair=[f"{n}_{n % 3}" for n in range(N)] * 2)])
    assert [metric.name for metric in comparison.metrics] == ["quality"]
    agrees(only(comparison), B - A)


def test_columns_can_be_methods(tmp_path):
    """A table of items × methods, alone and without names of metrics: every two methods are compared."""
    table = {"first": A, "second": B, "third": np.round(A - 0.01, 4)}
    path = tmp_path / "t.tsv"
    pandas.DataFrame(table, pandas.Index(ITEMS, name="uid")).to_csv(path, sep="\t")
    comparison = compare([path], correction="none")
    assert [(pair.a, pair.b) for pair in comparison.pairs] == [
        ("first", "second"),
        ("first", "third"),
        ("second", "third"),
    ]
    for pair in comparison.pairs:
        agrees(pair, table[pair.b] - table[pair.a])
    assert any("first, second, third were taken for methods" in note for note in comparison.notes)
    named = compare([path], columns=ColumnNames(methods=("first", "second")))
    assert [method.name for method in named.methods] == ["first", "second"]


def test_columns_that_are_called_like_metrics_are_methods_if_that_is_said(tmp_path):
    """A method may be called clip_edit."""
    path = tmp_path / "t.csv"
    pandas.DataFrame({"item_id": ITEMS, "clip_edit": A, "loss_free": B}).to_csv(path, index=False)
    agrees(only(compare([path], columns=ColumnNames(methods=("clip_edit", "loss_free")))), B - A)


def test_votes_are_no_scores(tmp_path):
    """A table of votes is not taken for one of scores, whatever numbers it holds beside them."""
    (tmp_path / "votes.csv").write_text(
        lines(("item_id", "model_a", "model_b", "winner", "seconds"), [("p0", "A", "B", "A", "2")])
    )
    with pytest.raises(
        OptionError, match=r"votes.csv holds votes, which are no scores: evalkit compare .*compare_votes"
    ):
        compare([tmp_path / "votes.csv"])


def test_ids_that_are_unique_within_a_category_are_joined(tmp_path):
    """The refusal names the option that helps, and with it every item is compared."""
    rows = [(category, index) for index in range(4) for category in "abc"]
    texts = [
        lines(("category", "index", "score"), [(*r, v) for r, v in zip(rows, values, strict=True)]) for values in (A, B)
    ]
    paths = written(tmp_path, ".csv", texts)
    with pytest.raises(DataError, match=r"line 2 and line 3 both give score.*apart: --item-column category,index"):
        compare(paths)
    agrees(only(compare(paths, columns=ColumnNames(item="category,index"))), B - A)


def test_seeds_that_pandas_wrote_as_floats_are_whole(tmp_path):
    """The text "0.0" is the seed 0; 0.5 is none."""
    seeds = ["0.0", "1.0"] * N
    frame = {"item_id": np.repeat(ITEMS[:6], 2).tolist() * 2}
    path = one_table(tmp_path, "score", seed=seeds, **frame)
    pair = only(compare([path]))
    assert (pair.n_items, pair.n_seeds) == (6, 2)
    assert pair.difference == pytest.approx((B - A).mean())
    path = one_table(tmp_path, "score", seed=["0.5"] * 2 * N)
    with pytest.raises(DataError, match=r"line 2: the seed must be a whole number, got '0\.5'"):
        compare([path])


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["34%", "0.34"] * N, r"percentages \(34%\) stand among other numbers"),
        (["4/5", "7/10"] * N, "parts of 5, 10 stand among each other"),
        (["1,234"] * 2 * N, "1,234 could be 1.234 or 1234"),
        (["good", "bad"] * N, "'good' in line 2 is no number"),
    ],
)
def test_no_other_column_takes_the_place_of_a_score_that_cannot_be_read(tmp_path, cells, why):
    """The primary metric is not changed for a count of tokens in silence."""
    path = one_table(tmp_path, "accuracy", cells, n_tokens=range(2 * N))
    with pytest.raises(
        DataError,
        match="cannot be read: " + why,
    ):
        compare([path])
    assert [m.name for m in compare([path], columns=ColumnNames(value="n_tokens")).metrics] == ["n_tokens"]


def test_values_that_nothing_names_are_called_by_the_file(tmp_path):
    """Of ``lpips_ours.json`` less is better, though it holds numbers alone."""
    for name, values in (("ours", A), ("theirs", B)):
        (tmp_path / f"lpips_{name}.json").write_text(json.dumps(of_items(values.tolist())))
    pair = only(compare([tmp_path / "lpips_ours.json", tmp_path / "lpips_theirs.json"]))
    assert (pair.metric, pair.winner) == ("lpips", "lpips_ours")
