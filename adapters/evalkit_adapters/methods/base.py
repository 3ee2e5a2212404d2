"""What every method on a latent diffusion model starts from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodRun

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
    from evalkit_adapters.diffusion.null_text import NullText
    from evalkit_adapters.diffusion.schedule import Step


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

        The picture is given by its clean latent, the caption by what gives its embedding, ``(1, tokens, width)``, as it
        is now; ``what`` is optimised, as the progress calls it, by an optimiser that holds it.
        """
        from evalkit_adapters.diffusion.optimisation import denoising_loss, optimise

        model, run = self.model, self.run

        def loss(_update: int) -> "torch.Tensor":
            return denoising_loss(lambda x, t: model.noise(x, t, caption()), clean, model.schedule, generator)

        optimise(loss, optimiser, updates, what=what, progress=run.progress, dtype=run.dtype)

    @property
    def steps(self) -> "tuple[Step, ...]":
        """Of sampling, the noisiest first."""
        return self.model.schedule.steps(self.settings["steps"])

    def null_text_inversion(self, image: Image.Image, caption: str) -> "NullText":
        """Null-text inversion of the middle square of a picture, for the steps and the guidance of sampling."""
        from evalkit_adapters.diffusion.null_text import invert

        # The references resize with PIL's own default.
        clean = self.model.encode(self.model.square(image, Image.Resampling.BICUBIC))
        guidance, iterations = self.settings["guidance"], self.settings["null_text_iterations"]
        embedding = self.model.embed(caption)
        return invert(self.model, clean, embedding, self.steps, guidance=guidance, iterations=iterations)

    def sample(self, caption: "torch.Tensor", seed: int) -> EditedPicture:
        """A picture for a caption's embedding, ``(1, tokens, width)``, from the noise of the seed."""
        noise, guidance = self.model.initial_noise(seed), self.settings["guidance"]
        return self.model.decode(self.model.sample(noise, self.steps, caption, guidance))
