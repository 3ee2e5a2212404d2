"""Prompt-to-Prompt (Hertz et al. 2023): the source's attention maps, under the words of the target."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from evalkit.arrays import Floats
from evalkit.editing.method import EditedPicture, MethodCard, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.methods.prompt_to_prompt.word_alignment import (
    CaptionWords,
    TokenColumns,
    blend_columns,
    refinement_mapping,
    replacement_mapping,
    token_weights,
)
from evalkit_adapters.settings import GUIDANCE, NULL_TEXT_ITERATIONS, choice, from_zero, share

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.attention import AttentionFunction, AttentionLayer
    from evalkit_adapters.diffusion.null_text import NullText

_THRESHOLD = 0.3
"""Of the local blend: a pixel belongs to the words from this share of their strongest attention on."""
_BLEND_AFTER = 0.2
"""Share of the steps before the local blend begins."""


class PromptToPrompt(LatentDiffusionMethod):
    """Samples source and target caption together; the target's attention is taken from the source's."""

    card: ClassVar[MethodCard] = MethodCard(
        name="prompt_to_prompt",
        title="Prompt-to-Prompt",
        summary="Samples both captions side by side and gives the target the source's attention maps.",
        paper="https://arxiv.org/abs/2208.01626",
        licence="Apache-2.0; written from the published description. The authors' code is Apache-2.0",
        variant=(
            "The Stable Diffusion version with null-text inversion of real images (arXiv 2211.09794). Where replaced "
            "words differ in their number of tokens, alignment=authors, the default, gives what follows the last of "
            "them the source's columns of the same numbers, which are other words': so the published pictures were "
            "made, and a result under this name is one of that method. alignment=shifted gives each of the following "
            "words its own columns, which is the better reading. Not carried: windows for single words, words to "
            "subtract from the blend, and sources that are generated. For other than 50 steps the learning rate of "
            "null-text inversion is stretched to fall by half all the same; 50 steps go from timestep 981 to 1, as in "
            "diffusers from 0.8.1 on, where the 0.3.0 of the authors' requirements has 980 to 0. Pictures are rounded "
            "to 8 bits, where the authors' notebooks cut off what is behind the point."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "edit": choice(
                "auto",
                "replace words one by one, refine by adding some, or auto: replace if they are equally many.",
                ("auto", "replace", "refine"),
            ),
            "alignment": choice(
                "authors",
                "What follows replaced words of another length takes over the source's columns of its own number, or "
                "those of the same words.",
                ("authors", "shifted"),
            ),
            "cross_share": share(0.8, "Share of the steps with the source's cross-attention."),
            "self_share": share(0.5, "Share of the steps with the source's self-attention."),
            "self_level": from_zero(0.5, "Largest self-attention replaced, as a share of the latent's side."),
            "weights": Setting(default="", summary="Words of the target to strengthen, such as red=2,large=0.5."),
            "blend": Setting(
                default="none", summary="Words to which the edit is confined: none, auto (those that differ), or words."
            ),
            "blend_level": from_zero(0.25, "Side of the attention maps behind the blend, as a share of the latent's."),
            "steps": Setting(default=50, summary="Steps of sampling and of inversion.", lowest=2, highest=999),
            "guidance": GUIDANCE,
            "null_text_iterations": NULL_TEXT_ITERATIONS,
        },
        miniature={"guidance": 4.0, "steps": 20, "null_text_iterations": 3},
        conserves=frozenset({"structural"}),
        edit_types=frozenset({"recolour", "reshape", "resize", "move_left", "move_right"}),
        cannot="What the words of the two captions do not say one by one, such as another pose.",
    )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "NullText":  # noqa: ARG002
        """Null-text inversion under the source caption."""
        return self.null_text_inversion(source_image, source_caption or "")

    def edit(self, item: EditItem, fitted: "NullText", *, seed: int) -> EditedPicture:  # noqa: ARG002 - nothing is random
        """The target, sampled beside the source."""
        import torch

        texts = item.source_caption or "", item.target_caption or ""
        with torch.no_grad():
            _, latent = self.edited_latents(fitted, self.model.embed(texts[1]), self.attention_edit(*texts))
        return self.model.decode(latent)

    def attention_edit(self, source: str, target: str) -> "AttentionEdit":
        """What happens to the attention maps of one edit.

        Raises:
            OptionError: A word is not in its caption, or the captions cannot be edited in the way that was asked for.
        """
        kind, length = self.settings["edit"], self.model.length
        before, after = (CaptionWords.from_caption(self.model.tokenizer, text, length) for text in (source, target))
        if kind == "auto":
            kind = "replace" if len(before.words) == len(after.words) else "refine"
        if kind == "replace":
            mapping, alpha = replacement_mapping(before, after, length, self.settings["alignment"])
        else:
            mapping, alpha = refinement_mapping(before.ids, after.ids, length)
        return AttentionEdit(
            mapping=mapping,
            alpha=alpha,
            scale=token_weights(after, self.settings["weights"], length),
            blend=blend_columns(before, after, self.settings["blend"]),
        )

    def edited_latents(
        self, source: "NullText", target: "torch.Tensor", attention_edit: "AttentionEdit"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The clean latents of the source's branch and of the edit's, for the target caption's embedding."""
        import torch

        from evalkit_adapters.diffusion.attention import attention_layers
        from evalkit_adapters.diffusion.latent_diffusion import classifier_free_guidance

        steps = self.steps
        cross_layers, self_layers = (attention_layers(self.model.unet, kind) for kind in ("cross", "self"))
        summed_maps: torch.Tensor | float = 0.0
        pair = torch.cat([source.start, source.start])
        for step, empty in zip(steps, source.empty, strict=True):
            captions = torch.cat([empty, empty, source.caption, target])
            with self.controlled(attention_edit, step.index, cross_layers, self_layers) as maps:
                noise = self.model.noise(torch.cat([pair, pair]), step.timestep, captions)
            unconditional, conditional = noise.chunk(2)
            guided = classifier_free_guidance(unconditional, conditional, self.settings["guidance"])
            pair = step.denoise(pair, guided)
            if attention_edit.blend:
                summed_maps = summed_maps + torch.cat(maps, dim=1)
                if step.index >= int(_BLEND_AFTER * len(steps)):
                    mask = blend_mask(summed_maps, attention_edit.blend, pair.shape[-1])
                    pair = torch.cat([pair[:1], pair[:1] + mask * (pair[1:] - pair[:1])])
        return pair[:1], pair[1:]

    @contextmanager
    def controlled(
        self,
        attention_edit: "AttentionEdit",
        index: int,
        cross_layers: "Sequence[AttentionLayer]",
        self_layers: "Sequence[AttentionLayer]",
    ) -> "Iterator[list[torch.Tensor]]":
        """Attention for one call on ``[empty, empty, source, target]`` rows; only the last row is changed.

        Yields:
            What fills with the two captions' maps for the blend, ``(2, heads, tokens, columns)`` of each layer.
        """
        from evalkit_adapters.diffusion.attention import replace_attention

        maps: list[torch.Tensor] = []
        functions: dict[AttentionLayer, AttentionFunction] = {}
        replaces_cross = index < int(self.settings["cross_share"] * (self.settings["steps"] + 1))
        if replaces_cross or attention_edit.blend:
            cross_attention = self._cross_attention(attention_edit, maps, is_edited=replaces_cross)
            functions |= dict.fromkeys(cross_layers, cross_attention)
        if index < int(self.settings["self_share"] * self.settings["steps"]):
            functions |= dict.fromkeys(self_layers, self._self_attention)
        with replace_attention(functions):
            yield maps
        if attention_edit.blend and not maps:
            raise OptionError(
                f"No cross-attention of the base model has {self._blend_tokens} tokens, which blend_level="
                f"{self.settings['blend_level']:g} asks for. Set it to 1, 0.5, 0.25 or 0.125."
            )

    @property
    def _blend_tokens(self) -> int:
        """Queries of the layers whose maps the blend is made of."""
        return int(round(self.settings["blend_level"] * self.model.unet.config.sample_size) ** 2)

    def _cross_attention(
        self, attention_edit: "AttentionEdit", maps: "list[torch.Tensor]", *, is_edited: bool
    ) -> "AttentionFunction":
        """Cross-attention with the target's map edited, or not, that adds what a blend is made of to ``maps``."""
        import torch

        from evalkit_adapters.diffusion.attention import attention_probabilities

        def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            attention = attention_probabilities(query, key)
            if is_edited:
                attention = torch.cat([attention[:3], attention_edit.apply(attention[2:3], attention[3:])])
            if attention_edit.blend and query.shape[2] == self._blend_tokens:
                maps.append(attention[2:])
            return attention @ value

        return attend

    def _self_attention(self, query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
        """Self-attention of the target with the source's map, where that is small enough."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        if query.shape[2] <= (self.settings["self_level"] * self.model.unet.config.sample_size) ** 2:
            query, key = (torch.cat([part[:3], part[2:3]]) for part in (query, key))
        return scaled_dot_product_attention(query, key, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionEdit:
    """How the target's cross-attention comes from the source's: ``c · (α · A_src M + (1 − α) · A_tgt)``."""

    mapping: Floats
    """M, ``(columns, columns)``: source column to target column."""
    alpha: Floats
    """``(columns,)``: 0 where the target has words of its own."""
    scale: Floats
    """c, ``(columns,)``."""
    blend: TokenColumns | None
    """Of the words to which the edit is confined."""

    def apply(self, source: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
        """The target's new maps, from both branches' ``(1, heads, tokens, columns)`` of this step."""
        import torch

        mapping, alpha, scale = (
            torch.as_tensor(part, dtype=target.dtype, device=target.device)
            for part in (self.mapping, self.alpha, self.scale)
        )
        edited: torch.Tensor = scale * (alpha * (source @ mapping) + (1 - alpha) * target)
        return edited


def blend_mask(maps: "torch.Tensor", columns: TokenColumns, side: int) -> "torch.Tensor":
    """Where the words of either caption are: ``(1, 1, side, side)`` of 0 and 1, for a latent of that side.

    Maps are ``(2, layers · heads, tokens, columns)`` of source and target, summed over the steps so far.
    """
    from torch.nn.functional import interpolate, max_pool2d

    level = int(maps.shape[2] ** 0.5)
    mask = maps.new_zeros(1, 1, side, side)
    for branch, chosen in zip(maps, columns, strict=True):
        if chosen:
            heat = branch[:, :, list(chosen)].sum(dim=2).mean(dim=0).reshape(1, 1, level, level)
            heat = interpolate(max_pool2d(heat, 3, stride=1, padding=1), size=(side, side))
            mask = mask.maximum((heat / heat.max() > _THRESHOLD).to(maps.dtype))
    return mask
