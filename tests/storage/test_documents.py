"""Whatever a JSON, YAML or CSV file holds, reading it ends soon, with its value or with a sentence."""

import io
import json
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.storage import documents
from evalkit.storage.delimited import csv_rows
from evalkit.storage.documents import LineError, json_lines, parse_json, read_json
from evalkit.storage.plain_yaml import parse_yaml

DEEP = documents.MAX_DEPTH + 1
SECONDS = 20
"""None of the texts takes as long, on any machine."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_json_that_is_written_is_read_as_it_was(value):
    """Within the bounds, the reader is the standard library's."""
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json("\ufeff" + json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON: Expecting value, column 1"),
        ('{"a": 1,\n"b"', "it is not JSON: Expecting ':' delimiter, line 2, column 4"),
        (b'"\xff"', "it is not UTF-8 text: byte 1 is wrong"),
        ("[" * 30_000, "it is nested too deeply"),
        ("[" * 5_000_000, "it is nested too deeply"),
        ("[" * DEEP + "]" * DEEP, "it is nested too deeply"),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "it is nested too deeply"),
        ("7" * 5000, "the number 777777777777… has 5,000 digits, and 4,300 are allowed"),
        ("-" + "7" * 5000, "has 5,001 digits"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
        ("{" + ",".join(f'"{i}": 1' for i in [*range(300_000), 299_999]) + "}", "the key '299999' is there twice"),
    ],
)
def test_json_beyond_the_bounds_is_refused_in_a_sentence(text, message):
    """Neither the stack nor the time of the parser is used up."""
    started = time.perf_counter()
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    assert time.perf_counter() - started < SECONDS


def test_what_lies_as_deep_as_is_allowed_is_read():
    """The bound is the last depth that is read; brackets in texts and beside each other do not count."""
    assert parse_json("[" * (DEEP - 1) + "]" * (DEEP - 1)) is not None
    assert parse_json(json.dumps(["[" * 1000, *([{}] * 1000)]))[0] == "[" * 1000


def test_json_lines_are_read_one_by_one_and_refused_by_number():
    """Blank lines are passed over, and what is wrong is said of its line."""
    lines = io.BytesIO(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}\n{"a": 3, "a": 4}\n')
    found = json_lines(lines)

    assert [next(found), next(found)] == [(1, {"a": 1}), (4, {"a": 2})]
    with pytest.raises(LineError, match="the key 'a' is there twice") as failure:
        next(found)
    assert failure.value.number == 5


def test_a_line_without_end_is_not_read_to_its_end():
    """A file of one endless line does not fill the memory."""

    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:] = b"[" * len(buffer)
            return len(buffer)

    with pytest.raises(LineError, match="the line has more than 1,048,576 bytes"):
        next(json_lines(io.BufferedReader(Endless())))


def test_a_json_file_that_is_too_large_is_not_read(tmp_path):
    """The file's size is asked first."""
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="it has 1,099,511,627,776 bytes"):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "line 1: it is nested too deeply"),
        ("{" * 60_000, "line 1: it is nested too deeply"),
        ("- " * 30_000, "line 1: it is nested too deeply"),
        ("? " * 30_000, "line 1: it is nested too deeply"),
        ("\n".join(" " * i + "a:" for i in range(300)), "line 65: it is nested too deeply"),
        ("x" * 270_000, "it has more than 262,144 bytes"),
        ("a: " + "7" * 5000, "line 1: a number has more than 4,300 digits"),
        ("a: 0x" + "f" * 5000, "line 1: a number has more than 4,300 digits"),
        ("a: " + "1:" * 5000 + "1", "line 1: a number has more than 4,300 digits"),
        (f'a: !!int "{"7" * 5000}"', "line 1: a number has more than 4,300 digits"),
        ("a: !!int ''", "a value is not what its tag says"),
        ("a: !!bool x", "a value is not what its tag says"),
        ("a: !!timestamp x", "a value is not what its tag says"),
        ("a: &x [1]\nb: *x", r"line 2 uses an alias \(\*x\), which is not read"),
        ("a: 1\nb: 2\na: 3", "the key 'a' is there twice"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: [1", "line 1: expected ',' or ']'"),
        ("a\0b", "unacceptable character"),
    ],
)
def test_yaml_beyond_the_bounds_is_refused_in_a_sentence(text, message):
    """The parser's time, which can grow with the square of the depth, is not used up."""
    started = time.perf_counter()
    with pytest.raises(ValueError, match=message):
        parse_yaml(text)
    assert time.perf_counter() - started < SECONDS


@given(st.text(alphabet=st.sampled_from("[]{}:,-? \n\t!&*|>'\"%#@`abc17.~<=_0xe"), max_size=60))
def test_yaml_of_any_signs_is_a_value_or_a_sentence(text):
    """Nothing but a ValueError leaves the reader."""
    with suppress(ValueError):
        parse_yaml(text)


def test_yaml_is_read_as_it_stands():
    """Plain values, merged mappings included."""
    assert parse_yaml("<<: {a: 1}\na: 2\nb: [x, 1.5, null, yes]") == {"a": 2, "b": ["x", 1.5, None, True]}


def test_csv_rows_come_with_the_line_they_end_in(tmp_path):
    """Delimiter and byte order mark are seen to; empty lines are left out."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa;b\n\n1;"x\ny"\n')
    assert list(csv_rows(path)) == [(1, ["a", "b"]), (4, ["1", "x\ny"])]


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        ("a,b\n1," + "x" * 140_000, 2, "field larger than field limit"),
        ('a,b\n1,"x"y\n', 2, "',' expected after '\"'"),
        ("a\n" + "," * 10_000_001, 2, "the table has more than 10,000,000 cells"),
    ],
)
def test_csv_beyond_the_bounds_is_refused_by_line(tmp_path, text, number, message):
    """Cells are limited in size and in number."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(LineError, match=message) as failure:
        list(csv_rows(path))
    assert failure.value.number == number


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["{},", "[],", "[[[[[]]]]],", '{"a":{}},', '"",'])
def test_the_largest_json_fits_into_a_gigabyte(unit):
    """What takes most memory for its size is read, or refused, within little more than a gigabyte of address space."""
    code = (
        "import resource\n"
        "from evalkit.storage.documents import MAX_JSON_BYTES, parse_json\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_200 << 20,) * 2)\n"
        f"unit = {unit!r}\n"
        "parse_json(('[' + unit * (MAX_JSON_BYTES // len(unit) - 1) + '0]').encode())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
