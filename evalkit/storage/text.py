"""In which encoding a text is that somebody's program wrote: UTF-8, UTF-16, or what an older one leaves."""

import codecs
import re
from dataclasses import dataclass
from io import BufferedReader

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_RUN = re.compile(rb"[\x80-\xff]+")
_BETWEEN_LETTERS = re.compile(rb"[A-Za-z][\x80-\xff]+[A-Za-z]")
_WESTERN = re.compile("[\x00-\x7f\u00a0-\u00ffŒœŠšŽžŸ€‘’“”–—…•™]*")
"""What a text in Windows-1252 is made of; one in Shift-JIS or in a Cyrillic encoding has others of its signs."""
_HANZI = re.compile(rb"([\xa1\xa3\xb0-\xf7][\xa1-\xfe])+")
"""A run of GB 2312: hanzi, and the signs between them."""
_BEYOND_HANGUL = re.compile(rb"(?:[\x80-\xff]{2})*?[\xc9-\xf7]")
"""A hanzi where the same two bytes cannot be a syllable of Korean."""


class UnknownEncodingError(ValueError):
    """Text that is not UTF-8, and of which it cannot be told what it is."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Of a text."""

    name: str
    """As Python's codecs call it."""
    note: str | None = None
    """What was guessed, as the end of a sentence."""


def encoding_of(file: BufferedReader) -> Encoding:
    """The encoding of a text, from all of its bytes.

    Args:
        file: Open at its beginning, where it stands again afterwards.

    Raises:
        ValueError: It is not UTF-8, and nothing else that can be told with certainty.
    """
    try:
        start = file.read(4096)
        if found := next((name for bom, name in _BOMS if start.startswith(bom)), None):
            return Encoding(found)
        if b"\0" in start:
            return _without_mark(start)
        file.seek(0)
        decoder, before = codecs.getincrementaldecoder("utf-8")(), b""
        while chunk := file.read(_CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return _older(before + chunk)
            before = chunk[-64:]
        return Encoding("utf-8")
    finally:
        file.seek(0)


def _without_mark(start: bytes) -> Encoding:
    """UTF-16 without its mark: of commas, digits and ends of lines every other byte is 0."""
    for name, ours, others in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if ours.count(0) > len(ours) / 4 and 0 not in others:
            return Encoding(name, "UTF-16 without a byte order mark")
    raise ValueError("it is no text: it holds bytes that are 0")


def _older(sample: bytes) -> Encoding:
    """GBK or Windows-1252, from how the bytes beyond ASCII stand together.

    A letter of western Europe stands alone among others; hanzi are pairs of bytes, and no letters stand around them.
    """
    runs = _RUN.findall(sample)
    alone = sum(len(run) == 1 for run in runs)
    if alone > len(runs) / 2:
        text = sample.decode("cp1252", errors="replace")
        if _WESTERN.fullmatch(text):
            return Encoding("cp1252", f"Windows-1252 ({_example(text)})")
    hanzi = b" ".join(runs)
    if (
        all(_HANZI.fullmatch(run) for run in runs[1:-1] or runs)  # the first and the last may be cut off
        and any(_BEYOND_HANGUL.match(run) for run in runs)
        and len(_BETWEEN_LETTERS.findall(sample)) < len(runs) / 2
    ):
        return Encoding("gb18030", f"GBK ({_example(hanzi.decode('gb18030', errors='replace'))})")
    raise UnknownEncodingError("it is not UTF-8 text, and which encoding it has cannot be told")


def _example(text: str) -> str:
    """The first word that is no ASCII, so that a reader sees whether the guess was right."""
    word = re.search(r"[^\W\d_]*[^\x00-\x7f][^\W\d_]*", text)
    return f"'{word[0][:20]}'" if word else "a sign"
