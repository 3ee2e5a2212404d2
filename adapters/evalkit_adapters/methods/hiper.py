"""HiPer (Han et al. 2023): the end of the caption's embedding, optimised until it says what no caption does.

The last tokens of an embedding are padding. Under the source caption they are optimised to draw the source image; put
behind another caption, they carry the subject's identity along.
"""

from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.methods.base import LatentDiffusionMethod
from evalkit_adapters.settings import CHECKPOINTING, GUIDANCE, SAMPLING_STEPS, from_zero

if TYPE_CHECKING:
    import torch


class HiPer(LatentDiffusionMethod):
    """One optimisation of a few tokens for each source image; every edit of it is then a sample."""

    card: ClassVar[MethodCard] = MethodCard(
        name="hiper",
        title="HiPer",
        summary="Optimises the padding at the end of the source caption, and puts it behind the target caption.",
        paper="https://arxiv.org/abs/2303.08767",
        licence="Apache-2.0; the authors' code grants no licence, and none of it is here",
        variant=(
            "The settings of the authors' instructions: five tokens, Adam 5e-3, and the embedding that they call step "
            "1000, which has had 1,001 updates; the source is cropped in the middle, where their code crops anywhere. "
            "Their issue 2 reports that the published examples are not reproduced to the pixel."
        ),
        base_model="CompVis/stable-diffusion-v1-4",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "tokens": Setting(default=5, summary="Tokens at the end that are optimised.", lowest=1),
            "updates": from_zero(1001, "Steps of the optimisation."),
            "rate": from_zero(5e-3, "Their learning rate."),
            "gamma": from_zero(0.8, "Weight of the optimised tokens in an edit."),
            "steps": SAMPLING_STEPS,
            "guidance": GUIDANCE,
            "checkpointing": CHECKPOINTING,
        },
        miniature={"updates": 100, "rate": 2e-2, "gamma": 0.6, "steps": 20, "guidance": 4.0, "checkpointing": False},
        conserves=frozenset({"semantic"}),
        edit_types=frozenset({"recolour", "reshape", "resize", "background"}),
        cannot=(
            "Keep the layout or the background: each edit starts from fresh noise. What it carries along is what the "
            "model knows words for: of the shapes the attributes that a caption leaves out, and no stripe or horizon."
        ),
    )

    def load(self, run: MethodRun) -> None:
        """The base model.

        Raises:
            OptionError: There are not so many tokens.
        """
        super().load(run)
        if self.settings["tokens"] > self.model.length - 2:
            raise OptionError(
                f"The setting 'tokens' must leave room for a caption: captions have {self.model.length} tokens, got "
                f"{self.settings['tokens']}. Try --set tokens=5"
            )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "torch.Tensor":
        """The optimisation, which all edits of the source share.

        Returns:
            ``(1, tokens, width)``: the optimised end.

        Raises:
            OptionError: The caption reaches into the end that is optimised.
        """
        from evalkit_adapters.seeding import seeded_generator

        caption = self._head_and_tail("source", source_caption or "")
        # The reference resizes with torchvision's own default.
        square = self.model.square(source_image, Image.Resampling.BILINEAR)
        made_of = {
            "method": self.card.name,
            "source": square,
            "source_caption": source_caption,
            "seed": seed,
            **{name: self.settings[name] for name in ("tokens", "updates", "rate")},
        }
        clean = self.model.encode(square, sample=seeded_generator(seed, "source"))
        return self.run.kept(made_of, lambda: {"tail": self.tail(clean, *caption, seed)})["tail"].to(clean)

    def edit(self, item: EditItem, fitted: "torch.Tensor", *, seed: int) -> EditedPicture:
        """A sample for the target caption with γ times the optimised end, by the untouched model."""
        import torch

        head, _ = self._head_and_tail("target", item.target_caption or "")
        return self.sample(torch.cat([head, self.settings["gamma"] * fitted], dim=1), seed)

    def tail(self, clean: "torch.Tensor", head: "torch.Tensor", tail: "torch.Tensor", seed: int) -> "torch.Tensor":
        """The end of the source caption's embedding optimised for its latent, behind the rest of it, the head.

        γ has no part in it, and the model is frozen.
        """
        import torch

        from evalkit_adapters.diffusion.optimisation import adam, checkpointed
        from evalkit_adapters.seeding import seeded_generator

        optimised = tail.clone().requires_grad_()
        with checkpointed(self.model.unet, self.settings["checkpointing"]):
            self.minimise_denoising_loss(
                clean,
                lambda: torch.cat([head, optimised], dim=1),
                adam([optimised], self.settings["rate"]),
                self.settings["updates"],
                generator=seeded_generator(seed, "hiper"),
                what="embedding",
            )
        return optimised.detach()

    def _head_and_tail(self, name: str, caption: str) -> "tuple[torch.Tensor, torch.Tensor]":
        """A caption's embedding in two parts, ``(1, …, width)`` and ``(1, tokens, width)``."""
        n_head = self.model.length - self.settings["tokens"]
        ids = self.model.tokens([caption])[0]
        end = int((ids == self.model.tokenizer.eos_token_id).nonzero()[0])
        if end >= n_head:
            raise OptionError(
                f"The {name} caption has {end + 1} tokens, the end-of-text token among them, and only the first "
                f"{n_head} of {self.model.length} are its own: the last {self.settings['tokens']} are optimised. "
                f"Shorten the caption, or take fewer: --set tokens=N"
            )
        embedding = self.model.embed(caption)
        return embedding[:, :n_head], embedding[:, n_head:]
