"""A plug-in with a metric of every kind, an encoder of its own, and metrics with faults; and its installation."""

from functools import partial
from pathlib import Path

import numpy as np

from evalkit.encoders.base import EncoderSpec, LoadedEncoder, Preprocess
from evalkit.metrics.base import Metric, Scores
from evalkit.metrics.features import ItemFeature, PairFeature, VectorFeature


class Colours:
    """An encoder without a network: mean colours of images, and numbers about whole items."""

    device = "cpu"
    spec = EncoderSpec(
        name="colours/mean",
        weights_sha256="0" * 64,
        preprocess=Preprocess(size=8, mode="squash", mean=(0, 0, 0), std=(1, 1, 1)),
        tokenizer="none",
    )

    def encode_images(self, pixels):
        """Mean colour and a constant."""
        colours = pixels.reshape(len(pixels), -1, 3).mean(axis=1)
        return np.concatenate([colours, np.ones((len(pixels), 1))], axis=1).astype(np.float32)

    def encode_items(self, items):
        """Width of the source image and length of the instruction."""
        return np.array([[item.source_image.width, len(item.instruction)] for item in items], np.float32)


def load_colours(argument, *, device, dtype):
    """The encoder ``colours``."""
    return LoadedEncoder(encoder=Colours())


class WordCounter:
    """A judge: words of the target caption, and the brightness of the edited image."""

    name = "word_counter"
    version = 3

    def __call__(self, item):
        """Two numbers."""
        return [len(item.target_caption.split()), np.asarray(item.edited_image).mean()]


def make(name, function, highest=1e6, **features):
    """A metric of those features."""
    return Metric(
        name=name,
        summary="for tests",
        reference="none",
        family="alignment",
        higher_is_better=True,
        lowest=-1e6,
        highest=highest,
        features=features,
        function=function,
    )


def first(numbers):
    """The first number of each item."""
    return Scores.of(numbers[:, 0])


def channel_mean(index):
    """A measure of one channel of the edited image; all of them have one qualified name."""

    def measure(edited, source):
        return [float(edited[..., index].mean())]

    return measure


def channel(edited, source, *, index):
    """The same as a function of its own."""
    return [float(edited[..., index].mean())]


def agreement(clip, colours):
    """Something of both networks."""
    return Scores.of(np.linalg.norm(clip, axis=1) + colours[:, 0])


RED = make("red", first, numbers=PairFeature(measure=channel_mean(0)))
BLUE = make("blue", first, numbers=PairFeature(measure=channel_mean(2)))
GREEN = make("green", first, numbers=PairFeature(measure=partial(channel, index=1)))
TO_REFERENCE = make(
    "red_of_reference",
    first,
    numbers=PairFeature(
        name="other_red", measure=lambda edited, source: [source[..., 0].mean()], against="reference_image"
    ),
)
TWO_NETWORKS = make(
    "two_networks",
    agreement,
    clip=VectorFeature(field="edited_image"),
    colours=VectorFeature(field="edited_image", encoder="colours"),
)
JUDGED = make("judged", first, numbers=ItemFeature(takes=("target_caption", "edited_image"), judge=WordCounter()))
JUDGED_BY_NETWORK = make(
    "judged_by_network",
    first,
    numbers=ItemFeature(takes=("source_image", "instruction", "edited_image"), encoder="colours"),
)
NO_FEATURES = make("no_features", first)
METRICS = {
    "red": "RED",
    "blue": "BLUE",
    "green": "GREEN",
    "red_of_reference": "TO_REFERENCE",
    "two_networks": "TWO_NETWORKS",
    "judged": "JUDGED",
    "judged_by_network": "JUDGED_BY_NETWORK",
    "no_features": "NO_FEATURES",
}


def install_kinds(site: Path) -> Path:
    """What ``pip install --target`` leaves of the plug-in; the directory is to be put on the import path."""
    information = site / "kinds-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: kinds\nVersion: 1.0\n")
    metrics = "\n".join(f"{name} = {__name__}:{target}" for name, target in METRICS.items())
    points = f"[evalkit.metrics]\n{metrics}\n[evalkit.encoders]\ncolours = {__name__}:load_colours\n"
    (information / "entry_points.txt").write_text(points)
    return site
