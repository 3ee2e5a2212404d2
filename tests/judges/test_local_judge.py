"""Judges of transformers: a tiny model of a real class, with random weights."""

import json
import shutil

import pytest
from PIL import Image

from evalkit.errors import OptionError, WeightsError
from evalkit.judges.base import JudgeSettings, Question
from evalkit.judges.open import open_judge
from tests.support.judging import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The model's directory."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def question(colour="red"):
    """A text, a picture, a text."""
    picture = JudgeSettings().picture(Image.new("RGB", (40, 30), colour))
    return Question(parts=("Look: ", picture, " How good?"), system="You judge.")


def answers(model, *, colour="red", seeds=(0,), **settings):
    """What it says."""
    judge = open_judge(f"judge:transformers:{model}", JudgeSettings(max_tokens=12, **settings), device="cpu")
    return [judge.ask(question(colour), seed=seed) for seed in seeds]


def key_of(folder, **settings):
    """What decides the answers of a model."""
    return json.dumps(open_judge(f"transformers:{folder}", JudgeSettings(**settings), device="cpu").key)


def test_it_answers_what_the_class_itself_generates(model):
    """Greedily, word for word, from the prompt that its template makes."""
    import torch
    import transformers

    processor = transformers.AutoProcessor.from_pretrained(model)
    network = transformers.AutoModelForImageTextToText.from_pretrained(model).eval()
    inputs = processor(
        text=["user: You judge.Look: <image> How good? assistant: "],
        images=[Image.new("RGB", (40, 30), "red")],
        return_tensors="pt",
    )
    with torch.inference_mode():
        tokens = network.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    (answer,) = answers(model)
    assert answer.text == processor.decode(tokens, skip_special_tokens=True)
    assert (answer.input_tokens, answer.output_tokens) == (inputs["input_ids"].shape[1], len(tokens))
    assert answer.finish == ("stop" if len(tokens) < 12 else "length")
    assert answer.model.startswith("tiny@")


def test_repeats_are_seeds_of_the_sampling(model):
    """The same seed gives the same answer; at temperature 0 all are alike; nobody else's draws change."""
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = answers(model, seeds=(1, 1, 2), temperature=1.0)
    assert torch.equal(torch.rand(3), expected)
    assert first.text == again.text != other.text
    greedy = answers(model, seeds=(1, 2))
    assert greedy[0].text == greedy[1].text


def test_it_sees_the_picture(model):
    """Another picture, other words."""
    texts = {answers(model, colour=colour, seeds=(1,), temperature=1.0)[0].text for colour in ("red", "blue", "white")}
    assert len(texts) > 1


def test_its_key_follows_weights_and_settings(model, tmp_path):
    """Other weights or another temperature are another judge; another name of the folder is not."""
    shutil.copytree(model, tmp_path / "copy")
    save_tiny_model(tmp_path / "other", seed=1)
    same, copy, other = (key_of(folder) for folder in (model, tmp_path / "copy", tmp_path / "other"))
    assert same == copy
    assert len({same, other, key_of(model, temperature=0.5)}) == 3


def test_a_model_that_cannot_be_a_judge_is_refused(model, tmp_path):
    """One that is not there, one without a form for dialogues, one without weights."""
    with pytest.raises(OptionError, match="there is no directory"):
        open_judge(f"transformers:{tmp_path / 'nowhere'}")
    mute = tmp_path / "mute"
    mute.mkdir()
    for file in model.iterdir():
        if "template" not in file.name:
            (mute / file.name).write_bytes(file.read_bytes())
    with pytest.raises(OptionError, match="no form for dialogues"):
        open_judge(f"transformers:{mute}", device="cpu")
    (mute / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"weights in .* cannot be loaded"):
        open_judge(f"transformers:{mute}", device="cpu")
