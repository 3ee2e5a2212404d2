"""The README's pictures: the first screens of the demo's report, of a page of votes, and of the board's page on shapes.

::

    python -m tests.studies.pictures --demo build/demo
    python -m tests.studies.pictures --demo build/demo --only vote
"""

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from evalkit.cli.demo import EDITORS
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from evalkit.voting.edits import open_methods
from tests.support.browser import chromium
from tests.support.voting import served, session_of

PICTURES = Path(".github/pictures")
WIDTH, SHOWN_WIDTH = 1280, 960
COLOURS = 128
BOARD = "shapes/v2/index.html"


def report(page: Page, demo: Path) -> None:
    """The demo's report."""
    page.goto((demo / "report.html").resolve().as_uri())


def vote(page: Page, demo: Path) -> None:
    """The first pair that a rater is shown, of the demo's edits."""
    edits = open_methods([str(demo / "runs" / name) for name in EDITORS])
    with (
        tempfile.TemporaryDirectory() as folder,
        session_of(Path(folder) / "votes.jsonl", edits, votes=30, checks=3) as session,
        served(session) as address,
    ):
        page.goto(address)
        page.fill("#rater", "Anna")
        page.keyboard.press("Enter")
        page.wait_for_selector("#ballot:not([hidden]) [data-answer=left]:not(:disabled)")
        page.wait_for_load_state("networkidle")


def board(page: Page, _: Path) -> None:
    """The board on shapes."""
    site = build(Leaderboard(Path("leaderboard")), Path("build/site")).output
    page.goto((site / BOARD).resolve().as_uri())


SCREENS: Mapping[str, tuple[Callable[[Page, Path], None], int]] = {
    "report": (report, 900), "vote": (vote, 640), "board": (board, 900),
}  # fmt: skip
"""Picture to how its page is opened, and its height."""


def main() -> None:
    """Run the demo, and take a picture of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("build/demo"), help="what is there already is not made again")
    parser.add_argument("--only", choices=SCREENS, action="append", help="of these alone")
    options = parser.parse_args()
    subprocess.run([sys.executable, "-m", "evalkit", "demo", "--output", options.demo], check=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_page(color_scheme="light")
        for name in options.only or SCREENS:
            opened, height = SCREENS[name]
            page.set_viewport_size({"width": WIDTH, "height": height})
            opened(page, options.demo)
            page.wait_for_load_state("networkidle")
            path = PICTURES / f"{name}.png"
            shown = (SHOWN_WIDTH, height * SHOWN_WIDTH // WIDTH)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize(shown, Image.Resampling.LANCZOS)
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
