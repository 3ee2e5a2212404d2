"""Captions word by word: the columns of their tokens, and which word of one caption stands for which of another.

What Prompt-to-Prompt needs to carry attention maps over. Nothing here needs torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from math import isfinite, nan
from typing import Any, Literal

import numpy as np

from evalkit.arrays import Floats
from evalkit.errors import OptionError

Alignment = Literal["authors", "shifted"]
"""Of what follows the replaced words."""
TokenColumns = tuple[tuple[int, ...], tuple[int, ...]]
"""Of the source's and of the target's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionWords:
    """A caption's words and the columns of their tokens."""

    words: tuple[str, ...]
    """Separated by spaces, punctuation included."""
    columns: tuple[tuple[int, ...], ...]
    """Of each word, in the embedding, whose first column is the start token."""
    ids: tuple[int, ...]
    """Of all tokens, start and end included."""

    @classmethod
    def from_caption(cls, tokenizer: Any, text: str, n_columns: int) -> "CaptionWords":  # noqa: ANN401 - transformers ships no types
        """A caption taken apart by CLIP's tokenizer; words that do not fit into the embedding have no columns.

        Raises:
            OptionError: The words' tokens are not the caption's, as where the tokenizer joins or mends characters.
        """
        words = tuple(text.split())
        ids = tokenizer(text, truncation=True, max_length=n_columns)["input_ids"]
        columns: list[tuple[int, ...]] = []
        tokens: list[int] = []
        for word in words:
            own = tokenizer(word, add_special_tokens=False)["input_ids"]
            first = 1 + len(tokens)
            columns.append(tuple(range(first, min(first + len(own), n_columns - 1))))
            tokens += own
        if tokens[: n_columns - 2] != ids[1:-1]:
            raise OptionError(f"The words of the caption '{text}' cannot be told apart; write it in plain letters.")
        return cls(words=words, columns=tuple(columns), ids=tuple(ids))

    def word_columns(self, word: str) -> tuple[int, ...]:
        """The columns of all occurrences of a word, with or without punctuation after it."""
        return tuple(
            column
            for own, columns in zip(self.words, self.columns, strict=True)
            if word in (own, own.rstrip(".,;:!?"))
            for column in columns
        )

    def differing_columns(self, other: "CaptionWords") -> tuple[int, ...]:
        """The columns of the words that the other caption has not, or has in another order."""
        matcher = SequenceMatcher(None, self.words, other.words, autojunk=False)
        same = {n for block in matcher.get_matching_blocks() for n in range(block.a, block.a + block.size)}
        return tuple(column for n, columns in enumerate(self.columns) if n not in same for column in columns)


def replacement_mapping(
    source: CaptionWords, target: CaptionWords, n_columns: int, alignment: Alignment
) -> tuple[Floats, Floats]:
    """M and α for captions of as many words: each word takes over the map of the word at its position.

    Words of as many tokens are matched token by token; else every source token goes to every target token in equal
    parts. ``shifted`` goes on so to the end: what follows the last word (end and padding) is matched in order, and
    where the source's caption is the longer one the last columns share the source's last. ``authors`` stops at the last
    word that differs; after it each column takes over the source's of the same number, and where the source's words up
    to there have more tokens, as many columns at the end take over nothing. α is 1 but where a word has no partner, as
    the embedding ends before it.

    Raises:
        OptionError: The numbers of words differ.
    """
    if len(source.words) != len(target.words):
        raise OptionError(
            f"Replacing needs captions of as many words; got {len(source.words)} and {len(target.words)}. "
            f"Use edit=refine or edit=auto."
        )
    n_matched = len(target.words)
    if alignment == "authors":
        pairs = zip(source.words, target.words, strict=True)
        n_matched = max((n for n, (one, other) in enumerate(pairs, start=1) if one != other), default=0)
    matched = source.columns[:n_matched], target.columns[:n_matched]
    mapping = np.zeros((n_columns, n_columns))
    mapping[0, 0] = 1
    for source_columns, target_columns in zip(*matched, strict=True):
        if len(source_columns) == len(target_columns):
            mapping[source_columns, target_columns] = 1
        elif target_columns:
            mapping[np.ix_(source_columns, target_columns)] = 1 / len(target_columns)
    ends = [1 + max((c for columns in words for c in columns), default=0) for words in matched]
    rest = np.arange(ends[1], n_columns)
    if alignment == "authors":
        same = rest[: n_columns - max(ends)]
        mapping[same, same] = 1
    else:
        mapping[np.minimum(rest + ends[0] - ends[1], n_columns - 1), rest] = 1
    alpha = mapping.any(axis=0).astype(float)
    alpha[rest] = 1
    return mapping, alpha


def refinement_mapping(source: Sequence[int], target: Sequence[int], n_columns: int) -> tuple[Floats, Floats]:
    """M and α for token ids of which one adds words to the other: a global alignment.

    A gap costs nothing, a match gains 1, a mismatch loses 1; among equals a token of the target goes without a partner
    first, then one of the source. Tokens of the target without a partner keep their own map (α = 0).
    """
    best = np.zeros((len(source) + 1, len(target) + 1), int)
    for i, source_id in enumerate(source, start=1):
        for j, target_id in enumerate(target, start=1):
            best[i, j] = max(best[i, j - 1], best[i - 1, j], best[i - 1, j - 1] + (1 if source_id == target_id else -1))
    mapping, alpha = np.zeros((n_columns, n_columns)), np.zeros(n_columns)
    i, j = len(source), len(target)
    while i and j:
        if best[i, j] == best[i, j - 1]:
            j -= 1
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            mapping[i, j] = alpha[j] = 1
    for column in range(len(target), n_columns):
        mapping[column, column] = alpha[column] = 1
    return mapping, alpha


def token_weights(target: CaptionWords, weights: str, n_columns: int) -> Floats:
    """c, from ``word=weight,…``.

    Raises:
        OptionError: A part is no ``word=weight``, or the word is not in the caption.
    """
    scale = np.ones(n_columns)
    for part in filter(None, weights.split(",")):
        word, _, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = nan
        if not isfinite(value):
            raise OptionError(f"The setting 'weights' must look like red=2,large=0.5; got '{weights}'.")
        columns = target.word_columns(word.strip())
        if not columns:
            raise OptionError(f"The word '{word.strip()}' is not in the caption '{' '.join(target.words)}'.")
        scale[list(columns)] = value
    return scale


def blend_columns(source: CaptionWords, target: CaptionWords, setting: str) -> TokenColumns | None:
    """The columns of the words to which an edit is confined; None where it is not.

    The setting is ``none``, ``auto`` (the words that differ), or words of either caption, with commas between.

    Raises:
        OptionError: A word is in neither caption.
    """
    if setting == "none":
        return None
    if setting == "auto":
        chosen = source.differing_columns(target), target.differing_columns(source)
        return chosen if any(chosen) else None
    words = [word.strip() for word in setting.split(",")]
    found = [(source.word_columns(word), target.word_columns(word)) for word in words]
    for word, columns in zip(words, found, strict=True):
        if not any(columns):
            captions = "', '".join(" ".join(caption.words) for caption in (source, target))
            raise OptionError(f"The word '{word}' of the setting 'blend' is in neither caption: '{captions}'.")
    source_columns, target_columns = (
        tuple(column for part in side for column in part) for side in zip(*found, strict=True)
    )
    return source_columns, target_columns
