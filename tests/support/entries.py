"""What a submitter, a cheat or a maintainer may do to the files of entries."""

import hashlib
import json
import subprocess


def resealed(path):
    """The entry with all its digests made to fit again, as a cheat would."""
    record = json.loads((path / "run.json").read_text())
    record["items_sha256"] = hashlib.sha256((path / "items.jsonl").read_bytes()).hexdigest()
    (path / "run.json").write_text(json.dumps(record, indent=2))
    entry = json.loads((path / "entry.json").read_text())
    entry["run_sha256"] = hashlib.sha256((path / "run.json").read_bytes()).hexdigest()
    entry["outputs_sha256"] = hashlib.sha256((path / "outputs.jsonl").read_bytes()).hexdigest()
    (path / "entry.json").write_text(json.dumps(entry))


def change_rows(path, name, change):
    """Every line of a file with lines, changed by a function of the list of records."""
    rows = [json.loads(line) for line in (path / name).read_text().splitlines()]
    rows = change(rows)
    (path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def change_json(path, name, /, **fields):
    """Some fields of a JSON file."""
    content = json.loads((path / name).read_text())
    (path / name).write_text(json.dumps({**content, **fields}))


def better(rows):
    """One score is improved."""
    worst = next(row for row in rows if row["edit_success"] == 0)
    worst["edit_success"] = 1.0
    return rows


def publish(board):
    """Puts the leaderboard on the branch main of a repository."""
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "Land"]):
        subprocess.run(["git", *name, *arguments], cwd=board.root.parent, check=True, capture_output=True)
    return board
