"""The ground of all methods that optimise: the loss, the loop, and weights that are put back bit by bit."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from evalkit.errors import OptionError
from evalkit_adapters.diffusion.optimisation import (
    adam,
    checkpointed,
    denoising_loss,
    optimise,
    trainable,
)
from evalkit_adapters.seeding import seeded_generator
from tests.support import optimising
from tests.support.adapters import furthest, untouched
from tests.support.ddim import SIGNAL
from tests.support.diffusion import tiny_model


@pytest.fixture(scope="module")
def clean(model):
    """A latent."""
    return model.initial_noise(3)


def single(dtype=torch.float32):
    """A frozen model in another precision, of its own."""
    return tiny_model(dtype=dtype)


def loss_of(model, clean, seed=0):
    """The denoising loss under a caption, for the loop."""
    draws, caption = seeded_generator(seed, "test"), model.embed("a red circle")
    return lambda _step: denoising_loss(lambda x, t: model.noise(x, t, caption), clean, model.schedule, draws)


# Loss


def test_the_denoising_loss_is_the_published_one(model, clean):
    """Noise drawn first, then the timestep; the mean of the squared error, to 1e-9."""
    draws, caption = seeded_generator(5, "test"), model.embed("a red circle")
    for _ in range(3):
        state = draws.get_state()
        ours = denoising_loss(lambda x, t: model.noise(x, t, caption), clean, model.schedule, draws)
        again = torch.Generator()
        again.set_state(state)
        noise = torch.randn(1, 4, 16, 16, generator=again).double()
        t = torch.randint(0, 1000, (1,), generator=again)
        noisy = SIGNAL[t] ** 0.5 * clean + (1 - SIGNAL[t]) ** 0.5 * noise
        with torch.no_grad():
            error = (noise - model.unet(noisy, t, caption).sample).flatten()
        assert abs(ours.item() - (error @ error / error.numel()).item()) < 1e-9


def test_timesteps_are_uniform_over_all_of_training(model, clean):
    """From 0 to 999, each as likely: 4,000 draws have the mean and the spread of it within four standard errors."""
    seen, draws = [], seeded_generator(0, "test")
    for _ in range(4000):
        denoising_loss(lambda x, t: seen.append(t) or x[:, :, :1, :1], clean[:, :, :1, :1], model.schedule, draws)
    times = torch.tensor(seen, dtype=torch.float64)
    assert (times.min() < 5) & (times.max() > 994)
    assert abs(times.mean() - 499.5) < 4 * 288.7 / 4000**0.5
    assert abs(times.std() - 288.7) < 4 * 288.7 * (0.2 / 4000) ** 0.5


def test_a_seed_gives_each_purpose_its_own_numbers():
    """The same again for the same seed and purpose; nothing in common for another."""
    first, again, other, next_ = (
        torch.randn(1000, generator=seeded_generator(*key)) for key in [(0, "a"), (0, "a"), (0, "b"), (1, "a")]
    )
    assert torch.equal(first, again)
    for different in (other, next_):
        assert abs(torch.corrcoef(torch.stack([first, different]))[0, 1]) < 0.15


# Loop


@pytest.mark.parametrize("decay", [None, 0.1])
def test_the_loop_makes_adams_steps(decay):
    """On a loss with a known gradient, to 1e-12; no decay of weights unless it is asked for; no gradient left."""
    start = torch.linspace(-2, 2, 7, dtype=torch.float64)
    weights = start.clone().requires_grad_()
    losses = optimise(lambda _: (weights**4).sum(), adam([weights], 0.05, decay=decay), 6, what="w")
    (expected,) = optimising.adam([start], lambda now: [4 * now[0] ** 3], 0.05, 6, decay or 0.0)
    assert furthest(weights.detach(), expected) < 1e-12
    assert weights.grad is None
    assert losses.shape == (6,)
    assert losses[0] == (start**4).sum()


def test_progress_starts_at_nothing_and_ends_with_all():
    """Whoever watches sees every step; without steps there is nothing to see, and nothing is changed."""
    weights, seen = torch.ones(1, requires_grad=True), []
    optimise(lambda _: weights.sum(), adam([weights], 0.1), 2, what="w", progress=lambda *step: seen.append(step))
    assert seen == [("w", 0, 2), ("w", 1, 2), ("w", 2, 2)]
    assert optimise(lambda _: pytest.fail("called"), adam([weights], 0.1), 0, what="w").shape == (0,)


def test_the_learning_rate_follows_its_schedule():
    """Gradient descent with a rate that is halved at each step moves by halves; any optimiser of torch's will do."""
    weights = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([weights], lr=1.0)
    rates = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)
    optimise(lambda _: weights.sum(), optimiser, 4, what="w", rates=rates)
    assert weights.item() == -(1 + 0.5 + 0.25 + 0.125)


def test_the_loss_is_told_the_step_and_needs_no_gradients_switched_on():
    """Also where the caller has switched them off."""
    weights, steps = torch.ones(1, requires_grad=True), []
    with torch.no_grad():
        optimise(lambda step: steps.append(step) or weights.sum(), adam([weights], 0.1), 3, what="w")
    assert steps == [0, 1, 2]
    assert abs(weights.item() - 0.7) < 1e-6


def test_a_loss_that_is_no_number_ends_the_item():
    """It is said at which step, and no gradient stays behind."""
    weights = torch.ones(1, requires_grad=True)
    with pytest.raises(FloatingPointError, match="the loss of colours is nan at step 2 of 4: take a lower rate"):
        optimise(lambda step: weights.sum() * (1.0 if step < 2 else torch.nan), adam([weights], 0.1), 4, what="colours")
    assert weights.grad is None


def test_an_interruption_leaves_no_gradient():
    """Whatever ends the loop."""
    weights = torch.ones(1, requires_grad=True)

    def interrupted(step):
        if step == 1:
            raise KeyboardInterrupt
        return weights.sum()

    with pytest.raises(KeyboardInterrupt):
        optimise(interrupted, adam([weights], 0.1), 4, what="w")
    assert weights.grad is None


@pytest.mark.parametrize("size", [1.0, 1e-7])
def test_half_precision_neither_loses_nor_blows_up_gradients(size):
    """With a loss scaled for fp16 and scaled back, Adam's steps are those without; a gradient of 1e-9 is not 0.

    Without the scaling back, or around an optimiser that does not know of it, Adam's epsilon would count for less; at
    gradients of 1e-9 it is ten times larger than they are, so that the steps would differ tenfold.
    """
    weights = [torch.ones(8, requires_grad=True) for _ in range(2)]
    scale = torch.linspace(0.01, 1, 8) * size
    for one, dtype in zip(weights, ("fp32", "fp16"), strict=True):
        optimise(lambda _, one=one: (scale * one).sum(), adam([one], 0.01), 20, what="w", dtype=dtype)
    assert furthest(weights[0].detach(), weights[1].detach()) < 1e-6
    assert (weights[1] < 1).all()


def test_a_step_that_overflows_is_left_out():
    """An infinite gradient at fp16 does not reach the weights, and later steps go on."""
    weights = torch.ones(1, requires_grad=True)
    factor = {1: 3e38}
    optimise(lambda step: weights.sum() * factor.get(step, 1.0), adam([weights], 0.1), 4, what="w", dtype="fp16")
    assert abs(weights.item() - (1 - 3 * 0.1)) < 1e-5


# Adam in 8 bits


def test_eight_bits_are_refused_where_they_cannot_be(monkeypatch):
    """On a CPU; and on CUDA without the package, with the command that brings it."""
    with pytest.raises(OptionError, match=r"needs a CUDA device.* --set eight_bit=false"):
        adam([torch.ones(1)], 0.1, eight_bit=True)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(OptionError, match="pip install bitsandbytes"):
        adam([SimpleNamespace(is_cuda=True)], 0.1, eight_bit=True)


def test_eight_bits_come_from_bitsandbytes(monkeypatch):
    """With and without decay, at the same rate and moments."""
    package = ModuleType("bitsandbytes")
    package.optim = SimpleNamespace(
        Adam8bit=lambda *given, **how: ("Adam8bit", how), AdamW8bit=lambda *given, **how: ("AdamW8bit", how)
    )
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    weights = [SimpleNamespace(is_cuda=True)]
    how = {"lr": 0.1}
    assert adam(weights, 0.1, eight_bit=True) == ("Adam8bit", how | {"weight_decay": 0.0})
    assert adam(weights, 0.1, decay=0.2, eight_bit=True) == ("AdamW8bit", how | {"weight_decay": 0.2})


# Weights for a while


def fail_in_training(model, clean):
    """With gradients in every weight, and in training mode."""
    loss_of(model, clean)(0).backward()
    model.unet.train()
    raise ZeroDivisionError


def test_tuned_weights_are_put_back_bit_by_bit(model, clean):
    """Weights, gradients, modes, hooks and what is frozen, after an optimisation that changed every weight."""
    with untouched(model.unet):
        with trainable(model.unet, checkpointing=True) as weights:
            optimise(loss_of(model, clean), adam(weights.parameters, 1e-3), 1, what="weights")
            changed = weights.changed()
            assert changed.keys() == dict(model.unet.named_parameters()).keys()
            assert all(part.grad is None for part in weights.parameters)
        with pytest.raises(ZeroDivisionError), trainable(model.unet):
            fail_in_training(model, clean)


def test_weights_that_had_gradients_keep_them_out_of_the_optimisation():
    """What stood in ``.grad`` before is not optimised with, and stands there again afterwards."""
    network = nn.Linear(1, 1, bias=False)
    network.weight.grad = torch.full((1, 1), 7.0)
    before = network.weight.detach().clone()
    with trainable(network) as weights:
        assert network.weight.grad is None
        optimise(lambda _: network(torch.ones(1)).sum(), torch.optim.SGD(weights.parameters, 0.1), 1, what="w")
        assert abs((before - network.weight).item() - 0.1) < 1e-6
    assert network.weight.grad.item() == 7
    assert network.weight.requires_grad
    assert torch.equal(network.weight, before)


def test_running_statistics_are_put_back_too():
    """Not weights alone: what a network counts while it is trained."""
    network = nn.BatchNorm1d(3).train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with trainable(network):
        network(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
        assert network.num_batches_tracked == 1
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("dtype", "stored"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_weights_are_float32_whatever_the_run_computes_in(dtype, stored):
    """At the published 5e-7 a step is below what half precision can tell: they move all the same, and are put back."""
    model = single()
    model.unet.to(stored)
    clean, rate = model.initial_noise(3), 5e-7
    with untouched(model.unet):
        with trainable(model.unet, dtype=dtype) as weights:
            before = {name: part.detach().clone() for name, part in model.unet.named_parameters()}
            seen = []
            handle = model.unet.conv_in.register_forward_hook(lambda *given: seen.append(given[2].dtype))
            optimise(loss_of(model, clean), adam(weights.parameters, rate), 3, what="weights", dtype=dtype)
            handle.remove()
            assert seen == [stored] * 3
            moved = [part.dtype for part in weights.parameters if part.dtype != torch.float32]
            assert moved == []
            steps = torch.cat([(part - before[name]).abs().flatten() for name, part in model.unet.named_parameters()])
            assert steps.max() < 3.5 * rate
            assert steps.median() > rate
        assert model.unet.dtype == stored


def test_what_was_changed_can_be_set_again(model, clean):
    """An artefact: the same weights to the bit in a later tuning, from either precision; what is equal is left out."""
    with trainable(model.unet) as weights:
        optimise(loss_of(model, clean), adam(weights.parameters[:3], 1e-3), 1, what="weights")
        changed, result = weights.changed(), model.noise(clean, 10, model.embed(""))
    assert len(changed) == 3
    plain = model.noise(clean, 10, model.embed(""))
    with trainable(model.unet) as weights:
        weights.load(changed)
        assert torch.equal(model.noise(clean, 10, model.embed("")), result)
    assert torch.equal(model.noise(clean, 10, model.embed("")), plain)
    assert furthest(plain, result.detach()) > 1e-4


# Memory


def saving_into(sizes):
    """Notes how many numbers each value has that waits for the way back."""
    return torch.autograd.graph.saved_tensors_hooks(lambda value: sizes.append(value.numel()) or value, lambda x: x)


def loss_under(model, caption, clean):
    """The denoising loss at one draw."""
    return denoising_loss(lambda x, t: model.noise(x, t, caption), clean, model.schedule, seeded_generator(0, "test"))


def test_recomputing_keeps_less_and_gives_the_same_gradients(model, clean):
    """With gradient checkpointing fewer values wait for the way back, and the gradients are equal to 1e-12."""
    kept, gradients = [], []
    for wanted in (False, True):
        caption, sizes = model.embed("a red circle").clone().requires_grad_(), []
        with untouched(model.unet), checkpointed(model.unet, wanted), saving_into(sizes):
            loss_under(model, caption, clean).backward()
        kept.append(sum(sizes))
        gradients.append(caption.grad)
    assert kept[1] < 0.6 * kept[0]
    assert furthest(*gradients) < 1e-12


def test_a_network_that_offers_no_recomputing_is_used_as_it_is():
    """Asking for it is no mistake."""
    network = nn.Linear(2, 2)
    with untouched(network), trainable(network, checkpointing=True) as weights:
        assert len(weights.parameters) == 2
