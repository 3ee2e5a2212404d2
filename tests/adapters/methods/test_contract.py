"""What every method on a latent diffusion model owes: it runs from saved weights, and leaves them as it found them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from evalkit.editing.method import MethodRun
from evalkit.edits.item import EditItem
from evalkit_adapters.methods.ddim_reconstruction import DDIMReconstruction
from evalkit_adapters.methods.hiper import HiPer
from evalkit_adapters.methods.imagic import Imagic
from evalkit_adapters.methods.mdp import MDP
from evalkit_adapters.methods.pix2pix_zero import Pix2PixZero
from evalkit_adapters.methods.plug_and_play import PlugAndPlay
from evalkit_adapters.methods.prompt_to_prompt import PromptToPrompt
from evalkit_adapters.methods.sdedit import SDEdit
from evalkit_adapters.methods.sine import SINE
from evalkit_adapters.methods.text_to_image import TextToImage
from tests.support.adapters import Evaluations, furthest, loaded, untouched
from tests.support.diffusion import N_LAYERS, save_tiny, tiny_model
from tests.support.pictures import noise_picture

SHORT = {
    TextToImage: {"steps": 2},
    SDEdit: {"steps": 2},
    DDIMReconstruction: {"steps": 2},
    HiPer: {"steps": 2, "updates": 1},
    Imagic: {"steps": 2, "embedding_steps": 1, "model_steps": 1},
    SINE: {"steps": 2, "tuning_steps": 1, "patches": True},
    MDP: {"steps": 2, "null_text_iterations": 0, "window_length": 0.5},
    PlugAndPlay: {"steps": 2, "inversion_steps": 2},
    Pix2PixZero: {"steps": 4},
    PromptToPrompt: {"steps": 2, "null_text_iterations": 0, "blend": "auto"},
}
"""Settings with which a method takes little time."""
REPLACED = {PlugAndPlay: 8, Pix2PixZero: N_LAYERS, PromptToPrompt: 2 * N_LAYERS}
"""Attention layers whose computation a method replaces, of Stable Diffusion's 32; the others leave them alone."""
HOOKED = {PlugAndPlay: ["up_blocks.1.resnets.1.conv2"]}
"""Modules whose output a method replaces."""
FITTED_BY_UNET = (DDIMReconstruction, HiPer, SINE, MDP, PlugAndPlay, Pix2PixZero, PromptToPrompt)
INVERTING = (DDIMReconstruction, MDP, PlugAndPlay, Pix2PixZero, PromptToPrompt)
"""Methods that start from the source's inverted noise, on the way to which small errors grow."""
KEPT = {
    HiPer: (
        {"gamma": 0.5, "guidance": 3.0, "steps": 1},
        {"rate": (2e-2, {"embedding"}), "updates": (2, {"embedding"}), "tokens": (6, {"embedding"})},
    ),
    Imagic: (
        {"eta": 0.4, "guidance": 3.0, "steps": 1},
        {
            "model_rate": (2e-3, {"model"}),
            "model_steps": (2, {"model"}),
            "embedding_rate": (1e-2, {"embedding", "model"}),
            "embedding_steps": (2, {"embedding", "model"}),
        },
    ),
    SINE: (
        {"pretrained_weight": 0.1, "guidance": 3.0, "steps": 1},
        {"rate": (1e-4, {"model"}), "tuning_steps": (2, {"model"}), "patches": (False, {"model"})},
    ),
}
"""Settings that optimisations have no part in, and of those that they follow from what is then optimised anew."""
ITEM = EditItem(item_id="a", source_caption="a small red circle", target_caption="a small dark ring")
OTHER = replace(ITEM, target_caption="a large blue square")


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Pipelines of Stable Diffusion's topology in directories, by the side of their pictures."""
    made = {}

    def directory(side):
        if side not in made:
            size = {64: {"latent_side": 16, "halvings": 2}, 512: {"latent_side": 64, "halvings": 3}}[side]
            made[side] = str(save_tiny(tmp_path_factory.mktemp("pipeline"), **size))
        return made[side]

    return directory


@pytest.mark.parametrize("side", [64, pytest.param(512, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", SHORT)
def test_it_edits_from_saved_weights_and_nothing_stays_behind(method, side, saved):
    """Through load, fit and edit, of an off-square source: the model is as before, and so is what all edits share."""
    adapter = method()
    settings = method.card.values(miniature=False) | SHORT[method]
    adapter.load(MethodRun(model=saved(side), revision=None, settings=settings))
    source = noise_picture((side + 20, side + 2), 50)
    with untouched(adapter.model.unet), untouched(adapter.model.text_encoder), untouched(adapter.model.autoencoder):
        fitted = adapter.fit(source, ITEM.source_caption, seed=0)
        found = np.asarray(adapter.edit(ITEM, fitted, seed=0))
        if side == 64:
            adapter.edit(OTHER, fitted, seed=0)
            assert furthest(adapter.edit(ITEM, fitted, seed=0), found) == 0
    assert found.shape == ((side + 2, side + 20, 3) if method is SINE else (side, side, 3))
    assert 0 <= found.min() < found.max() <= (255 if method is SINE else 1)


@pytest.mark.parametrize("method", SHORT)
def test_its_layers_are_found_by_count(method, model, picture):
    """While it runs it replaces so many attention layers, and hooks so many modules, and never any other."""
    adapter = loaded(method, model, **SHORT[method] | ({"patches": False} if method is SINE else {}))
    with Evaluations(model.unet) as evaluations:
        adapter.edit(ITEM, adapter.fit(picture, ITEM.source_caption, seed=0), seed=0)
    assert max(evaluations.n_replaced) == REPLACED.get(method, 0)
    assert max(evaluations.hooks, key=len) == HOOKED.get(method, [])


@pytest.mark.parametrize(
    ("method", "phase"),
    [
        *((method, "fit") for method in FITTED_BY_UNET),
        *((method, "edit") for method in SHORT if method is not DDIMReconstruction),
    ],
)
def test_a_failure_leaves_the_model_as_it_was(method, phase, model, picture, monkeypatch):
    """An error in the middle of the UNet changes neither processors, hooks, modes, gradients nor weights."""

    def fail(*_arguments, **_options):
        raise RuntimeError("half-way")

    adapter = loaded(method, model, **SHORT[method])

    def run():
        return adapter.edit(ITEM, *fitted, seed=0) if fitted else adapter.fit(picture, ITEM.source_caption, seed=0)

    with untouched(model.unet), untouched(model.text_encoder):
        fitted = (adapter.fit(picture, ITEM.source_caption, seed=0),) if phase == "edit" else ()
        with monkeypatch.context() as patched:
            patched.setattr(model.unet.mid_block, "forward", fail)
            with pytest.raises(RuntimeError, match="half-way"):
                run()


@pytest.mark.parametrize("method", KEPT)
def test_what_was_optimised_is_kept_where_that_is_wanted(method, model, picture, tmp_path):
    """A second run takes no step and draws the same; only what an optimisation follows from makes it start again."""
    caption = {"target_caption" if method is Imagic else "source_caption": "a small green star"}

    def run(settings, *, seed=0, item=ITEM, image=picture, artefacts=tmp_path):
        steps, adapter = set(), loaded(method, model, **SHORT[method] | settings)
        adapter.run = replace(adapter.run, artefacts=artefacts, progress=lambda what, *_: steps.add(what))
        return adapter.edit(item, adapter.fit(image, item.source_caption, seed=seed), seed=seed), steps

    free, binding = KEPT[method]
    first, everything = run({})
    assert everything
    for settings in ({}, *({name: value} for name, value in free.items())):
        again, nothing = run(settings)
        assert nothing == set()
        assert (furthest(again, first) > 0) == bool(settings)
        assert furthest(again, run(settings, artefacts=None)[0]) == 0
    for name, (value, expected) in binding.items():
        assert run({name: value})[1] == expected, name
    for other in ({"seed": 1}, {"image": picture.rotate(90)}, {"item": replace(ITEM, **caption)}):
        assert run({}, **other)[1] == everything, other


@pytest.mark.parametrize("method", SHORT)
def test_half_precision_is_near_full_precision(method, picture):
    """With a UNet in bfloat16 the unguided edit lies near that in float32, whatever is optimised on the way."""
    found = []
    for dtype, stored in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        model = tiny_model(dtype=torch.float32)
        model.unet.to(stored)
        adapter = loaded(method, model, **SHORT[method] | {"guidance": 1.0})
        adapter.run = replace(adapter.run, dtype=dtype)
        found.append(adapter.edit(ITEM, adapter.fit(picture, ITEM.source_caption, seed=0), seed=0))
    assert 0 < furthest(*found) < (0.1 if method in INVERTING else 0.01)
