"""Where CLIP metrics take an edit that failed for a good one: the runs of shapes_methods, held against the truth.

::

    python -m tests.studies.shapes_methods            # first
    python -m tests.studies.fooled_clip

Of each method those edits are looked at that do not have the attribute that was asked for. Their CLIPScore is compared
with their own sources' (``identity``), group by group: a failure that scores above its source has fooled the metric. A
method that minimises what CLIP measures is the one to fool it.
"""

import argparse
from pathlib import Path
from statistics import fmean

from evalkit.results.store import read_run
from evalkit.stats.paired import compare_paired

SCORE, TRUTH, DIRECTION = "clip_score", "edit_success", "clip_directional_similarity"


def row(work: Path, name: str) -> str | None:
    """A line of the table; None where nothing failed."""
    before = {row.item_id: row.values.get(SCORE) for row in read_run(work / "runs" / "identity").table.rows}
    rows = [row for row in read_run(work / "runs" / name).table.rows if row.values.get(TRUTH) is not None]
    failed = [row for row in rows if row.values[TRUTH] == 0 and before.get(row.item_id) is not None]
    if not failed:
        return None
    sources, edits = [before[row.item_id] for row in failed], [row.values[SCORE] for row in failed]
    raised = fmean(edit > source for source, edit in zip(sources, edits, strict=True))
    directions = [value for row in failed if (value := row.values.get(DIRECTION)) is not None]
    p_value = compare_paired(sources, edits, [row.group for row in failed], higher_is_better=True).test.p_value
    return (
        f"| `{name}` | {len(failed)} of {len(rows)} | {fmean(sources):.3f} | {fmean(edits):.3f} | {raised:.0%} "
        f"| {p_value:.2g} | {fmean(directions) if directions else float('nan'):.3f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/shapes_methods"))
    work = parser.parse_args().work
    print("| method | failed edits | CLIPScore of their sources | of the failures | raised | p | directional |")
    print("|---|---|---|---|---|---|---|")
    for path in sorted((work / "runs").iterdir()):
        if path.name != "identity" and (line := row(work, path.name)):
            print(line)


if __name__ == "__main__":
    main()
