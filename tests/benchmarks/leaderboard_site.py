"""How large the site of a board gets, how long it takes to build, and how fast its table sorts in a browser.

::

    python -m tests.benchmarks.leaderboard_site                 # 15 methods × 100 items, generated
    python -m tests.benchmarks.leaderboard_site 300 700 --pairs controls

The board page must stay under 1.5 MB and sort in under 100 ms. With ``--pairs controls`` methods are compared with the
two controls only, which the board itself needs; all 45,753 pairs on three metrics take long, and change no board page.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from evalkit.benchmarks.shapes import shapes
from evalkit.comparison.compare import compare
from evalkit.leaderboard import ranking
from evalkit.leaderboard.records import Card, Declarations, Entry, OutputDigest, Submitter
from evalkit.leaderboard.records_io import file_digest, write_json, write_lines, write_yaml
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from evalkit.metrics.base import METRICS
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.run import FolderRecord, RunRecord, ScoredRun, write_run
from evalkit.scoring.summaries import summarize
from tests.support import boards
from tests.support.browser import chromium

DECLARED = Declarations(
    per_item_tuning="no", selection="none", attempts_per_item=1, deterministic=True, uses=(), saw_benchmark="no",
    settings={},
)  # fmt: skip


def generated(n_items: int):
    """A benchmark of so many items, four to a group."""
    first = shapes().items
    items = [
        replace(first[number % len(first)], item_id=f"item-{number:04}", group=f"source-{number // 4:04}")
        for number in range(n_items)
    ]
    return replace(shapes(), name="few", items=tuple(items))


def write_entry(board: Leaderboard, name: str, kind: str, quality: float, items, rng: np.random.Generator) -> None:
    """An entry with drawn scores."""
    success = rng.random(len(items)) < quality
    kept = np.clip(rng.normal(0.2 if name == "shuffled_source" else 0.8, 0.1, len(items)), 0, 1)
    score = np.clip(rng.normal(0.5 + 0.3 * quality, 0.1, len(items)), 0, 1)
    rows = tuple(
        ItemScores(
            item_id=item.item_id,
            group=item.group,
            edit_type=item.edit_type,
            values={"edit_success": float(a), "attribute_preservation": float(b), "clip_score": float(c)},
        )
        for item, a, b, c in zip(items, success, kept, score, strict=True)
    )
    table = ScoreFrame.from_rows(rows, boards.FEW.metrics)
    line = "enc:{}|img:64|tpl:none|dtype:fp32|v:1|evalkit:0.1.0"
    encoders = {metric: "miniature/clip@0" if "clip" in METRICS.get(metric).encoders else "recogniser@0" for metric in
                table.metrics}  # fmt: skip
    record = RunRecord(
        run=name, method=name, benchmark="few", benchmark_version="1", protocol="few/v1", n_items=len(items),
        n_edited=len(items),
        folder=FolderRecord(path=name, layout="manifest", digest="", n_files=len(items), n_matched=len(items)),
        missing="fail", level=0.95, encoders={}, problems=[], items_sha256="", versions={}, seconds=0.0,
        started="2026-01-01T00:00:00+00:00", n_encoded_images=0, n_encoded_texts=0,
        metrics={metric: summarize(METRICS.get(metric), table, f"{metric}|{line.format(encoders[metric])}", 0.95)
                 for metric in table.metrics},
    )  # fmt: skip
    path = board.entry_path("few/v1", name)
    write_run(path, ScoredRun(record=record, table=table))
    digests = [f"{number:064x}" for number in rng.integers(2**63, size=len(items)).tolist()]
    outputs = [OutputDigest(item_id=i.item_id, sha256=d, pixels_sha256=d) for i, d in zip(items, digests, strict=True)]
    write_lines(path / "outputs.jsonl", outputs)
    entry = Entry(
        method=name, protocol="few/v1", submitted="2026-01-01", declarations=DECLARED,
        submitter=Submitter(name="Nobody", relationship="third_party"),
        run_sha256=file_digest(path / "run.json"), outputs_sha256=file_digest(path / "outputs.jsonl"),
    )  # fmt: skip
    write_json(path / "entry.json", entry)
    card = Card(name=name, title=f"Method {name} with a usual title", summary="Generated.", kind=kind, licence="MIT")
    write_yaml(board.card_path(name), card)


def with_controls(protocol, entries):
    """The pairs that decide who is ranked, and no others."""
    paths = [f"{entry.method}={entry.path}" for entry in entries]
    options = {"metrics": protocol.metrics, "primary": protocol.primary}
    controls = (ranking.NOT_ALIGNED, ranking.NOT_PRESERVED)
    return tuple(pair for name in controls for pair in compare(paths, baseline=name, **options).pairs)


def main() -> None:
    """Generate, build, open, sort."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", type=int, nargs="?", default=15)
    parser.add_argument("items", type=int, nargs="?", default=100)
    parser.add_argument("--pairs", choices=["all", "controls"], default="all")
    asked = parser.parse_args()
    if asked.pairs == "controls":
        ranking._all_pairs = with_controls
    boards.few = lambda: generated(asked.items)  # what the registry finds under the name
    boards.FEW = replace(boards.FEW, n_items=asked.items)
    with boards.known(), tempfile.TemporaryDirectory() as scratch:
        board = boards.empty_board(Path(scratch) / "leaderboard")
        (board.root / "site").symlink_to(boards.SITE.resolve())
        rng, items = np.random.default_rng(0), generated(asked.items).items
        for name, quality in (("identity", 0.0), ("shuffled_source", 0.1), ("reference", 1.0)):
            write_entry(board, name, "control", quality, items, rng)
        for number in range(asked.methods):
            write_entry(board, f"method_{number:03}", "method", 0.2 + 0.6 * number / asked.methods, items, rng)
        started = time.perf_counter()
        built = build(board, Path(scratch) / "site")
        seconds = time.perf_counter() - started
        page = built.output / "few/v1/index.html"
        print(f"{asked.methods} methods × {asked.items} items: built in {seconds:.1f} s, {built.n_pages} pages")
        print(f"all files {built.n_bytes / 1e6:.1f} MB; board page {page.stat().st_size / 1e6:.3f} MB; "
              f"items page {(page.parent / 'items.html').stat().st_size / 1e6:.2f} MB")  # fmt: skip
        with chromium() as browser:
            opened = browser.new_page()
            opened.goto(f"file://{page}")
            for what in ("as it opens", "with all rows shown"):
                times = [opened.evaluate(SORT, column) for column in (2, 4, 5, 6, 2, 4, 5, 6)]
                print(f"sorted {what}, layout included, in {statistics.median(times):.0f} ms (median of {len(times)}), "
                      f"{max(times):.0f} ms at most")  # fmt: skip
                opened.evaluate("document.querySelector('#more').click()")


SORT = """column => {
  const button = document.querySelector(`#board thead th:nth-child(${column}) button`);
  const started = performance.now();
  button.click();
  document.body.offsetHeight;  // the layout
  return performance.now() - started;
}"""


if __name__ == "__main__":
    main()
