"""``metadata.jsonl`` carries items to disk and back, is an imagefolder, and refuses what leads out of its folder."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.edits.item import EditItem
from evalkit.edits.manifest import MANIFEST_NAME, append_item, read_manifest, write_manifest
from evalkit.errors import ManifestError
from tests.support.pictures import encoded, scene

texts = st.none() | st.text(st.characters(codec="utf-8"), min_size=1)
names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=["C"]), min_size=1).filter(
    lambda name: name.strip(".")
)
attributes = st.none() | st.dictionaries(st.text(min_size=1), st.text(), min_size=1)
results = st.fixed_dictionaries({"status": st.just("ok"), "edited_image": names}) | st.fixed_dictionaries(
    {"status": st.sampled_from(["failed", "missing"]), "reason": texts}
)


def manifest_of(folder: Path, *rows: object) -> Path:
    """Writes rows as they are, one JSON value per line."""
    path = folder / MANIFEST_NAME
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def edited(**more: object) -> dict[str, object]:
    """A row that is in order."""
    return {"item_id": "a", "edited_image_file_name": "a.png", **more}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_items_come_back_as_they_were(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever an item says, in whatever script, is read back equal."""
    root = tmp_path_factory.getbasetemp() / "round_trip"
    fields = {
        "item_id": st.text(st.characters(codec="utf-8"), min_size=1),
        "seed": st.none() | st.integers(-(2**63), 2**63),
        "source_image": st.none() | names,
        "reference_image": st.none() | names,
        "edit_mask": st.none() | names,
        "cost": st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
        **dict.fromkeys(("source_caption", "target_caption", "instruction", "edit_type", "group", "currency"), texts),
        **dict.fromkeys(("source_attributes", "target_attributes"), attributes),
    }
    records = data.draw(st.lists(st.tuples(st.fixed_dictionaries(fields), results), max_size=3))
    items = []
    for what, result in records:
        record = {**what, **result}
        files = {
            name: root / "files" / value for name, value in record.items() if name.endswith(("image", "mask")) and value
        }
        items.append(EditItem(**{**record, **files}))

    write_manifest(root, items, benchmark="tedbench", method="méthode")
    manifest = read_manifest(root)

    assert list(manifest.items) == items
    assert manifest == read_manifest(root / MANIFEST_NAME)
    assert (manifest.benchmark, manifest.method) == (("tedbench", "méthode") if items else (None, None))


def test_folder_is_an_imagefolder(tmp_path: Path) -> None:
    """Hugging Face ``datasets`` opens the folder as it is, with a failed edit as None."""
    import datasets

    for name in ("source/s.png", "edited/a test.png", "edited/train_b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(scene(8, 6)))
    source = tmp_path / "source" / "s.png"
    items = [
        EditItem(item_id="x", target_caption="c", source_image=source, status="failed", reason="out of memory"),
        EditItem(
            item_id="a", target_caption="c", source_image=source, edited_image=tmp_path / "edited/a test.png", seed=3
        ),
        EditItem(
            item_id="b", source_image=source, edited_image=tmp_path / "edited/train_b.png", source_attributes={"k": "v"}
        ),
    ]
    write_manifest(tmp_path, items, benchmark="tedbench", method="ours")

    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path), data_files="**", cache_dir=str(tmp_path / ".cache"), split="train"
    )

    assert loaded["item_id"][:] == ["x", "a", "b"]
    assert [row["edited_image"] and row["edited_image"].size for row in loaded] == [None, (8, 6), (8, 6)]
    assert [row["source_image"].size for row in loaded] == [(8, 6)] * 3
    assert loaded["status"][:] == ["failed", "ok", "ok"]
    assert loaded["seed"][:] == [None, 3, None]
    assert loaded["source_attributes"][:] == [None, None, {"k": "v"}]
    assert loaded["method"][:] == ["ours"] * 3


def test_what_an_item_lacks_is_left_out(tmp_path: Path) -> None:
    """A line has no nulls, which Hugging Face would refuse in a column that is filled ten megabytes later."""
    write_manifest(tmp_path, [EditItem(item_id="a", status="failed")])

    assert (tmp_path / MANIFEST_NAME).read_text() == '{"item_id": "a", "status": "failed"}\n'


def test_benchmark_files_are_not_named(tmp_path: Path) -> None:
    """A source outside the folder is the benchmark's and is left out; an edited image outside is refused."""
    folder = tmp_path / "edits"

    write_manifest(folder, [EditItem(item_id="a", edited_image=folder / "a.png", source_image=tmp_path / "s.png")])

    assert read_manifest(folder).items[0].source_image is None
    with pytest.raises(ManifestError, match=r"edited image of a \(seed 1\) must lie inside"):
        write_manifest(folder, [EditItem(item_id="a", seed=1, edited_image=tmp_path / "a.png")])


def test_failed_write_keeps_the_old_manifest(tmp_path: Path) -> None:
    """The manifest is replaced in one step: a writer that fails half-way changes nothing and leaves nothing."""
    write_manifest(tmp_path, [EditItem(item_id="old", edited_image=tmp_path / "a.png")])

    with pytest.raises(ManifestError):
        write_manifest(
            tmp_path, [EditItem(item_id="new", status="failed"), EditItem(item_id="b", edited_image=Path("/b"))]
        )

    assert [item.item_id for item in read_manifest(tmp_path).items] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_lines_are_appended_after_a_kill(tmp_path: Path) -> None:
    """A line that a killed writer left unfinished is cut off before the next is added, however long it is."""
    first, second = (EditItem(item_id=name, edited_image=tmp_path / f"{name}.png") for name in "ab")
    append_item(tmp_path, first, benchmark="shapes")
    with (tmp_path / MANIFEST_NAME).open("a") as file:
        file.write('{"item_id": "torn", "target_caption": "' + "x" * 100_000)

    append_item(tmp_path, second, benchmark="shapes")

    manifest = read_manifest(tmp_path)
    assert manifest.items == (first, second)
    assert manifest.benchmark == "shapes"


def test_only_line_that_is_torn_is_cut_off(tmp_path: Path) -> None:
    """A file without a single line end starts anew."""
    (tmp_path / MANIFEST_NAME).write_text('{"item_id"')

    append_item(tmp_path, EditItem(item_id="a", status="failed"))

    assert [item.item_id for item in read_manifest(tmp_path).items] == ["a"]


def test_what_editors_and_other_tools_add_does_no_harm(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, blank lines, other columns and nulls are read over."""
    row = edited(reason=None, other={"deep": [1]}, target_attributes={"colour": "red", "size": None})
    (tmp_path / MANIFEST_NAME).write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(row).encode() + b"\r\n\n")

    assert read_manifest(tmp_path).items == (
        EditItem(item_id="a", edited_image=tmp_path / "a.png", target_attributes={"colour": "red"}),
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (edited(seed="zero"), 'column seed: input should be a valid integer; got "zero"'),
        (edited(seed=True), "column seed: input should be a valid integer; got true"),
        (edited(item_id=""), "column item_id: string should have at least 1 character"),
        (edited(item_id=7), "column item_id: input should be a valid string; got 7"),
        (edited(target_caption=["a"]), "column target_caption: input should be a valid string"),
        (edited(source_attributes={"k": 1}), r"column source_attributes\.k: input should be a valid string; got 1"),
        (edited(status="done"), "column status: input should be 'ok', 'failed' or 'missing'"),
        (edited(status="failed"), 'column edited_image_file_name: expected null for status "failed", got "a.png"'),
        ({"item_id": "a", "status": "ok"}, 'column edited_image_file_name: expected a file for status "ok", got null'),
        ({"edited_image_file_name": "a.png"}, "column item_id: field required; got nothing"),
        (
            {"item_id": "a", "edited_image": "a.png"},
            "expected the column edited_image_file_name.*'item_id', 'edited_image'",
        ),
        ({}, "got the columns of an empty object"),
        ([1], "expected one JSON object, got"),
        ("text", "expected one JSON object, got"),
    ],
)
def test_wrong_line_is_named(row: object, says: str, tmp_path: Path) -> None:
    """A message names file, line and column, what was expected and what stands there."""
    path = manifest_of(tmp_path, edited(), row)

    with pytest.raises(ManifestError, match=f"^{path}:2[,:].*{says}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b'{"item_id": "a"',
        b"\xff\xfe{}",
        b"{} {}",
        b'{"a":' + b"[" * 30_000,
        b'{"item_id": "a", "item_id": "b"}',
        b'{"seed": ' + b"7" * 5000 + b"}",
        rb'{"method": "\ud800"}',
    ],
)
def test_line_that_is_no_json_is_named(line: bytes, tmp_path: Path) -> None:
    """So does the message about a line that cannot be parsed at all."""
    (tmp_path / MANIFEST_NAME).write_bytes(b"\n" + line)

    with pytest.raises(ManifestError, match=r"metadata\.jsonl:2: expected one JSON object"):
        read_manifest(tmp_path)


def test_absent_manifest_is_an_error(tmp_path: Path) -> None:
    """A folder without a manifest is said to have none."""
    with pytest.raises(ManifestError, match=r"metadata\.jsonl cannot be read: No such file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("column", ["source_image", "edited_image", "reference_image", "edit_mask"])
@pytest.mark.parametrize(
    "name",
    ["../a.png", "/etc/passwd", "b/../../a.png", "b/../a.png", "", ".", "out/a.png", "out.png", "a" * 5000],
)
def test_names_that_lead_out_are_refused(column: str, name: str, tmp_path: Path) -> None:
    """Absolute names, parent folders, links that leave the folder and names that no file can have are refused."""
    folder, outside = tmp_path / "edits", tmp_path / "edits2"
    folder.mkdir()
    outside.mkdir()
    (outside / "a.png").write_bytes(encoded(scene()))
    (folder / "out").symlink_to(outside)
    (folder / "out.png").symlink_to(outside / "a.png")
    manifest_of(folder, edited(**{f"{column}_file_name": name}))

    with pytest.raises(ManifestError, match=rf":1, column {column}_file_name: expected a file inside the folder"):
        read_manifest(folder)


def test_manifest_must_not_be_a_link_out(tmp_path: Path) -> None:
    """The manifest itself is a file of the folder too."""
    folder = tmp_path / "edits"
    folder.mkdir()
    (folder / MANIFEST_NAME).symlink_to(manifest_of(tmp_path, edited()))

    with pytest.raises(ManifestError, match=r"metadata\.jsonl must be a file of its folder"):
        read_manifest(folder)


def test_folder_behind_a_link_is_fine(tmp_path: Path) -> None:
    """The folder itself may be reached through a link, and links inside it lead to its own files."""
    folder = tmp_path / "edits"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (folder / "a.png").symlink_to(folder / "b.png")

    write_manifest(tmp_path / "link", [EditItem(item_id="a", edited_image=folder / "a.png")])

    assert read_manifest(tmp_path / "link").items[0].edited_image == tmp_path / "link" / "a.png"


@pytest.mark.parametrize("column", ["benchmark", "method"])
def test_one_folder_is_one_run(column: str, tmp_path: Path) -> None:
    """Two lines that name different benchmarks or methods are refused, with both lines named."""
    manifest_of(tmp_path, edited(**{column: "one"}), edited(**{column: "two"}))

    with pytest.raises(ManifestError, match=rf':2, column {column}: expected "one" as in line 1, got "two"'):
        read_manifest(tmp_path)
