"""How far apart two embeddings of one and the same picture can lie: the basis of ``EncoderSpec.resolution``.

    python -m tests.studies.encoder_resolution [fp32|fp16|bf16 …]

The true ViT-B/32 at random weights, in open_clip's own initialisation and in one with every bias and gain random,
encodes the same pictures and captions alone, in batches of several sizes and at several places of a batch. Kernels sum
in another order for another batch size, and each layer rounds what it is given; nothing else differs. Printed are

* the largest L2 distance between two normalised embeddings of one content by one encoder: what this machine's kernels
  do, which may be nothing;
* the largest distance to the float32 embedding of that content: half of what any two kernels may differ by.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

from evalkit.encoders.base import Encoder
from evalkit.encoders.load import open_encoder
from tests.support.models import write_true_checkpoint

SIZES = (1, 2, 3, 4, 8)
CAPTIONS = ["A photo of a cat.", "A zebra that is lying down in the grass " * 3, "bird", "two red squares on blue"]


def embeddings(encode, contents) -> list[list[np.ndarray]]:
    """For each content its normalised embeddings, one per batch size and place."""
    seen: list[list[np.ndarray]] = [[] for _ in contents]
    for size in SIZES:
        order = list(itertools.islice(itertools.cycle(range(len(contents))), max(size, len(contents))))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            vectors = encode([contents[index] for index in chosen]).astype(np.float64)
            for index, vector in zip(chosen, vectors, strict=True):
                seen[index].append(vector / np.linalg.norm(vector))
    return seen


def largest(pairs) -> float:
    """The largest distance in some pairs of vectors."""
    return max(float(np.linalg.norm(a - b)) for a, b in pairs)


def measure(encoder: Encoder) -> list[list[list[np.ndarray]]]:
    """The embeddings of images and of texts."""
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(0, 255, 224)[None, :, None], (224, 224, 3)).astype(np.uint8)
    noise = rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    images = embeddings(lambda batch: encoder.encode_images(np.stack(batch)), [ramp, 255 - ramp, *noise])
    return [images, embeddings(encoder.encode_texts, CAPTIONS)]


def main() -> None:
    """Prints one line per initialisation, type and kind of content."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("open_clip", "random"):
            spec = write_true_checkpoint(Path(directory) / "weights.safetensors", initialiser=name)
            exact = measure(open_encoder(spec))
            for dtype in sys.argv[1:] or ("fp32", "fp16", "bf16"):
                found = exact if dtype == "fp32" else measure(open_encoder(spec, dtype=dtype))
                for kind, rows, true in zip(("images", "texts"), found, exact, strict=True):
                    within = largest(pair for row in rows for pair in itertools.combinations(row, 2))
                    across = largest(
                        pair for row, ref in zip(rows, true, strict=True) for pair in zip(row, ref, strict=True)
                    )
                    print(f"{name}, {dtype}, {kind}: among themselves {within:.1e}, to fp32 {across:.1e}", flush=True)


if __name__ == "__main__":
    main()
