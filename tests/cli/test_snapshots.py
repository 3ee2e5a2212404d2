"""What commands print, as plain text that a reviewer reads: three widths, in UTF-8 and in ASCII.

Each file in ``snapshots`` holds one command in all of them. To write them anew, and read what changed before it is
committed::

    EVALKIT_UPDATE_SNAPSHOTS=1 pytest -n 0 tests/cli/test_snapshots.py && git diff tests/cli/snapshots
"""

import json
import os
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

import evalkit.cli.list
from evalkit.cli import main
from evalkit.cli.demo import show as show_demo
from evalkit.cli.leaderboard import show_built, show_filled, show_verified
from evalkit.cli.validate import show as show_validity
from evalkit.comparison.compare import compare
from evalkit.leaderboard.fill import Filled
from evalkit.leaderboard.site.build import Built
from evalkit.leaderboard.store import Leaderboard
from evalkit.leaderboard.verify import EntryProblem, verify
from evalkit.validity.records import AgainstControl, Agreement, MetricValidity, Validity
from tests.support.fakes import save_picture
from tests.support.runs import A, B, write_scores
from tests.support.terminal import written

SNAPSHOTS = Path(__file__).parent / "snapshots"
WIDTHS, ENCODINGS = (60, 80, 120), ("utf-8", "ascii")
SEVEN = list(json.loads((SNAPSHOTS / "runs.json").read_text())["scores"])
MINIATURE = "miniature/clip@f32098898ebf"
LISTED = {
    "metrics": {"clip_score", "clip_directional_similarity", "psnr"},
    "methods": {"identity", "sdedit", "prompt_to_prompt"},
    "benchmarks": {"shapes", "tedbench"},
    "encoders": {"open_clip", "miniature"},
    "protocols": {"tedbench/v1"},
}
"""Entries that stay as they are; a list of all would change with every one that is added."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Recorded runs of seven methods, two runs of six items, folders of edits; commands run there."""
    root = tmp_path_factory.mktemp("snapshots")
    recorded = json.loads((SNAPSHOTS / "runs.json").read_text())
    for name, scores in recorded["scores"].items():
        write_scores(root / "seven" / name, scores, ids=recorded["items"], benchmark="shapes", enc=MINIATURE)
    for name, values in (("ours", A), ("theirs", B)):
        write_scores(
            root / "two" / name, {"clip_score": values, "lpips": [0.5 - x / 2 for x in values]}, lower=["lpips"]
        )
    lines = ["item_id,source_caption,target_caption"]
    for number in range(4):
        lines.append(f"i{number},A thing.,Another thing {number}.")
        save_picture(root / "sources" / f"i{number}.png", number)
        for method in ("sharp", "a_method_with_a_long_name", "strange"):
            save_picture(root / "edits" / method / f"i{number}.png", 10 * number + len(method))
    save_picture(root / "edits" / "strange" / "stranger.png", 99)
    (root / "captions.csv").write_text("\n".join(lines) + "\n")
    return root


OF_TWO = ("--metrics", "clip_score,edit_success")
OWN = ("--sources", "sources", "--captions", "captions.csv", "--metrics", "l1,psnr,ssim")
CODES = {"score_one": 3, "check": 3}
"""Exit codes other than 0."""
COMMANDS = {
    "compare_two": ["compare", "two/ours", "two/theirs"],
    "compare_seven": ["compare", *(f"seven/{name}" for name in SEVEN)],
    "compare_details": ["compare", *(f"seven/{name}" for name in SEVEN[:3]), *OF_TWO, "--details", "--signature=full"],
    "score_one": ["score", "edits/strange", *OWN, "--output", "runs/one"],
    "score_several": ["score", "edits/sharp", "edits/a_method_with_a_long_name", *OWN],
    "check": ["check", "edits/strange", *OWN[:4]],
    "power": ["power", "--sd", "0.2", "--icc", "0.3", "--group-size", "3", "--effect", "0.05,0.1"],
    **{f"list_{kind}": ["list", kind] for kind in LISTED},
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_what_it_printed(name, place, monkeypatch):
    """Nothing that a person reads changes without being seen, and no table is wider than its terminal."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("EVALKIT_CACHE", str(place / "cache"))
    if name.startswith("list_"):
        _show_only(monkeypatch, LISTED[name.removeprefix("list_")])
    shown = {}
    for width in WIDTHS:
        for encoding in ENCODINGS:
            environment = {"COLUMNS": str(width)}
            done = CliRunner(charset=encoding).invoke(main, COMMANDS[name], env=environment, prog_name="evalkit")
            assert done.exit_code == CODES.get(name, 0), done.output
            shown[width, encoding] = done.stdout_bytes.decode(encoding)
    _held(name, shown)


def test_the_help_prints_what_it_printed():
    """Of all commands; at 80 columns at most, as click has it."""
    shown = {}
    for width in WIDTHS:
        context = click.Context(main, info_name="evalkit", terminal_width=min(width, 80), **main.context_settings)
        text = main.get_help(context)
        shown[width, "utf-8"] = f"{text}\n"
    _held("help", shown)


def test_the_demo_prints_what_it_printed(place, monkeypatch):
    """On recorded runs, for its own take a minute."""
    monkeypatch.chdir(place)
    comparison = compare([f"seven/{path.name}" for path in sorted(Path("seven").iterdir())], primary=["clip_score"])
    _held("demo", _written(lambda output: show_demo(comparison, Path("demo"), output)))


def test_validate_prints_what_it_printed():
    """On a recorded result."""
    found = json.loads((SNAPSHOTS / "validity.json").read_text())
    metrics = [
        MetricValidity(
            **{
                **metric,
                "controls": tuple(AgainstControl(**control) for control in metric["controls"]),
                "agreements": tuple(Agreement(**agreement) for agreement in metric["agreements"]),
                "findings": tuple(metric["findings"]),
            }
        )
        for metric in found["metrics"]
    ]
    validity = Validity(**{**found, "metrics": tuple(metrics)})
    _held("validate", _written(lambda output: show_validity(validity, output)))


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Two of the project's entries, of which one asks for a look."""
    root = tmp_path_factory.mktemp("board") / "leaderboard"
    for part in ("schema", "methods", "entries/shapes/v1/identity", "entries/shapes/v1/text2live"):
        shutil.copytree(Path("leaderboard") / part, root / part)
    return Leaderboard(root)


def test_verify_prints_what_it_printed(board):
    """With nothing wrong; and with an entry of which a mean was changed."""
    verified = verify(board)
    _held("verify", _written(lambda output: show_verified(verified, verified.problems, output)))
    record = board.root / "entries" / "shapes" / "v1" / "identity" / "run.json"
    record.write_text(record.read_text().replace('"mean": 0.0,', '"mean": 0.5,', 1))
    wrong = verify(board)
    _held("verify_problem", _written(lambda output: show_verified(wrong, wrong.problems, output)))


def test_fill_prints_what_it_printed(board):
    """Of entries that were filled, one whose edits are others, and one whose edits only its submitter has."""
    entry = board.find("shapes/v1/text2live")
    message = "3 of 72 edits are not those of the entry, s00001_recolor first"
    problem = EntryProblem(code="wrong_digest", where="entries/shapes/v1/reference", message=message)
    found = Filled(filled=(entry,), awaiting={"shapes/v1/yours": ("clip_score",)}, problems=(problem,))
    _held("fill", _written(lambda output: show_filled(found, output)))


def test_build_prints_what_it_printed():
    """Of a site of some size."""
    built = Built(output=Path("build/site"), boards=(), n_pages=45, n_bytes=4_312_345)
    _held("build", _written(lambda output: show_built(built, output)))


def _show_only(monkeypatch, names):
    registry_of = evalkit.cli.list._registry

    class Some:
        def __init__(self, kind):
            self._registry = registry_of(kind)

        def entries(self):
            return [entry for entry in self._registry.entries() if entry.name in names]

    monkeypatch.setattr(evalkit.cli.list, "_registry", Some)


def _written(show):
    shown = {}
    for width in WIDTHS:
        for encoding in ENCODINGS:
            with written(width, encoding) as (output, text):
                show(output)
            shown[width, encoding] = text()
    return shown


def _held(name, shown):
    """What is shown is what the snapshot holds, and as narrow as its terminal but for what is to be copied."""
    for (width, _), text in shown.items():
        whole = ("Wrote ", "Next: ", "  or: ", "  enc:", "  clip_", "  edit_", "  attribute_", "  lpips|", "Usage:")
        wide = [line for line in text.splitlines() if cell_len(line) > width and not line.startswith(whole)]
        assert wide == []
    text = "".join(
        f"{f' {width} columns, {encoding} ':=^{width}}\n{shown[width, encoding]}" for width, encoding in shown
    )
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("EVALKIT_UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), "write it with: EVALKIT_UPDATE_SNAPSHOTS=1 pytest -n 0 tests/cli/test_snapshots.py"
    assert text == path.read_text(encoding="utf-8")
