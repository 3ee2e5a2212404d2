"""Tokens are counted by the encoder's own tokenizer, uncut, whichever library it comes from."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.encoders.load import open_encoder
from evalkit.encoders.tokens import count_tokens, token_count, token_numbers
from tests.support import models

LIMITS = {"tiny_open_clip": 77, "tiny_transformers_clip": 77, "tiny_siglip": 16, "hf_in_open_clip": 16, "miniature": 48}
"""What each encoder reads, start and end tokens included."""
ENDS = {name: 1 if name in ("tiny_siglip", "hf_in_open_clip") else 2 for name in LIMITS}
"""Start and end tokens; SigLIP's tokenizer adds an end alone."""
WORDS = {"miniature": "red"}
"""A word that is one token; "cat" to the others."""
TEXTS = {
    "thai": "สุนัขสีน้ำตาลตัวเล็กนั่งอยู่บนม้านั่งไม้ในสวนสาธารณะข้างจักรยานสีแดง " * 2,
    "chinese": "一个蓝色的方块" * 40,
    "emoji": "🐶🚲🌳😀🎨🖌️👩‍👩‍👧‍👦🇫🇷" * 12,
    "english": "an extraordinarily detailed photorealistic reconstruction, " * 40,
    "entities": "&amp;lt; caf&eacute; — “quoted” … 1234567890 " * 12,
}


@pytest.fixture(scope="session")
def hf_in_open_clip(tmp_path_factory):
    """An open_clip directory whose tokenizer is one of transformers, canonicalised as SigLIP's."""
    from safetensors.torch import save_file

    directory = tmp_path_factory.mktemp("encoders") / "hf_in_open_clip"
    models.tiny_siglip(directory)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (directory / name).unlink()
    text = {**models.CONFIG["text_cfg"], "context_length": 16, "vocab_size": 64, "hf_tokenizer_name": str(directory)}
    config = {**models.CONFIG, "text_cfg": {**text, "tokenizer_kwargs": {"clean": "canonicalize"}}}
    built = {**config, "text_cfg": {k: v for k, v in text.items() if k != "hf_tokenizer_name"}}
    save_file(models.build_open_clip(built).state_dict(), directory / "open_clip_model.safetensors")
    settings_file = {"model_cfg": config, "preprocess_cfg": {"interpolation": "bicubic"}}
    (directory / "open_clip_config.json").write_text(json.dumps(settings_file))
    return f"open_clip:local-dir:{directory}"


def counted(encoder, *texts):
    """The records of texts."""
    return [token_count(row) for row in count_tokens(encoder, texts)]


@pytest.fixture(params=LIMITS)
def backend(request):
    """Name of an encoder, and the encoder."""
    spec = "miniature" if request.param == "miniature" else request.getfixturevalue(request.param)
    return request.param, open_encoder(spec, device="cpu")


def test_a_text_is_cut_from_one_token_over_the_limit_on(backend):
    """Exactly at the limit nothing is lost; one word more, and the count is one more and the text cut."""
    name, encoder = backend
    limit, ends, word = LIMITS[name], ENDS[name], WORDS.get(name, "cat")
    empty, one, full, over, far = counted(
        encoder, "", word, *(f"{word} " * (limit - ends + more) for more in (0, 1, 99))
    )
    assert [each.n_tokens for each in (empty, one, full, over, far)] == [ends, ends + 1, limit, limit + 1, limit + 99]
    assert [each.is_cut for each in (empty, one, full, over, far)] == [False, False, False, True, True]
    assert {each.n_read for each in (empty, one, full, over, far)} == {limit}


def test_texts_that_differ_beyond_the_limit_are_one_to_the_encoder(backend):
    """What is read of them is equal, the whole is not, and the network gives them one vector."""
    name, encoder = backend
    start = f"{WORDS.get(name, 'cat')} " * (LIMITS[name] - ENDS[name])
    other = "blue" if name == "miniature" else "dog"
    texts = [start, f"{start} {other}", f"{other} {start}"]
    first, second, third = counted(encoder, *texts)
    assert (first.read, first.whole != second.whole) == (second.read, True)
    assert third.read != first.read
    vectors = encoder.encode_texts(texts)
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-4, atol=1e-5)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_long_text_of_any_script_is_counted_by_the_tokenizer_itself(text, tiny_open_clip, tiny_transformers_clip):
    """As many as open_clip's tokenizer gives with room for all of them; transformers agrees, cleaning left aside."""
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    (roomy,) = tokenizer(text, context_length=4096).tolist()
    expected = roomy.index(tokenizer.eot_token_id) + 1
    (ours,) = counted(open_encoder(tiny_open_clip, device="cpu"), text)
    (theirs,) = counted(open_encoder(tiny_transformers_clip, device="cpu"), text)
    assert ours.n_tokens == expected
    assert ours.is_cut
    assert theirs.is_cut
    if "&" not in text:  # entities are open_clip's to unescape
        assert theirs.n_tokens == expected


@pytest.fixture(scope="module")
def clip(tiny_open_clip):
    """A network of open_clip's, and its tokenizer apart from it."""
    from open_clip import SimpleTokenizer

    return open_encoder(tiny_open_clip, device="cpu"), SimpleTokenizer()


@given(text=st.text(max_size=400))
def test_what_is_not_cut_is_read_whole(text, clip):
    """Whatever the text, it is said to be cut exactly where the tokenizer's answer changes with more room."""
    encoder, tokenizer = clip
    (count,) = counted(encoder, text)
    cut, roomy = (tokenizer(text, context_length=length)[0].tolist() for length in (77, 4096))
    assert count.is_cut == (cut != roomy[:77] or any(roomy[77:]))


def test_an_encoder_that_does_not_count_says_nothing():
    """A plug-in without ``count_tokens`` gives no record, and so no notice."""
    assert counted(object(), "a", "b") == [None, None]


def test_digests_fit_into_floats():
    """What is kept of a text is exact in float64: 48 bits at most."""
    numbers = token_numbers([[1, 2, 3]], [[1, 2]])
    (record,) = [token_count(row) for row in numbers]
    assert numbers.shape == (1, 4)
    assert (record.n_tokens, record.n_read) == (3, 2)
    assert max(record.whole, record.read) < 2**48
