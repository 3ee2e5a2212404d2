"""Real checkpoint files of true architectures with seeded random weights, written where a test wants them.

The builders return encoder specifications, good for ``open_encoder`` and for ``--encoder``. The architectures are
small, so that a test takes milliseconds, except :func:`write_true_checkpoint`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

VOCABULARY = 49408
EMBED = 16
SIDE = 32
PATCH = 8
WORDS = "a photo of the cat dog in snow on red grass one word after another"
CONFIG = {
    "embed_dim": EMBED,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 32, "head_width": 16, "patch_size": PATCH},
    "text_cfg": {"context_length": 77, "vocab_size": VOCABULARY, "width": 32, "heads": 2, "layers": 2},
}
"""A small relative of ViT-B/32 with OpenAI's activation, as open_clip describes architectures."""


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Gives every parameter seeded random values: initialisers leave biases zero, which would hide faults."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
            is_gain = parameter.ndim == 1 and name.endswith("weight")  # of a layer norm
            parameter.copy_(noise * scale + (1 if is_gain else 0))


def build_open_clip(config: Mapping[str, object] = CONFIG, *, seed: int = 0) -> torch.nn.Module:
    """A random open_clip network of an architecture."""
    import open_clip

    model = open_clip.CLIP(**json.loads(json.dumps(config)))
    randomise(model, seed)
    return model.eval()


def tiny_open_clip(directory: Path, *, seed: int = 0, preprocess: Mapping[str, object] | None = None) -> str:
    """The small architecture as an open_clip directory.

    Args:
        directory: Made; holds the configuration and the weights.
        seed: Of the weights.
        preprocess: Changes to the preprocessing.

    Returns:
        Its specification.
    """
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    save_file(build_open_clip(seed=seed).state_dict(), directory / "open_clip_model.safetensors")
    config = {"model_cfg": CONFIG, "preprocess_cfg": {"interpolation": "bicubic", **(preprocess or {})}}
    (directory / "open_clip_config.json").write_text(json.dumps(config))
    return f"open_clip:local-dir:{directory}"


def tiny_transformers_clip(directory: Path, *, seed: int = 0) -> str:
    """The same weights as :func:`tiny_open_clip`, as a transformers directory.

    Returns:
        Its specification.
    """
    import transformers

    size = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **size,
            "vocab_size": VOCABULARY,
            "projection_dim": EMBED,
            "bos_token_id": VOCABULARY - 2,
            "eos_token_id": VOCABULARY - 1,
            "pad_token_id": VOCABULARY - 1,
        },
        vision_config={**size, "image_size": SIDE, "patch_size": PATCH, "projection_dim": EMBED},
        projection_dim=EMBED,
    )
    write_transformers(directory, transformers.CLIPModel(config), build_open_clip(seed=seed), side=SIDE)
    return f"transformers:{directory}"


def write_transformers(directory: Path, model: torch.nn.Module, source: torch.nn.Module, *, side: int) -> None:
    """Puts an open_clip network's weights into a transformers model and saves it, with tokenizer and preprocessing."""
    import transformers

    model.load_state_dict(to_transformers(source.state_dict()), assign=True)
    save_quietly(model, directory)
    write_clip_tokenizer(directory)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    processor.save_pretrained(directory)


def save_quietly(model: torch.nn.Module, directory: Path) -> None:
    """``save_pretrained`` without its progress bar."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(directory)
    logging.enable_progress_bar()


def to_transformers(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An open_clip state dictionary under the names, and in the shapes, of transformers' CLIPModel."""
    names = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "logit_scale": "logit_scale",
    }
    parts = {
        "visual.ln_pre": "vision_model.pre_layrnorm",  # their spelling
        "visual.ln_post": "vision_model.post_layernorm",
        "ln_final": "text_model.final_layer_norm",
        "visual.transformer.resblocks": "vision_model.encoder.layers",
        "transformer.resblocks": "text_model.encoder.layers",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    converted = {}
    for name, tensor in state.items():
        if name in ("visual.proj", "text_projection"):
            target = "visual_projection.weight" if name == "visual.proj" else "text_projection.weight"
            converted[target] = tensor.T.contiguous()
            continue
        target = names.get(name, name)
        if target == name:
            for ours, theirs in parts.items():
                target = target.replace(ours, theirs, 1)
        if "attn.in_proj_" in target:
            for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                converted[target.replace("attn.in_proj_", f"self_attn.{letter}_proj.")] = part.contiguous()
        else:
            converted[target] = tensor
    return converted


def write_clip_tokenizer(directory: Path) -> None:
    """CLIP's own vocabulary, which open_clip carries, in the files that transformers reads."""
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {renamed.get(token, token): number for token, number in tokenizer.encoder.items()}
    merges = [" ".join(pair) for pair in tokenizer.bpe_ranks if len(pair) == 2]
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>", **special}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(vocabulary))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))


def tiny_siglip(directory: Path, *, seed: int = 0) -> str:
    """A small SigLIP as a transformers directory, with a tokenizer of single words.

    Returns:
        Its specification.
    """
    import tokenizers
    import transformers
    from tokenizers import models, normalizers, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", *WORDS.split()]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="</s>", model_max_length=16
    )
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        text_config={**size, "vocab_size": len(vocabulary), "max_position_embeddings": 16, "projection_size": 32},
        vision_config={**size, "image_size": SIDE, "patch_size": PATCH},
    )
    model = transformers.SiglipModel(config)
    randomise(model, seed)
    save_quietly(model, directory)
    fast.save_pretrained(directory)
    transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(directory)
    return f"transformers:{directory}"


def tiny_dino(kind: str, directory: Path, *, seed: int = 0) -> torch.nn.Module:
    """A small relative of DINO (``vit``) or DINOv2 (``dinov2``) with random weights, saved as transformers saves it."""
    import transformers

    size = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}

    if kind == "vit":
        config = transformers.ViTConfig(**size, intermediate_size=64, image_size=224, patch_size=32)
        model = transformers.ViTModel(config, add_pooling_layer=False)
    else:
        config = transformers.Dinov2Config(**size, image_size=518, patch_size=14)
        model = transformers.Dinov2Model(config)
    randomise(model, seed)
    save_quietly(model, directory)
    return model.eval()


def random_backbone(net: str) -> torch.nn.Module:
    """The convolutional part of torchvision's network at seeded random weights."""
    from torchvision import models

    torch.manual_seed(0)
    if net == "alex":
        return models.alexnet().features
    return models.vgg16(init_weights=False).features if net == "vgg" else models.squeezenet1_1().features


def write_backbone(directory: Path, net: str) -> tuple[Path, torch.nn.Module]:
    """A file as torchvision publishes it, without the classifier, and the layers that are in it."""
    features = random_backbone(net)
    path = directory / f"{net}.pth"
    torch.save({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)
    return path, features


def write_true_checkpoint(
    path: Path, *, architecture: str = "ViT-B-32-quickgelu", seed: int = 0, initialiser: str = "random"
) -> str:
    """The true ViT-B/32 at random weights: 605 MB of safetensors, for benchmarks and studies.

    Args:
        path: Where to; its directory is made.
        architecture: One of open_clip's.
        seed: Of the weights.
        initialiser: ``random`` gives every parameter a random value; ``open_clip`` is what training starts from.

    Returns:
        Its specification.
    """
    import open_clip
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    # Without memory at first where nothing of open_clip's own initialisation, which takes seconds, would stay.
    with torch.device("meta" if initialiser == "random" else "cpu"):
        model = open_clip.CLIP(**open_clip.get_model_config(architecture))
    if initialiser == "random":
        randomise(model.to_empty(device="cpu"), seed)
    temporary = path.with_suffix(".part")
    save_file(model.state_dict(), temporary)
    temporary.replace(path)
    return f"open_clip:{architecture}/{path}"
