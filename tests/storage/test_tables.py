"""Tables in whatever format, encoding and orientation give the same records, or a sentence that says what to do."""

import csv
import json

import openpyxl
import pandas
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.storage import tables
from evalkit.storage.tables import Table

RECORDS = [{"item_id": f"p{number:02}", "clip": number / 8, "note": "a, b; c | d"} for number in range(4)]
NAMES = ("item_id", "clip", "lpips", "score", "value")


def read(path, **settings) -> Table:
    """A table whose value is called score, and of which these names are known."""
    return tables.read_table(path, value="score", known=NAMES.__contains__, **settings)


def cells(table):
    """The records without where they stand, every number as text."""
    return [
        {name: str(float(cell)) if isinstance(cell, int) else str(cell) for name, cell in record.items()}
        for _, record in table.rows
    ]


def written(path, value):
    """A file of JSON."""
    path.write_text(json.dumps(value))
    return path


def frame():
    """The records as pandas has them."""
    return pandas.DataFrame(RECORDS)


WRITERS = {
    "comma.csv": lambda path: frame().to_csv(path, index=False),
    "semicolon.csv": lambda path: frame().to_csv(path, index=False, sep=";"),
    "tab.txt": lambda path: frame().to_csv(path, index=False, sep="\t"),
    "bar.csv": lambda path: frame().to_csv(path, index=False, sep="|"),
    "quoted.tsv": lambda path: frame().to_csv(path, index=False, sep="\t", quoting=csv.QUOTE_ALL),
    "bom.csv": lambda path: frame().to_csv(path, index=False, encoding="utf-8-sig"),
    "utf16.csv": lambda path: frame().to_csv(path, index=False, sep="\t", encoding="utf-16"),
    "utf16_le.csv": lambda path: frame().to_csv(path, index=False, encoding="utf-16-le"),
    "utf32.csv": lambda path: frame().to_csv(path, index=False, encoding="utf-32"),
    "comment.csv": lambda path: path.write_text("# of a script, 1.2\n\n" + frame().to_csv(index=False)),
    "sep.csv": lambda path: path.write_text("sep=|\r\n" + frame().to_csv(index=False, sep="|", lineterminator="\r\n")),
    "records.json": lambda path: frame().to_json(path, orient="records"),
    "columns.json": lambda path: frame().set_index("item_id", drop=False).to_json(path),
    "index.json": lambda path: frame().set_index("item_id", drop=False).to_json(path, orient="index"),
    "split.json": lambda path: frame().to_json(path, orient="split"),
    "lists.json": lambda path: written(path, frame().to_dict("list")),
    "rows.json": lambda path: written(path, [[*frame().columns], *frame().to_numpy().tolist()]),
    "below.json": lambda path: written(path, {"config": {"steps": 50}, "mean": 0.5, "results": RECORDS}),
    "lines.json": lambda path: frame().to_json(path, orient="records", lines=True),
    "lines.jsonl": lambda path: frame().to_json(path, orient="records", lines=True),
    "utf16.jsonl": lambda path: path.write_text(frame().to_json(orient="records", lines=True), encoding="utf-16"),
    "records.yaml": lambda path: path.write_text(yaml.safe_dump(RECORDS)),
    "items.yml": lambda path: path.write_text(yaml.safe_dump({record["item_id"]: record for record in RECORDS})),
    "book.xlsx": lambda path: frame().to_excel(path, index=False),
    "table.parquet": lambda path: frame().to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_records(tmp_path, name):
    """Whatever wrote a table, its records are the same, in the same order."""
    WRITERS[name](tmp_path / name)
    assert cells(read(tmp_path / name)) == [{key: str(cell) for key, cell in record.items()} for record in RECORDS]


def test_a_table_with_a_schema_is_read(tmp_path):
    """A table of pandas in its ``orient="table"`` names the index."""
    frame().set_index("item_id").to_json(tmp_path / "t.json", orient="table")
    table = read(tmp_path / "t.json")
    assert cells(table) == cells(read(written(tmp_path / "u.json", RECORDS)))
    assert table.notes == ("t.json: the table below 'data' was read, and not schema",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"p0": 0.5, "p1": None}, [("p0", {"score": 0.5}), ("p1", {"score": None})]),
        ({"p0": [1, 2], "p1": None}, [("p0", {"score": [1, 2]}), ("p1", {"score": None})]),
        ({"p0": [5, 7], "p1": [4, 6]}, [("p0", {"score": [5, 7]}), ("p1", {"score": [4, 6]})]),
        ([["a", 1], ["b", 2]], [("a", {"score": 1}), ("b", {"score": 2})]),
        ({"clip": {"p0": 1, "p1": 2}}, [("p0", {"clip": 1}), ("p1", {"clip": 2})]),
        ({"p0": {"clip": 1}, "p1": {"clip": 2}}, [("p0", {"clip": 1}), ("p1", {"clip": 2})]),
        ({"p0": {"a": {"b": {"c": 1}}}, "p1": {}}, [("p0", {"a.b.c": 1}), ("p1", {})]),
        ({"charm": {"cat.png": 1, "dog.png": 2}}, [("cat.png", {"charm": 1}), ("dog.png", {"charm": 2})]),
        ({"cat.png": {"charm": 1}, "dog.png": {"charm": 2}}, [("cat.png", {"charm": 1}), ("dog.png", {"charm": 2})]),
        ({"cat": {"charm": 1, "text": "x"}, "dog": {"charm": 2, "text": "y"}},
         [("cat", {"charm": 1, "text": "x"}), ("dog", {"charm": 2, "text": "y"})]),
        ({"mean": 0.5, "per_image": {"p0.png": 0.5, "p1.png": 1}},
         [("p0.png", {"score": 0.5}), ("p1.png", {"score": 1})]),
        ({"summary": {"clip": 1}, "per_image": {"p0": {"clip": 1}, "p1": {"clip": 2}}},
         [("p0", {"clip": 1}), ("p1", {"clip": 2})]),
        ({"results": {"mean": 1, "per_image": {"p0": {"clip": 1}, "p1": {"clip": 2}}}, "config": {"a": {"b": 1}}},
         [("p0", {"clip": 1}), ("p1", {"clip": 2})]),
        ({"clip": {"mean": 1, "per_image": {"p0": 1, "p1": 2}}, "lpips": {"mean": 1, "per_image": {"p0": 3, "p1": 4}}},
         [("p0", {"clip": 1, "lpips": 3}), ("p1", {"clip": 2, "lpips": 4})]),
        ({"mean_clip": 1.5, "p0": {"clip": 1}, "p1": {"clip": 2}}, [("p0", {"clip": 1}), ("p1", {"clip": 2})]),
        ({"p0": [{"seed": 0, "clip": 1}, {"seed": 1, "clip": 2}], "p1": [{"seed": 0, "clip": 3}]},
         [("p0", {"seed": 0, "clip": 1}), ("p0", {"seed": 1, "clip": 2}), ("p1", {"seed": 0, "clip": 3})]),
        ({"a": {"p0": {"clip": 1}, "p1": {"clip": 2}}, "b": {"p0": {"clip": 3}, "p1": {"clip": 4}}},
         [("p0", {"method": "a", "clip": 1}), ("p1", {"method": "a", "clip": 2}), ("p0", {"method": "b", "clip": 3}),
          ("p1", {"method": "b", "clip": 4})]),
        ({"a": [{"item_id": "p0", "clip": 1}], "b": [{"item_id": "p0", "clip": 2}]},
         [("p0", {"method": "a", "clip": 1}), ("p0", {"method": "b", "clip": 2})]),
        ({"results": {"p0": {"clip": 1}, "p1": {"clip": 2}}}, [("p0", {"clip": 1}), ("p1", {"clip": 2})]),
    ],
)  # fmt: skip
def test_objects_are_read_the_way_round_that_they_lie(tmp_path, value, expected):
    """Known names are columns, files and codes are items, and a column has one kind of value."""
    rows = [(record.pop("item_id"), record) for _, record in read(written(tmp_path / "t.json", value)).rows]
    assert rows == expected


def test_what_cannot_be_told_is_decided_by_the_user(tmp_path):
    """Names that say nothing are refused with the option that decides, and the option does."""
    path = written(tmp_path / "t.json", {"ann": {"charm": 1, "wit": 2}, "bob": {"charm": 3, "wit": 4}})
    with pytest.raises(
        DataError, match=r"outer names \(ann, bob\) or its inner ones \(charm, wit\) are the items\. .*"
    ):
        read(path)
    assert [where for where, _ in read(path, items_are="outer").rows] == ["entry 'ann'", "entry 'bob'"]
    assert read(path, items_are="inner").rows[1] == ("entry 'wit'", {"item_id": "wit", "ann": 2, "bob": 4})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"clip": 0.3, "lpips": 0.2}, "holds one value each of clip, lpips, and no items"),
        (
            {"train": {"p0": {"clip": 1}}, "notes": [], "test": {"q0": {"clip": 1}}},
            "one table in it, got several: train",
        ),
        ({"config": {"steps": 50}, "by": "me"}, "one table in it, got none beneath config, by"),
        ({"clip": [1, 2], "lpips": [1]}, "its lists have different lengths: from 1 to 2"),
        ([[1, 2, 3], [4, 5, 6]], "its rows have no names of columns"),
        ({"columns": ["a", "b"], "data": [[1, 2], [3]]}, "entry 2 of 'data': expected 2 cells as in 'columns', got 1"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, value, message):
    """Nothing is made up: neither items from averages, nor cells from shorter lists."""
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "t.json", value))


def test_a_table_without_a_heading_is_recognised(tmp_path):
    """Names beside numbers are read as such and that is said; wider ones are refused with what to write above them."""
    (tmp_path / "t.csv").write_text("a,0.5\nb,0.25\n")
    table = read(tmp_path / "t.csv")
    assert cells(table) == [{"item_id": "a", "score": "0.5"}, {"item_id": "b", "score": "0.25"}]
    assert table.rows[0][0] == "line 1"
    assert "no line with the names of its columns" in table.notes[0]

    (tmp_path / "t.csv").write_text("a,0.5,1\nb,0.25,2\n")
    with pytest.raises(DataError, match=r"its first is 'a', '0\.5', '1'\. Write them above it, such as item_id,score"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("item_id,10,50\nb,0.25,2\n")
    assert read(tmp_path / "t.csv").columns == ("item_id", "10", "50")


def test_a_heading_behind_a_comment_sign_is_one(tmp_path):
    """As numpy writes it; a comment above words is none."""
    (tmp_path / "t.csv").write_text("# of a script, 2026\n# item_id,score\na,0.5\n")
    assert read(tmp_path / "t.csv").rows == [("line 3", {"item_id": "a", "score": "0.5"})]


def test_yaml_stays_as_it_is_written(tmp_path):
    """An id 0001 is no 1, and a caption No is no truth; nothing is nothing."""
    (tmp_path / "t.yaml").write_text("0001: {caption: No, score: ~}\n0002: {caption: 2026-01-01, score: 0.5}\n")
    assert [record for _, record in read(tmp_path / "t.yaml").rows] == [
        {"item_id": "0001", "caption": "No", "score": None},
        {"item_id": "0002", "caption": "2026-01-01", "score": "0.5"},
    ]


def test_of_several_sheets_the_first_is_read_aloud(tmp_path):
    """Empty sheets do not count, and rows end where nothing follows."""
    book = openpyxl.Workbook()
    book.active.title = "empty"
    for title, rows in (("scores", [["item_id", "score", "note"], ["a", 0.5], [], ["b", 1, "x"]]), ("more", [["x"]])):
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    table = read(tmp_path / "t.xlsx")
    assert [(where, *record.values()) for where, record in table.rows] == [
        ("row 2", "a", 0.5, None),
        ("row 4", "b", 1, "x"),
    ]
    assert table.notes == ("t.xlsx: its first sheet 'scores' was read, and not 'more'",)


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("item_id,note\na,café\nb,“naïve”\n", "cp1252", "read as Windows-1252 ('café')"),
        ("item_id,note\na,crème brûlée €\n", "cp1252", "read as Windows-1252 ('crème')"),
        ("item_id,note\na,一只猫坐在沙发上\nb,把天空变成紫色\n", "gbk", "read as GBK ('一只猫坐在沙发上')"),
    ],
)
def test_an_older_encoding_is_recognised_aloud(tmp_path, text, encoding, shown):
    """The first word in it is shown, so that a wrong guess is noticed."""
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    table = read(tmp_path / "t.csv")
    expected = [line.split(",") for line in text.splitlines()[1:]]
    assert [list(record.values()) for _, record in table.rows] == expected
    assert shown in table.notes[0]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("кот,собака", "cp1251"), ("ネコがいる,テスト", "shift-jis"), ("고양이가 앉아 있다", "euc-kr"),
     ("ネコがいる", "euc-jp"), ("a\0b", "utf-8")],
)  # fmt: skip
def test_an_encoding_that_cannot_be_told_is_refused(tmp_path, text, encoding):
    """The sentence says how to save the file."""
    (tmp_path / "t.csv").write_bytes(f"item_id,note\na,{text}\n".encode(encoding))
    with pytest.raises(DataError, match=r"t\.csv: it is (not UTF-8 text.*Save it as UTF-8|no text)"):
        read(tmp_path / "t.csv")


def test_a_column_that_nobody_needs_may_be_in_any_encoding(tmp_path):
    """Where texts do not matter the numbers are read, and the columns that could not be decoded are named."""
    (tmp_path / "t.csv").write_bytes("item_id,clip,note\na,1,кот\nb,2,cat\n".encode("cp1251"))
    table = read(tmp_path / "t.csv", needs_texts=False)
    assert [record["clip"] for _, record in table.rows] == ["1", "2"]
    assert table.doubtful == {"note"}
    assert table.notes == ("t.csv: some of its texts are in an encoding that cannot be told",)


def test_numbers_in_the_place_of_names_are_an_index(tmp_path):
    """As pandas writes a table without one; columns that name the rows go before it."""
    frame().to_json(tmp_path / "t.json")
    assert read(tmp_path / "t.json").columns == ("index", "item_id", "clip", "note")


def test_a_list_is_read_as_one_whatever_the_name_of_its_file(tmp_path):
    """JSON in a file called .jsonl, over several lines."""
    (tmp_path / "t.jsonl").write_text(json.dumps(RECORDS, indent=1))
    assert cells(read(tmp_path / "t.jsonl")) == cells(read(written(tmp_path / "t.json", RECORDS)))


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_writer_of_csv_wrote_is_read_as_it_was(tmp_path_factory, rows, delimiter, encoding, ending):
    """Whatever the cells hold, in every delimiter, encoding and ending of lines."""
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    rows = [(f"p{number}", *row) for number, row in enumerate(rows)]
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=ending).writerows([("item_id", "a", "b", "c"), *rows])
    assert [tuple(record.values()) for _, record in read(path).rows] == rows


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    """Its directory says how much there is."""
    frame().to_excel(tmp_path / "t.xlsx")
    monkeypatch.setattr(tables, "MAX_WORKBOOK_BYTES", 1000)
    with pytest.raises(DataError, match=r"t\.xlsx is not an Excel file that can be read: it has [\d,]+ bytes unpacked"):
        read(tmp_path / "t.xlsx")
