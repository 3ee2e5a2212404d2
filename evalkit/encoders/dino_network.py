"""DINO and DINOv2 as encoders of images, and the self-similarity of DINO's keys as one of pairs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as transforms

from evalkit.arrays import Pixels
from evalkit.encoders.base import DType, Embeddings, EncoderSpec, Preprocess, settings_digest, weights_digest
from evalkit.encoders.network import DTYPES, Network, TorchEncoder, full_precision
from evalkit.encoders.transformers import quietly, read_model
from evalkit.errors import EncoderError
from evalkit.images.pairs import ImagePair
from evalkit.storage.documents import read_json
from evalkit.storage.hub import one_line

VERSION = 1
MODEL_TYPES = ("vit", "dinov2", "dinov2_with_registers")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, with which all of them were trained."""
SIDE = 224
PIE_BENCH_LONGEST = 480
EVALUATION = Preprocess(size=SIDE, mode="margin", interpolation="bicubic", mean=MEAN, std=STD)
"""As in DINO's evaluation and in DreamBooth's, which made a metric of it: short side 256, of that the middle 224."""
WHOLE = Preprocess(size=SIDE, mode="squash", interpolation="bilinear", mean=MEAN, std=STD)
SHORT = Preprocess(size=SIDE, mode="short", interpolation="bilinear", mean=MEAN, std=STD)
SETTINGS = (
    "hidden_act",
    "image_size",
    "layer_norm_eps",
    "num_attention_heads",
    "num_hidden_layers",
    "num_register_tokens",
    "patch_size",
    "qkv_bias",
    "use_swiglu_ffn",
)
"""Of the configuration, what the tensors' shapes leave open."""


def image_encoder(directory: Path, *, name: str, dtype: DType, device: torch.device) -> TorchEncoder:
    """The class token after the last norm, as an encoder of images alone.

    Args:
        directory: Holds ``config.json`` and weights, as ``save_pretrained`` writes them.
        name: In signatures.
        dtype: What it computes in.
        device: Where it runs.

    Raises:
        EncoderError: It is another kind of model.
        WeightsError: Weights are missing or do not fit.
    """
    model = _read(directory)
    spec = _spec(model, name, EVALUATION, dtype)

    def refuse(_texts: object) -> NoReturn:
        raise EncoderError(f"{name} reads no texts: it cannot be the encoder behind CLIP metrics.")

    network = Network(
        model=model,
        embed_images=lambda pixels: _forward(model, pixels).last_hidden_state[:, 0],
        embed_texts=refuse,
        tokenize=refuse,
        tokenize_whole=refuse,
        vocabulary={},
        preprocess=EVALUATION,
        settings={},
    )
    return TorchEncoder(network, spec, device)


class StructureEncoder:
    """Distance of structure: Tumanyan et al., "Splicing ViT Features", CVPR 2022, eq. 4 and 5.

    The mean squared difference between the cosine self-similarities of the last layer's keys, all heads and all tokens
    with the class token together. Here the whole image is squashed to 224 × 224, where Splice keeps its shape.

    PIE-Bench's scripts (Ju et al., ICLR 2024) send pixels of 0 to 255 through the normalisation meant for 0 to 1, and
    resize the short side to 224 (the long one to 480 at most) as torchvision did with tensors up to version 0.16, if
    nothing else was said: not antialiased. The same scripts antialias under torchvision 0.17 and newer, which gives
    another number; here it is the first whatever torchvision is installed, and the signature says ``noaa``.

    Args:
        directory: Holds a ViT's ``config.json`` and weights.
        name: In signatures.
        dtype: What it computes in.
        device: Where it runs.
        pie_bench: Whether pixels are scaled and resized as there.
    """

    def __init__(self, directory: Path, *, name: str, dtype: DType, device: torch.device, pie_bench: bool) -> None:
        self._model = _read(directory)
        self._spec = _spec(self._model, name, SHORT if pie_bench else WHOLE, dtype)
        self._device = device
        self._dtype = DTYPES[dtype]
        self._pie_bench = pie_bench
        self._mean, self._std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
        self._model.to(device, self._dtype).eval().requires_grad_(False)
        layers = [module for name, module in self._model.named_modules() if re.search(r"\.(key|k_proj)$", name)]
        self._keys: torch.Tensor | None = None
        layers[-1].register_forward_hook(self._catch)

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""
        return self._spec

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._device)

    def encode_pairs(self, pairs: Sequence[ImagePair]) -> Embeddings:
        """``(n, 1)`` distances, in [0, 2]; of pairs that follow each other a shared source is looked at once."""
        distances: list[float] = []
        source: Pixels | None = None
        with torch.inference_mode(), full_precision():
            for pair in pairs:
                if pair.source is not source:
                    source, before = pair.source, self._similarity(pair.source)
                distances.append(float(((self._similarity(pair.edited) - before) ** 2).mean()))
        return np.array(distances, dtype=np.float32)[:, None]

    def _similarity(self, image: Pixels) -> torch.Tensor:
        """``(tokens, tokens)`` cosines."""
        _forward(self._model, ((self._scaled(image) - self._mean) / self._std).to(self._dtype))
        if self._keys is None:
            raise EncoderError(f"{self._spec.name}: the last layer's keys were not computed.")
        keys = self._keys[0].float()
        lengths = keys.norm(dim=1, keepdim=True)
        cosines: torch.Tensor = (keys @ keys.T) / (lengths @ lengths.T).clamp(min=1e-8)
        return cosines

    def _scaled(self, image: Pixels) -> torch.Tensor:
        if not self._pie_bench:
            square = np.array(WHOLE.apply(Image.fromarray(image)))
            return torch.tensor(square).to(self._device).permute(2, 0, 1)[None].float() / 255
        tensor = torch.tensor(image).to(self._device).permute(2, 0, 1)[None].float()
        resized: torch.Tensor = transforms.resize(tensor, [SIDE], max_size=PIE_BENCH_LONGEST, antialias=False)
        return resized

    def _catch(self, _module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self._keys = output


def _read(directory: Path) -> Any:  # noqa: ANN401 - transformers has no types
    path = directory / "config.json"
    try:
        kind = read_json(path).get("model_type")
    except (OSError, ValueError, AttributeError) as failure:
        raise EncoderError(f"{path}: expected a model's configuration, got {one_line(failure)}.") from failure
    if kind not in MODEL_TYPES:
        raise EncoderError(
            f"{path}: expected a model of type {' or '.join(MODEL_TYPES)}, got '{kind}'. Give DINO's or DINOv2's"
        )
    with quietly():
        # DINO has no pooler; one that was saved with it is not looked at.
        return read_model(directory, ignored="pooler.", **({"add_pooling_layer": False} if kind == "vit" else {}))


def _spec(model: Any, name: str, preprocess: Preprocess, dtype: DType) -> EncoderSpec:  # noqa: ANN401 - untyped
    settings = {setting: getattr(model.config, setting, None) for setting in SETTINGS}
    return EncoderSpec(
        name=name,
        weights_sha256=weights_digest(model.state_dict()),
        preprocess=preprocess,
        tokenizer="none",
        architecture=settings_digest({"model_type": model.config.model_type, **settings}),
        dtype=dtype,
        version=VERSION,
    )


def _forward(model: Any, pixels: torch.Tensor) -> Any:  # noqa: ANN401 - transformers has no types
    if model.config.model_type != "vit":  # the others fit their positions to the image by themselves
        return model(pixel_values=pixels)
    other_size = tuple(pixels.shape[-2:]) != (model.config.image_size,) * 2
    return model(pixel_values=pixels, interpolate_pos_encoding=other_size)
