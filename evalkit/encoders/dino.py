"""The DINO backends: vision transformers that learnt without labels, through transformers, for images and for pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.encoders.base import DType, LoadedEncoder
from evalkit.encoders.hub import fetch_snapshot
from evalkit.errors import WeightsError

LIBRARIES = ("torch", "torchvision", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Default:
    """What a backend uses where nothing is given."""

    repo_id: str
    title: str


DEFAULTS: Mapping[str, _Default] = {
    "dino": _Default(repo_id="facebook/dino-vits16", title="DINO"),
    "dinov2": _Default(repo_id="facebook/dinov2-base", title="DINOv2"),
    "dino_structure": _Default(repo_id="facebook/dino-vitb8", title="DINO"),
    "dino_structure_pie_bench": _Default(repo_id="facebook/dino-vitb8", title="DINO"),
}


def load_dino(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """Class token of DINO ViT-S/16 by default: <Hub id> or <local directory>."""
    return _load_images("dino", argument, device, dtype)


def load_dinov2(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """Class token of DINOv2 ViT-B/14 by default: <Hub id> or <local directory>."""
    return _load_images("dinov2", argument, device, dtype)


def load_structure(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """Self-similarity of the last keys of DINO ViT-B/8 by default: <Hub id> or <local directory>."""
    return _load_pairs("dino_structure", argument, device, dtype)


def load_structure_pie_bench(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """The same on PIE-Bench's pixel scale, 0 to 255: <Hub id> or <local directory>."""
    return _load_pairs("dino_structure_pie_bench", argument, device, dtype)


def _load_images(backend: str, argument: str, device: str, dtype: DType) -> LoadedEncoder:
    from evalkit.encoders.dino_network import image_encoder
    from evalkit.encoders.network import resolve_device

    target = resolve_device(device)
    directory, name = _find(backend, argument)
    return _loaded(image_encoder(directory, name=f"{backend}/{name}", dtype=dtype, device=target), directory)


def _load_pairs(backend: str, argument: str, device: str, dtype: DType) -> LoadedEncoder:
    from evalkit.encoders.dino_network import StructureEncoder
    from evalkit.encoders.network import resolve_device

    target = resolve_device(device)
    directory, name = _find(backend, argument)
    pie_bench = backend.endswith("pie_bench")
    encoder = StructureEncoder(directory, name=f"{backend}/{name}", dtype=dtype, device=target, pie_bench=pie_bench)
    return _loaded(encoder, directory)


def _loaded(encoder: object, directory: Path) -> LoadedEncoder:
    files = (directory, *sorted(path for path in directory.iterdir() if path.is_file()))
    return LoadedEncoder(encoder=encoder, files=files, libraries=LIBRARIES)  # type: ignore[arg-type]


def _find(backend: str, argument: str) -> tuple[Path, str]:
    """The directory of a model, and its name in signatures."""
    directory = Path(argument).expanduser()
    if argument and directory.is_dir():
        return directory, directory.resolve().name
    repo_id = argument or DEFAULTS[backend].repo_id
    if repo_id.count("/") != 1 or repo_id.startswith((".", "~")):
        raise WeightsError(
            f"Encoder '{backend}:{argument}': expected a directory with config.json and weights, or a Hub id such as "
            f"{DEFAULTS[backend].repo_id}; there is no directory {directory.absolute()}."
        )
    found = fetch_snapshot(
        repo_id,
        safe=("model*.safetensors",),
        unsafe=("pytorch_model*.bin",),
        what=f"The weights of {DEFAULTS[backend].title}, {repo_id},",
        local=f"{backend}:<directory>",
        otherwise="Or leave out the metrics that need them: --metrics A,B",
    )
    return found, repo_id
