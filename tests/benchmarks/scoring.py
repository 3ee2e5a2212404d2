"""How fast a folder is scored, as ratios within one run: against the machine's own bound, and against today's loops.

    python tests/benchmarks/scoring.py --items 1000 --loop-items 100
    python tests/benchmarks/scoring.py --items 1000 --loop-items 40 --size 1024      # the TEdBench case

The network is the true ViT-B/32 at random initialisation, saved as a checkpoint; the images are generated PNGs of 512
pixels (``--size``), five edits per source. The *bound* is what perfect overlap allows where reading and encoding share
the cores: the seconds of a bare batched encode of images and texts plus those of a bare decode and resize, each alone
on all cores. (Its texts are padded to full length, which ours are not: we can be faster.) *Start-up* is what scoring
one item costs: imports, and reading and hashing the weights. The *loops* are what the same three metrics cost with
today's scripts (:class:`Loops`), run on the first ``--loop-items`` items, from which the whole is extrapolated.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import open_clip
import torch
from common import evalkit, make_folder
from PIL import Image
from safetensors.torch import load_file, save_file

ARCHITECTURE = "ViT-B-32-quickgelu"
BATCH = 32


def save_checkpoint(path: Path) -> None:
    """The true architecture at random initialisation, as a safetensors file."""
    torch.manual_seed(0)
    save_file(open_clip.create_model(ARCHITECTURE).state_dict(), path)


def load_model(path: Path) -> torch.nn.Module:
    """The network that the loops and the bound use."""
    model = open_clip.create_model(ARCHITECTURE)
    model.load_state_dict(load_file(path))
    return model.eval()


def bare_encode_seconds(model: torch.nn.Module, n_images: int, n_texts: int, rounds: int) -> float:
    """Seconds to encode so many images and texts in batches, from ready tensors."""
    images, texts = torch.randn(BATCH, 3, 224, 224), open_clip.get_tokenizer(ARCHITECTURE)(["a photo of a cat"] * BATCH)

    def per_item(encode: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> float:
        encode(batch)
        started = time.perf_counter()
        for _ in range(rounds):
            encode(batch)
        return (time.perf_counter() - started) / (rounds * BATCH)

    with torch.inference_mode():
        return n_images * per_item(model.encode_image, images) + n_texts * per_item(model.encode_text, texts)


def bare_decode_seconds(paths: list[Path]) -> float:
    """Seconds to decode and resize the files on all cores, with nothing else running."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.convert("RGB").resize((224, 224), Image.BICUBIC)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(decode, paths))
    return time.perf_counter() - started


class Loops:
    """Today's scripts for the three CLIP metrics, written from the description of what they do.

    Args:
        model: The network that they share with evalkit.
        folder: The edit folder.
        n_items: How many of its items they run over.
    """

    def __init__(self, model: torch.nn.Module, folder: Path, n_items: int) -> None:
        _, _, self._transform = open_clip.create_model_and_transforms(ARCHITECTURE)
        self._tokenizer = open_clip.get_tokenizer(ARCHITECTURE)
        self._model, self._folder = model, folder
        self._lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()[:n_items]]

    def _images(self, *names: str) -> torch.Tensor:
        pixels = []
        for name in names:
            with Image.open(self._folder / name) as opened:
                pixels.append(self._transform(opened.convert("RGB")))
        return torch.nn.functional.normalize(self._model.encode_image(torch.stack(pixels)), dim=-1)

    def _texts(self, *captions: str) -> torch.Tensor:
        return torch.nn.functional.normalize(self._model.encode_text(self._tokenizer(list(captions))), dim=-1)

    def torchmetrics(self) -> None:
        """CLIPScore: ``update`` with one image and its caption at a time, 100 · cos, the mean at the end."""
        edited = (self._images(line["edited_image_file_name"]) for line in self._lines)
        texts = (self._texts(line["target_caption"]) for line in self._lines)
        np.mean([float(100 * (image * text).sum()) for image, text in zip(edited, texts, strict=True)])

    def clip_score(self) -> None:
        """The image-to-image score of the ``clip-score`` program: both folders read file by file, in batches of 50."""
        total = 0.0
        for start in range(0, len(self._lines), 50):
            batch = self._lines[start : start + 50]
            edited = self._images(*(line["edited_image_file_name"] for line in batch))
            source = self._images(*(line["source_image_file_name"] for line in batch))
            total += float((edited * source).sum())

    def diffusers(self) -> None:
        """The directional similarity of the documentation of diffusers: two images and two captions for each edit."""
        for line in self._lines:
            images = self._images(line["edited_image_file_name"]) - self._images(line["source_image_file_name"])
            texts = self._texts(line["target_caption"]) - self._texts(line["source_caption"])
            float(torch.nn.functional.cosine_similarity(images, texts))

    def seconds(self) -> dict[str, float]:
        """What each takes."""
        taken = {}
        with torch.inference_mode():
            for name in ("torchmetrics", "clip_score", "diffusers"):
                started = time.perf_counter()
                getattr(self, name)()
                taken[name] = time.perf_counter() - started
        return taken


def rates(images: int, bound: float, start_up: float, cold: float, warm: float) -> dict[str, float]:
    """Seconds, and what they say about the command beside a bare decode and encode."""
    return {
        "bound_images_per_second": images / bound,
        "cold_images_per_second": images / cold,
        "cold_over_bound": bound / cold,
        "cold_over_bound_without_start_up": bound / (cold - start_up),
        "start_up_seconds": start_up,
        "cold_seconds": cold,
        "warm_seconds": warm,
    }


def main() -> None:
    """Generate, measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--loop-items", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8, help="Batches over which the bare encode is timed.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folder = make_folder(root / "folder", options.items, options.size)
        save_checkpoint(root / "model.safetensors")
        model = load_model(root / "model.safetensors")
        images = sorted((folder / "images").iterdir())
        lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
        texts = {line[key] for line in lines for key in ("source_caption", "target_caption")}
        before = bare_encode_seconds(model, len(images), len(texts), options.rounds) + bare_decode_seconds(images)
        arguments = ("score", str(folder), "--encoder", f"open_clip:{ARCHITECTURE}/{root / 'model.safetensors'}")
        metrics = ("--metrics", "clip_score,clip_directional_similarity,clip_image_similarity")
        one = ("score", str(make_folder(root / "one", 1, options.size)), *arguments[2:])
        start_up = evalkit(*one, "--output", str(root / "run_one"), cache=root / "cache_one")
        whole = (*arguments, *metrics, "--output", str(root / "run"), "--json")
        cold, warm = (evalkit(*whole, cache=root / "cache") for _ in range(2))
        after = bare_encode_seconds(model, len(images), len(texts), options.rounds) + bare_decode_seconds(images)
        share = options.items / options.loop_items
        loops = {name: share * taken for name, taken in Loops(model, folder, options.loop_items).seconds().items()}
        loop = sum(loops.values())
        record = json.loads((root / "run" / "run.json").read_text())
    figures = {
        "items": options.items,
        "images": len(images),
        "texts": len(texts),
        "encoded_by_second_run": record["n_encoded_images"] + record["n_encoded_texts"],
        **rates(len(images), (before + after) / 2, start_up.seconds, cold.seconds, warm.seconds),
        **{f"loop_{name}_seconds_extrapolated": taken for name, taken in loops.items()},
        "loop_seconds_extrapolated": loop,
        "loop_over_cold": loop / cold.seconds,
        "loop_over_warm": loop / warm.seconds,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps({key: round(value, 3) for key, value in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
