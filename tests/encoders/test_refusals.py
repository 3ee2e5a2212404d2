"""Encoders that would give wrong numbers, run code or cannot be found: what is refused, and in which words."""

import json
import pickle
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from evalkit.encoders import miniature
from evalkit.encoders.load import ENCODERS, open_encoder
from evalkit.errors import EncoderError, EvalkitError, UnknownNameError, WeightsError


def directory_of(spec: str) -> Path:
    """The directory that a specification from :mod:`tests.support.models` means."""
    return Path(spec.rpartition(":")[2])


@pytest.fixture
def own_copy(tmp_path, tiny_transformers_clip) -> Path:
    """A transformers directory that a test may change."""
    return Path(shutil.copytree(directory_of(tiny_transformers_clip), tmp_path / "model"))


@pytest.fixture
def checkpoint(tmp_path, tiny_open_clip) -> Path:
    """An open_clip directory that a test may change."""
    return Path(shutil.copytree(directory_of(tiny_open_clip), tmp_path / "checkpoint"))


def refusal(spec: str, kind: type[EvalkitError] = EncoderError) -> str:
    """The message with which an encoder is refused."""
    with pytest.raises(kind) as failure:
        _ = open_encoder(spec, device="cpu").spec
    assert type(failure.value) is kind
    return str(failure.value)


def test_a_wrong_backend_is_told_the_nearest():
    """At once, without loading anything."""
    with pytest.raises(UnknownNameError, match=r"no encoder 'open-clip'. Did you mean open_clip\? See: evalkit list"):
        open_encoder("open-clip:ViT-B-32/openai")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("open_clip:ViT-B32-quickgelu/openai", ["no architecture 'ViT-B32-quickgelu'", "ViT-B-32-quickgelu"]),
        ("open_clip:ViT-B-32-quickgelu/opneai", ["no weights 'opneai'", "Did you mean openai?", "metaclip_400m"]),
        ("open_clip:ViT-B-32", ["does not say which weights", "laion2b_s34b_b79k"]),
        ("miniature:large", ["miniature or miniature:v2", "miniature:large"]),
    ],
)
def test_wrong_names_are_told_the_nearest(spec, words):
    """An unknown architecture or tag, or none, gets those that there are."""
    message = refusal(spec, UnknownNameError)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("ViT-B-32/openai", "open_clip:ViT-B-32-quickgelu/openai"),
        ("ViT-B-32/OpenAI", "open_clip:ViT-B-32-quickgelu/openai"),
        ("ViT-L-14/metaclip-400m", "open_clip:ViT-L-14-quickgelu/metaclip_400m"),
        ("ViT-B-32-quickgelu/laion2b_s34b_b79k", "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-H-14-quickgelu/metaclip_altogether", "open_clip:ViT-H-14/metaclip_altogether"),
    ],
)
def test_the_wrong_activation_is_refused_with_the_right_name(given, right):
    """Weights trained with QuickGELU in an architecture with GELU, and the reverse, of which open_clip only warns."""
    message = refusal(f"open_clip:{given}")
    assert message.endswith(f"--encoder {right}")


def test_every_listed_tag_has_one_architecture_that_is_not_refused():
    """The rule never sends a user in a circle: under one of its two names each of open_clip's weights is accepted."""
    import open_clip

    from evalkit.encoders.open_clip import _known_tag

    for architecture, tag in open_clip.list_pretrained():
        twin = architecture.removesuffix("-quickgelu") if "-quickgelu" in architecture else f"{architecture}-quickgelu"
        accepted = set()
        for name in {architecture, twin} & set(open_clip.list_models()):
            with suppress(EncoderError):
                accepted.add(_known_tag(name, tag))
        assert tag in accepted, (architecture, tag)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("open_clip:ViT-B-32-quickgelu/absent.pt", ["there is no checkpoint", "absent.pt", "openai"]),
        ("open_clip:ViT-B-32-quickgelu/./weights/absent", ["there is no checkpoint", "weights/absent"]),
        ("open_clip:local-dir:/nowhere/at/all", ["/nowhere/at/all/open_clip_config.json"]),
        ("transformers:./absent", ["there is no directory", "absent"]),
        ("transformers:absent", ["there is no directory", "a Hub id such as"]),
    ],
)
def test_a_path_that_is_not_there_is_named_in_full(spec, words):
    """A mistyped path is not taken for a tag or a repository, and is shown as it was looked for."""
    message = refusal(spec, WeightsError)
    assert all(word in message for word in words), message


class Malicious:
    """Pickled, it would make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        """What unpickling would call."""
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("backend", ["open_clip", "transformers"])
@pytest.mark.parametrize("container", ["torch", "pickle"])
def test_weights_that_carry_code_are_not_run(tmp_path, checkpoint, own_copy, backend, container):
    """A checkpoint whose unpickling would call something is refused, and the call does not happen."""
    trace = tmp_path / "trace"
    directory, name = {
        "open_clip": (checkpoint, "weights.pt"),
        "transformers": (own_copy, "pytorch_model.bin"),
    }[backend]
    for file in directory.glob("*.safetensors"):
        file.unlink()
    if container == "torch":
        torch.save({"state_dict": Malicious(trace)}, directory / name)
    else:
        (directory / name).write_bytes(pickle.dumps({"w": Malicious(trace)}))
    spec = f"open_clip:local-dir:{directory}" if backend == "open_clip" else f"transformers:{directory}"
    message = refusal(spec, WeightsError)
    assert str(directory) in message
    assert "code" in message
    assert not trace.exists()
    if container == "torch":  # the trap works
        torch.load(directory / name, weights_only=False)
        assert trace.exists()


def change_weights(path: Path, change) -> None:
    """Rewrites a safetensors file."""
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})


def widen(state: dict[str, torch.Tensor], name: str) -> None:
    """Repeats a tensor along its first axis."""
    state[name] = torch.cat([state[name], state[name]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("visual.proj"), ["visual.proj"]),
        (lambda state: state.update(extra=torch.zeros(1)), ["extra"]),
        (lambda state: widen(state, "visual.proj"), ["visual.proj"]),
        (lambda state: widen(state, "positional_embedding"), ["(77, 32), got (154, 32)", "size"]),
        (lambda state: state.update({"text_model.x": torch.zeros(1)}), ["transformers:<their directory>"]),
    ],
    ids=["missing", "unexpected", "shape", "length", "format"],
)
def test_a_checkpoint_of_another_architecture_is_refused_by_open_clip(checkpoint, change, words):
    """A tensor too few, too many or of another shape, also where open_clip would stretch it in silence."""
    change_weights(checkpoint / "open_clip_model.safetensors", change)
    message = refusal(f"open_clip:local-dir:{checkpoint}")
    assert "do not fit" in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("visual_projection.weight"), ["1 missing (visual_projection.weight…)"]),
        (lambda state: state.update(extra=torch.zeros(1)), ["1 unexpected (extra…)"]),
        (lambda state: widen(state, "visual_projection.weight"), ["1 of another shape", "visual_projection.weight"]),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_a_checkpoint_of_another_architecture_is_refused_by_transformers(own_copy, change, words):
    """A tensor too few, too many or of another shape, which transformers would replace by random numbers."""
    change_weights(own_copy / "model.safetensors", change)
    message = refusal(f"transformers:{own_copy}", WeightsError)
    assert all(word in message for word in words), message


def test_old_position_numbers_are_no_fault(own_copy, tiny_transformers_clip):
    """OpenAI's own checkpoint carries them; they change neither the weights nor the digest."""
    before = open_encoder(tiny_transformers_clip, device="cpu").spec.weights_sha256
    numbers = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    change_weights(own_copy / "model.safetensors", lambda state: state.update(numbers))
    assert open_encoder(f"transformers:{own_copy}", device="cpu").spec.weights_sha256 == before


def edit_json(path: Path, change: dict[str, object]) -> None:
    """Changes keys at the top of a JSON file; a dotted key lies one level deeper."""
    content = json.loads(path.read_text())
    for key, value in change.items():
        *outer, inner = key.split(".")
        place = content
        for name in outer:
            place = place[name]
        place[inner] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("config.json", {"model_type": "blip"}, ["type clip or siglip, got 'blip'", "evalkit list encoders"]),
        ("preprocessor_config.json", {"do_normalize": False}, ["expected do_normalize true"]),
        ("preprocessor_config.json", {"rescale_factor": 1.0}, ["expected rescale_factor 1/255, got 1.0"]),
        ("preprocessor_config.json", {"resample": 0}, ["expected resample one of [1, 2, 3], got 0"]),
        ("preprocessor_config.json", {"size": {"shortest_edge": 40}}, ["expected size 32, the network's"]),
        ("preprocessor_config.json", {"crop_size": {"height": 32, "width": 30}}, ["expected crop_size 32"]),
        ("preprocessor_config.json", {"do_center_crop": False}, ["expected size 32, the network's"]),
        ("config.json", {"text_config.eos_token_id": 7}, ["expected the end token that config.json names"]),
        ("config.json", {"text_config.eos_token_id": 2}, []),
    ],
    ids=str,
)
def test_a_directory_that_cannot_be_followed_is_refused(own_copy, file, change, words):
    """Other models, other preprocessings and a wrong end token are named; the old spelling of the end token is not."""
    edit_json(own_copy / file, change)
    if not words:
        assert open_encoder(f"transformers:{own_copy}", device="cpu").encode_texts(["a", "b"]).shape == (2, 16)
        return
    message = refusal(f"transformers:{own_copy}")
    assert str(own_copy) in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors", "vocab.json"])
@pytest.mark.parametrize("fault", ["gone", "damaged"])
def test_a_missing_or_damaged_file_is_an_error_of_ours(own_copy, file, fault):
    """Each necessary file of a directory, absent or full of nonsense, ends in a message that names the directory."""
    (own_copy / file).unlink() if fault == "gone" else (own_copy / file).write_bytes(b"\x00nonsense")
    message = refusal(f"transformers:{own_copy}", WeightsError if file == "model.safetensors" else EncoderError)
    assert str(own_copy) in message


def test_a_directory_cannot_bring_code(own_copy):
    """A configuration that points to Python beside it does not get it run, and nobody is asked on the terminal."""
    (own_copy / "trap.py").write_text("raise SystemExit('code was run')")
    edit_json(own_copy / "config.json", {"auto_map": {"AutoModel": "trap.Trap", "AutoConfig": "trap.Trap"}})
    edit_json(own_copy / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["trap.Trap", None]}})
    assert open_encoder(f"transformers:{own_copy}", device="cpu").encode_texts(["a"]).shape == (1, 16)


def test_settings_of_open_clip_that_cannot_be_followed_are_refused(checkpoint):
    """Padding to a square is not among our preprocessings."""
    edit_json(checkpoint / "open_clip_config.json", {"preprocess_cfg.resize_mode": "longest"})
    assert "resized by 'longest'" in refusal(f"open_clip:local-dir:{checkpoint}")


def test_the_miniature_is_labelled_so(tmp_path, monkeypatch):
    """It comes with the package and its name says miniature; without its files the installation is incomplete."""
    encoder = open_encoder("miniature", device="cpu")
    assert encoder.spec.label.startswith("miniature/clip@")
    assert np.isfinite(encoder.encode_texts(["A photo of a red circle."])).all()
    monkeypatch.setitem(miniature.DIRECTORIES, "", tmp_path / "absent")
    assert "installation is incomplete" in refusal("miniature", WeightsError)


def test_every_backend_is_listed_with_a_summary():
    """``evalkit list encoders`` shows one line for each, without importing a heavy library."""
    code = "import sys; from evalkit.encoders.load import ENCODERS as e; e.entries(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    for entry in ENCODERS.entries():
        assert entry.error is None
        assert len(entry.value.__doc__.partition("\n")[0]) > 20
