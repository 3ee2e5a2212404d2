"""Small data sets with images in their columns, as people have them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tests.support.pictures import encoded, scene


def picture(seed: int, side: int = 24) -> bytes:
    """A PNG; another seed gives another one."""
    return encoded(scene(side, side, seed=seed))


def cell(seed: int, path: str | None = None) -> dict[str, Any]:
    """A picture as the Image feature of ``datasets`` stores it."""
    return {"bytes": picture(seed), "path": path}


def pair_rows(n: int) -> list[dict[str, Any]]:
    """Rows with a source, an edit and two captions each."""
    return [
        {
            "source_img": cell(number),
            "edited_img": cell(100 + number),
            "source_prompt": f"a drawing of {number}",
            "target_prompt": f"a painting of {number}",
        }
        for number in range(n)
    ]


def parquet(rows: Sequence[Mapping[str, Any]], **options: Any) -> bytes:
    """A Parquet file of these rows."""
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file, **options)
    return file.getvalue()


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], **options: Any) -> Path:
    """The same as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet(rows, **options))
    return path
