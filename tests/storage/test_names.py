"""No name decides where is written: each becomes one part of a path, and different names different parts."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.storage.names import MAX_NAME_BYTES, file_stem

NAMES = st.text(max_size=300) | st.text(alphabet="ab./\\-_ \0\n:~é猫\udcff", max_size=12)


@given(NAMES)
def test_a_name_is_one_part_of_a_path_below_its_folder(text):
    """Whatever the text, the file lies in the folder, under a name that a file system takes."""
    name = file_stem(text)

    assert os.path.normpath(f"folder/{name}") == f"folder/{name}"
    assert "/" not in name
    assert "\\" not in name
    assert "\0" not in name
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert name[0] not in ".-"
    assert file_stem(text) == name


@given(NAMES, NAMES)
def test_different_texts_have_different_names(one, other):
    """Two items, or two runs, never share a file."""
    assert (file_stem(one) == file_stem(other)) == (one == other)


@given(NAMES)
def test_nobody_can_take_the_name_of_another(text):
    """What looks like a name that was made of another text is not taken over as it is."""
    assert (file_stem(file_stem(text)) == file_stem(text)) == (file_stem(text) == text)


@pytest.mark.parametrize("text", ["cat-1", "shapes-00-move_right", "a.b", "_", "é", "猫", "0", "a" * MAX_NAME_BYTES])
def test_a_harmless_name_stays_as_it_is(text):
    """People find their files under the names that they gave."""
    assert file_stem(text) == text


@pytest.mark.parametrize("text", ["nul", "CON.txt", "Thumbs.db", "__MACOSX", "metadata.jsonl", "method.json", ".x", ""])
def test_a_reserved_name_is_given_to_nothing(text):
    """Neither to a device of Windows, nor to what a folder's reader passes over or takes for its manifest."""
    assert file_stem(text) != text
