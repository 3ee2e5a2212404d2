"""``evalkit check`` says exactly what is wrong with a folder, and nothing else."""

import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli.check import as_json, check
from evalkit.edits.check import check_folder, duplicates, edits_digest
from evalkit.edits.folder import EditFolder
from evalkit.edits.item import EditItem, Problem
from evalkit.edits.manifest import write_manifest
from evalkit.edits.open import open_folder
from evalkit.edits.problems import NOTICES, PROBLEMS, is_notice
from evalkit.images.decode import image_digest
from tests.support import messy
from tests.support.fakes import save_picture
from tests.support.messy import Messy, build_messy
from tests.support.pictures import encoded, scene


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory) -> Messy:
    """The messy folder."""
    return build_messy(tmp_path_factory.mktemp("messy"))


@pytest.fixture(scope="module")
def told(mess: Messy) -> tuple[Problem, ...]:
    """What a check of the messy folder finds."""
    return check_folder(open_folder(mess.folder, expected=mess.expected))


def by_code(problems: Iterable[Problem], root: Path) -> dict[str, set[str]]:
    """Code to the items concerned, or to the files where a problem is about no item."""
    found = defaultdict(set)
    for problem in problems:
        name = problem.path.relative_to(root).as_posix() if problem.path else ""
        found[problem.code].add(problem.item_id or name)
    return dict(found)


def folder_of(*items: EditItem, root: Path = Path()) -> EditFolder:
    """A folder that holds these items."""
    return EditFolder(root=root, layout="item_id", items=items, n_files=len(items), n_matched=len(items))


def test_messy_folder_is_told_exactly(mess: Messy, told: tuple[Problem, ...]) -> None:
    """Every deliberate fault is found under its code, with its name, and nothing sound is accused."""
    folder = open_folder(mess.folder, expected=mess.expected)

    assert by_code(told, mess.folder) == messy.PROBLEMS | messy.NOTICES
    assert len({(problem.code, problem.item_id, problem.path) for problem in told}) == len(told)
    assert (folder.n_files, folder.n_matched) == (messy.N_FILES, messy.N_MATCHED)
    assert [item.item_id for item in folder.items] == [item_id for item_id, _, _ in messy.ITEMS]


def test_sound_items_of_a_messy_folder_are_scored(mess: Messy) -> None:
    """Tolerated names still find their items, and the files that are refused leave theirs missing with a reason."""
    items = {item.item_id: item for item in open_folder(mess.folder, expected=mess.expected).items}

    missing = {item_id for item_id, item in items.items() if item.status == "missing"}

    assert missing == {"two_files", "not_there", "link_outside"}
    assert all(items[item_id].reason and items[item_id].edited_image is None for item_id in missing)
    assert items["doubled_suffix"].edited_image == mess.folder / "road1.png.png-A_photo_of_a_traffic_jam.png"
    assert items["in_sub_folder"].edited_image.parent == mess.folder / "later" / "batch2"
    assert "car.png-A_race_car.png, car.png-a race car.PNG" in items["two_files"].reason


def test_without_decoding_headers_and_bytes_are_still_checked(mess: Messy) -> None:
    """``decode=False`` finds all but what only pixels show."""
    only_pixels_show = {"animated_image", "colour_profile", "deep_image", "rotated_image", "transparent_image"}
    expected = {code: set(names) for code, names in (messy.PROBLEMS | messy.NOTICES).items()}
    expected = {code: names for code, names in expected.items() if code not in only_pixels_show}
    expected["unreadable_image"] -= {"truncated"}
    expected["edited_equals_source"] -= {"re_encoded_source"}

    problems = check_folder(open_folder(mess.folder, expected=mess.expected), decode=False)

    assert by_code(problems, mess.folder) == expected


def test_every_code_is_explained(told: tuple[Problem, ...]) -> None:
    """A problem's code stands in one of the two lists, never in both."""
    codes = {problem.code for problem in told}

    assert codes <= PROBLEMS.keys() | NOTICES.keys()
    assert not PROBLEMS.keys() & NOTICES.keys()
    assert messy.PROBLEMS.keys() <= PROBLEMS.keys()
    assert messy.NOTICES.keys() <= NOTICES.keys()


def test_progress_is_told_of_every_file_once(mess: Messy) -> None:
    """Edits and sources are each looked at once, and progress ends at the number of items."""
    calls = []

    check_folder(
        open_folder(mess.folder, expected=mess.expected), progress=lambda *call: calls.append(call), decode=False
    )

    n_files = messy.N_MATCHED - 2 + len({item.source_image for item in mess.expected.items})
    assert len(calls) == n_files + 1
    assert calls == sorted(calls)
    assert calls[-1][1] == calls[-1][2] == len(mess.expected.items)


def test_a_folders_digest_is_that_of_the_edits_it_holds(tmp_path: Path) -> None:
    """Neither the order nor how many were expected matters; a file, a seed, a failure or one edit less does."""
    for number, name in enumerate(("a.png", "b.png")):
        (tmp_path / name).write_bytes(bytes([number]))
    a, b = (EditItem(item_id=name, edited_image=tmp_path / f"{name}.png") for name in "ab")
    expected = EditItem(item_id="c").without_edit("missing", "no file")
    digest = edits_digest([a, b], {})
    assert edits_digest([b, expected, a], {tmp_path / "a.png": image_digest(tmp_path / "a.png")}) == digest
    others = [[a], [a, replace(b, seed=1)], [a, replace(b, edited_image=a.edited_image)]]
    others.append([a, b.without_edit("failed", "out of memory")])
    assert digest not in {edits_digest(items, {}) for items in others}


def test_equal_files_of_seeds_and_items(tmp_path: Path) -> None:
    """One file for two seeds is a repeated seed, for two items a duplicate output, for the source an unchanged edit."""
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    digests = dict(zip(paths, ("same", "same", "same", "source"), strict=True)) | {tmp_path / "s.png": "source"}
    items = [
        EditItem(item_id="x", seed=0, edited_image=paths[0]),
        EditItem(item_id="x", seed=1, edited_image=paths[1]),
        EditItem(item_id="y", seed=0, edited_image=paths[2]),
        EditItem(item_id="z", edited_image=paths[3], source_image=tmp_path / "s.png"),
        EditItem(item_id="unknown", edited_image=tmp_path / "unknown.png"),
    ]

    problems = list(duplicates(items, digests))

    assert [(problem.code, problem.item_id) for problem in problems] == [
        ("edited_equals_source", "z"),
        ("duplicate_output", "x"),
        ("repeated_seed", "x"),
    ]
    assert "x, y have" in problems[1].message
    assert "x (seed 0), x (seed 1) have" in problems[2].message


def test_seeds_that_agree_are_no_duplicate_items() -> None:
    """One item whose seeds give one file is not accused of equalling another item."""
    edits = [EditItem(item_id="x", seed=seed, edited_image=Path(str(seed))) for seed in (0, 1)]

    assert [problem.code for problem in duplicates(edits, {Path("0"): "1", Path("1"): "1"})] == ["repeated_seed"]


def test_unchanged_edits_of_one_source_are_not_duplicates_too() -> None:
    """A method that returns its input is told so once for each item, not once more for being consistent."""
    edits = [EditItem(item_id=name, edited_image=Path(name), source_image=Path("s")) for name in "ab"]

    problems = list(duplicates(edits, {Path("a"): "1", Path("b"): "1", Path("s"): "1"}))

    assert [problem.code for problem in problems] == ["edited_equals_source"] * 2


@pytest.mark.parametrize("method", ["identity", "shuffled_source", "mine"])
def test_what_a_control_is_meant_to_do_is_a_notice(tmp_path: Path, method: str) -> None:
    """Sources untouched, or of another item, are problems of a method that is to edit; other problems stay."""
    sources = [save_picture(tmp_path / f"s{number}.png", number) for number in range(2)]
    given = [0, 0, 1, 1] if method == "identity" else [1, 1, 0, 0]
    items = [
        EditItem(
            item_id=f"i{number}", group=f"g{number // 2}", target_caption=str(number),
            source_image=sources[number // 2],
            edited_image=Path(shutil.copy(sources[given[number]], tmp_path / f"e{number}.png")),
        )
        for number in range(4)
    ]  # fmt: skip
    items.append(replace(items[0], item_id="small", edited_image=save_picture(tmp_path / "small.png", 9, size=4)))
    folder = EditFolder(root=tmp_path, layout="manifest", items=tuple(items), n_files=5, n_matched=5, method=method)
    found = Counter(problem.code for problem in check_folder(folder))
    assert found.pop("tiny_image") == 1
    del found["missing_source_caption"], found["size_differs"]
    assert found == ({"duplicate_output": 2} if method == "mine" else {"control_edits": 1})


def test_one_result_for_two_items_that_ask_for_the_same_is_no_duplicate() -> None:
    """Only items that ask for different edits, or for edits of different sources, may not share their edited image."""
    a = EditItem(item_id="a", group="s", edited_image=Path("a"), target_caption="A red car.")
    b = replace(a, item_id="b", edited_image=Path("b"), target_caption="a  red car")
    others = (replace(b, target_caption="A blue car."), replace(b, group="t"), replace(b, instruction="Paint it."))

    def codes(other: EditItem) -> list[str]:
        return [problem.code for problem in duplicates([a, other], {Path("a"): "1", Path("b"): "1"})]

    assert codes(b) == []
    assert [codes(other) for other in others] == [["duplicate_output"]] * 3


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [
        ("A cat.", "  ", "empty_caption"),
        ("a  CAT", "A cat.", "equal_captions"),
        ("A cat.", "word " * 76, "long_caption"),
        ("A cat.", "word " * 75, None),
        ("A cat.", "一个红色的圆" * 7, "long_caption"),
        ("A cat.", "一个红色的圆" * 6, None),
        ("A cat.", None, "missing_target_caption"),
        (None, "A cat.", "missing_source_caption"),
    ],
)
def test_captions(source: str | None, target: str | None, code: str | None) -> None:
    """Captions that are empty, equal, very long or absent are mentioned once, whatever the seeds."""
    item = EditItem(
        item_id="i", source_caption=source, target_caption=target, source_image=Path("s.png"), status="failed"
    )

    problems = check_folder(folder_of(replace(item, seed=0), replace(item, seed=1)))

    assert [problem.code for problem in problems] == [code] * (code is not None)


def test_unreadable_source_is_named_once(tmp_path: Path) -> None:
    """A broken source image is one problem, however many edits it has."""
    (tmp_path / "s.png").write_bytes(b"broken")
    items = []
    for seed in (0, 1):
        path = tmp_path / f"{seed}.png"
        path.write_bytes(encoded(scene(20, 20, seed)))
        items.append(
            EditItem(
                item_id="i",
                seed=seed,
                edited_image=path,
                source_image=tmp_path / "s.png",
                source_caption="b",
                target_caption="c",
            )
        )

    problems = check_folder(folder_of(*items, root=tmp_path))

    assert [(problem.code, problem.path) for problem in problems] == [("unreadable_image", tmp_path / "s.png")]


def test_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    """A file name of undecodable bytes is listed in a form that every terminal and JSON parser takes."""
    (tmp_path / "cat.png").write_bytes(encoded(scene(20, 20)))
    (tmp_path / "b\udcffd.png").write_bytes(encoded(scene(20, 20, 1)))

    folder = open_folder(tmp_path, pattern="c{item_id}.png")

    message = folder.problems[0].message
    assert message.encode() == b"b\\xffd.png has a name that is not UTF-8 and is not looked at. Rename it."
    json.dumps(as_json(folder, folder.problems), ensure_ascii=False).encode()


def test_folders_inside_of_each_other_are_listed_so_far(tmp_path: Path) -> None:
    """Beyond any real depth a folder is a problem by name, and nothing ends in an exhausted stack."""
    (tmp_path / "cat.png").write_bytes(encoded(scene(20, 20)))
    tmp_path.joinpath(*["d"] * 100).mkdir(parents=True)

    folder = open_folder(tmp_path, pattern="c{item_id}.png")

    assert [(problem.code, "lies more than 64 folders deep" in problem.message) for problem in folder.problems] == [
        ("unreadable_folder", True)
    ]


def test_command_lists_problems_and_exits_with_three(mess: Messy) -> None:
    """The command groups what it found by code, shows problems by name, and exits with 3."""
    folder = mess.folder.parent / "with_manifest"
    path = folder / "edited" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(scene(1, 1)))
    write_manifest(folder, [EditItem(item_id="a", edited_image=path, source_caption="b", target_caption="c")])

    result = CliRunner().invoke(check, [str(folder)])

    assert result.exit_code == 3
    assert "manifest layout; 1 of 1 image files matched, 1 of 1 edited images found." in result.output
    assert "Problems (1):\n  tiny_image (1): an image too small to judge\n    edited/a.png has 1 × 1" in result.output
    assert "Notices (1):\n  missing_source_image (1)" in result.output


def test_command_prints_one_json_object(tmp_path: Path) -> None:
    """``--json`` prints one object with everything in it, and notices alone are success."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(20, 20)))
    write_manifest(
        tmp_path, [EditItem(item_id="a", edited_image=path, source_caption="b", target_caption="c")], method="m"
    )

    result = CliRunner().invoke(check, [str(tmp_path), "--json"])

    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [(problem["code"], problem["severity"]) for problem in told.pop("problems")] == [
        ("missing_source_image", "notice")
    ]
    assert told == {
        "folder": str(tmp_path),
        "layout": "manifest",
        "benchmark": None,
        "method": "m",
        "n_items": 1,
        "n_edited": 1,
        "n_files": 1,
        "n_matched": 1,
    }


def test_command_explains_a_folder_it_cannot_read(tmp_path: Path) -> None:
    """A folder that nothing explains is one error with the next command, exit 1; an unknown option is exit 2."""
    (tmp_path / "x.png").write_bytes(encoded(scene()))

    unexplained = CliRunner().invoke(check, [str(tmp_path)])

    assert unexplained.exit_code == 1
    assert "--pattern" in unexplained.output
    assert CliRunner().invoke(check, [str(tmp_path), "--nonsense"]).exit_code == 2


def test_sound_folder_is_silent(tmp_path: Path) -> None:
    """A folder without any fault has no problem and no notice."""
    for name, seed in (("source", 1), ("edit", 2)):
        (tmp_path / f"{name}.png").write_bytes(encoded(scene(20, 20, seed)))
    item = EditItem(
        item_id="a",
        edited_image=tmp_path / "edit.png",
        source_image=tmp_path / "source.png",
        source_caption="b",
        target_caption="c",
    )
    write_manifest(tmp_path, [item])

    folder = open_folder(tmp_path)

    assert check_folder(folder) == ()
    assert folder.items[0].group == image_digest(tmp_path / "source.png")
    assert CliRunner().invoke(check, [str(tmp_path)]).output.endswith("Nothing is wrong with it.\n")


def test_checking_imports_no_model() -> None:
    """The check, the manifest and the layouts are loaded without torch, transformers or datasets."""
    code = (
        "import sys, evalkit.edits.check, evalkit.edits.open; "
        "print({'torch', 'transformers', 'datasets', 'open_clip'} & set(sys.modules))"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_notices_are_what_is_handled() -> None:
    """A code that is a notice is told from one that is a problem."""
    assert is_notice(Problem(code="size_differs", message=""))
    assert not is_notice(Problem(code="missing_edited_image", message=""))
