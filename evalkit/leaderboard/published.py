"""What has landed stays: entries as they are now, held against those of the base branch."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import EntryError
from evalkit.leaderboard.store import ENTRY_FILE, OUTPUTS_FILE, VERIFICATION_FILE, Leaderboard
from evalkit.leaderboard.verify import EntryProblem
from evalkit.scores.run import ITEMS, OWN_KEYS


def published_problems(leaderboard: Leaderboard, base: str, *, maintainer: bool = False) -> list[EntryProblem]:
    """What differs from the base branch and must not.

    Metrics may be added to an entry; no score, reason, declaration or output that is there may change, and no entry
    may go. Verifications are the maintainers' to write.

    Args:
        leaderboard: As it is now, inside a git work tree.
        base: The branch or commit with what has landed.
        maintainer: Whether the change comes from a maintainer.

    Raises:
        EntryError: git does not know the base, or the folder is in no work tree.
    """
    if base.startswith("-"):
        raise EntryError(f"'{base}' is no branch or commit. Name one: --base origin/main")
    return list(_problems(leaderboard, base, maintainer=maintainer))


def _problems(leaderboard: Leaderboard, base: str, *, maintainer: bool) -> Iterator[EntryProblem]:
    before = _landed_files(leaderboard, base)
    for name in sorted(before):
        path = leaderboard.root / name
        last = path.name
        if last == VERIFICATION_FILE or last not in (ENTRY_FILE, OUTPUTS_FILE, ITEMS):
            continue
        if not path.exists():
            yield EntryProblem(code="landed_changed", where=name, message="it had landed, and is not there any more")
            continue
        old, new = _shown(leaderboard, base, name), path.read_bytes()
        if old != new and (wrong := _changed(last, old, new)):
            yield EntryProblem(code="landed_changed", where=name, message=wrong)
    if maintainer:
        return
    for path in sorted((leaderboard.root / "entries").glob(f"*/*/*/{VERIFICATION_FILE}")):
        name = path.relative_to(leaderboard.root).as_posix()
        if name not in before or _shown(leaderboard, base, name) != path.read_bytes():
            said = "a verification is written by the maintainers: evalkit leaderboard rescore"
            yield EntryProblem(code="verification_changed", where=name, message=said)


def _changed(kind: str, old: bytes, new: bytes) -> str | None:
    """What a file of an entry says otherwise than it did; None where something was only added."""
    try:
        if kind == ENTRY_FILE:
            before, now = json.loads(old), json.loads(new)
            differ = [key for key, value in before.items() if key != "run_sha256" and now.get(key) != value]
            return f"{differ[0]} had landed as {before[differ[0]]!r:.80}" if differ else None
        if kind == ITEMS:
            return _changed_scores(_rows(old), _rows(new))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "it cannot be held against what had landed: it is not of its schema"
    return "outputs that had landed were exchanged"


def _changed_scores(before: Mapping[Any, dict[str, Any]], now: Mapping[Any, dict[str, Any]]) -> str | None:
    for key, row in before.items():
        changed = now.get(key, {})
        for name, value in row.items():
            if name not in ("reasons", *OWN_KEYS) and (name not in changed or changed[name] != value):
                return f"{name} of {key[0]} had landed as {value}, and is now {changed.get(name, 'absent')}"
    return None


def _rows(content: bytes) -> dict[Any, dict[str, Any]]:
    rows = [json.loads(line) for line in content.decode().split("\n") if line]
    return {(row["item_id"], row.get("seed")): row for row in rows}


def _landed_files(leaderboard: Leaderboard, base: str) -> list[str]:
    listed = _git(leaderboard.root, "ls-tree", "-r", "-z", "--name-only", base, "--", "entries")
    return [name for name in listed.decode().split("\0") if name]


def _shown(leaderboard: Leaderboard, base: str, name: str) -> bytes:
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
