"""Of a folder that holds sources and edits a table names one side: the files say which, or it is asked."""

import shlex
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner

from evalkit.benchmarks.method_folders import method_folders
from evalkit.benchmarks.open import open_edits
from evalkit.cli import main
from evalkit.edits.folder import EditFolder
from evalkit.errors import LayoutError
from tests.support.folder_cases import are_pairs, edit, guesses, source, write

BEFORE_AND_AFTER = [
    ("{key}_input.png", "{key}_output.png"),
    ("source-{key}.png", "edited-{key}.png"),
    ("{key}/original.png", "{key}/edit.png"),
    ("{key}/0.png", "{key}/1.png"),
    ("item-{key}.v2_src.png", "item-{key}.v2_tgt.png"),
    ("{key}.png", "{key}_edited.png"),
    ("{key}_SRCIMG.png", "{key}.png"),
    ("sources/{key}.png", "{key}.png"),
    ("results/{key}_before.png", "results/{key}.png"),
    ("{key}.png", "{key}_seed3.png"),
]
KEYS = [["0", "1", "2"], ["cats/0", "cats/1", "dogs/0"], ["cats-0", "cats-1", "dogs-0"], ["0007"]]


def spelled(scheme: str, key: str) -> str:
    """A name as a scheme has it; a word before a key stands behind its folders."""
    folders, _, name = key.rpartition("/")
    inside = "/" in scheme or scheme.startswith("{key}")
    return scheme.format(key=key) if inside else str(Path(folders, scheme.format(key=name)))


def opened(root: Path, schemes: tuple[str, str], keys: list[str], named: str, **options: str) -> EditFolder:
    """A folder of pairs, of which a table names one side in a column that is called image."""
    write(root / "d", {spelled(schemes[0], key): source(n) for n, key in enumerate(keys)})
    write(root / "d", {spelled(schemes[1], key): edit(n) for n, key in enumerate(keys)})
    rows = [f"/data/{spelled(named, key)},text {n}" for n, key in enumerate(keys)]
    (root / "c.csv").write_text("\n".join(["image,prompt", *rows]) + "\n")
    return open_edits(root / "d", captions=root / "c.csv", **options).folder


def is_whole(folder: EditFolder, n_items: int) -> bool:
    """Whether each edit has its own source and caption, and nothing else is left."""
    captions = [item.target_caption for item in folder.items]
    return (
        (folder.n_edited, folder.n_matched, folder.n_files) == (n_items,) * 3
        and are_pairs(folder)
        and captions == [f"text {n}" for n in range(n_items)]
        and {problem.code for problem in folder.problems} <= {"guessed"}
    )


@pytest.mark.parametrize("keys", KEYS, ids=str)
@pytest.mark.parametrize("schemes", BEFORE_AND_AFTER, ids=str)
def test_names_of_sources_are_no_edits(schemes: tuple[str, str], keys: list[str], tmp_path: Path) -> None:
    """A column ``image`` names the sources where the other files are edits of them by their names, and it is said."""
    if len(keys) == 1 and "0.png" in schemes[0]:
        pytest.skip("of one pair nothing tells the number from the name")
    folder = opened(tmp_path, schemes, keys, schemes[0])

    assert is_whole(folder, len(keys))
    assert any("its images are the source images" in said for said in guesses(folder))


@pytest.mark.parametrize("schemes", [*BEFORE_AND_AFTER[:3], *BEFORE_AND_AFTER[4:-1]], ids=str)
def test_names_of_edits_are_edits(schemes: tuple[str, str], tmp_path: Path) -> None:
    """The same column names the edits where words say so, and the other files are their sources."""
    folder = opened(tmp_path, schemes, KEYS[1], schemes[1])

    assert is_whole(folder, 3)
    assert any("its images are the edited images" in said for said in guesses(folder))


def test_seeds_beside_the_sources(tmp_path: Path) -> None:
    """Several files for each name are edits of it, with or without a word that says so."""
    for name in ("{key}_seed{seed}.png", "out/{key}_{seed}.png"):
        root = tmp_path / name[:3]
        write(root / "d", {name.format(key=f"cat_{n}", seed=seed): edit(n, seed) for n in range(3) for seed in (0, 4)})
        write(root / "d", {f"cat_{n}.png": source(n) for n in range(3)})
        (root / "c.csv").write_text("file_name,prompt\n" + "".join(f"cat_{n}.png,x\n" for n in range(3)))

        folder = open_edits(root / "d", captions=root / "c.csv").folder

        assert [item.seed for item in folder.items] == [0, 4] * 3
        assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (6, 6, True)


def test_what_nothing_tells_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either side may be the source: both commands that the error types decide it, each its own way."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LayoutError, match="either may be the source image") as refused:
        opened(Path(), ("{key}.png", "{key}_v2.png"), KEYS[0], "{key}.png")

    commands = str(refused.value).partition("Say which is named: ")[2].split(" or ")
    for command, field, swapped in zip(commands, ("source_image", "edited_image"), (False, True), strict=True):
        done = CliRunner().invoke(main, shlex.split(command)[1:])
        assert done.exit_code == 0, done.output
        folder = open_edits(Path("d"), captions=Path("c.csv"), mapped={field: "image"}).folder
        assert folder.n_edited == 3
        assert [item.edited_image for item in folder.items] == [
            Path("d", f"{n}.png" if swapped else f"{n}_v2.png") for n in range(3)
        ]
        assert all(item.source_image for item in folder.items)


def test_what_pairs_with_nothing_is_no_source(tmp_path: Path) -> None:
    """Where the other files are none of the named ones', these are the edits, and the others strangers."""
    write(tmp_path / "d", {f"cat_{n}.png": edit(n) for n in range(3)} | {"overview.png": source(5)})
    (tmp_path / "c.csv").write_text("image,prompt\n" + "".join(f"cat_{n}.png,x\n" for n in range(3)))

    folder = open_edits(tmp_path / "d", captions=tmp_path / "c.csv").folder

    assert [item.edited_image for item in folder.items] == [tmp_path / "d" / f"cat_{n}.png" for n in range(3)]
    assert [problem.path.name for problem in folder.problems if problem.code == "unmatched_file"] == ["overview.png"]


@pytest.mark.parametrize("schemes", ["{key}-{word}.png", "{key}/{word}.png", "{word}_{key}.png"])
def test_ids_whose_folders_were_flattened(schemes: str, tmp_path: Path) -> None:
    """``cats/1`` is ``cats-1_out.png`` or ``cats_1/output.png``, whatever else stands in the name."""
    keys = ["cats/0", "cats/1", "dogs/0"]
    flat = [key.replace("/", "-" if "_" in schemes else "_") for key in keys]
    for word, make in (("input", source), ("output", edit)):
        write(tmp_path / "d", {schemes.format(key=key, word=word): make(n) for n, key in enumerate(flat)})
    (tmp_path / "c.csv").write_text("id,prompt\n" + "".join(f"{key},x\n" for key in keys))

    folder = open_edits(tmp_path / "d", captions=tmp_path / "c.csv").folder

    assert [item.item_id for item in folder.items] == keys
    assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (3, 3, True)


def test_words_between_the_folders_and_the_name_of_an_id(tmp_path: Path) -> None:
    """``a/x/out-0_seed3.png`` is ``a/x/0``, and ``b/x/out-0_seed3.png`` is not."""
    keys = ["a/x/0", "b/x/0", "b/y/1"]
    apart = [key.rpartition("/")[::2] for key in keys]
    write(tmp_path / "d", {f"{above}/src-{name}.png": source(n) for n, (above, name) in enumerate(apart)})
    for seed in (3, 8):
        edits = {f"{above}/out-{name}_seed{seed}.png": edit(n, seed) for n, (above, name) in enumerate(apart)}
        write(tmp_path / "d", edits)
    (tmp_path / "c.csv").write_text("id,prompt\n" + "".join(f"{key},x\n" for key in keys))

    folder = open_edits(tmp_path / "d", captions=tmp_path / "c.csv").folder

    assert [item.label for item in folder.items] == [f"{key} (seed {seed})" for key in keys for seed in (3, 8)]
    assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (6, 6, True)


def test_patterns_of_sources_and_edits_in_one_folder(tmp_path: Path) -> None:
    """Both patterns name the source, and each file is found by its own, as EditVal's scripts name theirs."""
    write(tmp_path, {f"{n}_unedited.png": source(n) for n in (1, 2)})
    write(tmp_path, {f"{n}_shape_{to}_1.5_6.5.png": edit(n) for n, to in ((1, "heart"), (2, "star"))})

    folder = open_edits(
        tmp_path, pattern="{source}_shape_{target_caption}_1.5_6.5.png", source_pattern="{source}_unedited.png"
    ).folder

    assert [item.target_caption for item in folder.items] == ["heart", "star"]
    assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (2, 2, True)


@pytest.mark.parametrize("name", ["pairs.parquet", "list.csv", "list.json"])
def test_the_table_at_the_top_of_a_folder(name: str, tmp_path: Path) -> None:
    """The one table that names a folder's images says what they are, and that is said; two tables do not."""
    write(tmp_path, {f"imgs/{word}_{n}.png": make(n) for n in range(3) for word, make in (("s", source), ("e", edit))})
    rows = [{"input": f"imgs/s_{n}.png", "output": f"imgs/e_{n}.png", "prompt": f"text {n}"} for n in range(3)]
    table = pandas.DataFrame(rows)
    {".parquet": table.to_parquet, ".csv": table.to_csv, ".json": lambda path: table.to_json(path, orient="records")}[
        Path(name).suffix
    ](tmp_path / name)

    folder = open_edits(tmp_path).folder

    assert is_whole(folder, 3)
    assert any("the table in the folder was read as its captions" in said for said in guesses(folder))
    table.to_csv(tmp_path / "another.csv")
    with pytest.raises(LayoutError, match="--captions FILE"):
        open_edits(tmp_path)


def test_a_bare_name_that_stands_in_two_folders_is_the_ids_own(tmp_path: Path) -> None:
    """``0.png`` of the item ``cats/0`` is ``cats/0.png`` where ``dogs/0.png`` is there too."""
    keys = ["cats/0", "dogs/0", "dogs/1"]
    write(tmp_path, {f"s/{key}.png": source(n) for n, key in enumerate(keys)})
    write(tmp_path, {f"e/{key}.png": edit(n) for n, key in enumerate(keys)})
    lines = [f"{key},{key.rpartition('/')[2]}.png,x" for key in keys]
    (tmp_path / "c.csv").write_text("\n".join(["id,source_image,prompt", *lines]) + "\n")

    folder = open_edits(tmp_path / "e", sources=tmp_path / "s", captions=tmp_path / "c.csv").folder

    assert (folder.n_edited, are_pairs(folder), {problem.code for problem in folder.problems}) == (3, True, {"guessed"})


def test_folders_of_seeds_and_of_kinds_of_edits_are_no_methods(tmp_path: Path) -> None:
    """Only the others are offered as methods."""
    lines = [f"{n},{kind},x" for n, kind in enumerate(["shape", "colour"])]
    (tmp_path / "c.csv").write_text("\n".join(["id,edit_type,prompt", *lines]) + "\n")
    for name, names in {"d": ["seed0", "seed1"], "k": ["shape", "colour"], "m": ["first", "second"]}.items():
        write(tmp_path, {f"{name}/{each}/{n}.png": edit(n) for each in names for n in range(2)})

    found = {name: method_folders(tmp_path / name, {"captions": tmp_path / "c.csv"}) for name in "dkm"}

    assert found == {"d": [], "k": [], "m": [tmp_path / "m" / "first", tmp_path / "m" / "second"]}


def test_a_bare_name_that_every_item_has_is_that_in_the_ids_folder(tmp_path: Path) -> None:
    """``original.png`` of the item 0007 is ``0007/original.png``."""
    for name, make in (("original", source), ("edit", edit)):
        write(tmp_path / "d", {f"000{n}/{name}.png": make(n) for n in range(3)})
    (tmp_path / "c.csv").write_text("id,source_image,prompt\n" + "".join(f"000{n},original.png,x\n" for n in range(3)))

    folder = open_edits(tmp_path / "d", captions=tmp_path / "c.csv").folder

    assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (3, 3, True)


def test_names_in_a_table_come_before_numbers_that_may_be_seeds(tmp_path: Path) -> None:
    """``7/1.png`` is the edit that the row of 7 names, not its seed 1."""
    write(tmp_path / "d", {f"{n}/{at}.png": make(n) for n in range(3) for at, make in enumerate((source, edit))})
    rows = [f"{n},{n}/0.png,{n}/1.png,x" for n in range(3)]
    (tmp_path / "c.csv").write_text("\n".join(["id,input_image,result_path,prompt", *rows]) + "\n")

    folder = open_edits(tmp_path / "d", captions=tmp_path / "c.csv").folder

    assert [item.label for item in folder.items] == ["0", "1", "2"]
    assert (folder.n_edited, folder.n_files, are_pairs(folder)) == (3, 3, True)
