"""Fuzzing from a seed: small files, spoilt in the ways in which files are spoilt on purpose, and what came of them.

A case is named by kind and number, and is the same on every machine. Memory is measured where Linux says it.
"""

import ctypes
import random
import re
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["sentence", "decoded", "fault"]
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
LARGEST = 1 << 20
"""Bytes of a spoilt file."""
ENDING = re.compile(r"([^.]\.|: (evalkit|--)[^\n]*)$")
"""A sentence ends in a full stop, in a command, or in an option to give."""
Mutator = Callable[[bytearray, random.Random], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzKind:
    """What is fuzzed: some files and what is done with each."""

    seeds: Callable[[], Mapping[str, bytes]]
    """Files by the family under which they are counted; ``family/more`` counts as ``family``."""
    examine: Callable[[str, bytes], str | None]
    """Called with the name of the file that was spoilt, and what it holds now. Raises what may not be raised; returns
    the sentence of a refusal, None where the file was read."""
    bytes_limit: int
    """Of memory, for one case."""
    seconds_limit: float
    """Of processor time, for one case."""
    mutators: Sequence[Mutator] = ()
    """Besides those of bytes."""
    longest: int = 400
    """Letters of a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzCase:
    """What came of one case."""

    name: str
    family: str
    outcome: Outcome
    why: str
    """The sentence, or what is wrong."""
    n_bytes: int
    seconds: float
    peak_bytes: int


def fuzz(kind: FuzzKind, n_cases: int, seed: int) -> Iterator[FuzzCase]:
    """Every case in turn."""
    seeds = kind.seeds()
    names = sorted(seeds)
    for number in range(n_cases):
        name = names[number % len(names)]
        data = spoilt(seeds, name, random.Random(f"{seed}/{number}"), (*MUTATORS, *kind.mutators))
        yield _examined(kind, f"{name} #{number} of seed {seed}", data)


def spoilt(seeds: Mapping[str, bytes], name: str, rng: random.Random, mutators: Sequence[Mutator]) -> bytes:
    """One of the files with one to six things done to it."""
    data = bytearray(seeds[name])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if rng.random() < 0.05:
            other = seeds[rng.choice(sorted(seeds))]
            data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other)) :]
        else:
            rng.choice(mutators)(data, rng)
    return bytes(data[:LARGEST])


def _examined(kind: FuzzKind, name: str, data: bytes) -> FuzzCase:
    """What comes of one file."""
    before, started = _resetpeak_bytes(), time.process_time()
    outcome: Outcome = "decoded"
    why = ""
    try:
        sentence = kind.examine(name.partition(" #")[0], data)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome, why = "fault", repr(error)
    else:
        if sentence is not None:
            outcome, why = ("sentence" if _is_sentence(sentence, kind.longest) else "fault"), sentence
    seconds, peak = time.process_time() - started, max(0, peak_bytes() - before)
    if peak > kind.bytes_limit or seconds > kind.seconds_limit:
        outcome, why = "fault", f"{peak >> 20} MiB, {seconds:.1f} s"
    family = name.partition(" #")[0].partition("/")[0]
    return FuzzCase(
        name=name, family=family, outcome=outcome, why=why, n_bytes=len(data), seconds=seconds, peak_bytes=peak
    )


def _is_sentence(text: str, longest: int) -> bool:
    return "\n" not in text and len(text) <= longest and bool(ENDING.search(text))


def _resetpeak_bytes() -> int:
    """Has the kernel forget the peak so far; what is taken now."""
    with suppress(OSError, AttributeError):  # what the heap holds free would be taken again unseen; glibc's own
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # elsewhere the peak of the whole run is all there is
        Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has had at once."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# ---------------------------------------------------------------- what is done to bytes


def change_bytes(data: bytearray, rng: random.Random) -> None:
    """Other values in a few places."""
    for _ in range(min(len(data), rng.randint(1, 8))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def change_head(data: bytearray, rng: random.Random) -> None:
    """The same among the first bytes, where headers are."""
    for _ in range(min(len(data), rng.randint(1, 4))):
        data[rng.randrange(min(len(data), 64))] = rng.randrange(256)


def write_extreme(data: bytearray, rng: random.Random) -> None:
    """A number that programs forget, in one, two, four or eight bytes of either order."""
    width, value = rng.choice((1, 2, 3, 4, 8)), rng.choice((*EXTREMES, rng.randrange(1 << 16)))
    at = rng.randrange(max(1, min(len(data), rng.choice((64, len(data) or 1)))))
    content = (value & (1 << 8 * width) - 1).to_bytes(width, rng.choice(("big", "little")))
    data[at : at + width] = content


def cut_off(data: bytearray, rng: random.Random) -> None:
    """The end is missing."""
    del data[rng.randrange(len(data) + 1) :]


def take_out(data: bytearray, rng: random.Random) -> None:
    """A piece is missing."""
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 2, 4, 16, 256))]


def put_in(data: bytearray, rng: random.Random) -> None:
    """A piece too many, of noise or of one value."""
    size, at = rng.choice((1, 2, 4, 16, 256, 4096)), rng.randrange(len(data) + 1)
    data[at:at] = rng.choice((rng.randbytes(size), bytes([rng.choice((0, 0xFF, rng.randrange(256)))]) * size))


def repeat(data: bytearray, rng: random.Random) -> None:
    """A piece many times over."""
    at = rng.randrange(len(data) + 1)
    piece = bytes(data[at : at + rng.choice((1, 2, 4, 8, 12, 20, 64, 256))])
    data[at:at] = piece * rng.choice((1, 2, 10, 100, 1000, 20_000))
    del data[LARGEST:]


def move(data: bytearray, rng: random.Random) -> None:
    """A piece somewhere else."""
    at, size = rng.randrange(len(data) + 1), rng.choice((4, 12, 64, 512))
    piece = data[at : at + size]
    del data[at : at + size]
    to = rng.randrange(len(data) + 1)
    data[to:to] = piece


MUTATORS: tuple[Mutator, ...] = (
    change_bytes, change_head, write_extreme, write_extreme, cut_off, take_out, put_in, repeat, move,
)  # fmt: skip
