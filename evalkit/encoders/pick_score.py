"""The PickScore backend: CLIP ViT-H/14 trained on which of two images people picked for a text.

Kirstain et al., "Pick-a-Pic", NeurIPS 2023. Its vectors of texts have the length of the learnt temperature, so that
their product with an image's unit vector is the score.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.encoders.base import DType, LoadedEncoder
from evalkit.encoders.hub import fetch_settings, fetch_snapshot
from evalkit.errors import WeightsError

if TYPE_CHECKING:
    import torch

VERSION = 1
REPO = "yuvalkirstain/PickScore_v1"
PROCESSOR = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
"""Whose tokenizer and image processor its authors use."""
OTHERWISE = "Or leave the metric out: --metrics A,B"


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """PickScore, a score of human preference for a text: <local directory> or its repository on the Hub."""
    from evalkit.encoders.network import TorchEncoder, resolve_device
    from evalkit.encoders.transformers import LIBRARIES, quietly, read_network

    target = resolve_device(device)
    directory, processor = _find(argument)
    with quietly():
        network = read_network(directory, processor)
    temperature, embed = network.model.get_parameter("logit_scale"), network.embed_texts

    def embed_texts(tokens: "torch.Tensor") -> "torch.Tensor":
        from torch.nn.functional import normalize

        return temperature.exp() * normalize(embed(tokens), dim=-1)

    network = replace(network, embed_texts=embed_texts)
    spec = network.spec(f"pick_score/{directory.resolve().name if argument else REPO}", dtype, VERSION)
    encoder = TorchEncoder(network, spec, target)
    return LoadedEncoder(encoder=encoder, files=(directory, processor), libraries=LIBRARIES)


def _find(argument: str) -> tuple[Path, Path]:
    """The directories of the weights, and of tokenizer and image processor."""
    if argument:
        directory = Path(argument).expanduser()
        if not directory.is_dir():
            raise WeightsError(
                f"Encoder 'pick_score:{argument}': expected a directory with config.json, weights, tokenizer and image "
                f"processor; there is no {directory.absolute()}."
            )
        return directory, directory
    directory = fetch_snapshot(
        REPO,
        safe=("model*.safetensors",),
        unsafe=("pytorch_model*.bin",),
        what="The weights of PickScore",
        local="pick_score:<directory>",
        otherwise=OTHERWISE,
    )
    what = "The tokenizer of PickScore"
    return directory, fetch_settings(PROCESSOR, what=what, local="pick_score:<directory>", otherwise=OTHERWISE)
