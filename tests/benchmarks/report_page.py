"""How long a page of many methods and items takes to be made, and to be opened in a browser.

python -m tests.benchmarks.report_page --methods 20 --items 700
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np

from evalkit.comparison.compare import compare
from evalkit.report.page.render import write_page
from tests.support.browser import chromium
from tests.support.pages import with_pictures

METRICS = ("clip_score", "clip_directional_similarity", "lpips", "ssim", "edit_success")
TYPES = tuple(f"edit type {number}" for number in range(10))


def write_scores(path: Path, n_methods: int, n_items: int) -> Path:
    """A table of every method's scores."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "method", "group", *METRICS])
        for item in range(n_items):
            common = rng.random(len(METRICS))
            for method in range(n_methods):
                values = np.clip(common / 2 + rng.random(len(METRICS)) / 2 + method / 200, 0, 1).round(4)
                writer.writerow([f"item{item:04}", f"method_{method:02}", f"g{item // 2}", *values])
    return path


def measure(n_methods: int, n_items: int, repeats: int) -> None:
    """Make the page and open it."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        start = time.perf_counter()
        comparison = compare([write_scores(root / "scores.csv", n_methods, n_items)], n_permutations=999)
        print(f"compared, with few permutations, in {time.perf_counter() - start:.1f} s")
        shown = with_pictures(comparison, root / "edits", size=(512, 512), distinct=4, types=TYPES)
        page = root / "page.html"
        start = time.perf_counter()
        write_page(shown, page)
        print(f"made in {time.perf_counter() - start:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
        with chromium() as browser:
            for width in (1280, 390):
                both = zip(*(_open(browser, page, width) for _ in range(repeats)), strict=True)
                seconds, busy = (sorted(values)[repeats // 2] for values in both)
                print(f"opened at {width} px in {seconds:.2f} s, of which {busy:.2f} s of work (medians of {repeats})")


def _open(browser, page: Path, width: int) -> tuple[float, float]:
    """Seconds until the first screen is painted, and what the page's thread worked for it, whatever else ran."""
    tab = browser.new_page(viewport={"width": width, "height": 800})
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    tab.goto(f"file://{page}", wait_until="load")
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    seconds = time.perf_counter() - start
    found = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    tab.close()
    return seconds, found["TaskDuration"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=int, default=20)
    parser.add_argument("--items", type=int, default=700)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    measure(options.methods, options.items, options.repeats)
