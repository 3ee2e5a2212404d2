"""Captions word by word: columns, partners and weights, against hand-made examples and the published walks."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from evalkit.encoders.miniature import DIRECTORY
from evalkit.errors import OptionError
from evalkit_adapters.methods.prompt_to_prompt.word_alignment import (
    CaptionWords,
    blend_columns,
    refinement_mapping,
    replacement_mapping,
    token_weights,
)

LENGTH = 48
TOKENIZER = CLIPTokenizer.from_pretrained(DIRECTORY)
CAPTIONS = st.lists(st.sampled_from(["a", "Red", "circle", "dark", "cat,", "dark-green", "photo", "it's"]), max_size=9)


def words(**tokens):
    """A caption of words with so many tokens each."""
    columns, first = [], 1
    for number in tokens.values():
        columns.append(tuple(range(first, first + number)))
        first += number
    return CaptionWords(words=tuple(tokens), columns=tuple(columns), ids=tuple(range(first + 1)))


def caption(text):
    """A caption as the miniature CLIP's tokenizer takes it apart."""
    return CaptionWords.from_caption(TOKENIZER, text, LENGTH)


@given(CAPTIONS)
def test_a_words_columns_are_those_that_spell_it(text):
    """As in the published code: tokens are decoded one by one until they are as long as the word."""
    columns, spelt = [()], 0
    for column, token in enumerate(TOKENIZER.encode(" ".join(text))[1:-1], start=1):
        columns[-1] += (column,)
        spelt += len(TOKENIZER.decode([token]))
        if spelt == len(text[len(columns) - 1]):
            columns, spelt = [*columns, ()], 0
    found = caption(" ".join(text))
    assert found.words == tuple(text)
    assert found.columns == tuple(columns[:-1])
    assert found.ids == tuple(TOKENIZER.encode(" ".join(text)))


def test_words_that_do_not_fit_have_no_columns():
    """A caption is cut where the embedding ends."""
    found = CaptionWords.from_caption(TOKENIZER, "a dark red circle", 6)
    assert found.columns == ((1,), (2, 3, 4), (), ())
    assert len(found.ids) == 6


def test_an_emoji_is_one_word():
    """Though none of its four tokens spells a character."""
    assert caption("a 😀 cat").columns == ((1,), (2, 3, 4, 5), (6, 7))


def test_words_that_run_into_each_other_are_refused():
    """A tokenizer that joins words leaves no columns to tell them by."""

    def joined(text, **_options):
        return {"input_ids": [0, len(text), 1]}

    with pytest.raises(OptionError, match="plain letters"):
        CaptionWords.from_caption(joined, "a cat", 77)


def test_punctuation_may_be_left_out():
    """A word is found with its comma or without, wherever it stands; in another case it is another word."""
    text = caption("a cat, a red cat")
    assert text.word_columns("cat") == (2, 3, 4, 7, 8)
    assert text.word_columns("cat,") == (2, 3, 4)
    assert text.word_columns("Cat") == text.word_columns("dog") == ()


THIRD, HALF = 1 / 3, 1 / 2
HAND_MADE = {
    "single tokens": (
        {"a": 1, "cat": 1, "sat": 1},
        {"a": 1, "dog": 1, "sat": 1},
        {n: {n: 1} for n in range(8)},
        {n: {n: 1} for n in range(8)},
    ),
    "as many tokens": (
        {"a": 1, "burger": 2, "sat": 1},
        {"a": 1, "pizza": 2, "sat": 1},
        {n: {n: 1} for n in range(8)},
        {n: {n: 1} for n in range(8)},
    ),
    "one token to three": (
        {"a": 1, "burger": 1, "sat": 1},
        {"a": 1, "lasagne": 3, "sat": 1},
        {0: {0: 1}, 1: {1: 1}, 2: {2: THIRD}, 3: {2: THIRD}, 4: {2: THIRD}, 5: {3: 1}, 6: {4: 1}, 7: {5: 1}},
        {0: {0: 1}, 1: {1: 1}, 2: {2: THIRD}, 3: {2: THIRD}, 4: {2: THIRD}, 5: {5: 1}, 6: {6: 1}, 7: {7: 1}},
    ),
    "two tokens to three, at the end": (
        {"a": 1, "pizza": 2},
        {"a": 1, "lasagne": 3},
        {0: {0: 1}, 1: {1: 1}, **{n: {2: THIRD, 3: THIRD} for n in (2, 3, 4)}, 5: {4: 1}, 6: {5: 1}, 7: {6: 1}},
        {0: {0: 1}, 1: {1: 1}, **{n: {2: THIRD, 3: THIRD} for n in (2, 3, 4)}, 5: {5: 1}, 6: {6: 1}, 7: {7: 1}},
    ),
    "three tokens to one": (
        {"a": 1, "lasagne": 3, "sat": 1},
        {"a": 1, "burger": 1, "sat": 1},
        {0: {0: 1}, 1: {1: 1}, 2: {2: 1, 3: 1, 4: 1}, 3: {5: 1}, 4: {6: 1}, 5: {7: 1}, 6: {7: 1}, 7: {7: 1}},
        {0: {0: 1}, 1: {1: 1}, 2: {2: 1, 3: 1, 4: 1}, 3: {3: 1}, 4: {4: 1}, 5: {5: 1}, 6: {}, 7: {}},
    ),
    "two words, one after the other longer": (
        {"old": 1, "and": 1, "cat": 1, "sat": 1},
        {"young": 2, "and": 1, "ferret": 2, "sat": 1},
        {0: {0: 1}, 1: {1: HALF}, 2: {1: HALF}, 3: {2: 1}, 4: {3: HALF}, 5: {3: HALF}, 6: {4: 1}, 7: {5: 1}},
        {0: {0: 1}, 1: {1: HALF}, 2: {1: HALF}, 3: {2: 1}, 4: {3: HALF}, 5: {3: HALF}, 6: {6: 1}, 7: {7: 1}},
    ),
    "two words that make up for each other": (
        {"old": 1, "and": 1, "ferret": 2, "sat": 1},
        {"young": 2, "and": 1, "cat": 1, "sat": 1},
        {0: {0: 1}, 1: {1: HALF}, 2: {1: HALF}, 3: {2: 1}, 4: {3: 1, 4: 1}, 5: {5: 1}, 6: {6: 1}, 7: {7: 1}},
        {0: {0: 1}, 1: {1: HALF}, 2: {1: HALF}, 3: {2: 1}, 4: {3: 1, 4: 1}, 5: {5: 1}, 6: {6: 1}, 7: {7: 1}},
    ),
    "nothing": (
        {"a": 1, "pizza": 2},
        {"a": 1, "pizza": 2},
        {n: {n: 1} for n in range(8)},
        {n: {n: 1} for n in range(8)},
    ),
}
"""Source and target with the tokens of their words, and each target column's parts of the source's: shifted, authors'.

Eight columns: the first is the start token's, those behind the words the end token's and padding.
"""


@pytest.mark.parametrize("case", HAND_MADE)
def test_both_alignments_are_as_worked_out_by_hand(case):
    """They differ in what follows the last replaced word, where it is another number of columns away from the start."""
    source, target, *expected = HAND_MADE[case]
    for alignment, parts in zip(("shifted", "authors"), expected, strict=True):
        wanted = np.zeros((8, 8))
        for column, shares in parts.items():
            for origin, share in shares.items():
                wanted[origin, column] = share
        mapping, alpha = replacement_mapping(words(**source), words(**target), 8, alignment)
        assert np.allclose(mapping, wanted, rtol=0, atol=1e-15), alignment
        assert alpha.tolist() == [1] * 8


@pytest.mark.parametrize("alignment", ["shifted", "authors"])
@given(pairs=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.booleans()), max_size=6))
def test_replacing_is_the_described_walk(alignment, pairs):
    """Two cursors, one in each caption, jump over words that differ and go on side by side in between.

    Behind the last such word they go on so to the end, where the last of the source's columns is shared; the authors'
    walk takes the target's number for both there, and ends with the shorter rest.
    """
    n = 30
    theirs = words(**{f"{k}" if same else f"{k} before": a for k, (a, _, same) in enumerate(pairs)})
    ours = words(**{f"{k}" if same else f"{k} after": a if same else b for k, (a, b, same) in enumerate(pairs)})
    expected, i, j = np.zeros((n, n)), 0, 0
    todo = [(theirs.columns[k], ours.columns[k]) for k in range(len(pairs)) if theirs.words[k] != ours.words[k]]
    while i < n and j < n:
        if todo and i == todo[0][0][0]:
            one, other = todo.pop(0)
            for a in range(len(one)):
                for b in range(len(other)):
                    same = len(one) == len(other)
                    expected[one[a], other[b]] = float(a == b) if same else 1 / len(other)
            i, j = i + len(one), j + len(other)
        else:
            expected[i if todo or alignment == "shifted" else j, j] = 1
            i, j = i + 1, j + 1
    if alignment == "shifted":
        expected[n - 1, j:] = 1
    mapping, alpha = replacement_mapping(theirs, ours, n, alignment)
    assert np.array_equal(mapping, expected)
    assert np.array_equal(alpha, np.ones(n))


@pytest.mark.parametrize("alignment", ["shifted", "authors"])
def test_a_word_whose_partner_was_cut_off_keeps_its_own_map(alignment):
    """Attention would otherwise be lost."""
    theirs = CaptionWords(words=("x", "y"), columns=((1, 2, 3, 4), ()), ids=(0, 1, 1, 1, 1, 2))
    ours = CaptionWords(words=("v", "w"), columns=((1, 2), (3,)), ids=(0, 3, 3, 1, 2))
    mapping, alpha = replacement_mapping(theirs, ours, 6, alignment)
    assert alpha.tolist() == [1, 1, 1, 0, 1, 1]
    assert not mapping[:, 3].any()


def test_replacing_needs_as_many_words():
    """Two words cannot replace one."""
    with pytest.raises(OptionError, match="got 2 and 3"):
        replacement_mapping(words(a=1, b=1), words(a=1, b=1, c=1), 10, "authors")


def test_among_equal_alignments_the_targets_insertion_comes_first_from_the_end():
    """Of two same words only one can be the source's: the first, as the published trace-back goes."""
    mapping, alpha = refinement_mapping([98, 7, 99], [98, 7, 7, 99], 4)
    assert alpha.tolist() == [1, 1, 0, 1]
    assert mapping[1, 1] == 1
    assert refinement_mapping([98, 1, 2, 99], [98, 2, 1, 99], 4)[1].tolist() == [1, 1, 0, 1]


@given(st.lists(st.integers(0, 3), max_size=7), st.lists(st.integers(0, 3), max_size=7))
def test_a_refinement_keeps_as_many_tokens_in_order_as_there_can_be(source, target):
    """Matches are of equal tokens, in order, and as many as in the longest common subsequence."""
    source, target = (8, *source, 9), (8, *target, 9)

    @cache
    def common(i, j):
        if not i or not j:
            return 0
        same = source[i - 1] == target[j - 1]
        return max(common(i - 1, j), common(i, j - 1), common(i - 1, j - 1) + same)

    mapping, alpha = refinement_mapping(source, target, 12)
    partners = [(i, j) for j in range(len(target)) for i in np.flatnonzero(mapping[:, j])]
    assert len(partners) == common(len(source), len(target)) == alpha[: len(target)].sum()
    assert all(source[i] == target[j] for i, j in partners)
    assert all(a < b for (a, _), (b, _) in pairwise(partners))
    assert np.array_equal(mapping[:, len(target) :], np.eye(12)[:, len(target) :])


def test_weights_are_the_words_own():
    """One value for each word, on all of its columns, wherever it stands; all others are 1."""
    scale = token_weights(caption("a dark circle, a red circle"), "circle=2.5, red=-1", LENGTH)
    expected = np.ones(LENGTH)
    expected[[5, 6, 9]] = 2.5
    expected[8] = -1
    assert np.array_equal(scale, expected)
    assert np.array_equal(token_weights(caption("a"), "", LENGTH), np.ones(LENGTH))


@pytest.mark.parametrize("weights", ["red", "red=", "red=much", "red=nan", "red=inf"])
def test_a_weight_that_is_none_is_refused(weights):
    """The message shows what one looks like."""
    with pytest.raises(OptionError, match=r"red=2,large=0.5"):
        token_weights(caption("a red circle"), weights, LENGTH)


def test_a_weight_for_a_word_that_is_not_there_is_refused():
    """A silent edit of nothing would look like a method that does nothing."""
    with pytest.raises(OptionError, match="'blue' is not in the caption 'a red circle'"):
        token_weights(caption("a red circle"), "blue=2", LENGTH)


def test_the_blends_words():
    """None, those that differ, or words of either caption; one that is in neither is refused."""
    source, target = caption("a red circle"), caption("a blue circle")
    assert blend_columns(source, target, "none") is None
    assert blend_columns(source, target, "auto") == ((2,), (2,))
    assert blend_columns(source, source, "auto") is None
    assert blend_columns(source, target, "red, circle") == ((2, 3), (3,))
    with pytest.raises(OptionError, match="'ring' of the setting 'blend' is in neither caption"):
        blend_columns(source, target, "circle,ring")
