"""How much memory a folder takes: peak of the whole process at 1,000 and at 10,000 images.

    python tests/benchmarks/memory.py

The miniature encoder and small images keep the run short; what is measured is what grows with the number of items.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from common import evalkit, make_folder

SIZES = (1_000, 10_000)


def main() -> None:
    """Print peak memory in MiB for each size, cold and warm, and the growth."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for size in SIZES:
            folder = make_folder(root / f"folder_{size}", size, 96)
            arguments = ("score", str(folder), "--encoder", "miniature", "--output", str(root / f"run_{size}"))
            for state in ("cold", "warm"):
                done = evalkit(*arguments, cache=root / f"cache_{size}")
                figures[f"{state}_peak_mib_{size}"] = round(done.peak_mib, 1)
    for state in ("cold", "warm"):
        low, high = (figures[f"{state}_peak_mib_{size}"] for size in SIZES)
        figures[f"{state}_growth_mib"] = round(high - low, 1)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
