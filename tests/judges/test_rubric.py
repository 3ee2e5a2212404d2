"""Rubrics as data: what a judge is shown, and what is refused."""

import math

import pytest
from PIL import Image

from evalkit.errors import OptionError, UnknownNameError
from evalkit.judges.base import JudgeSettings, Picture
from evalkit.judges.rubric import load_rubric, load_rubrics, read_rubric, rubric_files

OWN = """
title: Light
version: 1
licence: CC0-1.0
source: Own.
question: "{{x}} {edited_image} then {source_image} asked {instruction} {criteria} as {form}"
lowest: 1
highest: 5
criteria:
  light: {summary: whether, question: 'Is it?'}
"""


def item(instruction="Make {it} red."):
    """A small item."""
    return {
        "source_image": JudgeSettings().picture(Image.new("RGB", (8, 8), "red")),
        "edited_image": JudgeSettings().picture(Image.new("RGB", (8, 8), "blue")),
        "instruction": instruction,
        "target_caption": "A red cube.",
    }


def own(tmp_path, text=OWN, name="light"):
    """A file of one's own."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(rubric_files()))
def test_every_rubric_of_ours_asks_in_whole(name):
    """Source before edit, no brace left, every criterion and the form of the answer named; its metrics have a name."""
    rubric = load_rubric(name)
    question = rubric.question_about(item("Do it."))
    pictures = [part for part in question.parts if isinstance(part, Picture)]
    words = " ".join(part for part in question.parts if isinstance(part, str))
    assert [picture.open().getpixel((0, 0)) for picture in pictures] == [(255, 0, 0), (0, 0, 255)]
    assert all(f"{criterion}:" in words and f'"{criterion}"' in words for criterion in rubric.criteria)
    assert "source_image" not in words
    assert ("Do it." in words, "A red cube." in words) == (name == "judge", name == "judge_caption")
    assert rubric.licence == "Apache-2.0"
    assert question.schema["required"] == ["reasoning", *rubric.criteria]


def test_the_overall_score_is_viescores():
    """The root of the product of the least scores of meaning and of picture."""
    overall = load_rubric("judge").combined["overall"]
    assert overall.value({"following": 9, "preservation": 4, "quality": 7}) == pytest.approx(math.sqrt(4 * 7))
    assert overall.value({"following": 0, "preservation": 10, "quality": 10}) == 0


def test_a_rubric_of_ones_own_shows_what_it_names_in_its_order(tmp_path):
    """Braces that are doubled are braces, and those of an instruction are its own."""
    parts = read_rubric(own(tmp_path)).question_about(item()).parts
    assert [part if isinstance(part, str) else part.open().getpixel((0, 0)) for part in parts] == [
        "{x}",
        (0, 0, 255),
        "then",
        (255, 0, 0),
        'asked Make {it} red. light: Is it? as {"reasoning": "<text>", "light": <number>}',
    ]


def test_the_digest_follows_what_is_asked_and_nothing_else(tmp_path):
    """A licence is no question; a word of one is."""
    base = read_rubric(own(tmp_path)).digest
    assert read_rubric(own(tmp_path, OWN.replace("CC0-1.0", "MIT"))).digest == base
    assert read_rubric(own(tmp_path, OWN.replace("Is it?", "Is it so?"))).digest != base
    assert read_rubric(own(tmp_path, OWN.replace("highest: 5", "highest: 6"))).digest != base


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{instruction}", "{prompt}", r"question: expected .*, got {prompt}"),
        ("{edited_image}", "", r"expected {edited_image} and {criteria}"),
        ("highest: 5", "highest: 1", "lowest: expected less than highest"),
        ("lowest: 1", "lowest: .nan", "lowest: Input should be a finite number"),
        ("highest: 5", "highest: .inf", "highest: Input should be a finite number"),
        ("lowest: 1\nhighest: 5", "lowest: 1.2\nhighest: 1.8", r"whole numbers at both ends, got 1\.2 and 1\.8"),
        ("{edited_image}", "{edited_image!r:>10}", r"got {edited_image!r:>10} with a conversion"),
        ("{instruction}", "{instruction:>10}", r"got {instruction:>10} with a conversion"),
        ("{instruction}", "{}", r"question: expected .*, got {}"),
        ("title: Light", "titel: Light", "title: Field required"),
        ("criteria:\n  light: {summary: whether, question: 'Is it?'}", "criteria: {}", "criteria"),
        ("  light: {", "  Light!: {", "criteria"),
        ("title: Light", "title: [", "line"),
        (
            "lowest: 1",
            "combined: {all: {summary: a, how: mean, of: [[dark]]}}\nlowest: 1",
            "criteria, got dark",
        ),
        ("lowest: 1", "combined: {light: {summary: a, how: mean, of: [[light]]}}\nlowest: 1", "'?light'? is taken"),
    ],
)
def test_a_file_that_is_no_rubric_is_refused_by_name(tmp_path, old, new, message):
    """With what is wrong and where."""
    assert old in OWN
    with pytest.raises(OptionError, match=rf"light\.yaml is no rubric.*{message}"):
        read_rubric(own(tmp_path, OWN.replace(old, new)))


def test_names_are_found_or_a_near_one_is(tmp_path):
    """Two of one name are refused, since their metrics would have one too."""
    with pytest.raises(UnknownNameError, match=r"no rubric 'juge'\. Did you mean judge"):
        load_rubric("juge")
    with pytest.raises(OptionError, match="is no rubric: No such file"):
        load_rubric(str(tmp_path / "gone.yaml"))
    (tmp_path / "two").mkdir()
    with pytest.raises(OptionError, match="Two rubrics are called 'light'"):
        load_rubrics([str(own(tmp_path)), str(own(tmp_path / "two"))])
