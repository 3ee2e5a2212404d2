"""Long sequences on shelves, texts by their keys: what lets a folder of a million edits go by."""

import pickle
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.data import shelf as shelves
from evalkit.data.keys import Keys
from evalkit.data.shelf import Sorter, shelf_of_items
from evalkit.edits.item import EditItem

ITEMS = tuple(
    EditItem(
        item_id=f"item {number}",
        seed=2**70 if number else None,
        edited_image=Path("/folder") / f"{number}\udcff.png",
        source_attributes={"shape": "disc"},
        seconds=0.5,
    )
    for number in range(200)
)


@pytest.mark.parametrize("in_memory", [0, 1000, 1 << 20])
def test_a_shelf_is_a_sequence_wherever_it_lies(in_memory, monkeypatch):
    """Items come back equal, by number, slice and in order, from memory, from the file and from both."""
    monkeypatch.setattr(shelves, "IN_MEMORY", in_memory)

    shelf = shelf_of_items(ITEMS)

    assert len(shelf) == len(ITEMS)
    assert tuple(shelf) == ITEMS
    assert shelf == ITEMS
    assert shelf != ITEMS[:-1]
    assert shelf[-1] == ITEMS[-1]
    assert shelf[10:2:-3] == ITEMS[10:2:-3]
    assert pickle.loads(pickle.dumps(shelf)) == ITEMS
    with pytest.raises(IndexError):
        shelf[len(ITEMS)]


def test_a_shelf_is_read_by_several_threads_at_once(monkeypatch):
    """No reader moves the place at which another reads."""
    monkeypatch.setattr(shelves, "IN_MEMORY", 100)
    shelf = shelf_of_items(ITEMS)
    found: list[bool] = []

    threads = [threading.Thread(target=lambda: found.append(tuple(shelf) == ITEMS)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 4


def test_a_shelf_takes_little_memory(monkeypatch):
    """Fifty thousand items hold less than 16 bytes each beside what may stay in memory."""
    monkeypatch.setattr(shelves, "IN_MEMORY", 1 << 16)
    tracemalloc.start()

    shelf = shelf_of_items(EditItem(item_id=f"item {number}") for number in range(50_000))

    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(shelf) == 50_000
    assert held < 16 * 50_000 + (3 << 16)


@given(st.lists(st.text(), max_size=40))
def test_texts_are_sorted_as_python_sorts_them(texts):
    """Runs that are sorted on their own and merged give the order of one sort."""
    sorter = Sorter(run=7)
    for text in texts:
        sorter.add(text)

    assert list(sorter) == sorted(texts)


@given(st.lists(st.sampled_from(["", "a", "b", "ab", "\0", "é", "\udc80"]), max_size=20), st.sets(st.text(max_size=1)))
def test_keys_say_of_texts_what_dictionaries_would(texts, others):
    """Numbers by first appearance, places of what is repeated, and membership are those of plain Python."""
    first = {text: texts.index(text) for text in texts}
    ranks = {text: rank for rank, text in enumerate(sorted(first, key=first.__getitem__))}

    numbers, places = Keys(texts).numbered()

    assert numbers.tolist() == [ranks[text] for text in texts]
    assert places.tolist() == sorted(first.values())
    every = [[place for place, other in enumerate(texts) if other == text] for text in ranks]
    assert list(Keys(texts).repeated()) == [alike for alike in every if len(alike) > 1]
    assert Keys(texts).known(Keys(others)).tolist() == [text in others for text in texts]
