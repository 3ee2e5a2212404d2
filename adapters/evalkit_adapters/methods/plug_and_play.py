"""Plug-and-Play diffusion features (Tumanyan et al. 2023): the source's features and self-attention keep its layout."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import exp
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError, WeightsError
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import GUIDANCE, SAMPLING_STEPS, choice, share

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.attention import AttentionLayer
    from evalkit_adapters.diffusion.schedule import Step


class PlugAndPlay(LatentDiffusionMethod):
    """Samples the target caption while features and self-attention of the inverted source overwrite its own."""

    card: ClassVar[MethodCard] = MethodCard(
        name="plug_and_play",
        title="Plug-and-Play",
        summary="Injects features and self-attention of the inverted source while sampling the target caption.",
        paper="https://arxiv.org/abs/2211.12572",
        licence="Apache-2.0; written from the published description. The authors' pnp-diffusers is MIT",
        variant=(
            "pnp-diffusers: the source branch reads the inverted latents at every step; of other than square pictures "
            "the middle is edited; inversion_caption=item is their option of an inversion prompt. The paper's own "
            "settings: guidance=10 feature_share=0.82 attention_share=0.52 (its thresholds count the step at the end), "
            "empty_share=1 empty_schedule=linear; not carried are its separate reconstruction pass, its inversion that "
            "predicts the noise at the level it comes from, and its start at the inversion's last latent. Pictures are "
            "rounded to 8 bits, where the authors cut off what is behind the point; their weights are loaded in fp16, "
            "and computed with in fp32."
        ),
        base_model="stabilityai/stable-diffusion-2-1-base",
        needs=frozenset({"target_caption"}),
        takes=frozenset({"source_caption"}),
        settings={
            "steps": SAMPLING_STEPS,
            "inversion_steps": Setting(default=999, summary="Steps of inversion.", lowest=1, highest=999),
            "inversion_caption": choice("empty", "Under which caption the source is inverted.", ("empty", "item")),
            "guidance": GUIDANCE,
            "feature_share": share(0.8, "Share of the steps with features."),
            "attention_share": share(0.5, "Share of the steps with self-attention."),
            "negative_caption": Setting(
                default="ugly, blurry, black, low res, unrealistic", summary="What to guide away from."
            ),
            "empty_share": share(
                0.0, "How much of what is guided away from is the empty caption, the rest the negative one."
            ),
            "empty_schedule": choice("constant", "How that share falls over the steps.", ("constant", "linear", "exp")),
            "feature_block": Setting(default="up_blocks.1.resnets.1", summary="Where features are injected."),
            "attention_blocks": Setting(
                default="up_blocks.1.attentions.1,up_blocks.1.attentions.2,up_blocks.2,up_blocks.3",
                summary="Where self-attention is injected: how the layers' paths begin, with commas between.",
            ),
        },
        miniature={
            "steps": 20,
            "inversion_steps": 100,
            "inversion_caption": "item",
            "guidance": 1.5,
            "negative_caption": "",
        },
        conserves=frozenset({"structural"}),
        edit_types=frozenset({"recolour", "reshape", "resize"}),
        cannot="The layout stays the source's: it does not move, add or remove things, nor protect the background.",
    )
    layers: "tuple[AttentionLayer, ...]"
    """Whose queries and keys are injected."""
    convolution: "torch.nn.Module"
    """Whose output is injected: the last of what the features' block adds to its input."""

    def load(self, run: MethodRun) -> None:
        """The base model, and the layers in it that will be hooked.

        Raises:
            OptionError: Inversion passes by steps of sampling.
            WeightsError: The base model cannot be had, or has no such layers.
        """
        from evalkit_adapters.diffusion.attention import attention_layers

        super().load(run)
        sampled, inverted = (self.model.schedule.steps(run.settings[name]) for name in ("steps", "inversion_steps"))
        if not {step.timestep for step in sampled} <= {step.timestep for step in inverted}:
            raise OptionError(
                f"Inversion must pass every step of sampling: with {len(sampled)} steps set inversion_steps to "
                f"{len(sampled)}, a whole multiple of it that divides 1,000, or 999; got {len(inverted)}."
            )
        blocks = [block.strip() for block in run.settings["attention_blocks"].split(",")]
        self.layers = attention_layers(self.model.unet, "self", blocks)
        try:
            self.convolution = self.model.unet.get_submodule(f"{run.settings['feature_block']}.conv2")
        except AttributeError:
            raise WeightsError(
                f"The base model's UNet was expected to have a residual block {run.settings['feature_block']}, as "
                f"Stable Diffusion 1 has, and has none. Set feature_block to one that it has, or choose another model: "
                f"--model HUB_ID_OR_DIRECTORY"
            ) from None

    def fit(
        self,
        source_image: Image.Image,
        source_caption: str | None,
        *,
        seed: int,  # noqa: ARG002 - nothing is random
    ) -> "dict[int, torch.Tensor]":
        """By timestep, the inverted latents at every step of sampling."""
        model = self.model
        caption = model.embed((source_caption or "") if self.settings["inversion_caption"] == "item" else "")
        # The reference resizes with torchvision's own default.
        latent = model.encode(model.square(source_image, Image.Resampling.BILINEAR))
        inverted = model.invert(latent, model.schedule.steps(self.settings["inversion_steps"]), caption)
        return {step.timestep: inverted[step.timestep] for step in self.steps}

    def edit(self, item: EditItem, fitted: "dict[int, torch.Tensor]", *, seed: int) -> EditedPicture:  # noqa: ARG002
        """The target caption, sampled under the source's features."""
        import torch

        steps = self.steps
        captions = self.model.embed("", self.settings["negative_caption"], item.target_caption or "")
        latent = fitted[steps[0].timestep]
        with torch.no_grad():
            for step in steps:
                latent = step.denoise(latent, self.guided_noise(latent, fitted[step.timestep], step, captions))
        return self.model.decode(latent)

    def guided_noise(
        self, latent: "torch.Tensor", source: "torch.Tensor", step: "Step", captions: "torch.Tensor"
    ) -> "torch.Tensor":
        """The noise for one step, ``ε_b + g (ε_target − ε_b)`` with ``ε_b = a ε_empty + (1 − a) ε_negative``.

        Args:
            latent: ``(1, channels, height, width)``, being edited.
            source: The inverted source at the same level.
            step: Of sampling.
            captions: ``(3, tokens, width)``: empty, which is also the source's, negative, and target.
        """
        import torch

        from evalkit_adapters.diffusion.latent_diffusion import classifier_free_guidance

        share = self.empty_share(step.index)
        rows = [0, *([0] if share > 0 else []), *([1] if share < 1 else []), 2]
        features, attention = (
            step.index < int(self.settings[name] * self.settings["steps"])
            for name in ("feature_share", "attention_share")
        )
        with self.injected(features=features, attention=attention):
            batch = torch.cat([source, *[latent] * (len(rows) - 1)])
            noise = self.model.noise(batch, step.timestep, captions[rows])
        away = share * noise[1:2] + (1 - share) * noise[-2:-1]
        return classifier_free_guidance(away, noise[-1:], self.settings["guidance"])

    def empty_share(self, index: int) -> float:
        """The share ``a`` of the empty caption at a step."""
        done = index / max(1, self.settings["steps"] - 1)
        falling = {"constant": 1.0, "linear": 1 - done, "exp": exp(-6 * done)}
        return float(self.settings["empty_share"] * falling[self.settings["empty_schedule"]])

    @contextmanager
    def injected(self, *, features: bool, attention: bool) -> Iterator[None]:
        """Has the source, the first row of a batch, overwrite features and self-attention of all others.

        Features are what the convolutions of the block add to its input; of self-attention the queries and keys.
        """
        from torch.nn.functional import scaled_dot_product_attention

        from evalkit_adapters.diffusion.attention import output_hook, replace_attention

        def from_source(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
            return scaled_dot_product_attention(query[:1].expand_as(query), key[:1].expand_as(key), value)

        with ExitStack() as stack:
            if features:
                stack.enter_context(output_hook(self.convolution, lambda output: output[:1].expand_as(output)))
            if attention:
                stack.enter_context(replace_attention(dict.fromkeys(self.layers, from_source)))
            yield
