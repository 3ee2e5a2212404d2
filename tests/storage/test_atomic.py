"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from evalkit.storage.atomic import atomic_write


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
