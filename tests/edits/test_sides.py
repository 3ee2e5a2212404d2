"""Of a folder that holds sources and edits a table names one side: the files say which, or it is asked."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

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
