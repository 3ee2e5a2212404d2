"""Engines without Ray: the local one, what a cluster would be asked for, and refusals."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.editing.units import SourceUnit, edits_of
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import read_manifest
from evalkit.engine.local import LocalEngine
from evalkit.engine.open import open_engine
from evalkit.engine.placement import place_workers
from evalkit.errors import EncoderError, EngineError, OptionError
from evalkit.images.decode import read_image
from evalkit.metrics.features import VectorFeature
from evalkit.scoring.requests import Content, environment
from evalkit.scoring.units import Batch, ScoreUnit, ScoreWorker
from tests.support.engines import BATCH, Chores, Posted, scored, shapes_edits
from tests.support.fakes import FakeEncoder, save_picture, write_folder

MACHINE = {"CPU": 64.0, "GPU": 8.0}


def test_the_local_engine_hands_on_each_result_before_it_begins_the_next_unit(tmp_path):
    """What is written between two units is safe: nothing is done ahead."""
    log = tmp_path / "log"
    run = LocalEngine().start(Chores(log=log))
    results = run(["sleep 0 a", "sleep 0 b"])
    assert next(results)[0] == "sleep 0 a"
    assert log.read_text() == "sleep 0 a\n"
    assert next(results)[0] == "sleep 0 b"


@pytest.mark.parametrize(
    ("nodes", "device", "workers", "expected"),
    [
        ([MACHINE], "auto", None, ("cuda", 8, 1, 1, 8)),
        ([MACHINE, MACHINE], "cuda", None, ("cuda", 16, 1, 1, 8)),
        ([MACHINE, {"CPU": 32.0}], "auto", None, ("cuda", 8, 1, 1, 8)),  # who has no GPU has no worker
        ([MACHINE], "cuda", 4, ("cuda", 4, 1, 1, 16)),
        ([MACHINE], "cuda", 16, ("cuda", 16, 1, 0.5, 4)),  # two share one
        ([{"CPU": 2.0, "GPU": 4.0}], "auto", None, ("cuda", 4, 0.5, 1, 1)),
        ([MACHINE], "cpu", None, ("cpu", 16, 4, 0, 4)),
        ([{"CPU": 2.0}], "auto", None, ("cpu", 1, 2, 0, 4)),
        ([{"CPU": 2.0}, {"CPU": 9.0}], "auto", None, ("cpu", 3, 3, 0, 4)),
        ([{"CPU": 2.0}, {"CPU": 2.0}], "auto", None, ("cpu", 2, 2, 0, 4)),  # a small machine has one all the same
        ([{"CPU": 3.0}, {"CPU": 3.0}], "cpu", 3, ("cpu", 3, 1, 0, 4)),
        ([{"CPU": 2.0}], "cpu", 4, ("cpu", 4, 0.5, 0, 4)),
        ([{"CPU": 8.0}], "cuda", 2, ("cuda", 2, 1, 1, 1)),  # the cluster will grow
        ([{"CPU": 8.0}], "mps", 1, ("mps", 1, 4, 0, 4)),
    ],
)
def test_a_cluster_is_asked_for_what_it_can_give(nodes, device, workers, expected):
    """One worker per GPU, else one per four cores if it has four threads; what the user wants is fitted in."""
    placement = place_workers(nodes, device=device, workers=workers, threads=lambda: 4)
    assert (placement.device, placement.workers, placement.cpus, placement.gpus, placement.threads) == expected


def test_workers_without_a_gpu_are_not_given_one_in_silence():
    """Where GPUs were asked for and none is there, nothing is computed on processors instead."""
    with pytest.raises(EngineError, match=r"no GPU.*--device cpu.*--workers N"):
        place_workers([{"CPU": 8.0}], device="cuda", workers=None, threads=lambda: 1)
    with pytest.raises(OptionError, match="'cuda:1': Ray gives each worker a GPU of its own"):
        place_workers([MACHINE], device="cuda:1", workers=None, threads=lambda: 1)


@pytest.mark.parametrize(("option", "value"), [("--workers", 2), ("--address", "head:6379")])
def test_options_of_ray_need_ray(option, value):
    """Nobody believes to be on a cluster who is not."""
    with (
        pytest.raises(OptionError, match=f"{option} is for workers on Ray. Add: --engine ray"),
        open_engine("local", **{option[2:]: value}),
    ):
        pytest.fail("opened")


@pytest.mark.parametrize("command", ["score", "edit", "validate"])
def test_ray_that_is_not_installed_is_one_sentence(command, monkeypatch, tmp_path):
    """It names the package and the command that installs it."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "ray", None)
    write_folder(tmp_path / "edits", 2, 1)
    arguments = {
        "score": ["score", str(tmp_path / "edits"), "--output", str(tmp_path / "run")],
        "edit": ["edit", "identity", "--benchmark", "shapes", "--limit", "1", "--output", str(tmp_path / "out")],
        "validate": ["validate", "l1", "--benchmark", "shapes", "--output", str(tmp_path / "validity")],
    }[command]
    done = CliRunner().invoke(main, [*arguments, "--engine", "ray"])
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert done.stderr.splitlines()[-1] == (
        "Error: The engine ray needs a package that is not installed (import of ray halted; None in sys.modules). "
        'Install it: pip install "ray>=2.49"'
    )


def test_no_ray_at_the_address_is_one_sentence():
    """A port where nothing listens is found out at once, where Ray itself would try for minutes."""
    pytest.importorskip("ray", reason='ray is not installed: pip install -e ".[ray]"')
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        message = rf"No Ray answers at 127.0.0.1:{port} .*ray start --head --port={port}"
        with pytest.raises(EngineError, match=message), open_engine("ray", address=f"127.0.0.1:{port}"):
            pytest.fail("opened")
    with (
        pytest.raises(EngineError, match="such as ray-head:6379, got 'nonsense'"),
        open_engine("ray", address="nonsense"),
    ):
        pytest.fail("opened")


def test_edit_masks_travel_with_their_unit(tmp_path):
    """A worker that does not see the file gives the method one of the same content."""
    mask, source = (save_picture(tmp_path / name, seed) for seed, name in enumerate(("mask.png", "source.png")))
    item = EditItem(item_id="a", edit_mask=tmp_path / "elsewhere" / "mask.png")
    seen = []

    class Masked:
        def fit(self, source_image, source_caption, *, seed):
            return source_image

        def edit(self, item, fitted, *, seed):
            seen.append((item.edit_mask, item.edit_mask.read_bytes()))
            return fitted

    unit = SourceUnit(
        source=source.read_bytes(),
        name="source.png",
        caption=None,
        seed=0,
        items=(item,),
        masks={item.edit_mask: mask.read_bytes()},
    )
    (made,) = edits_of(Masked(), unit)
    assert made.picture.tobytes() == read_image(source).tobytes()
    assert seen[0][1] == mask.read_bytes()
    assert not seen[0][0].exists()  # what was sent does not stay behind


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A folder of twenty edits of the shapes benchmark, and its run by this process."""
    root = tmp_path_factory.mktemp("shapes")
    folder = shapes_edits(root / "edits", 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(root / "cache"))
        return folder, scored(folder, root / "run")


def test_all_that_scoring_needs_can_be_sent(shapes, tmp_path, monkeypatch):
    """Encoders, pixel metrics and masks give the same values from nothing but what was pickled."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    folder, local = shapes
    assert scored(folder, tmp_path / "run", Posted()).table == local.table


def test_a_picture_that_kills_its_workers_is_unreadable_and_those_beside_it_are_scored(shapes, tmp_path, monkeypatch):
    """A batch that is lost is divided: one item is left out, with the reason, and no other."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    folder, local = shapes
    poison = read_manifest(folder).items[0].edited_image
    data = poison.read_bytes()

    def deadly(unit):
        return data in getattr(unit, "files", {}).values()

    run = scored(folder, tmp_path / "run", Posted(deadly))
    message = f"{poison.name} cannot be used as an image: 3 workers died of it, one after the other."
    assert [p.message for p in run.record.problems if p.code == "unreadable_image"] == [message]
    left_out = 0
    for row, before in zip(run.table.rows, local.table.rows, strict=True):
        left_out += row.status != before.status
        if row.status == before.status:
            assert row.values == pytest.approx(before.values, abs=1e-5)
    assert left_out == 1


def test_a_run_that_goes_on_has_the_batches_of_one_that_was_not_killed(shapes, tmp_path, monkeypatch):
    """Vectors depend on who shares a batch, so what is left is not divided anew: scores are equal to the last bit."""
    folder, local = shapes
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))

    def interrupted(what, done, total):
        if what == "encoding images" and done >= 2 * BATCH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(folder, tmp_path / "run", progress=interrupted)
    run = scored(folder, tmp_path / "run")
    assert 0 < run.record.n_encoded_images < local.record.n_encoded_images
    assert run.table == local.table


def test_a_worker_with_other_weights_is_refused(tmp_path):
    """What it would add to a run is not what the run says that it is."""
    worker = ScoreWorker({"clip": FakeEncoder(weights="others")}, ThreadPoolExecutor(1))
    batch = Batch(feature=VectorFeature(field="target_caption"), contents=(Content(texts=("a dog",)),))
    unit = ScoreUnit(batches=(batch,), encoder_keys={"clip": FakeEncoder().spec.cache_key}, environment=environment())
    with pytest.raises(EncoderError, match=r"'clip', fake/net/random@.*, is not that of the run"):
        list(worker(unit))
    with pytest.raises(EngineError, match=r"A worker has decoder .*: expected pillow 0, as in the run"):
        list(worker(replace(unit, environment=(("pillow", "0"),))))
