"""Names to objects: what is installed is found, and looked for once."""

import os
import signal
import threading
import time
from importlib import metadata

import pytest

from evalkit import registry as registry_module
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


def test_an_object_may_lie_within_another(tmp_path, monkeypatch):
    """As entry points have it: dots after the colon lead to attributes."""
    monkeypatch.syspath_prepend(install(tmp_path, "dotted", {"dotted": "os:path.join"}))

    assert Registry[object]("method", {}, GROUP).get("dotted") is os.path.join


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt."),
        ("raise GeneratorExit('enough')", "GeneratorExit: enough."),
        ("raise SystemExit(3)", "SystemExit: 3."),
        ("class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd", "Odd."),
    ],
)
@pytest.mark.parametrize("seconds", [None, 60.0])
def test_whatever_a_plugin_raises_is_its_own_error(text, reason, seconds):
    """No error of somebody else's code ends the process, or what is done besides."""
    with pytest.raises(BrokenPluginError) as failure:
        registry_module.ask_plugin(lambda: exec(text, {}), "It cannot be had", module="m", seconds=seconds)

    assert str(failure.value) == f"It cannot be had: {reason}"


def interrupt_from_outside():
    """The user presses Ctrl-C while a plug-in is imported."""
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    time.sleep(30)


def swallows():
    """A plug-in that lets nothing pass."""
    try:
        interrupt_from_outside()
    except BaseException:
        return 1


@pytest.mark.parametrize("question", [interrupt_from_outside, swallows])
@pytest.mark.parametrize("seconds", [None, 60.0])
def test_ctrl_c_of_the_user_stops_whatever_a_plugin_makes_of_it(question, seconds):
    """It is told from one that the plug-in raises by the signal, and the handler is afterwards what it was."""
    before, start = signal.getsignal(signal.SIGINT), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        registry_module.ask_plugin(question, "It cannot be had", module="m", seconds=seconds)

    assert time.monotonic() - start < 20
    assert signal.getsignal(signal.SIGINT) is before


def test_a_plugin_that_hangs_is_named_and_waited_for_once(registry, tmp_path, monkeypatch):
    """However many names its module registers; the others are listed."""
    held = threading.Event()
    monkeypatch.setattr(registry_module, "held", held, raising=False)
    monkeypatch.setattr(registry_module, "LISTING_LIMIT", 0.3)
    text = "from evalkit import registry\nregistry.held.wait(60)\nVALUE = 9"
    names = {"slow": "hangs:VALUE", "slower": "hangs:VALUE"}
    monkeypatch.syspath_prepend(install(tmp_path / "two", "hanging", names, {"hangs": text}))
    entries = {entry.name: entry for entry in registry.entries()}

    assert entries["slow"].error.endswith("which cannot be imported: TimeoutError: no answer within 0.3 s.")
    assert "its module hangs is still waited for" in entries["slower"].error
    assert entries["plugin"].value == 7
    held.set()
    registry_module._unanswered["hangs"].join(60)
    assert registry.get("slow") == 9
