"""SINE (Zhang et al. 2023): a model tuned on the one source image guides the pre-trained one."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.images import to_image
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import GUIDANCE, MEMORY, choice, from_zero, share

if TYPE_CHECKING:
    import torch

    from evalkit.storage.tensors import Tensors
    from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
    from evalkit_adapters.methods.sine.patches import Box

_TUNING = (
    "tuning_steps",
    "rate",
    "gradient_norm",
    "patches",
    "whole_share",
    "clean_weight",
    "interpolation",
    "eight_bit",
)
"""Settings that the tuned weights follow from."""


@dataclass(frozen=True, slots=True)
class TunedModel:
    """What one source image made of the base model, which itself stays as it is."""

    model: "LatentDiffusion"
    """The base model with the tuned UNet and the tuned text encoder in the place of its own."""
    caption: "torch.Tensor"
    """``(1, tokens, width)``: the caption of the tuning, by the tuned text encoder."""
    size: tuple[int, int]
    """Of the source image, in pixels."""


class SINE(LatentDiffusionMethod):
    """Samples under the target caption with two networks."""

    card: ClassVar[MethodCard] = MethodCard(
        name="sine",
        title="SINE",
        summary="Tunes a copy of the model on the source and lets it guide the pre-trained one in the noisy steps.",
        paper="https://arxiv.org/abs/2212.04489",
        licence="Apache-2.0; written from the published description. The authors' code is MIT",
        variant=(
            "The paper's defaults: v = 0.7 of the pre-trained model above K = 400, 800 steps at 1e-6. With patches the "
            "paper takes --set patches=true --set tuning_steps=10000; the authors' released patch configurations add "
            "--set clean_weight=1, their diffusers script --set whole_share=0.1 --set gradient_norm=1, their LDM "
            "example --set pretrained_weight=0.4 --set tuned_above=500 --set guidance=10. Tuned under the source "
            "caption, where the authors write 'photo of a sks dog': --set 'tuning_caption=photo of a sks dog'. "
            "The source is stretched to a square, as theirs, and the result back. One tuned model at a time."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"target_caption"}),
        takes=frozenset({"source_caption"}),
        settings={
            "pretrained_weight": share(
                0.7, "Weight of the pre-trained model beside the tuned one, which gets the rest."
            ),
            "tuned_above": Setting(
                default=400, summary="Timestep above which the tuned model has a say.", lowest=-1, highest=999
            ),
            "guidance": GUIDANCE,
            "steps": Setting(default=100, summary="Steps of sampling.", lowest=1, highest=999),
            "tuning_steps": Setting(default=800, summary="Steps of the tuning.", lowest=1),
            "rate": from_zero(1e-6, "Learning rate of the tuning (AdamW)."),
            "gradient_norm": from_zero(None, "At which gradients are clipped."),
            "tuning_caption": Setting(
                default="{caption}", summary="Text of the tuning; {caption} stands for the source caption."
            ),
            "patches": Setting(default=False, summary="Tunes on crops, which are told their place in the picture."),
            "whole_share": share(0.0, "With patches: share of the steps that see all of it."),
            "clean_weight": from_zero(0.0, "Weight of the error of the predicted clean latent, times (t/1000)²."),
            "interpolation": choice("bilinear", "With patches: of the places.", ("bilinear", "nearest")),
            **MEMORY,
            "result_side": Setting(
                default=None,
                summary="With patches: pixels of the square that is sampled; none: the model's.",
                lowest=64,
            ),
        },
        miniature={
            "pretrained_weight": 0.4,
            "tuned_above": 500,
            "guidance": 4.0,
            "steps": 20,
            "tuning_steps": 100,
            "rate": 3e-4,
            "checkpointing": False,
        },
        conserves=frozenset({"semantic", "structural"}),
        edit_types=frozenset({"recolour", "reshape", "resize", "move_left", "move_right"}),
        cannot="Contradict the source's category in its own pose; nothing protects what is not to be edited.",
    )

    def load(self, run: MethodRun) -> None:
        """The base model.

        Raises:
            OptionError: A setting that has no effect without patches, or a side that the model cannot draw.
        """
        super().load(run)
        side = self.settings["result_side"]
        if not self.settings["patches"] and (side or self.settings["whole_share"]):
            raise OptionError("result_side and whole_share are for a model tuned on crops: set patches=true.")
        if side and side % self._cell:
            raise OptionError(
                f"result_side must be a multiple of {self._cell}, the side of a latent pixel; got {side:g}."
            )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> TunedModel:
        """The tuning, which all edits of the source share.

        Raises:
            OptionError: The tuning wants the source's caption, and it has none.
        """
        from evalkit_adapters.seeding import seeded_generator

        template = self.settings["tuning_caption"]
        if "{caption}" in template and not source_caption:
            raise OptionError(
                "the tuning needs an item with a source caption, or a text of its own: "
                "--set 'tuning_caption=photo of a sks dog'"
            )
        caption = template.replace("{caption}", source_caption or "")
        base = (self.model.unet, self.model.text_encoder)
        # Masters in full precision, whatever the base model computes in: a step of 1e-6 would be lost in half.
        unet, text_encoder = (_cast(deepcopy(part), self.model.autoencoder.dtype) for part in base)
        tuned = replace(self.model, unet=unet, text_encoder=text_encoder)
        made_of = {"method": self.card.name, "source": source_image, "tuning_caption": caption, "seed": seed}
        weights = self.run.kept(
            made_of | {name: self.settings[name] for name in _TUNING},
            lambda: self.tune(tuned, source_image, caption, seeded_generator(seed, "sine tuning")),
        )
        for name, value in _weights(tuned).items():
            value.copy_(weights[name])
        for part, original in zip((unet, text_encoder), base, strict=True):
            _cast(part, original.dtype)
        return TunedModel(tuned, tuned.embed(caption), source_image.size)

    def tune(
        self, tuned: "LatentDiffusion", image: Image.Image, caption: str, generator: "torch.Generator"
    ) -> "Tensors":
        """The whole UNet and the text encoder, on one picture under one caption, in place.

        Each step draws in this order: with patches the box, the posterior's sample, the noise, the timestep.

        Returns:
            Their weights by name.
        """
        import torch

        from evalkit_adapters.diffusion.optimisation import adam, checkpointed, optimise

        settings, parts = self.settings, (tuned.unet.requires_grad_(), tuned.text_encoder.requires_grad_())
        trained = [parameter for part in parts for parameter in part.parameters()]
        optimiser = adam(trained, settings["rate"], decay=1e-2, eight_bit=settings["eight_bit"])
        side = self._cells * self._cell if settings["patches"] else self.model.side
        image, tokens = image.resize((side, side), Image.Resampling.BICUBIC), tuned.tokens([caption])

        def clip(*_: Any) -> None:  # noqa: ANN401 - torch's own hook
            torch.nn.utils.clip_grad_norm_(trained, settings["gradient_norm"])

        def loss(_step: int) -> "torch.Tensor":
            box, view = self._view(image, generator)
            clean = tuned.encode(view, sample=generator)
            noise = torch.randn(clean.shape, generator=generator).to(clean)
            timestep = int(torch.randint(len(tuned.schedule.alphas_cumprod), (1,), generator=generator))
            with self._with_positions(tuned.unet, box, clean.shape[-1]):
                return self.loss(tuned, clean, noise, timestep, tuned.text_encoder(tokens)[0])

        if settings["gradient_norm"]:
            optimiser.register_step_pre_hook(clip)
        with checkpointed(tuned.unet, settings["checkpointing"]):
            optimise(loss, optimiser, settings["tuning_steps"], what="model", progress=self.run.progress)
        for part in parts:
            part.requires_grad_(False)
        return _weights(tuned)

    def loss(
        self,
        tuned: "LatentDiffusion",
        clean: "torch.Tensor",
        noise: "torch.Tensor",
        timestep: int,
        caption: "torch.Tensor",
    ) -> "torch.Tensor":
        """The squared error of the noise predicted under a caption ``(1, tokens, width)``.

        Where it has a weight, the absolute error of the clean latent comes to it.
        """
        from evalkit_adapters.diffusion.schedule import add_noise, remove_noise

        schedule = tuned.schedule
        alpha = schedule.alphas_cumprod[timestep]
        noisy = add_noise(clean, noise, alpha)
        predicted = tuned.noise(noisy, timestep, caption)
        loss = (predicted - noise).square().mean()
        if weight := self.settings["clean_weight"]:
            error = (remove_noise(noisy, predicted, alpha) - clean).abs().mean()
            loss = loss + weight * (timestep / len(schedule.alphas_cumprod)) ** 2 * error
        return loss

    def edit(self, item: EditItem, fitted: TunedModel, *, seed: int) -> EditedPicture:
        """The target caption sampled from the noise of the seed, under both networks."""
        import torch

        model, side = self.model, int(self.settings["result_side"] or self.model.side) // self._cell
        empty, target = model.embed(""), model.embed(item.target_caption or "")
        with torch.no_grad():
            latent = model.schedule.sample(
                model.initial_noise(seed, side),
                self.steps,
                lambda x, t: self.noise(fitted, x, t, empty, target),
            )
        picture = model.decode(latent)
        return picture if fitted.size[0] == fitted.size[1] else to_image(picture, fitted.size)

    def noise(
        self, fitted: TunedModel, latents: "torch.Tensor", timestep: int, empty: "torch.Tensor", target: "torch.Tensor"
    ) -> "torch.Tensor":
        """Model-based guidance: w [v ε(c) + (1 − v) ε̂(ĉ)] + (1 − w) ε(∅) above K, without ε̂ below.

        Empty and target caption, ``(1, tokens, width)``, are embedded by the pre-trained text encoder.
        """
        import torch

        from evalkit_adapters.methods.sine.patches import Box

        share, guidance = self.settings["pretrained_weight"], self.settings["guidance"]
        if timestep <= self.settings["tuned_above"] or share == 1:
            return self.model.guided_noise(latents, timestep, empty, target, guidance)
        both = self.model.noise(torch.cat([latents, latents]), timestep, torch.cat([empty, target]))
        without, with_text = both.chunk(2)
        with self._with_positions(fitted.model.unet, Box.whole(self._cells), latents.shape[-1]):
            by_tuned = fitted.model.noise(latents, timestep, fitted.caption)
        mixed = share * with_text + (1 - share) * by_tuned
        guided: torch.Tensor = guidance * mixed + (1 - guidance) * without
        return guided

    @property
    def _cell(self) -> int:
        """Side of a latent pixel, in pixels."""
        return self.model.side // int(self.model.unet.config.sample_size)

    @property
    def _cells(self) -> int:
        """On a side of the picture that crops are cut from, twice as large as the model's."""
        return 2 * int(self.model.unet.config.sample_size)

    def _view(self, image: Image.Image, generator: "torch.Generator") -> "tuple[Box, Image.Image]":
        """What a step of the tuning sees, and where it lies."""
        import torch

        from evalkit_adapters.methods.sine.patches import Box

        whole, side = Box.whole(self._cells), self.model.side
        if not self.settings["patches"]:
            return whole, image
        share = self.settings["whole_share"]
        is_whole = share and torch.rand((), generator=generator).item() < share
        box = whole if is_whole else Box.draw(self._cells, generator)
        return box, box.cut(image, self._cell, side)

    def _with_positions(self, unet: Any, box: "Box", size: int) -> Any:  # noqa: ANN401 - diffusers ships no types
        """Has the UNet told where its latents lie in the picture, for as long as the context lasts."""
        from contextlib import nullcontext

        from evalkit_adapters.diffusion.attention import output_hook
        from evalkit_adapters.methods.sine.patches import crop_positions, position_grid

        if not self.settings["patches"]:
            return nullcontext()
        grid = position_grid(unet.conv_in.out_channels, self._cells)
        encoding = crop_positions(grid, box, size, self.settings["interpolation"])
        return output_hook(unet.conv_in, lambda output: output + encoding.to(output))


def _weights(model: "LatentDiffusion") -> "Tensors":
    """What the tuning changes, by name."""
    parts = {"unet": model.unet, "text_encoder": model.text_encoder}
    return {f"{name}.{key}": value.detach() for name, part in parts.items() for key, value in part.named_parameters()}


def _cast(part: Any, dtype: "torch.dtype") -> Any:  # noqa: ANN401 - diffusers ships no types
    """A network in another precision; diffusers' own ``to`` would warn of it."""
    import torch

    return torch.nn.Module.to(part, dtype)
