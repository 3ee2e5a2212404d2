"""Methods of other packages: the one that CONTRIBUTING walks through, and those that are broken."""

import json
import os
import re
import shlex
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.edits.manifest import read_manifest
from evalkit.images.decode import read_image
from tests.support.fakes import save_picture
from tests.support.strangers import environment
from tests.support.toys import SIDE, install

# CONTRIBUTING's


@pytest.fixture(scope="module")
def walk_through():
    """The section's files by name, and its commands."""
    text = Path("CONTRIBUTING.md").read_text()
    section = re.search(r"^## Add an editing method\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    files = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    commands = re.search(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]
    return files, commands.splitlines()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, walk_through):
    """The interpreter of a new environment that reaches evalkit, with the package installed there by pip, offline."""
    root = tmp_path_factory.mktemp("stranger")
    (root / "package").mkdir()
    for name, content in walk_through[0].items():
        (root / "package" / name).write_text(content)
    return environment(root / "venv", root / "package")


def test_the_walk_through_is_two_files_and_four_commands(walk_through):
    """What the tests below install and run is what the page shows."""
    files, commands = walk_through
    assert list(files) == ["pyproject.toml", "colour_wash.py"]
    assert [command.split()[:2] for command in commands] == [
        ["pip", "install"], ["evalkit", "list"], ["evalkit", "edit"], ["evalkit", "score"],
    ]  # fmt: skip


@pytest.mark.slow
def test_a_strangers_method_is_listed_run_and_scored_as_the_walk_through_says(fresh, walk_through, tmp_path):
    """Its commands, word for word, in an environment of its own: the method is there, edits, and gets its numbers."""
    environment = {**os.environ, "EVALKIT_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    results = []
    for command in walk_through[1][1:]:
        arguments = [fresh, "-m", *shlex.split(command), "--json"]
        arguments += ["--device", "cpu"] if "score" in command else []
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == (3 if "score" in command else 0), done.stderr  # 268 items are listed as missing
        results.append(json.loads(done.stdout))
    listed, edited, scored = results
    row = next(row for row in listed if row["name"] == "colour_wash")
    assert (row["provider"], row["error"], row["miniature"]) == ("evalkit-colour-wash", None, True)
    assert (edited["n_edited"], edited["settings"]) == (20, {"strength": 0.8})
    assert scored["metrics"]["clip_score"]["n"] == 20
    record = json.loads((tmp_path / "edits" / "method.json").read_text())
    assert record["versions"]["evalkit-colour-wash"] == "0.1.0"
    item = read_manifest(tmp_path / "edits").items[0]
    assert "blue" in item.target_caption
    red, green, blue = read_image(item.edited_image).resize((1, 1)).getpixel((0, 0))
    assert blue > 200 > 60 > max(red, green)


def test_the_environment_is_the_strangers_own():
    """The package was installed there and not here."""
    assert "evalkit-colour-wash" not in {distribution.name for distribution in metadata.distributions()}


# Broken ones

HEAD = """
import numpy as np
from PIL import Image
from evalkit.editing.method import MethodCard, Setting

def card(name, **more):
    said = {"name": name, "title": name, "summary": "Breaks.", "paper": "", "licence": "", "variant": ""}
    return MethodCard(**(said | more))

class Base:
    def load(self, run): ...
    def fit(self, source_image, source_caption, *, seed): return source_image
    def edit(self, item, fitted, *, seed): return fitted
"""
BROKEN = """
# no_import
import no_such_library
# exits
import sys
print("usage: nonsense")
sys.exit(4)
# no_class
# no_card
class Method(Base): ...
# no_fit
class Method:
    card = card("no_fit")
    load = edit = print
# bad_need
class Method(Base):
    card = card("bad_need", needs=frozenset({"prompt"}))
# bad_default
class Method(Base):
    card = card("bad_default", settings={"n": Setting(default=9, summary="", highest=1)})
# alias
class Method(Base):
    card = card("another")
# no_load
class Method(Base):
    card = card("no_load")
    def load(self, run):
        raise OSError("no such GPU")
# liar
class Method(Base):
    card = card("liar")
    def edit(self, item, fitted, *, seed):
        return item.source_caption.upper()
# wrong_size
class Method(Base):
    card = card("wrong_size")
    def edit(self, item, fitted, *, seed):
        return fitted.resize((20, 10))
# wrong_mode
class Method(Base):
    card = card("wrong_mode")
    def edit(self, item, fitted, *, seed):
        return fitted.convert("L")
# not_finite
class Method(Base):
    card = card("not_finite")
    def edit(self, item, fitted, *, seed):
        return np.asarray(fitted) * np.nan
# half_way
class Method(Base):
    card = card("half_way")
    def edit(self, item, fitted, *, seed):
        if item.item_id == "dog":
            raise RuntimeError("out of memory")
        return fitted
"""
"""Modules, each below its name."""
UNLISTED = {
    "no_import": "The method 'no_import' is registered as no_import:Method, which cannot be imported: ModuleNotFound",
    "exits": "The method 'exits' is registered as exits:Method, which cannot be imported: SystemExit: 4.",
    "no_class": "The method 'no_class' is registered as no_class:Method, which cannot be imported: AttributeError",
    "no_card": "Method is no adapter: expected a class with a card of type MethodCard, got NoneType.",
    "no_fit": "The method no_fit is no adapter: it lacks fit.",
    "bad_need": "The card of the method bad_need is wrong: needs may hold source_caption, target_caption, instruction",
    "bad_default": "The card of the method bad_default is wrong: the setting 'n' must be a whole number up to 1; its ",
    "alias": "The method 'alias' is registered under another name than its card's, which is 'another'.",
}
FAILED = {
    "liar": "AttributeError: 'NoneType' object has no attribute 'upper'",
    "wrong_size": "the method must return an image of the source's size 32 × 32, or a square; got 20 × 10",
    "wrong_mode": "the method must return an RGB image, got mode L",
    "not_finite": "the method returned an image that is not finite (NaN or infinite)",
}


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory):
    """A package full of broken methods, one of which claims the name of one of ours."""
    site = tmp_path_factory.mktemp("broken")
    _, *parts = re.split(r"^# (\w+)\n", BROKEN, flags=re.MULTILINE)
    modules = {name: HEAD + text for name, text in zip(parts[::2], parts[1::2], strict=True)}
    targets = {name: f"{name}:Method" for name in modules} | {"identity": "half_way:Method"}
    return install(site, "aaa-broken", targets, modules)


@pytest.fixture
def broken(broken_site, monkeypatch):
    """The package is installed."""
    monkeypatch.syspath_prepend(broken_site)


@pytest.fixture
def pictures(tmp_path):
    """The options that name two pictures."""
    for index, name in enumerate(("cat", "dog")):
        save_picture(tmp_path / "mine" / f"{name}.png", index, SIDE)
    (tmp_path / "captions.csv").write_text(
        "item_id,source_caption,target_caption\ncat,A cat.,A hat.\ndog,A dog.,A log.\n"
    )
    return ["--sources", str(tmp_path / "mine"), "--captions", str(tmp_path / "captions.csv")]


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_broken_methods_are_listed_with_their_causes_and_harm_no_other(broken):
    """Each says why it cannot be used; ours, and those that only fail later, are as usable as before."""
    done = evalkit("list", "methods", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    errors = {row["name"]: row["error"] for row in rows if row["provider"] == "aaa-broken"}
    for name, message in UNLISTED.items():
        assert errors.pop(name).startswith(message)
    clash = "The method 'identity' of aaa-broken is not used: evalkit-editing has the name."
    assert errors.pop("identity") == clash
    assert set(errors.values()) == {None}
    assert set(errors) == {*FAILED, "no_load", "half_way"}
    ours = [row for row in rows if row["provider"] == "evalkit-editing"]
    assert len(ours) >= 8
    assert all(row["error"] is None for row in ours)
    shown = evalkit("list", "methods")
    assert clash in shown.stderr
    assert "\nbad_need\n  broken, of aaa-broken\n" in shown.stdout


@pytest.mark.parametrize("name", UNLISTED)
def test_a_method_that_cannot_be_used_is_refused_with_the_same_cause(broken, tmp_path, pictures, name):
    """``edit`` says what ``list`` says, and writes nothing."""
    done = evalkit("edit", name, *pictures, "--output", tmp_path / "out")
    assert done.exit_code == 1
    assert UNLISTED[name] in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_method_that_cannot_be_loaded_is_named(broken, tmp_path, pictures):
    """Whatever ``load`` raises is one sentence with the method's name."""
    done = evalkit("edit", "no_load", *pictures, "--output", tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr == "Error: The method no_load cannot be loaded: OSError: no such GPU.\n"


@pytest.mark.parametrize("name", FAILED)
def test_a_method_whose_every_edit_fails_ends_with_the_reasons(broken, tmp_path, pictures, name):
    """Items are recorded as failed with what the method did, and the exit code says that there are problems."""
    done = evalkit("edit", name, *pictures, "--output", tmp_path / "out")
    assert done.exit_code == 3
    assert f"  cat (seed 0) failed: {FAILED[name]}\n" in done.stdout
    assert [item.reason for item in read_manifest(tmp_path / "out").items] == [FAILED[name]] * 2


def test_a_method_that_fails_half_way_leaves_a_folder_that_can_be_scored(broken, tmp_path, pictures):
    """One item fails, the other is there, and the command that is named next counts the failure."""
    out = tmp_path / "out"
    done = evalkit("edit", "half_way", *pictures, "--output", out)
    assert done.exit_code == 3
    statuses = {item.item_id: item.reason for item in read_manifest(out).items}
    assert statuses == {"cat": None, "dog": "RuntimeError: out of memory"}
    command = re.search(r"Next: evalkit (.*)", done.stdout)[1].split()
    options = ["--encoder", "miniature", "--device", "cpu", "--output", tmp_path / "run", "--json"]
    scored = evalkit(*command, *options)
    assert [problem["code"] for problem in json.loads(scored.stdout)["problems"]].count("failed_edit") == 1


def test_the_name_of_one_of_ours_cannot_be_taken(broken, tmp_path, pictures):
    """``identity`` is ours, whoever else registers it and however his package is called."""
    done = evalkit("edit", "identity", *pictures, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    source = read_image(tmp_path / "mine" / "dog.png")
    assert read_image(tmp_path / "out" / "dog" / "0.png").tobytes() == source.tobytes()
