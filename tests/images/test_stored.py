"""Images in cells of Parquet files: the very bytes, in any order, from several threads, a few rows at a time."""

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import ImageError
from evalkit.images import stored
from evalkit.images.decode import image_digest, image_size, read_image, read_image_bytes, sniff_format
from evalkit.images.stored import StoredImage
from tests.support.datasets import picture, write_parquet
from tests.support.pictures import scene


def column(path, n):
    """The images of a column."""
    return [StoredImage(str(path), row, "image") for row in range(n)]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A file whose rows hold their own number, in groups of 7 rows; and one with all of them in one."""
    root = tmp_path_factory.mktemp("numbered")
    rows = [{"image": {"bytes": b"%d" % number, "path": None}} for number in range(100)]
    return write_parquet(root / "groups.parquet", rows, row_group_size=7), write_parquet(root / "one.parquet", rows)


@settings(max_examples=60)
@given(
    order=st.lists(st.integers(0, 99), min_size=1, max_size=60),
    one=st.booleans(),
    batch=st.integers(1, 9),
    kept=st.integers(1, 9),
    cursors=st.integers(1, 3),
)
def test_rows_are_read_in_any_order(numbered, order, one, batch, kept, cursors):
    """However little is kept, whatever is asked for first, and however often: each row gives its own bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "BATCH_ROWS", batch)
        patch.setattr(stored, "KEPT_ROWS", kept)
        patch.setattr(stored, "CURSORS", cursors)
        stored._column.cache_clear()
        images = column(numbered[one], 100)
        assert [images[row].read() for row in order] == [b"%d" % row for row in order]
    stored._column.cache_clear()


@pytest.mark.parametrize("one", [False, True])
def test_threads_read_the_same_column(numbered, one):
    """Several threads that go through a column twice get the same as one."""
    images = column(numbered[one], 100) * 2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(StoredImage.read, images))
    assert found == [b"%d" % row for row in range(100)] * 2


def test_a_column_is_read_forwards_once(numbered, monkeypatch):
    """Whoever goes through rows in order, even twice in turns, has the file opened once for each of the two passes."""
    opened = []
    cursor = stored._Cursor
    monkeypatch.setattr(stored, "_Cursor", lambda *args: opened.append(args[2]) or cursor(*args))
    monkeypatch.setattr(stored, "KEPT_ROWS", 1)
    monkeypatch.setattr(stored, "BATCH_ROWS", 2)
    stored._column.cache_clear()
    images = column(numbered[1], 100)
    for start in range(0, 100, 20):
        for _ in range(2):  # what is digested is then decoded
            for image in images[start : start + 20]:
                image.read()
    assert len(opened) == 2
    stored._column.cache_clear()


@pytest.mark.parametrize("form", ["struct", "binary"])
def test_a_cell_is_an_image_like_a_file(tmp_path, form):
    """Pixels, size, digest and format are those of a file of the same bytes."""
    data = picture(3)
    path = write_parquet(
        tmp_path / "a.parquet", [{"image": {"bytes": data, "path": "x.png"} if form == "struct" else data}]
    )
    image = StoredImage(str(path), 0, "image", "x.png")
    np.testing.assert_array_equal(np.asarray(read_image(image)), scene(24, 24, seed=3))
    assert read_image_bytes(image) == data
    assert image_size(image) == (24, 24)
    assert image_digest(image) == hashlib.sha256(data).hexdigest()
    assert sniff_format(image) == "PNG"
    assert (image.name, image.stem, image.suffix) == ("x.png", "x", ".png")
    assert pickle.loads(pickle.dumps(image)) == image


def test_what_is_wrong_names_file_row_and_column(tmp_path):
    """A cell without an image, one that is empty, and a row that is not there."""
    rows = [{"image": b"no picture"}, {"image": b""}, {"image": None}]
    path = write_parquet(tmp_path / "a.parquet", rows)
    for row, reason in enumerate(["it is not a PNG", "the file is empty", "the file is empty", "the file has 3 rows"]):
        with pytest.raises(ImageError, match=rf"a\.parquet, row {row}, image cannot be used as an image: {reason}"):
            read_image(StoredImage(str(path), row, "image"))


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    """What is kept of a file goes by its state, not by its name alone."""
    path = write_parquet(tmp_path / "a.parquet", [{"image": b"old"}])
    image = StoredImage(str(path), 0, "image")
    assert image.read() == b"old"
    write_parquet(path, [{"image": b"newer"}])
    assert image.read() == b"newer"


def test_a_file_that_is_gone_is_said_so(tmp_path):
    """Then there is no image, and nothing was read."""
    with pytest.raises(ImageError, match="there is no such file"):
        read_image_bytes(StoredImage(str(tmp_path / "a.parquet"), 0, "image"))
