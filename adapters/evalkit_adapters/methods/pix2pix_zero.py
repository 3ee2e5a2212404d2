"""pix2pix-zero (Parmar et al. 2023): a direction between captions, with the source's cross-attention held fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import choice, from_zero

if TYPE_CHECKING:
    import torch

_ROUNDS = 5
"""Of regularisation per step of inversion; in each, the correlations are lowered this often, then the moments once."""
_BATCH = 64
"""Sentences that are embedded at once."""


@dataclass(frozen=True, slots=True)
class InvertedSource:
    """A source image as noise."""

    start: "torch.Tensor"
    caption: "torch.Tensor"
    """``(1, tokens, width)`` of the source caption."""


class Pix2PixZero(LatentDiffusionMethod):
    """Samples again from the inverted source with the caption moved, cross-attention kept by gradient steps."""

    card: ClassVar[MethodCard] = MethodCard(
        name="pix2pix_zero",
        title="pix2pix-zero",
        summary="Moves the caption's embedding from source to target while the source's cross-attention is held.",
        paper="https://arxiv.org/abs/2302.03027",
        licence="Apache-2.0; written from the published description. The authors' code is MIT",
        variant=(
            "The authors' repository, its off-by-one inversion of T−2 steps included (inversion=exact: all steps at "
            "their own levels). The edit direction is the item's target caption minus its source caption, as "
            "benchmarks do, unless files with one sentence per line are given, about 1,000 each in the paper. The "
            "source caption is the item's, where theirs is written by BLIP; rolls and the autoencoder's sample are "
            "seeded, which they are not there; the middle square is edited, where they squeeze the whole picture."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "steps": Setting(default=50, summary="Steps of sampling.", lowest=4, highest=500),
            "guidance": from_zero(5.0, "Classifier-free guidance; no edit at 0."),
            "attention_step": from_zero(0.1, "λ_xa, the size of the gradient step on the latent."),
            "inversion": choice("authors", "Which levels inversion visits.", ("authors", "exact")),
            "correlation_weight": from_zero(20.0, "λ_ac of the noise's regularisation."),
            "moment_weight": from_zero(20.0, "λ_kl of the noise's regularisation."),
            "source_sentences": Setting(default="", summary="File of sentences about the source, one per line."),
            "target_sentences": Setting(default="", summary="File of sentences about the target, one per line."),
        },
        miniature={"steps": 20, "guidance": 1.5},
        conserves=frozenset({"structural"}),
        edit_types=frozenset({"recolour", "reshape", "resize", "move_left", "move_right"}),
        cannot="Large changes of shape or place: the cross-attention maps of the source are what it preserves.",
    )
    global_direction: "torch.Tensor | None"
    """The direction between the files of sentences, the same for all items."""

    def load(self, run: MethodRun) -> None:
        """The base model, and the direction where there are files of sentences.

        Raises:
            OptionError: One of the files is missing or empty.
            WeightsError: The base model cannot be had.
        """
        from evalkit_adapters.diffusion.attention import attention_layers

        files = [run.settings["source_sentences"], run.settings["target_sentences"]]
        if any(files) and not all(files):
            raise OptionError("source_sentences and target_sentences go together: a direction has two ends.")
        banks = [sentences(file) for file in files if file]
        super().load(run)
        self.layers = attention_layers(self.model.unet, "cross")
        self.global_direction = self.mean_embedding(banks[1]) - self.mean_embedding(banks[0]) if banks else None

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> InvertedSource:
        """The source image inverted under its caption, every predicted noise made more like noise."""
        import torch

        model, rng = self.model, np.random.default_rng(seed)
        caption = model.embed(source_caption or "")
        square = model.square(source_image)
        latent = model.encode(square, sample=torch.Generator().manual_seed(seed))  # the same on every device

        def noise(latents: "torch.Tensor", timestep: int) -> "torch.Tensor":
            with torch.no_grad():
                predicted = model.noise(latents, timestep, caption)
            return self.regularised_noise(predicted, rng)

        return InvertedSource(self.inverted(latent, noise), caption)

    def inverted(self, latent: "torch.Tensor", noise: Any) -> "torch.Tensor":  # noqa: ANN401 - schedule.Noise
        """The latent at the noisiest level.

        The authors' inversion leaves out the first and the last step, evaluates the noise at each step's timestep t,
        and moves from ᾱ at t − 1 to ᾱ at t + D − 1, D being the stride: 21, 41, …, 961 of 50 steps.
        """
        from evalkit_adapters.diffusion.schedule import ddim_step

        schedule = self.model.schedule
        steps = schedule.steps(self.settings["steps"])
        if self.settings["inversion"] == "exact":
            return schedule.invert(latent, steps, noise)[steps[0].timestep]
        stride = steps[0].timestep - steps[1].timestep
        for step in steps[-2:0:-1]:
            origin, goal = (
                schedule.alphas_cumprod[step.timestep - 1],
                schedule.alphas_cumprod[step.timestep + stride - 1],
            )
            latent = ddim_step(latent, noise(latent, step.timestep), origin, goal)
        return latent

    def regularised_noise(self, noise: "torch.Tensor", rng: np.random.Generator) -> "torch.Tensor":
        """Predicted noise after gradient steps that lower its correlations and bring its moments to 0 and 1."""
        import torch

        with torch.enable_grad():
            for _ in range(_ROUNDS):
                for _ in range(_ROUNDS if self.settings["correlation_weight"] else 0):
                    leaf = noise.detach().requires_grad_()
                    (slope,) = torch.autograd.grad(autocorrelation(leaf, rng), leaf)
                    noise = leaf.detach() - self.settings["correlation_weight"] / _ROUNDS * slope
                if self.settings["moment_weight"]:
                    leaf = noise.detach().requires_grad_()
                    (slope,) = torch.autograd.grad(moment_divergence(leaf), leaf)
                    noise = leaf.detach() - self.settings["moment_weight"] * slope
        return noise

    def edit(self, item: EditItem, fitted: InvertedSource, *, seed: int) -> EditedPicture:  # noqa: ARG002 - nothing is random
        """The source's noise, sampled under the moved caption."""
        return self.model.decode(self.edited_latent(fitted, self.direction(item, fitted.caption)))

    def edited_latent(self, source: InvertedSource, direction: "torch.Tensor") -> "torch.Tensor":
        """The clean latent of an edit, under the source caption's embedding plus the direction.

        The reference pass runs in lock-step with it, so that one step's maps are all that is kept.
        """
        import torch

        from evalkit_adapters.diffusion.latent_diffusion import classifier_free_guidance

        model = self.model
        captions = torch.cat([source.caption, source.caption + direction])
        reference = latent = source.start
        for step in self.steps:
            with torch.no_grad():
                predicted, reference_attention = self.noise_and_attention(reference, step.timestep, source.caption)
                reference = step.denoise(reference, predicted)
            pair = self.attention_guided(latent, step.timestep, captions, reference_attention)
            with torch.no_grad():
                unconditional, conditional = model.noise(pair, step.timestep, captions).chunk(2)
                noise = classifier_free_guidance(unconditional, conditional, self.settings["guidance"])
                latent = step.denoise(pair[:1], noise)
        return latent

    def direction(self, item: EditItem, caption: "torch.Tensor") -> "torch.Tensor":
        """What is added to the caption's embedding: mean target minus mean source, position by position."""
        if self.global_direction is not None:
            return self.global_direction
        return self.model.embed(item.target_caption or "") - caption

    def mean_embedding(self, bank: list[str]) -> "torch.Tensor":
        """The mean embedding of sentences, ``(1, tokens, width)``."""
        import torch

        parts = [self.model.embed(*bank[i : i + _BATCH]).sum(dim=0, keepdim=True) for i in range(0, len(bank), _BATCH)]
        return torch.stack(parts).sum(dim=0) / len(bank)

    def noise_and_attention(
        self, latents: "torch.Tensor", timestep: int, captions: "torch.Tensor"
    ) -> "tuple[torch.Tensor, list[torch.Tensor]]":
        """The predicted noise, and the probabilities of every cross-attention layer in the order of their running."""
        from evalkit_adapters.diffusion.attention import attention_probabilities, replace_attention

        recorded: list[torch.Tensor] = []

        def record(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
            recorded.append(attention_probabilities(query, key))
            return recorded[-1] @ value

        with replace_attention(dict.fromkeys(self.layers, record)):
            return self.model.noise(latents, timestep, captions), recorded

    def attention_guided(
        self, latent: "torch.Tensor", timestep: int, captions: "torch.Tensor", reference: "list[torch.Tensor]"
    ) -> "torch.Tensor":
        """Two copies of the latent after one gradient step towards the reference's cross-attention.

        ``L = Σ_layers mean over rows and heads of Σ (A − A_ref)²``. The first row goes with the source caption: its
        gradient is 0 as long as it has not left the reference.
        """
        import torch

        pair = torch.cat([latent, latent]).detach().requires_grad_()
        with torch.enable_grad():
            _, attention = self.noise_and_attention(pair, timestep, captions)
            loss = sum(
                (
                    (now.to(pair.dtype) - then.to(pair.dtype)).square().sum(dim=(2, 3)).mean()
                    for now, then in zip(attention, reference, strict=True)
                ),
                torch.zeros((), dtype=pair.dtype, device=pair.device),
            )
            (slope,) = torch.autograd.grad(loss, pair)
        attracted: torch.Tensor = pair.detach() - self.settings["attention_step"] * slope
        return attracted


def autocorrelation(noise: "torch.Tensor", rng: np.random.Generator) -> "torch.Tensor":
    """How much noise resembles itself shifted: Σ mean(n · roll(n))² over channels, levels and both directions.

    Levels are the noise and its averages over 2 × 2, down to a side of 8; the shift of each channel and level is drawn
    from 1 to half the side, exclusively.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    total = torch.zeros((), dtype=noise.dtype, device=noise.device)
    for channel in noise.unbind(dim=1):
        level = channel[:, None]
        while True:
            side = level.shape[-1]
            shift = int(rng.integers(1, side // 2))
            for axis in (2, 3):
                total = total + (level * level.roll(shift, dims=axis)).mean().square()
            if side <= 8:
                break
            level = avg_pool2d(level, 2)
    return total


def moment_divergence(noise: "torch.Tensor") -> "torch.Tensor":
    """Distance of the moments from a standard normal's: σ² + μ² − 1 − ln(σ² + 1e−7)."""
    variance, mean = noise.var(), noise.mean()
    return variance + mean.square() - 1 - (variance + 1e-7).log()


def sentences(file: str) -> list[str]:
    """The lines of a bank of sentences."""
    path = Path(file)
    if not path.is_file():
        raise OptionError(f"{path} must be a file with one sentence per line, and is none.")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise OptionError(f"{path} has no sentences.")
    return lines
