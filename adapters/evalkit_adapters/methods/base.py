"""What every method on a latent diffusion model starts from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evalkit.editing.method import EditedPicture, MethodRun

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion


class LatentDiffusionMethod:
    """A method whose base model is of Stable Diffusion's kind; the file of a method imports torch in functions only."""

    model: "LatentDiffusion"
    run: MethodRun
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The base model.

        Raises:
            WeightsError: It cannot be had, or is of another kind.
        """
        from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion

        self.model, self.run, self.settings = LatentDiffusion.open(run), run, dict(run.settings)

    def minimise_denoising_loss(
        self,
        clean: "torch.Tensor",
        caption: Callable[[], "torch.Tensor"],
        optimiser: "torch.optim.Optimizer",
        updates: int,
        *,
        generator: "torch.Generator",
        what: str,
    ) -> None:
        """Updates until the UNet predicts the noise in one picture under a caption.

        Args:
            clean: The picture's latent.
            caption: Gives the embedding as it is now, ``(1, tokens, width)``.
            optimiser: Holds what is optimised.
            updates: How many.
            generator: Of noise and timesteps.
            what: Is optimised, as the progress calls it.
        """
        from evalkit_adapters.diffusion.optimisation import denoising_loss, optimise

        model, run = self.model, self.run

        def loss(_update: int) -> "torch.Tensor":
            return denoising_loss(lambda x, t: model.noise(x, t, caption()), clean, model.schedule, generator)

        optimise(loss, optimiser, updates, what=what, progress=run.progress, dtype=run.dtype)

    def sample(self, caption: "torch.Tensor", seed: int) -> EditedPicture:
        """A picture for a caption's embedding, ``(1, tokens, width)``, from the noise of the seed."""
        model, steps = self.model, self.model.schedule.steps(self.settings["steps"])
        return model.decode(model.sample(model.initial_noise(seed), steps, caption, self.settings["guidance"]))
