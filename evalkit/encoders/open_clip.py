"""The open_clip backend: named weights, local checkpoints, Hub repositories and local directories."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.encoders.activation import has_quick_gelu, require_activation, spelled_out, twin_of
from evalkit.encoders.base import DType, LoadedEncoder
from evalkit.encoders.hub import fetch_snapshot
from evalkit.encoders.open_clip_network import DIRECTORY, WEIGHT_SUFFIXES, WeightsSource, read_network
from evalkit.errors import EncoderError, UnknownNameError, WeightsError
from evalkit.registry import nearest

VERSION = 1
LIBRARIES = ("torch", "open_clip_torch", "timm", "tokenizers", "transformers", "ftfy", "regex")
HUB = "hf-hub:"


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """CLIP and its relatives through open_clip: <architecture>/<tag or file>, hf-hub:<id>, local-dir:<directory>."""
    from evalkit.encoders.network import TorchEncoder, resolve_device

    target = resolve_device(device)
    source = _find(argument)
    network = read_network(source)
    spec = network.spec(f"open_clip/{source.name}", dtype, VERSION)
    return LoadedEncoder(encoder=TorchEncoder(network, spec, target), files=source.files, libraries=LIBRARIES)


def _find(argument: str) -> WeightsSource:
    if argument.startswith(HUB):
        repo_id = argument.removeprefix(HUB)
        directory = fetch_snapshot(
            repo_id,
            safe=("open_clip_*.safetensors",),
            unsafe=("open_clip_*.bin",),
            what=f"The weights of {repo_id}",
            local=f"open_clip:{DIRECTORY}<directory>",
        )
        return WeightsSource(name=repo_id, model=f"{DIRECTORY}{directory}")
    if argument.startswith(DIRECTORY):
        return _find_directory(Path(argument.removeprefix(DIRECTORY)).expanduser())
    given, _, weights = argument.partition("/")
    architecture, said = spelled_out(given)
    _require_architecture(architecture, weights)
    if tag := _known_tag(architecture, weights):
        return _download(architecture, tag)
    return _find_checkpoint(architecture, weights, said=said)


def _find_directory(directory: Path) -> WeightsSource:
    if not (directory / "open_clip_config.json").is_file():
        raise WeightsError(
            f"Encoder 'open_clip:{DIRECTORY}{directory}': expected a directory with open_clip_config.json and weights, "
            f"there is no {(directory / 'open_clip_config.json').absolute()}."
        )
    return WeightsSource(name=directory.resolve().name, model=f"{DIRECTORY}{directory.resolve()}")


def _require_architecture(architecture: str, weights: str) -> None:
    import open_clip

    known = open_clip.list_models()
    if architecture not in known:
        raise UnknownNameError(
            f"open_clip has no architecture '{architecture}'. {nearest(architecture, known)}"
            f"A specification reads open_clip:<architecture>/<tag or checkpoint>, such as "
            f"open_clip:ViT-B-32-quickgelu/openai"
        )
    if not weights:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise UnknownNameError(
            f"'open_clip:{architecture}' does not say which weights: open_clip:{architecture}/<tag or checkpoint>, "
            f"with a tag of {', '.join(tags) or 'which open_clip knows none for it'}."
        )


def _known_tag(architecture: str, weights: str) -> str | None:
    """The tag in open_clip's spelling, if it lists these weights; refuses them where the activation differs."""
    import open_clip

    tag = weights.lower().replace("-", "_")
    twin = twin_of(architecture)
    own = open_clip.get_pretrained_cfg(architecture, tag)
    listed = own or open_clip.get_pretrained_cfg(twin, tag)
    # Without a twin there is nothing to mix up, and open_clip's list is not always complete about the activation.
    if listed and twin in open_clip.list_models():
        wanted = bool(listed.get("quick_gelu"))
        if wanted != has_quick_gelu(architecture):
            kinds = ("QuickGELU", "GELU") if wanted else ("GELU", "QuickGELU")
            raise EncoderError(
                f"The weights '{tag}' were trained with {kinds[0]} and open_clip's {architecture} computes {kinds[1]}: "
                f"every score would be wrong. --encoder open_clip:{twin}/{tag}"
            )
    return tag if own else None


def _download(architecture: str, tag: str) -> WeightsSource:
    import open_clip

    listed = open_clip.get_pretrained_cfg(architecture, tag)
    # "owner/name/" stands for the usual file name, "owner/name/file" for another.
    owner, name, file = listed["hf_hub"].split("/")
    safe = (f"{Path(file).stem}.safetensors" if file else "open_clip_model.safetensors",)
    unsafe = (file or "open_clip_pytorch_model.bin",)
    directory = fetch_snapshot(
        f"{owner}/{name}",
        safe=safe,
        unsafe=unsafe,
        what=f"The weights '{tag}' of open_clip's {architecture}",
        local=f"open_clip:{architecture}/<file>",
    )
    checkpoint = next(path for path in (directory / file for file in (*safe, *unsafe)) if path.is_file())
    return WeightsSource(
        name=f"{architecture}/{tag}",
        model=architecture,
        checkpoint=checkpoint,
        preprocess=_images(listed),
        is_known=True,
    )


def _find_checkpoint(architecture: str, weights: str, *, said: bool) -> WeightsSource:
    import open_clip

    path = Path(weights).expanduser()
    if path.is_file():
        require_activation(path, architecture, said=said)
        return WeightsSource(
            name=f"{architecture}/{path.name}",
            model=architecture,
            checkpoint=path.resolve(),
            preprocess=_usual_images(architecture),
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if path.suffix in WEIGHT_SUFFIXES or len(path.parts) > 1:
        raise WeightsError(
            f"Encoder 'open_clip:{architecture}/{weights}': there is no checkpoint {path.absolute()}. Give the path of "
            f"a file, or one of open_clip's tags: {', '.join(tags) or 'it has none for this architecture'}."
        )
    raise UnknownNameError(
        f"open_clip lists no weights '{weights}' for {architecture}, and there is no such file. "
        f"{nearest(weights, tags)}Its tags: {', '.join(tags) or 'none'}."
    )


def _images(listed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: listed[name] for name in ("mean", "std", "interpolation", "resize_mode")}


def _usual_images(architecture: str) -> dict[str, Any]:
    """How all listed weights of an architecture see images; nothing, which means as CLIP does, where they differ."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(architecture)
    ways = [_images(open_clip.get_pretrained_cfg(architecture, tag)) for tag in tags]
    return ways[0] if ways and all(way == ways[0] for way in ways) else {}
