"""``open_encoder``: from a specification such as ``open_clip:ViT-B-32-quickgelu/openai`` to an encoder."""

import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from evalkit.arrays import Floats, Pixels
from evalkit.edits.whole_item import WholeItem
from evalkit.encoders.base import (
    Backend,
    DType,
    Embeddings,
    EncoderNetwork,
    EncoderSpec,
    FeatureCache,
    LoadedEncoder,
    library_versions,
)
from evalkit.encoders.tokens import count_tokens
from evalkit.errors import CacheError, EncoderError, OptionError, UnknownNameError
from evalkit.images.pairs import ImagePair
from evalkit.registry import Registry, unknown_name

BUILTIN = {
    "open_clip": "evalkit.encoders.open_clip:load",
    "transformers": "evalkit.encoders.transformers:load",
    "miniature": "evalkit.encoders.miniature:load",
    "dino": "evalkit.encoders.dino:load_dino",
    "dinov2": "evalkit.encoders.dino:load_dinov2",
    "dino_structure": "evalkit.encoders.dino:load_structure",
    "dino_structure_pie_bench": "evalkit.encoders.dino:load_structure_pie_bench",
    "lpips_alex": "evalkit.encoders.lpips:load_alex",
    "lpips_vgg": "evalkit.encoders.lpips:load_vgg",
    "lpips_squeeze": "evalkit.encoders.lpips:load_squeeze",
    "pick_score": "evalkit.encoders.pick_score:load",
    "shapes_recogniser": "evalkit.benchmarks.shapes.recogniser:load",
    "shapes_recogniser_v2": "evalkit.benchmarks.shapes.recogniser:load_v2",
}
ENCODERS: Registry[Backend] = Registry("encoder", BUILTIN, "evalkit.encoders")
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?|mps")


OWN_FILES = tuple(sorted(Path(__file__).parent.glob("*.py")))
"""Our own code takes part in every number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """What an encoder is opened with, so that another process can open the same."""

    spec: str
    device: str
    dtype: DType
    compiled: bool = False

    def open(self, cache: FeatureCache | None = None) -> "LazyEncoder":
        """The encoder; what it turns out to be is remembered by a cache, if there is one."""
        return open_encoder(self.spec, device=self.device, dtype=self.dtype, compiled=self.compiled, cache=cache)


def open_encoder(
    spec: str,
    *,
    device: str = "auto",
    dtype: DType = "fp32",
    compiled: bool = False,
    cache: FeatureCache | None = None,
) -> "LazyEncoder":
    """An encoder whose network is loaded when something is first encoded.

    Args:
        spec: ``open_clip:<architecture>/<tag or checkpoint>``, ``open_clip:hf-hub:<id>``,
            ``open_clip:local-dir:<directory>``, ``transformers:<Hub id or directory>``, ``miniature``, or a plug-in's
            name and, after a colon, what it asks for.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``.
        dtype: What the network computes in; part of the specification.
        compiled: Whether its operations are fused, where it is a network of ours; part of the specification.
        cache: Remembers what the encoder turned out to be, so that its specification is known without the network.

    Raises:
        UnknownNameError: No such backend.
        OptionError: The device or the type is none that there could be.
    """
    backend, argument = backend_of(spec), spec.partition(":")[2]
    if not DEVICE.fullmatch(device):
        raise OptionError(f"Device: expected auto, cpu, cuda, cuda:<index> or mps, got '{device}'.")
    if dtype not in get_args(DType):
        raise OptionError(f"Type of numbers: expected {', '.join(get_args(DType))}, got '{dtype}'.")

    def load() -> LoadedEncoder:
        loaded = ENCODERS.get(backend)(argument, device=device, dtype=dtype)
        return replace(loaded, encoder=_compiled(loaded.encoder)) if compiled else loaded

    return LazyEncoder(spec, load, SpecCache(cache, spec, dtype, compiled=compiled))


def backend_of(spec: str) -> str:
    """The name that a specification begins with.

    Raises:
        UnknownNameError: No such backend.
    """
    backend = spec.partition(":")[0]
    if backend not in BUILTIN and backend not in ENCODERS.names():
        raise UnknownNameError(unknown_name(ENCODERS.kind, backend, ENCODERS.names()))
    return backend


def _compiled(encoder: EncoderNetwork) -> EncoderNetwork:
    """The encoder compiled, if it can be; its specification says what it is."""
    made: EncoderNetwork = encoder.compiled() if hasattr(encoder, "compiled") else encoder
    return made


class SpecCache:
    """Where the specification behind one request is kept, believed while all that it came from is unchanged.

    To compute a specification the weights must be read: half a gigabyte, after ten seconds of imports, for a usual
    network. A run that finds all its vectors in the cache needs nothing but that specification.

    A cache that fails is no reason to stop here: the network is read instead, and whoever keeps vectors hears of it.

    Args:
        cache: Where to; None keeps nothing.
        spec: What the user asked for.
        dtype: What the network computes in.
        compiled: Whether its operations are fused.
    """

    def __init__(self, cache: FeatureCache | None, spec: str, dtype: DType, *, compiled: bool = False) -> None:
        self._cache = cache
        self._request = json.dumps([spec, dtype, _paths(spec), *(["compiled"] if compiled else [])])

    def find(self) -> EncoderSpec | None:
        """The specification, if it is known and no file or library behind it has changed."""
        with suppress(CacheError, KeyError, TypeError, ValueError):
            facts = self._cache.recall(self._request) if self._cache is not None else None
            if facts and all(_state(Path(path)) == state for path, state in facts["files"].items()):
                spec = EncoderSpec.from_json(facts["spec"])
                return spec if library_versions(name for name, _ in spec.libraries) == spec.libraries else None
        return None

    def keep(self, spec: EncoderSpec, files: Sequence[Path]) -> None:
        """Keep a specification, with the state of the files and directories that it came from."""
        if self._cache is not None:
            listed = (inside for path in files if path.is_dir() for inside in sorted(path.iterdir()))
            states = {str(path.absolute()): _state(path) for path in (*files, *listed, *OWN_FILES)}
            with suppress(CacheError):
                self._cache.remember(self._request, spec.cache_key, {"spec": spec.as_json(), "files": states})
                self._cache.describe(spec.cache_key, spec.label)

    def forget(self) -> None:
        """Forget the specification, so that it is read from the network again."""
        if self._cache is not None:
            with suppress(CacheError):
                self._cache.remember(self._request, None, None)


def _paths(spec: str) -> list[str]:
    """The existing files that a specification may mean: the same words mean others in another working directory."""
    _, _, argument = spec.partition(":")
    candidates = (argument, argument.partition("/")[2], argument.partition(":")[2])
    paths = [Path(candidate).expanduser() for candidate in candidates if candidate]
    return [str(path.absolute()) for path in paths if path.exists()]


def _state(path: Path) -> list[str | int] | None:
    """Where a path leads to, and size and time of change of what is there; None where there is nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]


class LazyEncoder:
    """An encoder that reads its network from disk when it must.

    Made by :func:`open_encoder`. Threads may share it.
    """

    def __init__(self, request: str, load: Callable[[], LoadedEncoder], specs: SpecCache) -> None:
        self._request = request
        self._load = load
        self._specs = specs
        self._lock = threading.Lock()
        self._encoder: EncoderNetwork | None = None
        self._spec: EncoderSpec | None = None

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers; known from an earlier run where nothing has changed since, else read.

        Raises:
            EncoderError: It is not known, and the network cannot be loaded.
        """
        if self._spec is None:  # asked outside of the lock: who only reads it need not wait for the network
            with self._lock:
                self._spec = self._spec or self._specs.find()
        if self._spec is None:
            self._loaded()
        return cast("EncoderSpec", self._spec)

    @property
    def device(self) -> str:
        """Where the network runs; ``none`` as long as nothing had to be encoded."""
        return "none" if self._encoder is None else self._encoder.device

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of a batch of ``(n, size, size, 3)`` squares made by ``spec.preprocess``."""
        return self._able("encode_images", "vectors of single images")(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of texts; an over-long one is cut and keeps its end token."""
        return self._able("encode_texts", "vectors of texts")(texts)

    def encode_pairs(self, pairs: Sequence[ImagePair]) -> Embeddings:
        """A few numbers about each edited image beside its source."""
        return self._able("encode_pairs", "vectors of pairs of images")(pairs)

    def encode_items(self, items: Sequence[WholeItem]) -> Embeddings:
        """A few numbers about each whole item."""
        return self._able("encode_items", "numbers about whole items")(items)

    def count_tokens(self, texts: Sequence[str]) -> Floats:
        """How many tokens texts are and what of them is read, as :func:`~evalkit.encoders.tokens.token_numbers`."""
        return count_tokens(self._loaded(), texts)

    def _able(self, function: str, what: str) -> Callable[[Any], Embeddings]:
        encoder = self._loaded()
        if not hasattr(encoder, function):
            raise EncoderError(
                f"Encoder '{self._request}': expected one that makes {what}, which {encoder.spec.name} does "
                f"not. See: evalkit list encoders"
            )
        able: Callable[[Any], Embeddings] = getattr(encoder, function)
        return able

    def _loaded(self) -> EncoderNetwork:
        with self._lock:
            if self._encoder is None:
                loaded = self._load()
                spec = replace(loaded.encoder.spec, libraries=library_versions(loaded.libraries))
                self._require_as_promised(spec)
                if loaded.files:
                    self._specs.keep(spec, loaded.files)
                self._encoder, self._spec = loaded.encoder, spec
            return self._encoder

    def _require_as_promised(self, found: EncoderSpec) -> None:
        """A specification that was given out stands in records: a network that differs must not add to them."""
        if self._spec is not None and self._spec != found:
            self._specs.forget()
            raise EncoderError(
                f"Encoder '{self._request}': expected {self._spec.label}, as in an earlier run, got {found.label}: "
                f"its weights have been replaced since. What was remembered is dropped; run the same command again"
            )
