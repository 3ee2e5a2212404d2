"""How far evalkit's numbers lie from those of other implementations, item by item, on TEdBench's published edits.

::

    python -m tests.studies.peers --edits ../shared/tedbench/imagic --data ../shared/tedbench

Both sides are given the same decoded pictures, those of metrics of pixels at the source's size, and networks of the
true architectures (CLIP ViT-B/32, ViT-S/16, AlexNet) at the same random weights. What a peer does to a picture or a
text before its network is its own. Peers that are not installed are left out. The table is written beside this file.
"""

import argparse
import importlib
import importlib.metadata
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evalkit import __version__, open_edits, score
from evalkit.edits.item import EditItem
from evalkit.images.decode import read_image
from evalkit.images.pairs import align
from tests.studies import peer_networks as networks

TABLE = Path(__file__).with_suffix(".md")
DIFFERS = 1e-4
HEADING = ("metric", "its mean", "peer", "call", "largest", "median", f"items > {DIFFERS:g}", "because it")
RIM = "also counts windows that hang over the image's rim, reflected"
ODD = "repeats the first row of a scale of odd size; here, as in pytorch-msssim, zeros come before it"
TENSORS = "resizes tensors, which rounds otherwise than Pillow"


class Pair:
    """An item's pictures, in the forms that peers want."""

    def __init__(self, item: EditItem) -> None:
        self.item = item

    @cached_property
    def images(self) -> tuple[Image.Image, Image.Image]:
        """Source and edited image, decoded, at their own sizes."""
        return read_image(self.item.source_image), read_image(self.item.edited_image)

    @cached_property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Edited and source image at the source's size."""
        aligned = align(self.images[1], np.asarray(self.images[0]))
        return aligned.edited, aligned.source

    @cached_property
    def unit(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same as ``(1, 3, height, width)`` floats of 32 bits, in [0, 1], as peers are used."""
        one, other = (
            torch.tensor(p / 255, dtype=torch.float32).permute(2, 0, 1)[None].contiguous() for p in self.pixels
        )
        return one, other


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another implementation of a metric."""

    metric: str
    package: str
    call: str
    value: Callable[[Pair], float]
    because: str = ""
    """Why it differs, where it does."""


def installed(package: str) -> str | None:
    """The version that is installed; None where none is."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def tensors(path: str, **settings: object) -> Callable[[Pair], float]:
    """A function of two tensors, by its module and name, in 32 bits, as it is used."""
    module, _, name = path.rpartition(".")

    def value(pair: Pair) -> float:
        with torch.inference_mode():
            return float(getattr(importlib.import_module(module), name)(*pair.unit, **settings))

    return value


def arrays(name: str, **settings: object) -> Callable[[Pair], float]:
    """A function of scikit-image of two arrays, ``(height, width, 3)``."""

    def value(pair: Pair) -> float:
        function = getattr(importlib.import_module("skimage.metrics"), name)
        return float(function(*(pixels / 255 for pixels in pair.pixels[::-1]), **settings))

    return value


def pixel_peers() -> list[Peer]:
    """Implementations of metrics of pixels."""
    one = {"data_range": 1.0}
    paper = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2, **one}
    image, regression = "torchmetrics.functional.image", "torchmetrics.functional.regression"
    ssim, multiscale = "structural_similarity_index_measure", "multiscale_structural_similarity_index_measure"
    listed = (
        ("l1", "torchmetrics", "mean_absolute_error", tensors(f"{regression}.mean_absolute_error"), ""),
        ("mse", "torchmetrics", "mean_squared_error", tensors(f"{regression}.mean_squared_error"), ""),
        ("mse", "scikit-image", "mean_squared_error", arrays("mean_squared_error"), ""),
        ("psnr", "torchmetrics", "peak_signal_noise_ratio", tensors(f"{image}.peak_signal_noise_ratio", **one), ""),
        ("psnr", "scikit-image", "peak_signal_noise_ratio", arrays("peak_signal_noise_ratio", **one), ""),
        ("psnr", "piq", "psnr", tensors("piq.psnr", **one), "adds 1e-8 to the squared error"),
        ("ssim", "scikit-image", "structural_similarity", arrays("structural_similarity", **paper), ""),
        ("ssim", "pytorch-msssim", "ssim", tensors("pytorch_msssim.ssim", **one), ""),
        ("ssim", "piq", "ssim(downsample=False)", tensors("piq.ssim", downsample=False, **one), ""),
        ("ssim", "piq", "ssim", tensors("piq.ssim", **one), "first shrinks images of 384 pixels and more"),
        ("ssim", "torchmetrics", ssim, tensors(f"{image}.{ssim}", **one), RIM),
        ("ssim:multiscale", "pytorch-msssim", "ms_ssim", tensors("pytorch_msssim.ms_ssim", **one), ""),
        ("ssim:multiscale", "piq", "multi_scale_ssim", tensors("piq.multi_scale_ssim", **one), ODD),
        ("ssim:multiscale", "torchmetrics", multiscale, tensors(f"{image}.{multiscale}", **one),
         f"averages channels before the product, and {RIM}"),
    )  # fmt: skip
    return [
        Peer(metric=metric, package=package, call=call, value=value, because=because)
        for metric, package, call, value, because in listed
    ]


def openai_peers(checkpoint: Path) -> list[Peer]:
    """The formulas of CLIP metrics through OpenAI's package, as the scripts of papers use it."""
    if not installed("openai-clip"):
        return []
    clip = networks.OpenAIClip(checkpoint)

    def cosine(pair: Pair, *, prefix: str = "") -> float:
        return float(clip.images(pair.images[1])[0] @ clip.texts(prefix + str(pair.item.target_caption))[0])

    def of_images(pair: Pair) -> float:
        one, other = clip.images(*pair.images)
        return float(one @ other)

    peer = partial(Peer, package="openai-clip")
    return [
        peer(metric="clip_score", call="max(cos, 0)", value=lambda pair: max(cosine(pair), 0.0)),
        peer(
            metric="clip_score:hessel",
            call='2.5 · max(cos, 0), "A photo depicts"',
            value=lambda pair: 2.5 * max(cosine(pair, prefix="A photo depicts "), 0.0),
        ),
        peer(metric="clip_image_similarity", call="cos", value=of_images),
        peer(
            metric="clip_directional_similarity",
            call="cos of the two changes",
            value=lambda pair: networks.direction(clip.images(*pair.images), clip.texts(*captions(pair))),
        ),
    ]


def transformers_peers(directory: Path) -> list[Peer]:
    """CLIP metrics of those who build on transformers."""
    clip = networks.TransformersClip(directory)

    def score_of(pair: Pair) -> float:
        pixels = torch.tensor(np.asarray(pair.images[1])).permute(2, 0, 1)
        clip.clip_score.reset()
        clip.clip_score.update(pixels, str(pair.item.target_caption))
        return float(clip.clip_score.score / clip.clip_score.n_samples)

    return [
        Peer(
            metric="clip_directional_similarity",
            package="transformers",
            call="as in diffusers' guide to evaluation",
            value=lambda pair: networks.direction(clip.images(*pair.images), clip.texts(*captions(pair))),
            because=TENSORS,
        ),
        Peer(
            metric="clip_score:torchmetrics",
            package="torchmetrics",
            call="CLIPScore, before its mean",
            value=score_of,
            because=f"{TENSORS} (and is 100 times a cosine)",
        ),
    ]


def vision_peers(vit: Path, backbone: Path) -> list[Peer]:
    """DINO through torchvision's transforms, and LPIPS."""
    dino, lpips = networks.VisionTransformer(vit), networks.lpips_networks(backbone)

    def distance(package: str, pair: Pair) -> float:
        with torch.inference_mode():
            return float(lpips[package](*pair.unit, normalize=True))

    def structure(pair: Pair, *, antialias: bool) -> float:
        return dino.structure(*pair.pixels, antialias=antialias)

    by_torchvision = partial(Peer, package="torchvision", metric="structure_distance:pie_bench")
    return [
        Peer(metric="lpips", package="lpips", call="LPIPS(net='alex')", value=partial(distance, "lpips")),
        Peer(metric="lpips", package="torchmetrics", call="the same", value=partial(distance, "torchmetrics")),
        Peer(
            metric="dino_image_similarity",
            package="torchvision",
            call="Resize(256), CenterCrop(224)",
            value=lambda pair: dino.similarity(*pair.images),
        ),
        by_torchvision(
            call="Resize(224, max_size=480) of tensors up to 0.16",
            value=partial(structure, antialias=False),
        ),
        by_torchvision(
            call="Resize(224, max_size=480) of tensors from 0.17 on",
            value=partial(structure, antialias=True),
            because="antialiases by default",
        ),
    ]


def captions(pair: Pair) -> tuple[str, str]:
    """Of the source and of the edit."""
    return str(pair.item.source_caption), str(pair.item.target_caption)


def row(peer: Peer, mean: float, differences: np.ndarray) -> str:
    """One line of the table."""
    largest, median = (f"{value:.1e}" for value in (differences.max(), np.median(differences)))
    because = peer.because if differences.max() > DIFFERS else ""
    n = str(int((differences > DIFFERS).sum()))
    package = f"{peer.package} {installed(peer.package)}"
    return (
        "| " + " | ".join([f"`{peer.metric}`", f"{mean:.4g}", package, peer.call, largest, median, n, because]) + " |"
    )


def document(rows: Sequence[str], n_items: int) -> str:
    """The page."""
    lines = [
        "# How far other implementations are",
        "",
        f"`{COMMAND}`: {n_items} edits, evalkit {__version__}, torch {torch.__version__}, float32 on a CPU.",
        "",
        "The largest and the median absolute difference of an item from evalkit's value, on the same pictures and the",
        "same random weights, each metric in its own unit (PSNR in decibels).",
        "",
        "| " + " | ".join(HEADING) + " |",
        "|" + "---|" * len(HEADING),
        *rows,
    ]
    return "\n".join(lines) + "\n"


COMMAND = "python -m tests.studies.peers --edits ../shared/tedbench/imagic --data ../shared/tedbench"


def compared(peers: Sequence[Peer], items: Sequence[EditItem], ours: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """``(peers, items)`` absolute differences; one item's pictures are in memory at a time."""
    found = np.zeros((len(peers), len(items)))
    for column, item in enumerate(items):
        pair = Pair(item)
        found[:, column] = [abs(peer.value(pair) - ours[peer.metric][item.item_id]) for peer in peers]
        sys.stderr.write(f"\r{column + 1} of {len(items)}")
    return found


def main() -> None:
    """Scores the folder, asks every peer about every item, and writes the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--edits", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="only so many edits, for a trial")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    opened = open_edits(given.edits, data=given.data)
    items = opened.folder.items[: given.limit]
    opened = replace(opened, folder=replace(opened.folder, items=items))
    with tempfile.TemporaryDirectory() as work:
        files = networks.write_networks(Path(work))
        every = [
            *pixel_peers(),
            *openai_peers(files["clip"]),
            *transformers_peers(files["clip_directory"]),
            *vision_peers(files["dino"], files["lpips_alex"]),
        ]
        peers = sorted((peer for peer in every if installed(peer.package)), key=lambda peer: peer.metric)
        metrics = tuple(dict.fromkeys(peer.metric for peer in peers))
        encoder = networks.specifications(files)
        run = score(opened, Path(work) / "run", metrics=metrics, encoder=encoder, device="cpu", cached=False)
        ours = {name: {row.item_id: row.values[name] for row in run.table.rows} for name in metrics}
        differences = compared(peers, items, ours)
    means = [float(np.mean(list(ours[peer.metric].values()))) for peer in peers]
    rows = [row(*each) for each in zip(peers, means, differences, strict=True)]
    TABLE.write_text(document(rows, len(items)))


if __name__ == "__main__":
    main()
