"""HiPer (Han et al. 2023): the end of the caption's embedding, optimised until it says what no caption does.

The last tokens of an embedding are padding. Under the source caption they are optimised to draw the source image; put
behind another caption, they carry the subject's identity along.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.diffusion.tuning_settings import MEMORY

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.diffusion.latent import LatentDiffusion


class HiPer:
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
            "updates": Setting(default=1001, summary="Steps of the optimisation.", lowest=0),
            "rate": Setting(default=5e-3, summary="Their learning rate.", lowest=0),
            "gamma": Setting(default=0.8, summary="Weight of the optimised tokens in an edit.", lowest=0),
            "steps": Setting(default=50, summary="Steps of sampling.", lowest=1, highest=999),
            "guidance": Setting(default=7.5, summary="Classifier-free guidance.", lowest=0),
            "checkpointing": MEMORY["checkpointing"],
        },
        miniature={"updates": 60, "rate": 2e-2, "gamma": 0.3, "steps": 20, "guidance": 4.0, "checkpointing": False},
        edit_types=frozenset(),
        cannot=(
            "Keep the layout or the background: each edit starts from fresh noise. On the shapes it makes the edits, "
            "but on held-out sources it comes no closer to the perfect ones than a fresh sample, so no edit type is "
            "claimed."
        ),
    )
    model: "LatentDiffusion"
    run: MethodRun
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The base model.

        Raises:
            OptionError: There are not so many tokens.
        """
        from evalkit_adapters.diffusion.latent import LatentDiffusion

        self.model, self.run, self.settings = LatentDiffusion.open(run), run, dict(run.settings)
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
        from evalkit_adapters.diffusion.tuning import seeded

        caption, square = self._head_and_tail("source", source_caption or ""), self.model.square(source_image)
        made_of = {
            "method": self.card.name,
            "source": square,
            "source_caption": source_caption,
            "seed": seed,
            **{name: self.settings[name] for name in ("tokens", "updates", "rate")},
        }
        clean = self.model.encode(square, sample=seeded(seed, "source"))
        return self.run.kept(made_of, lambda: {"tail": self.tail(clean, *caption, seed)})["tail"].to(clean)

    def edit(self, item: EditItem, fitted: "torch.Tensor", *, seed: int) -> EditedPicture:
        """A sample for the target caption with γ times the optimised end, by the untouched model."""
        import torch

        model, guidance = self.model, self.settings["guidance"]
        head, _ = self._head_and_tail("target", item.target_caption or "")
        empty, wanted = model.embed(""), torch.cat([head, self.settings["gamma"] * fitted], dim=1)
        with torch.no_grad():
            latent = model.schedule.sample(
                model.start(seed),
                model.schedule.steps(self.settings["steps"]),
                lambda x, t: model.guided(x, t, empty, wanted, guidance),
            )
        return model.decode(latent)

    def tail(self, clean: "torch.Tensor", head: "torch.Tensor", tail: "torch.Tensor", seed: int) -> "torch.Tensor":
        """The optimised end of the source caption's embedding; γ has no part in it, and the model is frozen.

        Args:
            clean: The source's latent.
            head: ``(1, …, width)``: the rest of the embedding.
            tail: ``(1, tokens, width)``: where it starts.
            seed: Of its draws.
        """
        import torch

        from evalkit_adapters.diffusion.tuning import adam, checkpointed, denoising_loss, optimise, seeded

        model, draws = self.model, seeded(seed, "hiper")
        found = tail.clone().requires_grad_()

        def predict(latents: "torch.Tensor", timestep: int) -> "torch.Tensor":
            return model.noise(latents, timestep, torch.cat([head, found], dim=1))

        with checkpointed(model.unet, self.settings["checkpointing"]):
            optimise(
                lambda _: denoising_loss(predict, clean, model.schedule, draws),
                adam([found], self.settings["rate"]),
                self.settings["updates"],
                what="embedding",
                progress=self.run.progress,
                dtype=self.run.dtype,
            )
        return found.detach()

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
