"""MDP (Wang et al. 2023): mixing the source's diffusion path into the target's, between two steps."""

from collections.abc import Callable
from math import cos, exp, pi
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.data.item import EditItem
from evalkit.errors import OptionError
from evalkit.method import MethodCard, Picture, Run, Setting

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.latent import LatentDiffusion
    from evalkit_adapters.null_text import NullText
    from evalkit_adapters.schedule import Step


class MDP:
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
            "checked. Real images by null-text inversion under source_caption=empty, as in the authors' notebook."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "manipulation": Setting(
                default="noise", summary="What is mixed.", choices=("noise", "latent", "caption", "guidance")
            ),
            "schedule": Setting(
                default="constant",
                summary="Weight of the source over the window.",
                choices=("constant", "linear", "cosine", "exp"),
            ),
            "window_start": Setting(default=0.02, summary="Share of the steps before the window.", lowest=0, highest=1),
            "window_length": Setting(default=0.5, summary="Length as a share of the steps.", lowest=0, highest=1),
            "weight": Setting(default=1.0, summary="Weight of the source at the window's start.", lowest=0, highest=1),
            "steps": Setting(default=50, summary="Steps of sampling and of inversion.", lowest=1, highest=999),
            "guidance": Setting(default=7.5, summary="Classifier-free guidance.", lowest=0),
            "source_caption": Setting(
                default="empty", summary="Under which caption the source is inverted.", choices=("empty", "item")
            ),
            "null_text_iterations": Setting(default=10, summary="At most, for each step of inversion.", lowest=0),
        },
        miniature={"guidance": 4.0},
        cannot="Nothing protects what is not to be edited; the result depends much on the window.",
    )
    model: "LatentDiffusion"
    settings: dict[str, Any]

    def load(self, run: Run) -> None:
        """The base model."""
        from evalkit_adapters.latent import LatentDiffusion

        self.model, self.settings = LatentDiffusion.open(run), dict(run.settings)
        if self.settings["window_start"] + self.settings["window_length"] > 1:
            raise OptionError("window_start and window_length must not pass the last step: together at most 1.")

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "NullText":  # noqa: ARG002
        """Null-text inversion."""
        from evalkit_adapters.null_text import invert

        text = source_caption or "" if self.settings["source_caption"] == "item" else ""
        return invert(
            self.model,
            self.model.encode(self.model.square(source_image)),
            self.model.embed(text),
            self.model.schedule.steps(self.settings["steps"]),
            guidance=self.settings["guidance"],
            iterations=self.settings["null_text_iterations"],
        )

    def edit(self, item: EditItem, fitted: "NullText", *, seed: int) -> Picture:  # noqa: ARG002 - nothing is random
        """Both paths in lock-step from the same noise."""
        import torch

        steps = self.model.schedule.steps(self.settings["steps"])
        wanted = self.model.embed(item.target_caption or "")
        with torch.no_grad():
            _, latent = self.paths(fitted, wanted, steps)
        return self.model.decode(latent)

    def paths(
        self, source: "NullText", wanted: "torch.Tensor", steps: "tuple[Step, ...]"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """The clean latents of the source's path and of the edit's.

        Args:
            source: The inverted image.
            wanted: ``(1, tokens, width)`` of the target caption.
            steps: Of sampling.
        """
        from evalkit_adapters.schedule import move

        model, guidance, kind = self.model, self.settings["guidance"], self.settings["manipulation"]
        there = here = source.start
        for step, empty, weight in zip(steps, source.empty, weights(len(steps), self.settings), strict=True):
            theirs = model.guided(there, step.timestep, empty, source.caption, guidance)
            there = move(there, theirs, step.noisy, step.clean)
            caption = weight * source.caption + (1 - weight) * wanted if kind == "caption" else wanted
            noise = model.guided(here, step.timestep, empty, caption, guidance)
            if kind == "guidance" and weight:
                # Both predictions of the pair are mixed; they differ in the conditional one alone.
                other = model.guided(here, step.timestep, empty, source.caption, guidance)
                noise = weight * other + (1 - weight) * noise
            if kind == "noise":
                noise = weight * theirs + (1 - weight) * noise
            here = move(here, noise, step.noisy, step.clean)
            if kind == "latent":
                here = weight * there + (1 - weight) * here
        return there, here


def weights(n_steps: int, settings: dict[str, Any]) -> list[float]:
    """The source's weight at each step, 0 outside of the window.

    With u from 0 at the window's first step to 1 at its last: 1, 1 − u, cos(uπ/2) or exp(−5u), times ``weight``.
    """
    start, length = (round(settings[name] * n_steps) for name in ("window_start", "window_length"))
    shapes: dict[str, Callable[[float], float]] = {
        "constant": lambda _u: 1.0,
        "linear": lambda u: 1 - u,
        "cosine": lambda u: cos(u * pi / 2),
        "exp": lambda u: exp(-5 * u),
    }
    shape = shapes[settings["schedule"]]
    inside = [settings["weight"] * shape(k / max(1, length - 1)) for k in range(length)]
    return [*[0.0] * start, *inside, *[0.0] * (n_steps - start - length)][:n_steps]
