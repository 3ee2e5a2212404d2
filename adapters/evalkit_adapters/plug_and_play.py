"""Plug-and-Play diffusion features (Tumanyan et al. 2023): the source's features and self-attention keep its layout."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import exp
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.data.item import EditItem
from evalkit.errors import OptionError
from evalkit.method import MethodCard, Picture, Run, Setting

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.latent import LatentDiffusion


class PlugAndPlay:
    """Samples the target caption while features and self-attention of the inverted source overwrite its own."""

    card: ClassVar[MethodCard] = MethodCard(
        name="plug_and_play",
        title="Plug-and-Play",
        summary="Injects features and self-attention of the inverted source while sampling the target caption.",
        paper="https://arxiv.org/abs/2211.12572",
        licence="Apache-2.0; written from the published description. The authors' pnp-diffusers is MIT",
        variant=(
            "pnp-diffusers: the source branch reads the inverted latents at every step. The paper's own settings: "
            "guidance=10 feature_share=0.82 attention_share=0.52 (its thresholds count the step at the end), "
            "empty_share=1 empty_schedule=linear; its separate reconstruction pass is not carried."
        ),
        base_model="stabilityai/stable-diffusion-2-1-base",
        needs=frozenset({"target_caption"}),
        settings={
            "steps": Setting(default=50, summary="Steps of sampling.", lowest=1, highest=999),
            "inversion_steps": Setting(default=999, summary="Steps of inversion.", lowest=1, highest=999),
            "guidance": Setting(default=7.5, summary="Classifier-free guidance.", lowest=0),
            "feature_share": Setting(default=0.8, summary="Share of the steps with features.", lowest=0, highest=1),
            "attention_share": Setting(
                default=0.5, summary="Share of the steps with self-attention.", lowest=0, highest=1
            ),
            "negative_caption": Setting(
                default="ugly, blurry, black, low res, unrealistic", summary="What to guide away from."
            ),
            "empty_share": Setting(
                default=0.0,
                summary="How much of what is guided away from is the empty caption, the rest the negative one.",
                lowest=0,
                highest=1,
            ),
            "empty_schedule": Setting(
                default="constant",
                summary="How that share falls over the steps.",
                choices=("constant", "linear", "exp"),
            ),
            "feature_block": Setting(default="up_blocks.1.resnets.1", summary="Where features are injected."),
            "attention_blocks": Setting(
                default="up_blocks.1.attentions.1,up_blocks.1.attentions.2,up_blocks.2,up_blocks.3",
                summary="Where self-attention is injected.",
            ),
        },
        miniature={"inversion_steps": 50, "guidance": 4.0, "negative_caption": ""},
        cannot="The layout stays the source's: it does not move, add or remove things, nor protect the background.",
    )
    model: "LatentDiffusion"
    settings: dict[str, Any]

    def load(self, run: Run) -> None:
        """The base model, with every layer that will be hooked looked up once."""
        from evalkit_adapters.latent import LatentDiffusion

        self.model, self.settings = LatentDiffusion.open(run), dict(run.settings)
        with self.injected(features=True, attention=True):
            pass

    def fit(
        self,
        source_image: Image.Image,
        source_caption: str | None,  # noqa: ARG002 - inverted under the empty caption
        *,
        seed: int,  # noqa: ARG002 - nothing is random
    ) -> "dict[int, torch.Tensor]":
        """By timestep, the inverted latents at every step of sampling."""
        import torch

        model = self.model
        steps = model.schedule.steps(self.settings["steps"])
        inversion = model.schedule.steps(self.settings["inversion_steps"])
        if not {step.timestep for step in steps} <= {step.timestep for step in inversion}:
            raise OptionError(
                f"Inversion must pass every step of sampling: with {len(steps)} steps set inversion_steps to "
                f"{len(steps)}, a whole multiple of it that divides 1,000, or 999; got {len(inversion)}."
            )
        empty = model.embed("")
        with torch.no_grad():
            latent = model.encode(model.square(source_image))
            reached = model.schedule.invert(latent, inversion, lambda x, t: model.noise(x, t, empty))
        return {step.timestep: reached[step.timestep] for step in steps}

    def edit(self, item: EditItem, fitted: "dict[int, torch.Tensor]", *, seed: int) -> Picture:  # noqa: ARG002
        """The target caption, sampled under the source's features."""
        import torch

        from evalkit_adapters.schedule import move

        steps = self.model.schedule.steps(self.settings["steps"])
        captions = self.model.embed("", "", self.settings["negative_caption"], item.target_caption or "")
        latent = fitted[steps[0].timestep]
        with torch.no_grad():
            for step in steps:
                noise = self.guided(latent, fitted[step.timestep], step.timestep, step.index / len(steps), captions)
                latent = move(latent, noise, step.noisy, step.clean)
        return self.model.decode(latent)

    def guided(
        self,
        latent: "torch.Tensor",
        source: "torch.Tensor",
        timestep: int,
        elapsed: float,
        captions: "torch.Tensor",
    ) -> "torch.Tensor":
        """The noise for one step, ``ε_b + g (ε_target − ε_b)`` with ``ε_b = a ε_empty + (1 − a) ε_negative``.

        Args:
            latent: ``(1, channels, height, width)``, being edited.
            source: The inverted source at the same level.
            timestep: Of both.
            elapsed: Share of the steps that are done.
            captions: ``(4, tokens, width)``: empty for the source, empty, negative, target.
        """
        import torch

        share = self.empty_share(elapsed)
        rows = [0, 1, 2, 3] if share else [0, 2, 3]
        batch = torch.cat([source, *[latent] * (len(rows) - 1)])
        with self.injected(
            features=elapsed < self.settings["feature_share"], attention=elapsed < self.settings["attention_share"]
        ):
            noise = self.model.noise(batch, timestep, captions[rows])
        away, wanted = noise[-2:-1], noise[-1:]
        if share:
            away = share * noise[1:2] + (1 - share) * away
        guided: torch.Tensor = away + self.settings["guidance"] * (wanted - away)
        return guided

    def empty_share(self, elapsed: float) -> float:
        """The share ``a`` of the empty caption, when ``elapsed`` of the steps is done."""
        steps: int = self.settings["steps"]
        done = elapsed * steps / max(1, steps - 1)
        falling = {"constant": 1.0, "linear": 1 - done, "exp": exp(-6 * done)}
        return float(self.settings["empty_share"] * falling[self.settings["empty_schedule"]])

    @contextmanager
    def injected(self, *, features: bool, attention: bool) -> Iterator[None]:
        """Has the source, the first row of a batch, overwrite features and self-attention of all others.

        Features are what the convolutions of the block add to its input; of self-attention the queries and keys.
        """
        from evalkit_adapters.attention import attention_layers, hooked, plain, ruled

        unet = self.model.unet

        def from_source(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor") -> "torch.Tensor":
            return plain(query[:1].expand_as(query), key[:1].expand_as(key), value)

        with ExitStack() as stack:
            if features:
                block = unet.get_submodule(self.settings["feature_block"])
                stack.enter_context(hooked(block.conv2, lambda output: output[:1].expand_as(output)))
            if attention:
                layers = attention_layers(unet, "self", self.settings["attention_blocks"].split(","))
                stack.enter_context(ruled(dict.fromkeys(layers, from_source)))
            yield
