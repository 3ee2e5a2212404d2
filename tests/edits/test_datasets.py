"""Data sets are opened, here and on the Hub: files, splits, columns and rows as the library ``datasets`` reads them."""

import io
from contextlib import suppress

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.edits.datasets import is_dataset, open_dataset
from evalkit.errors import EvalkitError, ImageError, LayoutError, ManifestError, OptionError, RemoteError
from evalkit.images.decode import read_image, read_image_bytes
from evalkit.images.stored import StoredImage
from tests.support.datasets import cell, pair_rows, parquet, picture, write_parquet
from tests.support.hub import HubServer, use_in_process

WHOLE = parquet(pair_rows(3), row_group_size=2)
SHARDS = ("data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that the clients of this process ask, without being logged in."""
    with HubServer() as server:
        use_in_process(server, monkeypatch, tmp_path / "home")
        yield server


def two_shards():
    """Five rows in two files."""
    rows = pair_rows(5)
    return dict(zip(SHARDS, (parquet(rows[:3]), parquet(rows[3:])), strict=True))


def written(folder, files):
    """A directory of these files."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pixels(rows, column):
    """The images of a column as arrays."""
    return [np.asarray(read_image(row[column])) for _, row in rows]


def test_a_file_is_read_as_the_library_reads_it(tmp_path):
    """Texts and pixels are those of ``datasets.load_dataset``."""
    import datasets

    path = write_parquet(tmp_path / "pairs.parquet", pair_rows(4))
    opened = open_dataset(path)
    theirs = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    theirs = theirs.cast_column("edited_img", datasets.Image())
    rows = list(opened.rows())

    assert opened.pictures == {"source_img", "edited_img"}
    assert [where for where, _ in rows] == [f"pairs.parquet, row {number}" for number in range(4)]
    assert [row["target_prompt"] for _, row in rows] == theirs["target_prompt"][:]
    for ours, other in zip(pixels(rows, "edited_img"), theirs["edited_img"], strict=True):
        np.testing.assert_array_equal(ours, np.asarray(other.convert("RGB")))


@pytest.mark.parametrize("where", ["local", "hub"])
def test_shards_are_one_data_set(tmp_path, hub, where):
    """The rows of all files, in the order of the library, from a directory and from the Hub."""
    import datasets

    location = str(written(tmp_path / "set", two_shards()))
    theirs = datasets.load_dataset(location, split="test", cache_dir=str(tmp_path / "cache"))
    if where == "hub":
        commit = hub.add_repo("dataset", "who/pairs", two_shards()).head.oid
        location = "hf://who/pairs"
    opened = open_dataset(location)
    rows = list(opened.rows())

    assert opened.split == "test"
    assert opened.revision == (commit if where == "hub" else None)
    assert [row["source_prompt"] for _, row in rows] == theirs["source_prompt"][:]
    assert [where for where, _ in rows][3:] == [f"{SHARDS[1]}, row 0", f"{SHARDS[1]}, row 1"]
    found = [Image.open(io.BytesIO(image["bytes"])) for image in theirs["source_img"]]
    for ours, other in zip(pixels(rows, "source_img"), found, strict=True):
        np.testing.assert_array_equal(ours, np.asarray(other))


@pytest.mark.parametrize("location", ["hf://who/a", "hf://datasets/who/a", "hf://who/a@main", "hf://who/a/one.parquet"])
def test_the_hub_is_asked_for_a_commit(hub, location):
    """Whatever names the revision, what is written down and read is its commit; rows are read by ranges of bytes."""
    repo = hub.add_repo("dataset", "who/a", {"one.parquet": parquet(pair_rows(2))})
    opened = open_dataset(location)
    assert opened.revision == repo.head.oid
    repo.commit("another", {})
    assert len(pixels(opened.rows(), "edited_img")) == 2
    assert not any("resolve/main" in request for request in hub.requests)


def test_a_commit_stays_what_it_was(hub):
    """``@commit`` and ``revision=`` give the old rows after a new commit, and a branch the new ones."""
    repo = hub.add_repo("dataset", "who/a", {"test.parquet": parquet(pair_rows(2))})
    old = repo.head.oid
    new = hub.add_repo("dataset", "who/b", {"test.parquet": parquet(pair_rows(3))}).head.files
    repo.commit("more", new)
    counts = [
        len(list(open_dataset(*given, **options).rows()))
        for given, options in (
            ((f"hf://who/a@{old}",), {}),
            (("hf://who/a",), {"revision": old}),
            (("hf://who/a",), {}),
        )
    ]
    assert counts == [2, 2, 3]


def test_splits_and_configurations_are_chosen(hub, tmp_path):
    """Where there are several, none is taken unasked; the choices are named, and work."""
    data = parquet(pair_rows(1))
    files = {"data/train-00000-of-00001.parquet": data, "data/test-00000-of-00001.parquet": data}
    hub.add_repo("dataset", "who/splits", files)
    for location in ("hf://who/splits", str(written(tmp_path / "splits", files))):
        with pytest.raises(OptionError, match=r"has several splits\. Choose one: --split train \(train, test\)"):
            open_dataset(location)
        with pytest.raises(OptionError, match="has no split 'dev'"):
            open_dataset(location, split="dev")
        assert open_dataset(location, split="test").files[0].endswith("test-00000-of-00001.parquet")

    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}.parquet\n" for name in ("one", "two")
    )
    hub.add_repo(
        "dataset", "who/configs", {"one.parquet": data, "two.parquet": data, "README.md": f"{card}---\n".encode()}
    )
    with pytest.raises(OptionError, match=r"has several configurations\. Choose one: --config one \(one, two\)"):
        open_dataset("hf://who/configs")
    with pytest.raises(OptionError, match="has no configuration 'three'"):
        open_dataset("hf://who/configs", config="three")
    assert open_dataset("hf://who/configs", config="two").files[0].endswith("two.parquet")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("hf://who/gated", r"the repository is gated \(accept its terms on its page, then: hf auth login\)"),
        ("hf://who/private", "there is no such repository, or it is private"),
        ("hf://who/absent", "there is no such repository, or it is private"),
        ("hf://who/open@v2", "open@v2 cannot be read: there is no such revision"),
        ("hf://who/broken", "the server answers 503"),
    ],
)
def test_a_refusal_of_the_hub_is_one_sentence(hub, location, reason):
    """It says what is the matter, and what to do."""
    for name in ("gated", "private", "open", "broken"):
        files = {"test.parquet": parquet(pair_rows(1))}
        hub.add_repo("dataset", f"who/{name}", files, gated=name == "gated", private=name == "private")
    hub.fail("who/broken", status=503)
    with pytest.raises(RemoteError, match=reason):
        open_dataset(location)


def test_without_the_hub_nothing_older_is_taken(hub, monkeypatch):
    """A data set that was read before is not read from some cache at another state."""
    hub.add_repo("dataset", "who/a", {"test.parquet": parquet(pair_rows(1))})
    list(open_dataset("hf://who/a").rows())
    hub.fail("who/a", status=500)
    with pytest.raises(RemoteError, match="the server answers 500"):
        open_dataset("hf://who/a")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RemoteError, match="the server cannot be reached"):
        open_dataset("hf://who/a")


def test_an_interrupted_connection_is_tried_again(hub):
    """A server that stumbles is asked again, by its own client; one that has broken down is no image's fault."""
    hub.add_repo("dataset", "who/a", {"test.parquet": parquet(pair_rows(2))})
    rows = list(open_dataset("hf://who/a").rows())
    hub.fail("GET /objects/", status=503, times=1)
    assert read_image_bytes(rows[1][1]["source_img"]) == picture(1)

    hub.add_repo("dataset", "who/b", {"test.parquet": parquet(pair_rows(2))})
    rows = list(open_dataset("hf://who/b").rows())
    hub.fail("who/b/resolve", status=404)
    with pytest.raises(RemoteError, match=r"who/b@\w+/test\.parquet cannot be read"):
        read_image_bytes(rows[1][1]["source_img"])


def test_empty_cells_and_files_are_told_from_bytes(tmp_path):
    """Without reading the bytes: a null, a file beside the data set, one that is not there, and bytes; in any form."""
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(picture(7))
    cells = [
        None,
        {"bytes": None, "path": "pics/a.png"},
        {"bytes": None, "path": "nope.png"},
        cell(1, "b.png"),
        cell(2),
    ]
    structs = write_parquet(tmp_path / "structs.parquet", [{"image": each} for each in cells], row_group_size=2)
    found = [row["image"] for _, row in open_dataset(structs).rows()]
    assert found[:3] == [None, tmp_path / "pics" / "a.png", tmp_path / "nope.png"]
    assert [image.name for image in found[3:]] == ["b.png", "4"]
    assert [read_image_bytes(image) for image in found[3:]] == [picture(1), picture(2)]

    plain = write_parquet(tmp_path / "plain.parquet", [{"image": each} for each in (picture(1), None, picture(2))])
    assert [row["image"] is None for _, row in open_dataset(plain).rows()] == [False, True, False]

    texts = write_parquet(tmp_path / "texts.parquet", [{"image": each, "n": "x"} for each in (None, "pics/a.png")])
    assert [row["image"] for _, row in open_dataset(texts).rows()] == [None, tmp_path / "pics" / "a.png"]


def test_a_named_file_may_lie_on_the_hub(hub):
    """It is looked for in the same repository and revision, and nowhere else."""
    names = ("pics/a.png", "b.png", "../../../datasets/who/b/resolve/main/c.png", "/etc/hostname.png")
    rows = [{"image": name, "prompt": "x"} for name in names]
    files = {"data/test.parquet": parquet(rows), "pics/a.png": picture(7), "data/b.png": picture(8)}
    root = f"hf://datasets/who/a@{hub.add_repo('dataset', 'who/a', files).head.oid}"
    found = [row["image"] for _, row in open_dataset("hf://who/a").rows()]
    inside = ("pics/a.png", "data/b.png", "datasets/who/b/resolve/main/c.png", "etc/hostname.png")
    assert found == [StoredImage(f"{root}/{name}") for name in inside]
    assert [read_image_bytes(image) for image in found[:2]] == [picture(7), picture(8)]
    assert found[0].name == "a.png"
    with pytest.raises(ImageError, match="there is no such file"):
        read_image_bytes(found[2])


def test_classes_are_read_by_name(tmp_path):
    """A column of classes holds numbers, and the file says what they stand for; sound is no picture."""
    import datasets

    features = datasets.Features({"task": datasets.ClassLabel(names=["add", "remove"]), "image": datasets.Image()})
    rows = datasets.Dataset.from_list([{"task": 1, "image": cell(1)}, {"task": 0, "image": cell(2)}], features=features)
    rows.to_parquet(tmp_path / "a.parquet")
    opened = open_dataset(tmp_path / "a.parquet")
    assert [row["task"] for _, row in opened.rows()] == ["remove", "add"]
    assert opened.pictures == {"image"}


def test_what_is_no_data_set_is_refused(tmp_path):
    """One sentence each: absent, no Parquet, other files, options that go with directories."""
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ManifestError, match=r"a\.parquet cannot be read: .*"):
        list(open_dataset(tmp_path / "a.parquet").rows())
    with pytest.raises(LayoutError, match="does not exist"):
        open_dataset(tmp_path / "nope")
    with pytest.raises(OptionError, match="is one file: --split"):
        open_dataset(tmp_path / "a.parquet", split="test")
    for bad in ("hf://alone", "hf://a/b@", "hf://"):
        with pytest.raises(OptionError, match="expected hf://OWNER/NAME"):
            open_dataset(bad)


def test_shards_must_have_the_same_columns(tmp_path):
    """A shard without a column is named."""
    files = {SHARDS[0]: parquet(pair_rows(1)), SHARDS[1]: parquet([{"source_img": cell(1)}])}
    with pytest.raises(
        ManifestError, match=r"test-00001-of-00002\.parquet: expected the columns of .*, got source_img without"
    ):
        list(open_dataset(written(tmp_path / "set", files)).rows())


def test_a_file_of_endless_rows_is_refused(tmp_path, monkeypatch):
    """Rows without end in a few bytes would take all the memory; that many in a large file are read."""
    monkeypatch.setattr("evalkit.edits.dataset_rows.MAX_CELLS", 1000)
    table = pyarrow.table({"prompt": ["x"] * 60_000})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ManifestError, match=r"a\.parquet cannot be read: it has 60,000 rows in a few bytes"):
        list(open_dataset(tmp_path / "a.parquet").rows(["prompt"]))
    assert len(list(open_dataset(write_parquet(tmp_path / "b.parquet", pair_rows(300))).rows())) == 300


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_bytes_a_file_has_it_is_read_or_refused(tmp_path, data):
    """Bytes that were changed anywhere, or cut off, end in no other error than ours."""
    spoilt = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 8))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.parquet"
    path.write_bytes(spoilt[: data.draw(st.integers(0, len(spoilt)))] if data.draw(st.booleans()) else spoilt)
    with suppress(EvalkitError):
        for image in (row["edited_img"] for _, row in open_dataset(path).rows()):
            if isinstance(image, StoredImage):
                read_image(image)


def test_a_file_without_rows_has_none(tmp_path):
    """Columns it has, and rows none."""
    table = pyarrow.Table.from_pylist(pair_rows(1)).slice(0, 0)
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    opened = open_dataset(tmp_path / "a.parquet")
    assert (list(opened.rows()), opened.pictures) == ([], {"source_img", "edited_img"})


def test_data_sets_are_known_by_their_files(tmp_path):
    """A Parquet file is one, so is a directory of some with images in them; a folder of images is none."""
    data = parquet(pair_rows(1))
    assert is_dataset(write_parquet(tmp_path / "a.parquet", pair_rows(1)))
    assert is_dataset(written(tmp_path / "set", {"data/a.parquet": data, "README.md": b"# A"}))
    captions = parquet([{"item_id": "a", "target_caption": "a drawing"}])
    assert not is_dataset(written(tmp_path / "edits", {"a.png": picture(1), "captions.parquet": captions}))
    assert not is_dataset(tmp_path / "nope")


@pytest.mark.parametrize("name", ["../../secret.png", "{root}/secret.png", "imgs/../../secret.png"])
@pytest.mark.parametrize("form", ["text", "struct"])
def test_a_cell_names_no_file_outside_of_the_data_set(tmp_path, name, form):
    """Whoever made the data set does not choose which of the reader's files are read."""
    (tmp_path / "secret.png").write_bytes(picture(1))
    named = name.format(root=tmp_path)
    rows = [{"edited_img": named}] if form == "text" else [{"edited_img": cell(1)}, {"edited_img": {"path": named}}]
    write_parquet(tmp_path / "set" / "rows.parquet", rows)

    with pytest.raises(ManifestError, match="expected names of image files inside"):
        list(open_dataset(str(tmp_path / "set" / "rows.parquet")).rows())
