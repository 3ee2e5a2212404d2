"""Cells and answers as other tools write them are the numbers that they hold, or none at all."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scores.directions import higher_is_better
from evalkit.scores.judged import answers_of
from evalkit.scores.numbers import number_of, numbers_of

NUMBERS = st.lists(st.decimals(-99_999, 99_999, places=3), min_size=1, max_size=8)


def grouped(number, comma, separator):
    """A number with its digits in groups of three."""
    return f"{number:,}".replace(",", "\0").replace(".", comma).replace("\0", separator)


def read(cells):
    """What a column's cells are read as."""
    return [value for value, _ in numbers_of(cells).values]


@given(
    NUMBERS, st.sampled_from([(",", ""), (",", "."), (",", " "), (",", "'"), (".", ","), (".", "\u202f"), (".", "")])
)
def test_a_column_in_any_notation_is_read(numbers, notation):
    """Decimal comma or point, with or without a sign between thousands: one more digit than three decides."""
    comma, separator = notation
    cells = [grouped(number, comma, separator) for number in numbers] + [f"0{comma}5"]
    assert read(cells) == [*map(float, numbers), 0.5]


@given(NUMBERS, st.sampled_from(["{}%", "{} %", "{}/100000", "{} out of 100000", "{} / 100000.", "{} of 100000"]))
def test_a_number_of_a_whole_is_the_number(numbers, template):
    """34 % is 34, and 4/5 is 4."""
    assert read([template.format(number) for number in numbers]) == [float(number) for number in numbers]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_prints_is_read_to_the_last_bit(value):
    """With or without blanks around it, alone or in a column."""
    assert number_of(f"  {value!r} ") == (value, None)
    assert read([repr(value)]) == [value]


@given(st.lists(st.text(max_size=12) | st.none() | st.floats() | st.integers() | st.booleans(), max_size=8))
def test_whatever_cells_hold_every_one_has_a_finite_number_or_a_reason(cells):
    """Nothing is raised, and nothing is a NaN."""
    for value, reason in numbers_of(cells).values:
        assert (value is None) != (reason is None)
        assert value is None or not math.isnan(value)


@pytest.mark.parametrize(
    "cell",
    ["12_10", "1e5_0", "１２", "0x1A", "1.2.3", "3/4/5", "1-2", "4 stars", "1 2", "12,34,5", "--1", "e5", "1e", "%"],
)
def test_what_python_or_a_guess_would_take_for_a_number_is_none(cell):
    """An underscore joins names; digits of other scripts, dates and versions are no scores."""
    assert numbers_of([cell]).values == ((None, "not_a_number"),)


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (["1,234"], "1,234 could be 1.234 or 1234"),
        (["0,5", "0.5"], "0,5 and 0.5 are written differently"),
        (["34%", "0.5"], r"percentages (34%) stand among other numbers"),
        (["4/5", "4/10"], "parts of 5, 10 stand among each other"),
        (["4/5", "7"], "parts of 5 stand among each other, or among larger numbers"),
    ],
)
def test_a_column_that_could_mean_two_things_is_at_fault(cells, fault):
    """It is not read at all."""
    numbers = numbers_of(cells)
    assert fault in numbers.fault
    assert not numbers.mostly


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["Yes", "no.", "YES!", ""], [1, 0, 1, None]),
        (["Pass", "fail"], [1, 0]),
        (["**Yes**, since it fits", "No: it does not"], [1, 0]),
        (["✓", "✗"], [1, 0]),
        (["yes", 1, 0], [1, 1, 0]),
        (["yes", 0.5], [None, 0.5]),
        (["y", "n"], [1, 0]),
        (["y", "y", "x"], [None, None, None]),
        (["No changes", "Yes"], [None, 1]),
        ([True, "false", None], [1, 0, None]),
    ],
)
def test_words_for_a_truth_are_one_and_zero(cells, values):
    """Alone or before a stop, and not beside other numbers."""
    assert read(cells) == values


NAMES = st.lists(
    st.sampled_from(["Quality", "Prompt Compliance", "Detail & style", "Q1 score"]), unique=True, min_size=1
)
SHAPES = ("{}: {}", "{} = {}", "**{}**: {}", "- {}: **{}**", "2. {}: {}.", "{} (1-5): {}", '"{}": {},', "[{}] : [[{}]]")


@given(
    NAMES,
    st.lists(st.sampled_from(["4", "-1", "−2", ".75", "3.5", "4/5", "4 out of 5", "80%"]), min_size=4, max_size=4),
    st.sampled_from(SHAPES),
    st.sampled_from(["\n", "\n\n", "\r\n", " | ", "; "]),
)
def test_an_answer_says_what_it_rates(names, numbers, shape, between):
    """Whatever stands around names and numbers, and between two of them; comments say nothing."""
    rated = dict(zip(names, numbers, strict=False))
    answer = between.join(shape.format(*each) for each in rated.items())
    assert answers_of([f"{answer}\nComment: 3 dogs, and it is good"]).cells == {n: [c] for n, c in rated.items()}


KINDS = {
    "style": ("Style Fidelity", "Content Preservation"),
    "add": ("Prompt Compliance", "Visual Naturalness", "Detail"),
    "remove": ("Prompt Compliance", "Visual Naturalness", "Integrity"),
}


@given(st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(3, 9), min_size=1), st.randoms())
def test_answers_of_several_kinds_are_rated_by_their_own_criteria(times, random):
    """What other kinds do not rate counts for its own kind; a line that one answer has alone counts for none."""
    order = [kind for kind, count in times.items() for _ in range(count)]
    random.shuffle(order)
    texts = ["\n".join(f"{name}: 4" for name in KINDS[kind]) for kind in order]
    answers = answers_of([f"{texts[0]}\nHouse number: 1204", *texts[1:]])
    assert answers.stray == ("House number",)
    assert answers.rated == [set(KINDS[kind]) for kind in order]


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_is_an_answer_or_none(texts):
    """Nothing is raised, and what is found has a cell for each."""
    answers = answers_of(texts)
    assert answers is None or all(len(cells) == len(texts) for cells in answers.cells.values())


@pytest.mark.parametrize(
    ("answer", "cells"),
    [
        (
            '```json\n{"a": 4, "b": {"score": "4/5"}, "why": "c: 3"}\n```',
            {"a": [4], "b.score": ["4/5"], "why": ["c: 3"]},
        ),
        ("Quality: 3\nQuality: 4", {"Quality": ["3 and 4"]}),
        ("Quality: 4 Detail: 5", {"Quality": ["4"], "Detail": ["5"]}),
        ("I cannot say", None),
        ("Date: 2026-01-01", None),
        ("Quality: - 4", None),
        ("Ratio: 16:9", None),
    ],
)
def test_answers_of_other_kinds(answer, cells):
    """JSON among text is read as JSON; two numbers for one name are none; dates and ratios are none."""
    answers = answers_of([answer])
    assert (answers and answers.cells) == cells


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (True, ("psnr", "CLIPScore", "clip_t", "HPSv2", "MS-SSIM", "l1_similarity", "success_rate", "Prompt Following",
                "1/lpips (higher is better)", "score", "edit_score", "G_SC", "psnr_unedit_part")),
        (False, ("lpips-vgg", "LPIPS (Alex)", "bg_lpips_alex", "lpips1", "lpipsvgg", "StructureDistance", "meanL1",
                 "L2-norm", "val_loss", "time_ms", "clip_distance", "ssim_loss", "error_rate", "lpips_score", "FID50k",
                 "accuracy ↓", "ssim (lower is better)")),
        (None, ("charm", "n_tokens", "1 - lpips", "-mse", "inverse_fid", "width", "timestep")),
    ],
)  # fmt: skip
def test_the_words_of_a_name_say_which_way_is_better(more, names):
    """The last word that is known says what is measured, and what is turned round says nothing."""
    assert {name: higher_is_better(name) for name in names} == dict.fromkeys(names, more)
