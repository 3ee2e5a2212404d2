"""Files that are there whole or not at all."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evalkit.storage.atomic import atomic_update, atomic_write, finish_update, names_in_folder, remove_leftovers


def test_the_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    """Until the block ends readers see the old content, then the new, and no temporary file is left."""
    path = tmp_path / "new" / "file"
    for content in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with atomic_write(path) as temporary:
            temporary.write_text(content)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """When the block fails the old content stays and no temporary file is left."""
    path = tmp_path / "file"
    path.write_text("old")

    def fail_midway() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writers_draft_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    """Who writes a file removes what killed writers left of it; not what is being written, nor what looks alike."""
    path = tmp_path / "file"
    for name in (".file.1.1", f".file.{os.getpid()}.1"):
        (tmp_path / name).write_text("half")
    kept = [tmp_path / name for name in (".other.1.1", ".file.so.1.1", ".file.1", "file.1.1")]
    for other in kept:
        other.write_text("somebody's")
    with atomic_write(path) as ours, ThreadPoolExecutor(1) as pool:
        pool.submit(write_whole, path, "theirs").result()
        assert path.read_text() == "theirs"
        ours.write_text("ours")
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])
    assert path.read_text() == "ours"
    remove_leftovers(tmp_path)
    assert {found.name for found in tmp_path.iterdir()} == {"file", ".file.1", "file.1.1"}


def write_whole(path: Path, content: str) -> None:
    """Another writer of the same file."""
    with atomic_write(path) as temporary:
        temporary.write_text(content)


def test_an_update_changes_all_files_or_none(tmp_path: Path) -> None:
    """Until the block ends well the folder is as it was, with what others have there; then it holds all new files."""
    folder = tmp_path / "folder"
    with atomic_update(folder) as new:
        (new / "a").write_text("1")
    (folder / "notes").write_text("mine")

    def fail_midway() -> None:
        with atomic_update(folder) as new:
            (new / "a").write_text("2")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail_midway()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a": "1", "notes": "mine"}
    with atomic_update(folder) as new:
        (new / "below").mkdir()
        (new / "below" / "b").write_text("3")
        (new / "a").write_text("2")
        assert names_in_folder(folder) == {"a", "notes"}
        (folder / ".a.1.1").write_text("half")
        (folder / ".so.1.2").write_text("a library")
        assert names_in_folder(folder, ("a",)) == {"a", "notes", ".so.1.2"}
        (folder / ".a.1.1").unlink()
        (folder / ".so.1.2").unlink()
    files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert files == {"a": "2", "notes": "mine", "below/b": "3"}
    assert not finish_update(folder)


def test_a_full_disk_names_the_file_and_not_its_draft(tmp_path: Path) -> None:
    """Errors of the system carry the name that a person knows, also where several files change together."""

    def write(folder: Path) -> None:
        with atomic_write(folder / "table") as temporary, temporary.open("w"):
            raise OSError(errno.ENOSPC, "No space left on device")

    def update() -> None:
        with atomic_update(tmp_path) as new:
            write(new)

    for attempt in (lambda: write(tmp_path), update):
        with pytest.raises(OSError, match="No space left") as failure:
            attempt()
        assert failure.value.filename == str(tmp_path / "table")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_does_not_fit_names_the_copy(tmp_path: Path) -> None:
    """Copying names the original first, and that is not what could not be written."""

    def copy() -> None:
        with atomic_write(tmp_path / "copy") as temporary:
            raise OSError(errno.ENOSPC, "No space left on device", "original", None, str(temporary))

    with pytest.raises(OSError, match="No space left") as failure:
        copy()
    assert str(failure.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{tmp_path / 'copy'}'"


def test_what_is_written_can_be_read_by_others_and_run_by_nobody(tmp_path):
    """Files have the rights that ``open`` gives them."""
    with atomic_write(tmp_path / "ours") as temporary:
        temporary.write_text("x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
