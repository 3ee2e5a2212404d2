"""What is no regular file is not read, nor waited for."""

import os
from pathlib import Path

import pytest

from evalkit.storage.files import open_regular, read_regular


def link(path):
    """A symbolic link to a file."""
    (path.parent / "target").write_text("x")
    path.symlink_to("target")


def second_name(path):
    """A second name for a file."""
    (path.parent / "target").write_text("x")
    os.link(path.parent / "target", path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (link, "it is a symbolic link"),
        (second_name, "it is a hard link"),
        (os.mkfifo, "it is a pipe"),
        (Path.mkdir, "it is a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "it is a symbolic link"),
        (lambda path: path.write_text("x" * 11), "it has 11 bytes, and 10 are allowed"),
    ],
)
def test_only_a_plain_file_of_one_name_is_opened(tmp_path, make, message):
    """Whatever else has the name is refused by what it is."""
    path = tmp_path / "entry.json"
    make(path)
    with pytest.raises(OSError, match=message):
        read_regular(path, limit=10, alone=True)


@pytest.mark.parametrize(("target", "message"), [("/dev/zero", "it is a device"), ("/", "it is a folder")])
def test_a_link_leads_to_a_file_or_nowhere(tmp_path, target, message):
    """Links are followed where they may be, and what they lead to is looked at."""
    path = tmp_path / "table.csv"
    path.symlink_to(target)
    with pytest.raises(OSError, match=message):
        open_regular(path)


def test_a_file_is_read_through_its_links(tmp_path):
    """A user's own files may be linked."""
    path = tmp_path / "table.csv"
    link(path)
    assert read_regular(path, limit=10) == b"x"
