"""Attention layers of a UNet: finding them, changing what they compute for a while, and leaving them as they were.

A method says what a layer does with its queries, keys and values (:class:`AttentionFunction`); the rest is diffusers'
own ``Attention``. Layers are found by their path in Stable Diffusion's UNet, never by the name of a class,
and asking for layers that are not there is an error: an edit that silently hooks nothing is a plain generation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from evalkit.errors import WeightsError

AttentionKind = Literal["self", "cross"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionLayer:
    """One attention layer."""

    path: str
    """Of its module in the UNet: ``up_blocks.1.attentions.0.transformer_blocks.0.attn1``."""
    kind: AttentionKind
    module: Any

    @property
    def block(self) -> str:
        """The block that it lies in: ``up_blocks.1``, or ``mid_block``."""
        return self.path.partition(".attentions")[0]


class AttentionFunction(Protocol):
    """What a layer computes of its queries, keys and values."""

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The layer's output for ``(batch, heads, tokens, dimension)`` queries, keys and values; the queries' shape."""


def attention_layers(unet: Any, kind: AttentionKind, blocks: Sequence[str] = ("",)) -> tuple[AttentionLayer, ...]:  # noqa: ANN401
    """The attention layers of one kind, in the order in which they run.

    Args:
        unet: A ``UNet2DConditionModel``.
        kind: Among the picture's own tokens, or to the caption's.
        blocks: Beginnings of the paths that are wanted, such as ``up_blocks.1.attentions.1``.

    Raises:
        WeightsError: One of ``blocks`` has none.
    """
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    ending = ".attn1" if kind == "self" else ".attn2"
    found = [
        AttentionLayer(path=path, kind=kind, module=module)
        for path, module in unet.named_modules()
        if path.endswith(ending) and path.partition(".")[0] in order
    ]
    found.sort(key=lambda layer: order[layer.path.partition(".")[0]])
    for block in blocks:
        if not any(_below(layer.path, block) for layer in found):
            raise WeightsError(
                f"The base model's UNet was expected to have {kind}-attention in {block or 'some block'}, as Stable "
                f"Diffusion 1 has, and has none. Choose a model of that kind: --model HUB_ID_OR_DIRECTORY"
            )
    return tuple(layer for layer in found if any(_below(layer.path, block) for block in blocks))


def _below(path: str, block: str) -> bool:
    return not block or path == block or path.startswith(f"{block}.")


def attention_probabilities(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Softmax of the scaled products, ``(batch, heads, queries, keys)``."""
    scores: torch.Tensor = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return scores.softmax(dim=-1)


@contextmanager
def replace_attention(functions: Mapping[AttentionLayer, AttentionFunction]) -> Iterator[None]:
    """Has layers compute something else than scaled dot-product attention, for as long as the context lasts."""
    with ExitStack() as stack:
        for layer, function in functions.items():
            stack.callback(layer.module.set_processor, layer.module.processor)
            layer.module.set_processor(_Processor(function))
        yield


@contextmanager
def output_hook(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Has a module's output changed, for as long as the context lasts."""
    handle = module.register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


class _Processor:
    """diffusers' projections around a function of queries, keys and values."""

    def __init__(self, function: AttentionFunction) -> None:
        self._function = function

    def __call__(
        self,
        attn: Any,  # noqa: ANN401 - diffusers ships no types
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,  # noqa: ARG002 - diffusers passes it
    ) -> torch.Tensor:
        """The layer's output, ``(batch, tokens, channels)``."""
        if attention_mask is not None:
            raise ValueError("an attention mask was given, which these methods do not have")
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            project(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for project, tokens in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        output = self._function(query, key, value).transpose(1, 2).flatten(2)
        result: torch.Tensor = attn.to_out[1](attn.to_out[0](output))
        return result
