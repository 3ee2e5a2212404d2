"""Progress bars for whoever calls a function from Python: in a notebook by themselves, elsewhere when asked for."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evalkit.storage.prefetch import Progress, no_progress

_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt}, {remaining} left"


@contextmanager
def progress_shown(progress: Progress | bool | None) -> Iterator[Progress]:
    """What some work tells how far it is.

    Args:
        progress: True shows bars, in a notebook below the cell and else on standard error; False shows nothing; None
            shows them in a notebook only; a callable is told itself.
    """
    if progress is None:
        progress = _in_notebook()
    if not progress:
        yield no_progress
    elif progress is not True:
        yield progress
    else:
        with _bars() as told:
            yield told


@contextmanager
def _bars() -> Iterator[Progress]:
    """One bar for each kind of work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a notebook has no widgets: the bars are drawn in text there
        from tqdm.auto import tqdm
    bars: dict[str, Any] = {}

    def update(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = tqdm(desc=what, total=total, bar_format=_FORMAT)
        elif total != bars[what].total or done < bars[what].n:  # the same kind of work once more
            bars[what].reset(total)
        bars[what].update(done - bars[what].n)

    try:
        yield update
    finally:
        for bar in bars.values():
            bar.close()


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this code."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", {})
