"""DiffusionCLIP (Kim et al. 2022): a diffusion model tuned by CLIP until it draws inverted pictures as a text wants."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import MINIATURE, MINIATURES, EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit.images.decode import read_image
from evalkit_adapters.images import to_array
from evalkit_adapters.methods.diffusionclip.domain import DRAWN, drawn_pictures, list_images
from evalkit_adapters.settings import choice, from_zero, share

if TYPE_CHECKING:
    from evalkit_adapters.guidance.clip import GuidingClip
    from evalkit_adapters.methods.diffusionclip.losses import DirectionalObjective
    from evalkit_adapters.methods.diffusionclip.models import PictureDiffusion, Weights
    from evalkit_adapters.methods.diffusionclip.tuning import InvertedImage, TuningOptions

_NOT_OF_TUNING = ("steps", "degree", "also", "shares", "domain", "images", "checkpointing")
"""Settings that the tuned weights do not follow from."""


class DiffusionCLIP:
    """Inverts with the model as it is, and generates with one that was tuned for the text pair."""

    card: ClassVar[MethodCard] = MethodCard(
        name="diffusionclip",
        title="DiffusionCLIP",
        summary="Tunes a captionless diffusion model by a directional CLIP loss and redraws the inverted source.",
        paper="https://arxiv.org/abs/2110.02711",
        licence="Apache-2.0; written from the published description. The authors' code grants no licence",
        variant=(
            "The authors' code with the settings of its published example (return step 500, 40 steps of inversion, 6 "
            "of training). The published method tunes once for a text pair, on some 50 pictures of a domain: "
            "domain=DIR does so, once per pair of captions, for all items with that pair. Without it each edit is "
            "tuned on its own source alone, which is ours, and so are the visits of it: no other picture then keeps "
            "the model from a change that only CLIP sees. domain=drawn, for the shapes world alone, draws a domain for "
            "each edit: pictures that the source caption fits, what it does not name by lot; the source is not among "
            "them. Ours: views, random views of picture and source in the CLIP loss, with Text2LIVE's augmentations "
            "and both in the same; 0 is the published way. Of oblong pictures the middle square is edited, where the "
            "authors stretch the whole. loss=plain is the paper's reading, loss=log the code's. Of a Stable Diffusion "
            "pipeline, and of the miniature model, the latents are diffused under the empty caption (latent "
            "DiffusionCLIP): that is not in the paper either. Not carried: "
            "the identity loss, which needs a face recogniser, and translation between two unseen domains."
        ),
        base_model="google/ddpm-ema-celebahq-256",
        needs=frozenset({"source_caption", "target_caption"}),
        settings={
            "clip": Setting(
                default="open_clip:ViT-B-16-quickgelu/openai",
                summary="The CLIP that guides; miniature: of the base model's world.",
            ),
            "return_step": Setting(default=500, summary="Timestep of the inversion.", lowest=1, highest=999),
            "inversion_steps": Setting(default=40, summary="Timesteps of inversion.", lowest=2, highest=999),
            "training_steps": Setting(default=6, summary="Timesteps of generation in training.", lowest=2, highest=999),
            "steps": Setting(default=40, summary="Timesteps of generation.", lowest=2, highest=999),
            "mode": choice(
                "standard",
                "A step of training through all of generation, or one for each of its steps.",
                ("standard", "efficient"),
            ),
            "checkpointing": Setting(
                default=True,
                summary="In standard mode: the memory of one evaluation, for a third more time.",
                shapes_edits=False,
            ),
            "loss": choice("log", "How the directional distance enters.", ("log", "plain")),
            "clip_weight": from_zero(3.0, "Of the directional loss."),
            "l1_weight": from_zero(1.0, "Of the mean absolute change of pixels in [-1, 1]."),
            "rate": from_zero(8e-6, "Learning rate of Adam in the first pass."),
            "rate_factor": from_zero(1.3, "Of the rate, from pass to pass."),
            "passes": Setting(default=5, summary="Passes over the training pictures.", lowest=1, highest=20),
            "templates": choice("imagenet", "79 sentences for each caption, or none.", ("imagenet", "plain")),
            "views": from_zero(0, "Random views in which CLIP is shown picture and source; 0: as they are."),
            "augmentation": share(1.0, "Strength of the views' augmentations; 1 also mirrors."),
            "domain": Setting(
                default="",
                summary=f"Folder of pictures to tune on; empty: each source by itself; {DRAWN}: drawn for its caption.",
            ),
            "images": Setting(default=50, summary="Of a domain, the first so many.", lowest=1),
            "visits": Setting(default=10, summary="Without a domain: of the source, in a pass.", lowest=1),
            "degree": from_zero(1.0, "Of change: 0 is the model's own reconstruction."),
            "also": Setting(default="", summary="Further target captions, with | between, each tuned by itself."),
            "shares": Setting(
                default="",
                summary="Weights of all targets by timestep, such as 300:1,0;0:1,1; empty: all alike.",
            ),
        },
        miniature={
            "clip": MINIATURE,
            "inversion_steps": 10,
            "training_steps": 4,
            "steps": 10,
            "mode": "efficient",
            "templates": "plain",
            "rate": 3e-4,
            "passes": 2,
            "views": 4,
            "augmentation": 0.3,
            "domain": "drawn",
            "images": 8,
        },
        conserves=frozenset({"semantic", "structural"}),
        edit_types=frozenset({"recolour"}),
        cannot=(
            "It edits as a whole what its model was trained on: nothing local, no moves, no layout. Tuned on one "
            "source it may raise the CLIP score without making the edit; on a drawn domain, with the miniature model, "
            "changes may stop half-way or reach the background as well."
        ),
    )
    model: "PictureDiffusion"
    clip: "GuidingClip"
    run: MethodRun
    settings: dict[str, Any]
    also: tuple[str, ...]
    """Further target captions."""
    shares: Mapping[int, Sequence[float]]
    """Weights of all targets, by the timestep from which they hold."""
    domain_files: Sequence[Path]
    """Pictures of a folder to tune on."""
    _domain: "list[InvertedImage]"
    _tuned: "dict[tuple[str, str, int], Weights]"

    def load(self, run: MethodRun) -> None:
        """The base model and the guiding CLIP.

        Raises:
            OptionError: It is asked to tune in half precision, or the settings contradict each other.
            WeightsError: The base model or the CLIP cannot be had.
        """
        if run.dtype != "fp32":
            raise OptionError(f"DiffusionCLIP tunes weights by steps that half precision rounds away; got {run.dtype}.")
        from evalkit_adapters.guidance.loading import open_clip_guide
        from evalkit_adapters.methods.diffusionclip.models import open_diffusion

        self.run, self.settings = run, dict(run.settings)
        self.also = tuple(text.strip() for text in self.settings["also"].split("|") if text.strip())
        self.shares = parse_shares(self.settings["shares"], 1 + len(self.also))
        self.domain_files = list_images(self.settings["domain"], self.settings["images"])
        own = run.model in MINIATURES and self.settings["clip"] == MINIATURE
        self.clip = open_clip_guide(run.model if own else self.settings["clip"], device=run.device)
        self.model = open_diffusion(run)
        self._domain, self._tuned = [], {}

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> "InvertedImage":  # noqa: ARG002
        """The inverted source."""
        return self.inverted(source_image)

    def edit(self, item: EditItem, fitted: "InvertedImage", *, seed: int) -> EditedPicture:
        """The source's latent, generated by the tuned weights."""
        import torch

        from evalkit_adapters.methods.diffusionclip.tuning import generate, mixed_noise, timesteps

        s = self.settings
        targets = (item.target_caption or "", *self.also)
        weights = [self.weights(item.source_caption or "", target, fitted, seed) for target in targets if s["degree"]]
        noise = mixed_noise(self.model, weights, self.shares, s["degree"])
        with torch.no_grad():
            steps = timesteps(s["steps"], s["return_step"])
            return to_array(self.model.pictures(generate(self.model.schedule, fitted.latent, steps, noise)))

    def inverted(self, image: Image.Image) -> "InvertedImage":
        """A picture to train on or to edit, inverted by the model's own weights."""
        import torch

        from evalkit_adapters.methods.diffusionclip.tuning import InvertedImage, invert, timesteps

        with torch.no_grad():
            steps = timesteps(self.settings["inversion_steps"], self.settings["return_step"])
            latent = invert(self.model.schedule, self.model.encode(image), steps, self.model.noise)
        return InvertedImage(image=self.model.square(image), latent=latent)

    def weights(self, source: str, target: str, fitted: "InvertedImage", seed: int) -> "Weights":
        """The tuned weights of a text pair: those of a folder are remembered, others are not."""
        if self.settings["domain"] == DRAWN:
            detailed = self.run.model != MINIATURE  # whose world has no details
            drawn = drawn_pictures(source, self.settings["images"], seed, detailed=detailed)
            return self._weights(source, target, [self.inverted(picture) for picture in drawn], seed)
        if not self.domain_files:
            return self._weights(source, target, [fitted], seed)
        if (source, target, seed) not in self._tuned:
            self._domain = self._domain or [self.inverted(read_image(path)) for path in self.domain_files]
            self._tuned[source, target, seed] = self._weights(source, target, self._domain, seed)
        return self._tuned[source, target, seed]

    def _weights(self, source: str, target: str, pictures: "Sequence[InvertedImage]", seed: int) -> "Weights":
        """Those that an earlier run kept, else tuned now."""
        from evalkit_adapters.methods.diffusionclip.tuning import fine_tune
        from evalkit_adapters.seeding import globally_seeded

        made_of: dict[str, Any] = {"method": self.card.name, "source": source, "target": target}
        made_of |= {name: value for name, value in self.settings.items() if name not in _NOT_OF_TUNING}
        made_of |= {f"picture {index}": one.image for index, one in enumerate(pictures)}
        made_of |= {"seed": seed} if self.settings["views"] else {}
        objective, tuning = self.objective(source, target), self.tuning(len(pictures))
        with globally_seeded(seed):
            found = self.run.kept(
                made_of, lambda: fine_tune(self.model, pictures, objective, tuning, progress=self.run.progress)
            )
        return {name: part.to(self.run.device) for name, part in found.items()}

    def objective(self, source: str, target: str) -> "DirectionalObjective":
        """The losses of a text pair."""
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        from evalkit_adapters.guidance.augmentations import Augmentation
        from evalkit_adapters.methods.diffusionclip.losses import DirectionalObjective, text_direction

        templates = [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
        templates.remove("a photo of many {}.")
        texts = source.rstrip(". "), target.rstrip(". ")
        if self.settings["templates"] == "plain":
            texts, templates = (source, target), ["{}"]
        return DirectionalObjective(
            clip=self.clip,
            direction=text_direction(self.clip, *texts, templates),
            clip_weight=self.settings["clip_weight"],
            l1_weight=self.settings["l1_weight"],
            is_logarithmic=self.settings["loss"] == "log",
            views=self.settings["views"],
            augmentation=Augmentation(self.settings["augmentation"]),
        )

    def tuning(self, n_pictures: int) -> "TuningOptions":
        """How the model is tuned on so many pictures."""
        from evalkit_adapters.methods.diffusionclip.tuning import TuningOptions, timesteps

        s = self.settings
        return TuningOptions(
            steps=timesteps(s["training_steps"], s["return_step"]),
            visits=n_pictures if s["domain"] else s["visits"],
            passes=s["passes"],
            rate=s["rate"],
            rate_factor=s["rate_factor"],
            is_stepwise=s["mode"] == "efficient",
            is_checkpointed=s["checkpointing"],
        )


def parse_shares(text: str, number: int) -> dict[int, tuple[float, ...]]:
    """Weights of the attributes from a timestep on; all alike where none are given.

    >>> parse_shares("300:1,0;0:1,1", 2)
    {300: (1.0, 0.0), 0: (1.0, 1.0)}

    Raises:
        OptionError: They cannot be read, are not one for each target, or leave timesteps without.
    """
    if not text:
        return {0: (1.0,) * number}
    shares = {}
    try:
        for part in text.split(";"):
            threshold, _, weights = part.partition(":")
            shares[int(threshold)] = tuple(float(weight) for weight in weights.split(","))
    except ValueError:
        shares = {}
    fit = all(len(weights) == number and min(weights) >= 0 < sum(weights) for weights in shares.values())
    if min(shares, default=1) != 0 or not fit:
        raise OptionError(
            f"The setting 'shares' must give {number} weights, not all 0, from timestep 0 on, such as "
            f"0:{','.join(['1'] * number)}, and others from higher timesteps on, with semicolons between; got '{text}'."
        )
    return shares
