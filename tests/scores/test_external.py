"""Score tables of other tools: every shape gives the same scores, and nothing goes missing in silence."""

import json
from contextlib import suppress

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalkit.comparison.compare import compare
from evalkit.errors import DataError, OptionError, RunError
from evalkit.scores.columns import ColumnNames
from evalkit.scores.external import read_groups, read_table
from evalkit.scores.numbers import number_of

SCORES = {
    ("ddim+p2p", "psnr"): [17.5, 20.25, None, 19.0],
    ("ddim+p2p", "lpips"): [0.25, 0.125, 0.5, 0.375],
    ("masa|ctrl", "psnr"): [18.5, 21.25, 20.0, 22.0],
    ("masa|ctrl", "lpips"): [0.125, 0.25, 0.375, 0.0625],
}
METHODS, METRICS = ("ddim+p2p", "masa|ctrl"), ("psnr", "lpips")
ITEMS = ("000000000000", "000000000001", "a, b", "naïve")
RECORDS = [
    {"id": item, "model": method, **{metric: SCORES[method, metric][number] for metric in METRICS}}
    for method in METHODS
    for number, item in enumerate(ITEMS)
]


def wide(path):
    """A row per method and item, a column per metric, "nan" for what is undefined, and a column of text."""
    table = pandas.DataFrame(RECORDS).rename(columns={"id": "Item_ID"}).assign(prompt="a cat, 5 of it")
    table.to_csv(path, index=False, na_rep="nan", encoding="utf-8-sig")


def long(path):
    """A row per value."""
    table = pandas.DataFrame(RECORDS).melt(["id", "model"], var_name="metric_name")
    table.to_json(path, orient="records", lines=True, force_ascii=False)


def crossed(path):
    """PIE-Bench's layout: a row per item, a column per method and metric, "nan" for what is undefined."""
    columns = {f"{method}|{metric}": values for (method, metric), values in SCORES.items()}
    pandas.DataFrame({"file_id": ITEMS, **columns}).to_csv(path, index=False, na_rep="nan")


def nested(path):
    """JSON Lines with the scores in an object of their own."""
    lines = [{"key": r["id"], "model": r["model"], "scores": {m: r[m] for m in METRICS}} for r in RECORDS]
    path.write_text("\n".join(json.dumps(line) for line in lines))


WRITERS = {
    "wide.csv": wide,
    "long.jsonl": long,
    "pie_bench.csv": crossed,
    "table.parquet": lambda path: pandas.DataFrame(RECORDS).to_parquet(path),
    "list.json": lambda path: path.write_text(json.dumps({"version": 1, "results": RECORDS})),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_shape_gives_the_same_scores(tmp_path, name):
    """Wide, long, crossed, Parquet and JSON: the same methods, items, values and reasons, columns guessed."""
    WRITERS[name](tmp_path / name)
    external = read_table(tmp_path / name)
    assert tuple(external.methods) == METHODS
    for method, table in external.methods.items():
        assert table.metrics == METRICS
        assert tuple(row.item_id for row in table.rows) == ITEMS
        for metric in METRICS:
            assert [row.values[metric] for row in table.rows] == SCORES[method, metric]
    assert external.methods["ddim+p2p"].rows[2].reasons == {"psnr": "empty"}
    assert external.ungrouped == set(ITEMS)


def test_scores_in_an_object_of_their_own_are_found(tmp_path):
    """Columns below a key are called ``key.column``."""
    nested(tmp_path / "t.jsonl")
    assert read_table(tmp_path / "t.jsonl").methods["ddim+p2p"].metrics == ("scores.psnr", "scores.lpips")


def test_how_a_table_was_read_is_said(tmp_path):
    """Which column was taken for what, and which were left out."""
    wide(tmp_path / "wide.csv")
    assert read_table(tmp_path / "wide.csv").notes == (
        "wide.csv was read by its columns: item 'Item_ID', method 'model'",
        "wide.csv: columns that are no scores were left out: prompt",
    )


def test_pie_bench_results_are_compared(tmp_path):
    """From its evaluation file to a comparison, directions known by name, and the undefined value listed."""
    crossed(tmp_path / "evaluation_result.csv")
    comparison = compare([tmp_path / "evaluation_result.csv"])
    assert {metric.name: metric.higher_is_better for metric in comparison.metrics} == {"psnr": True, "lpips": False}
    psnr, lpips = comparison.pairs
    assert (psnr.n_items, psnr.excluded, lpips.n_items) == (3, {"empty": 1}, 4)
    assert psnr.difference == pytest.approx((1 + 1 + 3) / 3)
    assert (lpips.win, lpips.loss) == (3, 1)
    assert any(note.startswith("ddim+p2p has no psnr for 1 of 4 items (a, b)") for note in comparison.notes)
    assert not any("by the name only" in note for note in comparison.notes)


def test_the_direction_of_a_metric_is_assumed_from_its_name_aloud(tmp_path):
    """What a name says of the direction is said, and where it says nothing how to say it."""
    (tmp_path / "t.csv").write_text("item,method,charm,wit_score\na,x,1,1\nb,x,2,2\na,y,3,1\nb,y,5,3\n")
    comparison = compare([tmp_path / "t.csv"])
    assert [metric.direction_known for metric in comparison.metrics] == [False, True]
    assert [metric.primary for metric in comparison.metrics] == [False, True]
    assert any("more is better, by the name only: wit_score; if not so" in note for note in comparison.notes)
    assert any("nobody is called better on charm, since" in note for note in comparison.notes)
    turned = compare([tmp_path / "t.csv"], lower_is_better=["charm"])
    assert [metric.higher_is_better for metric in turned.metrics] == [False, True]


def test_a_judges_csv_is_read(tmp_path):
    """GEdit's file, one per method: scores by column, the flag as 0 or 1, texts left out; the file names the method."""
    for name, scores in (("flux", (7.5, 8, 7.75)), ("omnigen", (6.5, 9, 7.649))):
        (tmp_path / f"{name}.csv").write_text(
            "key,edited_image,instruction,sementics_score,quality_score,overall_score,intersection_exist\n"
            f'ab12,a.png,"Make it snow, please",{scores[0]},{scores[1]},{scores[2]},True\n'
            "cd34,b.png,Remove it,4,5,4.47,False\n"
        )
    comparison = compare([tmp_path / "flux.csv", tmp_path / "omnigen.csv"])
    assert [method.name for method in comparison.methods] == ["flux", "omnigen"]
    names = ["sementics_score", "quality_score", "overall_score", "intersection_exist"]
    assert [metric.name for metric in comparison.metrics] == names
    assert comparison.pairs[0].difference == pytest.approx(-0.5)
    assert comparison.pairs[3].mean_a == 0.5


def test_a_judges_answers_are_read(tmp_path):
    """ImgEdit's result.json: an item's text with a line per score; and its averages, a number per item."""
    answer = "Brief reasoning: it looks fine: mostly.\nPrompt Compliance: 4\nVisual Naturalness: 3\nDetail: 5\n"
    (tmp_path / "result.json").write_text(json.dumps({"0001": answer, "0002": "I cannot judge this."}))
    table = read_table(tmp_path / "result.json").methods["result"]
    assert table.metrics == ("Prompt Compliance", "Visual Naturalness", "Detail", "average")
    assert list(table.rows[0].values.values()) == [4, 3, 5, 4]
    assert set(table.rows[1].values.values()) == {None}
    (tmp_path / "average.json").write_text('{"0001": 4.0, "0002": null}')
    table = read_table(tmp_path / "average.json").methods["average"]
    assert [row.values for row in table.rows] == [{"score": 4.0}, {"score": None}]


def test_answers_by_the_kind_of_edit_have_averages_of_their_own_and_failed_calls_have_none(tmp_path):
    """As ImgEdit writes them: other criteria for a style, an object in the place of an answer that did not come."""
    style, removal = "Style Fidelity: 2\nRendering Quality: 4", "Prompt Compliance: 5\nIntegrity: 3"
    short = "Prompt Compliance: 5"
    answers = {"1": style, "2": style, "3": style, "4": removal, "5": removal, "6": short, "7": {"error": "timeout"}}
    (tmp_path / "result.json").write_text(json.dumps(answers))
    external = read_table(tmp_path / "result.json")
    rows = external.methods["result"].rows
    assert {row.item_id: row.values["average"] for row in rows} == {
        "1": 3, "2": 3, "3": 3, "4": 4, "5": 4, "6": None, "7": None
    }  # fmt: skip
    assert external.methods["result"].metrics == ("average",)
    assert any("is part of average only: Style Fidelity, Rendering Quality" in note for note in external.notes)


def test_seeds_and_groups_are_read(tmp_path):
    """A seed column makes several rows per item; a group column makes groups."""
    (tmp_path / "t.csv").write_text("item,seed,source,score\n1,0,cat,0.5\n1,1,cat,0.75\n2,0,cat,0.25\n3,0,dog,1\n")
    external = read_table(tmp_path / "t.csv")
    rows = external.methods["t"].rows
    assert [(row.item_id, row.seed, row.group, row.values["score"]) for row in rows] == [
        ("1", 0, "cat", 0.5), ("1", 1, "cat", 0.75), ("2", 0, "cat", 0.25), ("3", 0, "dog", 1.0),
    ]  # fmt: skip
    assert external.ungrouped == set()
    assert read_groups(tmp_path / "t.csv") == {"1": "cat", "2": "cat", "3": "dog"}


def test_row_numbers_are_no_scores(tmp_path):
    """A second id, an index that a tool added, and a column without a name are left out by name."""
    (tmp_path / "t.csv").write_text("Unnamed: 0,,index,item_id,score\n0,0,7,a,0.5\n1,1,8,b,0.25\n")
    external = read_table(tmp_path / "t.csv")
    assert external.methods["t"].metrics == ("score",)
    assert external.notes[1] == "t.csv: columns that are no scores were left out: Unnamed: 0, index"


def test_blank_lines_are_no_rows(tmp_path):
    """Between rows and at the end."""
    (tmp_path / "t.csv").write_text("item,score\n\na,0.5\n\n")
    assert [row.values for row in read_table(tmp_path / "t.csv").methods["t"].rows] == [{"score": 0.5}]


def test_columns_can_be_named(tmp_path):
    """What is not plain is said by the user; the same table without is an error that says how."""
    (tmp_path / "t.csv").write_text("bild;verfahren;mass;wert\n1;a;x;0.5\n1;b;x;0.75\n")
    with pytest.raises(DataError, match=r"got bild, verfahren, mass, wert\. Say which: --item-column NAME"):
        read_table(tmp_path / "t.csv")
    external = read_table(tmp_path / "t.csv", ColumnNames(item="bild", method="verfahren", metric="mass", value="wert"))
    assert {name: table.rows[0].values for name, table in external.methods.items()} == {
        "a": {"x": 0.5},
        "b": {"x": 0.75},
    }
    with pytest.raises(DataError, match=r"holds the values\. Say which: --value-column"):
        read_table(tmp_path / "t.csv", ColumnNames(item="bild", metric="mass"))
    with pytest.raises(DataError, match="no column 'image': expected one of bild, verfahren"):
        read_table(tmp_path / "t.csv", ColumnNames(item="image"))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [("", "empty"), ("nan", "empty"), ("None", "empty"), ("inf", "infinite"), ("-Infinity", "infinite"),
     ("timeout", "not_a_number")],
)  # fmt: skip
def test_what_is_no_number_is_missing_with_its_reason(tmp_path, cell, reason):
    """Never a zero, never a NaN, never dropped in silence."""
    (tmp_path / "t.csv").write_text(f"item,score\n1,0.5\n2,{cell}\n3,0.25\n")
    row = read_table(tmp_path / "t.csv").methods["t"].rows[1]
    assert (row.values["score"], row.reasons["score"]) == (None, reason)


def test_a_value_without_a_row_is_absent(tmp_path):
    """In a long table an item may have one metric and not the other."""
    (tmp_path / "t.csv").write_text("item,metric,value\n1,x,0.5\n1,y,1\n2,x,0.5\n")
    assert read_table(tmp_path / "t.csv").methods["t"].rows[1].reasons == {"y": "absent"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "item,score\n1,0.5\n2,1\n1,0.7\n", "line 2 and line 4 both give score of item '1'.*--seed-column"),
        ("t.csv", "item,seed,score\n1,3,0.5\n1,3,1\n", "line 2 and line 3 both give score of item '1', seed 3"),
        ("t.jsonl", '{"item": 1, "x": 1}\n\n{"item": "1", "x": 2}\n', "line 1 and line 3 both give x of item '1'"),
        ("t.csv", "item,score\n1,0.5,7\n", "line 2: expected 2 cells as in the header, got 3"),
        ("t.csv", 'item,score\n"1\n2",0.5\n\n3\n', "line 5: expected 2 cells as in the header, got 1"),
        ("t.csv", 'item,score\n"1\n2",0.5\n\n3,4,5,6\n', "line 5: expected 2 cells as in the header, got 4"),
        ("t.csv", 'item,score\n"1,0.5\n', "line 2: unexpected end of data"),
        ("t.csv", "item,score\n" + 200_000 * "x", "line 2: field larger than field limit"),
        ("t.csv", "item,score,score\n1,0.5,7\n", "line 1: the column 'score' is there more than once"),
        ("t.csv", "item,score\n,0.5\n", "line 2: the column 'item' is empty"),
        ("t.csv", "item,method,score\n1,,0.5\n", "line 2: the column 'method' is empty"),
        ("t.csv", "item,seed,score\n1,one,0.5\n", "line 2: the seed must be a whole number, got 'one'"),
        ("t.csv", "item,seed,group,s\n1,0,a,1\n1,1,b,1\n", "item '1' is in group 'a' in line 2 and in 'b' in line 3"),
        ("t.csv", "item,text\n1,hello\n", "has no column of numbers beside the item's: got text"),
        ("t.csv", "item,score\n", "holds no rows"),
        ("t.csv", "", "holds no rows"),
        ("t.json", "[1, 2]", "entry 1: expected an object with a key per column, got int"),
        ("t.json", "{", "it is not JSON: Expecting property name.*column 2"),
        ("t.json", "3", "expected a list of objects, or an object of items"),
        ("t.jsonl", '{"item": 1, "x": 1}\nnot json\n', "line 2: it is not JSON"),
        ("t.json", "[" * 30_000, "t.json: it is nested too deeply"),
        ("t.jsonl", '{"item_id":' + "[" * 30_000, "line 1: it is nested too deeply"),
        ("t.json", '[{"item": "a", "x": 1' + "0" * 400 + "}]", "entry 1: x of item 'a' is 100000000000…: expected a"),
        ("t.json", '[{"item": "a", "x": ' + "7" * 5000 + "}]", "entry 1: x of item 'a' is 777777777777…: expected a"),
        ("t.csv", "item,x\na," + "7" * 5000 + "\n", "line 2: x of item 'a' is 777777777777…: expected a number"),
        ("t.csv", "item,seed,x\na,²,1\n", "line 2: the seed must be a whole number, got '²'"),
        ("t.csv", "item,seed,x\na,--1,1\n", "line 2: the seed must be a whole number, got '--1'"),
        ("t.csv", "item,seed,x\na," + "7" * 5000 + ",1\n", "line 2: the seed must be a whole number, got '7{40}'"),
        ("t.jsonl", "".join(f'{{"item": {i}, "x{i}": 1}}\n' for i in range(3200)), "more than 10,000,000"),
        ("t.csv", ",".join(f"x{i}" for i in range(5000)) + "\n" + ",1" * 4999, "more than 4,000 columns"),
        ("t.parquet", "item,score", r"is not a Parquet file that can be read: [^\n]*\w\.$"),
        ("t.xlsx", "x", r"t\.xlsx is not an Excel file that can be read: File is not a zip file\.$"),
        ("t.xls", "x", r"expected one of .csv, .tsv.*got '.xls'\. Save it as .xlsx\."),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_trusted_is_refused_by_line(tmp_path, name, text, message):
    """The message names the place, what was expected and what was found."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


def test_text_in_another_encoding_is_read_aloud_or_refused(tmp_path):
    """Latin-1 is told by its letters, which are shown; what could be anything is refused with what to do."""
    (tmp_path / "t.csv").write_bytes("item,score\nnaïve,1\n".encode("latin-1"))
    external = read_table(tmp_path / "t.csv")
    assert [row.item_id for row in external.methods["t"].rows] == ["naïve"]
    assert external.notes[0].startswith("t.csv: its text is not UTF-8 and was read as Windows-1252 ('naïve')")

    (tmp_path / "t.csv").write_bytes("item,score\nкот,1\n".encode("cp1251"))
    with pytest.raises(
        DataError, match=r"t\.csv: it is not UTF-8 text.*cannot be told, and .item. is needed\. Save it as UTF-8"
    ):
        read_table(tmp_path / "t.csv")


def test_sources_that_name_no_one_method_are_refused(tmp_path):
    """A path that leads nowhere, and one name for a table of two methods."""
    with pytest.raises(OptionError, match="does not exist: expected a run directory or a table"):
        compare([tmp_path / "nothing.csv"])
    wide(tmp_path / "wide.csv")
    with pytest.raises(OptionError, match="holds 2 methods, which cannot all be called 'ours'"):
        compare([f"ours={tmp_path / 'wide.csv'}"])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives_as_text(value):
    """What Python prints is what is read back, to the last bit."""
    assert number_of(repr(value)) == (value, None)
    assert number_of(f"  {value!r} ") == (value, None)


KEYS = st.sampled_from(["item_id", "p0", "a.png", "lpips", "mean", "method", "seed", "0", "columns", "data", "winner"])
CELLS = st.none() | st.booleans() | st.floats() | st.sampled_from(["A", "1,234", "4/5", "Yes", "Q: 4", "[1, 2]", "p0"])


@example({"item_id": None, "p0": []})
@given(
    st.recursive(
        CELLS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
    )
)
def test_whatever_json_holds_is_a_table_or_refused(tmp_path_factory, value):
    """Nothing but an error of the project leaves the reader, and no value is anything but a number."""
    path = tmp_path_factory.mktemp("tables") / "t.json"
    path.write_text(json.dumps(value))
    with suppress(DataError):
        for table in read_table(path, is_alone=True).methods.values():
            values = [number for row in table.rows for number in row.values.values() if number is not None]
            assert np.isfinite(values).all()


def test_a_column_per_method_gets_told_how_to_say_so(tmp_path):
    """Columns that could be methods, beside others that are metrics, are refused with the option, which works."""
    path = tmp_path / "scores.csv"
    path.write_text("item_id,ours,theirs,psnr\nx,1,2,3\ny,2,1,4\n")
    with pytest.raises(RunError, match=r"got scores\..* if some of its columns .* --method-columns ours,theirs,psnr"):
        compare([path])
    assert {pair.a for pair in compare([path], columns=ColumnNames(methods=("ours", "theirs"))).pairs} == {"ours"}

    path.write_text("item_id,ours|score,theirs|score\nx,1,2\ny,2,1\n")
    assert {pair.a for pair in compare([path]).pairs} == {"ours"}


def test_a_parquet_file_of_a_few_bytes_holds_no_billion_cells(tmp_path):
    """What repeats one cell without end is refused from its metadata."""
    cells = pa.array(["a"]).dictionary_encode()
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(11_000_000, np.int32)), cells.dictionary)
    pq.write_table(pa.table({"item": column}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 100_000

    with pytest.raises(DataError, match="it has 11,000,000 rows of 1 cells in a few bytes"):
        read_table(tmp_path / "t.parquet")
