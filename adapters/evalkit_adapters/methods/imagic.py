"""Imagic (Kawar et al. 2023): an embedding that is the source image, a model tuned to it, and the way to the caption.

First the target caption's embedding is optimised until it describes the source image, e_opt; then the whole model,
until it draws the image from e_opt. The edit is drawn by the tuned model from η e_target + (1 − η) e_opt.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard
from evalkit.edits.item import EditItem
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import GUIDANCE, MEMORY, SAMPLING_STEPS, from_zero

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.optimisation import TrainableWeights

    Source = tuple[Image.Image, torch.Tensor]
    """The square picture, and its latent."""

_EMBEDDING = ("embedding_steps", "embedding_rate")
_WEIGHTS = (*_EMBEDDING, "model_steps", "model_rate", "eight_bit")
"""The settings that each artefact follows from; η is none of them."""


class Imagic(LatentDiffusionMethod):
    """Describes the source in the target caption's own neighbourhood, and walks from there to the caption."""

    card: ClassVar[MethodCard] = MethodCard(
        name="imagic",
        title="Imagic",
        summary="Optimises the target caption's embedding and then the model on the source image, and interpolates.",
        paper="https://arxiv.org/abs/2210.09276",
        licence="Apache-2.0; the authors published no code",
        variant=(
            "The paper's settings for Stable Diffusion: Adam 2e-3 for 1000 steps on the embedding, padding included, "
            "Adam 5e-7 for 1500 on the UNet. The paper chooses eta by eye, typically 0.6 to 0.8; here it is 0.7 for "
            "every item, and a sweep is a run for each eta, which --keep-artefacts DIR makes one optimisation. Beyond "
            "1 it leads past the target caption: diffusers' community pipeline, which optimises the embedding for half "
            "as long, samples at 1.2. Base model, guidance and sampling steps are not in the paper."
        ),
        base_model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        needs=frozenset({"target_caption"}),
        settings={
            "eta": from_zero(0.7, "0: the source, 1: the target caption, more: beyond it."),
            "embedding_steps": from_zero(1000, "Steps on the embedding."),
            "embedding_rate": from_zero(2e-3, "Their learning rate."),
            "model_steps": from_zero(1500, "Steps on the model."),
            "model_rate": from_zero(5e-7, "Their learning rate."),
            "steps": SAMPLING_STEPS,
            "guidance": GUIDANCE,
            **MEMORY,
        },
        miniature={
            "eta": 0.8,
            "embedding_steps": 60,
            "embedding_rate": 2e-2,
            "model_steps": 60,
            "model_rate": 3e-4,
            "steps": 20,
            "guidance": 4.0,
            "checkpointing": False,
        },
        conserves=frozenset({"semantic"}),
        edit_types=frozenset({"recolour", "reshape", "resize", "background", "move_left", "move_right"}),
        cannot=(
            "Share its work: each target caption has its own optimisation, so edits of one source have only the "
            "source's encoding in common. Nothing keeps the background but the tuning."
        ),
    )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "Source":  # noqa: ARG002
        """The source's latent, one draw from its posterior; all else depends on the target caption."""
        from evalkit_adapters.seeding import seeded_generator

        square = self.model.square(source_image)
        return square, self.model.encode(square, sample=seeded_generator(seed, "source"))

    def edit(self, item: EditItem, fitted: "Source", *, seed: int) -> EditedPicture:
        """Both optimisations, or what is kept of them, and a sample; the model's own weights are put back."""
        from evalkit_adapters.diffusion.optimisation import trainable

        model, settings, (_, clean) = self.model, self.settings, fitted
        target = model.embed(item.target_caption or "")
        source = self.run.kept(
            self._made_of("embedding", _EMBEDDING, item, fitted, seed),
            lambda: {"embedding": self.embedding(clean, target, seed)},
        )["embedding"].to(target)
        caption = settings["eta"] * target + (1 - settings["eta"]) * source
        with trainable(model.unet, dtype=self.run.dtype, checkpointing=settings["checkpointing"]) as weights:
            made_of = self._made_of("weights", _WEIGHTS, item, fitted, seed)
            weights.load(self.run.kept(made_of, lambda: self.weights(weights, clean, source, seed)))
            return self.sample(caption, seed)

    def embedding(self, clean: "torch.Tensor", target: "torch.Tensor", seed: int) -> "torch.Tensor":
        """The first optimisation: the source's description, from the target's; the model is frozen."""
        from evalkit_adapters.diffusion.optimisation import adam, checkpointed
        from evalkit_adapters.seeding import seeded_generator

        embedding = target.clone().requires_grad_()
        with checkpointed(self.model.unet, self.settings["checkpointing"]):
            self.minimise_denoising_loss(
                clean,
                lambda: embedding,
                adam([embedding], self.settings["embedding_rate"]),
                self.settings["embedding_steps"],
                generator=seeded_generator(seed, "imagic embedding"),
                what="embedding",
            )
        return embedding.detach()

    def weights(
        self, weights: "TrainableWeights", clean: "torch.Tensor", source: "torch.Tensor", seed: int
    ) -> "dict[str, torch.Tensor]":
        """The second optimisation: the UNet, at the description found; an optimiser of its own, and the same loss."""
        from evalkit_adapters.diffusion.optimisation import adam
        from evalkit_adapters.seeding import seeded_generator

        self.minimise_denoising_loss(
            clean,
            lambda: source,
            adam(weights.parameters, self.settings["model_rate"], eight_bit=self.settings["eight_bit"]),
            self.settings["model_steps"],
            generator=seeded_generator(seed, "imagic weights"),
            what="model",
        )
        return weights.changed()

    def _made_of(
        self, what: str, names: tuple[str, ...], item: EditItem, fitted: "Source", seed: int
    ) -> dict[str, Any]:
        """All that an artefact follows from."""
        return {
            "method": self.card.name,
            "artefact": what,
            "source": fitted[0],
            "target_caption": item.target_caption,
            "seed": seed,
            **{name: self.settings[name] for name in names},
        }
