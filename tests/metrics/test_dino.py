"""DINO and DINOv2, and the distance of structure, at random weights: against transformers' own outputs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evalkit.encoders.load import open_encoder
from evalkit.errors import EncoderError, WeightsError
from evalkit.images.pairs import ImagePair
from evalkit.metrics.base import METRICS
from evalkit.metrics.dino import LARGEST_DISTANCE
from evalkit.scoring.summaries import signature
from tests.support.models import save_quietly, tiny_dino
from tests.support.surfaces import picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A directory, and the model in it."""
    directory = tmp_path_factory.mktemp("models") / "vit"
    return directory, tiny_dino("vit", directory)


def own_tokens(model, image):
    """Class token of an image that torchvision's transforms prepared as DINO's evaluation does."""
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    with torch.inference_mode():
        return model(pixel_values=prepare(image)[None]).last_hidden_state[0, 0].numpy()


@pytest.mark.parametrize(("backend", "kind"), [("dino", "vit"), ("dinov2", "dinov2")])
def test_class_tokens_are_those_of_transformers(tmp_path, backend, kind):
    """Prepared by torchvision as in DINO's evaluation, an image gives the same token, to 1e-5, whatever its shape."""
    model = tiny_dino(kind, tmp_path / "model")
    encoder = open_encoder(f"{backend}:{tmp_path / 'model'}", device="cpu")
    images = [Image.fromarray(picture(seed, *size)) for seed, size in enumerate([(300, 260), (200, 410), (256, 256)])]
    ours = encoder.encode_images(np.stack([encoder.spec.preprocess.apply(image) for image in images]))
    theirs = np.stack([own_tokens(model, image) for image in images])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert encoder.spec.preprocess.label == "224-bicubic-aa-margin"


@pytest.mark.parametrize("name", ["dino_image_similarity", "dino_image_similarity:dinov2"])
def test_image_similarity_is_the_cosine_to_the_source(name):
    """Against torch's cosine; scale does not matter, exchange does not, and a zero vector has a reason."""
    metric = METRICS.get(name)
    one, other = np.random.default_rng(0).normal(size=(2, 5, 16)).astype(np.float32)
    values = metric.compute({"edited_image": one, "source_image": other}, resolution=0.0).values
    expected = torch.nn.functional.cosine_similarity(torch.tensor(one).double(), torch.tensor(other).double())
    np.testing.assert_allclose(values, expected, atol=1e-9)
    exchanged = metric.compute({"edited_image": 3 * other, "source_image": one}, resolution=0.0).values
    np.testing.assert_allclose(exchanged, values, atol=1e-9)
    assert metric.compute({"edited_image": one * 0, "source_image": one}, resolution=0.0).reasons == ("not_finite",) * 5
    assert metric.encoders == (("dinov2",) if name.endswith("dinov2") else ("dino",))


def keys_similarity(model, pixels):
    """Cosines of the keys of the last layer, from its input, its norm and its weights, in double precision."""
    with torch.inference_mode():
        hidden = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2][0].double()
        state = {name: tensor.double() for name, tensor in model.state_dict().items()}
        name = max(name for name in state if name.endswith(("attention.k_proj.weight", "attention.key.weight")))
        norm = next(name for name in sorted(state, reverse=True) if name.endswith("layernorm_before.weight"))
        normed = torch.nn.functional.layer_norm(
            hidden, hidden.shape[-1:], state[norm], state[norm.replace("weight", "bias")], model.config.layer_norm_eps
        )
        keys = normed @ state[name].T + state[name.replace("weight", "bias")]
    return np.array([[float(a @ b / (a.norm() * b.norm())) for b in keys] for a in keys])


def prepared(image, *, pie_bench):
    """What the network reads: the whole squashed, unit floats; or PIE-Bench's levels of 0 to 255, not antialiased."""
    if pie_bench:
        tensor = torch.tensor(image).permute(2, 0, 1)[None].double()
        height, width = 224, 224 * image.shape[1] // image.shape[0]
        scaled = torch.nn.functional.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)
    else:
        square = Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR)
        scaled = torch.tensor(np.array(square)).permute(2, 0, 1)[None].double() / 255
    return ((scaled - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)).float()


@pytest.mark.parametrize("form", ["", "_pie_bench"])
def test_structure_distance_is_that_of_the_keys(vit, form):
    """The mean squared difference of cosines that are written out token by token, to 1e-6."""
    directory, model = vit
    encoder = open_encoder(f"dino_structure{form}:{directory}", device="cpu")
    pairs = [ImagePair(edited=picture(seed, 256, 256), source=picture(9, 256, 256)) for seed in (1, 2)]
    ours = encoder.encode_pairs(pairs)
    for pair, value in zip(pairs, ours[:, 0], strict=True):
        one, other = (keys_similarity(model, prepared(i, pie_bench=bool(form))) for i in (pair.edited, pair.source))
        assert value == pytest.approx(((one - other) ** 2).mean(), abs=1e-6)
        assert value > 1e-4
    assert encoder.spec.preprocess.label == ("224-bilinear-noaa-short" if form else "224-bilinear-aa-squash")


def test_pie_bench_resizes_as_torchvision_did_and_its_signature_says_so(vit):
    """The number of torchvision up to 0.16, whatever is installed: the antialiasing of later versions gives another."""
    from torchvision.transforms.functional import resize

    directory, model = vit
    encoder = open_encoder(f"dino_structure_pie_bench:{directory}", device="cpu")
    pair = ImagePair(edited=picture(1, 400, 400), source=picture(2, 400, 400))
    normal = [torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD)]

    def distance(*, antialias):
        tensors = [torch.tensor(image).permute(2, 0, 1).float() for image in (pair.edited, pair.source)]
        resized = [resize(tensor, [224], max_size=480, antialias=antialias) for tensor in tensors]
        one, other = (keys_similarity(model, ((tensor - normal[0]) / normal[1])[None]) for tensor in resized)
        return ((one - other) ** 2).mean()

    value = encoder.encode_pairs([pair])[0, 0]
    assert value == pytest.approx(distance(antialias=False), abs=1e-6)
    assert value != pytest.approx(distance(antialias=True), rel=5e-3)
    line = str(signature(METRICS.get("structure_distance:pie_bench"), {"dino_structure_pie_bench": encoder}))
    assert "|img:source-bicubic-aa+224-bilinear-noaa-short|" in line


def test_pie_bench_saturates_what_the_definition_distinguishes(vit):
    """The two pixel scales are two metrics: they disagree by far more than rounding, and have different signatures."""
    directory, _ = vit
    pair = ImagePair(edited=picture(1, 224, 224), source=picture(2, 224, 224))
    plain, pie_bench = (open_encoder(f"dino_structure{form}:{directory}", device="cpu") for form in ("", "_pie_bench"))
    assert plain.encode_pairs([pair])[0, 0] != pytest.approx(pie_bench.encode_pairs([pair])[0, 0], rel=0.05)
    assert plain.spec.label.partition("@")[0] == f"dino_structure/{directory.name}"
    assert pie_bench.spec.label.partition("@")[0] == f"dino_structure_pie_bench/{directory.name}"


@pytest.mark.parametrize("form", ["", "_pie_bench"])
def test_structure_distance_is_symmetric_and_zero_for_the_same(vit, form):
    """Exchanging the images changes nothing, and a picture has its own structure; a shape of its own is no obstacle."""
    encoder = open_encoder(f"dino_structure{form}:{vit[0]}", device="cpu")
    one, other = picture(1, 240, 320), picture(2, 240, 320)
    given_pairs = [(one, other), (other, one), (one, one)]
    values = encoder.encode_pairs([ImagePair(edited=edited, source=source) for edited, source in given_pairs])[:, 0]
    assert values[0] == pytest.approx(values[1], abs=1e-7)
    assert values[2] == 0


def test_a_shared_source_is_looked_at_once(vit):
    """Four edits of one source are five passes."""
    encoder = open_encoder(f"dino_structure:{vit[0]}", device="cpu")
    source = picture(0, 64, 64)
    pairs = [ImagePair(edited=picture(seed, 64, 64), source=source) for seed in range(1, 5)]
    encoder.encode_pairs(pairs[:1])
    passes, network = [], encoder._loaded()._model
    handle = network.register_forward_hook(lambda *_: passes.append(1))
    encoder.encode_pairs(pairs)
    handle.remove()
    assert len(passes) == 5


@given(st.integers(2, 6), st.integers(0, 1000))
def test_no_structures_are_further_apart_than_two(tokens, seed):
    """Self-similarities of any vectors, and of those that are furthest apart, stay within the stated range."""
    rng = np.random.default_rng(seed)
    gram = []
    for vectors in (rng.normal(size=(tokens, 3)), rng.choice([-1.0, 1.0], size=(tokens, 1))):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        gram.append(unit @ unit.T)
    assert ((gram[0] - gram[1]) ** 2).mean() <= LARGEST_DISTANCE
    halves = np.repeat([1.0, -1.0], 50)
    assert ((np.outer(halves, halves) - np.ones((100, 100))) ** 2).mean() == LARGEST_DISTANCE
    for name in ("structure_distance", "structure_distance:pie_bench"):
        assert METRICS.get(name).highest == 2.0


def test_a_pooler_is_not_looked_at_and_missing_weights_are(tmp_path):
    """A network saved with its pooler gives the same tokens; one without a layer is refused."""
    import transformers
    from safetensors.torch import load_file, save_file

    plain = tiny_dino("vit", tmp_path / "plain")
    with_pooler = transformers.ViTModel(plain.config)
    with_pooler.load_state_dict(plain.state_dict(), strict=False)
    save_quietly(with_pooler, tmp_path / "pooler")
    digests = {
        open_encoder(f"dino:{tmp_path / name}", device="cpu").spec.weights_sha256 for name in ("plain", "pooler")
    }
    assert len(digests) == 1
    path = tmp_path / "plain" / "model.safetensors"
    state = load_file(path)
    state.popitem()
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="expected every tensor of its vit configuration"):
        _ = open_encoder(f"dino:{tmp_path / 'plain'}", device="cpu").spec


def test_what_is_no_dino_is_refused(tmp_path, tiny_transformers_clip):
    """A CLIP, a directory that is not there, and DINO where texts must be read."""
    directory = tiny_transformers_clip.partition(":")[2]
    with pytest.raises(EncoderError, match=r"expected a model of type vit or dinov2.*got 'clip'"):
        _ = open_encoder(f"dino:{directory}", device="cpu").spec
    with pytest.raises(WeightsError, match=r"such as facebook/dino-vitb8; there is no directory"):
        _ = open_encoder(f"dino_structure:{tmp_path / 'absent'}", device="cpu").spec
    tiny_dino("vit", tmp_path / "vit")
    with pytest.raises(EncoderError, match="reads no texts"):
        open_encoder(f"dino:{tmp_path / 'vit'}", device="cpu").encode_texts(["a cat"])
    with pytest.raises(EncoderError, match="expected one that makes vectors of single images"):
        open_encoder(f"dino_structure:{tmp_path / 'vit'}", device="cpu").encode_images(np.zeros((1, 8, 8, 3), np.uint8))
