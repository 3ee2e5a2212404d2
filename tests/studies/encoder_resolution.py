"""How far apart two embeddings of one and the same content can lie: the basis of ``EncoderSpec.resolution``.

    python -m tests.studies.encoder_resolution [fp32|fp16|bf16 …]

The true ViT-B/32 at random weights, in open_clip's own initialisation and in one with every bias and gain random,
encodes the same pictures and captions in processes that sum in another order: with the vector instructions of older
processors, with two threads, one input or 32 at a time instead of four. Nothing of that is part of a signature. Printed
are, for images and texts,

* the largest L2 distance to the normalised embedding that this machine gives by itself, and the largest change of a
  cosine of an image with a text;
* in other precisions, the largest distance to the float32 embedding: half of what any two machines may differ by.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evalkit.encoders import network
from evalkit.encoders.load import open_encoder
from tests.support.models import write_true_checkpoint

CAPTIONS = ["A photo of a cat.", "A zebra that is lying down in the grass " * 3, "bird", "two red squares on blue"]
SSE = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
Unit = np.ndarray
"""``(n, dimension)``, of length one."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the same embeddings are computed."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    at_once: int = network.PASS_OF_CPU


WAYS = (
    Way(name="by itself"),
    Way(name="again"),
    Way(name="SSE4", environment=SSE),
    Way(name="AVX2", environment=AVX2),
    Way(name="two threads", environment={"OMP_NUM_THREADS": "2"}),
    Way(name="one at a time", at_once=1),
    Way(name="32 at a time", at_once=32),
)


def pictures() -> np.ndarray:
    """Ramps and noise, ``(n, 224, 224, 3)``."""
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(0, 255, 224)[None, :, None], (224, 224, 3)).astype(np.uint8)
    return np.stack([ramp, 255 - ramp, *rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)])


def write_embeddings(spec: str, dtype: str, at_once: str, path: str) -> None:
    """What a process of its own does: the normalised embeddings of images and texts, into a file."""
    network.PASS_OF_CPU = int(at_once)
    encoder = open_encoder(spec, device="cpu", dtype=dtype)
    vectors = [encoder.encode_images(pictures()), encoder.encode_texts(CAPTIONS)]
    wide = [each.astype(np.float64) for each in vectors]
    np.savez(path, *(each / np.linalg.norm(each, axis=1, keepdims=True) for each in wide))


def embeddings(spec: str, dtype: str, way: Way, directory: Path) -> tuple[Unit, Unit]:
    """Of images and of texts, computed in a new process."""
    path = directory / "embeddings.npz"
    command = [sys.executable, "-m", "tests.studies.encoder_resolution", "--of", spec, dtype, str(way.at_once)]
    threads = {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(path)], env={**os.environ, **threads, **way.environment}, check=True)
    with np.load(path) as found:
        return found["arr_0"], found["arr_1"]


def distances(one: tuple[Unit, Unit], other: tuple[Unit, Unit]) -> str:
    """Of images, of texts, and of the cosines of all pairs, the largest each."""
    images, texts = (np.linalg.norm(a - b, axis=1).max() for a, b in zip(one, other, strict=True))
    cosines = np.abs(one[0] @ one[1].T - other[0] @ other[1].T).max()
    return f"images {images:.1e}, texts {texts:.1e}, cosines {cosines:.1e}"


def main() -> None:
    """Prints one line per initialisation, precision and way."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for initialiser in ("open_clip", "random"):
            spec = write_true_checkpoint(directory / "weights.safetensors", initialiser=initialiser)
            exact = embeddings(spec, "fp32", WAYS[0], directory)
            for dtype in sys.argv[1:] or ("fp32", "fp16", "bf16"):
                usual = embeddings(spec, dtype, WAYS[0], directory)
                print(f"{initialiser}, {dtype}, from fp32: {distances(usual, exact)}", flush=True)
                for way in WAYS[1:]:
                    found = embeddings(spec, dtype, way, directory)
                    print(f"{initialiser}, {dtype}, {way.name}: {distances(found, usual)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        write_embeddings(*sys.argv[2:])
    else:
        main()
