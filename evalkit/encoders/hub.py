"""Weights from the Hugging Face Hub, fetched by its own client, and the one message for when they cannot be had."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.errors import WeightsError

SETTINGS = ("*.json", "*.txt", "*.model")
"""Configuration, vocabulary and tokenizer files of a model repository."""


def fetch_snapshot(repo_id: str, *, safe: tuple[str, ...], unsafe: tuple[str, ...], local: str) -> Path:
    """The directory of a model repository's settings and weights, in the Hub client's cache.

    Args:
        repo_id: ``owner/name``.
        safe: Patterns of weight files that cannot carry code.
        unsafe: Patterns of those that are fetched only where there is no safe one.
        local: An encoder specification that would use a local copy, for the message.

    Raises:
        WeightsError: The repository cannot be had.
    """
    from huggingface_hub import snapshot_download

    with downloading(f"the weights of {repo_id}", repo_id, local):
        directory = Path(snapshot_download(repo_id, allow_patterns=[*SETTINGS, *safe]))
        if not any(next(directory.glob(pattern), None) for pattern in safe):
            snapshot_download(repo_id, allow_patterns=list(unsafe))
    return directory


@contextmanager
def downloading(what: str, repo_id: str, local: str) -> Iterator[None]:
    """Turns whatever a download raises into a :class:`WeightsError` with the ways out.

    Args:
        what: What is downloaded, as it reads in the message.
        repo_id: From which repository.
        local: An encoder specification that would use a local copy.
    """
    from huggingface_hub import constants

    try:
        yield
    # Clients raise their own errors, the system's, and those of the HTTP library beneath, which differs by version.
    except Exception as failure:
        raise WeightsError(
            f"{what[0].upper()}{what[1:]} cannot be downloaded from {constants.ENDPOINT}/{repo_id}: {_cause(failure)}. "
            f"Give a copy that you have: --encoder {local}. For a dry run without any download, whose scores mean "
            f"nothing for photographs: --encoder miniature"
        ) from failure


def _cause(failure: BaseException) -> str:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE forbids it, and they are not in the local cache"
    return one_line(failure)


def one_line(failure: BaseException) -> str:
    """What an exception says, as part of a sentence."""
    text = " ".join(str(failure).split()) or type(failure).__name__
    return (text if len(text) <= 300 else f"{text[:300]}…").rstrip(" .")
