"""Names are compared as strictly as the names at hand demand, and as loosely as they allow."""

from pathlib import PurePath

from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.edits.item import EditItem
from evalkit.edits.layouts import item_id_layout, name_layout
from tests.support.mangle import OFFICIAL, mangled

SLOTS_OF = name_layout(
    [EditItem(item_id=str(i)) for i in range(len(OFFICIAL))], {str(i): name for i, name in enumerate(OFFICIAL)}
)


@settings(max_examples=300, deadline=None)
@given(case=mangled())
def test_tolerated_spelling_fits_its_item_and_only_it(case: tuple[int, str]) -> None:
    """Case, blanks, underscores, a final full stop, suffixes and the Unicode form change nothing."""
    position, name = case

    assert SLOTS_OF(PurePath("some/folder") / name) == [(position, None)]


@settings(deadline=None)
@given(ids=st.lists(st.text(st.sampled_from("ab1_ -.É"), min_size=1, max_size=6), min_size=1, max_size=8, unique=True))
def test_exact_names_always_win(ids: list[str]) -> None:
    """However alike the ids are, a file named exactly as one of them is that one's."""
    slots_of = item_id_layout([EditItem(item_id=name) for name in ids])

    for position, name in enumerate(ids):
        if "." not in name:
            assert slots_of(PurePath(f"{name}.png")) == [(position, None)]
