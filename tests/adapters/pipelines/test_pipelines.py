"""The editing pipelines that diffusers maintains, as methods: real classes at random weights, opened from disk."""

import inspect
import json
import logging
import re
import shutil
import traceback
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit.cli import main
from evalkit.editing import edit_folder
from evalkit.editing.method import METHODS, MethodRun
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import read_manifest
from evalkit.errors import BrokenPluginError, ImageError, OptionError, WeightsError
from evalkit.images.decode import read_image
from evalkit_adapters.pipelines import leditspp
from evalkit_adapters.pipelines.base import EditingPipeline, to_image, working_size
from evalkit_adapters.pipelines.flux import Flux2Klein
from evalkit_adapters.pipelines.image_to_image import ImageToImage
from tests.support.adapters import untouched
from tests.support.pictures import noise_picture
from tests.support.pipelines import TINY, flux2_klein, qwen_image, save_tiny_pipeline, stable_diffusion

SIDE = 96
SIZE = (96, 64)
ITEM = EditItem(item_id="a", instruction="Make the dog sit.", target_caption="A red circle.")
OTHER = replace(ITEM, instruction="Add a small blue hat.", target_caption="A large blue square.")


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Three pipelines work on 1024² pixels whatever they are asked; here on 128²."""
    for module in (pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus, pipeline_longcat_image_edit):
        monkeypatch.setattr(
            module,
            "calculate_dimensions",
            lambda area, ratio, whole=module.calculate_dimensions: whole(area / 64, ratio),
        )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The directory of a method's tiny pipeline, made when it is first asked for."""
    made = {}

    def directory(name):
        if name not in made:
            made[name] = save_tiny_pipeline(name, tmp_path_factory.mktemp(name))
        return made[name]

    return directory


@pytest.fixture
def picture():
    """A source image that is not square."""
    return noise_picture(SIZE, 80)


def run_of(name, model, **changes):
    """A run of a method at a size and a number of steps that take no time."""
    settings = METHODS.get(name).card.values(miniature=False)
    small = {"steps": 2, "side": SIDE, "preferred_sizes": False, "strength": 0.5}
    settings |= {key: value for key, value in small.items() if key in settings} | changes
    return MethodRun(model=str(model), revision=None, settings=settings)


def opened(name, saved, **changes):
    """A method that has gone through its own ``load``."""
    method = METHODS.get(name)()
    method.load(run_of(name, saved(name), **changes))
    return method


def edited(method, picture, item=ITEM, seed=0):
    """Through ``fit`` and ``edit``."""
    return np.asarray(method.edit(item, method.fit(picture, None, seed=seed), seed=seed), dtype=float)


def network(method):
    """The part of a pipeline that denoises."""
    return method.pipeline.unet if hasattr(method.pipeline, "unet") else method.pipeline.transformer


class Calls:
    """What a module is called with, for as long as the context lasts."""

    def __init__(self, module):
        self._module, self.arguments = module, []

    def __enter__(self):
        self._handle = self._module.register_forward_pre_hook(
            lambda _module, positional, named: self.arguments.append((positional, named)), with_kwargs=True
        )
        return self

    def __exit__(self, *_):
        self._handle.remove()


# All of them


@pytest.mark.parametrize("name", TINY)
def test_a_pipeline_edits_a_folder(name, saved, picture, tmp_path):
    """From a directory through the runner: pictures of the source's size, and a reason where the text is missing."""
    picture.save(tmp_path / "source.png")
    whole = replace(ITEM, source_image=tmp_path / "source.png")
    (need,) = METHODS.get(name).card.needs
    items = [whole, replace(whole, item_id="b", **{need: None})]
    done = edit_folder(METHODS.get(name), items, tmp_path / "out", run=run_of(name, saved(name)))
    assert done.n_edited == 1
    said = {"instruction": "an instruction", "target_caption": "a target caption"}[need]
    assert [item.reason for item in done.failures] == [f"the method needs {said}, and the item has none"]
    made = read_image(read_manifest(tmp_path / "out").items[0].edited_image)
    assert made.size == SIZE
    assert np.asarray(made).std() > 2
    assert json.loads((tmp_path / "out" / "method.json").read_text())["model"] == str(saved(name))


@pytest.mark.parametrize("name", TINY)
def test_source_seed_and_text_decide_the_picture_and_nothing_stays_behind(name, saved, picture):
    """The same three give the same bytes, others do not; the network is as it was, and so is torch's own noise."""
    method = opened(name, saved)
    before = torch.random.get_rng_state()
    with untouched(network(method)):
        first = edited(method, picture)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert not np.array_equal(edited(method, picture, OTHER), first)
        assert not np.array_equal(edited(method, picture, seed=1), first)
        assert not np.array_equal(edited(method, Image.fromarray(255 - np.asarray(picture))), first)
        torch.manual_seed(9)
        assert np.array_equal(edited(method, picture), first)
    torch.random.set_rng_state(before)


@pytest.mark.parametrize("name", ["instruct_pix2pix", "leditspp", "leditspp_xl", "qwen_image_edit"])
def test_an_edit_that_fails_leaves_the_network_as_it_was(name, saved, picture, monkeypatch):
    """An error in the middle changes neither processors, hooks nor weights."""
    method = opened(name, saved)
    fitted = method.fit(picture, None, seed=0)

    def fails(*_arguments, **_options):
        raise RuntimeError("half-way")

    part = network(method).mid_block if hasattr(method.pipeline, "unet") else method.pipeline.vae.decoder
    with untouched(network(method)), monkeypatch.context() as patched:
        patched.setattr(part, "forward", fails)
        with pytest.raises(RuntimeError, match="half-way"):
            method.edit(ITEM, fitted, seed=0)


@pytest.mark.parametrize("name", TINY)
def test_the_card_says_what_diffusers_says(name):
    """The class is there, and the defaults are its own but for those that the card explains."""
    method = METHODS.get(name)
    card = method.card
    made = getattr(diffusers, {"image_to_image": "StableDiffusionXLImg2ImgPipeline"}.get(name, method.pipeline_class))
    called = inspect.signature(made.__call__).parameters
    inverted = inspect.signature(getattr(made, "invert", lambda: 0)).parameters
    theirs = {
        "steps": called.get("num_inference_steps") or inverted["num_inversion_steps"],
        "guidance": called.get("true_cfg_scale") or called.get("guidance_scale") or called.get("edit_guidance_scale"),
        "image_guidance": called.get("image_guidance_scale") or called.get("img_guidance_scale"),
        "strength": called.get("strength"),
        "skip": inverted.get("skip"),
        "threshold": called.get("edit_threshold"),
    }
    explained = {
        ("flux_kontext", "guidance"): 2.5,
        ("flux2_klein", "steps"): 4,
        ("flux2_klein", "guidance"): 1.0,
        ("omnigen", "guidance"): 2.0,
    }
    if name == "flux_kontext":
        theirs["guidance"] = called["guidance_scale"]
    for setting in theirs.keys() & card.settings.keys():
        expected = explained.get((name, setting), theirs[setting].default)
        assert card.settings[setting].default == expected, setting
    assert "weights" in card.licence
    assert card.miniature is None
    assert card.edit_types is None


# Opening


@pytest.mark.parametrize(
    ("name", "other"), [("flux_kontext", "leditspp"), ("qwen_image_edit", "flux_kontext"), ("leditspp", None)]
)
def test_what_cannot_be_opened_is_refused_with_the_next_command(name, other, saved, tmp_path):
    """An empty directory, or another pipeline's: the message names the class, the cause and the option."""
    where = saved(other) if other else tmp_path
    with pytest.raises(WeightsError, match=rf"{where} cannot be loaded as a {METHODS.get(name).pipeline_class} ") as no:
        METHODS.get(name)().load(run_of(name, where))
    assert str(no.value).endswith("Name another with --model HUB_ID_OR_DIRECTORY")


@pytest.mark.parametrize(
    "file", ["unet/diffusion_pytorch_model", "text_encoder/model"], ids=["of_diffusers", "of_transformers"]
)
def test_weights_that_are_more_than_tensors_are_refused_with_a_safe_way(file, saved, tmp_path):
    """The sentence is ours, and names the file among all of the pipeline's."""
    directory = Path(shutil.copytree(saved("instruct_pix2pix"), tmp_path / "model"))
    (directory / f"{file}.safetensors").unlink()
    pickled = directory / f"{file.replace('/model', '/pytorch_model')}.bin"
    torch.save({"weight": Fraction(1, 2)}, pickled)
    with pytest.raises(WeightsError) as no:
        METHODS.get("instruct_pix2pix")().load(run_of("instruct_pix2pix", directory))
    assert str(no.value).startswith(f"{pickled} is not read: it is damaged, or holds more than tensors")
    assert not re.search("weights_only.{0,20}False", "".join(traceback.format_exception(no.value)))


def test_a_class_that_diffusers_lacks_is_refused_with_the_next_command(saved):
    """An older diffusers has not all of the classes."""

    class Tomorrow(EditingPipeline):
        card = Flux2Klein.card
        pipeline_class = "Flux9Pipeline"

    with pytest.raises(BrokenPluginError, match=r"has no Flux9Pipeline.*pip install --upgrade diffusers"):
        Tomorrow().load(run_of("flux2_klein", "anywhere"))


def test_opening_says_nothing(saved, capfd):
    """Neither progress bars nor warnings of the libraries mix with ours, and their loggers are as before."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    opened("qwen_image_edit", saved)
    assert capfd.readouterr() == ("", "")
    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == before


def test_half_precision_is_asked_for(saved):
    """The network's precision is the run's."""
    method = METHODS.get("flux_kontext")()
    method.load(replace(run_of("flux_kontext", saved("flux_kontext")), dtype="bf16"))
    assert method.pipeline.transformer.dtype == torch.bfloat16


def test_the_command_line_edits_the_shapes_benchmark_with_a_pipeline(saved, tmp_path):
    """As a person types it, with a local directory of weights; the miniature model is refused with the next command."""
    model = str(saved("instruct_pix2pix"))
    arguments = ["edit", "instruct_pix2pix", "--benchmark", "shapes", "--limit", "2", "--output", str(tmp_path / "out")]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "cannot edit with the miniature model. Name real weights: --model timbrooks/" in refused.stderr
    small = ["--set", "steps=2", "--set", "side=64", "--device", "cpu"]
    done = CliRunner().invoke(main, [*arguments, "--model", model, *small])
    assert done.exit_code == 0, done.output
    assert "InstructPix2Pix: 2 edits in " in done.stdout
    assert all(item.instruction and item.status == "ok" for item in read_manifest(tmp_path / "out").items)


# Sizes


@given(width=st.integers(200, 4000), height=st.integers(200, 4000), side=st.integers(256, 2048), multiple=st.just(16))
def test_the_working_size_keeps_proportions_and_area(width, height, side, multiple):
    """Multiples on both sides, each within half a multiple of the exact length (the short one is at least one)."""
    found = working_size((width, height), side, multiple)
    for length, exact in zip(found, (side * (width / height) ** 0.5, side * (height / width) ** 0.5), strict=True):
        assert length % multiple == 0
        assert length == multiple or abs(length - exact) <= multiple / 2 + 1e-6


def test_a_picture_that_is_not_finite_is_refused():
    """Overflow in half precision is a failure with its reason, not a black picture."""
    with pytest.raises(ImageError, match=r"not finite.*--dtype bf16 or fp32"):
        to_image(np.full((4, 4, 3), np.nan), (4, 4))
    assert to_image(np.full((4, 4, 3), 0.5), (8, 2)).size == (8, 2)


# InstructPix2Pix


@pytest.mark.parametrize("name", ["instruct_pix2pix", "instruct_pix2pix_xl"])
def test_instruct_pix2pix_guides_twice(name, saved, picture):
    """Three rows a step: text and source, source, neither; both guidances change the picture; below 1 is refused."""
    method = opened(name, saved)
    with Calls(method.pipeline.unet) as calls:
        first = edited(method, picture)
    assert [len(positional[0]) for positional, _ in calls.arguments] == [3, 3]
    assert calls.arguments[0][0][0].shape[2:] == (8, 16)  # 128 × 64 pixels, the multiples of 64 nearest to 118 × 78
    for changes in ({"guidance": 3.0}, {"image_guidance": 1.0}):
        assert not np.array_equal(edited(opened(name, saved, **changes), picture), first)
    with pytest.raises(OptionError, match="'image_guidance' must be a number from 1"):
        method.card.values(miniature=False, chosen={"image_guidance": "0.5"})


def test_instruct_pix2pix_is_diffusers_own_call(saved, picture):
    """With the published guidance and the CPU's generator the edit is the pipeline's, byte for byte."""
    method = opened("instruct_pix2pix", saved)
    theirs = diffusers.StableDiffusionInstructPix2PixPipeline.from_pretrained(
        saved("instruct_pix2pix"), safety_checker=None, requires_safety_checker=False
    )
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        ITEM.instruction,
        image=picture.resize((128, 64), Image.Resampling.LANCZOS),
        num_inference_steps=2,
        guidance_scale=7.5,
        image_guidance_scale=1.5,
        generator=torch.Generator().manual_seed(3),
    ).images[0]
    assert np.array_equal(edited(method, picture, seed=3), np.asarray(expected.resize(SIZE, Image.Resampling.LANCZOS)))


# Image to image


def test_image_to_image_takes_the_pipeline_of_its_model(saved, picture, tmp_path):
    """Stable Diffusion, XL and Qwen-Image each get their own; one that edits by instruction is refused."""
    stable_diffusion(diffusers.StableDiffusionPipeline, 4).save_pretrained(tmp_path / "sd")
    qwen_image().save_pretrained(tmp_path / "qwen")
    models = {
        "StableDiffusionXL": saved("image_to_image"),
        "StableDiffusion": tmp_path / "sd",
        "QwenImage": tmp_path / "qwen",
    }
    for kind, model in models.items():
        method = ImageToImage()
        method.load(run_of("image_to_image", model))
        assert type(method.pipeline).__name__ == f"{kind}Img2ImgPipeline"
        found = edited(method, picture)
        assert found.shape == (64, 96, 3)
        method.settings["guidance"] = 9.0
        assert not np.array_equal(edited(method, picture), found)
    with pytest.raises(OptionError, match="is a FluxKontextPipeline, which has no strength"):
        ImageToImage().load(run_of("image_to_image", saved("flux_kontext")))


def test_image_to_image_runs_the_share_of_steps_that_strength_says(saved, picture):
    """Of two steps one is run at strength 0.5 and both at 1."""
    calls = {}
    for strength in (0.5, 1.0):
        method = opened("image_to_image", saved, strength=strength)
        with Calls(method.pipeline.unet) as noted:
            edited(method, picture)
        calls[strength] = len(noted.arguments)
    assert calls == {0.5: 1, 1.0: 2}


# LEDITS++


@pytest.mark.parametrize("name", ["leditspp", "leditspp_xl"])
def test_an_inversion_serves_any_number_of_edits(name, saved, picture):
    """Other edits, and another source in between, change neither the inversion nor what is made of it."""
    method = opened(name, saved)
    fitted = method.fit(picture, None, seed=0)
    before = {key: value.clone() for key, value in fitted.state.items() if torch.is_tensor(value)}
    assert {"init_latents", "zs", "inversion_steps"} <= before.keys()
    first = np.asarray(method.edit(ITEM, fitted, seed=0))
    other = method.fit(Image.new("RGB", (64, 96), "red"), None, seed=5)
    method.edit(OTHER, other, seed=0)
    method.edit(OTHER, fitted, seed=0)
    assert np.array_equal(np.asarray(method.edit(ITEM, fitted, seed=0)), first)
    assert np.array_equal(np.asarray(METHODS.get(name).edit(opened_with(method), ITEM, fitted, seed=0)), first)
    assert all(torch.equal(fitted.state[key], value) for key, value in before.items())
    assert method.edit(ITEM, other, seed=0).size == (64, 96)


def opened_with(method):
    """A fresh adapter around the same pipeline, as after a restart."""
    fresh = type(method)()
    fresh.pipeline, fresh.settings = method.pipeline, method.settings
    return fresh


@pytest.mark.parametrize("steps", [4, 15])
def test_without_guidance_ledits_gives_the_source_back(saved, picture, steps, monkeypatch):
    """The inverted noise leads to the autoencoder's picture, within one level before rounding and resizing."""
    method = opened("leditspp", saved, guidance=0.0, steps=steps)
    width, height = working_size(SIZE, SIDE, 32)
    pixels = method.pipeline.image_processor.preprocess(picture, height, width)
    with torch.no_grad():
        decoded = method.pipeline.vae.decode(method.pipeline.vae.encode(pixels).latent_dist.mode()).sample[0]
    expected = (decoded / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
    made = []
    monkeypatch.setattr(leditspp, "to_image", lambda pixels, size: made.append(pixels) or to_image(pixels, size))
    edited(method, picture)
    assert np.abs(made[0] - expected).max() <= 1 / 255


def test_ledits_settings_change_the_edit(saved, picture):
    """Guidance, and the threshold of the mask."""
    first = edited(opened("leditspp", saved), picture)
    for changes in ({"guidance": 12.0}, {"threshold": 0.5}):
        assert not np.array_equal(edited(opened("leditspp", saved, **changes), picture), first)


# FLUX


def test_kontext_keeps_proportions_and_fits_the_source_to_a_size_of_training(saved, picture):
    """The result has the source's proportions at the asked area; the source is encoded at 1248 × 832 for 3 : 2."""
    method = opened("flux_kontext", saved, preferred_sizes=True, steps=1)
    with Calls(method.pipeline.vae.encoder) as encoded, Calls(method.pipeline.vae.decoder) as decoded:
        edited(method, picture)
    assert encoded.arguments[0][0][0].shape[2:] == (832, 1248)
    assert decoded.arguments[0][0][0].shape[2:] == (10, 14)  # 112 × 80 pixels, the multiples of 16 nearest to 118 × 78
    method = opened("flux_kontext", saved, steps=1)
    with Calls(method.pipeline.vae.encoder) as encoded:
        edited(method, picture)
    assert encoded.arguments[0][0][0].shape[2:] == (80, 112)


def test_kontext_is_never_asked_for_a_size_that_it_would_change(saved, picture, caplog, monkeypatch):
    """Diffusers warns when it adjusts a size; for no proportions it does."""
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    method = opened("flux_kontext", saved, steps=1)
    for size in ((96, 64), (64, 96), (100, 90), (200, 64)):
        edited(method, picture.resize(size))
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_distilled_guidance_is_told_to_the_network(saved, picture):
    """FLUX.1 Kontext and FLUX.2 [dev] evaluate once a step and are told the guidance."""
    for name, told in (("flux_kontext", 2.5), ("flux2", 4.0)):
        method = opened(name, saved)
        with Calls(method.pipeline.transformer) as calls:
            edited(method, picture)
        assert [float(named["guidance"]) for _, named in calls.arguments] == [told, told]


def test_a_distilled_klein_refuses_guidance_and_another_takes_it(saved, picture, tmp_path):
    """The distilled model would ignore it; the undistilled one evaluates twice a step."""
    with pytest.raises(OptionError, match=r"is distilled and ignores guidance.*--model black-forest-labs/FL"):
        opened("flux2_klein", saved, guidance=4.0)
    flux2_klein(is_distilled=False).save_pretrained(tmp_path)
    for guidance, n_calls in ((1.0, 2), (4.0, 4)):
        method = Flux2Klein()
        method.load(run_of("flux2_klein", tmp_path, guidance=guidance))
        with Calls(method.pipeline.transformer) as calls:
            edited(method, picture)
        assert len(calls.arguments) == n_calls


# Qwen-Image-Edit, LongCat, OmniGen


@pytest.mark.parametrize("name", ["qwen_image_edit", "qwen_image_edit_plus"])
def test_qwens_guidance_takes_effect(name, saved, picture, caplog, monkeypatch):
    """There always is a negative prompt, without which diffusers ignores the guidance; at 1 there is neither."""
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    found = {}
    for guidance, n_calls in ((4.0, 4), (8.0, 4), (1.0, 2)):
        method = opened(name, saved, guidance=guidance)
        with Calls(method.pipeline.transformer) as calls:
            found[guidance] = edited(method, picture)
        assert len(calls.arguments) == n_calls
    assert not np.array_equal(found[4.0], found[1.0])
    assert not np.array_equal(found[4.0], found[8.0])
    assert not np.array_equal(found[4.0], edited(opened(name, saved, negative="a dog, blurred"), picture))
    assert np.array_equal(found[4.0], edited(opened(name, saved, negative=""), picture))
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_longcat_evaluates_twice_only_where_it_guides(saved, picture):
    """Guidance 4.5 takes two evaluations a step, 1 one."""
    for guidance, n_calls in ((4.5, 4), (1.0, 2)):
        method = opened("longcat_image_edit", saved, guidance=guidance)
        with Calls(method.pipeline.transformer) as calls:
            edited(method, picture)
        assert len(calls.arguments) == n_calls


def test_omnigen_guides_twice_and_never_crops(saved, picture):
    """Three rows a step; the source enters whole, at the working size; both guidances change the picture."""
    method = opened("omnigen", saved)
    with Calls(method.pipeline.transformer) as calls, Calls(method.pipeline.vae.encoder) as encoded:
        first = edited(method, picture)
    assert [len(named["hidden_states"]) for _, named in calls.arguments] == [3, 3]
    assert {tuple(positional[0].shape[2:]) for positional, _ in encoded.arguments} == {(80, 112)}
    for changes in ({"guidance": 6.0}, {"image_guidance": 1.0}):
        assert not np.array_equal(edited(opened("omnigen", saved, **changes), picture), first)
