"""An encoder without a network, and folders for it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.encoders.base import EncoderSpec, Preprocess

SIZE = 8


@dataclass
class FakeEncoder:
    """Projects pixels, and the letters of a text, through a fixed random matrix, and counts what it was asked."""

    weights: str = "fake"
    batches: list[np.ndarray] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    device: str = "cpu"

    @property
    def spec(self) -> EncoderSpec:
        """A specification whose fingerprint follows ``weights``."""
        preprocess = Preprocess(size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        digest = hashlib.sha256(self.weights.encode()).hexdigest()
        return EncoderSpec(name="fake/net/random", weights_sha256=digest, preprocess=preprocess, tokenizer="letters")

    @property
    def n_images(self) -> int:
        """Images encoded so far."""
        return sum(len(batch) for batch in self.batches)

    def encode_images(self, pixels):
        """A linear map of the pixels."""
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (SIZE, SIZE, 3)
        self.batches.append(pixels)
        matrix = np.random.default_rng(0).normal(size=(SIZE * SIZE * 3, 16))
        return (pixels.reshape(len(pixels), -1) / 255.0 @ matrix).astype(np.float32)

    def encode_texts(self, texts):
        """A vector that depends on the whole text."""
        self.texts.extend(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
        return np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds]).astype(np.float32)


def save_picture(path: Path, seed: int, size: int = 16) -> Path:
    """A random picture, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)
    return path


def make_items(root: Path, n_items: int = 10, n_sources: int = 4, seeds: tuple[int | None, ...] = (None,)):
    """Items whose pictures lie below ``root``; source and captions repeat every ``n_sources``."""
    items = []
    for index in range(n_items):
        group = index % n_sources
        source = save_picture(root / f"source_{group}.png", 1_000_000 + group)
        for seed in seeds:
            name = f"item_{index}" if seed is None else f"item_{index}_{seed}"
            items.append(
                EditItem(
                    item_id=f"item_{index}",
                    seed=seed,
                    group=f"group_{group}",
                    source_image=source,
                    edited_image=save_picture(root / f"{name}.png", 100 * index + (seed or 0)),
                    source_caption=f"A thing, number {group}.",
                    target_caption=f"Another thing, number {index}.",
                )
            )
    return items


def make_edit_folder(root: Path, items=None, **more) -> EditFolder:
    """An edit folder of those items."""
    items = make_items(root) if items is None else items
    return EditFolder(
        root=root, layout="manifest", items=tuple(items), n_files=len(items), n_matched=len(items), **more
    )


def write_folder(root: Path, n_items: int = 10, n_sources: int = 4) -> Path:
    """A folder on disk with a manifest, as a method would leave it."""
    write_manifest(root, make_items(root, n_items, n_sources))
    return root
