"""Opens the CLIP that guides an optimisation: by the same names as encoders have, and as careful about weights."""

import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from evalkit.editing.method import MINIATURE
from evalkit.errors import WeightsError
from evalkit_adapters.guidance.clip import GuidingClip, tower_of_open_clip, tower_of_transformers

OPEN_CLIP, TRANSFORMERS = "open_clip:", "transformers:"
QUICKGELU = "-quickgelu"
_WAYS_OUT = (
    f"Name a copy that you have ({OPEN_CLIP}<architecture>/<file> or {TRANSFORMERS}<directory>), "
    f"or try everything without real weights: --model {MINIATURE}"
)


def open_clip_guide(name: str, *, device: str) -> GuidingClip:
    """A CLIP, frozen and in float32.

    Args:
        name: ``open_clip:<architecture>/<tag or file>``, ``transformers:<Hub id or directory>``, or ``miniature``.
        device: Where it runs.

    Raises:
        WeightsError: It cannot be found, downloaded or trusted, or is no CLIP with a vision transformer.
    """
    try:
        if name == MINIATURE:
            guide = _transformers(str(resources.files("evalkit").joinpath("encoders", "miniature_clip")))
        elif name.startswith(TRANSFORMERS):
            guide = _transformers(str(Path(name.removeprefix(TRANSFORMERS)).expanduser()))
        elif name.startswith(OPEN_CLIP):
            guide = _open_clip(*name.removeprefix(OPEN_CLIP).partition("/")[::2])
        else:
            raise WeightsError(
                f"A guiding CLIP is called {OPEN_CLIP}<architecture>/<tag or file>, "
                f"{TRANSFORMERS}<Hub id or directory> or {MINIATURE}; got '{name}'. "
                f"The usual one: {OPEN_CLIP}ViT-B-32-quickgelu/openai"
            )
    except WeightsError:
        raise
    except Exception as error:  # of half a dozen libraries: hub, files, configuration, weights
        raise WeightsError(
            f"The guiding CLIP {name} cannot be loaded ({type(error).__name__}: "
            f"{(str(error) or 'no reason given').splitlines()[0].rstrip('. ')}). {_WAYS_OUT}"
        ) from error
    guide.model.to(device).eval().requires_grad_(False)
    return guide


def _open_clip(architecture: str, weights: str) -> GuidingClip:
    import open_clip

    _require_listed("architecture", architecture, open_clip.list_models())
    path = Path(weights).expanduser()
    listed = None if path.is_file() else _listed(architecture, weights)
    model = open_clip.create_model(
        architecture,
        pretrained=str(path) if listed is None else weights,
        require_pretrained=True,
        weights_only=True,
    )
    config = model.visual.preprocess_cfg
    return GuidingClip(
        model=model,
        tower=tower_of_open_clip(model.visual),
        tokenize=open_clip.get_tokenizer(architecture),
        texts=lambda tokens: model.encode_text(tokens, normalize=False),
        side=model.visual.image_size[0],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _listed(architecture: str, tag: str) -> dict[str, Any]:
    """What open_clip knows of weights; refuses those that were trained with another activation.

    open_clip itself only warns, builds the wrong network, and every gradient would be another's.
    """
    import open_clip

    twin = architecture.removesuffix(QUICKGELU) if architecture.endswith(QUICKGELU) else f"{architecture}{QUICKGELU}"
    own = open_clip.get_pretrained_cfg(architecture, tag)
    known = own or open_clip.get_pretrained_cfg(twin, tag)
    computes = bool(open_clip.get_model_config(architecture).get("quick_gelu"))
    if known and twin in open_clip.list_models() and bool(known.get("quick_gelu")) != computes:
        trained, wrong = ("GELU", "QuickGELU") if computes else ("QuickGELU", "GELU")
        raise WeightsError(
            f"The weights '{tag}' were trained with {trained} and open_clip's {architecture} computes {wrong}. "
            f"Take {OPEN_CLIP}{twin}/{tag}"
        )
    _require_listed(f"weights of {architecture}", tag, open_clip.list_pretrained_tags_by_model(architecture))
    return dict(own)


def _require_listed(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:5]
        raise WeightsError(f"open_clip lists no {what} '{name}'; there are {', '.join(near) or 'none'}. {_WAYS_OUT}")


def _transformers(where: str) -> GuidingClip:
    from transformers import AutoConfig, AutoTokenizer, CLIPModel
    from transformers.utils import cached_file, logging

    kind = AutoConfig.from_pretrained(where).model_type
    if kind != "clip":
        raise WeightsError(f"The guiding CLIP {where} must be a model of type clip; got {kind}. {_WAYS_OUT}")
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, report = CLIPModel.from_pretrained(where, output_loading_info=True, trust_remote_code=False)
    finally:
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(f"The guiding CLIP {where} lacks {len(missing)} weights ({missing[0]}…). {_WAYS_OUT}")
    tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    images = json.loads(Path(cached_file(where, "preprocessor_config.json")).read_text(encoding="utf-8"))
    length = model.config.text_config.max_position_embeddings

    def tokenize(texts: Any) -> torch.Tensor:  # noqa: ANN401 - the protocol's
        padded = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        ids: torch.Tensor = padded["input_ids"]
        return ids

    def embed(tokens: torch.Tensor) -> torch.Tensor:
        found = model.get_text_features(input_ids=tokens)
        pooled: torch.Tensor = getattr(found, "pooler_output", found)  # a plain tensor up to transformers 4
        return pooled

    return GuidingClip(
        model=model.float(),
        tower=tower_of_transformers(model),
        tokenize=tokenize,
        texts=embed,
        side=model.config.vision_config.image_size,
        mean=tuple(images["image_mean"]),
        std=tuple(images["image_std"]),
    )
