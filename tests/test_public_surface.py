"""The public surface: what can be imported from ``evalkit``, and what the documents import."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import evalkit
from evalkit.metrics.base import checked_metric
from tests.support.fakes import write_folder

DOCUMENTS = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("evalkit/guide").glob("*.md"))]
GUIDE = Path("evalkit/guide/python.md").absolute()
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks_of(document: Path) -> list[str]:
    """The Python of a document."""
    return PYTHON.findall(document.read_text(encoding="utf-8"))


def test_every_public_name_is_there_and_explains_itself():
    """Each can be imported from the top, stands in ``dir()``, and has a docstring."""
    assert set(evalkit.__all__) == set(dir(evalkit))
    for name in set(evalkit.__all__) - {"__version__"}:
        assert getattr(evalkit, name).__doc__, name


@pytest.mark.parametrize("options", [evalkit.ScoreOptions, evalkit.ComparisonOptions])
def test_help_explains_every_option(options):
    """``help`` shows no text that stands below a field, so that each is in the docstring of the class."""
    explained = re.findall(r"^        (\w+): ", options.__doc__, re.MULTILINE)
    assert set(explained) == {field.name for field in dataclasses.fields(options)}


def test_type_checkers_see_what_is_imported_when_asked_for():
    """The imports for type checkers and the table of public names are the same."""
    tree = ast.parse(Path("evalkit/__init__.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in evalkit._PUBLIC]
    assert sorted((node.module, alias.name) for node in imports for alias in node.names) == sorted(
        (module, name) for module, names in evalkit._PUBLIC.items() for name in names
    )


def test_a_name_that_is_not_public_is_an_attribute_error():
    """``hasattr`` and completion work as with any module."""
    with pytest.raises(AttributeError, match="module 'evalkit' has no attribute 'scores_folder'"):
        _ = evalkit.scores_folder


def test_importing_evalkit_imports_nothing_else():
    """The names cost nothing until one of them is used."""
    code = "import sys, evalkit; print([n for n in sys.modules if n.startswith('evalkit.') or n in ('numpy', 'torch')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_documents_import_from_the_top_only(document):
    """What a document shows can be relied on: it is public, and stays where it is when files move."""
    imported = []
    for block in blocks_of(document):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                imported += [(node.module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                imported += [(alias.name, None) for alias in node.names]
    ours = [(module, name) for module, name in imported if module.split(".")[0] == "evalkit"]
    assert all(module == "evalkit" and name in {None, *evalkit.__all__} for module, name in ours), ours
    assert "evalkit." not in "".join(re.findall(r"`evalkit\.[a-z_.]+\.[a-z_.]*:?[A-Za-z_]*`", document.read_text()))


def test_documents_show_python():
    """The test above has something to look at."""
    assert sum(len(blocks_of(document)) for document in DOCUMENTS) >= 2


def test_the_guides_python_runs(tmp_path, monkeypatch, capsys):
    """Whoever copies it gets tables, numbers and sentences; the loggers' lines run in tests of their own."""
    for name in ("mine", "theirs"):
        write_folder(tmp_path / "edits" / name, 6, 6)
    for name, colour in (("photos", "white"), ("outputs", "black")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (32, 32), colour).save(tmp_path / name / "cat.png")
    (tmp_path / "captions.csv").write_text("image,caption\ncat.png,a black cat\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    names: dict[str, object] = {}
    for block in blocks_of(GUIDE):
        if not any(logger in block for logger in ("wandb", "tensorboard", "mlflow")):
            exec(block, names)
    printed = capsys.readouterr().out
    assert "mine, 6 items in 6 groups" in printed
    assert "2 runs, 6 items in 6 groups" in printed
    assert "clip_score" in names["comparison"].pairs[0].sentence
    assert names["run"].scalars()["l1/mean"] == 1.0


def test_contributings_metric_can_be_used():
    """The metric that is written there passes the check of every plug-in, and gives the number that it says."""
    (block,) = [block for block in blocks_of(Path("CONTRIBUTING.md")) if "Metric(" in block]
    names: dict[str, object] = {}
    exec(block, names)
    metric = checked_metric(names["BRIGHTNESS"])
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    change = np.array([metric.features["change"].measure(edited=black, source=white)])
    assert metric.compute({"change": change}, resolution=0.0).values.tolist() == [1.0]


@pytest.mark.parametrize("name", [name for name in evalkit.__all__ if inspect.isfunction(getattr(evalkit, name))])
def test_a_path_may_be_text(name):
    """Whatever public function takes a path takes it as a string, too."""
    hints = get_type_hints(getattr(evalkit, name))
    taken = {argument: [hint, *get_args(hint)] for argument, hint in hints.items() if argument != "return"}
    assert not [argument for argument, kinds in taken.items() if Path in kinds and str not in kinds]


@pytest.mark.parametrize(
    ("name", "arguments", "wrong", "near"),
    [
        ("measure", [np.zeros((8, 8, 3))], "sources", "source"),
        ("score", ["edits"], "metric", "metrics"),
        ("score_each", [["edits"], "runs"], "progres", "progress"),
        ("compare", ["a", "b"], "margin", "margins"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(name, arguments, wrong, near):
    """By the function that was called, of its own arguments and of the fields of its options; first of all."""
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no option '{wrong}'\. Did you mean {near}\b.*See: help\("):
        getattr(evalkit, name)(*arguments, **{wrong: None})


@pytest.mark.parametrize("option", ["data", "sources", "captions"])
def test_a_data_frame_is_no_path(tmp_path, option):
    """One sentence says what is taken, of the folder too."""
    with pytest.raises(
        evalkit.EvalkitError, match=f"^{option}: expected the path of a file or folder, got a DataFrame"
    ):
        evalkit.open_edits(tmp_path, **{option: pd.DataFrame({"a": [1]})})
    with pytest.raises(evalkit.EvalkitError, match=r"^edits: expected the path of a file or folder, got a DataFrame"):
        evalkit.score(pd.DataFrame({"a": [1]}))


def test_a_run_is_scored_and_read_by_paths_that_are_text(tmp_path):
    """Nothing of the way from a folder to a run needs a Path."""
    write_folder(tmp_path / "edits", n_items=2)
    run = evalkit.score(evalkit.open_edits(str(tmp_path / "edits")), str(tmp_path / "run"), metrics=["l1"])
    assert evalkit.read_run(str(tmp_path / "run")).to_dict() == run.to_dict()
