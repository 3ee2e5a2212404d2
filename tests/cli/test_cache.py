"""``evalkit cache``."""

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.encoders.base import EncoderSpec, Preprocess
from evalkit.encoders.cache import EmbeddingCache


def spec(dtype: str) -> EncoderSpec:
    """An encoder in one type."""
    preprocess = Preprocess(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return EncoderSpec(name="fake/net", weights_sha256="0" * 64, preprocess=preprocess, tokenizer="none", dtype=dtype)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A cache directory of the test's own."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def filled(directory):
    """A cache with three vectors of one encoder in two types, and one of an encoder that nobody described."""
    vectors = {hashlib.sha256(bytes([n])).hexdigest(): np.ones(4, np.float32) for n in range(3)}
    with EmbeddingCache.open() as cache:
        for dtype in ("fp32", "bf16"):
            cache.describe(spec(dtype).cache_key, spec(dtype).label)
            cache.put_many(spec(dtype).cache_key, "image", vectors)
        cache.put_many("f" * 64, "text", dict(list(vectors.items())[:1]))
    return directory


def run(*arguments: str, answer: str | None = None):
    """The command's result, its two streams apart."""
    return CliRunner().invoke(main, ["cache", *arguments], input=answer)


def test_looking_makes_no_cache(directory):
    """Where nothing was cached yet, info says so and clear has nothing to do; no file appears."""
    shown = run("info")
    assert shown.exit_code == 0
    assert f"{directory / 'embeddings.sqlite'}: 0 embeddings, 0.0 MB" in shown.stdout
    assert json.loads(run("clear", "--json").stdout)["n_deleted"] == 0
    assert not directory.exists()


def test_info_lists_encoders(filled):
    """Names, fingerprints and counts, as a table and as one object."""
    table = run("info").stdout
    assert "fake/net@" in table
    assert "unnamed ffffffffffff" in table
    told = json.loads(run("info", "--json").stdout)
    assert told["n_entries"] == 7
    assert [encoder["n_images"] for encoder in told["encoders"]] == [3, 3, 0]


def test_clear_asks_first(filled):
    """Without --yes a question stands between the user and the deletion, and no is no."""
    refused = run("clear", answer="n\n")
    assert refused.exit_code == 1
    assert "Delete 7 embeddings" in refused.stderr
    assert json.loads(run("info", "--json").stdout)["n_entries"] == 7
    assert run("clear", answer="y\n").exit_code == 0
    assert json.loads(run("info", "--json").stdout)["n_entries"] == 0


def test_clear_one_encoder(filled):
    """A fingerprint's beginning or an unambiguous name chooses; the others stay."""
    done = run("clear", "--encoder", spec("bf16").cache_key[:12], "--yes", "--json")
    assert json.loads(done.stdout)["n_deleted"] == 3
    done = run("clear", "--encoder", "fake/net", "--yes")
    assert "Deleted 3 embeddings" in done.stdout
    assert json.loads(run("info", "--json").stdout)["n_entries"] == 1


def test_a_wrong_or_ambiguous_encoder_is_told_what_there_is(filled):
    """Nothing is deleted, and the message lists what the name could have been."""
    wrong = run("clear", "--encoder", "clip", "--yes")
    assert wrong.exit_code == 1
    assert "holds nothing of an encoder 'clip'. It holds: fake/net@" in wrong.stderr
    double = run("clear", "--encoder", "fake/net", "--yes")
    assert double.exit_code == 1
    assert f"stands for 2 encoders in {filled / 'embeddings.sqlite'}" in double.stderr
    assert json.loads(run("info", "--json").stdout)["n_entries"] == 7


def test_a_damaged_cache_ends_in_one_sentence(directory):
    """Exit code 1 and the command that removes the file."""
    directory.mkdir()
    (directory / "embeddings.sqlite").write_bytes(b"no database" * 1000)
    failed = run("info")
    assert failed.exit_code == 1
    assert f"rm {directory / 'embeddings.sqlite'}*" in failed.stderr
