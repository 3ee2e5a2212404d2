"""The CLIP that guides an optimisation: embeddings, tokens and attention of its image tower, all with gradients.

Both of its kinds, open_clip's and transformers', are taken apart into the same few pieces, because neither gives all
that the methods ask for: embeddings of pictures that are not square, the tokens before the last block, and the
derivative by the last block's attention. Nothing here rounds to 8 bits, antialiases or clamps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch.nn import functional

Layer = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A transformer block ``x + A(n₁ x)``, then ``x + M(n₂ x)``, in its parts."""

    forward: Layer
    """The block as its library computes it."""
    norm_1: Layer
    projections: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    """Queries, keys and values, each ``(n, tokens, width)``."""
    n_heads: int
    output: Layer
    norm_2: Layer
    mlp: Layer

    def forward_with_attention(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What ``forward`` computes of ``(n, tokens, width)``, and the attention probabilities on the way to it.

        Those are ``(n, heads, tokens, tokens)``, and what is computed can be differentiated by them.
        """
        query, key, value = (self._heads(part) for part in self.projections(self.norm_1(tokens)))
        attention = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(dim=-1)
        mixed = (attention @ value).transpose(1, 2).flatten(2)
        tokens = tokens + self.output(mixed)
        return tokens + self.mlp(self.norm_2(tokens)), attention

    def _heads(self, part: torch.Tensor) -> torch.Tensor:
        return part.reshape(*part.shape[:2], self.n_heads, -1).transpose(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """A vision transformer with a class token."""

    patches: torch.nn.Conv2d
    class_token: torch.Tensor
    positions: torch.Tensor
    """``(1 + grid², width)``, the class token's first."""
    norm_before: Layer
    blocks: tuple[Block, ...]
    norm_after: Layer
    projection: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidingClip:
    """A frozen CLIP; pictures are ``(n, 3, height, width)`` in [0, 1] of any size from one patch on."""

    model: torch.nn.Module
    tower: Tower
    tokenize: Callable[[Sequence[str]], torch.Tensor]
    texts: Layer
    """Token numbers to embeddings."""
    side: int
    """Of the square pictures that it was trained on, in pixels."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings of pictures, ``(n, dimension)``, not normalised."""
        return self._embedding(self.tower.blocks[-1].forward(self.tokens(pixels)))

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embeddings of texts, ``(n, dimension)``, not normalised."""
        return self.texts(self.tokenize(texts).to(self.tower.class_token.device))

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """What enters the last block, ``(n, 1 + patches, width)``."""
        mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        patches = self.tower.patches((pixels - mean) / std)
        rows, columns = patches.shape[2:]
        tokens = torch.cat(
            [self.tower.class_token.expand(len(pixels), 1, -1), patches.flatten(2).transpose(1, 2)], dim=1
        )
        tokens = self.tower.norm_before(tokens + self._positions(rows, columns))
        for block in self.tower.blocks[:-1]:
            tokens = block.forward(tokens)
        return tokens

    def relevancy(self, pixels: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Where in a picture a text is (Chefer et al. 2021, generic attention explainability, last block only).

        With the last block's attention A and the logit of picture and text, ``mean over heads of max(0, A ∂logit/∂A)``,
        from the class token to the patches, brought to [0, 1]: ``(1, 1, side, side)``, without gradient.

        Args:
            pixels: ``(1, 3, height, width)``; squeezed into a square.
            text: ``(dimension,)``.
        """
        with torch.no_grad():
            tokens = self.tokens(resize(pixels, (self.side, self.side)))
        with torch.enable_grad():
            last, attention = self.tower.blocks[-1].forward_with_attention(tokens.requires_grad_())
            cosine = functional.cosine_similarity(self._embedding(last), text[None])
            (slope,) = torch.autograd.grad(self.logit_scale * cosine.sum(), attention)
        relevant = (slope * attention.detach()).clamp(min=0).mean(dim=1)[:, 0, 1:]
        grid = round(relevant.shape[1] ** 0.5)
        heat = resize(relevant.reshape(1, 1, grid, grid), (self.side, self.side))
        low, high = heat.min(), heat.max()
        return (heat - low) / (high - low).clamp(min=torch.finfo(heat.dtype).tiny)

    @property
    def logit_scale(self) -> float:
        """Factor of the cosine in the network's logits."""
        return float(self.model.get_parameter("logit_scale").exp())

    def _embedding(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.tower.projection(self.tower.norm_after(tokens[:, 0]))

    def _positions(self, rows: int, columns: int) -> torch.Tensor:
        """The table of positions, resized bicubically where the picture has other patches than those of training.

        By factors of (patches + 0.1) / grid, as the reference does, which thus differs a little from a resize to size.
        """
        table = self.tower.positions
        grid = round((len(table) - 1) ** 0.5)
        if (rows, columns) == (grid, grid):
            return table
        plane = table[1:].T.reshape(1, -1, grid, grid)
        factors = ((rows + 0.1) / grid, (columns + 0.1) / grid)
        plane = functional.interpolate(plane, scale_factor=factors, mode="bicubic")
        return torch.cat([table[:1], plane[0].flatten(1).T])


def resize(pixels: torch.Tensor, size: tuple[int, int], mode: str = "bilinear") -> torch.Tensor:
    """Pictures ``(n, channels, height, width)`` at another height and width, not antialiased, as the references do."""
    return functional.interpolate(pixels, size=size, mode=mode, align_corners=False, antialias=False)


def fit_within(size: tuple[int, int], short: int, longest: int) -> tuple[int, int]:
    """A picture's height and width at a given short side, or at a given long side where that would be exceeded.

    >>> fit_within((512, 640), 224, 320)
    (224, 280)
    >>> fit_within((500, 1000), 224, 320)
    (160, 320)
    """
    height, width = size
    new_short, new_long = short, int(short * max(size) / min(size))
    if new_long > longest:
        new_short, new_long = int(longest * new_short / new_long), longest
    return (new_short, new_long) if height <= width else (new_long, new_short)


def tower_of(model: Any) -> Tower:  # noqa: ANN401 - neither library ships types
    """The parts of the image tower of a CLIP of open_clip's or of transformers'.

    Raises:
        ValueError: It is none, or pools or attends in another way than CLIP does.
    """
    if hasattr(model, "visual"):
        return _tower_of_open_clip(model.visual)
    if model.config.model_type != "clip":
        raise ValueError(f"it must be a model of type clip; got {model.config.model_type}")
    vision = model.vision_model
    return Tower(
        patches=vision.embeddings.patch_embedding,
        class_token=vision.embeddings.class_embedding,
        positions=vision.embeddings.position_embedding.weight,
        norm_before=vision.pre_layrnorm,  # their spelling
        blocks=tuple(_transformers_block(layer) for layer in vision.encoder.layers),
        norm_after=vision.post_layernorm,
        projection=model.visual_projection,
    )


def _tower_of_open_clip(visual: Any) -> Tower:  # noqa: ANN401 - open_clip ships no types
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None or visual.pool_type != "tok":
        raise ValueError(f"its image tower is no vision transformer that is read off its class token: {type(visual)}")
    blocks = list(visual.transformer.resblocks)
    plain = (type(block) is ResidualAttentionBlock and isinstance(block.ls_1, torch.nn.Identity) for block in blocks)
    if not all(plain):
        raise ValueError("its blocks are not those of CLIP")
    return Tower(
        patches=visual.conv1,
        class_token=visual.class_embedding,
        positions=visual.positional_embedding,
        norm_before=visual.ln_pre,
        blocks=tuple(_open_clip_block(block) for block in blocks),
        norm_after=visual.ln_post,
        projection=lambda pooled: pooled @ visual.proj,
    )


def _open_clip_block(block: Any) -> Block:  # noqa: ANN401 - as above
    attention = block.attn

    def projections(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        query, key, value = functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        return query, key, value

    return Block(
        forward=block,
        norm_1=block.ln_1,
        projections=projections,
        n_heads=attention.num_heads,
        output=attention.out_proj,
        norm_2=block.ln_2,
        mlp=block.mlp,
    )


def _transformers_block(layer: Any) -> Block:  # noqa: ANN401 - as above
    attention = layer.self_attn

    def forward(tokens: torch.Tensor) -> torch.Tensor:
        # Up to transformers 4 there is a second mask, and the tokens come in a tuple.
        arguments = signature(type(layer).forward).parameters
        masks = {"causal_attention_mask": None} if "causal_attention_mask" in arguments else {}
        found = layer(tokens, attention_mask=None, **masks)
        made: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return made

    return Block(
        forward=forward,
        norm_1=layer.layer_norm1,
        projections=lambda tokens: (attention.q_proj(tokens), attention.k_proj(tokens), attention.v_proj(tokens)),
        n_heads=attention.num_heads,
        output=attention.out_proj,
        norm_2=layer.layer_norm2,
        mlp=layer.mlp,
    )
