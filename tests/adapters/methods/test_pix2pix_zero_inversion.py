"""pix2pix-zero: the authors' inversion and its regularisation, against sums and closed forms."""

import numpy as np
import pytest
import torch

from evalkit_adapters.methods.pix2pix_zero import Pix2PixZero, autocorrelation, moment_divergence
from tests.support import ddim
from tests.support.adapters import furthest, loaded
from tests.support.pictures import noise_picture

SOURCE = "a small red circle"


def zero(model, **settings):
    """The method in four steps."""
    return loaded(Pix2PixZero, model, **({"steps": 4} | settings))


def shifts(rng, side):
    """The shift of one channel and level, as it is drawn."""
    return int(rng.integers(1, side // 2))


def correlated(noise, rng):
    """The correlation of ``(channels, side, side)`` noise and its gradient, by sums over shifted copies."""
    total, slope = 0.0, np.zeros_like(noise)
    for c, channel in enumerate(noise):
        level, side = channel, channel.shape[0]
        while side >= 8:
            shift = shifts(rng, side)
            for axis in (0, 1):
                index = [(i - shift) % side for i in range(side)]
                mean = (level * np.take(level, index, axis=axis)).sum() / side**2
                total += mean**2
                both = np.take(level, index, axis=axis) + np.take(level, np.argsort(index), axis=axis)
                share = 2 * mean * both / side**2
                factor = noise.shape[1] // side
                slope[c] += np.kron(share, np.ones((factor, factor))) / factor**2
            level = level.reshape(side // 2, 2, side // 2, 2).mean(axis=(1, 3))
            side //= 2
    return total, slope


def diverged(noise):
    """The divergence of the moments and its gradient, in closed form."""
    n, mean = noise.size, noise.sum() / noise.size
    variance = ((noise - mean) ** 2).sum() / (n - 1)
    slope = (1 - 1 / (variance + 1e-7)) * 2 * (noise - mean) / (n - 1) + 2 * mean / n
    return variance + mean**2 - 1 - np.log(variance + 1e-7), slope


def smooth(seed, side=32):
    """Noise with neighbours alike, a little off in mean and variance."""
    noise = np.random.default_rng(seed).standard_normal((4, side, side))
    return 0.7 * (noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)) / 2 + 0.1


def test_the_correlation_is_its_sums():
    """Value and gradient over levels of 32, 16 and 8 equal the sums over shifted copies, to 1e-13 (reached: 3e-18)."""
    for noise in (smooth(0), smooth(1, side=64), smooth(2, side=8)):
        leaf = torch.tensor(noise[None], requires_grad=True)
        value = autocorrelation(leaf, np.random.default_rng(7))
        value.backward()
        expected, slope = correlated(noise, np.random.default_rng(7))
        assert value.item() == pytest.approx(expected, abs=1e-13)
        assert leaf.grad[0].numpy() == pytest.approx(slope, abs=1e-13)


def test_the_shifts_are_drawn_anew_and_never_zero():
    """16 draws for a latent of 64 × 64 with 4 channels, from 1 to half the level's side, exclusively."""
    drawn = []

    class Rng:
        def integers(self, low, high):
            drawn.append((low, high))
            return low

    autocorrelation(torch.zeros(1, 4, 64, 64), Rng())
    assert drawn == [(1, 32), (1, 16), (1, 8), (1, 4)] * 4


def test_the_divergence_is_its_closed_form():
    """σ² + μ² − 1 − ln(σ² + 1e−7) with the unbiased variance, and its gradient, to 1e-13 (reached: 4e-16)."""
    noise = smooth(3)
    leaf = torch.tensor(noise[None], requires_grad=True)
    moment_divergence(leaf).backward()
    expected, slope = diverged(noise)
    assert moment_divergence(leaf).item() == pytest.approx(expected, abs=1e-13)
    assert leaf.grad[0].numpy() == pytest.approx(slope, abs=1e-13)


def regularised_noise(noise, rng, correlation=20.0, moment=20.0):
    """Five rounds of five steps of 20/5 down the correlation and one of 20 down the divergence; none of no weight."""
    for _ in range(5):
        for _ in range(5 if correlation else 0):
            noise = noise - correlation / 5 * correlated(noise, rng)[1]
        noise = noise - moment * diverged(noise)[1]
    return noise


@pytest.mark.parametrize("weights", [(20.0, 20.0), (10.0, 0.0), (0.0, 30.0), (0.0, 0.0)])
def test_the_regularisation_is_thirty_gradient_steps(model, weights):
    """The published order and weights, or others, give what the closed forms give, to 1e-12 (reached: 4e-16)."""
    noise, settings = smooth(4), dict(zip(("correlation_weight", "moment_weight"), weights, strict=True))
    method = zero(model) if min(weights) == 20 else zero(model, **settings)
    found = method.regularised_noise(torch.tensor(noise[None]), np.random.default_rng(9))
    expected = regularised_noise(noise, np.random.default_rng(9), *weights)
    assert found[0].numpy() == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(found[0].numpy(), noise) == (not any(weights))
    assert not found.requires_grad


def curved(latents, timestep):
    """Noise that depends on the latents and the timestep, as a UNet's does."""
    return torch.tanh(latents * (1 + timestep / 1000))


@pytest.mark.parametrize("n_steps", [4, 50])
def test_the_authors_inversion_moves_between_its_own_levels(model, n_steps):
    """Without first and last step, ε at t, from ᾱ of t − 1 to ᾱ of t + D − 1: 21, 41, …, 961 of 50, to 1e-11."""
    asked = []

    def noise(latents, timestep):
        asked.append(timestep)
        return curved(latents, timestep)

    clean, stride = model.initial_noise(2), 1000 // n_steps
    found = loaded(Pix2PixZero, model, steps=n_steps).inverted(clean, noise)
    latents = clean
    for timestep in range(1 + stride, 1 + (n_steps - 1) * stride, stride):
        latents = ddim.ddim(latents, curved(latents, timestep), timestep - 1, timestep + stride - 1)
    assert asked == list(range(stride + 1, (n_steps - 1) * stride, stride))
    assert len(asked) == n_steps - 2
    assert furthest(found, latents) < 1e-11


def test_the_exact_inversion_visits_every_step(model):
    """inversion=exact is DDIM inversion over all steps at their own levels, and another result (0.05 apart)."""
    clean = model.initial_noise(2)
    found = loaded(Pix2PixZero, model, inversion="exact", steps=50).inverted(clean, curved)
    assert furthest(found, ddim.inverted(clean, ddim.grid(50), 20, curved)) < 1e-11
    assert furthest(found, loaded(Pix2PixZero, model, steps=50).inverted(clean, curved)) > 0.01


def test_fit_inverts_a_draw_from_the_posterior_under_the_source_caption(model):
    """From pixels to noise, every evaluation regularised, to 1e-10 (reached: 6e-15); seeds decide all that is drawn."""
    picture = noise_picture((64, 64), 80)
    found = zero(model).fit(picture, SOURCE, seed=3)
    pixels = torch.tensor(list(picture.tobytes()), dtype=torch.float64).reshape(1, 64, 64, 3).permute(0, 3, 1, 2)
    draw = torch.randn(1, 4, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rng, caption = np.random.default_rng(3), model.embed(SOURCE)
    with torch.no_grad():
        posterior = model.autoencoder.encode(pixels / 127.5 - 1).latent_dist
        latents = (posterior.mean + posterior.std * draw) * model.autoencoder.config.scaling_factor
        for timestep in (251, 501):
            noise = regularised_noise(model.unet(latents, timestep, caption).sample[0].numpy(), rng)
            latents = ddim.ddim(latents, torch.tensor(noise[None]), timestep - 1, timestep + 249)
    assert furthest(found.start, latents) < 1e-10
    assert torch.equal(found.caption, caption)
    assert torch.equal(zero(model).fit(picture, SOURCE, seed=3).start, found.start)
    assert furthest(zero(model).fit(picture, SOURCE, seed=4).start, found.start) > 1e-3
