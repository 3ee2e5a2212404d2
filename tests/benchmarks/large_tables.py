"""What large tables cost ``evalkit compare``, as whole processes: many methods, many items, many pairs of many items.

    OMP_NUM_THREADS=1 python tests/benchmarks/large_tables.py

* 60 methods on 20 metrics of 100 items in 40 groups: 35,400 comparisons;
* two methods on a million items;
* 33 methods on 5,001 items, each ten standard deviations better than the one before: all 528 pairs must be decided.

Seconds are the processor's; beside them stands what reading the table with pandas takes.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import process

READ = "import sys, pandas; pandas.read_parquet(sys.argv[1])"


def write(path: Path, methods: int, items: int, metrics: int, groups: int, step: float) -> None:
    """A row per method and item, a column per metric; each method is a step better than the one before."""
    rng = np.random.default_rng(1)
    hard = rng.normal(size=(metrics, 1, items))
    scores = hard + rng.normal(size=(metrics, methods, items)) + step * np.arange(methods)[:, None]
    columns = {
        "item_id": pa.array([f"p{item}" for item in range(items)] * methods).dictionary_encode(),
        "group": pa.array([f"g{item % groups}" for item in range(items)] * methods).dictionary_encode(),
        "method": pa.array(np.repeat([f"m{number:02d}" for number in range(methods)], items)).dictionary_encode(),
    }
    columns |= {f"quality_{number}": pa.array(column.ravel().round(4)) for number, column in enumerate(scores)}
    pq.write_table(pa.table(columns), path)


def main() -> None:
    """Print each case's figures."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in (
            ("60 methods, 20 metrics, 100 items", (60, 100, 20, 40, 0.02)),
            ("2 methods, 1,000,000 items", (2, 1_000_000, 1, 200_000, 0.01)),
            ("33 methods, 5,001 items", (33, 5_001, 1, 5_001, 10.0)),
        ):
            table = Path(folder) / "table.parquet"
            write(table, *shape)
            done = process([sys.executable, "-m", "evalkit", "compare", str(table), "--json"])
            pairs = json.loads(done.output)["comparisons"]
            figures[name] = {
                "compare_cpu_seconds": round(done.cpu_seconds, 1),
                "peak_mib": round(done.peak_mib),
                "pandas_cpu_seconds": round(process([sys.executable, "-c", READ, str(table)]).cpu_seconds, 1),
                "comparisons": len(pairs),
                "decided": sum(pair["verdict"].endswith("better") for pair in pairs),
            }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
