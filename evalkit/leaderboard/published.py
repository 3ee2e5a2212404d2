"""What is published stays: entries as they are now, held against those of the base branch."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.comparison.load import signature_fields
from evalkit.errors import EntryError
from evalkit.leaderboard.store import ENTRY_FILE, OUTPUTS_FILE, VERIFICATION_FILE, Leaderboard
from evalkit.leaderboard.verify import EntryProblem
from evalkit.scores.run import ITEMS, RECORD

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
    declaration or output that is there may change, and no entry may go. Verifications are the maintainers' to write.

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
    listing = _git(leaderboard.root, "ls-tree", "-r", "-z", "--name-only", base, "--", "entries")
    before = {name for name in listing.decode().split("\0") if name}
    for name in sorted(before):
        path = leaderboard.root / name
        if path.name not in (ENTRY_FILE, OUTPUTS_FILE, RECORD, ITEMS):
            continue
        if not path.exists():
            yield EntryProblem(code="landed_changed", where=name, message="it had landed, and is not there any more")
            continue
        old, new = _at_base(leaderboard, base, name), path.read_bytes()
        if old != new and (change := _change(path.name, old, new)):
            yield EntryProblem(code="landed_changed", where=name, message=change)
    if maintainer:
        return
    for path in sorted((leaderboard.root / "entries").glob(f"*/*/*/{VERIFICATION_FILE}")):
        name = path.relative_to(leaderboard.root).as_posix()
        if name not in before or _at_base(leaderboard, base, name) != path.read_bytes():
            message = "a verification is written by the maintainers: evalkit leaderboard rescore"
            yield EntryProblem(code="verification_changed", where=name, message=message)


def _change(name: str, old: bytes, new: bytes) -> str | None:
    """What a file of an entry says otherwise than it did; None where something was only added."""
    if name == OUTPUTS_FILE:
        return "outputs that had landed were exchanged"
    try:
        if name == ITEMS:
            return _changed_items(old, new)
        before, now = json.loads(old), json.loads(new)
        if name == RECORD:
            return _changed_record(before, now)
        changed = next((key for key, value in before.items() if key != "run_sha256" and now.get(key) != value), None)
        return None if changed is None else f"{changed} had landed as {before[changed]!r:.80}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "it cannot be held against what had landed: it is not of its schema"


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
    changed = next((key for key, value in before.items() if key not in free and now.get(key) != value), None)
    return None if changed is None else f"{changed} had landed as {before[changed]!r:.80}"


def _kept(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> bool:
    """Whether a metric or an encoder is what it was, but for fields that its signature may have gained."""
    if now is None or "signature" not in before:
        return now == before
    old, new = (signature_fields(of["signature"]) for of in (before, now))
    return {**before, "signature": ""} == {**now, "signature": ""} and new.items() >= old.items()


def _changed_items(old: bytes, new: bytes) -> str | None:
    before, now = _facts_by_edit(old), _facts_by_edit(new)
    for edit, facts in before.items():
        changed = now.get(edit, {})
        for name, value in facts.items():
            if name not in changed or changed[name] != value:
                return f"{name} of {edit[0]} had landed as {value}, and is now {changed.get(name, 'absent')}"
    return None


def _facts_by_edit(lines: bytes) -> dict[Any, dict[str, Any]]:
    """Item and seed to everything that its line says, each reason by itself: reasons of new metrics may be added."""
    found = {}
    for line in lines.decode().split("\n"):
        if line:
            row = json.loads(line)
            reasons = {f"the reason for no {name}": reason for name, reason in row.pop("reasons", {}).items()}
            found[row["item_id"], row.get("seed")] = {**row, **reasons}
    return found


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
