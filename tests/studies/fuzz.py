"""The long form of the fuzz tests: what came of many spoilt files, by kind and family.

::

    python -m tests.studies.fuzz images --cases 20000             # prints the table, lists faults, exit code 3 if any
    python -m tests.studies.fuzz images --cases 20000 --write     # and puts it into fuzz.md in place of the last one
    python -m tests.studies.fuzz documents --only 4711            # one case again, its file written beside

A case is the same on every machine: ``--seed`` and its number name it. Ctrl-C ends after the case that is tried, with
the table of those so far. One process; a crash of a decoder ends it with Python's traceback, and the number of the case
is the last line of standard error.
"""

import argparse
import faulthandler
import platform
import random
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import PIL

from tests.cli.documents import DOCUMENTS
from tests.images.corpus import IMAGES
from tests.support.fuzzing import MUTATORS, FuzzCase, FuzzKind, fuzz, spoilt

KINDS: Mapping[str, FuzzKind] = {"documents": DOCUMENTS, "images": IMAGES}
"""By the name on the command line."""
RESULTS = Path(__file__).with_suffix(".md")
HEAD = """# What came of spoilt files

Small files of every family, with one to six things done to each (`tests/support/fuzzing.py` and the kind's own
mutators). *Sentence*: refused in one sentence. *Decoded*: read. *Fault*: anything else, more memory or more time than
is stated. Memory is the process's peak above what it had before the case; seconds are of one core.
"""


def table(cases: list[FuzzCase]) -> str:
    """A row for each family, and one for all."""
    lines = [
        "| family | cases | sentence | decoded | fault | peak memory, MiB | longest, s |",
        "|---|---|---|---|---|---|---|",
    ]
    families = sorted({case.family for case in cases})
    for family in [*families, "all"]:
        of = [case for case in cases if family in ("all", case.family)]
        counts = [sum(case.outcome == outcome for case in of) for outcome in ("sentence", "decoded", "fault")]
        peak, longest = max(case.peak_bytes for case in of) / 2**20, max(case.seconds for case in of)
        lines.append(f"| {family} | {len(of)} | {' | '.join(map(str, counts))} | {peak:.0f} | {longest:.2f} |")
    return "\n".join(lines)


def section(name: str, cases: list[FuzzCase], command: str) -> str:
    """The part of the results file about one kind."""
    kind = KINDS[name]
    limits = f"{kind.bytes_limit >> 20} MiB and {kind.seconds_limit:g} s"
    versions = f"Python {platform.python_version()}, Pillow {PIL.__version__}"
    worst = max(cases, key=lambda case: case.seconds)
    largest = max(cases, key=lambda case: case.peak_bytes)
    faults = [f"* {case.name}: {case.why}" for case in cases if case.outcome == "fault"]
    notes = [f"Longest: {worst.name}. Most memory: {largest.name}.", *faults]
    return f"## {name}\n\n`{command}` ({versions}); limits: {limits}.\n\n{table(cases)}\n\n" + "\n".join(notes) + "\n"


def write(name: str, text: str) -> None:
    """Put a kind's section into the results file, in place of its last one."""
    old = RESULTS.read_text() if RESULTS.exists() else HEAD
    head, *others = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    kept = {part.partition("\n")[0].removeprefix("## "): part.rstrip() + "\n" for part in others} | {name: text}
    RESULTS.write_text("\n".join([head.rstrip() + "\n", *(kept[each] for each in sorted(kept))]))


def main() -> int:
    """Run a kind's cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=20_261_129)
    parser.add_argument("--only", type=int, help="one case, by its number")
    parser.add_argument("--write", action="store_true", help=f"put the table into {RESULTS.name}")
    options = parser.parse_args()
    faulthandler.enable()
    kind = KINDS[options.kind]
    if options.only is not None:
        seeds = kind.seeds()
        name = sorted(seeds)[options.only % len(seeds)]
        rng = random.Random(f"{options.seed}/{options.only}")
        Path("case.bin").write_bytes(data := spoilt(seeds, name, rng, (*MUTATORS, *kind.mutators)))
        print(f"{name}, {len(data)} bytes, now in case.bin: {kind.examine(name, data) or 'decoded'}")
        return 0
    cases: list[FuzzCase] = []
    interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: interrupted.append(number))
    for case in fuzz(kind, options.cases, options.seed):
        cases.append(case)
        print(f"\r{len(cases)} of {options.cases}", end="", file=sys.stderr, flush=True)
        if case.outcome == "fault":
            print(f"\n{case.name}: {case.why}", file=sys.stderr)
        if interrupted:
            break
    print(file=sys.stderr)
    print(text := section(options.kind, cases, f"python -m tests.studies.fuzz {options.kind} --cases {len(cases)}"))
    if options.write:
        write(options.kind, text)
    return 3 if any(case.outcome == "fault" for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
