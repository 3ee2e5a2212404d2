"""The DINO backends: vision transformers that learnt without labels, through transformers, for images and for pairs."""

from collections.abc import Mapping
from pathlib import Path

from evalkit.encoders.base import DType, EncoderNetwork, LoadedEncoder
from evalkit.encoders.hub import fetch_snapshot
from evalkit.errors import WeightsError

LIBRARIES = ("torch", "torchvision", "transformers")


DEFAULTS: Mapping[str, tuple[str, str]] = {
    "dino": ("DINO", "facebook/dino-vits16"),
    "dinov2": ("DINOv2", "facebook/dinov2-base"),
    "dino_structure": ("DINO", "facebook/dino-vitb8"),
    "dino_structure_pie_bench": ("DINO", "facebook/dino-vitb8"),
}
"""What a backend is called in messages, and the repository that it uses where nothing is given."""


def load_dino(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """Class token of DINO ViT-S/16 by default: <Hub id> or <local directory>."""
    return _load("dino", argument, device, dtype)


def load_dinov2(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """Class token of DINOv2 ViT-B/14 by default: <Hub id> or <local directory>."""
    return _load("dinov2", argument, device, dtype)


def load_structure(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """Self-similarity of the last keys of DINO ViT-B/8 by default: <Hub id> or <local directory>."""
    return _load("dino_structure", argument, device, dtype)


def load_structure_pie_bench(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """The same on PIE-Bench's pixel scale, 0 to 255: <Hub id> or <local directory>."""
    return _load("dino_structure_pie_bench", argument, device, dtype)


def _load(backend: str, argument: str, device: str, dtype: DType) -> LoadedEncoder:
    from evalkit.encoders.dino_network import StructureEncoder, image_encoder
    from evalkit.encoders.network import resolve_device

    target = resolve_device(device)
    directory, name = _find(backend, argument)
    encoder: EncoderNetwork
    if "structure" in backend:
        pie_bench = backend.endswith("pie_bench")
        encoder = StructureEncoder(directory, name=f"{backend}/{name}", dtype=dtype, device=target, pie_bench=pie_bench)
    else:
        encoder = image_encoder(directory, name=f"{backend}/{name}", dtype=dtype, device=target)
    return LoadedEncoder(encoder=encoder, files=(directory,), libraries=LIBRARIES)


def _find(backend: str, argument: str) -> tuple[Path, str]:
    """The directory of a model, and its name in signatures."""
    directory = Path(argument).expanduser()
    if argument and directory.is_dir():
        return directory, directory.resolve().name
    title, usual = DEFAULTS[backend]
    repo_id = argument or usual
    if repo_id.count("/") != 1 or repo_id.startswith((".", "~")):
        raise WeightsError(
            f"Encoder '{backend}:{argument}': expected a directory with config.json and weights, or a Hub id such as "
            f"{usual}; there is no directory {directory.absolute()}."
        )
    found = fetch_snapshot(
        repo_id,
        safe=("model*.safetensors",),
        unsafe=("pytorch_model*.bin",),
        what=f"The weights of {title}, {repo_id},",
        local=f"{backend}:<directory>",
        otherwise="Or leave out the metrics that need them: --metrics A,B",
    )
    return found, repo_id
