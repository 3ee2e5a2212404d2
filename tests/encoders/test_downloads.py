"""Weights from the Hub: the real clients against a server on loopback, and what a user reads when it fails."""

import json
import socket

import pytest

from tests.support import models
from tests.support.downloads import ask, digest_of, files_of
from tests.support.hub import HubServer

REPO = "evalkit/tiny-clip"


def test_a_transformers_repository_is_fetched_once(tmp_path, tiny_transformers_clip):
    """Settings and weights arrive; pickled weights beside safe ones are left; later the server is not needed."""
    files = files_of(tiny_transformers_clip) | {"pytorch_model.bin": b"\xff" * 100, "README.md": b"# Card"}
    with HubServer() as hub:
        hub.add_repo("model", REPO, files)
        environment = hub.environment(tmp_path)
        first = ask(environment, f"transformers:{REPO}")
        asked = " ".join(hub.requests)
    assert json.loads(first) == [f"transformers/{REPO}", digest_of(tiny_transformers_clip)]
    assert "model.safetensors" in asked
    assert "pytorch_model.bin" not in asked
    assert "README.md" not in asked
    assert ask(environment, f"transformers:{REPO}") == first


def test_open_clip_weights_are_fetched_by_tag_and_by_repository(tmp_path, tiny_open_clip):
    """Weights that open_clip lists come from the repository that it names, safetensors before pickles.

    ``hf-hub:`` reads the architecture and the preprocessing from there as well.
    """
    (tmp_path / "tiny.json").write_text(json.dumps(models.CONFIG | {"quick_gelu": False}))
    files = files_of(tiny_open_clip) | {"open_clip_pytorch_model.bin": b"\xff" * 100}
    with HubServer() as hub:
        hub.add_repo("model", REPO, files)
        environment = hub.environment(tmp_path / "home")
        specs = ("open_clip:tiny/random", f"open_clip:hf-hub:{REPO}")
        told = ask(environment, *specs, architecture=tmp_path / "tiny.json").splitlines()
        asked = " ".join(hub.requests)
    digest = digest_of(tiny_open_clip)
    assert [json.loads(line) for line in told] == [["open_clip/tiny/random", digest], [f"open_clip/{REPO}", digest]]
    assert "open_clip_model.safetensors" in asked
    assert "open_clip_pytorch_model.bin" not in asked


def require_ways_out(message: str, endpoint: str, local: str) -> None:
    """A refusal says what could not be had, from where, and both ways out."""
    assert message.startswith("WeightsError: The weights")
    assert f"cannot be downloaded from {endpoint}/" in message
    assert f"--encoder {local}" in message
    assert message.rstrip().endswith("--encoder miniature")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("absent", "there is no such repository, or it is private"),
        ("gated", "the repository is gated (accept its terms on its page"),
        ("broken", "the server answers 503"),
        ("empty", "the repository has no model*.safetensors or pytorch_model*.bin"),
    ],
)
def test_a_refusal_of_the_hub_is_explained(tmp_path, fault, reason):
    """A repository that is absent, gated or without weights, and a server in trouble, are told apart."""
    with HubServer() as hub:
        if fault != "absent":
            hub.add_repo("model", REPO, {"config.json": b"{}"}, gated=fault == "gated")
        if fault == "gated":
            hub.fail("GET /api/models/", status=403, error_code="GatedRepo")
        if fault == "broken":
            hub.fail("GET /api/models/", status=503)
        message = ask(hub.environment(tmp_path), f"transformers:{REPO}")
        require_ways_out(message, hub.endpoint, "transformers:<directory>")
    assert reason in message


@pytest.mark.parametrize("fault", ["down", "silent", "offline"])
def test_a_hub_that_does_not_answer_is_given_up(tmp_path, fault):
    """Without a server, with one that says nothing, and where downloads are forbidden, the answer comes soon."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with HubServer() as hub:
            environment = hub.environment(tmp_path)
        if fault == "silent":
            environment["HF_ENDPOINT"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if fault == "offline":
            environment["HF_HUB_OFFLINE"] = "1"
        message = ask(environment, f"transformers:{REPO}")
    require_ways_out(message, environment["HF_ENDPOINT"], "transformers:<directory>")
    reason = {"offline": "HF_HUB_OFFLINE forbids it"}.get(fault, "the server cannot be reached")
    assert reason in message


def test_the_default_encoder_without_a_network_says_what_to_do(tmp_path):
    """The first thing a user without a connection reads: which weights, from where, and the two ways out."""
    with HubServer() as hub:
        environment = hub.environment(tmp_path)
    message = ask(environment, "open_clip:ViT-B-32-quickgelu/openai")
    require_ways_out(message, environment["HF_ENDPOINT"], "open_clip:ViT-B-32-quickgelu/<file>")
    assert "The weights 'openai' of open_clip's ViT-B-32-quickgelu" in message
    assert "/timm/vit_base_patch32_clip_224.openai:" in message
