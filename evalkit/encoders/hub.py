"""Weights from the Hugging Face Hub, fetched by its own client, and the one message for when they cannot be had."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from evalkit.errors import WeightsError
from evalkit.storage.hub import hub_reason

SETTINGS = ("*.json", "*.txt", "*.model")
"""Configuration, vocabulary and tokenizer files of a model repository."""
DRY_RUN = "For a dry run without any download, whose scores mean nothing for photographs: --encoder miniature"
ANSWER_SECONDS = 10.0
"""How long the Hub may take to say what a repository holds; without a limit its client would wait for ever."""


def fetch_snapshot(
    repo_id: str, *, safe: Sequence[str], unsafe: Sequence[str], what: str, local: str, otherwise: str = DRY_RUN
) -> Path:
    """The directory of a model repository's settings and weights, in the Hub client's own cache.

    Args:
        repo_id: ``owner/name``.
        safe: Patterns of weight files that cannot carry code.
        unsafe: Patterns of those that are fetched only where there is no safe one.
        what: The weights, as they read in the message.
        local: An encoder specification that would use a local copy, for the message.
        otherwise: What else the user can do, for the message.

    Raises:
        WeightsError: They cannot be had.
    """
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with downloading(what, repo_id, local, otherwise):
        try:
            listing = HfApi().model_info(repo_id, timeout=ANSWER_SECONDS).siblings or ()
        # Whatever keeps the Hub from answering, a copy from an earlier download will do.
        except Exception as failure:
            try:
                return Path(snapshot_download(repo_id, allow_patterns=[*SETTINGS, *safe], local_files_only=True))
            except LocalEntryNotFoundError:
                raise failure from None
        names = [file.rfilename for file in listing if "/" not in file.rfilename]
        weights = _matching(names, safe) or _matching(names, unsafe)
        if not weights:
            raise FileNotFoundError(f"the repository has no {' or '.join((*safe, *unsafe))}")
        paths = [Path(hf_hub_download(repo_id, name)) for name in (*_matching(names, SETTINGS), *weights)]
    return paths[-1].parent


def fetch_settings(repo_id: str, *, what: str, local: str, otherwise: str = DRY_RUN) -> Path:
    """The directory of a model repository's settings alone; the arguments are those of :func:`fetch_snapshot`.

    Raises:
        WeightsError: They cannot be had.
    """
    from huggingface_hub import snapshot_download

    with downloading(what, repo_id, local, otherwise):
        return Path(snapshot_download(repo_id, allow_patterns=list(SETTINGS)))


@contextmanager
def downloading(what: str, repo_id: str, local: str, otherwise: str = DRY_RUN) -> Iterator[None]:
    """Turns whatever a download raises into a :class:`WeightsError` with the ways out.

    Args:
        what: What is downloaded, as it reads in the message.
        repo_id: From which repository.
        local: An encoder specification that would use a local copy.
        otherwise: What else the user can do.
    """
    from huggingface_hub import constants

    try:
        yield
    # Clients raise their own errors, the system's, and those of the HTTP library beneath, which differs by version.
    except Exception as failure:
        raise WeightsError(
            f"{what} cannot be downloaded from {constants.ENDPOINT}/{repo_id}: {hub_reason(failure)}.",
            f"Give a copy that you have: --encoder {local}. {otherwise}",
        ) from failure


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
