"""SINE, held against its formulas written out in double precision."""

from copy import deepcopy
from math import cos, exp, log, sin

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.methods.sine.method import SINE, TunedModel
from evalkit_adapters.methods.sine.patches import Box, crop_positions, position_grid
from evalkit_adapters.seeding import seeded_generator
from tests.support import ddim
from tests.support.adapters import Evaluations, decoded, furthest, gaussian, loaded, untouched
from tests.support.diffusion import sd_unet_on_meta, tiny_model
from tests.support.pictures import noise_picture

SOURCE, TARGET = "a small red circle", "a large blue square on a green background"
ITEM = EditItem(item_id="a", target_caption=TARGET)
CELLS, CELL, SIDE = 32, 4, 64
"""Of the tiny model: of the grid on a side, pixels of each, and of the model's pictures."""


@pytest.fixture(scope="module")
def picture():
    """A source image that is not square."""
    return noise_picture((80, 50), 80)


@pytest.fixture(scope="module")
def other():
    """A second network, as the tuning could have made one."""
    return tiny_model(seed=1)


@pytest.fixture(scope="module")
def fitted(other):
    """What ``fit`` returns, with that network."""
    return TunedModel(other, other.embed(SOURCE), (SIDE, SIDE))


class Placed(torch.nn.Module):
    """The first convolution and the places, as one module: what SINE's own UNet has there."""

    def __init__(self, convolution, places):
        super().__init__()
        self.convolution, self.places = convolution, places
        self.out_channels = convolution.out_channels

    def forward(self, latents):
        """The sum."""
        return self.convolution(latents) + self.places


def guided(model, fitted, latents, timestep, share, above, guidance, unet=None):
    """Model-based guidance, one evaluation after another."""
    by_base, without = (ddim.noise(model.unet, latents, timestep, model.embed(text)) for text in (TARGET, ""))
    wanted = by_base
    if timestep > above:
        by_tuned = ddim.noise(unet or fitted.model.unet, latents, timestep, fitted.caption)
        wanted = share * by_base + (1 - share) * by_tuned
    return guidance * wanted + (1 - guidance) * without


# Guidance


@pytest.mark.parametrize(
    ("share", "above", "guidance"), [(0.7, 400, 7.5), (0.4, 500, 10.0), (0.25, 601, 1.0), (0, -1, 1)]
)
def test_the_edit_is_sampled_under_both_models(model, fitted, share, above, guidance):
    """DDIM under w [v ε(c) + (1 − v) ε̂(ĉ)] + (1 − w) ε(∅) for t > K, without ε̂ else, to 1e-9."""
    method = loaded(SINE, model, steps=5, pretrained_weight=share, tuned_above=above, guidance=guidance)
    found = method.edit(ITEM, fitted, seed=3)
    expected = ddim.sampled(
        gaussian(3), ddim.grid(5), 200, lambda x, t: guided(model, fitted, x, t, share, above, guidance)
    )
    assert furthest(found, decoded(model, expected)) < 1e-9


@pytest.mark.parametrize(
    ("timestep", "share", "n_tuned"), [(991, 0.7, 1), (401, 0.7, 1), (400, 0.7, 0), (1, 0.7, 0), (991, 1.0, 0)]
)
def test_the_tuned_model_has_its_say_above_k_alone(model, fitted, timestep, share, n_tuned):
    """Three evaluations for t > K, two at K and below or without a weight for it; the numbers agree to 1e-9."""
    method = loaded(SINE, model, pretrained_weight=share)
    empty, wanted = model.embed(""), model.embed(TARGET)
    with torch.no_grad(), Evaluations(model.unet) as base, Evaluations(fitted.model.unet) as tuned:
        found = method.noise(fitted, gaussian(0), timestep, empty, wanted)
    assert (sum(base.rows), sum(tuned.rows)) == (2, n_tuned)
    assert furthest(found, guided(model, fitted, gaussian(0), timestep, share, 400, 7.5)) < 1e-9


# Places


@pytest.mark.parametrize(("channels", "cells"), [(8, 5), (16, CELLS), (320, 128)])
def test_the_grid_is_its_closed_form(channels, cells):
    """Sines and cosines of (place + 1) f_k, columns in the first half of the channels, to 1e-12."""
    grid = position_grid(channels, cells)
    assert grid.shape == (1, channels, cells, cells)
    quarter = channels // 4
    for row, column in ((0, 0), (1, 3), (cells - 1, 2)):
        expected = []
        for place in (column, row):
            angles = [(place + 1) * exp(-k * log(10000) / (quarter - 1)) for k in range(quarter)]
            expected += [sin(angle) for angle in angles] + [cos(angle) for angle in angles]
        assert furthest(grid[0, :, row, column], expected) < 1e-12


def test_places_are_cut_and_stretched_with_their_corners_aligned():
    """Bilinear: the corners are the box's corner cells; nearest: values are cells'; a whole box is itself."""
    grid, box = position_grid(8, 10), Box(2, 1, 7, 9)
    found = crop_positions(grid, box, 4, "bilinear")
    for (row, column), (r, c) in {(0, 0): (2, 1), (0, 3): (2, 8), (3, 0): (6, 1), (3, 3): (6, 8)}.items():
        assert furthest(found[0, :, row, column], grid[0, :, r, c]) < 1e-12
    # A third of the seven steps from column 1 to column 8 leads to 3 1/3.
    assert furthest(found[0, :, 0, 1], grid[0, :, 2, 3] * (2 / 3) + grid[0, :, 2, 4] * (1 / 3)) < 1e-12
    nearest = crop_positions(grid, box, 4, "nearest")
    cells = {tuple(column) for column in grid[0].flatten(1).T.tolist()}
    assert {tuple(column) for column in nearest[0].flatten(1).T.tolist()} <= cells
    assert furthest(crop_positions(grid, Box.whole(10), 10, "bilinear"), grid) < 1e-12


def test_boxes_have_sides_of_a_tenth_to_all_and_lie_inside():
    """Over 10,000 draws on SINE's grid of 128: sides from 12 to 127, both ends of the range reached, all inside."""
    generator = torch.Generator().manual_seed(0)
    boxes = [Box.draw(128, generator) for _ in range(10_000)]
    sides = [(box.bottom - box.top, box.right - box.left) for box in boxes]
    assert min(map(min, sides)) == 12
    assert max(map(max, sides)) == 127
    assert all(0 <= box.top < box.bottom <= 128 and 0 <= box.left < box.right <= 128 for box in boxes)
    assert abs(np.corrcoef(np.array(sides).T)[0, 1]) < 0.05
    assert {box.top for box in boxes if box.bottom - box.top == 127} == {0, 1}


@pytest.mark.parametrize("box", [Box(0, 0, 9, 20), Box(7, 3, 11, 30), Box(20, 25, 32, 32)], ids=str)
def test_a_crop_is_made_of_its_own_pixels(box):
    """Whatever noise lies around it; what is stretched is the part cut out, to the level."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, CELLS * CELL, CELLS * CELL, 3), dtype=np.uint8)
    inside = slice(CELL * box.top, CELL * box.bottom), slice(CELL * box.left, CELL * box.right)
    other[inside] = one[inside]
    found = [np.asarray(box.cut(Image.fromarray(noise), CELL, SIDE)) for noise in (one, other)]
    assert np.array_equal(*found)
    alone = Image.fromarray(one[inside]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(found[0], np.asarray(alone))


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
def test_the_hook_is_a_unet_that_knows_its_place(model, fitted, how):
    """With patches the tuned UNet alone gets the whole grid, as if it were built in, to 1e-9."""
    method = loaded(SINE, model, patches=True, interpolation=how, steps=2)
    known = deepcopy(fitted.model.unet)
    known.conv_in = Placed(known.conv_in, crop_positions(position_grid(16, CELLS), Box.whole(CELLS), 16, how))
    with Evaluations(model.unet) as base, Evaluations(fitted.model.unet) as tuned, untouched(fitted.model.unet):
        found = method.edit(ITEM, fitted, seed=0)
    expected = ddim.sampled(
        gaussian(0), ddim.grid(2), 500, lambda x, t: guided(model, fitted, x, t, 0.7, 400, 7.5, known)
    )
    assert furthest(found, decoded(model, expected)) < 1e-9
    assert tuned.hooks == [["conv_in"]]
    assert base.hooks == [[], []]
    assert furthest(found, loaded(SINE, model, steps=2).edit(ITEM, fitted, seed=0)) > 0.01


def test_with_patches_the_result_may_be_larger(model, fitted):
    """The grid is stretched to any latent; the picture is of the side that was asked for."""
    method = loaded(SINE, model, patches=True, steps=1, result_side=96.0, tuned_above=-1)
    known = deepcopy(fitted.model.unet)
    known.conv_in = Placed(known.conv_in, crop_positions(position_grid(16, CELLS), Box.whole(CELLS), 24, "bilinear"))
    found = method.edit(ITEM, fitted, seed=0)
    assert found.shape == (96, 96, 3)
    expected = ddim.sampled(
        gaussian(0, 24), ddim.grid(1), 1000, lambda x, t: guided(model, fitted, x, t, 0.7, -1, 7.5, known)
    )
    assert furthest(found, decoded(model, expected)) < 1e-9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"result_side": 96.0}, r"are for a model tuned on crops: set patches=true"),
        ({"whole_share": 0.1}, r"are for a model tuned on crops: set patches=true"),
        ({"patches": True, "result_side": 97.0}, r"must be a multiple of 4, the side of a latent pixel; got 97"),
    ],
)
def test_settings_without_an_effect_are_refused(model, settings, message):
    """Before anything is tuned."""
    with pytest.raises(OptionError, match=message):
        loaded(SINE, model, **settings)


# Tuning


def replayed(method, model, picture, seed):
    """What each step of a tuning draws, written out: the places, z₀, ε and t."""
    settings, generator = method.settings, seeded_generator(seed, "sine tuning")
    side = CELLS * CELL if settings["patches"] else SIDE
    image = picture.resize((side, side), Image.Resampling.BICUBIC)
    for _ in range(settings["tuning_steps"]):
        places, view = 0.0, image
        if settings["patches"]:
            whole = settings["whole_share"] and torch.rand((), generator=generator).item() < settings["whole_share"]
            box = Box.whole(CELLS) if whole else Box.draw(CELLS, generator)
            part = np.asarray(image)[CELL * box.top : CELL * box.bottom, CELL * box.left : CELL * box.right]
            view = Image.fromarray(part).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            places = crop_positions(position_grid(16, CELLS), box, 16, "bilinear")
        pixels = torch.tensor(np.asarray(view) / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.no_grad():
            moments = model.autoencoder.quant_conv(model.autoencoder.encoder(pixels))
        mean, spread = moments.chunk(2, dim=1)
        sample = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        clean = 0.18215 * (mean + torch.exp(spread.clamp(-30, 20) / 2) * sample)
        noise = torch.randn(mean.shape, generator=generator).double()
        yield places, clean, noise, int(torch.randint(1000, (), generator=generator))


def written_out(method, model, picture, seed):
    """AdamW on the loss, with the paper's formulas and torch's constants."""
    settings = method.settings
    unet, text = deepcopy(model.unet).requires_grad_(), deepcopy(model.text_encoder).requires_grad_()
    weights = [*unet.parameters(), *text.parameters()]
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    convolution = unet.conv_in
    for k, (places, clean, noise, timestep) in enumerate(replayed(method, model, picture, seed), start=1):
        signal = ddim.SIGNAL[timestep]
        noisy = np.sqrt(signal) * clean + np.sqrt(1 - signal) * noise
        unet.conv_in = Placed(convolution, places)
        predicted = unet(noisy, timestep, text(model.tokens([SOURCE])).last_hidden_state).sample
        unet.conv_in = convolution
        loss = ((noise - predicted) ** 2).sum() / noise.numel()
        found = (noisy - np.sqrt(1 - signal) * predicted) / np.sqrt(signal)
        loss = loss + settings["clean_weight"] * (timestep / 1000) ** 2 * (found - clean).abs().sum() / clean.numel()
        slopes = torch.autograd.grad(loss, weights)
        norm = torch.sqrt(sum((slope**2).sum() for slope in slopes))
        scale = min(1.0, settings["gradient_norm"] / (norm + 1e-6)) if settings["gradient_norm"] else 1.0
        with torch.no_grad():
            for weight, slope, m, v in zip(weights, slopes, first, second, strict=True):
                weight *= 1 - settings["rate"] * 0.01
                m += 0.1 * (scale * slope - m)
                v += 0.001 * ((scale * slope) ** 2 - v)
                weight -= settings["rate"] * (m / (1 - 0.9**k)) / (torch.sqrt(v / (1 - 0.999**k)) + 1e-8)
    return unet, text


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_norm": 0.01},
        {"clean_weight": 1.0},
        {"patches": True, "clean_weight": 1.0},
        {"patches": True, "whole_share": 0.5},
    ],
    ids=["plain", "clipped", "clean loss", "patches", "patches and wholes"],
)
def test_the_tuning_is_adamw_on_unet_and_text_encoder(model, picture, settings):
    """Every weight of both after two steps, to 1e-9; both move, and the base model does not."""
    method = loaded(SINE, model, tuning_steps=2, rate=1e-3, **settings)
    with untouched(model.unet), untouched(model.text_encoder), untouched(model.autoencoder):
        fitted = method.fit(picture, SOURCE, seed=4)
    for part, ours, theirs in zip(
        ("unet", "text_encoder"),
        (fitted.model.unet, fitted.model.text_encoder),
        written_out(method, model, picture, 4),
        strict=True,
    ):
        base = dict(getattr(model, part).named_parameters())
        moved = 0
        for (name, found), (_, expected) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert furthest(found, expected.detach()) < 1e-9, name
            moved += furthest(found, base[name]) > 1e-4
        assert moved > 0.9 * len(base)
    assert fitted.model.autoencoder is model.autoencoder
    assert fitted.size == picture.size
    assert furthest(fitted.caption, fitted.model.embed(SOURCE)) == 0


def test_the_tuning_caption_is_the_sources_or_a_text_of_its_own(model, picture):
    """A template takes the source caption in; a text of its own needs none; a missing one is said."""
    method = loaded(SINE, model, tuning_steps=1, tuning_caption="a painting of {caption}")
    fitted = method.fit(picture, SOURCE, seed=0)
    assert furthest(fitted.caption, fitted.model.embed(f"a painting of {SOURCE}")) == 0
    with pytest.raises(OptionError, match=r"needs an item with a source caption.*--set 'tuning_caption="):
        method.fit(picture, None, seed=0)
    method.settings = method.settings | {"tuning_caption": "a red star"}
    fitted = method.fit(picture, None, seed=0)
    assert furthest(fitted.caption, fitted.model.embed("a red star")) == 0


def test_half_precision_is_tuned_in_full(picture):
    """The masters are float32 whatever the base model is, so that a step of 1e-6 is not lost; sampling is in half."""
    model = tiny_model(dtype=torch.bfloat16)
    method = loaded(SINE, model, tuning_steps=1, rate=1e-6, steps=1)
    seen, tune = [], method.tune

    def watched(tuned, *given):
        weights = tune(tuned, *given)
        seen.append((tuned.unet.dtype, tuned.text_encoder.dtype, weights["unet.conv_in.weight"].clone()))
        return weights

    method.tune = watched
    fitted = method.fit(picture, SOURCE, seed=0)
    ((unet_dtype, text_dtype, weight),) = seen
    assert (unet_dtype, text_dtype) == (torch.float32, torch.float32)
    moved = (weight - model.unet.conv_in.weight.float()).abs()
    assert 0 < moved.max() < 2e-6
    assert fitted.model.unet.dtype == fitted.model.text_encoder.dtype == torch.bfloat16
    in_half = fitted.model.unet.conv_in.weight == model.unet.conv_in.weight
    assert in_half.float().mean() > 0.95  # where the tuning would have taken place in half
    assert method.edit(ITEM, fitted, seed=0).size == picture.size


# At Stable Diffusion's size


def test_the_grid_fits_stable_diffusions_first_convolution():
    """At its full size, 320 channels of 64 × 64, with the grid of 128 cells."""
    unet = sd_unet_on_meta()
    assert unet.conv_in.out_channels == 320
    places = crop_positions(position_grid(320, 128), Box(3, 5, 60, 128), 64, "bilinear")
    latents = torch.empty(1, 4, 64, 64, device="meta")
    assert unet.conv_in(latents).shape == places.shape == (1, 320, 64, 64)
