"""Entries are plain files: whatever else is sent is a problem by name, and nothing is read through it."""

import os
import shutil
import sys
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.errors import EntryError
from evalkit.leaderboard.files import LIMITS
from evalkit.leaderboard.published import published_problems
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.thumbnails import picture_fault
from evalkit.leaderboard.verify import verify
from evalkit.storage.files import read_regular
from tests.leaderboard.test_verify import publish
from tests.support.boards import SITE
from tests.support.entries import resealed

ENTRY = "entries/few/v1/good"
SECRET = "TOPSECRET-5f2c"


@pytest.fixture
def secret(tmp_path):
    """A file of the machine that builds the site, outside of the leaderboard."""
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


def picture_of(folder):
    """The first picture of an entry."""
    return min((folder / "pictures").iterdir())


def linked(name):
    """A file becomes a link to the secret."""

    def tamper(root, secret):
        path = picture_of(root / ENTRY) if name == "picture" else root / name
        path.unlink(missing_ok=True)
        path.symlink_to(secret)
        return path

    return tamper


def hard_linked(root, secret):
    """A file is another name of the secret."""
    path = picture_of(root / ENTRY)
    path.unlink()
    os.link(secret, path)
    return path


def moved_away(name):
    """A folder becomes a link to where it was moved."""

    def tamper(root, secret):
        path, target = root / name, secret.parent / "elsewhere"
        path.rename(target)
        path.symlink_to(target)
        return path

    return tamper


def made(name, make):
    """A file is replaced by something else."""

    def tamper(root, _secret):
        path = picture_of(root / ENTRY) if name == "picture" else root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        return path

    return tamper


def endless(path):
    """A file that takes no room on the disk and all of the memory."""
    with path.open("wb") as file:
        file.truncate(1 << 36)


KINDS = {
    "linked picture": (linked("picture"), "it is a symbolic link"),
    "linked record": (linked(f"{ENTRY}/run.json"), "it is a symbolic link"),
    "linked items": (linked(f"{ENTRY}/items.jsonl"), "it is a symbolic link"),
    "linked unknown file": (linked(f"{ENTRY}/notes.txt"), "it is a symbolic link"),
    "linked card": (linked("methods/good.yaml"), "it is a symbolic link"),
    "linked table": (linked("reported/old.yaml"), "it is a symbolic link"),
    "linked schema": (linked("schema/card.schema.json"), "it is a symbolic link"),
    "linked template": (linked("site/site.css"), "it is a symbolic link"),
    "linked pictures": (moved_away(f"{ENTRY}/pictures"), "it is a symbolic link"),
    "linked entry": (moved_away(ENTRY), "it is a symbolic link"),
    "linked board": (moved_away("entries/few/v1"), "it is a symbolic link"),
    "linked schemas": (moved_away("schema"), "it is a symbolic link"),
    "linked methods": (moved_away("methods"), "it is a symbolic link"),
    "link to nothing": (made("picture", lambda path: path.symlink_to("nowhere.png")), "it is a symbolic link"),
    "link to a device": (made(f"{ENTRY}/entry.json", lambda path: path.symlink_to("/dev/zero")), "symbolic link"),
    "hard link": (hard_linked, "it is a hard link"),
    "pipe": (made(f"{ENTRY}/outputs.jsonl", os.mkfifo), "it is a pipe"),
    "pipe of items": (made(f"{ENTRY}/items.jsonl", os.mkfifo), "it is a pipe"),
    "folder for a file": (made(f"{ENTRY}/entry.json", Path.mkdir), "it is a folder, and no folder belongs there"),
    "folder for a picture": (made("picture", Path.mkdir), "it is a folder, and no folder belongs there"),
    "file for a folder": (made(f"{ENTRY}/pictures", Path.touch), "it is a file, and a folder belongs there"),
    "file for the entries": (made("entries", Path.touch), "it is a file, and a folder belongs there"),
    "endless record": (made(f"{ENTRY}/entry.json", endless), "it has 68,719,476,736 bytes, and 1,048,576 are"),
    "endless items": (made(f"{ENTRY}/items.jsonl", endless), "it has 68,719,476,736 bytes, and 16,777,216 are"),
    "endless picture": (made("picture", endless), "it has 68,719,476,736 bytes, and 65,536 are allowed"),
    "endless card": (made("methods/good.yaml", endless), "it has 68,719,476,736 bytes, and 262,144 are allowed"),
}


_opened: list[str] = []
"""What is opened or listed, while a test looks; a hook cannot be taken away again."""
sys.addaudithook(lambda event, details: _opened.append(str(details[0])) if event in ("open", "os.scandir") else None)


def leads_out(path, root):
    """Whether what was opened below the test's own folder is none of the leaderboard's own files and folders."""
    return path.startswith(str(root.parent)) and not Path(os.path.realpath(path)).is_relative_to(root)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_is_a_problem_by_name(copied, secret, kind):
    """It is named, with what it is; every other entry is reported; nothing is built, and nothing of it is opened."""
    shutil.copytree(SITE, copied.root / "site")
    (copied.root / "reported").mkdir()
    tamper, reason = KINDS[kind]
    path = tamper(copied.root, secret)
    _opened.clear()
    verified = verify(copied)
    first = verified.problems[0]

    assert _opened
    assert [path for path in _opened if leads_out(path, copied.root)] == []
    assert (first.code, first.where) == ("no_plain_file", path.relative_to(copied.root).as_posix())
    assert reason in first.message
    assert SECRET not in str(verified)
    if kind not in ("linked board", "linked methods", "file for the entries"):
        assert {entry.method for entry in verified.entries} >= {"fair", "lazy", "identity", "reference"}
    with pytest.raises(EntryError, match="The site is not built: "):
        build(copied, secret.parent / "site")


@pytest.mark.parametrize("kind", ["linked picture", "linked card", "linked entry", "linked methods", "pipe of items"])
def test_no_command_reads_an_entry_through_it(copied, secret, kind):
    """Whatever takes an entry by name refuses the whole of it."""
    tamper, _ = KINDS[kind]
    tamper(copied.root, secret)
    where = ("few/v1/good", "--leaderboard", str(copied.root))
    target = secret.parent / "out"
    exported = CliRunner().invoke(
        main, ["leaderboard", "export", *where, "--dataset-id", "a/b", "--url", "https://x", "--output", str(target)]
    )
    scored = CliRunner().invoke(main, ["leaderboard", "rescore", *where, "--outputs", str(copied.root)])

    assert (exported.exit_code, scored.exit_code) == (1, 1)
    assert "cannot be read" in exported.stderr or "is not read" in exported.stderr
    assert SECRET not in exported.output + scored.output
    assert not target.exists()


def test_a_deep_folder_is_not_looked_into(copied):
    """Where no folder belongs, what is in it does not matter, however much it is."""
    copied.root.joinpath(ENTRY, "pictures", *["d"] * 200).mkdir(parents=True)
    problems = verify(copied).problems

    assert [(problem.code, problem.where) for problem in problems] == [("no_plain_file", f"{ENTRY}/pictures/d")]


def png(width, height):
    """A PNG of one colour."""
    file = BytesIO()
    Image.new("RGB", (width, height), (9, 9, 9)).save(file, "PNG")
    return file.getvalue()


PICTURE_FAULTS = {
    b"": "it is no PNG",
    SECRET.encode(): "it is no PNG",
    b"GIF89a" + b"\0" * 100: "it is no PNG",
    png(16, 16)[:40]: "cannot be used as an image",
    png(129, 16): "it has 129 × 16 pixels, and 128 a side are allowed",
    png(16, 16)[:16] + b"\x7f\xff\xff\xff" * 2 + png(16, 16)[24:]: "2,147,483,647 × 2,147,483,647 pixels",
}


@pytest.mark.parametrize(("data", "reason"), PICTURE_FAULTS.items())
def test_pictures_are_pngs_of_their_size(copied, data, reason):
    """A picture that is something else, or would fill the memory of whoever looks at it, is a problem by name."""
    path = picture_of(copied.root / ENTRY)
    path.write_bytes(data)
    (problem,) = verify(copied).problems

    assert (problem.code, problem.where) == ("wrong_picture", ENTRY)
    assert path.name in problem.message
    assert reason in problem.message
    assert picture_fault(png(128, 16)) is None


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(png(16, 16))])
def test_pictures_that_have_landed_stay(copied, change):
    """Nobody but a maintainer exchanges a picture, or takes one away."""
    publish(copied)
    change(picture_of(copied.root / ENTRY))

    assert [problem.code for problem in published_problems(copied, "main")] == ["landed_changed"]
    assert published_problems(copied, "main", maintainer=True) == []


@pytest.mark.parametrize("kind", ["linked record", "linked entry", "link to a device", "pipe", "endless items"])
def test_what_has_landed_is_not_compared_through_a_link(copied, secret, kind):
    """The comparison with the base branch reads nothing that is no plain file, and does not wait for it."""
    shutil.copytree(SITE, copied.root / "site")
    (copied.root / "reported").mkdir()
    publish(copied)
    tamper, _ = KINDS[kind]
    tamper(copied.root, secret)
    _opened.clear()
    problems = published_problems(copied, "main")

    assert [path for path in _opened if leads_out(path, copied.root)] == []
    assert SECRET not in str(problems)
    assert {problem.code for problem in problems} == {"landed_changed"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (f"{ENTRY}/items.jsonl", "[" * 30_000, "nested too deeply"),
        (f"{ENTRY}/run.json", '{"format":' + "[" * 30_000, "nested too deeply"),
        (f"{ENTRY}/outputs.jsonl", "[" * 30_000, "line 1: it is nested too deeply"),
        (f"{ENTRY}/entry.json", '{"method": "good", "method": "fair"}', "the key 'method' is there twice"),
        ("methods/a.yaml", "[" * 60_000, "nested too deeply"),
        ("methods/good.yaml", "name: good\nname: fair\n", "the key 'name' is there twice"),
        ("reported/a.yaml", "[" * 60_000, "nested too deeply"),
    ],
)
def test_a_file_beyond_the_bounds_is_a_problem_by_name(copied, name, content, message):
    """A parser's stack and time are not used up, and all other entries are reported."""
    (copied.root / name).parent.mkdir(exist_ok=True)
    (copied.root / name).write_text(content)
    if name.endswith("items.jsonl"):
        resealed(copied.root / ENTRY)
    verified = verify(copied)

    assert {problem.code for problem in verified.problems} == {"unreadable"}
    assert message in verified.problems[0].message
    assert {entry.method for entry in verified.entries} >= {"fair", "lazy", "identity", "reference"}


def test_a_schema_of_other_bytes_is_stale(copied):
    """It is compared as bytes, whatever they are."""
    (copied.root / "schema" / "card.schema.json").write_bytes(b'{"title": "\xff\xfe"}\n')

    assert [(problem.code, problem.where) for problem in verify(copied).problems] == [
        ("stale_schema", "schema/card.schema.json")
    ]


def test_the_projects_own_files_are_far_from_the_limits():
    """No honest entry comes near them."""
    for path in Path("leaderboard/entries").rglob("*.*"):
        if path.is_file():
            assert len(read_regular(path, limit=LIMITS[path.suffix], alone=True)) < LIMITS[path.suffix] / 4
