"""How many tokens a text is to an encoder, and whether it reads them all."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.arrays import Floats

_COLUMNS = 4
_DIGEST_BYTES = 6
"""Of a digest, as many as a float holds exactly; two of a million texts are alike by chance once in 500 runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """A text as an encoder's tokenizer sees it."""

    n_tokens: int
    """Of the whole text, start and end tokens included."""
    n_read: int
    """As many as the encoder reads at most."""
    whole: int
    """Equal for texts of the same tokens."""
    read: int
    """Equal for texts of which the encoder reads the same tokens."""

    @property
    def is_cut(self) -> bool:
        """Whether the encoder does not see the end of the text."""
        return self.n_tokens > self.n_read


def token_numbers(whole: Iterable[Sequence[int]], read: Iterable[Sequence[int]]) -> Floats:
    """What is kept of each text.

    Args:
        whole: Its token numbers, uncut.
        read: Its token numbers as the encoder reads them, cut and padded to its context length.

    Returns:
        ``(n, 4)``: the fields of :class:`TokenCount`.
    """
    rows = [(len(all_of), len(cut), _digest(all_of), _digest(cut)) for all_of, cut in zip(whole, read, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS)


def token_count(numbers: npt.NDArray[np.floating]) -> TokenCount | None:
    """The record of one row of :func:`token_numbers`; None where the encoder does not say."""
    if np.isnan(numbers).any():
        return None
    n_tokens, n_read, whole, read = (int(number) for number in numbers)
    return TokenCount(n_tokens=n_tokens, n_read=n_read, whole=whole, read=read)


def count_tokens(encoder: object, texts: Sequence[str]) -> Floats:
    """What an encoder says of texts with its own ``count_tokens``.

    Returns:
        ``(n, 4)`` as :func:`token_numbers` gives them; NaN for an encoder, such as a plug-in's, that does not say.
    """
    counts = getattr(encoder, "count_tokens", None)
    found: Floats = np.full((len(texts), _COLUMNS), np.nan) if counts is None else counts(texts)
    return found


def _digest(tokens: Sequence[int]) -> int:
    digest = hashlib.sha256(np.array(tokens, dtype="<i8").tobytes()).digest()
    return int.from_bytes(digest[:_DIGEST_BYTES], "big")
