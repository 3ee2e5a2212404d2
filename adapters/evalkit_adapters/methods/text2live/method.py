"""Text2LIVE (Bar-Tal et al. 2022): a network trained for one edit paints colour and opacity over the source."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError, import_extra
from evalkit_adapters.images import to_tensor
from evalkit_adapters.settings import choice, from_zero, share

if TYPE_CHECKING:
    import torch

    from evalkit_adapters.guidance.clip import GuidingClip
    from evalkit_adapters.methods.text2live.edit_layer import EditLayer
    from evalkit_adapters.methods.text2live.losses import Text2LiveObjective


class Text2LIVE:
    """Trains an edit layer for every edit, by CLIP alone."""

    card: ClassVar[MethodCard] = MethodCard(
        name="text2live",
        title="Text2LIVE",
        summary="Trains a network that paints an edit layer over the source, guided by CLIP; no diffusion model.",
        paper="https://arxiv.org/abs/2204.02491",
        licence="Apache-2.0; written from the published description. The authors' code is MIT, MADGRAD is MIT",
        variant=(
            "The authors' image mode and its settings, which differ from the paper's in the weights of sparsity. The "
            "base model is the guiding CLIP. Text of the composite: the target caption; of the source: the source "
            "caption; of the layer on its green screen: screen_text, or the target caption; of the region: "
            "bootstrap_text, or the source caption. Bootstrapping is off, as in the authors' defaults: switch it on "
            "with bootstrap_steps=1000. Trained at a short side of `size` and given back at the source's size. "
            "Repaired: the seed is followed, the bootstrapping of several pictures is averaged, and CLIP's positions "
            "are stretched along the right sides of other than square pictures. Rendered with the batch's own "
            "statistics, as the authors do. Ours: tries, as from one beginning the colour often stays in the nearest "
            "minimum of CLIP's; 1 is the published way. Of several, each begins with another colour and is trained "
            "without sparsity for try_steps, and the one whose composite has the lowest losses of CLIP goes on: a best "
            "of n by CLIP, to be declared as such."
        ),
        base_model="open_clip:ViT-B-32-quickgelu/openai",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "steps": Setting(default=1000, summary="Steps of training.", lowest=1),
            "size": Setting(default=512, summary="Short side that is trained on, in pixels.", lowest=8),
            "scales": Setting(default=7, summary="Scales of the network.", lowest=1, highest=10),
            "width": Setting(default=128, summary="Channels of each scale.", lowest=1),
            "rate": Setting(default=2.5e-3, summary="Learning rate of MADGRAD at first.", lowest=1e-9),
            "rate_factor": share(0.99, "Of the rate from step to step."),
            "rate_floor": from_zero(1e-5, "The lowest rate."),
            "views": Setting(default=16, summary="Views of a picture that CLIP is shown.", lowest=1),
            "tries": Setting(
                default=1, summary="Networks begun; of several, the one that CLIP likes best is trained on.", lowest=1
            ),
            "try_steps": Setting(default=30, summary="Of several tries: steps of each.", lowest=1),
            "spread": from_zero(1.0, "Of several tries: spread of the colours they begin with, in logits."),
            "whole_every": Setting(default=75, summary="Steps between those with the untouched source.", lowest=1),
            "augmentation": share(1.0, "Strength of all augmentations; 1 also mirrors."),
            "criterion": choice("spherical", "Between views and texts.", ("spherical", "cosine")),
            "templates": choice("published", "The 14 sentences for captions, or none.", ("published", "plain")),
            "composition": from_zero(1.0, "Weight of the composite's text and direction."),
            "screen": from_zero(1.0, "Weight of the layer's own text."),
            "structure": from_zero(2.0, "Weight of the structure."),
            "sparsity": from_zero(6.0, "Weight of the sparsity."),
            "opacity_mean": from_zero(0.01, "In the sparsity: the mean opacity."),
            "opacity_count": from_zero(0.01, "In the sparsity: the share that is not clear."),
            "bootstrap": from_zero(10.0, "Weight of the bootstrapping at first."),
            "bootstrap_steps": from_zero(0, "Steps of bootstrapping by CLIP's relevancy."),
            "bootstrap_schedule": choice("linear", "How its weight falls.", ("linear", "exponential", "constant")),
            "screen_text": Setting(default="", summary="What the layer shows; empty: the target caption."),
            "bootstrap_text": Setting(default="", summary="What is painted over; empty: the source caption."),
        },
        miniature={
            "steps": 60,
            "tries": 3,
            "try_steps": 20,
            "spread": 1.5,
            "size": 64,
            "scales": 3,
            "width": 16,
            "rate": 0.01,
            "views": 4,
            "augmentation": 0.5,
            "templates": "plain",
            "screen": 0.0,
            "sparsity": 12.0,
        },
        extra="text2live",
        conserves=frozenset({"structural"}),
        edit_types=frozenset({"background"}),
        cannot=(
            "It paints over what is there: nothing moves, grows out of its place, or is taken away. What it paints "
            "over may lose its own pattern, such as a stripe, and great changes stop half-way, as they go against the "
            "loss of structure."
        ),
    )
    run: MethodRun
    clip: "GuidingClip"
    settings: dict[str, Any]

    def load(self, run: MethodRun) -> None:
        """The guiding CLIP.

        Raises:
            MissingExtraError: MADGRAD, the published optimiser, is not installed.
            OptionError: It is asked to train in half precision.
            WeightsError: The CLIP cannot be had.
        """
        from evalkit_adapters.guidance.loading import open_clip_guide

        if run.dtype != "fp32":
            raise OptionError(
                f"Text2LIVE trains in fp32, as its authors found half precision unstable; got {run.dtype}."
            )
        import_extra("madgrad", "text2live")
        self.run, self.settings = run, dict(run.settings)
        self.clip = open_clip_guide(run.model, device=run.device)

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> Image.Image:  # noqa: ARG002
        """The source image: edits of one source share nothing but it."""
        return source_image

    def edit(self, item: EditItem, fitted: Image.Image, *, seed: int) -> EditedPicture:
        """The edit layer of a network trained for this edit, over the source.

        Raises:
            OptionError: The source is too small for so many scales.
        """
        import torch

        from evalkit_adapters.methods.text2live.edit_layer import render
        from evalkit_adapters.seeding import globally_seeded

        picture, objective = self.resized(fitted), self.objective(item)
        texts = {"source": item.source_caption, "target": item.target_caption}
        made_of = {"method": self.card.name, "seed": seed, "picture": picture, **texts, **self.settings}
        with globally_seeded(seed):
            state = self.run.kept(made_of, lambda: self.trained(picture, objective).state_dict())
            network = self.network()
            network.load_state_dict(state)
        # As trained: with running statistics, of the few pictures that it has seen, it would paint another one.
        with torch.no_grad():
            pixels = self.pixels(picture)
            composite = render(network(pixels), pixels).composite
        levels = (composite[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        return Image.fromarray(levels).resize(fitted.size, Image.Resampling.BICUBIC)

    def resized(self, source: Image.Image) -> Image.Image:
        """The source at the size that is trained on.

        Raises:
            OptionError: It is too small for so many scales.
        """
        from evalkit_adapters.guidance.augmentations import Augmentation
        from evalkit_adapters.guidance.clip import fit_within
        from evalkit_adapters.methods.text2live.edit_layer import min_side

        height, width = fit_within((source.height, source.width), self.settings["size"], 10**6)
        scales, short = self.settings["scales"], min(height, width)
        left = int(Augmentation(self.settings["augmentation"]).min_share * short)
        if left < min_side(scales):
            raise OptionError(
                f"A network of {scales} scales is trained on pictures of {min_side(scales)} pixels and more, and of "
                f"a short side of {short} the augmentation may leave {left}. Fewer scales need less: "
                f"--set scales={max(1, (left - 1).bit_length() - 1)}"
            )
        return source.resize((width, height), Image.Resampling.BILINEAR)

    def objective(self, item: EditItem) -> "Text2LiveObjective":
        """The losses of an edit."""
        from evalkit_adapters.methods.text2live.losses import CaptionEmbeddings, Text2LiveObjective

        target, source = item.target_caption or "", item.source_caption or ""
        texts = CaptionEmbeddings.from_captions(
            self.clip,
            composite=target,
            source=source,
            screen=self.settings["screen_text"] or target,
            region=self.settings["bootstrap_text"] or source,
            plain=self.settings["templates"] == "plain",
        )
        return Text2LiveObjective(clip=self.clip, texts=texts, settings=self.settings)

    def trained(self, picture: Image.Image, objective: "Text2LiveObjective") -> "EditLayer":
        """A network after all steps of training; of several tries, the one that CLIP likes best so far.

        A try is free to paint anywhere: sparsity would have it keep the colour that is there.
        """
        s = self.settings
        if s["tries"] == 1:
            return self.train(self.network(), picture, objective, s["steps"])
        free = replace(objective, settings={**objective.settings, "sparsity": 0.0})
        candidates = [self.train(self.network(s["spread"]), picture, free, s["try_steps"]) for _ in range(s["tries"])]
        best = min(candidates, key=lambda network: self.clip_loss(network, picture, objective))
        return self.train(best, picture, objective, s["steps"])

    def clip_loss(self, network: "EditLayer", picture: Image.Image, objective: "Text2LiveObjective") -> float:
        """The composite's two losses of CLIP, on the untouched source, over as many views as three steps see."""
        import torch

        from evalkit_adapters.methods.text2live.edit_layer import render

        with torch.no_grad():
            pixels = self.pixels(picture)
            layer = render(network(pixels), pixels)
            return float(sum(objective.composition([layer]) + objective.direction([pixels], [layer]) for _ in range(3)))

    def train(
        self, network: "EditLayer", picture: Image.Image, objective: "Text2LiveObjective", steps: int
    ) -> "EditLayer":
        """The network itself, after so many steps."""
        from torch.optim.lr_scheduler import LambdaLR

        from evalkit_adapters.diffusion.optimisation import optimise

        s = self.settings
        madgrad = import_extra("madgrad", "text2live")
        optimiser = madgrad.MADGRAD(network.parameters(), lr=s["rate"], momentum=0.9, weight_decay=0.01)
        optimise(
            lambda step: self.loss(network, picture, objective, step),
            optimiser,
            steps,
            what="training",
            progress=self.run.progress,
            rates=LambdaLR(optimiser, lambda step: max(s["rate_factor"] ** step, s["rate_floor"] / s["rate"])),
        )
        return network

    def network(self, spread: float = 0.0) -> "EditLayer":
        """An untrained network, on CLIP's device; ``spread`` is that of the colours it may begin with, in logits."""
        import torch

        from evalkit_adapters.methods.text2live.edit_layer import EditLayer

        network: EditLayer = EditLayer(scales=self.settings["scales"], width=self.settings["width"])
        if spread:
            network.shift_colour(spread * torch.randn(3))
        return network.to(self.clip.tower.class_token)

    def loss(
        self, network: "EditLayer", picture: Image.Image, objective: "Text2LiveObjective", step: int
    ) -> "torch.Tensor":
        """What one step minimises: on the source varied by chance, and every so often on the source itself as well."""
        import torch

        from evalkit_adapters.methods.text2live.edit_layer import render

        pictures = [objective.augmentation.training_view(picture)]
        if step % self.settings["whole_every"] == 0:
            pictures.append(picture)
        pixels = [self.pixels(one) for one in pictures]
        losses = objective.weighted_losses(pixels, [render(network(one), one) for one in pixels], step)
        return torch.stack([*losses.values()]).sum()

    def pixels(self, picture: Image.Image) -> "torch.Tensor":
        """A picture as ``(1, 3, height, width)`` in [0, 1], where and in what the CLIP computes."""
        like = self.clip.tower.class_token
        return to_tensor(picture, like.device, like.dtype) / 255
