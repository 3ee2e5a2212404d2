"""Prompt-to-Prompt's published attention control, written a second time: what the adapter is held against.

Layers are counted, windows are a table, and maps are edited column by column and blended place by place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Edit = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Column n of the target's new map, from the source's and the target's maps."""


class AttentionControl:
    """The published attention control: layers are counted, windows are a table, maps are edited column by column.

    ``edit(source, target, n)`` gives column n of the target's new map.
    """

    def __init__(
        self,
        unet: Any,
        edit: Edit,
        *,
        steps: int,
        cross: float = 0.8,
        own: float = 0.5,
        largest: int = 8,
        level: int = 4,
    ):
        self.edit, self.largest, self.level = edit, largest**2, level**2
        self.window = np.zeros(steps + 1)
        self.window[: int(cross * (steps + 1))] = 1
        self.own = int(own * steps)
        self.step = self.layer = 0
        self.store = 0.0
        unet.set_attn_processor(dict.fromkeys(unet.attn_processors, self))

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        """One layer, with probabilities made by diffusers' helpers; the rows are [empty, empty, source, target]."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(part) for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        maps = attn.get_attention_scores(query, key)
        source, target = maps.unflatten(0, (4, attn.heads))[2:]
        tokens = maps.shape[1]
        if encoder_hidden_states is not None:
            w = self.window[self.step]
            columns = [w * self.edit(source, target, n) + (1 - w) * target[..., n] for n in range(maps.shape[2])]
            target = torch.stack(columns, dim=-1)
            if tokens == self.level:
                self.now.append(torch.stack([source, target]))
        elif self.step < self.own and tokens <= self.largest:
            target = source
        maps = torch.cat([maps[: -attn.heads], target])
        self.layer += 1
        self.step, self.layer = self.step + self.layer // 32, self.layer % 32
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(maps @ value)))

    def noise(self, unet, latents, timestep, captions):
        """One call, whose maps at the blend's level are added to those before."""
        self.now = []
        with torch.no_grad():
            noise = unet(latents, timestep, captions).sample
        self.store = self.store + torch.cat(self.now, dim=1)
        return noise


def local_blend(pair, store, columns):
    """The blend after a step, by loops over the places."""
    level = int(store.shape[2] ** 0.5)
    places = torch.zeros(16, 16, dtype=bool)
    for maps, chosen in zip(store, columns, strict=True):
        if not chosen:
            continue
        heat = torch.stack([sum(head[:, n] for n in chosen) for head in maps]).mean(dim=0).reshape(level, level)
        pooled = torch.zeros_like(heat)
        for y in range(level):
            for x in range(level):
                pooled[y, x] = heat[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max()
        share = pooled / pooled.max()
        for y in range(16):
            for x in range(16):
                places[y, x] |= bool(share[y * level // 16, x * level // 16] > 0.3)
    return torch.stack([pair[0], torch.where(places, pair[1], pair[0])]), places
