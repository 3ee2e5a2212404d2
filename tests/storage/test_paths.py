"""Where evalkit keeps what it can make again."""

from pathlib import Path

import pytest

from evalkit.storage.paths import cache_directory


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
