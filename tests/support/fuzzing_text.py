"""What is done to documents in particular: to the values, keys, lines and letters of a text."""

import random
import re

from tests.support.fuzzing import LARGEST, Mutator

VALUE = re.compile(r'"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b[A-Za-z_][\w./-]*')
"""A text in quotes, a number or a word, whatever the format."""
PAIR = re.compile(r'"\w+": ?(?:"[^"]*"|[^\s,{}\[\]"]+)|^[ ]*\w+:.*\n', re.MULTILINE)
"""A key with a plain value, in JSON or in YAML."""
TEXTS = (
    "", " ", "nan", "=1+1", "../../etc/passwd", "/etc/passwd", "..", ".", "C:\\", "a/b", "CON", "[/bold]", "{{7*7}}",
    "<script>", "%s%n", "\\u0000", "\\ud800", "\\udc00\\ud800", "\\u202e", "\\n\\r\\u2028", "\\u001b[2J", "e\\u0301",
)  # fmt: skip
VALUES = (
    "null", "true", "false", "NaN", "-Infinity", "Infinity", "1e999", "-1e308", "1e-320", "-0.0", "0", "-1", "2", "0.5",
    "9223372036854775808", "1" * 400, "1" * 5000, "-" + "9" * 20_000, "0x10", "1_000", "1:30", "2026-11-29", "[]", "{}",
    "[1]", '{"a": 1}', '[["a", 1], {}]', "*a", "&a", "!!python/name:os.system", "!!binary aGk=", "!!set {a, a}",
    "!!float x", "~", "<<", "? [a]", "|", ">", "'",
)  # fmt: skip
CONTROLS = ("\0", "\x1b[31m", "\x07", "\x08", "\r", "\n", "\r\n", "\x85", "\t", "\x0b", "\x0c", "\x7f", "\ufeff",
            "\u2028", "\u202e", "\ud800")  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "cp1252", "utf-7")


def change_value(data: bytearray, rng: random.Random) -> None:
    """A value of another type, or one that programs forget."""
    quote = rng.choice(('"%s"', '"%s"', "%s"))
    long = rng.choice("aé0[ ") * rng.choice((64, 300, 5000, 200_000))
    _replace(data, rng, rng.choice((*VALUES, *(quote % text for text in (*TEXTS, *TEXTS, long)))))


def swap_values(data: bytearray, rng: random.Random) -> None:
    """Two values in each other's place."""
    text = _text(data)
    found = list(VALUE.finditer(text))
    if len(found) > 1:
        first, second = sorted(rng.sample(found, 2), key=re.Match.start)
        between = text[first.end() : second.start()]
        _write(data, text[: first.start()] + second[0] + between + first[0] + text[second.end() :])


def nest(data: bytearray, rng: random.Random) -> None:
    """Lists or objects inside of each other, closed or not."""
    depth = rng.choice((3, 63, 64, 65, 1000, 100_000))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}"), ("[[],", "]"), ("- ", ""), ("{a: ", "}")))
    _replace(data, rng, opened * depth + "1" + closed * rng.choice((depth, depth, 0, depth - 1)))


def name_twice(data: bytearray, rng: random.Random) -> None:
    """A key that is there again, sometimes very often or under as many names."""
    text = _text(data)
    if found := list(PAIR.finditer(text)):
        pair, times = rng.choice(found), rng.choice((1, 1, 3, 5000))
        as_named = times == 1 or rng.random() < 0.5
        again = [pair[0] if as_named else re.sub(r"\w+", f"k{number}", pair[0], count=1) for number in range(times)]
        separator = "" if pair[0].endswith("\n") else ", "
        _write(data, text[: pair.start()] + separator.join((*again, pair[0])) + text[pair.end() :])


def recode(data: bytearray, rng: random.Random) -> None:
    """Another encoding, or two byte order marks."""
    if rng.random() < 0.2:
        data[:0] = b"\xef\xbb\xbf" * rng.choice((1, 2))
    else:
        data[:] = data.decode("utf-8", "replace").encode(rng.choice(ENCODINGS), "replace")


def put_control(data: bytearray, rng: random.Random) -> None:
    """Letters that steer terminals, end lines, or are half a character."""
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(CONTROLS).encode("utf-8", "surrogatepass") * rng.choice((1, 1, 3))


def repeat_lines(data: bytearray, rng: random.Random) -> None:
    """Some lines again, or the same ones in another order."""
    lines = data.splitlines(keepends=True) or [b""]
    first = rng.randrange(len(lines))
    block = lines[first : first + rng.choice((1, 1, 2, 5))]
    lines[first:first] = block * rng.choice((1, 1, 1, 10, 10, 100, 1000, 1000, 5000))
    if rng.random() < 0.3:
        rng.shuffle(lines)
    data[:] = b"".join(lines)[:LARGEST]


def _replace(data: bytearray, rng: random.Random, value: str) -> None:
    text = _text(data)
    if found := list(VALUE.finditer(text)):
        at = rng.choice(found)
        _write(data, text[: at.start()] + value + text[at.end() :])


def _text(data: bytearray) -> str:
    return data.decode("utf-8", "surrogateescape")


def _write(data: bytearray, text: str) -> None:
    data[:] = text.encode("utf-8", "surrogateescape")[:LARGEST]


TEXT_MUTATORS: tuple[Mutator, ...] = (
    *(change_value,) * 12, *(swap_values,) * 6, nest, nest, name_twice, name_twice, recode, put_control, repeat_lines,
)  # fmt: skip
