"""What tests of validation share: a place with a cache of its own, and two methods whose edits are known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control


def work_folder(folder: Path) -> Iterator[Path]:
    """A folder of one's own, with the cache in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(folder / "cache"))
        yield folder


def known_methods(work: Path) -> list[Path]:
    """Two 'methods': the perfect edit under another name, and the wrong one."""
    shapes = BENCHMARKS.get("shapes")()
    return [
        write_control(control, shapes.load(), work / "methods" / name, rng=np.random.default_rng(0))
        for name, control in (("careful", "reference"), ("careless", "wrong_attribute"))
    ]
