"""Kills commands at each of their writes, gives the same command again, and holds what comes out against a whole run.

``python -m tests.support.kills CASE [--all | --limit BYTES]`` prints one JSON object. A write is whatever
Python reports to an audit hook before it is done: a file opened to be written, a folder made, a name changed or
removed. At the renaming of a draft the process is killed twice: with the draft whole, and with half of it.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

KILLED = 77
"""Exit status of a process that the hook ended."""
_CREATES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


@dataclass(frozen=True)
class Case:
    """A command, and what must be there before it."""

    argv: tuple[str, ...]
    prepare: Callable[[], None] = lambda: None
    """Called in the folder in which the command is going to run."""


@dataclass(frozen=True)
class Kill:
    """A moment: before which write, and whether the draft that was about to be renamed is cut in half."""

    index: int
    half: bool = False


class Writes:
    """Counts the writes below a folder, and ends the process before one of them."""

    def __init__(self, root: Path, kill: Kill | None) -> None:
        self.root = root.resolve()
        self.kill = kill
        self.kinds: list[str] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if event not in _EVENTS or not isinstance(args[0], str | bytes | os.PathLike):
            return
        path = self.root / os.fsdecode(args[0])
        if not path.is_relative_to(self.root) or (event == "open" and not args[2] & _CREATES):
            return
        is_draft = event == "os.rename" and path.is_file() and path.name.startswith(".")
        if self.kill and self.kill.index == len(self.kinds):
            kill, self.kill = self.kill, None
            if kill.half and is_draft:  # threads write in another order each time
                os.truncate(path, path.stat().st_size // 2)
            os._exit(KILLED)
        self.kinds.append(f"{event} of a draft" if is_draft else event)


def in_child(work: Path, do: Callable[[], None], kill: Kill | None = None) -> tuple[int, list[str]]:
    """Runs something in a process of its own, in a folder; its exit status, and the kinds of writes that it made."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.chdir(work)
            writes = Writes(work, kill)
            sys.addaudithook(writes)
            try:
                do()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            os.write(writer, json.dumps(writes.kinds).encode())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as told:
        kinds = json.loads(told.read() or "[]")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), kinds


def command(argv: tuple[str, ...]) -> None:
    """A command of evalkit, silent on standard output."""
    from evalkit.cli import main

    os.dup2(2, 1)
    try:
        main(list(argv))
    except SystemExit as end:
        if end.code:
            raise


@contextmanager
def without_clock() -> Iterator[None]:
    """Times of day and durations are always the same, so that equal runs give equal bytes."""
    from evalkit.editing import edit, units
    from evalkit.leaderboard import submit
    from evalkit.scoring import score

    still = SimpleNamespace(monotonic=lambda: 0.0, perf_counter=lambda: 0.0)
    now = SimpleNamespace(now=lambda _: datetime(2026, 1, 1, tzinfo=UTC))
    for module in (edit, units, score):
        module.time = still  # type: ignore[attr-defined]
    for module in (submit, score):
        module.datetime = now  # type: ignore[attr-defined]
    yield


def contents(work: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder, without locks: its digest, and its inode."""
    files = (path for path in work.rglob("*") if path.is_file() and path.name != ".lock")
    return {
        str(path.relative_to(work)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_ino)
        for path in files
    }


def prepared(case: Case, root: Path) -> tuple[Path, Callable[[], None]]:
    """The folder in which a case runs, and what makes it new; what is cached is cached afterwards."""
    work, template = root / "work", root / "template"
    template.mkdir()
    work.mkdir()
    assert in_child(work, case.prepare)[0] == 0, "the case cannot be prepared"
    work.rename(template / "work")

    def fresh() -> None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(template / "work", work)

    fresh()
    assert in_child(work, lambda: command(case.argv))[0] == 0
    fresh()
    return work, fresh


def limited(case: Case, root: Path, n_bytes: int) -> dict[str, Any]:
    """Runs a case where no file can grow beyond some bytes, then where it can; what it said, and what it left."""
    import resource

    work, fresh = prepared(case, root)
    before = contents(work)
    assert in_child(work, lambda: command(case.argv))[0] == 0
    expected = {name: digest for name, (digest, _) in contents(work).items()}
    fresh()
    reader, writer = os.pipe()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        os.dup2(writer, 2)
        command(case.argv)

    status, _ = in_child(work, limit)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as told:
        said = told.read()
    drafts = [name for name in contents(work).keys() - before.keys() if Path(name).name.startswith(".")]
    again, _ = in_child(work, lambda: command(case.argv))
    found = {name: digest for name, (digest, _) in contents(work).items()}
    return {"status": status, "said": said, "drafts": drafts, "again": again, "equal": found == expected}


def tried(case: Case, root: Path, *, whole: bool) -> dict[str, Any]:
    """Kills a case at each of its writes, or at one of each kind; what came of it."""
    work, fresh = prepared(case, root)
    before = contents(work)
    status, kinds = in_child(work, lambda: command(case.argv))
    expected = {name: digest for name, (digest, _) in contents(work).items()}
    kills = [Kill(index, half) for index, kind in enumerate(kinds) for half in {False, kind == "os.rename of a draft"}]
    if not whole:
        kills = one_of_each(kills, kinds)
    failures, rewritten, unreached, started = [], [], 0, time.monotonic()
    for kill in kills:
        fresh()
        ended, _ = in_child(work, lambda: command(case.argv), kill)
        left = contents(work)
        again, _ = in_child(work, lambda: command(case.argv))
        after = contents(work)
        what = f"{kinds[kill.index]}, write {kill.index} of {len(kinds)}{', half' if kill.half else ''}"
        found = {name: digest for name, (digest, _) in after.items()}
        unreached += ended == status  # threads that make folders together may make fewer attempts
        if ended not in (KILLED, status) or again != status or found != expected:
            differ = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            failures.append(f"{what}: ended {ended}, then {again}; {differ[:3]}")
        done = [name for name, (digest, _) in left.items() if name not in before and expected.get(name) == digest]
        rewritten.append(sum(after[name][1] != left[name][1] for name in done if name in after))
    return {
        "n_writes": len(kinds),
        "n_kills": len(kills) - unreached,
        "n_unreached": unreached,
        "n_files": len(expected.keys() - before.keys()),
        "most_files_written_again": max(rewritten, default=0),
        "failures": failures,
        "seconds": round(time.monotonic() - started, 1),
    }


def one_of_each(kills: list[Kill], kinds: list[str]) -> list[Kill]:
    """Of each kind of write one in the middle, and the very last."""
    by_kind: dict[tuple[str, bool], list[Kill]] = {}
    for kill in kills:
        by_kind.setdefault((kinds[kill.index], kill.half), []).append(kill)
    return [*(alike[len(alike) // 2] for alike in by_kind.values()), kills[-1]]


def four() -> Any:
    """Two edits of two pictures each of the shapes benchmark, under a name of their own."""
    return _part_of_shapes("four", 2)


def two() -> Any:
    """One edit of each of two pictures."""
    return _part_of_shapes("two", 1)


def _part_of_shapes(name: str, n_edits: int) -> Any:
    from evalkit.benchmarks.shapes import shapes

    benchmark = shapes()
    groups = list(dict.fromkeys(item.group for item in benchmark.items))[:2]
    items = [[item for item in benchmark.items if item.group == group][:n_edits] for group in groups]
    return replace(benchmark, name=name, items=tuple(item for of_group in items for item in of_group))


def _protocol() -> Any:
    from tests.support.boards import FEW

    return replace(FEW, name="four/v1", benchmark="four", n_items=4)


FOUR = None
"""Their protocol; made when this file is run."""


def _edits(folder: str = "edits", method: str = "mine", noise: int = 2) -> None:
    import numpy as np
    from PIL import Image

    from evalkit.edits.manifest import write_manifest
    from evalkit.images.decode import read_image, write_image

    rng, items = np.random.default_rng(noise), []
    for item in four().load().items:
        pixels = np.array(read_image(item.reference_image), dtype=np.int16)
        noisy = np.clip(pixels + rng.integers(-noise, noise + 1, pixels.shape), 0, 255).astype(np.uint8)
        write_image(path := Path(folder, f"{item.item_id}.png"), Image.fromarray(noisy))
        items.append(replace(item, edited_image=path))
    write_manifest(Path(folder), items, benchmark="four", method=method)


def _board(*names: str) -> None:
    from tests.support.boards import SITE, card_of, empty_board, write_card

    _edits()
    empty_board(Path("board"))
    shutil.copytree(PROJECT / SITE, "board/site")
    for name in ("mine", *names):
        write_card(Path(f"{name}.yaml"), card_of(name, protocol="four/v1", pictures_licence="Apache-2.0"))
    for name in names:
        command(_submit(name))


def _submit(name: str, *more: str) -> tuple[str, ...]:
    return ("submit", "edits", "--card", f"{name}.yaml", "--leaderboard", "board", *more)


def _sources() -> None:
    Path("sources").mkdir()
    lines = ["item_id,source_image_file_name,target_caption"]
    for item in four().load().items:
        shutil.copyfile(item.source_image, Path("sources", item.source_image.name))
        lines.append(f"{item.item_id},{item.source_image.name},Another.")
    Path("captions.csv").write_text("\n".join(lines) + "\n")


def _runs() -> None:
    for name, noise in (("a", 2), ("b", 5)):
        _edits(f"edits_{name}", name, noise)
        command(("score", f"edits_{name}", "--metrics", "l1", "--output", f"run_{name}"))


PROJECT = Path.cwd()
_SCORE = ("score", "edits", "--metrics", "l1,clip_score", "--encoder", "miniature", "--output", "run")
_DATASET = ("dataset", "build", "four", "--output", "data")
_MAKE = ("edit", "identity", "--sources", "sources", "--captions", "captions.csv", "--output", "out")
_COMPARE = ("compare", "run_a", "run_b", "--report", "report.html", "--figures", "figures")
CASES = {
    "score": Case(_SCORE, _edits),
    "score again": Case(_SCORE, lambda: (_edits(), command(_SCORE))),
    "edit": Case(_MAKE, _sources),
    "edit control": Case(("edit", "wrong_attribute", "--benchmark", "four", "--output", "out")),
    "dataset build": Case(_DATASET),
    "dataset build again": Case(_DATASET, lambda: command(_DATASET)),
    "submit": Case(_submit("mine"), _board),
    "submit more": Case(_submit("mine"), lambda: (_board(), command(_submit("mine", "--metrics", "edit_success")))),
    "leaderboard build": Case(("leaderboard", "build", "--leaderboard", "board", "--output", "site"),
                              lambda: _board("one")),
    "validate": Case(("validate", "l1", "--benchmark", "two", "--output", "valid", "--figures", "figures")),
    "compare": Case(_COMPARE, _runs),
}  # fmt: skip


def main() -> None:
    """Tries one case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--all", action="store_true", dest="whole")
    parser.add_argument("--limit", type=int, metavar="BYTES")
    chosen = parser.parse_args()
    for library in ("torch", "datasets", "matplotlib.figure", "evalkit.leaderboard.site.build"):
        import_module(library)  # once, for all children

    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.benchmarks.protocols import PROTOCOLS

    global FOUR
    FOUR = _protocol()
    BENCHMARKS._builtin.update({name: f"{__name__}:{name}" for name in ("four", "two")})
    PROTOCOLS._builtin["four/v1"] = f"{__name__}:FOUR"
    with tempfile.TemporaryDirectory() as root, without_clock():
        os.environ["EVALKIT_CACHE"] = f"{root}/cache"
        case = CASES[chosen.case]
        if chosen.limit is None:
            result = tried(case, Path(root), whole=chosen.whole)
        else:
            result = limited(case, Path(root), chosen.limit)
    print(json.dumps(result))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
