"""What runs of scoring share: the cache, and the encoders that were opened."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from evalkit.edits.item import Problem
from evalkit.encoders.base import AnyEncoder
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import EncoderConfig
from evalkit.errors import CacheError
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.base import Judge
from evalkit.judges.budget import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """A cache with what is wrong with it, and the encoders and judges that were opened with it, each once."""

    cache: EmbeddingCache
    problems: tuple[Problem, ...] = ()
    encoders: dict[EncoderConfig, AnyEncoder] = field(default_factory=dict)
    judges: dict[JudgeOptions, tuple[Judge, Budget | None]] = field(default_factory=dict)


@contextmanager
def open_resources(*, cached: bool) -> Iterator[Resources]:
    """The cache, or one in memory with the reason, so that an unusable cache does not stop a run."""
    with ExitStack() as stack:
        try:
            cache = EmbeddingCache.open() if cached else EmbeddingCache.in_memory()
            problems: tuple[Problem, ...] = ()
        except CacheError as failure:
            cache = EmbeddingCache.in_memory()
            problems = (Problem(code="cache_unavailable", message=f"{failure} The command went on without it."),)
        yield Resources(cache=stack.enter_context(cache), problems=problems)
