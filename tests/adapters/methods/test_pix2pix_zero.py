"""pix2pix-zero: the edit direction and cross-attention guidance, against formulas written out."""

import pytest
import torch

from evalkit.edits.item import EditItem
from evalkit.errors import OptionError
from evalkit_adapters.diffusion import attention
from evalkit_adapters.diffusion.latent_diffusion import LatentDiffusion
from evalkit_adapters.diffusion.schedule import Schedule
from evalkit_adapters.methods.pix2pix_zero import InvertedSource, Pix2PixZero
from tests.support import ddim
from tests.support.adapters import furthest, loaded, untouched
from tests.support.diffusion import N_LAYERS, scheduler, sd_unet_on_meta

STEPS, STRIDE = 4, 250
STRONG = 30.0
"""λ at which attraction changes the edit by O(1): the gradients of random weights are small."""
SOURCE, TARGET = "a small red circle", "a large blue square on a green background"


@pytest.fixture(scope="module")
def source(model):
    """An inverted image as ``fit`` gives it."""
    return InvertedSource(model.initial_noise(1), model.embed(SOURCE))


@pytest.fixture(scope="module")
def direction(model):
    """From the source caption to the target caption."""
    return model.embed(TARGET) - model.embed(SOURCE)


def zero(model, **settings):
    """The method in four steps."""
    return loaded(Pix2PixZero, model, **({"steps": STEPS} | settings))


class Watcher:
    """diffusers' own attention with its own explicit probabilities, which are kept."""

    def __init__(self, maps):
        self.maps = maps

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        """The layer's output."""
        query, key, value = (
            attn.head_to_batch_dim(part)
            for part in (attn.to_q(hidden_states), attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states))
        )
        self.maps.append(attn.get_attention_scores(query, key))
        return attn.to_out[0](attn.batch_to_head_dim(self.maps[-1] @ value))


def noise_and_attention(unet, latents, timestep, captions):
    """The predicted noise and the maps of all ``attn2``, ``(batch × heads, tokens, caption tokens)`` each."""
    before, maps = dict(unet.attn_processors), []
    changed = {name: Watcher(maps) if ".attn2." in name else part for name, part in before.items()}
    unet.set_attn_processor(changed)
    try:
        return unet(latents, timestep, captions).sample, maps
    finally:
        unet.set_attn_processor(before)


def distance(unet, pair, timestep, captions, kept):
    """The loss of cross-attention guidance: the reference's two rows are alike."""
    _, maps = noise_and_attention(unet, pair, timestep, captions)
    return sum(((now - torch.cat([then, then])) ** 2).sum() / len(now) for now, then in zip(maps, kept, strict=True))


# The edit direction


def test_the_direction_of_two_captions_is_their_difference(model, source):
    """Without files the direction leads from the item's source caption to its target caption, position by position."""
    item = EditItem(item_id="a", source_caption=SOURCE, target_caption=TARGET)
    with torch.no_grad():
        ends = [
            model.text_encoder(model.tokenizer([text], padding="max_length", return_tensors="pt").input_ids)
            for text in (SOURCE, TARGET)
        ]
    expected = ends[1].last_hidden_state - ends[0].last_hidden_state
    found = zero(model).direction(item, source.caption)
    assert found.shape == (1, 48, 32)
    assert furthest(found, expected) < 1e-12
    assert furthest(found[:, 0], torch.zeros(1, 32)) == 0  # the first token stands for every caption
    assert furthest(found, torch.zeros_like(found)) > 0.1


def test_the_direction_of_two_banks_is_the_difference_of_their_means(model, source, tmp_path):
    """Files of sentences: the mean over a file's sentences at each position, to 1e-12 (reached: 4e-15)."""
    colours, shapes = ("red", "green", "blue", "yellow", "white"), ("circle", "square", "triangle", "star")
    banks = {
        "source_sentences": [
            f"a {size} {colour} {shape}"
            for size in ("small", "large", "tiny", "huge")
            for colour in colours
            for shape in shapes
        ],
        "target_sentences": ["a picture", "a square on a green background"],
    }
    means = {}
    for name, lines in banks.items():
        (tmp_path / name).write_text("\n\n".join(lines) + "\n", encoding="utf-8")
        total = torch.zeros(1, 48, 32, dtype=torch.float64)
        for line in lines:
            ids = model.tokenizer([line], padding="max_length", return_tensors="pt").input_ids
            with torch.no_grad():
                total += model.text_encoder(ids).last_hidden_state
        means[name] = total / len(lines)
    method = zero(model, **{name: str(tmp_path / name) for name in banks})
    found = method.direction(EditItem(item_id="a", target_caption="whatever"), source.caption)
    assert furthest(found, means["target_sentences"] - means["source_sentences"]) < 1e-12


def test_a_bank_that_cannot_be_read_is_refused_before_the_model_is_loaded(tmp_path):
    """One file without the other, a missing one, an empty one: each is named, and no item is tried."""
    (tmp_path / "empty").write_text("\n")
    missing, empty = str(tmp_path / "missing"), str(tmp_path / "empty")
    for files, message in [((empty, ""), "two ends"), ((missing, empty), "missing"), ((empty, empty), "no sentences")]:
        with pytest.raises(OptionError, match=message):
            loaded(Pix2PixZero, None, source_sentences=files[0], target_sentences=files[1])


# Cross-attention guidance


@pytest.fixture(scope="module")
def apart(model, source, direction):
    """An edit that has left its reference: latents, captions of the pair, and the reference's maps, both ways."""
    latent = source.start + 0.3 * model.initial_noise(8)
    captions = torch.cat([source.caption, source.caption + direction])
    with torch.no_grad():
        _, kept = zero(model).noise_and_attention(source.start, 501, source.caption)
        _, expected = noise_and_attention(model.unet, source.start, 501, source.caption)
    return latent, captions, kept, expected


def test_the_maps_are_those_of_diffusers(model, source, apart):
    """All 16 cross-attention maps equal diffusers' own scores, and watching changes nothing in the noise, to 1e-12."""
    _, _, kept, expected = apart
    assert len(kept) == N_LAYERS == len(expected)
    for ours, theirs in zip(kept, expected, strict=True):
        assert furthest(ours.flatten(0, 1), theirs) < 1e-13
        assert furthest(ours.sum(dim=-1), torch.ones_like(ours[..., 0])) < 1e-12
    with torch.no_grad():
        seen, _ = zero(model).noise_and_attention(source.start, 501, source.caption)
        assert furthest(seen, model.unet(source.start, 501, source.caption).sample) < 1e-12


def test_the_gradient_step_is_that_of_the_loss(model, apart):
    """Both rows move down the gradient of an independent loss, by λ, to 1e-10 (reached: 9e-16)."""
    latent, captions, kept, expected = apart
    leaf = torch.cat([latent, latent]).requires_grad_()
    (slope,) = torch.autograd.grad(distance(model.unet, leaf, 501, captions, expected), leaf)
    found = zero(model, attention_step=STRONG).attention_guided(latent, 501, captions, kept)
    assert not found.requires_grad
    assert furthest(found, leaf.detach() - STRONG * slope) < 1e-10
    assert min(furthest(row, latent) for row in found.split(1)) > 0.1


# The edit


def written_out(unet, source, direction, guidance, attention_step):
    """The edited latent from the specification's three points, in the authors' two passes; and the reference's."""
    reference = latent = source.start
    kept, captions = {}, torch.cat([source.caption, source.caption + direction])
    for timestep in ddim.grid(STEPS):
        with torch.no_grad():
            noise, kept[timestep] = noise_and_attention(unet, reference, timestep, source.caption)
        reference = ddim.ddim(reference, noise, timestep, timestep - STRIDE)
    for timestep in ddim.grid(STEPS):
        leaf = torch.cat([latent, latent]).requires_grad_()
        (slope,) = torch.autograd.grad(distance(unet, leaf, timestep, captions, kept[timestep]), leaf)
        pair = leaf.detach() - attention_step * slope
        with torch.no_grad():
            without, with_text = (unet(pair[i : i + 1], timestep, captions[i : i + 1]).sample for i in (0, 1))
        latent = ddim.ddim(pair[:1], without + guidance * (with_text - without), timestep, timestep - STRIDE)
    return latent, reference


@pytest.fixture(scope="module")
def written(model, source, direction):
    """The written-out edit and reference."""
    return written_out(model.unet, source, direction, 5.0, STRONG)


def test_an_edit_is_its_formula(model, source, direction, written):
    """Four whole steps end where the written-out passes end, to 1e-10 (reached: 3e-14)."""
    with untouched(model.unet):
        edited = zero(model, attention_step=STRONG).edited_latent(source, direction)
    assert furthest(edited, written[0]) < 1e-10


def test_without_a_direction_the_source_is_reconstructed(model, source, direction, written):
    """A direction of nothing leaves nothing to attract, and the edit is the reference, whatever λ and guidance."""
    found = zero(model, attention_step=STRONG).edited_latent(source, torch.zeros_like(direction))
    assert furthest(found, written[1]) < 1e-10


def test_without_attraction_it_is_plain_guided_sampling(model, source, direction):
    """With λ = 0 the moved caption is sampled against the source's, at the guidance that is set (reached: 2e-14)."""
    captions = source.caption, source.caption + direction
    plain = ddim.sampled(
        source.start, ddim.grid(STEPS), STRIDE, lambda x, t: ddim.guided(model.unet, x, t, *captions, 3.0)
    )
    found = zero(model, attention_step=0.0, guidance=3.0).edited_latent(source, direction)
    assert furthest(found, plain) < 1e-11


# Layers


def test_stable_diffusions_sixteen_layers_are_watched_at_512_pixels():
    """At Stable Diffusion 1.5's true size, without memory: 16 layers, 8 heads, 4096 to 64 tokens, and a gradient."""
    whole = LatentDiffusion(
        autoencoder=None,
        unet=sd_unet_on_meta().requires_grad_(False),
        tokenizer=None,
        text_encoder=None,
        schedule=Schedule.from_scheduler(scheduler()),
    )
    method = loaded(Pix2PixZero, whole)
    latent, caption = torch.empty(1, 4, 64, 64, device="meta"), torch.empty(1, 77, 768, device="meta")
    with torch.no_grad():
        _, kept = method.noise_and_attention(latent, 981, caption)
    tokens = [4096] * 2 + [1024] * 2 + [256] * 2 + [64] + [256] * 3 + [1024] * 3 + [4096] * 3
    assert [one.shape for one in kept] == [(1, 8, n, 77) for n in tokens]
    assert method.attention_guided(latent, 981, torch.cat([caption, caption]), kept).shape == (2, 4, 64, 64)


def test_an_exception_leaves_the_unet_as_it_was(model, source, direction, monkeypatch):
    """Half-way through the layers of a gradient step something fails; processors and weights are as before."""
    original, calls = attention.attention_probabilities, []

    def fails(query, key):
        calls.append(query.requires_grad)
        if len(calls) == N_LAYERS + 5:
            raise RuntimeError("half-way")
        return original(query, key)

    monkeypatch.setattr(attention, "attention_probabilities", fails)
    with untouched(model.unet), pytest.raises(RuntimeError, match="half-way"):
        zero(model).edited_latent(source, direction)
    assert calls[-1]
