"""Protocols: what a board pins, so that all its numbers mean the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.errors import EntryError
from evalkit.registry import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How methods are scored on one board. A change makes a new version; old entries stay under the old one."""

    name: str
    """``benchmark/version``."""
    benchmark: str
    benchmark_version: str
    metrics: tuple[str, ...]
    alignment: str
    """The metric that tells whether the edit was made: methods are ranked on it."""
    preservation: str
    """The metric that tells whether the rest was kept: methods are ranked on it, too."""
    encoder: str
    n_seeds: int
    """Edits per item that a method which is not deterministic must submit, at least."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Metric to the difference below which methods count as equivalent."""

    @property
    def primary(self) -> tuple[str, str]:
        """The metrics that are ranked and whose p-values form the confirmatory family."""
        return self.alignment, self.preservation

    def open_benchmark(self) -> Benchmark:
        """The benchmark, as the protocol knows it.

        Raises:
            EntryError: It has changed since.
        """
        benchmark = BENCHMARKS.get(self.benchmark)()
        if benchmark.version != self.benchmark_version:
            raise EntryError(
                f"The protocol {self.name} is about version {self.benchmark_version} of {self.benchmark}, and this "
                f"evalkit has version {benchmark.version}. Install the evalkit that fits, or use a newer protocol: "
                f"{', '.join(PROTOCOLS)}"
            )
        return benchmark


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="tedbench/v1",
            benchmark="tedbench",
            benchmark_version="1",
            metrics=("clip_score", "clip_directional_similarity", "clip_image_similarity"),
            alignment="clip_score",
            preservation="clip_image_similarity",
            encoder="open_clip:ViT-B-32-quickgelu/openai",
            n_seeds=1,
            margins={"clip_score": 0.005, "clip_image_similarity": 0.01},
        ),
        Protocol(
            name="shapes/v1",
            benchmark="shapes",
            benchmark_version="1",
            metrics=(
                "edit_success",
                "attribute_preservation",
                "clip_score",
                "clip_directional_similarity",
                "clip_image_similarity",
            ),
            alignment="edit_success",
            preservation="attribute_preservation",
            encoder="miniature",
            n_seeds=1,
            margins={"edit_success": 0.05, "attribute_preservation": 0.05},
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        EntryError: There is none.
    """
    if name not in PROTOCOLS:
        raise EntryError(
            f"There is no protocol '{name}'. {nearest(name, PROTOCOLS)}Expected one of: {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]
