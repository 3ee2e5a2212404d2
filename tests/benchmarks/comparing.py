"""How long a person waits for a comparison: ten runs of a hundred items on six metrics, from disk to table.

python tests/benchmarks/comparing.py
"""

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from common import process

from tests.support.runs import random_runs

RUNS = 5
METRICS = ("clip_score", "clip_directional_similarity", "clip_image_similarity", "psnr", "ssim", "lpips")
IMPORTS = (
    "import scipy.special, rich.table, evalkit.cli.compare, evalkit.comparison.compare, evalkit.comparison.tables.text"
)


def main() -> None:
    """Print the median seconds of the command and of its imports alone, whole processes both, and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        groups = [f"group_{number // 2}" for number in range(100)]
        names = [f"method_{number}" for number in range(10)]
        runs = random_runs(Path(folder), names, n=100, metrics=METRICS, groups=groups, lower=["lpips"])
        command = [sys.executable, "-m", "evalkit", "compare", *map(str, runs)]
        process(command)
        finished = [process(command) for _ in range(RUNS)]
        imports = [process([sys.executable, "-c", IMPORTS]) for _ in range(RUNS)]
    figures = {
        "compare_seconds": round(statistics.median(one.seconds for one in finished), 2),
        "of_which_imports_seconds": round(statistics.median(one.seconds for one in imports), 2),
        "compare_cpu_seconds": round(statistics.median(one.cpu_seconds for one in finished), 2),
        "of_which_imports_cpu_seconds": round(statistics.median(one.cpu_seconds for one in imports), 2),
        "peak_mib": round(max(one.peak_mib for one in finished)),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
