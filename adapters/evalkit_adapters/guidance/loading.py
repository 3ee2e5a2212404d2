"""Opens the CLIP that guides an optimisation: by the names, and with the checks, of evalkit's encoders."""

from typing import Any

from evalkit.editing.method import MINIATURE
from evalkit.encoders.load import ENCODERS
from evalkit.errors import EvalkitError, WeightsError
from evalkit_adapters.guidance.clip import GuidingClip, tower_of

_BACKENDS = ("open_clip", "transformers", MINIATURE)


def open_clip_guide(name: str, *, device: str) -> GuidingClip:
    """A CLIP, frozen and in float32.

    Args:
        name: ``open_clip:<architecture>/<tag or file>``, ``transformers:<Hub id or directory>``, or one of evalkit's
            own, ``miniature`` and ``miniature:v2``.
        device: Where it runs.

    Raises:
        WeightsError: It cannot be found, downloaded or trusted, or is no CLIP with a vision transformer.
    """
    backend, _, argument = name.partition(":")
    if backend not in _BACKENDS:
        raise WeightsError(
            f"A guiding CLIP is called open_clip:<architecture>/<tag or file>, transformers:<Hub id or directory> or "
            f"{MINIATURE}; got '{name}'. The usual one: open_clip:ViT-B-32-quickgelu/openai"
        )
    try:
        loaded: Any = ENCODERS.get(backend)(argument, device=device, dtype="fp32")
        network = loaded.encoder.network
        tower = tower_of(network.model)
    except (EvalkitError, ValueError) as error:
        raise WeightsError(
            f"The guiding CLIP {name} cannot be used: {str(error).rstrip('. ')}. Name a copy that you have "
            f"(open_clip:<architecture>/<file> or transformers:<directory>), or try everything without real weights: "
            f"--model {MINIATURE}"
        ) from error
    return GuidingClip(
        model=network.model,
        tower=tower,
        tokenize=network.tokenize,
        texts=network.embed_texts,
        side=network.preprocess.size,
        mean=network.preprocess.mean,
        std=network.preprocess.std,
    )
