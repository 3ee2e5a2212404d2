"""Null-text inversion, held against the optimisation written out with Adam's formulas."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.benchmarks.shapes import language
from evalkit.benchmarks.shapes.world import Scene, draw
from evalkit.editing.method import MINIATURE, MethodRun
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.null_text import invert, optimise_empty
from evalkit_adapters.diffusion.schedule import Schedule, ddim_step
from tests.support import ddim
from tests.support.adapters import furthest, untouched
from tests.support.diffusion import scheduler, tiny_model

STEPS, GUIDANCE = 3, 7.5


class Known:
    """A UNet whose noise comes from the timestep and the caption alone, so that every move can be undone exactly."""

    dtype, device = torch.float64, torch.device("cpu")
    pattern = torch.randn(4, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, latents, timestep, embeddings):
        """As diffusers' UNet is called."""
        said = embeddings.flatten(1)[:, :1024].reshape(-1, 4, 16, 16)
        return SimpleNamespace(sample=self.pattern * np.cos(timestep) + self.strength * said)


@pytest.fixture(scope="module")
def clean(model):
    """A picture's latent."""
    return model.encode(Image.linear_gradient("L").resize((64, 64)).convert("RGB"))


def known(model, strength=0.2):
    """The model with a UNet of known noise."""
    return replace(model, unet=Known(strength), schedule=Schedule.from_scheduler(scheduler()))


def caption(model):
    """Embedding of the source caption."""
    return model.embed("a small red circle")


def pivots(model, clean, caption, n_steps):
    """The path of inversion under the caption, the noisiest latent first, and the clean one at its end."""
    path, stride = [clean], 1000 // n_steps
    for timestep in reversed(ddim.grid(n_steps)):
        with torch.no_grad():
            noise = model.unet(path[-1], timestep, caption).sample
        path.append(ddim.ddim(path[-1], noise, timestep - stride, timestep))
    return path[::-1]


def written_out(model, path, caption, iterations):
    """Embeddings and numbers of iterations, with Adam as its paper has it and the constants published for 50 steps."""
    n_steps = len(path) - 1
    unet, latent, empty, found, rounds = model.unet, path[0], model.embed(""), [], []
    for i, timestep in enumerate(ddim.grid(n_steps)):

        def arrive(embedding, latent=latent, timestep=timestep):
            without, with_text = (unet(latent, timestep, one).sample for one in (embedding, caption))
            guided = without + 7.5 * (with_text - without)
            return ddim.ddim(latent, guided, timestep, timestep - 1000 // n_steps)

        rate = 1e-2 * (1 - (i * 50 / n_steps) / 100)
        first = second = 0
        for n in range(1, iterations + 1):
            empty = empty.detach().requires_grad_()
            loss = ((arrive(empty) - path[i + 1]) ** 2).mean()
            loss.backward()
            first = 0.9 * first + 0.1 * empty.grad
            second = 0.999 * second + 0.001 * empty.grad**2
            empty = empty - rate * (first / (1 - 0.9**n)) / ((second / (1 - 0.999**n)).sqrt() + 1e-8)
            if loss.item() < 1e-5 + 2e-5 * i:
                break
        found.append(empty.detach())
        rounds.append(n)
        with torch.no_grad():
            latent = arrive(empty)
    return found, rounds


def resampled(model, source):
    """The latents of guided sampling with the stand-ins for the empty caption, without our loops."""
    path, n_steps = [source.start], len(source.empty)
    for timestep, empty in zip(ddim.grid(n_steps), source.empty, strict=True):
        noise = ddim.guided(model.unet, path[-1], timestep, empty, source.caption, GUIDANCE)
        path.append(ddim.ddim(path[-1], noise, timestep, timestep - 1000 // n_steps))
    return path


@pytest.fixture(scope="module")
def found(model, clean):
    """What is found in three iterations."""
    with untouched(model.unet):
        return invert(model, clean, caption(model), model.schedule.steps(STEPS), guidance=GUIDANCE, iterations=3)


def test_the_embeddings_are_those_of_the_published_optimisation(model, clean, found):
    """Inversion without guidance, then Adam in every step from where the last one ended, to 1e-9 (reached: 1e-13)."""
    path = pivots(model, clean, caption(model), STEPS)
    expected, _ = written_out(model, path, caption(model), 3)
    assert furthest(found.start, path[0]) < 1e-11
    assert all(furthest(*pair) < 1e-9 for pair in zip(found.empty, expected, strict=True))
    assert furthest(found.empty[-1], model.embed("")) > 0.05


def test_fifty_steps_are_optimised_as_long_as_published(model, clean, monkeypatch):
    """No more after an iteration whose loss was below 1e-5 + 2e-5 i: at the first 29 of 50 steps it is, then no more.

    Every iteration is one evaluation of the UNet; one more gives the caption's noise, and one the next latent. The
    embeddings are those of the loop to 1e-9 (reached: 3e-13).
    """
    weak, rng = known(model, 0.004), torch.Generator().manual_seed(4)
    text = weak.embed("") + 0.15 * torch.randn(1, 48, 32, dtype=torch.float64, generator=rng)
    path = pivots(weak, clean, text, 50)
    expected, rounds = written_out(weak, path, text, 4)
    calls, noise = [], LatentDiffusion.noise
    monkeypatch.setattr(LatentDiffusion, "noise", lambda *given: calls.append(given[2]) or noise(*given))
    ours = optimise_empty(weak, path[0], path[1:], text, weak.schedule.steps(50), guidance=7.5, iterations=4)
    assert rounds == [1] * 29 + [4] * 21
    assert [calls.count(timestep) - 2 for timestep in ddim.grid(50)] == rounds
    assert all(furthest(*pair) < 1e-9 for pair in zip(ours, expected, strict=True))


@pytest.mark.parametrize(("n_steps", "last"), [(50, 0.51), (10, 0.55), (200, 0.5025)])
def test_the_learning_rate_is_the_published_one_at_fifty_steps(model, clean, monkeypatch, n_steps, last):
    """0.01 · (1 − i/100) at step i of 50; of any other number it falls by half as well, where that would pass 0."""
    blind, rates, adam = known(model), [], torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda what, lr: rates.append(lr) or adam(what, lr=lr))
    steps = blind.schedule.steps(n_steps)
    optimise_empty(blind, clean, [clean] * n_steps, caption(blind), steps, guidance=GUIDANCE, iterations=1)
    assert len(rates) == n_steps
    assert (rates[0], rates[-1]) == pytest.approx((0.01, 0.01 * last), rel=1e-12)
    if n_steps == 50:
        assert rates == pytest.approx([0.01 * (1 - i / 100) for i in range(50)], rel=1e-12)


def test_noise_that_is_known_is_inverted_exactly(model, clean):
    """The way back ends at the picture without guidance (reached: 2e-15), far from it with, and near once optimised.

    Without guidance the empty caption has no say, and stays bit for bit.
    """
    blind, far = known(model), []
    steps, text = blind.schedule.steps(5), blind.embed("") + 0.05
    for guidance, iterations in ((1.0, 2), (GUIDANCE, 0), (GUIDANCE, 10)):
        ours = invert(blind, clean, text, steps, guidance=guidance, iterations=iterations)
        latent = ours.start
        for step, empty in zip(steps, ours.empty, strict=True):
            with torch.no_grad():
                noise = blind.guided_noise(latent, step.timestep, empty, text, guidance)
            latent = ddim_step(latent, noise, step.alpha, step.alpha_prev)
        far.append(furthest(latent, clean))
        assert (iterations == 10) != all(torch.equal(empty, blind.embed("")) for empty in ours.empty)
    assert far[0] < 1e-11
    assert far[1] > 0.1
    assert far[2] < far[1] / 2


@pytest.mark.slow
def test_a_picture_is_drawn_again():
    """Guided sampling of the miniature model gives a drawing back, more decibels of it than with the empty caption."""
    model = LatentDiffusion.open(MethodRun(model=MINIATURE, revision=None, settings={}))
    scene = Scene(shape="star", colour="red", size="large", place="centre", background="white")
    drawing = draw(scene)
    clean, text, psnr = model.encode(Image.fromarray(drawing)), model.embed(language.caption(scene)), []
    for iterations in (0, 3):
        source = invert(model, clean, text, model.schedule.steps(5), guidance=GUIDANCE, iterations=iterations)
        picture = model.decode(resampled(model, source)[-1])
        psnr.append(-10 * np.log10(np.mean((picture - drawing / 255) ** 2)))
    assert psnr[1] > psnr[0] + 0.5


def test_gradients_survive_half_precision():
    """With a UNet in float16 the embedding goes where it goes in float32, even with short steps and little guidance.

    There the gradient of a mean over the latent's elements is too small for half precision.
    """
    coarse, fine = tiny_model(dtype=torch.float32), tiny_model(dtype=torch.float32)
    coarse.unet.half()
    start, goal = fine.initial_noise(1), fine.initial_noise(1) + 0.1 * fine.initial_noise(2)
    halved, whole = (
        optimise_empty(one, start, [goal], caption(one), one.schedule.steps(50)[:1], guidance=1.05, iterations=1)[0]
        - one.embed("")
        for one in (coarse, fine)
    )
    assert (halved * whole).sum() > 0.9 * halved.norm() * whole.norm()
