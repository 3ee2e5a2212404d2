"""Other implementations of metrics that look through a network, and the networks at random weights that all share."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from tests.support import models

Vectors = torch.Tensor
"""``(n, dimension)``, of length one."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_networks(directory: Path) -> dict[str, Path]:
    """CLIP ViT-B/32, DINO's ViT-S/16 and AlexNet at random weights, as the files that both sides read.

    Of CLIP's the sign of the text projection is turned, as the cosines of images and texts, which chance made negative,
    would all be clamped to 0.
    """
    import open_clip
    import transformers
    from safetensors.torch import load_file, save_file

    clip, dino = directory / "clip.safetensors", directory / "vit"
    models.write_true_checkpoint(clip, initialiser="open_clip")
    state = load_file(clip)
    save_file({**state, "text_projection": -state["text_projection"]}, clip)
    with torch.device("meta"):
        source = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu"))
        copy = transformers.CLIPModel(transformers.CLIPConfig())
    source.load_state_dict(load_file(clip), assign=True)
    models.write_transformers(directory / "clip", copy, source, side=224)
    small = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    torch.manual_seed(0)
    models.save_quietly(transformers.ViTModel(transformers.ViTConfig(**small), add_pooling_layer=False), dino)
    alex, _ = models.write_backbone(directory, "alex")
    return {"clip": clip, "clip_directory": directory / "clip", "dino": dino, "lpips_alex": alex}


def specifications(files: Mapping[str, Path]) -> tuple[str, ...]:
    """The encoders that read them."""
    return (
        f"open_clip:ViT-B-32-quickgelu/{files['clip']}",
        f"dino:{files['dino']}",
        f"dino_structure_pie_bench:{files['dino']}",
        f"lpips_alex:{files['lpips_alex']}",
    )


class OpenAIClip:
    """OpenAI's own package: its network, transform and tokenizer."""

    def __init__(self, checkpoint: Path) -> None:
        from clip import clip
        from clip.model import build_model
        from safetensors.torch import load_file

        state = load_file(checkpoint)
        self._model = build_model(dict(state)).float().eval()
        self._model.load_state_dict(state)  # which it had rounded to 16 bits
        self._transform, self._tokenize = clip._transform(224), clip.tokenize

    def images(self, *images: Image.Image) -> Vectors:
        """Embeddings of images."""
        with torch.inference_mode():
            return normalize(self._model.encode_image(torch.stack([self._transform(i) for i in images])))

    def texts(self, *texts: str) -> Vectors:
        """Embeddings of texts."""
        with torch.inference_mode():
            return normalize(self._model.encode_text(self._tokenize(list(texts), truncate=True)))


class TransformersClip:
    """The model of transformers with its processor, which resizes tensors."""

    def __init__(self, directory: Path) -> None:
        import transformers

        self._model = transformers.CLIPModel.from_pretrained(directory).eval()
        self._processor = transformers.CLIPProcessor.from_pretrained(directory)

    def images(self, *images: Image.Image) -> Vectors:
        """Embeddings of images."""
        with torch.inference_mode():
            found = self._model.get_image_features(**self._processor(images=list(images), return_tensors="pt"))
        return normalize(_tensor(found))

    def texts(self, *texts: str) -> Vectors:
        """Embeddings of texts."""
        with torch.inference_mode():
            tokens = self._processor(text=list(texts), padding="max_length", truncation=True, return_tensors="pt")
            return normalize(_tensor(self._model.get_text_features(input_ids=tokens["input_ids"])))

    @cached_property
    def clip_score(self) -> Any:
        """CLIPScore of torchmetrics on this model, whose features it takes for tensors, as in transformers 4."""
        from torchmetrics.multimodal import CLIPScore

        for name in ("get_image_features", "get_text_features"):
            plain = getattr(self._model, name)
            setattr(self._model, name, lambda *given, _plain=plain, **named: _tensor(_plain(*given, **named)))
        return CLIPScore(lambda: (self._model, self._processor))


def _tensor(found: Any) -> torch.Tensor:  # a tensor up to transformers 4, a record from 5 on
    return getattr(found, "pooler_output", found)


def direction(images: Vectors, texts: Vectors) -> float:
    """Cosine of the change of two images, source and edited, with that of two texts."""
    return float(torch.cosine_similarity(images[1] - images[0], texts[1] - texts[0], dim=0))


class VisionTransformer:
    """A ViT of transformers' behind torchvision's transforms."""

    def __init__(self, directory: Path) -> None:
        import transformers

        self._model = transformers.ViTModel.from_pretrained(directory, add_pooling_layer=False).eval()
        self._keys: list[torch.Tensor] = []
        last = [module for name, module in self._model.named_modules() if name.endswith((".key", ".k_proj"))][-1]
        last.register_forward_hook(lambda _module, _given, found: self._keys.append(found[0]))

    def similarity(self, *images: Image.Image) -> float:
        """Cosine of the class tokens of two images, prepared as in DINO's evaluation."""
        from torchvision import transforms

        bicubic = transforms.InterpolationMode.BICUBIC
        steps = [transforms.Resize(256, interpolation=bicubic), transforms.CenterCrop(224), transforms.ToTensor()]
        prepare = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
        with torch.inference_mode():
            tokens = self._model(torch.stack([prepare(image) for image in images])).last_hidden_state[:, 0]
        return float(torch.cosine_similarity(tokens[0], tokens[1], dim=0))

    def structure(self, *images: np.ndarray, antialias: bool) -> float:
        """Distance of the keys' self-similarities of two images of 0 to 255, as PIE-Bench's script prepares them."""
        from torchvision import transforms

        resize = transforms.Resize(224, max_size=480, antialias=antialias)
        prepare = transforms.Compose([resize, transforms.Normalize(MEAN, STD)])
        similarities = []
        for image in images:
            tensor = prepare(torch.tensor(image.astype(np.float32)).permute(2, 0, 1))[None]
            with torch.inference_mode():
                self._model(tensor, interpolate_pos_encoding=tuple(tensor.shape[-2:]) != (224, 224))
            keys = normalize(self._keys.pop())
            similarities.append(keys @ keys.T)
        return float(((similarities[0] - similarities[1]) ** 2).mean())


def lpips_networks(backbone: Path) -> dict[str, torch.nn.Module]:
    """Of each package LPIPS on AlexNet, with its own heads on the same layers."""
    import lpips
    from torchmetrics.functional.image import lpips as torchmetrics

    layers = list(torch.load(backbone, weights_only=True).values())
    networks = {
        "lpips": lpips.LPIPS(net="alex", pnet_rand=True, verbose=False),
        "torchmetrics": torchmetrics._NoTrainLpips(net="alex", pnet_rand=True),
    }
    for network in networks.values():
        for parameter, values in zip(network.net.parameters(), layers, strict=True):
            parameter.data.copy_(values)
    return {name: network.eval() for name, network in networks.items()}
