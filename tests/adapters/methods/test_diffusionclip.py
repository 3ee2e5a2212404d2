"""DiffusionCLIP: schedules, inversion, losses, tuning and mixing, held against formulas written out here."""

import math
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from open_clip import OPENAI_IMAGENET_TEMPLATES
from PIL import Image

from evalkit.benchmarks.shapes.recognise import read
from evalkit.benchmarks.shapes.world import BACKGROUNDS
from evalkit.editing.method import MethodRun
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError, WeightsError
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.guidance import loading
from evalkit_adapters.methods.diffusionclip import losses, models
from evalkit_adapters.methods.diffusionclip import tuning as diffusionclip_tuning
from evalkit_adapters.methods.diffusionclip.domain import drawn_pictures
from evalkit_adapters.methods.diffusionclip.losses import DirectionalObjective, text_direction
from evalkit_adapters.methods.diffusionclip.method import DiffusionCLIP, parse_shares
from evalkit_adapters.methods.diffusionclip.models import CaptionlessLatents, PixelDiffusion, open_diffusion
from evalkit_adapters.methods.diffusionclip.tuning import (
    InvertedImage,
    TuningOptions,
    fine_tune,
    generate,
    invert,
    mixed_noise,
    timesteps,
)
from tests.support.adapters import furthest, untouched
from tests.support.diffusion import save_tiny, tiny_model
from tests.support.guides import ddpm_256, pixel_pipeline, pixels
from tests.support.pictures import noise_picture

ITEM = EditItem(item_id="a", source_caption="a cat", target_caption="a dog in snow")
SMALL = {
    "inversion_steps": 4,
    "training_steps": 3,
    "steps": 4,
    "passes": 2,
    "visits": 2,
    "rate": 1e-3,
    "templates": "plain",
}
LINEAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
"""ᾱ of the published models."""


@pytest.fixture(scope="module")
def model():
    """A small pixel model in float64."""
    found = PixelDiffusion.from_pipeline(pixel_pipeline())
    found.unet.double()
    return found


@pytest.fixture(scope="module")
def picture():
    """A source image that is not square."""
    return noise_picture((24, 20), 80)


def loaded(model, clip, *, run=None, **settings):
    """The method through its own ``load``."""
    method = DiffusionCLIP()
    values = DiffusionCLIP.card.values(miniature=False) | SMALL | settings
    run = run or MethodRun(model="at hand", revision=None, settings={})
    with (
        patch.object(loading, "open_clip_guide", return_value=clip),
        patch.object(models, "open_diffusion", return_value=model),
    ):
        method.load(replace(run, settings=values))
    return method


def edited(method, picture, item=ITEM):
    """Through ``fit`` and ``edit``."""
    return method.edit(item, method.fit(picture, item.source_caption, seed=0), seed=0)


# Inversion and generation


def test_the_timesteps_are_the_published_lists():
    """Evenly spaced and cut down, the return step included, also where it is no multiple."""
    assert timesteps(6, 500) == [0, 100, 200, 300, 400, 500]
    assert timesteps(40, 500)[:8] == [0, 12, 25, 38, 51, 64, 76, 89]
    assert timesteps(40, 500)[-3:] == [474, 487, 500]
    assert timesteps(40, 401)[:4] == [0, 10, 20, 30]
    assert timesteps(40, 401)[-1] == 401
    assert len(timesteps(40, 401)) == 40


def moved(x, e, origin, goal):
    """DDIM in its expanded form."""
    return math.sqrt(goal / origin) * x + (math.sqrt(1 - goal) - math.sqrt(goal * (1 - origin) / origin)) * e


def test_inversion_and_generation_are_the_published_updates(model):
    """39 evaluations there and 6 back, by DDIM's expanded form on numpy's schedule, to 1e-9."""
    asked = []

    def noise(x, t):
        asked.append(t)
        return torch.tanh(x * (1 + t / 500))

    start = 2 * pixels(16, 16) - 1
    expected, there, back = start, timesteps(40, 500), timesteps(6, 500)
    for k in range(39):
        expected = moved(expected, noise(expected, there[k]), LINEAR[there[k]], LINEAR[there[k + 1]])
    lat = invert(model.schedule, start, there, noise)
    assert furthest(lat, expected) < 1e-9
    for k in range(5, -1, -1):
        goal = LINEAR[back[k - 1]] if k else 1.0
        expected = moved(expected, noise(expected, back[k]), LINEAR[back[k]], goal)
    assert furthest(generate(model.schedule, lat, back, noise), expected) < 1e-9
    assert asked[39:78] == there[:-1]
    assert asked[84:] == back[::-1]


# The losses


def test_the_loss_is_its_formula(clip):
    """Both readings of the directional distance and the L1 term, from open_clip's embeddings, to 1e-9."""
    source, made = pixels(seed=1), pixels(seed=2)
    unit = lambda x: x / x.norm()  # noqa: E731 - a name for a formula
    direction = text_direction(clip, "cat", "dog", ["a photo of a {}.", "the {}."])
    texts = [
        [unit(clip.embed_texts([t.format(x)])[0]) for x in ("cat", "dog")] for t in ("a photo of a {}.", "the {}.")
    ]
    expected = unit(sum(after - before for before, after in texts) / 2)
    assert furthest(direction, expected) < 1e-12
    change = unit(clip.embed(made)[0]) - unit(clip.embed(source)[0])
    distance = 1 - change @ expected / (change.norm() + 1e-7)
    l1 = (2 * source - 2 * made).abs().mean()
    for logarithmic, likeness in ((True, -math.log((2 - distance) / 2)), (False, distance)):
        objective = DirectionalObjective(
            clip=clip, direction=direction, clip_weight=3, l1_weight=0.3, is_logarithmic=logarithmic
        )
        assert abs(objective.loss(made, source) - 3 * likeness - 0.3 * l1) < 1e-9


def test_the_readings_of_the_loss_have_their_fixed_points():
    """0 for the direction itself, ln 2 across it, and finite, with its slope, against it and without any change."""
    e = torch.eye(3, dtype=torch.float64)
    ends = {0.0: 0.0, 1.0: math.log(2), 2.0: -math.log(1e-6)}
    for distance, expected in ends.items():
        found = losses.log_distance(torch.tensor(distance, dtype=torch.float64))
        assert abs(found - expected) < 1e-9
    source = e[:1].clone()
    same = source.clone().requires_grad_()
    value = losses.directional_distance(same, source, e[1])
    value.sum().backward()
    assert value.item() == 1
    assert same.grad.isfinite().all()


def test_clip_may_see_both_pictures_through_the_same_views(clip):
    """A source against itself has moved nowhere in any view; another picture is told by the views that were drawn."""
    direction = text_direction(clip, "cat", "dog", ["{}"])
    objective = DirectionalObjective(
        clip=clip, direction=direction, clip_weight=1, l1_weight=0, is_logarithmic=False, views=3
    )
    source, made = pixels(seed=1), pixels(seed=2)
    assert objective.loss(source, source) == 1
    torch.manual_seed(5)
    found = objective.loss(made, source)
    seen = []
    for picture in (source, made):
        torch.manual_seed(5)
        embedded = clip.embed(objective.augmentation.views(picture, 3, clip.side))
        seen.append(embedded / embedded.norm(dim=1, keepdim=True))
    change = seen[1] - seen[0]
    assert furthest(found, (1 - change @ direction / change.norm(dim=1)).mean()) < 1e-6
    torch.manual_seed(6)
    assert furthest(objective.loss(made, source), found) > 1e-6


def test_captions_are_put_into_the_published_sentences(clip, model):
    """79 of CLIP's 80 for ImageNet, or none."""
    published = [t("{}") for t in OPENAI_IMAGENET_TEMPLATES if "many" not in t("{}") or "photo of many" not in t("{}")]
    assert len(published) == 79
    found = loaded(model, clip, templates="imagenet").objective("a cat.", "a dog.").direction
    assert torch.equal(found, text_direction(clip, "a cat", "a dog", published))
    plain = loaded(model, clip).objective("a cat.", "a dog.").direction
    assert torch.equal(plain, text_direction(clip, "a cat.", "a dog.", ["{}"]))


# Tuning


class Line(torch.nn.Module):
    """A network of one weight."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))


class Straight:
    """A model whose noise is its weight times what it is given."""

    schedule = Schedule(alphas_cumprod=tuple(LINEAR))

    def __init__(self):
        self.unet = Line().requires_grad_(False)

    def pictures(self, clean):
        """What is diffused are pictures."""
        return clean

    def noise(self, noisy, _timestep, weights=None):
        """A multiple of what it is given."""
        return (weights or dict(self.unet.named_parameters()))["slope"] * noisy


TOWARDS = SimpleNamespace(loss=lambda made, source: (made - 1.5 * source).square().mean())


def tuning(**changes):
    """Two passes of two visits, in three steps of generation."""
    settings = {"steps": timesteps(3, 400), "visits": 2, "passes": 2, "rate": 1e-2, "rate_factor": 1.3}
    return TuningOptions(**settings | {"is_stepwise": False, "is_checkpointed": False} | changes)


@pytest.mark.parametrize("stepwise", [False, True])
def test_tuning_is_adam_on_the_published_losses(stepwise):
    """Each step of Adam by hand, its rate growing by pass, to 1e-9.

    One a visit through all of generation, or one a step on the clean picture seen there, whose slope stops at the step.
    """
    dark = Image.new("RGB", (4, 4), (51, 51, 51))  # 0.2, of which 1.5 times is 0.3
    training = [InvertedImage(dark, (seed + 1.0) * torch.ones(1, 3, 4, 4, dtype=torch.float64)) for seed in range(2)]
    told, steps = [], timesteps(3, 400)
    model = Straight()
    found = fine_tune(model, training, TOWARDS, tuning(is_stepwise=stepwise), progress=lambda *step: told.append(step))

    w, m, v, n = 0.2, 0.0, 0.0, 0

    def adam(slope, rate):
        nonlocal w, m, v, n
        n += 1
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        w -= rate * (m / (1 - 0.9**n)) / (math.sqrt(v / (1 - 0.999**n)) + 1e-8)

    for k in range(2):
        rate = 1e-2 * 1.3**k
        for start in (1.0, 2.0):
            x, dx = start, 0.0  # a state, and its derivative by the weight
            for i in (2, 1, 0):
                a, b = LINEAR[steps[i]], LINEAR[steps[i - 1]] if i else 1.0
                clean, by = (x - math.sqrt(1 - a) * w * x) / math.sqrt(a), -math.sqrt(1 - a) * x / math.sqrt(a)
                p, q = math.sqrt(b / a), math.sqrt(1 - b) - math.sqrt(b * (1 - a) / a)
                x, dx = (p + q * w) * x, q * x + (p + q * w) * dx
                if stepwise:
                    adam(2 * (clean - 0.3) * by, rate)
            if not stepwise:
                adam(2 * (x - 0.3) * dx, rate)
    assert abs(found["slope"].item() - w) < 1e-9
    assert model.unet.slope.item() == 0.2
    assert told[-1] == ("training", 12 if stepwise else 4, 12 if stepwise else 4)


def test_recomputing_changes_no_weight(model, clip, picture):
    """Checkpointing saves memory only; and the two readings, and modes, of the loss tune differently."""
    found = {
        name: edited(loaded(model, clip, **settings), picture)
        for name, settings in {
            "plain": {"checkpointing": False},
            "recomputed": {"checkpointing": True},
            "distance": {"loss": "plain"},
            "efficient": {"mode": "efficient"},
            "untuned": {"degree": 0.0},
        }.items()
    }
    assert furthest(found["plain"], found["recomputed"]) < 1e-12
    assert min(furthest(found["plain"], found[name]) for name in ("distance", "efficient", "untuned")) > 1e-4


def test_clip_and_model_are_left_as_they_were(model, clip, picture):
    """Weights, gradients and modes of both; a second edit is what a fresh method makes."""
    other = replace(ITEM, target_caption="a red cat")
    method = loaded(model, clip, clip_weight=30.0)
    with untouched(model.unet), untouched(clip.model):
        first, second, again = (edited(method, picture, item) for item in (ITEM, other, ITEM))
        fresh = edited(loaded(model, clip, clip_weight=30.0), picture, other)
    assert np.array_equal(second, fresh)
    assert np.array_equal(first, again)
    assert furthest(first, second) > 1e-4


def test_a_failure_leaves_clip_and_model_as_they_were(model, clip, picture):
    """Half-way through tuning."""
    method = loaded(model, clip)
    fitted = method.fit(picture, "a cat", seed=0)
    with (
        untouched(model.unet),
        untouched(clip.model),
        patch.object(DirectionalObjective, "loss", lambda *_: 1 / 0),
        pytest.raises(ZeroDivisionError),
    ):
        method.edit(ITEM, fitted, seed=0)


# Degree of change, several attributes


def test_degrees_and_attributes_are_mixed_as_published(model):
    """R Σ gε / Σ g + (1 − r) ε by the first threshold passed, to 1e-12; at 0 bit for bit the model's."""
    x = pixels(16, 16, seed=4)
    own = dict(model.unet.named_parameters())
    one, two = ({name: part * scale for name, part in own.items()} for scale in (1.1, 0.9))
    shares = {300: (1.0, 0.0), 0: (1.0, 3.0)}
    with torch.no_grad():
        e, e1, e2 = (model.noise(x, 200, weights) for weights in (None, one, two))
        assert torch.equal(e, model.unet(x, 200).sample)
        found = mixed_noise(model, [one, two], shares, 0.6)(x, 200)
        assert furthest(found, 0.6 * (e1 + 3 * e2) / 4 + 0.4 * e) < 1e-12
        assert torch.equal(mixed_noise(model, [one, two], shares, 1.0)(x, 300), model.noise(x, 300, one))
        assert torch.equal(mixed_noise(model, [one, two], shares, 0.0)(x, 200), e)


def test_without_change_the_edit_is_the_models_reconstruction(model, clip, picture):
    """Degree 0: nothing is tuned, and inverting and generating by the model's own weights is all."""
    method = loaded(model, clip, degree=0.0)
    with patch.object(diffusionclip_tuning, "fine_tune", side_effect=AssertionError("fine_tune")):
        found = edited(method, picture)
    with torch.no_grad():
        lat = invert(model.schedule, model.encode(picture), timesteps(4, 500), model.noise)
        expected = model.pictures(generate(model.schedule, lat, timesteps(4, 500), model.noise))
    assert torch.equal(torch.from_numpy(found), expected[0].clamp(0, 1).permute(1, 2, 0))


def test_further_attributes_are_tuned_by_themselves_and_weighed(model, clip, picture):
    """Their captions are the target's peers: with all the weight on one of them the edit is that one's."""
    both = loaded(model, clip, also="a red cat | a cat on grass", shares="0:0,0,1")
    alone = loaded(model, clip)
    expected = edited(alone, picture, replace(ITEM, target_caption="a cat on grass"))
    assert furthest(edited(both, picture), expected) < 1e-12


@pytest.mark.parametrize("text", ["1,1", "0:1", "100:1,1", "0:0,0", "0:1,-1", "0:1,x", "0:1,1;x:1,1"])
def test_weights_that_do_not_fit_are_refused(text):
    """Not one for each target, none from timestep 0 on, all 0, negative, or no numbers."""
    with pytest.raises(OptionError, match=r"must give 2 weights"):
        parse_shares(text, 2)


# Domains


@pytest.fixture
def domain(tmp_path):
    """A folder with three pictures and something else."""
    for seed in range(3):
        noise_picture((20, 20), 30 + 20 * seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_domain_is_tuned_once_for_a_pair_of_captions(model, clip, picture, domain):
    """On its first pictures in order of name; all items with the pair share the weights, another pair has its own."""
    method, calls = loaded(model, clip, domain=str(domain), images=2), []
    original = diffusionclip_tuning.fine_tune

    def noted(*given, **options):
        calls.append((len(given[1]), given[3].visits))
        return original(*given, **options)

    other = noise_picture((20, 20), 90)
    with patch.object(diffusionclip_tuning, "fine_tune", noted):
        edited(method, picture)
        edited(method, other)
        edited(method, other, replace(ITEM, target_caption="a red cat"))
    assert calls == [(2, 2), (2, 2)]


def test_without_a_domain_each_source_is_tuned_on(model, clip, picture):
    """On itself alone, as often as a pass visits it, and anew for each edit."""
    method, calls = loaded(model, clip), []
    with patch.object(diffusionclip_tuning, "fine_tune", lambda *given, **_: calls.append(given[1]) or {}):
        fitted = method.fit(picture, None, seed=0)
        method.edit(ITEM, fitted, seed=0)
        method.edit(ITEM, fitted, seed=0)
    assert calls == [[fitted], [fitted]]


def test_a_drawn_domain_is_what_the_source_caption_says(model, clip, picture):
    """As many pictures as asked for, each tuned on once in a pass; what is not named differs, and follows the seed."""
    item = EditItem(item_id="a", source_caption="A large red star.", target_caption="A large blue star.")
    seen = {}

    def noted(_model, pictures, _objective, options, **_):
        seen[seed] = [each.image for each in pictures]
        assert options.visits == len(pictures) == 4
        return {}

    method = loaded(model, clip, domain="drawn", images=4)
    with patch.object(diffusionclip_tuning, "fine_tune", noted):
        for seed in (0, 1):
            method.edit(item, method.fit(picture, None, seed=seed), seed=seed)
    assert not set(map(bytes_of, seen[0])) & set(map(bytes_of, seen[1]))
    drawn = drawn_pictures("A large red star.", 40, 0, detailed=True)
    attributes = [read(np.asarray(each)).attributes for each in drawn]
    assert {(one["shape"], one["colour"], one["size"]) for one in attributes} == {("star", "red", "large")}
    assert {one["background"] for one in attributes} == set(BACKGROUNDS)
    assert None not in [read(np.asarray(each)).details["horizon_height"] for each in drawn]
    plain = drawn_pictures("A large red star.", 4, 0, detailed=False)
    assert {read(np.asarray(each)).details["horizon_height"] for each in plain} == {None}
    assert list(map(bytes_of, drawn)) == list(map(bytes_of, drawn_pictures("A large red star.", 40, 0, detailed=True)))


def bytes_of(picture):
    """Its pixels."""
    return picture.tobytes()


def test_views_follow_the_seed(model, clip, picture):
    """The same seed tunes the same weights, another one others; without views nothing is random."""
    edits = {
        (views, seed): (lambda method: method.edit(ITEM, method.fit(picture, None, seed=seed), seed=seed))(
            loaded(model, clip, views=views, passes=1)
        )
        for views in (0, 2)
        for seed in (0, 1)
    }
    method = loaded(model, clip, views=2, passes=1)
    again = method.edit(ITEM, method.fit(picture, None, seed=0), seed=0)
    assert np.array_equal(again, edits[2, 0])
    assert furthest(edits[2, 0], edits[2, 1]) > 1e-6
    assert np.array_equal(edits[0, 0], edits[0, 1])


def test_a_domain_without_pictures_is_refused(model, clip, tmp_path):
    """Before anything is loaded."""
    with pytest.raises(OptionError, match="folder with pictures"):
        loaded(model, clip, domain=str(tmp_path))


def test_tuned_weights_are_kept_where_that_is_wanted(model, clip, picture, tmp_path):
    """Tuning is shown; a second run tunes nothing; what has no part in it, such as the degree, may change."""
    told = []
    run = MethodRun(
        model="at hand", revision=None, settings={}, artefacts=tmp_path, progress=lambda *step: told.append(step)
    )
    first = edited(loaded(model, clip, run=run), picture)
    assert told == [("training", done, 4) for done in range(5)]
    with patch.object(diffusionclip_tuning, "fine_tune", side_effect=AssertionError("fine_tune")):
        for settings in ({}, {"checkpointing": False}):
            assert furthest(edited(loaded(model, clip, run=run, **settings), picture), first) < 1e-12
        assert furthest(edited(loaded(model, clip, run=run, degree=0.5), picture), first) > 1e-6
        with pytest.raises(AssertionError, match="fine_tune"):
            edited(loaded(model, clip, run=run, rate=2e-3), picture)


# Base models


def test_a_saved_pixel_pipeline_is_opened_and_edits(tmp_path, clip):
    """From a directory, through load, fit and edit; of a source of any shape the middle square comes back."""
    pixel_pipeline().save_pretrained(tmp_path)
    clip.model.float()
    try:
        method = DiffusionCLIP()
        run = MethodRun(model=str(tmp_path), revision=None, settings=DiffusionCLIP.card.values(miniature=False) | SMALL)
        with patch.object(loading, "open_clip_guide", return_value=clip):
            method.load(run)
        found = edited(method, noise_picture((50, 30), 60))
    finally:
        clip.model.double()
    assert isinstance(method.model, PixelDiffusion)
    assert found.shape == (16, 16, 3)
    assert 0 <= found.min() < found.max() <= 1
    assert furthest(method.model.schedule.alphas_cumprod, LINEAR) < 1e-12


def test_a_stable_diffusion_pipeline_is_diffused_in_latents(tmp_path):
    """Under its empty caption, by the model's own weights or by others, and decoded with a gradient."""
    run = MethodRun(model=str(save_tiny(tmp_path)), revision=None, settings={})
    found = open_diffusion(run)
    assert isinstance(found, CaptionlessLatents)
    assert found.encode(Image.new("RGB", (80, 70))).shape == (1, 4, 16, 16)
    exact = CaptionlessLatents.from_model(tiny_model())
    latent = exact.model.initial_noise(0).requires_grad_()
    own = dict(exact.unet.named_parameters())
    expected = exact.unet(latent, 300, exact.model.embed("")).sample
    assert torch.equal(exact.noise(latent, 300), expected)
    assert torch.equal(exact.noise(latent, 300, own), expected)
    made = exact.pictures(latent)
    made.sum().backward()
    assert latent.grad.abs().max() > 0
    assert furthest(made[0].detach().clamp(0, 1).permute(1, 2, 0), exact.model.decode(latent.detach())) < 1e-12


def test_the_published_network_goes_through():
    """The 256-pixel network at its true size, 113,673,219 parameters, without memory, under other weights."""
    unet = ddpm_256().requires_grad_(False)
    assert sum(part.numel() for part in unet.parameters()) == 113_673_219
    model = PixelDiffusion(unet=unet, schedule=Schedule(alphas_cumprod=tuple(LINEAR)))
    weights = {name: torch.empty_like(part, requires_grad=True) for name, part in unet.named_parameters()}
    found = model.noise(torch.empty(1, 3, 256, 256, device="meta"), 500, weights)
    assert found.shape == (1, 3, 256, 256)
    found.sum().backward()
    assert all(part.grad.shape == part.shape for part in weights.values())
    assert all(part.grad is None for part in unet.parameters())


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_a_model_that_predicts_something_else_is_refused(prediction):
    """The formulas are those of noise."""
    with pytest.raises(WeightsError, match=prediction):
        PixelDiffusion.from_pipeline(pixel_pipeline(prediction_type=prediction))


def test_a_directory_without_a_pipeline_is_refused(tmp_path):
    """With the next command."""
    with pytest.raises(WeightsError, match="--model"):
        open_diffusion(MethodRun(model=str(tmp_path), revision=None, settings={}))


def test_half_precision_is_refused():
    """A step at the published rate is less than it can tell from nothing."""
    settings = DiffusionCLIP.card.values(miniature=False)
    with pytest.raises(OptionError, match="half precision"):
        DiffusionCLIP().load(MethodRun(model="miniature", revision=None, settings=settings, dtype="bf16"))
