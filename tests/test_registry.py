"""Names to objects: what is installed is found, and looked for once."""

from importlib import metadata

import pytest

from evalkit.errors import BrokenPluginError, UnknownNameError
from evalkit.registry import Registry
from tests.support.toys import install

GROUP = "evalkit.methods"  # in which the tests' plug-in registers


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry with one name of its own and a plug-in's three: a good one, a broken one and one that is taken."""
    names = {"plugin": "registered:VALUE", "broken": "absent_module:VALUE", "own": "registered:VALUE"}
    monkeypatch.syspath_prepend(install(tmp_path, "someone", names, {"registered": "VALUE = 7"}))
    return Registry[object]("method", {"own": "math:pi"}, GROUP)


def test_own_names_come_first_and_a_faulty_plugin_is_listed_with_its_cause(registry):
    """Nothing that is registered disappears; what cannot be used says why."""
    entries = {(entry.name, entry.provider): entry for entry in registry.entries()}

    assert registry.names()[0] == "own"
    assert registry.get("own") == pytest.approx(3.14159, abs=1e-4)
    assert registry.get("plugin") == entries["plugin", "someone"].value == 7
    assert "evalkit has the name" in entries["own", "someone"].error
    assert "No module named 'absent_module'" in entries["broken", "someone"].error
    with pytest.raises(BrokenPluginError, match="No module named 'absent_module'"):
        registry.get("broken")
    with pytest.raises(UnknownNameError, match="Did you mean plugin"):
        registry.get("plugins")


def test_installed_distributions_are_read_once(registry, monkeypatch):
    """However many names are looked up; a scan takes as long as a thousand look-ups."""
    scans = []
    scan = metadata.entry_points
    monkeypatch.setattr(metadata, "entry_points", lambda **which: scans.append(which) or scan(**which))
    for _ in range(100):
        registry.get("plugin")
        registry.get("own")
        registry.names()

    assert scans == [{"group": GROUP}]
