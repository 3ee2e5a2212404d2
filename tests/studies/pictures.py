"""The README's pictures: the first screens of the demo's report and of the board's page on shapes.

::

    python -m tests.studies.pictures --demo build/demo
"""

import argparse
import io
import subprocess
import sys
from pathlib import Path

from PIL import Image

from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from tests.support.browser import chromium

PICTURES = Path(".github/pictures")
SCREEN = {"width": 1280, "height": 900}
SHOWN = (960, 675)
COLOURS = 64
BOARD = "shapes/v1/index.html"


def main() -> None:
    """Run the demo, build the site, and take a picture of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("build/demo"), help="what is there already is not made again")
    demo = parser.parse_args().demo
    subprocess.run([sys.executable, "-m", "evalkit", "demo", "--output", demo], check=True)
    site = build(Leaderboard(Path("leaderboard")), Path("build/site")).output
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_page(viewport=SCREEN, color_scheme="light")
        for name, file in (("report", demo / "report.html"), ("board", site / BOARD)):
            page.goto(file.resolve().as_uri())
            page.wait_for_load_state("networkidle")
            path = PICTURES / f"{name}.png"
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS)
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
