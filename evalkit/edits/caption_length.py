"""About how many tokens a caption is to CLIP, where there is no tokenizer at hand: scoring counts them."""

import re
import unicodedata

LONGEST = 77
"""Tokens that CLIP reads, start and end included, as most text encoders after it."""
_PIECE = re.compile(r"[A-Za-z]+|[0-9]|[!-/:-@\[-`{-~]+|[^\x00-\x7f]")
"""What a tokenizer of byte pairs keeps together at most: a word, a digit, signs; of other scripts it has few pairs."""
_LETTERS = 10
"""Of an English word, that mostly are one token."""


def estimated_tokens(caption: str) -> int:
    """About how many tokens a caption is, start and end included: right within a factor of two in any script.

    A letter outside of ASCII counts as one, be it of a script that has blanks between words or not; a character of
    Chinese, Japanese or Korean, three bytes of which few pairs are known, as two.

    >>> estimated_tokens("A photo of a dog."), estimated_tokens("一个红色的圆")
    (8, 14)
    """
    return 2 + sum(_tokens(piece) for piece in _PIECE.findall(caption))


def _tokens(piece: str) -> int:
    if piece.isascii():
        return 1 + (len(piece) - 1) // _LETTERS if piece.isalpha() else 1
    if piece.isspace():
        return 0
    return 2 if unicodedata.east_asian_width(piece) in "WF" and piece.isalpha() else 1
