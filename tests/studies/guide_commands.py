"""How long every command takes that README, guide and help show, run as the tests run them.

::

    python -m tests.studies.guide_commands > tests/studies/guide_commands.md
"""

import tempfile
import time
from pathlib import Path

from tests.support.shown import DOCUMENTS, HELP, NOT_RUN, STAND_INS, lines_in, ran
from tests.support.shown_world import lay_out


def main() -> None:
    """Print a table in Markdown, a row per command."""
    print("# The commands of README, guide and help, and their run times\n")
    print("Processor time of one core in seconds, without the start of Python; the first use of a library counts")
    print("where it happens. `python -m tests.studies.guide_commands` makes this page.\n")
    with tempfile.TemporaryDirectory() as folder:
        laid_out = lay_out(Path(folder, "laid_out"))
        for document in (*DOCUMENTS, HELP):
            print(f"## `{document}`\n\n| command | seconds |\n|---|---|")
            last = time.process_time()
            for line, shown in ran(document, laid_out, Path(folder, document.as_posix().replace("/", "_"))):
                now = time.process_time()
                failed = "" if shown.exit_code == 0 else f" (exit code {shown.exit_code})"
                print(f"| `{line}` | {now - last:.1f}{failed} |".replace("|ours", "\\|ours"), flush=True)
                last = now
            for line in sorted(NOT_RUN.keys() & {*lines_in(document)}):
                print(f"| `{line}` | {NOT_RUN[line]} |")
            print()
    print("## What stands in\n\n| shown | run | because it |\n|---|---|---|")
    for pattern, stand_in, why in STAND_INS:
        cells = (f"`{text}`" if text else "nothing" for text in (pattern, stand_in))
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, why)) + " |")


if __name__ == "__main__":
    main()
