"""The CLIP that guides an optimisation: held against the libraries that it is taken apart from."""

import open_clip
import pytest
import torch
from transformers import AttentionInterface, CLIPModel

from evalkit.errors import WeightsError
from evalkit_adapters.guidance.loading import open_clip_guide
from tests.support import models
from tests.support.adapters import furthest
from tests.support.guides import guide, guide_of, normalised, pixels


@pytest.fixture(scope="module")
def ours():
    """A small open_clip network."""
    return guide()


@pytest.fixture(scope="module")
def theirs(tiny_transformers_clip):
    """The same weights in transformers."""
    return CLIPModel.from_pretrained(tiny_transformers_clip.removeprefix("transformers:")).double().eval()


def test_embeddings_are_open_clips(ours):
    """Of square pictures, bit for bit as ``encode_image`` gives them, with a gradient and none for the weights."""
    picture = pixels().requires_grad_()
    found = ours.embed(picture)
    assert torch.equal(found, ours.model.encode_image(normalised(picture), normalize=False))
    found.sum().backward()
    assert picture.grad.abs().min() > 0
    assert all(part.grad is None for part in ours.model.parameters())


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_both_libraries_give_the_same(ours, theirs, kind, tiny_transformers_clip):
    """Embeddings, texts and the tokens before the last block are transformers' own, to 1e-12."""
    one = ours
    if kind == "transformers":
        one = open_clip_guide(tiny_transformers_clip, device="cpu")
        one.model.double()
    picture = pixels()
    states = theirs.vision_model(normalised(picture), output_hidden_states=True).hidden_states
    assert furthest(one.tokens(picture), states[-2].detach()) < 1e-12
    assert furthest(one.embed(picture), theirs.get_image_features(normalised(picture)).pooler_output.detach()) < 1e-12
    texts = ["a photo of the cat", "a dog in snow"]
    expected = theirs.get_text_features(one.tokenize(texts)).pooler_output.detach()
    assert furthest(one.embed_texts(texts), expected) < 1e-12


def test_the_last_block_by_hand_is_the_librarys(ours):
    """With its attention computed in the open, the block gives the same tokens to 1e-12, and rows that sum to 1."""
    tokens = ours.tokens(pixels())
    found, attention = ours.tower.blocks[-1].forward_with_attention(tokens)
    assert furthest(found, ours.tower.blocks[-1].forward(tokens)) < 1e-12
    assert attention.shape == (1, 2, 17, 17)
    assert furthest(attention.sum(dim=-1), torch.ones(1, 2, 17)) < 1e-12


def test_relevancy_is_that_of_transformers_attention(ours, theirs, monkeypatch):
    """From the gradient by the attention inside of transformers' tower, written out, to 1e-9.

    Its own eager attention takes the softmax in float32; ours for this test does the same in float64.
    """
    seen = []

    def attend(_module, query, key, value, _mask, *, scaling, **_options):
        seen.append((scaling * query @ key.transpose(2, 3)).softmax(dim=3))
        return (seen[-1] @ value).transpose(1, 2), seen[-1]

    AttentionInterface.register("in_the_open", attend)
    monkeypatch.setattr(theirs.vision_model.config, "_attn_implementation", "in_the_open")
    picture, text = pixels(seed=3), ours.embed_texts(["a cat on grass"])
    image = theirs.visual_projection(theirs.vision_model(normalised(picture)).pooler_output)
    logit = theirs.logit_scale.exp() * torch.cosine_similarity(image, text).sum()
    (slope,) = torch.autograd.grad(logit, seen[-1])
    cam = (slope * seen[-1]).clamp(min=0).mean(dim=1)
    relevancy = torch.eye(17, dtype=torch.float64) + cam[0]
    plane = relevancy[0, 1:].reshape(1, 1, 4, 4)
    plane = torch.nn.functional.interpolate(plane, size=(32, 32), mode="bilinear")
    expected = (plane - plane.min()) / (plane.max() - plane.min())
    found = ours.relevancy(picture, text[0])
    assert furthest(found, expected.detach()) < 1e-9
    assert (float(found.min()), float(found.max())) == (0, 1)
    assert not found.requires_grad


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (40, 72)])
def test_pictures_that_are_not_square_have_their_positions_the_right_way_round(ours, size):
    """A ramp of positions along the rows stays one: the reference mixes the sides up, which is a regression here."""
    rows, columns = (side // 8 for side in size)
    visual = ours.model.visual
    before = visual.positional_embedding.data.clone()
    try:
        visual.positional_embedding.data[1:] = torch.arange(4.0).double().repeat_interleave(4)[:, None]
        plane = ours._positions(rows, columns)[1:].reshape(rows, columns, -1)
    finally:
        visual.positional_embedding.data = before
    assert furthest(plane, plane[:, :1].expand_as(plane)) < 1e-9
    assert torch.all(plane[1:] > plane[:-1])
    # A plain resize to the size stays near, but for the 0.1 in the factor.
    assert furthest(plane[:, 0, 0], torch.linspace(0, 3, rows)) < 0.45
    assert ours.embed(pixels(*size)).shape == (1, 16)


def test_the_true_network_is_taken_apart():
    """ViT-B/32 at its full size, without memory: 12 blocks of 12 heads, 50 tokens, and views of 224 × 320 pixels."""
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu")).requires_grad_(False)
    found = guide_of(model)
    assert [block.n_heads for block in found.tower.blocks] == [12] * 12
    assert found.tokens(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 50, 768)
    views = torch.empty(16, 3, 224, 320, device="meta", requires_grad=True)
    embeddings = found.embed(views)
    assert embeddings.shape == (16, 512)
    embeddings.sum().backward()
    assert views.grad.shape == views.shape


def test_a_checkpoint_of_a_listed_architecture_is_opened(tmp_path, monkeypatch):
    """A file of weights beside an architecture's name; the embeddings are those of its weights."""
    from safetensors.torch import save_file

    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {"tiny-quickgelu": models.CONFIG})
    model = models.build_open_clip()
    save_file(model.state_dict(), tmp_path / "tiny.safetensors")
    found = open_clip_guide(f"open_clip:tiny-quickgelu/{tmp_path / 'tiny.safetensors'}", device="cpu")
    picture = pixels().float()
    assert furthest(found.embed(picture), guide_of(model).embed(picture).detach()) < 1e-6
    assert not any(part.requires_grad for part in found.model.parameters())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("open_clip:ViT-B-32/openai", "open_clip:ViT-B-32-quickgelu/openai"),
        ("open_clip:ViT-B-32-quickgelu/laion2b_s34b_b79k", "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32-quickgel/openai", "no architecture 'ViT-B-32-quickgel'. Did you mean ViT-B-32-quickgelu"),
        ("open_clip:ViT-B-32-quickgelu/opnai", "no weights 'opnai' for ViT-B-32-quickgelu"),
        ("ViT-B-32/openai", "is called open_clip:<architecture>"),
        ("transformers:nowhere/at/all", "--model miniature"),
    ],
)
def test_what_cannot_guide_is_refused_with_what_can(name, said):
    """Weights of another activation, names that open_clip does not list, and what is no name at all."""
    with pytest.raises(WeightsError, match=r"(?s).") as caught:
        open_clip_guide(name, device="cpu")
    assert said in str(caught.value)


def test_another_kind_of_model_is_refused(tiny_siglip):
    """SigLIP has no class token to read."""
    with pytest.raises(WeightsError, match="type clip; got siglip"):
        open_clip_guide(tiny_siglip, device="cpu")


def test_a_residual_network_is_refused():
    """A tower that is no transformer has neither tokens nor attention."""
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config("RN50-quickgelu"))
    with pytest.raises(ValueError, match="no vision transformer"):
        guide_of(model)
