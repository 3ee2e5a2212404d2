"""Decodes files under a limit of memory that the operating system enforces; a process of its own, as a limit stays.

::

    python -m tests.images.limited hostile     # each under the limit that is stated
    python -m tests.images.limited full        # each under what its header says that it takes
    python -m tests.images.limited together    # large ones in four threads: how much is taken at once, in images
"""

import json
import resource
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evalkit.errors import ImageError
from evalkit.images import decode
from evalkit.images.bounds import MAX_MEMORY, check_memory
from evalkit.images.facts import facts_of
from tests.images import hostile
from tests.support.fuzzing import peak_bytes

WARM = 100
"""Pixels of the side of the first image, which brings everything into memory that is only needed once."""


def allow(n_bytes: int) -> None:
    """From now on the process may take so many bytes more than it has."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + n_bytes, resource.RLIM_INFINITY))


def outcome(data: bytes) -> dict[str, str | float]:
    """What came of a file: an empty sentence where it was decoded."""
    started, sentence = time.process_time(), ""
    try:
        decode.with_decoded(data, "picture", facts_of)
    except ImageError as error:
        sentence = str(error)
        if isinstance(error.__cause__, MemoryError):
            sentence = "out of memory"
    return {"sentence": sentence, "seconds": time.process_time() - started}


def together() -> float:
    """Peak memory of four threads that decode eight images of 25 million pixels, in such images."""
    side = 5000
    data = hostile.jpeg(0, side, progressive=False)
    before = peak_bytes()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(outcome, [data] * 8))
    return (peak_bytes() - before) / (4 * side * side)


def main(which: str) -> None:
    """Print one JSON object, by name of the file."""
    warnings.simplefilter("ignore")
    for _, data in hostile.full(WARM):
        outcome(data)
    if which == "together":
        sys.stdout.write(json.dumps({"images": together()}))
        return
    results = {}
    if which == "full":

        def check_and_allow(needed: int, size: tuple[int, int]) -> None:
            check_memory(needed, size)
            allow(needed - len(data))

        decode.check_memory = check_and_allow
    for name, data in hostile.files() if which == "hostile" else hostile.full():
        if which == "hostile":
            allow(MAX_MEMORY)
        results[name] = outcome(data)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
