"""Fixtures that several test files share. What is heavy is imported by the fixture that needs it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import torch

    from evalkit.encoders.cache import EmbeddingCache

# A busy machine is no failure: examples have no deadline of their own, the tests have one together.
settings.register_profile("evalkit", deadline=None)
settings.load_profile("evalkit")

# Tests are small, and the processes of pytest share the cores: threads of torch that wait for one another would take
# several times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell has its background jobs, and all that they start, ignore Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_open_clip(tmp_path_factory) -> str:
    """Specification of a small random CLIP in open_clip's format."""
    from tests.support import models

    return models.tiny_open_clip(tmp_path_factory.mktemp("encoders") / "tiny_open_clip")


@pytest.fixture(scope="session")
def tiny_transformers_clip(tmp_path_factory) -> str:
    """Specification of the same weights in the format of transformers."""
    from tests.support import models

    return models.tiny_transformers_clip(tmp_path_factory.mktemp("encoders") / "tiny_transformers_clip")


@pytest.fixture(scope="session")
def tiny_siglip(tmp_path_factory) -> str:
    """Specification of a small random SigLIP in the format of transformers."""
    from tests.support import models

    return models.tiny_siglip(tmp_path_factory.mktemp("encoders") / "tiny_siglip")


@pytest.fixture(scope="session")
def backbones(tmp_path_factory) -> dict[str, tuple[Path, "torch.nn.Module"]]:
    """For each network below LPIPS a file of random weights, and the layers in it."""
    from tests.support import models

    root = tmp_path_factory.mktemp("backbones")
    return {net: models.write_backbone(root, net) for net in ("alex", "vgg", "squeeze")}


@pytest.fixture
def cache_path(tmp_path) -> Path:
    """Where a cache may be made."""
    return tmp_path / "new" / "embeddings.sqlite"


@pytest.fixture
def cache(cache_path) -> Iterator["EmbeddingCache"]:
    """An empty cache."""
    from evalkit.encoders.cache import EmbeddingCache

    with EmbeddingCache.open(cache_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _wide(monkeypatch) -> None:
    """Commands write whole sentences and rows on lines of their own; what they do with less room has its own tests."""
    monkeypatch.setenv("COLUMNS", "1000")
