"""Libraries that only one method needs."""

import sys

import pytest

from evalkit.editing.method import METHODS, MethodRun
from evalkit.errors import MissingExtraError


@pytest.mark.parametrize(("name", "library"), [("text2live", "madgrad"), ("http", "requests")])
def test_a_method_without_its_library_says_what_to_install(name, library, monkeypatch):
    """Before it does any work, and as the extra that its card names."""
    monkeypatch.setitem(sys.modules, library, None)
    method = METHODS.get(name)
    run = MethodRun(model="anything", revision=None, settings=method.card.values(miniature=False))
    with pytest.raises(MissingExtraError, match=rf"{library} is not installed.*'evalkit-editing\[{name}\]'"):
        method().load(run)
    assert method.card.extra == name
