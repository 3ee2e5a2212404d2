"""What the failures of the Hugging Face Hub's client mean, in the words of a person."""

import os
from collections.abc import Iterator


def hub_reason(failure: BaseException) -> str:
    """Why the Hub does not give something, and what to do, as the end of a sentence.

    Args:
        failure: What its client raised, or what another library made of that.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE forbids it, and it is not in the local cache"
    for cause in _causes(failure):
        if isinstance(cause, GatedRepoError):
            return "the repository is gated (accept its terms on its page, then: hf auth login)"
        if isinstance(cause, RevisionNotFoundError):
            return "there is no such revision"
        if isinstance(cause, RepositoryNotFoundError):
            return "there is no such repository, or it is private (then: hf auth login)"
        if isinstance(cause, HfHubHTTPError):
            return f"the server answers {cause.response.status_code}"
    if isinstance(failure, FileNotFoundError):
        return one_line(failure)
    return f"the server cannot be reached ({type(failure).__name__}: {one_line(failure)})"


def one_line(failure: BaseException) -> str:
    """What an exception says, as part of a sentence."""
    text = " ".join(str(failure).split()) or type(failure).__name__
    return (text if len(text) <= 300 else f"{text[:300]}…").rstrip(" .")


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was made of."""
    while failure is not None:
        yield failure
        failure = failure.__cause__ or failure.__context__
