"""The transformers backend: CLIP and SigLIP from a Hub repository or a local directory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evalkit.encoders.base import DType, LoadedEncoder, Preprocess
from evalkit.encoders.checkpoints import refuse_pickled
from evalkit.encoders.hub import fetch_snapshot
from evalkit.errors import EncoderError, WeightsError
from evalkit.storage.documents import read_json
from evalkit.storage.hub import one_line

if TYPE_CHECKING:
    import torch

    from evalkit.encoders.network import Network

VERSION = 1
LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece")
MODEL_TYPES = ("clip", "siglip")
INTERPOLATIONS: Mapping[int, Literal["bicubic", "bilinear", "lanczos"]] = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, as preprocessor files have them."""
TOWER_SETTINGS = (
    "eos_token_id",
    "hidden_act",
    "image_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "patch_size",
    "vision_use_head",
)
"""Of a tower's configuration, what its tensors' shapes leave open."""


def load(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """CLIP and SigLIP through transformers: <Hub id> or <local directory>."""
    directory = Path(argument).expanduser()
    if not directory.is_dir():
        if argument.count("/") != 1 or argument.startswith((".", "~")):
            raise WeightsError(
                f"Encoder 'transformers:{argument}': expected a directory with config.json and weights, or a Hub id "
                f"such as openai/clip-vit-base-patch32; there is no directory {directory.absolute()}."
            )
        directory = fetch_snapshot(
            argument,
            safe=("model*.safetensors",),
            unsafe=("pytorch_model*.bin",),
            what=f"The weights of {argument}",
            local="transformers:<directory>",
        )
        return load_directory(directory, name=f"transformers/{argument}", device=device, dtype=dtype)
    return load_directory(directory, name=f"transformers/{directory.resolve().name}", device=device, dtype=dtype)


def load_directory(directory: Path, *, name: str, device: str, dtype: DType) -> LoadedEncoder:
    """A model that ``save_pretrained`` wrote, with its tokenizer and image processor.

    Args:
        directory: Holds ``config.json``, weights, ``preprocessor_config.json`` and the tokenizer's files.
        name: The encoder's name in signatures.
        device: Where it runs.
        dtype: What it computes in.

    Raises:
        EncoderError: It is another kind of model, or asks for a preprocessing or a tokenizer that cannot be followed.
        WeightsError: Weights are missing, do not fit or would run code.
    """
    _require_known_type(directory)
    from evalkit.encoders.network import TorchEncoder, resolve_device

    target = resolve_device(device)
    with quietly():
        network = read_network(directory)
    spec = network.spec(name, dtype, VERSION)
    return LoadedEncoder(encoder=TorchEncoder(network, spec, target), files=(directory,), libraries=LIBRARIES)


def _require_known_type(directory: Path) -> None:
    """Looks before anything heavy is imported."""
    path = directory / "config.json"
    try:
        kind = read_json(path).get("model_type")
    except (OSError, ValueError, AttributeError) as failure:
        raise EncoderError(f"{path}: expected a model's configuration, got {one_line(failure)}.") from failure
    if kind not in MODEL_TYPES:
        raise EncoderError(
            f"{path}: expected a model of type {' or '.join(MODEL_TYPES)}, got '{kind}'. Other image-text models can "
            f"be read through open_clip, or added by a plug-in: see evalkit list encoders"
        )


def read_network(directory: Path, processor: Path | None = None) -> "Network":
    """A CLIP or SigLIP model with its tokenizer and image processor.

    Args:
        directory: Holds ``config.json`` and weights.
        processor: Holds the files of tokenizer and image processor; the same directory by default.

    Raises:
        EncoderError: It asks for a preprocessing or a tokenizer that cannot be followed.
        WeightsError: Weights are missing, do not fit or would run code.
    """
    from evalkit.encoders.network import Network

    processor = processor or directory
    model = read_model(directory)
    tokenizer = pretrained("AutoTokenizer", processor, "tokenizer")
    context = model.config.text_config.max_position_embeddings

    def tokenize(texts: Sequence[str]) -> "torch.Tensor":
        # Padded to the full length because SigLIP was trained so; CLIP's end token does not see what follows it.
        batch = tokenizer(list(texts), padding="max_length", truncation=True, max_length=context, return_tensors="pt")
        tokens: torch.Tensor = batch["input_ids"]
        return tokens

    last = int(tokenize(["one word after another " * 100])[0, -1])
    _require_end_token(processor, tokenizer, last, model.config)
    return Network(
        model=model,
        embed_images=lambda pixels: _pooled(model.get_image_features(pixel_values=pixels)),
        embed_texts=lambda tokens: _pooled(model.get_text_features(input_ids=tokens)),
        tokenize=tokenize,
        tokenize_whole=lambda texts: tokenizer(list(texts), verbose=False)["input_ids"],
        ignores_padding=model.config.model_type == "clip",
        vocabulary=tokenizer.get_vocab(),
        preprocess=_preprocess(processor, model.config.vision_config.image_size),
        settings=_settings(model.config),
    )


def read_model(directory: Path, *, ignored: str = "", **settings: object) -> Any:  # noqa: ANN401 - untyped
    """The model in a directory, in float32, with every tensor in its place.

    Args:
        directory: Holds ``config.json`` and weights.
        ignored: How the names of tensors begin that may be there too; none by default.
        settings: For the model's constructor.

    Raises:
        WeightsError: Weights are missing, do not fit or would run code.
    """
    # Let through here, a tensor of another shape is named below instead of in a table on the terminal.
    model, report = pretrained(
        "AutoModel", directory, "weights", output_loading_info=True, ignore_mismatched_sizes=True, **settings
    )
    # Old checkpoints carry their position numbers, which are no weights.
    extra = sorted(key for key in report["unexpected_keys"] if not key.endswith("position_ids"))
    extra = [key for key in extra if not (ignored and key.startswith(ignored))]
    faults = {"missing": sorted(report["missing_keys"]), "unexpected": extra}
    faults["of another shape"] = sorted(str(key) for key in report["mismatched_keys"])
    told = [f"{len(keys)} {what} ({', '.join(keys[:3])}…)" for what, keys in faults.items() if keys]
    if told:
        raise WeightsError(
            f"Weights in {directory}: expected every tensor of its {model.config.model_type} configuration and no "
            f"other, got {'; '.join(told)}. Save the model again with save_pretrained"
        )
    return model.float()


def pretrained(loader: str, directory: Path, what: str, **settings: object) -> Any:  # noqa: ANN401 - as above
    """What a class of transformers reads from a directory.

    Args:
        loader: The class's name.
        directory: Where it was saved.
        what: ``weights``, or what else it is, as it reads in a message.
        settings: For its ``from_pretrained``.

    Raises:
        WeightsError: It is weights, and they cannot be loaded or would run code.
        EncoderError: It is something else that cannot be loaded.
    """
    import transformers

    try:
        # Explicitly no: left open, transformers would ask on the terminal whether to run the repository's code.
        return getattr(transformers, loader).from_pretrained(directory, trust_remote_code=False, **settings)
    # It raises its own errors, the system's and those of the safetensors, tokenizers and pickle libraries.
    except Exception as failure:
        refuse_pickled(failure, directory)
        kind: type[EncoderError] = EncoderError
        advice = "Save it again with save_pretrained"
        if isinstance(failure, ImportError):  # such as sentencepiece, which some tokenizers need
            advice = "Install the library that is missing: pip install <library>"
        if what == "weights":
            kind = WeightsError
            advice = "They are read from safetensors or plain tensors, never from files that run code"
        raise kind(
            f"The {what} in {directory} cannot be loaded: {type(failure).__name__}: {one_line(failure)}. {advice}"
        ) from failure


def _pooled(output: Any) -> "torch.Tensor":  # noqa: ANN401 - a tensor up to transformers 4, a record from 5 on
    pooled: torch.Tensor = getattr(output, "pooler_output", output)
    return pooled


def _settings(config: Any) -> dict[str, object]:  # noqa: ANN401 - transformers has no types
    towers = {"text": config.text_config, "vision": config.vision_config}
    chosen = {tower: {name: getattr(values, name, None) for name in TOWER_SETTINGS} for tower, values in towers.items()}
    return {"model_type": config.model_type, **chosen}


def _preprocess(directory: Path, side: int) -> Preprocess:
    """The image processor's settings as ours, or a refusal where they cannot be followed."""
    processor = pretrained("AutoImageProcessor", directory, "image preprocessing")

    def require(name: str, expected: str, got: object, *, holds: bool) -> None:
        if not holds:
            raise EncoderError(f"The image preprocessing in {directory}: expected {name} {expected}, got {got}.")

    for step in ("do_resize", "do_rescale", "do_normalize"):
        require(step, "true", getattr(processor, step, None), holds=bool(getattr(processor, step, None)))
    factor = processor.rescale_factor
    require("rescale_factor", "1/255", factor, holds=abs(255 * factor - 1) < 1e-6)
    resample = int(processor.resample)
    require("resample", f"one of {sorted(INTERPOLATIONS)}", resample, holds=resample in INTERPOLATIONS)
    short, square = (_sides(processor.size, names) for names in (("shortest_edge",), ("height", "width")))
    crops = bool(getattr(processor, "do_center_crop", None))
    kept = _sides(processor.crop_size, ("height", "width")) if crops else {side}
    require("crop_size", f"{side}, the network's", processor.crop_size if crops else None, holds=kept == {side})
    require("size", f"{side}, the network's", processor.size, holds={side} in (square, short if crops else square))
    return Preprocess(
        size=side,
        mode="squash" if square == {side} else "center",
        interpolation=INTERPOLATIONS[resample],
        mean=tuple(processor.image_mean),
        std=tuple(processor.image_std),
    )


def _sides(size: Any, names: Sequence[str]) -> set[int | None]:  # noqa: ANN401 - a dict up to transformers 4
    return {size.get(name) if isinstance(size, Mapping) else getattr(size, name, None) for name in names}


def _require_end_token(directory: Path, tokenizer: Any, last: int, config: Any) -> None:  # noqa: ANN401 - untyped
    """Refuses a tokenizer after which all long captions, or all captions, would be one and the same to the network."""
    end = tokenizer.eos_token_id
    if last != end:
        raise EncoderError(
            f"The tokenizer in {directory}: expected an over-long caption to be cut before its end token {end}, "
            f"got {last} in the last place."
        )
    if config.model_type != "clip":
        return
    # CLIP reads the caption off its end token: where the configuration says 2, as the first ones did by mistake,
    # transformers takes the highest number for it, and where it finds none the start token, which knows no caption.
    said = config.text_config.eos_token_id
    found = max(tokenizer.get_vocab().values()) if said == 2 else said
    if found != end:
        raise EncoderError(
            f"The tokenizer in {directory}: expected the end token that config.json names (text_config.eos_token_id "
            f"{said}, which stands for {found}), got {end}. The network would read every caption at the wrong place."
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps the library's remarks and its bars for reading a file off the terminal; what matters is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
