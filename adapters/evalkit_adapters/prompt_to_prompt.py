"""Prompt-to-Prompt (Hertz et al. 2023): the source's attention maps, under the words of the target."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit.data.item import EditItem
from evalkit.errors import OptionError
from evalkit.method import MethodCard, Picture, Run, Setting

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.attention import Layer, Rule
    from evalkit_adapters.latent import LatentDiffusion
    from evalkit_adapters.null_text import NullText

Floats = npt.NDArray[np.float64]
_THRESHOLD = 0.3
"""Of the local blend: a place belongs to the words from this share of their strongest attention on."""
_BLEND_AFTER = 0.2
"""Share of the steps before the local blend begins."""


class PromptToPrompt:
    """Samples source and target caption together; the target's attention is taken from the source's."""

    card: ClassVar[MethodCard] = MethodCard(
        name="prompt_to_prompt",
        title="Prompt-to-Prompt",
        summary="Samples both captions side by side and gives the target the source's attention maps.",
        paper="https://arxiv.org/abs/2208.01626",
        licence="Apache-2.0; written from the published description. The authors' code is Apache-2.0",
        variant=(
            "The Stable Diffusion version with null-text inversion of real images (arXiv 2211.09794). Words after a "
            "replaced one of another length are matched to themselves; the published code shifts them."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "edit": Setting(
                default="auto",
                summary="replace words one by one, refine by adding some, or auto: replace if they are equally many.",
                choices=("auto", "replace", "refine"),
            ),
            "cross_share": Setting(
                default=0.8, summary="Share of the steps with the source's cross-attention.", lowest=0, highest=1
            ),
            "self_share": Setting(
                default=0.5, summary="Share of the steps with the source's self-attention.", lowest=0, highest=1
            ),
            "self_level": Setting(
                default=0.5, summary="Largest self-attention replaced, as a share of the latent's side.", lowest=0
            ),
            "weights": Setting(default="", summary="Words of the target to strengthen, such as red=2,large=0.5."),
            "blend": Setting(
                default="none", summary="Words to which the edit is confined: none, auto (those that differ), or words."
            ),
            "blend_level": Setting(
                default=0.25,
                summary="Side of the attention maps behind the blend, as a share of the latent's.",
                lowest=0,
            ),
            "steps": Setting(default=50, summary="Steps of sampling and of inversion.", lowest=2, highest=999),
            "guidance": Setting(default=7.5, summary="Classifier-free guidance.", lowest=0),
            "null_text_iterations": Setting(default=10, summary="At most, for each step of inversion.", lowest=0),
        },
        miniature={"guidance": 4.0},
        cannot="Moving or re-posing things, and what the words of the two captions do not say one by one.",
    )
    model: "LatentDiffusion"
    settings: dict[str, Any]

    def load(self, run: Run) -> None:
        """The base model."""
        from evalkit_adapters.latent import LatentDiffusion

        self.model, self.settings = LatentDiffusion.open(run), dict(run.settings)

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "NullText":  # noqa: ARG002
        """Null-text inversion under the source caption."""
        from evalkit_adapters.null_text import invert

        return invert(
            self.model,
            self.model.encode(self.model.square(source_image)),
            self.model.embed(source_caption or ""),
            self.model.schedule.steps(self.settings["steps"]),
            guidance=self.settings["guidance"],
            iterations=self.settings["null_text_iterations"],
        )

    def edit(self, item: EditItem, fitted: "NullText", *, seed: int) -> Picture:  # noqa: ARG002 - nothing is random
        """The target, sampled beside the source."""
        import torch

        texts = item.source_caption or "", item.target_caption or ""
        with torch.no_grad():
            _, latent = self.sampled(fitted, self.model.embed(texts[1]), self.control(*texts))
        return self.model.decode(latent)

    def control(self, source: str, target: str) -> "Control":
        """What happens to the attention maps of one edit.

        Raises:
            OptionError: A word is not in its caption, or the captions cannot be edited in the way that was asked for.
        """
        tokenizer, settings = self.model.tokenizer, self.settings
        before, after = Words.of(tokenizer, source), Words.of(tokenizer, target)
        kind = settings["edit"]
        if kind == "auto":
            kind = "replace" if len(before.words) == len(after.words) else "refine"
        if kind == "replace":
            mapping, alpha = replacement(before, after, self.model.length), np.ones(self.model.length)
        else:
            mapping, alpha = refinement(before.ids, after.ids, self.model.length)
        blend = None
        if settings["blend"] == "auto":
            blend = before.differing(after), after.differing(before)
        elif settings["blend"] != "none":
            wanted = settings["blend"].split(",")
            blend = before.columns_of(wanted, required=False), after.columns_of(wanted, required=True)
        return Control(
            mapping=mapping,
            alpha=alpha,
            scale=equaliser(after, settings["weights"], self.model.length),
            blend=blend if blend and any(blend) else None,
        )

    def sampled(
        self, source: "NullText", wanted: "torch.Tensor", control: "Control"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The clean latents of the source's branch and of the edit's.

        Args:
            source: The inverted image.
            wanted: ``(1, tokens, width)`` of the target caption.
            control: What happens to the attention.
        """
        import torch

        from evalkit_adapters.schedule import move

        steps = self.model.schedule.steps(self.settings["steps"])
        seen: list[torch.Tensor] = []
        pair = torch.cat([source.start, source.start])
        for step, empty in zip(steps, source.empty, strict=True):
            captions = torch.cat([empty, empty, source.caption, wanted])
            with self.controlled(control, step.index, seen):
                noise = self.model.noise(torch.cat([pair, pair]), step.timestep, captions)
            without, with_text = noise.chunk(2)
            guided = without + self.settings["guidance"] * (with_text - without)
            pair = move(pair, guided, step.noisy, step.clean)
            if control.blend and step.index >= int(_BLEND_AFTER * len(steps)):
                mask = blend_mask(sum(seen[1:], seen[0]), control.blend, pair.shape[-1])
                pair = torch.cat([pair[:1], pair[:1] + mask * (pair[1:] - pair[:1])])
        return pair[:1], pair[1:]

    @contextmanager
    def controlled(self, control: "Control", index: int, seen: "list[torch.Tensor]") -> Iterator[None]:
        """Attention for one call on ``[empty, empty, source, target]`` rows; only the last row is changed.

        Args:
            control: What happens to the cross-attention.
            index: Of the step.
            seen: Where the two captions' maps are added for the blend, ``(2, layers · heads, tokens, columns)``.
        """
        import torch

        from evalkit_adapters.attention import attention_layers, plain, probabilities, ruled

        steps, side = self.settings["steps"], int(self.model.unet.config.sample_size)
        in_cross = index < int(self.settings["cross_share"] * (steps + 1))
        in_self = index < int(self.settings["self_share"] * steps)
        largest = (self.settings["self_level"] * side) ** 2
        shown = round(self.settings["blend_level"] * side) ** 2
        maps: list[torch.Tensor] = []

        def of_words(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
            chances = probabilities(query, key)
            if in_cross:
                chances = torch.cat([chances[:3], control.edited(chances[2:3], chances[3:])])
            if control.blend and query.shape[2] == shown:
                maps.append(chances[2:])
            return chances @ value

        def of_places(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
            if in_self and query.shape[2] <= largest:
                query, key = (torch.cat([part[:3], part[2:3]]) for part in (query, key))
            return plain(query, key, value)

        unet = self.model.unet
        rules: dict[Layer, Rule] = dict.fromkeys(attention_layers(unet, "cross"), of_words)
        rules |= dict.fromkeys(attention_layers(unet, "self"), of_places)
        with ruled(rules):
            yield
        if control.blend and not maps:
            raise OptionError(
                f"No cross-attention of the base model has {shown} tokens, which blend_level="
                f"{self.settings['blend_level']:g} asks for. Set it to 1, 0.5, 0.25 or 0.125."
            )
        if maps:
            seen.append(torch.cat(maps, dim=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How the target's cross-attention comes from the source's: ``c · (α · A_src M + (1 − α) · A_tgt)``."""

    mapping: Floats
    """M, ``(columns, columns)``: source column to target column."""
    alpha: Floats
    """``(columns,)``: 0 where the target has words of its own."""
    scale: Floats
    """c, ``(columns,)``."""
    blend: tuple[tuple[int, ...], tuple[int, ...]] | None
    """Columns of the source's and of the target's words to which the edit is confined."""

    def edited(self, source: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
        """The target's new maps, from both branches' ``(1, heads, tokens, columns)`` of this step."""
        import torch

        mapping, alpha, scale = (
            torch.as_tensor(part, dtype=target.dtype, device=target.device)
            for part in (self.mapping, self.alpha, self.scale)
        )
        edited: torch.Tensor = scale * (alpha * (source @ mapping) + (1 - alpha) * target)
        return edited


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A caption's words and the columns of their tokens."""

    words: tuple[str, ...]
    """What stands between single spaces, punctuation included."""
    columns: tuple[tuple[int, ...], ...]
    """Of each word, in the embedding, whose first column is the start token."""
    ids: tuple[int, ...]
    """Of all tokens, start and end included."""

    @classmethod
    def of(cls, tokenizer: Any, text: str) -> "Words":  # noqa: ANN401 - transformers ships no types
        """A caption taken apart.

        Raises:
            OptionError: The tokens do not spell the words, as with characters that the tokenizer rewrites.
        """
        ids = tokenizer(text, truncation=True)["input_ids"]
        words = tuple(text.split())
        columns: list[list[int]] = []
        spelt = ""
        for column, token in enumerate(ids[1:-1], start=1):
            if not spelt:
                columns.append([])
            columns[-1].append(column)
            spelt += tokenizer.decode([token]).strip()
            if len(columns) <= len(words) and len(spelt) >= len(words[len(columns) - 1]):
                spelt = ""
        if len(columns) > len(words) or (len(columns) < len(words) and len(ids) < tokenizer.model_max_length):
            raise OptionError(f"The tokens of the caption '{text}' do not spell its words; write it in plain letters.")
        columns += [[]] * (len(words) - len(columns))  # words that the tokenizer cut off
        return cls(words=words, columns=tuple(map(tuple, columns)), ids=tuple(ids))

    def columns_of(self, wanted: Sequence[str], *, required: bool) -> tuple[int, ...]:
        """The columns of words, found with or without the punctuation after them.

        Raises:
            OptionError: A required word is not in the caption.
        """
        found: list[int] = []
        for word in wanted:
            places = [n for n, own in enumerate(self.words) if word.strip() in (own, own.rstrip(".,;:!?"))]
            if required and not places:
                raise OptionError(f"The word '{word.strip()}' is not in the caption '{' '.join(self.words)}'.")
            found += [column for place in places for column in self.columns[place]]
        return tuple(found)

    def differing(self, other: "Words") -> tuple[int, ...]:
        """The columns of the words that the other caption has not, at their places in the longest common order."""
        from difflib import SequenceMatcher

        matcher = SequenceMatcher(None, self.words, other.words, autojunk=False)
        same = {n for block in matcher.get_matching_blocks() for n in range(block.a, block.a + block.size)}
        return tuple(column for n, columns in enumerate(self.columns) if n not in same for column in columns)


def replacement(source: Words, target: Words, n_columns: int) -> Floats:
    """M for captions of as many words: each word takes over the map of the word at its place.

    Words of as many tokens are matched token by token; else every source token goes to every target token in equal
    parts. What follows the last word (end and padding) is matched in order.

    Args:
        source: The source caption.
        target: The target caption.
        n_columns: Of the embedding.

    Raises:
        OptionError: The numbers of words differ.
    """
    if len(source.words) != len(target.words):
        raise OptionError(
            f"Replacing needs captions of as many words; got {len(source.words)} and {len(target.words)}. "
            f"Use edit=refine or edit=auto."
        )
    mapping = np.zeros((n_columns, n_columns))
    mapping[0, 0] = 1
    for theirs, ours in zip(source.columns, target.columns, strict=True):
        if len(theirs) == len(ours):
            mapping[theirs, ours] = 1
        elif ours:
            mapping[np.ix_(theirs, ours)] = 1 / len(ours)
    ends = [1 + max((c for columns in words.columns for c in columns), default=0) for words in (source, target)]
    for column in range(ends[1], n_columns):
        mapping[min(ends[0] + column - ends[1], n_columns - 1), column] = 1
    return mapping


def refinement(source: Sequence[int], target: Sequence[int], n_columns: int) -> tuple[Floats, Floats]:
    """M and α for captions of which one adds words to the other: a global alignment of their tokens.

    A gap costs nothing, a match gains 1, a mismatch loses 1; among equals a token of the target goes without a partner
    first, then one of the source. Tokens of the target without a partner keep their own map (α = 0).

    Args:
        source: Token ids, start and end included.
        target: Token ids, start and end included.
        n_columns: Of the embedding.
    """
    best = np.zeros((len(source) + 1, len(target) + 1), int)
    for i, theirs in enumerate(source, start=1):
        for j, ours in enumerate(target, start=1):
            best[i, j] = max(best[i, j - 1], best[i - 1, j], best[i - 1, j - 1] + (1 if theirs == ours else -1))
    mapping, alpha = np.zeros((n_columns, n_columns)), np.zeros(n_columns)
    i, j = len(source), len(target)
    while i and j:
        if best[i, j] == best[i, j - 1]:
            j -= 1
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            mapping[i, j] = alpha[j] = 1
    for column in range(len(target), n_columns):
        mapping[column, column] = alpha[column] = 1
    return mapping, alpha


def equaliser(target: Words, weights: str, n_columns: int) -> Floats:
    """c, from ``word=weight,…``.

    Raises:
        OptionError: A part is no ``word=weight``, or the word is not in the caption.
    """
    scale = np.ones(n_columns)
    for part in filter(None, weights.split(",")):
        word, _, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            raise OptionError(f"The setting 'weights' must look like red=2,large=0.5; got '{weights}'.") from None
        scale[list(target.columns_of([word], required=True))] = value
    return scale


def blend_mask(maps: "torch.Tensor", columns: tuple[tuple[int, ...], tuple[int, ...]], side: int) -> "torch.Tensor":
    """Where the words of either caption are: ``(1, 1, side, side)`` of 0 and 1.

    Args:
        maps: ``(2, layers · heads, tokens, columns)`` of source and target, summed over the steps so far.
        columns: Of the source's and of the target's words.
        side: Of the latent.
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
