"""A study of three methods, and the server of its page."""

import pytest

from tests.support.voting import opened, served, session_of


@pytest.fixture(scope="module")
def edits(tmp_path_factory):
    """Three methods on six items."""
    return opened(tmp_path_factory.mktemp("edits"))


@pytest.fixture
def session(edits, tmp_path, monkeypatch):
    """A session of six pairs and a check."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    with session_of(tmp_path / "votes.jsonl", edits) as opened_session:
        yield opened_session


@pytest.fixture
def address(session):
    """Where its page is."""
    with served(session) as found:
        yield found
