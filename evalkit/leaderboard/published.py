"""What is published stays: entries and cards as they are now, held against those of the base branch."""

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from evalkit.errors import EntryError, RunError
from evalkit.leaderboard.files import CARDS, ENTRIES, JUDGED, PICTURES, VOTES, link_fault, read_file
from evalkit.leaderboard.records import Card, Entry
from evalkit.leaderboard.records_io import parse_record, parse_yaml_record
from evalkit.leaderboard.store import ENTRY_FILE, OUTPUTS_FILE, VERIFICATION_FILE, Leaderboard
from evalkit.leaderboard.verify import EntryProblem
from evalkit.scores.item_lines import item_lines
from evalkit.scores.run import ITEMS, RECORD, RunRecord
from evalkit.scores.signatures import signature_fields

_EditKey = tuple[str, int | None]
"""Item and seed."""
_Facts = Mapping[str, Any]
_KEPT = frozenset({ENTRY_FILE, OUTPUTS_FILE, RECORD, ITEMS})
_OF_THE_LAST_RUN = frozenset(
    (
        "folder",
        "problems",
        "images",
        "versions",
        "started",
        "seconds",
        "n_encoded_images",
        "n_encoded_texts",
        "n_compared_pairs",
    )
)
"""What ``run.json`` says of the latest scoring, which may be another one once metrics were added."""


def published_problems(leaderboard: Leaderboard, base: str, *, maintainer: bool = False) -> list[EntryProblem]:
    """What differs from the base branch and must not.

    Metrics may be added to an entry, and to a signature fields that say more of what was done; no score, reason,
    declaration or output that is there may change, and no entry may go. Verifications are the maintainers' to write,
    and only they change a card or a picture.

    Args:
        leaderboard: As it is now, inside a git work tree.
        base: The branch or commit with what is published.
        maintainer: Whether the change comes from a maintainer.

    Raises:
        EntryError: git does not know the base, or the folder is in no work tree.
    """
    if base.startswith("-"):
        raise EntryError(f"'{base}' is no branch or commit. Name one: --base origin/main")
    return list(_problems(leaderboard, base, maintainer=maintainer))


def _problems(leaderboard: Leaderboard, base: str, *, maintainer: bool) -> Iterator[EntryProblem]:
    listing = _git(leaderboard.root, "ls-tree", "-r", "-z", "--name-only", base, "--", ENTRIES, CARDS, VOTES)
    before = {name for name in os.fsdecode(listing).split("\0") if name}
    for name in sorted(before):
        path = leaderboard.root / name
        if name.startswith(f"{VOTES}/"):  # a rater may take a vote back: the maintainers see to it
            if not maintainer and _at_base(leaderboard, base, name) != _now(leaderboard, path):
                yield EntryProblem(code="landed_changed", where=name, message="votes that had landed were changed")
            continue
        stays = path.name in _KEPT or _is_judged(path) or (path.parent.name in (PICTURES, CARDS) and not maintainer)
        if stays and (change := _change(path, _at_base(leaderboard, base, name), _now(leaderboard, path))):
            yield EntryProblem(code="landed_changed", where=name, message=change)
    if maintainer:
        return
    for path in leaderboard.paths(f"{ENTRIES}/*/*/*/{VERIFICATION_FILE}"):
        name = path.relative_to(leaderboard.root).as_posix()
        if name not in before or _at_base(leaderboard, base, name) != _now(leaderboard, path):
            message = "a verification is written by the maintainers: evalkit leaderboard rescore"
            yield EntryProblem(code="verification_changed", where=name, message=message)


def _is_judged(path: Path) -> bool:
    """Whether a file belongs to what a judge said."""
    return path.parent.parent.name == JUDGED


def _now(leaderboard: Leaderboard, path: Path) -> bytes | None:
    """What a file holds; None where there is none that may be read, which :func:`verify` says."""
    try:
        return None if link_fault(leaderboard.root, path) else read_file(path)
    except EntryError:
        return None


def _change(path: Path, old: bytes, new: bytes | None) -> str | None:
    """What a file of an entry says otherwise than it did; None where something was only added."""
    if new is None:
        return "it had landed, and is not there any more, or cannot be read"
    if new == old:
        return None
    if _is_judged(path):
        return "judgements that had landed were changed"
    if path.name == OUTPUTS_FILE:
        return "outputs that had landed were exchanged"
    if path.parent.name == PICTURES:
        return "a picture that had landed was exchanged"
    try:
        if path.parent.name == CARDS:
            said = parse_yaml_record(path, old, Card).model_dump(exclude_unset=True)  # a new field may be added
            return _changed_fields(said, parse_yaml_record(path, new, Card).model_dump())
        if path.name == ITEMS:
            return _changed_items(_facts_by_edit(old), _facts_by_edit(new))
        if path.name == RECORD:
            return _changed_record(*(parse_record(path, data, RunRecord).model_dump() for data in (old, new)))
        before, now = (parse_record(path, data, Entry).model_dump() for data in (old, new))
        return _changed_fields(before, now, {"run_sha256"})
    except (EntryError, RunError) as failure:
        return f"it cannot be held against what had landed: it is not of its schema: {failure}"


def _changed_fields(before: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> str | None:
    changed = next((key for key, value in before.items() if key not in free and now[key] != value), None)
    return None if changed is None else f"{changed} had landed as {before[changed]!r:.80}"


def _changed_record(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What is said otherwise of the metrics and encoders that were there, or, where none was added, of anything."""
    parts = ("metrics", "encoders")
    for part in parts:
        for name, value in before[part].items():
            if not _kept(value, now[part].get(name)):
                return (
                    f"{name} in {part} had landed as {value!r:.200}, and is now {now[part].get(name, 'absent')!r:.200}"
                )
    added = now["metrics"].keys() > before["metrics"].keys()
    free = {*parts, "items_sha256", *(_OF_THE_LAST_RUN if added else ())}
    return _changed_fields(before, now, free)


def _kept(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> bool:
    """Whether a metric or an encoder is what it was, but for fields that its signature may have gained."""
    if now is None or "signature" not in before:
        return now == before
    old, new = (signature_fields(of["signature"]) for of in (before, now))
    return {**before, "signature": ""} == {**now, "signature": ""} and new.items() >= old.items()


def _changed_items(before: Mapping[_EditKey, _Facts], now: Mapping[_EditKey, _Facts]) -> str | None:
    for edit, facts in before.items():
        changed = now.get(edit, {})
        for name, value in facts.items():
            if name not in changed or changed[name] != value:
                return f"{name} of {edit[0]} had landed as {value}, and is now {changed.get(name, 'absent')}"
    return None


def _facts_by_edit(lines: bytes) -> dict[_EditKey, _Facts]:
    """Item and seed to everything that its line says, each reason by itself: reasons of new metrics may be added."""
    return {
        (line.item_id, line.seed): {
            **line.model_dump(exclude={"item_id", "seed", "reasons"}),
            **{f"the reason for no {name}": reason for name, reason in line.reasons.items()},
        }
        for _, line in item_lines(BytesIO(lines), ITEMS)
    }


def _at_base(leaderboard: Leaderboard, base: str, name: str) -> bytes:
    return _git(leaderboard.root, "show", f"{base}:./{name}")


def _git(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(  # noqa: S603 - git alone, without a shell
        ["git", *arguments],  # noqa: S607 - whichever git the user has
        cwd=root,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise EntryError(
            f"git cannot show what has landed: {done.stderr.decode(errors='replace').strip()}. Name the base branch, "
            "and fetch it first: git fetch origin main"
        )
    return done.stdout
