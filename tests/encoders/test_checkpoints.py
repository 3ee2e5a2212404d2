"""Checkpoints that are more than tensors: refused in one sentence of our own, which advises nobody to trust them."""

import io
import pickle
import re
import shutil
import tarfile
import traceback
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from evalkit.editing.method import MethodRun
from evalkit.editing.units import loaded
from evalkit.encoders.checkpoints import refuse_pickled
from evalkit.encoders.load import open_encoder
from evalkit.errors import WeightsError
from tests.support.toys import RUN, toy


class Harmful:
    """Says so when it is unpickled."""

    def __reduce__(self):
        """What the unpickler would call."""
        return (print, ("harm",))


def legacy_tar(path: Path) -> None:
    """As torch wrote files before it had zip archives, and before those."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps({"little_endian": True, "protocol_version": 1000})
            information = tarfile.TarInfo(name)
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))


WRITERS = {
    "torch": lambda path: torch.save({"weight": Harmful()}, path),
    "legacy": lambda path: torch.save({"weight": Harmful()}, path, _use_new_zipfile_serialization=False),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"weight": Harmful()})),
    "tar": legacy_tar,
    "script": lambda path: torch.jit.script(torch.nn.Linear(1, 1)).save(str(path)),
    "damaged": lambda path: path.write_bytes(b"\x00nonsense" * 9),
}


@pytest.fixture
def spec(request, tmp_path, tiny_open_clip, tiny_transformers_clip) -> tuple[str, Path]:
    """An encoder's specification, and the file below it that is to be spoilt."""
    if request.param == "lpips_alex":
        return f"lpips_alex:{tmp_path / 'weights.pth'}", tmp_path / "weights.pth"
    given, name = {
        "open_clip": (tiny_open_clip, "weights.pt"),
        "transformers": (tiny_transformers_clip, "pytorch_model.bin"),
    }[request.param]
    start, _, directory = given.rpartition(":")
    copy = Path(shutil.copytree(directory, tmp_path / "model"))
    for file in copy.glob("*.safetensors"):
        file.unlink()
    return f"{start}:{copy}", copy / name


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*deprecated", "ignore:.*pickle protocol:UserWarning", "ignore:.*TorchScript archive:UserWarning"
)
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("spec", ["open_clip", "transformers", "lpips_alex"], indirect=True)
def test_a_refused_checkpoint_is_named_with_a_safe_way(spec, writer, capsys):
    """Torch's advice, to read it with ``weights_only=False``, stands neither in the message nor below it."""
    specification, path = spec
    WRITERS[writer](path)
    with pytest.raises(WeightsError) as failure:
        _ = open_encoder(specification, device="cpu").spec
    message = str(failure.value)
    assert str(path) in message
    assert "safetensors" in message
    assert "\n" not in message
    assert not re.search("weights_only.{0,20}False", "".join(traceback.format_exception(failure.value)))
    assert "harm" not in capsys.readouterr().out


def test_the_sentence_as_a_whole(tmp_path):
    """The file, what is wrong with it, and what to do; where the failure does not name the file, what was read."""
    path = tmp_path / "weights.pt"
    torch.save({"weight": Harmful()}, path)
    rest = (
        "is not read: it is damaged, or holds more than tensors, which could run code; where you trust it, save its "
        "tensors as safetensors instead: safetensors.torch.save_file"
    )
    with path.open("rb") as file, pytest.raises(pickle.UnpicklingError) as failure:
        torch.load(file, weights_only=True)
    with pytest.raises(WeightsError) as refused:
        refuse_pickled(failure.value, "The model")
    assert str(refused.value) == f"{path} {rest}"
    with pytest.raises(WeightsError) as refused:
        refuse_pickled(pickle.UnpicklingError("any"), "The model")
    assert str(refused.value) == f"The model {rest}"
    refuse_pickled(ValueError("another failure"), "The model")


def test_what_a_plugins_method_passes_on_is_the_same_sentence(tmp_path):
    """An adapter that reads a checkpoint of its own advises nobody either."""
    torch.save({"weight": Harmful()}, tmp_path / "weights.pt")

    def load(run: MethodRun) -> None:
        torch.load(tmp_path / "weights.pt", weights_only=True)

    method = toy(load=load)
    with pytest.raises(WeightsError, match=r"weights\.pt is not read: it is damaged, or holds more than tensors"):
        loaded(method, method.card, RUN)


def test_safetensors_are_read_where_they_are_advised(backbones, tmp_path):
    """The network below LPIPS is the same from either file."""
    path, _ = backbones["squeeze"]
    save_file(torch.load(path, weights_only=True), tmp_path / "weights.safetensors")
    specs = [
        open_encoder(f"lpips_squeeze:{file}", device="cpu").spec for file in (path, tmp_path / "weights.safetensors")
    ]
    assert specs[0].weights_sha256 == specs[1].weights_sha256
