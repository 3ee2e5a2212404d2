"""From a place on disk to an open_clip network: only open_clip's own code runs, and nothing is left to chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evalkit.encoders.base import Preprocess
from evalkit.encoders.checkpoints import refuse_pickled
from evalkit.encoders.hub import downloading
from evalkit.errors import EncoderError, WeightsError
from evalkit.storage.hub import one_line

if TYPE_CHECKING:
    import torch

    from evalkit.encoders.network import Network

DIRECTORY = "local-dir:"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
RESIZE_MODES: Mapping[str, Literal["center", "squash"]] = {"shortest": "center", "squash": "squash"}
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where a model comes from, everything downloaded."""

    name: str
    """As it stands in signatures, after ``open_clip/``."""
    model: str
    """What open_clip calls it: an architecture, or ``local-dir:`` and a directory."""
    checkpoint: Path | None = None
    """Weights for an architecture; a directory has its own."""
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    """What the weights' entry in open_clip's list says of images."""
    is_known: bool = False
    """Whether open_clip lists the weights, and so vouches that they fit."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The checkpoint, or the model's directory with all its files."""
        if self.checkpoint:
            return (self.checkpoint,)
        directory = Path(self.model.removeprefix(DIRECTORY))
        return (directory, *sorted(path for path in directory.iterdir() if path.is_file()))

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """Those of :attr:`files` that hold weights, by their suffix."""
        return tuple(path for path in self.files if path.suffix in WEIGHT_SUFFIXES)


def read_network(source: WeightsSource) -> "Network":
    """The network of a source, in float32 on the CPU.

    Raises:
        WeightsError: Weights are missing, damaged, or would run code.
        EncoderError: They do not fit the architecture, or it reads images in a way that cannot be followed.
    """
    from evalkit.encoders.network import Network

    shapes: Shapes = {}
    for path in source.weight_files:
        shapes |= _read_shapes(path)
    model = _build(source, shapes)
    tokenizer = _tokenizer(source)
    # open_clip's own tokenizer keeps its vocabulary as ``encoder``; the others wrap one of transformers.
    vocabulary = getattr(tokenizer, "encoder", None) or tokenizer.tokenizer.get_vocab()
    short = _looks_back(model)
    return Network(
        model=model,
        embed_images=lambda pixels: model.encode_image(pixels, normalize=False),
        embed_texts=partial(_embed_short_texts, model) if short else lambda t: model.encode_text(t, normalize=False),
        ignores_padding=short,
        tokenize=lambda texts: tokenizer(list(texts)),
        tokenize_whole=partial(_tokenize_whole, tokenizer),
        vocabulary=vocabulary,
        preprocess=_preprocess(source, model.visual.preprocess_cfg),
        settings=_config(source),
    )


def _looks_back(model: Any) -> bool:  # noqa: ANN401 - open_clip has no types
    """Whether the text tower is CLIP's own: causal, and read at the end token."""
    import open_clip

    own = type(model) is open_clip.CLIP
    return own and model.attn_mask is not None and model.text_pool_type in ("argmax", "eos")


def _embed_short_texts(model: Any, tokens: "torch.Tensor") -> "torch.Tensor":  # noqa: ANN401 - open_clip has no types
    """What open_clip's ``encode_text`` gives for texts that are padded to its full length."""
    from open_clip.transformer import text_global_pool

    n, kind = tokens.shape[1], model.transformer.get_cast_dtype()
    states = model.token_embedding(tokens).to(kind) + model.positional_embedding[:n].to(kind)
    states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:n, :n]))
    end = getattr(model, "text_eos_id", None)
    pooled: torch.Tensor = text_global_pool(states, tokens, model.text_pool_type, eos_token_id=end)
    projection = model.text_projection
    if projection is None:
        return pooled
    embedded: torch.Tensor = projection(pooled) if callable(projection) else pooled @ projection
    return embedded


def _read_shapes(path: Path) -> Shapes:
    """The tensors in a weight file by name, read in a way in which nothing can run.

    open_clip reads the file again; by then it is known to hold tensors only.
    """
    import torch
    from safetensors import safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        return {name.removeprefix("module."): tuple(tensor.shape) for name, tensor in state.items()}
    # Damage shows itself as almost any error, of four libraries.
    except Exception as failure:
        refuse_pickled(failure, path)
        raise WeightsError(
            f"The weights in {path}: expected safetensors, or a torch file that holds a dictionary of tensors and "
            f"nothing else, got {type(failure).__name__}: {one_line(failure)}. Save the state_dict alone, best as "
            f".safetensors"
        ) from failure


def _build(source: WeightsSource, shapes: Shapes) -> Any:  # noqa: ANN401 - open_clip has no types
    import open_clip

    place = source.checkpoint or source.model.removeprefix(DIRECTORY)
    architecture = source.name.partition("/")[0]
    try:
        model = open_clip.create_model(
            source.model,
            pretrained=str(source.checkpoint) if source.checkpoint else None,
            require_pretrained=True,
            force_preprocess_cfg=dict(source.preprocess),
            weights_only=True,
        )
    # open_clip and torch raise whatever comes; what it says is the reason.
    except Exception as failure:
        hint = "Choose the architecture that they were trained with"
        if any(name.startswith("text_model.") for name in shapes):
            hint = "They are in the format of transformers: --encoder transformers:<their directory>"
        raise EncoderError(
            f"The weights in {place} do not fit open_clip's {architecture}: {one_line(failure)}. {hint}"
        ) from failure
    if not source.is_known:
        _require_same_positions(source, shapes, {name: tuple(t.shape) for name, t in model.state_dict().items()})
    return model


def _require_same_positions(source: WeightsSource, given: Shapes, wanted: Shapes) -> None:
    # open_clip would stretch them without a word, which makes a network that nobody trained.
    for tower in ("visual.", "", "text."):
        name = f"{tower}positional_embedding"
        if name in given and name in wanted and given[name] != wanted[name]:
            raise EncoderError(
                f"The weights in {source.checkpoint} do not fit open_clip's {source.model}: expected {name} of shape "
                f"{wanted[name]}, got {given[name]}. They were trained for another image or caption size; choose "
                f"the architecture of that size"
            )


def _tokenizer(source: WeightsSource) -> Any:  # noqa: ANN401 - open_clip has no types
    import open_clip

    remote = _config(source).get("text_cfg", {}).get("hf_tokenizer_name", "")
    if remote and source.checkpoint:
        with downloading(f"The tokenizer of open_clip's {source.model}", remote, f"open_clip:{DIRECTORY}<directory>"):
            return open_clip.get_tokenizer(source.model)
    try:
        return open_clip.get_tokenizer(source.model)
    # The files of a directory can be damaged in as many ways as there are libraries that read them.
    except Exception as failure:
        raise EncoderError(
            f"The tokenizer of open_clip's {source.name} cannot be loaded: {one_line(failure)}."
        ) from failure


def _tokenize_whole(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:  # noqa: ANN401 - open_clip has no types
    """All tokens of texts, cleaned as open_clip does before it cuts them, with the special tokens that it adds."""
    if hasattr(tokenizer, "encode"):  # its own, which knows no other two
        start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
        return [[start, *tokenizer.encode(text), end] for text in texts]
    cleaned, own = [tokenizer.clean_fn(text) for text in texts], tokenizer.tokenizer
    if tokenizer.tokenizer_mode == "clips":  # which puts three special tokens of its own around them
        ends = (own.eos_token_id, own.cls_token_id)
        bare = own(cleaned, add_special_tokens=False, verbose=False)["input_ids"]
        return [[own.bos_token_id, *tokens, *ends] for tokens in bare]
    whole: list[list[int]] = own(cleaned, verbose=False)["input_ids"]
    return whole


def _config(source: WeightsSource) -> dict[str, Any]:
    import open_clip

    return dict(open_clip.get_model_config(source.model))


def _preprocess(source: WeightsSource, config: Mapping[str, Any]) -> Preprocess:
    size, mode = config["size"], config["resize_mode"]
    sides: Sequence[int] = (size, size) if isinstance(size, int) else size
    if len(set(sides)) != 1 or mode not in RESIZE_MODES:
        raise EncoderError(
            f"open_clip's {source.name} reads images of {sides[-1]} × {sides[0]} pixels, resized by '{mode}': expected "
            f"a square and one of {', '.join(RESIZE_MODES)}. Choose another encoder"
        )
    return Preprocess(
        size=sides[0],
        mode=RESIZE_MODES[mode],
        # Whatever else open_clip calls it, outside of training it takes bicubic.
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
