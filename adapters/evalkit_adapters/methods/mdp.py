"""MDP (Wang et al. 2023): mixing the source's diffusion path into the target's, between two steps."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, exp, pi
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import GUIDANCE, NULL_TEXT_ITERATIONS, choice, share

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.null_text import NullText
    from evalkit_adapters.diffusion.schedule import Step


@dataclass(frozen=True, slots=True)
class SourcePath:
    """The source image on its way from noise to picture, which edits are mixed from."""

    inverted: "NullText"
    noises: "tuple[torch.Tensor, ...]"
    """The guided noise predicted at each step."""
    latents: "tuple[torch.Tensor, ...]"
    """The latent after each step."""


class MDP(LatentDiffusionMethod):
    """Samples the target caption with a part of the source's path mixed in."""

    card: ClassVar[MethodCard] = MethodCard(
        name="mdp",
        title="MDP",
        summary="Mixes the source's predicted noise, latents or caption into the target's sampling for some steps.",
        paper="https://arxiv.org/abs/2303.16765",
        licence="Apache-2.0; written from the published description. The authors' code is MIT",
        variant=(
            "manipulation=noise is what the authors released (their MDP-ε_t). latent (MDP-x_t), caption (MDP-c) and "
            "guidance (MDP-β) follow a third-party implementation; the paper's own formula of the last could not be "
            "checked. Real images by null-text inversion under source_caption=empty, as in the authors' notebook, of "
            "whose windows t_max=49, T_M=25 is the default. Their factor on the source's noise is left at its 1."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"target_caption"}),
        takes=frozenset({"source_caption"}),
        settings={
            "manipulation": choice("noise", "What is mixed.", ("noise", "latent", "caption", "guidance")),
            "schedule": choice(
                "constant", "Weight of the source over the window.", ("constant", "linear", "cosine", "exp")
            ),
            "window_start": share(0.02, "Share of the steps before the window."),
            "window_length": share(0.5, "Length as a share of the steps."),
            "weight": share(1.0, "Weight of the source at the window's start."),
            "steps": Setting(default=50, summary="Steps of sampling and of inversion.", lowest=1, highest=999),
            "guidance": GUIDANCE,
            "source_caption": choice("empty", "Under which caption the source is inverted.", ("empty", "item")),
            "null_text_iterations": NULL_TEXT_ITERATIONS,
        },
        miniature={"guidance": 4.0, "steps": 20, "null_text_iterations": 3, "window_length": 0.2},
        conserves=frozenset({"structural"}),
        edit_types=frozenset({"recolour", "reshape", "resize", "move_left", "move_right"}),
        cannot="Nothing protects what is not to be edited; the result depends much on the window.",
    )

    def load(self, run: MethodRun) -> None:
        """The base model.

        Raises:
            OptionError: The window passes the last step.
        """
        super().load(run)
        if self.settings["window_start"] + self.settings["window_length"] > 1:
            raise OptionError("window_start and window_length must not pass the last step: together at most 1.")

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> SourcePath:  # noqa: ARG002
        """Null-text inversion, and the way back, which is the same for every edit.

        Raises:
            OptionError: The source's own caption is wanted, and it has none.
        """
        if self.settings["source_caption"] == "item" and not source_caption:
            raise OptionError("source_caption=item needs an item with a source caption; set source_caption=empty.")
        text = source_caption or "" if self.settings["source_caption"] == "item" else ""
        return self.path(self.null_text_inversion(source_image, text))

    def path(self, source: "NullText") -> SourcePath:
        """The inverted image sampled under its own caption."""
        import torch

        latent, noises, latents = source.start, [], []
        with torch.no_grad():
            for step, empty in zip(self.steps, source.empty, strict=True):
                noises.append(
                    self.model.guided_noise(latent, step.timestep, empty, source.caption, self.settings["guidance"])
                )
                latent = step.denoise(latent, noises[-1])
                latents.append(latent)
        return SourcePath(source, tuple(noises), tuple(latents))

    def edit(self, item: EditItem, fitted: SourcePath, *, seed: int) -> EditedPicture:  # noqa: ARG002 - nothing is random
        """The target caption sampled from the source's noise, with the source's path mixed in."""
        return self.model.decode(self.edited_latent(fitted, self.model.embed(item.target_caption or "")))

    def edited_latent(self, source: SourcePath, caption: "torch.Tensor") -> "torch.Tensor":
        """The clean latent of an edit, for the target caption's embedding."""
        import torch

        steps = self.steps
        latent = source.inverted.start
        with torch.no_grad():
            for step, weight in zip(steps, weights(len(steps), self.settings), strict=True):
                latent = step.denoise(latent, self.noise(latent, step, source, caption, weight))
                if self.settings["manipulation"] == "latent":
                    latent = mix(weight, source.latents[step.index], latent)
        return latent

    def noise(
        self, latent: "torch.Tensor", step: "Step", source: SourcePath, target: "torch.Tensor", weight: float
    ) -> "torch.Tensor":
        """The guided noise of one step, mixed with the source's in the way that was chosen."""
        manipulation, caption = self.settings["manipulation"], source.inverted.caption

        def guided(embeddings: "torch.Tensor") -> "torch.Tensor":
            empty = source.inverted.empty[step.index]
            return self.model.guided_noise(latent, step.timestep, empty, embeddings, self.settings["guidance"])

        if manipulation == "noise" and weight:
            noise = source.noises[step.index]
            return noise if weight == 1 else mix(weight, noise, guided(target))
        if manipulation == "caption":
            return guided(mix(weight, caption, target))
        if manipulation == "guidance" and weight:
            # The two predictions of a pair share the unconditional one, so that mixing them before guidance is this.
            return mix(weight, guided(caption), guided(target))
        return guided(target)


def mix(weight: float, source: "torch.Tensor", edit: "torch.Tensor") -> "torch.Tensor":
    """A weighted mean of the source's and the edit's."""
    return weight * source + (1 - weight) * edit


def weights(n_steps: int, settings: dict[str, Any]) -> list[float]:
    """The source's weight at each step, 0 outside of the window.

    With u from 0 at the window's first step to 1 at its last: 1, 1 − u, cos(uπ/2) or exp(−5u), times ``weight``.
    """
    start = round(settings["window_start"] * n_steps)
    length = round((settings["window_start"] + settings["window_length"]) * n_steps) - start
    shapes: dict[str, Callable[[float], float]] = {
        "constant": lambda _u: 1.0,
        "linear": lambda u: 1 - u,
        "cosine": lambda u: cos(u * pi / 2),
        "exp": lambda u: exp(-5 * u),
    }
    shape = shapes[settings["schedule"]]
    inside = [settings["weight"] * shape(k / max(1, length - 1)) for k in range(length)]
    return [*[0.0] * start, *inside, *[0.0] * (n_steps - start - length)]
