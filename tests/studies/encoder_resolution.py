"""How far apart two embeddings of one and the same picture can lie: the basis of ``EncoderSpec.resolution``.

    python -m tests.studies.encoder_resolution [fp32|fp16|bf16 …]

The true ViT-B/32 at random weights, in open_clip's own initialisation and in one with every bias and gain random,
encodes the same pictures and captions alone, in batches of several sizes and at several places of a batch. Kernels sum
in another order for another batch size, and each layer rounds what it is given; nothing else differs. Printed is the
largest L2 distance between two normalised embeddings of one content.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

from evalkit.encoders.base import Embeddings, Encoder
from evalkit.encoders.load import open_encoder
from tests.support.models import write_true_checkpoint

SIZES = (1, 2, 3, 5, 8, 16)
CAPTIONS = ["A photo of a cat.", "A zebra that is lying down in the grass " * 3, "bird", "two red squares on blue"]


def spread(encode, contents) -> float:
    """The largest distance between embeddings of one content over all batch sizes and places."""
    seen: dict[int, list[Embeddings]] = {}
    for size in SIZES:
        order = list(itertools.islice(itertools.cycle(range(len(contents))), max(size, len(contents))))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            vectors = encode([contents[index] for index in chosen]).astype(np.float64)
            for index, vector in zip(chosen, vectors, strict=True):
                seen.setdefault(index, []).append(vector / np.linalg.norm(vector))
    return max(float(np.linalg.norm(a - b)) for same in seen.values() for a, b in itertools.combinations(same, 2))


def measure(encoder: Encoder) -> tuple[float, float]:
    """The spread of images and of texts."""
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(0, 255, 224)[None, :, None], (224, 224, 3)).astype(np.uint8)
    noise = rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    images = spread(lambda batch: encoder.encode_images(np.stack(batch)), [ramp, 255 - ramp, *noise])
    return images, spread(encoder.encode_texts, CAPTIONS)


def main() -> None:
    """Prints one line per initialisation and type."""
    with tempfile.TemporaryDirectory() as directory:
        specs = {
            name: write_true_checkpoint(Path(directory) / f"{name}.safetensors", initialiser=name)
            for name in ("open_clip", "random")
        }
        for name, spec in specs.items():
            for dtype in sys.argv[1:] or ("fp32", "fp16", "bf16"):
                images, texts = measure(open_encoder(spec, dtype=dtype))
                print(f"{name} initialisation, {dtype}: images {images:.1e}, texts {texts:.1e}", flush=True)


if __name__ == "__main__":
    main()
