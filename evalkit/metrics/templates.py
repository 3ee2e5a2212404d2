"""Prompt templates: the sentences into which a caption is put before it is encoded."""

from collections.abc import Callable, Mapping


def _plain() -> tuple[str, ...]:
    return ("{}",)


def _photo_depicts() -> tuple[str, ...]:
    return ("A photo depicts {}",)


def _imagenet() -> tuple[str, ...]:
    """The 79 that StyleGAN-NADA averages over: CLIP's 80 for ImageNet without "many", which is plural."""
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(sentence for make in OPENAI_IMAGENET_TEMPLATES if "many" not in (sentence := make("{}")))


TEMPLATES: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "none": _plain,
    "photo_depicts": _photo_depicts,
    "imagenet79": _imagenet,
}
"""Name, as it stands in a signature, to the sentences with ``{}`` where the caption goes."""


def fill(template: str, caption: str) -> tuple[str, ...]:
    """The caption in each sentence of a set of templates.

    Sentences that end in a full stop take the caption without its own.

    >>> fill("photo_depicts", "A cat.")
    ('A photo depicts A cat.',)
    """
    bare = caption.rstrip().removesuffix(".")
    return tuple(
        sentence.replace("{}", bare if sentence.endswith(".") else caption) for sentence in TEMPLATES[template]()
    )
