"""Where evalkit keeps what it can make again."""

from pathlib import Path

import pytest

from evalkit.storage.paths import cache_directory, is_within, name_within


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("EVALKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_default_is_in_the_home(tmp_path: Path) -> None:
    """Without any choice the cache lies below ~/.cache."""
    assert cache_directory() == tmp_path / "home" / ".cache" / "evalkit"


def test_xdg_moves_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME is honoured where it is absolute and ignored where it is relative, as its specification says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "evalkit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / "home" / ".cache" / "evalkit"


def test_own_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EVALKIT_CACHE is the directory itself, wins over XDG_CACHE_HOME, and may start with a tilde."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("EVALKIT_CACHE", "~/elsewhere")
    assert cache_directory() == tmp_path / "home" / "elsewhere"


def test_what_lies_within_a_folder_is_told_by_where_links_lead(tmp_path: Path) -> None:
    """Links out of the folder are outside wherever they stand, links in are inside, and the folder may be a link."""
    folder, alias = tmp_path / "folder", tmp_path / "alias"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "outside.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "outside.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in.png").symlink_to(folder / "below" / "a.png")
    alias.symlink_to(folder)

    inside = [folder, folder / "below" / "a.png", folder / "in.png", alias / "in.png", folder / "below" / ".." / "b"]
    outside = [folder / "out.png", folder / "up" / "outside.png", folder / ".." / "a", tmp_path / "folder2", Path("/")]

    for root in (folder, alias):
        assert [path for path in inside if not is_within(path, root)] == []
        assert [path for path in outside if is_within(path, root)] == []
    assert not is_within(folder / ("x" * 300 + "\udcff\ud800"), folder)
    assert name_within(alias / "below" / "a.png", folder) == name_within(folder / "below" / "a.png", alias)
    assert name_within(folder / "in.png", folder) == "in.png"
    assert name_within(folder / "out.png", folder) is None
