"""What an encoder turned out to be is remembered, and its network is loaded only to encode."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, Thread

import pytest

from evalkit.encoders import load as loading
from evalkit.encoders.base import LoadedEncoder
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import open_encoder
from evalkit.errors import BrokenPluginError, EncoderError
from evalkit.registry import Registry, RegistryEntry
from tests.support.fakes import FakeEncoder

WARM = """
import json, sys
from pathlib import Path
from evalkit.encoders.load import open_encoder
from evalkit.encoders.cache import EmbeddingCache
with EmbeddingCache.open(Path(sys.argv[2])) as cache:
    encoder = open_encoder(sys.argv[1], cache=cache)
    fingerprint, device = encoder.spec.fingerprint, encoder.device
heavy = sorted({"torch", "torchvision", "open_clip", "transformers", "huggingface_hub"} & set(sys.modules))
print(json.dumps([fingerprint, device, heavy]))
"""


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    with EmbeddingCache.open(tmp_path / "cache" / "embeddings.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("name", ["tiny_open_clip", "tiny_transformers_clip"])
def test_a_known_specification_needs_no_network(request, tmp_path, cache, name):
    """Once an encoder was loaded, its specification comes from the cache: none of the heavy libraries is imported."""
    spec = request.getfixturevalue(name)
    fingerprint = open_encoder(spec, device="cpu", cache=cache).spec.fingerprint
    command = [sys.executable, "-c", WARM, spec, str(tmp_path / "cache" / "embeddings.sqlite")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == [fingerprint, "none", []]


@dataclass
class Counting:
    """A backend that counts how often it loads, and gives the specification that it is told to."""

    files: tuple[Path, ...]
    weights: str = "first"
    libraries: tuple[str, ...] = ("numpy",)
    loads: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, argument: str, *, device: str, dtype: str) -> LoadedEncoder:
        """Loads."""
        self.loads.append((argument, device, dtype))
        return LoadedEncoder(encoder=FakeEncoder(weights=self.weights), files=self.files, libraries=self.libraries)


@pytest.fixture
def counting(tmp_path, monkeypatch) -> Counting:
    """Registered as ``counting``."""
    file = tmp_path / "weights.bin"
    file.write_bytes(b"1")
    backend = Counting(files=(file,))
    monkeypatch.setattr(sys.modules[__name__], "backend", backend, raising=False)
    monkeypatch.setitem(loading.BUILTIN, "counting", f"{__name__}:backend")
    monkeypatch.setattr(loading, "ENCODERS", Registry("encoder", loading.BUILTIN, "evalkit.encoders"))
    return backend


def test_the_network_is_loaded_once_and_only_to_encode(counting, cache):
    """Opening loads nothing, and threads that encode at the same time share one network."""
    encoder = open_encoder("counting:x/y", device="cuda:1", dtype="bf16", cache=cache)
    assert counting.loads == []
    barrier = Barrier(4)

    def encode() -> None:
        barrier.wait()
        encoder.encode_texts(["a"])

    threads = [Thread(target=encode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.loads == [("x/y", "cuda:1", "bf16")]
    assert encoder.device == "cpu"
    _ = open_encoder("counting:x/y", device="cpu", dtype="bf16", cache=cache).spec
    assert len(counting.loads) == 1


def test_without_a_cache_nothing_is_remembered(counting):
    """Each encoder loads its own network to know its specification."""
    for _ in range(2):
        _ = open_encoder("counting").spec
    assert len(counting.loads) == 2


def test_an_encoder_that_names_no_files_is_not_remembered(counting, cache):
    """Nobody could tell whether it is still the same."""
    counting.files = ()
    for _ in range(2):
        _ = open_encoder("counting", cache=cache).spec
    assert len(counting.loads) == 2


@pytest.mark.parametrize("what", ["content", "time", "gone", "library", "dtype", "request"])
def test_whatever_changed_is_loaded_again(counting, cache, monkeypatch, what):
    """A file with other content or time, or none, another version of a library, another type, another request."""
    assert open_encoder("counting:x", cache=cache).spec.weights_sha256 is not None
    _ = open_encoder("counting:x", cache=cache).spec
    assert len(counting.loads) == 1
    (file,) = counting.files
    match what:
        case "content":
            file.write_bytes(b"22")
        case "time":
            os.utime(file, ns=(0, 0))
        case "gone":
            file.unlink()
        case "library":
            monkeypatch.setattr("evalkit.encoders.base.metadata.version", lambda _: "another")
    changed = {"dtype": "fp16"} if what == "dtype" else {}
    _ = open_encoder("counting:y" if what == "request" else "counting:x", cache=cache, **changed).spec
    assert len(counting.loads) == 2


def test_a_relative_path_means_another_file_elsewhere(counting, cache, tmp_path, monkeypatch):
    """The same words in another working directory are another request where they name a file there."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.pt").write_bytes(b"x")
        monkeypatch.chdir(tmp_path / name)
        _ = open_encoder("counting:arch/w.pt", cache=cache).spec
    assert len(counting.loads) == 2


def test_weights_that_were_replaced_behind_a_remembered_specification_are_an_error(counting, cache):
    """A specification that was given out is never served by another network; the next run starts afresh."""
    _ = open_encoder("counting", cache=cache).spec
    encoder = open_encoder("counting", cache=cache)
    promised = encoder.spec
    counting.weights = "second"
    with pytest.raises(EncoderError, match=r"weights have been replaced since.*run the same command again"):
        encoder.encode_texts(["a"])
    again = open_encoder("counting", cache=cache)
    assert again.spec != promised
    again.encode_texts(["a"])


def test_a_cache_that_fails_is_no_obstacle(counting, cache):
    """The network is read instead."""
    _ = open_encoder("counting", cache=cache).spec
    cache._connection.execute("DROP TABLE specs")
    _ = open_encoder("counting", cache=cache).spec
    assert len(counting.loads) == 2


def test_a_plug_in_is_found_and_a_broken_one_says_why(monkeypatch):
    """Backends of other packages are registered by entry points, and their faults are shown when they are used."""
    found = (
        RegistryEntry(name="ours", target=f"{__name__}:plug_in", provider="ours"),
        RegistryEntry(name="broken", target="evalkit_absent:load", provider="ours"),
    )
    monkeypatch.setattr("evalkit.registry.plugins", lambda group: found)
    assert open_encoder("ours:anything").encode_texts(["a"]).shape == (1, 16)
    with pytest.raises(BrokenPluginError, match="No module named 'evalkit_absent'"):
        _ = open_encoder("broken").spec


def plug_in(argument: str, *, device: str, dtype: str) -> LoadedEncoder:
    """A backend of another package."""
    return LoadedEncoder(encoder=FakeEncoder())
