"""Seconds and peak memory of ``check`` and ``score`` on data sets with image columns.

    python tests/benchmarks/stored_images.py [--rows 10000] [--large 2000]

The rows have two images of 64 pixels each, as PNGs of noise (12 kB), five edits to a source. They are read from a
Parquet file in row groups of 100, as ``datasets`` writes it, from one with a single row group, as pandas does, and from
a Hub on loopback. ``large`` rows with images of 100 kB show what is in memory at once: pyarrow puts 1,024 rows into a
page, whatever they hold, and unpacks it whole. Beside other work, the processor's own seconds are the fair ones.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from common import Finished, process  # noqa: E402 - once it can be found

from tests.support.hub import HubServer  # noqa: E402 - as above

BATCH = 100
SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("source_image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
        ("edited_image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
        ("target_caption", pyarrow.string()),
    ]
)


def rows(n_rows: int, size: int) -> Iterator[dict[str, Any]]:
    """Rows with five edits of each source."""
    rng = np.random.default_rng(0)

    def image() -> dict[str, Any]:
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(file, "PNG", compress_level=0)
        return {"bytes": file.getvalue(), "path": None}

    source: dict[str, Any] = {}
    for number in range(n_rows):
        source = image() if number % 5 == 0 else source
        edited = image()
        yield {"id": str(number), "source_image": source, "edited_image": edited, "target_caption": f"picture {number}"}


def write(path: Path, n_rows: int, size: int, group: int) -> Path:
    """A Parquet file of such rows."""
    made = rows(n_rows, size)
    with pyarrow.parquet.ParquetWriter(path, SCHEMA) as writer:
        for _ in range(0, n_rows, group):
            writer.write_table(pyarrow.Table.from_pylist(list(islice(made, group)), SCHEMA), row_group_size=group)
    return path


def figures(done: Finished) -> dict[str, float]:
    """What is reported of a process."""
    return {"seconds": round(done.seconds, 1), "cpu": round(done.cpu_seconds, 1), "peak_mib": round(done.peak_mib, 1)}


def measured(location: str, root: Path, name: str, environment: dict[str, str]) -> dict[str, Any]:
    """Check and score one data set."""
    own = {**environment, "EVALKIT_CACHE": str(root / f"cache_{name}")}
    command = (sys.executable, "-m", "evalkit")
    return {
        "check": figures(process([*command, "check", location], own)),
        "score": figures(
            process([*command, "score", location, "--metrics", "l1", "--output", str(root / f"run_{name}")], own)
        ),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=2_000)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch, HubServer() as hub:
        root = Path(scratch)
        groups = write(root / "groups.parquet", options.rows, 64, BATCH)
        one = write(root / "one.parquet", options.rows, 64, options.rows)
        found["mib"] = round(groups.stat().st_size / (1 << 20), 1)
        found["row groups of 100"] = measured(str(groups), root, "groups", {})
        found["one row group"] = measured(str(one), root, "one", {})
        hub.add_repo("dataset", "who/rows", {"data/test-00000-of-00001.parquet": groups.read_bytes()})
        found["hub"] = measured("hf://who/rows", root, "hub", hub.environment(root / "home"))
        sent = [request for request in hub.requests if "/objects/" in request]
        found["hub"]["ranges"] = len(sent)
        for name, group in (("large, groups of 100", BATCH), ("large, one row group", options.large)):
            path = write(root / "large.parquet", options.large, 182, group)
            found[name] = {"mib": round(path.stat().st_size / (1 << 20), 1), **measured(str(path), root, name[-9:], {})}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
