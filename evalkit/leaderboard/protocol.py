"""The protocol of a board, and its benchmark as far as the protocol is about it."""

from dataclasses import replace

from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.benchmarks.protocols import PROTOCOLS, Protocol
from evalkit.errors import EntryError, UnknownNameError

ALPHA = 0.05
"""Error rate of a board's decisions."""


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        EntryError: There is none.
    """
    try:
        return PROTOCOLS.get(name)
    except UnknownNameError as failure:
        raise EntryError(str(failure)) from None


def covered_benchmark(protocol: Protocol) -> Benchmark:
    """The benchmark, with the edits that the protocol is about.

    Raises:
        EntryError: It has changed since, or its items are not known without a copy of it.
    """
    benchmark = BENCHMARKS.get(protocol.benchmark)()
    if not benchmark.items:
        raise EntryError(
            f"The list of edits of {protocol.benchmark} lies in each user's own copy: entries cannot be checked "
            f"here. Compare runs instead: evalkit score FOLDER --protocol {protocol.name}"
        )
    if benchmark.version != protocol.benchmark_version:
        raise EntryError(
            f"The protocol {protocol.name} is about version {protocol.benchmark_version} of {protocol.benchmark}, and "
            f"this evalkit has version {benchmark.version}. Install the evalkit that fits, or use a newer protocol: "
            "evalkit list protocols"
        )
    return replace(benchmark, items=protocol.covered(benchmark.items))
