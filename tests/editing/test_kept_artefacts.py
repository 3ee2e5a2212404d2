"""What methods optimise: shown while it goes on, kept where that is wanted, and used again if it is the same."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from evalkit.benchmarks.open import open_edits
from evalkit.cli import main
from evalkit.storage.tensors import kept
from tests.support.toys import RUN, files_of, install, make, toy_items
from tests.support.training import N_STEPS, Trained, steps_of, trained_run


def never():
    """What must not be made."""
    pytest.fail("made again")


# One artefact


def test_an_artefact_comes_back_bit_by_bit(tmp_path):
    """Every dtype and shape, views too, under the names that it was given."""
    tensors = {
        "weights": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).T,
        "half": torch.tensor([0.1, float("nan")], dtype=torch.bfloat16),
        "exact": torch.tensor(1 / 3, dtype=torch.float64),
    }
    made_of = {"caption": "Ein größerer Hund", "rate": 1e-3, "picture": Image.new("RGB", (2, 2), "red")}
    assert kept(tmp_path / "kept", made_of, lambda: tensors) is tensors
    again = kept(tmp_path / "kept", dict(reversed(made_of.items())), never)
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(again[name].nan_to_num(), tensor.nan_to_num())
        assert again[name].dtype == tensor.dtype
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".safetensors"]


@pytest.mark.parametrize(
    "other", [{"caption": "b"}, {"rate": 2}, {"picture": Image.new("RGB", (2, 2), "#fe0000")}, {"more": None}]
)
def test_what_was_made_of_other_things_is_another_artefact(tmp_path, other):
    """A caption, a setting, one shade of a picture: each makes it anew and leaves the first where it is."""
    made_of = {"caption": "a", "rate": 1, "picture": Image.new("RGB", (2, 2), "red")}
    kept(tmp_path, made_of, lambda: {"x": torch.zeros(1)})
    assert kept(tmp_path, made_of | other, lambda: {"x": torch.ones(1)})["x"] == 1
    assert kept(tmp_path, made_of, never)["x"] == 0


@pytest.mark.parametrize("change", [{"model": "other"}, {"revision": "v2"}, {"dtype": "bf16"}])
def test_the_base_model_and_the_precision_are_part_of_what_it_was_made_of(tmp_path, change):
    """An adapter need not say them."""
    run = replace(RUN, artefacts=tmp_path)
    run.kept({}, lambda: {"x": torch.zeros(1)})
    assert replace(run, **change).kept({}, lambda: {"x": torch.ones(1)})["x"] == 1
    assert run.kept({}, never)["x"] == 0


@pytest.mark.parametrize("damage", [b"", b"not what it was", None])
def test_a_damaged_or_foreign_artefact_is_made_again(tmp_path, damage):
    """Bytes that are no artefact, or one that was made of something else under this name, are replaced."""
    kept(tmp_path, {"seed": 0}, lambda: {"x": torch.zeros(1)})
    (path,) = tmp_path.iterdir()
    if damage is None:
        kept(tmp_path / "else", {"seed": 1}, lambda: {"x": torch.ones(1)})
        damage = next((tmp_path / "else").iterdir()).read_bytes()
    path.write_bytes(damage)
    assert kept(tmp_path, {"seed": 0}, lambda: {"x": torch.full((1,), 2.0)})["x"] == 2
    assert kept(tmp_path, {"seed": 0}, never)["x"] == 2


# A run


def test_nothing_is_kept_unless_it_is_wanted(tmp_path):
    """A run of its own accord writes the edits and no artefact."""
    assert steps_of(toy_items(tmp_path, 2), tmp_path / "out", run=trained_run()) == 2 * N_STEPS
    assert not list(tmp_path.rglob("*.safetensors"))


def test_progress_tells_of_the_steps_within_each_edit(tmp_path):
    """Between the edits stands every step of optimisation, counted anew for each."""
    seen = []
    make(Trained, toy_items(tmp_path, 2), tmp_path / "out", run=trained_run(), progress=lambda *step: seen.append(step))
    steps = [("colour", step, N_STEPS) for step in range(N_STEPS + 1)]
    assert seen == [("edits", 0, 2), *steps, ("edits", 1, 2), *steps, ("edits", 2, 2)]


def test_a_setting_that_the_artefact_does_not_follow_from_costs_no_optimisation(tmp_path):
    """A sweep over such a setting, one folder for each value, optimises once; the other setting once per value."""
    items = toy_items(tmp_path, 3)
    eta = [steps_of(items, tmp_path / f"eta-{x}", run=trained_run(tmp_path / "kept", eta=x)) for x in (0.2, 0.7)]
    rate = [steps_of(items, tmp_path / f"rate-{x}", run=trained_run(tmp_path / "kept", rate=x)) for x in (0.2, 0.7)]
    assert eta == [3 * N_STEPS, 0]
    assert rate == [3 * N_STEPS, 3 * N_STEPS]
    assert files_of(tmp_path / "eta-0.2")[0] != files_of(tmp_path / "eta-0.7")[0]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "n_optimised"), [("in a step", 4), ("artefact half", 4), ("artefact whole", 3)])
def test_a_run_killed_in_an_optimisation_repeats_that_one_at_most(tmp_path, moment, n_optimised):
    """Kill -9 in a step or at its end: finished items and whole artefacts are used, nothing half is left behind."""
    command = [sys.executable, "-m", "tests.support.training", str(tmp_path), str(tmp_path / "out"), moment]
    assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    items = toy_items(tmp_path)
    steps = steps_of(items, tmp_path / "out", run=trained_run(tmp_path / "out" / "kept"))
    assert steps == n_optimised * N_STEPS
    steps_of(items, tmp_path / "whole", run=trained_run(tmp_path / "whole" / "kept"))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_artefacts_in_the_edit_folder_are_no_edits(tmp_path, monkeypatch):
    """``evalkit edit --keep-artefacts`` into the folder itself: the check finds nothing, with a manifest or without."""
    monkeypatch.syspath_prepend(install(tmp_path / "site", "trained", {"trained": "tests.support.training:Trained"}))
    out, keep = tmp_path / "out", tmp_path / "out" / "artefacts"
    command = ["edit", "trained", "--benchmark", "shapes", "--limit", "2", "--output", out, "--keep-artefacts", keep]
    done = CliRunner().invoke(main, [*map(str, command), "--json"])
    assert done.exit_code == 0, done.output
    assert len(list(keep.iterdir())) == 2
    checked = CliRunner().invoke(main, ["check", str(out), "--json"])
    assert json.loads(checked.stdout)["problems"] == []
    (out / "metadata.jsonl").unlink()
    opened = open_edits(out, benchmark="shapes")
    assert len([item for item in opened.folder.items if item.edited_image]) == 2
    assert not [problem for problem in opened.folder.problems if problem.code == "other_file"]
