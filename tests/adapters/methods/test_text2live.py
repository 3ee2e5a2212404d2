"""Text2LIVE: the network, the losses, the training and the rendering, held against formulas written out here."""

import math
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from madgrad import MADGRAD
from PIL import Image
from torch.nn import functional

from evalkit.editing.method import MethodRun
from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.guidance import loading
from evalkit_adapters.guidance.augmentations import Augmentation
from evalkit_adapters.methods.text2live import losses
from evalkit_adapters.methods.text2live.edit_layer import GREEN, EditLayer, colour_matrix, render
from evalkit_adapters.methods.text2live.losses import (
    TEMPLATES,
    Text2LiveObjective,
    bootstrap_weight,
    self_similarity,
    sparsity,
    spherical_distance,
)
from evalkit_adapters.methods.text2live.method import Text2LIVE
from evalkit_adapters.seeding import globally_seeded
from tests.support.adapters import furthest, untouched
from tests.support.guides import pixels
from tests.support.pictures import noise_picture

ITEM = EditItem(item_id="a", source_caption="a red cat", target_caption="a dog in snow.")
SMALL = {"steps": 3, "size": 48, "scales": 3, "width": 6, "views": 2}


@pytest.fixture(scope="module")
def picture():
    """A source image that is not square."""
    return noise_picture((60, 48), 80)


def loaded(clip, *, run=None, **settings):
    """The method through its own ``load``."""
    method = Text2LIVE()
    values = Text2LIVE.card.values(miniature=False) | SMALL | settings
    with patch.object(loading, "open_clip_guide", return_value=clip):
        method.load(replace(run or MethodRun(model="at hand", revision=None, settings={}), settings=values))
    return method


def still(clip, **settings):
    """The losses of the item where nothing is left to chance."""
    values = Text2LIVE.card.values(miniature=False) | {"augmentation": 0.0, "views": 1, "templates": "plain"} | settings
    return Text2LiveObjective(clip=clip, texts=loaded(clip, **values).objective(ITEM).texts, settings=values)


@pytest.fixture(scope="module")
def layer():
    """A layer over a picture of CLIP's size."""
    return render(torch.rand(1, 4, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), pixels())


# The network


def test_the_network_has_the_published_size():
    """3,115,548 parameters at the published settings, and the published colours."""
    assert sum(part.numel() for part in EditLayer().parameters()) == 3_115_548
    published = [[0.562829, 0.584476, 0.584476], [0.31172, 0, -0.31172], [0.069271, -0.173178, 0.103907]]
    assert furthest(colour_matrix().T, published) < 1e-6


@pytest.mark.parametrize("size", [(64, 64), (61, 83), (100, 37)])
def test_the_layer_has_the_pictures_size(size):
    """Whatever it is; colour and opacity lie in [0, 1]."""
    found = EditLayer(scales=4, width=4)(torch.rand(2, 3, *size))
    assert found.shape == (2, 4, *size)
    assert 0 <= found.min() < found.max() <= 1


def normal(x):
    """Normalised over batch and places, as BatchNorm in training does it before it has learnt anything."""
    middle = x.mean(dim=(0, 2, 3), keepdim=True)
    return (x - middle) / ((x - middle).square().mean(dim=(0, 2, 3), keepdim=True) + 1e-5).sqrt()


def written_out(weights, x):
    """The network of one scale, from its convolutions in the order of its parameters."""

    def conv(x, *, stride=1):
        weight, bias = next(weights), next(weights)
        if weight.shape[-1] == 3:
            x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(x, weight, bias, stride=stride)

    def active(x):
        return torch.where(x > 0, x, 0.2 * x)

    across = active(normal(conv(x)))
    deep = active(normal(conv(active(normal(conv(x, stride=2))))))
    deep = functional.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=False)
    top, left = (deep.shape[2] - x.shape[2]) // 2, (deep.shape[3] - x.shape[3]) // 2
    deep = deep[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    joined = normal(torch.cat([across, deep], dim=1))
    out = conv(active(conv(active(normal(conv(joined))))))
    rows = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64)
    root = rows / torch.tensor([1.6, 1, 1], dtype=torch.float64)
    root = root / root.pow(2).sum(dim=0).sqrt().max()
    colour = torch.stack([sum(root[d, c] * out[:, c] for c in range(3)) for d in range(3)], dim=1)
    return 1 / (1 + torch.exp(-torch.cat([colour, out[:, 3:]], dim=1)))


@pytest.mark.parametrize("size", [(16, 16), (13, 18)])
def test_the_network_is_its_description(size):
    """One scale, written out from its convolutions, to 1e-7: the colours are kept in float32."""
    network = EditLayer(scales=1, width=5).double()
    picture = pixels(*size)
    convolutions = (
        part for name, part in network.named_parameters() if part.ndim == 4 or _of_convolution(network, name)
    )
    assert furthest(network(picture).detach(), written_out(convolutions, picture).detach()) < 1e-7


def _of_convolution(network, name):
    return isinstance(network.get_submodule(name.rpartition(".")[0]), torch.nn.Conv2d)


def test_rendering_is_the_blend(layer):
    """α C + (1 − α) I, over green on the screen; where nothing is opaque the source is untouched."""
    clear = torch.rand(1, 4, 32, 32, dtype=torch.float64)
    clear[:, 3] = 0
    found = render(clear, pixels())
    assert torch.equal(found.composite, pixels())
    assert furthest(found.screen, torch.tensor(GREEN).view(1, 3, 1, 1).expand(1, 3, 32, 32)) < 1e-7
    opaque = clear.clone()
    opaque[:, 3] = 1
    assert torch.equal(render(opaque, pixels()).composite, opaque[:, :3])


# The losses


def test_losses_have_their_closed_forms():
    """Half the squared angle; the sparsity; the tokens' similarities; and finite slopes at both ends."""
    angles = torch.linspace(0.01, 3.1, 50, dtype=torch.float64)
    around = torch.stack([angles.cos(), angles.sin()], dim=1) * 3
    assert furthest(spherical_distance(around, torch.tensor([[2.0, 0.0]]).double()), angles**2 / 2) < 1e-9
    for end in (1.0, -1.0):
        x = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
        spherical_distance(x, torch.tensor([[end, 0.0]]).double()).sum().backward()
        assert x.grad.isfinite().all()
    opacity = torch.rand(1, 1, 5, 7, dtype=torch.float64)
    expected = 0.2 * opacity.mean() + 0.3 * (2 / (1 + (-5 * opacity).exp()) - 1).mean()
    assert abs(sparsity(opacity, mean_weight=0.2, count_weight=0.3) - expected) < 1e-12
    tokens = torch.randn(1, 4, 6, dtype=torch.float64)
    found = self_similarity(tokens)
    for i in range(4):
        for j in range(4):
            cosine = tokens[0, i] @ tokens[0, j] / (tokens[0, i].norm() * tokens[0, j].norm())
            assert abs(found[0, i, j] - cosine) < 1e-12


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", {0: 9.9, 1: 9.8, 49: 5.0, 99: 0.0}),
        ("exponential", {0: 9.9, 1: 9.801, 2: 9.70299, 99: 10 * 0.99**100}),
        ("constant", {0: 10.0, 1: 10.0, 99: 10.0}),
    ],
)
def test_the_bootstrapping_fades(schedule, expected):
    """Linearly to 0, by a hundredth a step, or not; it is over after its steps, and off where there are none.

    The published loop multiplies by 0.99 before it uses the weight, so that the first is 9.9 already.
    """
    found = {step: bootstrap_weight(step, first=10, steps=100, schedule=schedule) for step in expected}
    assert found == pytest.approx(expected, abs=1e-12)
    assert bootstrap_weight(100, first=10, steps=100, schedule=schedule) == 0
    assert bootstrap_weight(0, first=10, steps=0, schedule=schedule) == 0


def angle(x, y):
    """Between two vectors."""
    return math.acos(float(x @ y / (x.norm() * y.norm())))


def test_every_loss_is_its_formula(clip, layer):
    """Composition, direction, screen and structure from open_clip's own embeddings, to 1e-9; and their weights."""
    objective = still(clip)
    source = pixels()
    see = lambda x: clip.embed(x)[0]  # noqa: E731 - a name for a formula
    wanted, before = (clip.embed_texts([text])[0] for text in ("a dog in snow.", "a red cat."))
    screens = clip.embed_texts(["a dog in snow over a green screen.", "a dog in snow in front of a green screen."])
    found = objective.weighted_losses([source], [layer], 0)
    assert abs(found["composition"] - angle(see(layer.composite), wanted) ** 2 / 2) < 1e-9
    moved = see(layer.composite) - see(source)
    assert abs(found["direction"] - 1 + math.cos(angle(moved, wanted - before))) < 1e-9
    squares = [angle(see(layer.screen), text) ** 2 / 2 for text in screens]
    mixtures = {sum(squares[i] for i in rows) / len(rows) for rows in ((0,), (1,), (0, 0), (0, 1), (1, 1))}
    assert min(abs(found["screen"] - mixture) for mixture in mixtures) < 1e-9
    likeness = [self_similarity(clip.tokens(x)) for x in (source, layer.composite)]
    assert abs(found["structure"] - 2 * (likeness[0] - likeness[1]).square().mean()) < 1e-9
    assert abs(found["sparsity"] - 6 * sparsity(layer.opacity, mean_weight=0.01, count_weight=0.01)) < 1e-12
    assert "bootstrap" not in found
    cosine = still(clip, criterion="cosine").weighted_losses([source], [layer], 0)
    assert abs(cosine["composition"] - 1.2 * (1 - math.cos(angle(see(layer.composite), wanted)))) < 1e-9


def test_the_losses_of_two_pictures_are_averaged(clip, layer):
    """The bootstrapping too, which the reference overwrites and then halves: the regression to guard."""
    objective = still(clip, bootstrap_steps=10, screen=0.0)
    other = render(layer.composite.new_tensor(0.3).expand(1, 4, 32, 32), pixels(seed=5))
    alone = [objective.weighted_losses([x], [y], 0) for x, y in ((pixels(), layer), (pixels(seed=5), other))]
    both = objective.weighted_losses([pixels(), pixels(seed=5)], [layer, other], 0)
    for name, value in both.items():
        assert abs(value - (alone[0][name] + alone[1][name]) / 2) < 1e-9, name
    region = clip.relevancy(pixels(), clip.embed_texts(["a red cat"])[0])
    assert abs(alone[0]["bootstrap"] - 9 * (layer.opacity - region).square().mean()) < 1e-9


def test_two_pictures_of_an_iteration_share_their_sentences(clip, layer):
    """One draw for each loss with texts, however many pictures; two of the same picture are then worth one of it."""
    objective, draws, sample_rows = still(clip, templates="published"), [], losses.sample_rows

    def counted(*embeddings):
        draws.append(sample_rows(*embeddings))
        return draws[-1]

    found = []
    for number in (1, 2, 3):
        draws.clear()
        with globally_seeded(3), patch.object(losses, "sample_rows", counted):
            found.append(objective.weighted_losses([pixels()] * number, [layer] * number, 0))
        assert [len(rows) for rows in draws] == [1, 2, 1]  # composition; target and source; screen
        assert furthest(found[-1]["composition"], found[0]["composition"]) < 1e-12


def test_source_and_target_are_drawn_in_the_same_sentences(clip):
    """Fourteen sentences for both, two for the screen; any number of them, the same of both."""
    texts = loaded(clip).objective(ITEM).texts
    assert (len(texts.composite), len(texts.source), len(texts.screen)) == (14, 14, 2)
    assert torch.equal(texts.composite, clip.embed_texts([one.format("a dog in snow") for one in TEMPLATES]))
    numbered = torch.arange(14.0)
    with globally_seeded(0):
        draws = [losses.sample_rows(numbered, -numbered) for _ in range(300)]
    assert all(torch.equal(one, -other) for one, other in draws)
    assert {len(one) for one, _ in draws} == set(range(1, 15))
    assert any(len(one.unique()) < len(one) for one, _ in draws)


@pytest.mark.parametrize(("setting", "field"), [("screen_text", "screen"), ("bootstrap_text", "region")])
def test_other_texts_can_be_set(clip, setting, field):
    """For the layer and for the region, in place of the captions."""
    plain, augment = (getattr(loaded(clip, **{setting: text}).objective(ITEM).texts, field) for text in ("", "grass"))
    assert furthest(plain, augment) > 0.1


# Training


def test_madgrad_is_the_published_rule():
    """Ten steps with weight decay, momentum and a falling rate, written out, to 1e-12."""
    start = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = start.clone().requires_grad_()
    optimiser = MADGRAD([x], lr=2.5e-3, momentum=0.9, weight_decay=0.01)
    s, v, here, rate = torch.zeros(7), torch.zeros(7), start.clone(), 2.5e-3
    for k in range(10):
        optimiser.zero_grad()
        (x**4).sum().backward()
        optimiser.step()
        slope = 4 * here**3 + 0.01 * here
        step = (rate + 1e-6) * math.sqrt(k + 1)
        s, v = s + step * slope, v + step * slope**2
        here = 0.9 * here + 0.1 * (start - s / (v.pow(1 / 3) + 1e-6))
        rate = max(1e-5, 0.99 * rate)
        optimiser.param_groups[0]["lr"] = rate
    assert furthest(x.detach(), here) < 1e-12


def test_the_rate_falls_to_its_floor(clip, picture):
    """By a hundredth a step down to 1e-5, which the published settings reach after 550 steps."""
    method, rates = loaded(clip, steps=560, size=8, scales=1, width=1), []

    class Noting(MADGRAD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])

    with patch("madgrad.MADGRAD", Noting), patch.object(Text2LIVE, "loss", lambda self, net, *_: _square(net)):
        method.trained(picture, None)
    assert rates[:2] == pytest.approx([2.5e-3, 2.475e-3], rel=1e-12)
    assert rates[549] == pytest.approx(2.5e-3 * 0.99**549, rel=1e-9)
    assert rates[-1] == pytest.approx(1e-5, rel=1e-12)


def _square(network):
    return sum(part.square().sum() for part in network.parameters())


def test_the_untouched_source_is_shown_now_and_then(clip, picture):
    """In addition, at steps 0, 75, 150, …; all others see one varied picture."""
    method, shown = loaded(clip, size=48), []
    objective = method.objective(ITEM)
    noting = lambda _self, seen, *_: shown.append([one.shape for one in seen]) or {"none": torch.zeros(())}  # noqa: E731
    with patch.object(Text2LiveObjective, "weighted_losses", noting):
        for step in (0, 1, 74, 75, 76):
            method.loss(method.network(), method.resized(picture), objective, step)
    assert [len(seen) for seen in shown] == [2, 1, 1, 2, 1]
    assert shown[0][1] == (1, 3, 48, 60)


def test_an_edit_follows_its_seed_and_leaves_everything_else_alone(clip, picture):
    """The same twice, another by another seed, of the source's size; CLIP and torch's own generator are as before."""
    method = loaded(clip)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with untouched(clip.model):
        found = [method.edit(ITEM, method.fit(picture, None, seed=0), seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected)
    assert found[0].size == picture.size
    assert found[0].tobytes() == found[1].tobytes() != found[2].tobytes()


def test_a_failure_leaves_clip_and_chance_as_they_were(clip, picture, monkeypatch):
    """Half-way through training."""
    method, state = loaded(clip), torch.get_rng_state()
    monkeypatch.setattr(Text2LiveObjective, "structure", lambda *_: 1 / 0)
    with untouched(clip.model), pytest.raises(ZeroDivisionError):
        method.edit(ITEM, picture, seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_can_begin_with_a_colour():
    """Of a given shift in each channel's logit, everywhere, at the same opacity."""
    network, picture = EditLayer(scales=2, width=4).double(), pixels(16, 16)
    before = network(picture).logit()
    network.shift_colour(torch.tensor([1.0, -0.5, 0.25]))
    shift = (network(picture).logit() - before).detach()
    assert furthest(shift, torch.tensor([1.0, -0.5, 0.25, 0.0]).double().view(1, 4, 1, 1).expand_as(shift)) < 1e-5


def test_of_several_tries_the_one_that_clip_likes_best_goes_on(clip, picture):
    """Each is trained without sparsity from another colour; the best is then trained with all losses, all steps."""
    method, calls = loaded(clip, tries=3, try_steps=2, spread=1.0), []

    def noting(self, network, _picture, objective, steps):
        calls.append((network, objective.settings["sparsity"], steps))
        return network

    likings = iter([0.7, 0.2, 0.5])
    with patch.object(Text2LIVE, "train", noting), patch.object(Text2LIVE, "clip_loss", lambda *_: next(likings)):
        found = method.trained(method.resized(picture), method.objective(ITEM))
    assert [call[1:] for call in calls] == [(0.0, 2)] * 3 + [(6.0, 3)]
    assert found is calls[1][0] is calls[3][0]
    assert len({call[0].colours.bias[0].item() for call in calls[:3]}) == 3


def test_what_clip_likes_is_the_composites_losses(clip, picture):
    """Both of CLIP's, three times over, and nothing of the others."""
    method = loaded(clip, augmentation=0.0, views=1, templates="plain")
    working, network = method.resized(picture), method.network()
    objective = method.objective(ITEM)
    pixels = method.pixels(working)
    with torch.no_grad():
        weighted_losses = objective.weighted_losses([pixels], [render(network(pixels), pixels)], 0)
    expected = 3 * float(weighted_losses["composition"] + weighted_losses["direction"])
    assert method.clip_loss(network, working, objective) == pytest.approx(expected, rel=1e-9)


def test_the_picture_is_rendered_as_it_was_trained(clip, picture):
    """With the batch's own statistics: with running ones, of three steps, the picture would be another."""
    method = loaded(clip)
    working, networks = method.resized(picture), []
    trained = Text2LIVE.trained
    with patch.object(Text2LIVE, "trained", lambda *given: networks.append(trained(*given)) or networks[0]):
        found = np.asarray(method.edit(ITEM, picture, seed=0)) / 255
    pixels = method.pixels(working)
    with torch.no_grad():
        composites = [render(networks[0].train(mode)(pixels), pixels).composite[0] for mode in (True, False)]
    distances = [furthest(found, one.permute(1, 2, 0)) for one in composites]
    assert distances[0] < 1 / 255 < 0.02 < distances[1]


def test_what_was_trained_is_kept_where_that_is_wanted(clip, picture, tmp_path):
    """Training is shown; a second run of the same settings trains nothing and paints the same, another seed anew."""
    told = []
    run = MethodRun(
        model="at hand", revision=None, settings={}, artefacts=tmp_path, progress=lambda *step: told.append(step)
    )
    first = loaded(clip, run=run).edit(ITEM, picture, seed=0)
    assert told == [("training", done, 3) for done in range(4)]
    assert len([*tmp_path.iterdir()]) == 1
    with patch.object(Text2LIVE, "trained", side_effect=AssertionError("trained")):
        again = loaded(clip, run=run).edit(ITEM, picture, seed=0)
        with pytest.raises(AssertionError, match="trained"):
            loaded(clip, run=run).edit(ITEM, picture, seed=1)
    assert again.tobytes() == first.tobytes()


@pytest.mark.parametrize("scales", [4, 7])
def test_a_picture_too_small_for_its_scales_is_refused_with_how_many_fit(clip, picture, scales):
    """Before anything is trained; what the message proposes works for the worst crop, and one scale more would not."""
    with pytest.raises(OptionError, match=r"--set scales=(\d)") as caught:
        loaded(clip, size=24, scales=scales).resized(picture)
    fitting = int(str(caught.value)[-1])
    assert loaded(clip, size=24, scales=fitting).resized(picture).size == (30, 24)
    smallest = int(24 * 0.8 * 0.85)
    EditLayer(scales=fitting, width=2)(torch.rand(1, 3, smallest, smallest))
    with pytest.raises((ValueError, RuntimeError)):
        EditLayer(scales=fitting + 1, width=2)(torch.rand(1, 3, smallest, smallest))


def test_half_precision_is_refused():
    """It is unstable."""
    settings = Text2LIVE.card.values(miniature=False)
    with pytest.raises(OptionError, match="fp32"):
        Text2LIVE().load(MethodRun(model="miniature", revision=None, settings=settings, dtype="fp16"))


def test_the_published_size_goes_through(clip):
    """512 × 640 pixels through the network of seven scales, without memory, and back."""
    network, picture = EditLayer().to("meta"), torch.empty(1, 3, 512, 640, device="meta")
    layer = render(network(picture), picture)
    layer.composite.sum().backward()
    assert layer.opacity.shape == (1, 1, 512, 640)
    assert all(part.grad.shape == part.shape for part in network.parameters())


# The augmentations


def test_views_are_of_one_size_and_differ():
    """The short side CLIP's, the long side 320 / 224 of it at most; each changed in its own way."""
    with globally_seeded(0):
        found = Augmentation().views(pixels(40, 50), 16, 32)
    assert found.shape == (16, 3, 32, 40)
    assert len({float(view.mean()) for view in found}) == 16
    assert Augmentation(0.0).views(pixels(40, 80), 1, 32).shape == (1, 3, 23, 46)
    picture = pixels(40, 60).requires_grad_()
    with globally_seeded(0):
        Augmentation().views(picture, 4, 32).sum().backward()
    assert (picture.grad != 0).float().mean() > 0.9


def test_without_strength_nothing_is_changed():
    """Then views are the picture at CLIP's size, and what the network sees is the source."""
    found = Augmentation(0.0).views(pixels(40, 50), 3, 40)
    assert furthest(found, pixels(40, 50).expand(3, -1, -1, -1)) < 1e-12
    picture = noise_picture((30, 20), 50)
    assert Augmentation(0.0).training_view(picture).tobytes() == picture.tobytes()


def test_varied_pictures_stay_within_the_published_ranges():
    """Sides from 0.8 · 0.85 to 1.2 of the source's, the same share of both, about half of them mirrored."""
    left = Image.fromarray(np.repeat(np.arange(100, dtype=np.uint8)[None, :, None] * 2, 80, axis=0).repeat(3, axis=2))
    with globally_seeded(0):
        found = [Augmentation().training_view(left) for _ in range(200)]
    widths = np.array([one.width for one in found]) / 100
    assert 0.66 < widths.min() < 0.72
    assert 1.1 < widths.max() <= 1.2
    assert all(abs(one.height / 80 - one.width / 100) < 0.03 for one in found)
    mirrored = [np.asarray(one)[0, 0, 0] > np.asarray(one)[0, -1, 0] for one in found]
    assert 70 < sum(mirrored) < 130
