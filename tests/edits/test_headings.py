"""Headings of tables are read as what they are known to mean, said, and refused where two mean the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.edits.headings import FIELDS, HEADINGS, HOW_TO_READ, heading_table, resolve_headings
from evalkit.errors import OptionError

# Columns of published data sets and files, from their cards and scripts; what each is, as their authors use it.
PUBLISHED = {
    "InstructPix2Pix, the filtered training set": (
        "original_prompt original_image edit_prompt edited_prompt edited_image",
        {
            "source_caption": "original_prompt",
            "source_image": "original_image",
            "instruction": "edit_prompt",
            "target_caption": "edited_prompt",
            "edited_image": "edited_image",
        },
    ),
    "InstructPix2Pix, prompt.json": (
        "caption edit output",
        {"source_caption": "caption", "instruction": "edit", "target_caption": "output"},
    ),
    "MagicBrush": (
        "img_id turn_index source_img mask_img instruction target_img",
        {
            "item_id": "img_id",
            "source_image": "source_img",
            "edit_mask": "mask_img",
            "instruction": "instruction",
            "reference_image": "target_img",
        },
    ),
    "EMU Edit": (
        "instruction image task split idx hash input_caption output_caption",
        {
            "item_id": "idx",
            "source_image": "image",
            "instruction": "instruction",
            "source_caption": "input_caption",
            "target_caption": "output_caption",
            "edit_type": "task",
        },
    ),
    "PIE-Bench's mapping file": (
        "image_path original_prompt editing_prompt blended_word editing_instruction editing_type_id mask",
        {
            "source_image": "image_path",
            "source_caption": "original_prompt",
            "target_caption": "editing_prompt",
            "instruction": "editing_instruction",
            "edit_type": "editing_type_id",
            "edit_mask": "mask",
        },
    ),
    "UltraEdit": (
        "source_image source_caption target_caption edit_prompt edited_image mask_image",
        {
            "source_image": "source_image",
            "source_caption": "source_caption",
            "target_caption": "target_caption",
            "instruction": "edit_prompt",
            "edited_image": "edited_image",
            "edit_mask": "mask_image",
        },
    ),
    "HQ-Edit": (
        "input input_image edit inverse_edit output output_image",
        {
            "source_caption": "input",
            "source_image": "input_image",
            "instruction": "edit",
            "target_caption": "output",
            "edited_image": "output_image",
        },
    ),
    "GEdit-Bench": (
        "key task_type instruction instruction_language input_image input_image_raw",
        {
            "item_id": "key",
            "edit_type": "task_type",
            "instruction": "instruction",
            "source_image": "input_image",
        },
    ),
    "TEdBench on the Hub": (
        "original_image caption edited_image",
        {"source_image": "original_image", "target_caption": "caption", "edited_image": "edited_image"},
    ),
    "TEdBench's input_list.json": (
        "img_name target_text",
        {"source_image": "img_name", "target_caption": "target_text"},
    ),
}


@pytest.mark.parametrize(("columns", "meant"), PUBLISHED.values(), ids=PUBLISHED)
def test_columns_of_published_data_are_read_as_their_authors_mean_them(columns: str, meant: dict[str, str]) -> None:
    """Every column that one of our fields is for is found, and no other."""
    assert resolve_headings(columns.split(), {}, where="t").of == meant


@pytest.mark.parametrize("field", FIELDS)
def test_our_own_names_are_read_without_a_word(field: str) -> None:
    """A table with our headings needs no note."""
    for heading in HEADINGS[field][0]:
        found = resolve_headings([heading, "something else"], {}, where="t", pictures=[])
        assert (found.of, found.notes) == ({field: heading}, ())


@pytest.mark.parametrize(
    "heading", ["Target Prompt", "target-prompt", "targetPrompt", "TARGET_PROMPT", " target prompt"]
)
def test_spelling_does_not_matter(heading: str) -> None:
    """Case, blanks and signs are the same heading, which is said as the table spells it."""
    found = resolve_headings(["item_id", heading], {}, where="c.csv")
    assert found.of["target_caption"] == heading
    assert found.notes == (f"c.csv: read target_caption from '{heading}'; to have it otherwise: --map FIELD=HEADING",)


def test_what_a_bare_word_is_is_known_by_what_the_column_holds() -> None:
    """``input`` and ``output`` are images or captions, whichever the values are."""
    columns = ["input", "edit", "output"]
    texts = resolve_headings(columns, {}, where="t")
    files = resolve_headings(columns, {}, where="t", pictures=["input", "output"])
    assert texts.of == {"source_caption": "input", "instruction": "edit", "target_caption": "output"}
    assert files.of == {"source_image": "input", "edited_image": "output", "instruction": "edit"}


def test_an_image_is_the_source_unless_that_is_named() -> None:
    """``image`` alone is the source and unsure; beside a source it is the edited image."""
    alone = resolve_headings(["image", "prompt"], {}, where="t")
    beside = resolve_headings(["image", "src_img", "prompt"], {}, where="t")
    assert (alone.of["source_image"], alone.unsure) == ("image", {"source_image": "image"})
    assert (beside.of["source_image"], beside.of["edited_image"]) == ("src_img", "image")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("id idx prompt", "'id' and 'idx' may each be the item_id. Say which: --map item_id=id"),
        ("image prompt text", "--map target_caption=prompt"),
        ("image caption instruction", "--map source_caption=caption or --map target_caption=caption"),
        ("image filename prompt", "--map source_image=image"),
        ("image Prompt prompt", "'Prompt' and 'prompt' may each be the target_caption"),
    ],
)
def test_what_two_columns_may_be_is_refused(columns: str, says: str) -> None:
    """The sentence names both, and the option that it ends with decides."""
    with pytest.raises(OptionError, match=says) as caught:
        resolve_headings(columns.split(), {}, where="t.csv")
    field, _, heading = str(caught.value).rsplit("--map ", 1)[1].partition("=")
    assert resolve_headings(columns.split(), {field: heading}, where="t.csv").of[field] == heading


def test_what_is_said_counts_before_any_guess() -> None:
    """A mapped heading is read as what the user says, needs no note, and is free for nothing else; empty is unread."""
    mapped = {"instruction": "prompt", "edit_type": ""}
    found = resolve_headings(["item_id", "prompt", "task"], mapped, where="t")
    assert (found.of, found.notes) == ({"instruction": "prompt", "item_id": "item_id"}, ())


@pytest.mark.parametrize(
    ("mapped", "says"),
    [
        ({"target": "prompt"}, "there is no field 'target'; there are item_id, source_image"),
        ({"target_caption": "promt"}, "t.csv has no column 'promt'. Did you mean --map target_caption=prompt"),
        ({"target_caption": "zzz"}, "no column 'zzz'. It has: item_id, prompt"),
    ],
)
def test_a_mapping_to_nothing_is_refused(mapped: dict[str, str], says: str) -> None:
    """Neither a field nor a heading that does not exist is passed over."""
    with pytest.raises(OptionError, match=says):
        resolve_headings(["item_id", "prompt"], mapped, where="t.csv")


def test_a_caption_that_is_passed_over_is_said() -> None:
    """Where two columns hold a target caption, the plainer one is read, and the other is named."""
    (note,) = resolve_headings(["item_id", "target_caption", "prompt"], {}, where="t").notes
    assert note == "t: 'prompt' not read; to have it otherwise: --map FIELD=HEADING"


@given(
    st.lists(
        st.sampled_from([heading for ranks in HEADINGS.values() for rank in ranks for heading in rank])
        | st.text(max_size=12),
        unique=True,
        max_size=9,
    )
)
def test_no_column_is_two_fields(columns: list[str]) -> None:
    """Whatever the headings are: each is read once at most, as a field, or the table is refused in a sentence."""
    try:
        found = resolve_headings(columns, {}, where="t")
    except OptionError:
        return
    assert set(found.of) <= set(FIELDS)
    assert set(found.of.values()) <= set(columns)
    assert len(set(found.of.values())) == len(found.of)


def test_the_guide_has_every_heading() -> None:
    """The one place where people read which headings are understood is what the code reads."""
    guide = Path("evalkit/guide/scoring.md").read_text()
    assert [name for name, words in heading_table() if f"| `{name}` | {words} |" not in guide] == []
    assert HOW_TO_READ in " ".join(guide.split())
