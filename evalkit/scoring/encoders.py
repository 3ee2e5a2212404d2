"""The encoders behind a set of metrics: in this process, or in the workers of an engine."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NoReturn

from evalkit.encoders.base import AnyEncoder, EncoderSpec, FeatureCache
from evalkit.encoders.load import BUILTIN, EncoderConfig, backend_of
from evalkit.engine.base import Engine, Runner
from evalkit.errors import EngineError, OptionError
from evalkit.judges.metrics import is_judge
from evalkit.metrics.base import Metric
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.units import EncoderAnswer, ScoreResult, ScoreUnit, ScoreWork, SpecUnit

_OWN = BUILTIN.keys() - {"open_clip", "transformers", "miniature"}
"""Networks that metrics bring themselves, which are none for the CLIP metrics."""


def open_encoders(
    metrics: Iterable[Metric],
    options: ScoreOptions,
    *,
    cache: FeatureCache | None = None,
    engine: Engine | None = None,
    opened: dict[EncoderConfig, AnyEncoder] | None = None,
) -> dict[str, AnyEncoder]:
    """The encoders that some metrics go through, by the names that their features use.

    Args:
        metrics: Which metrics.
        options: What the encoders are.
        cache: Remembers what those of this process turned out to be, if it is given.
        engine: If its workers are elsewhere, they open the encoders; nothing is loaded here.
        opened: Those that were opened before, with the same cache; what is opened now joins them.

    Raises:
        OptionError: Two specifications are for the same.
        UnknownNameError: There is no such encoder.
    """
    specs = _specs(metrics, options)
    device = engine.device if engine and engine.distributed else options.device
    configs = {
        name: EncoderConfig(spec=spec, device=device, dtype=options.dtype, compiled=options.compiled)
        for name, spec in specs.items()
    }
    opened = {} if opened is None else opened
    for config in configs.values():
        if config not in opened:
            opened[config] = config.open(cache)
    if engine is None or not engine.distributed:
        return {name: opened[config] for name, config in configs.items()}
    work = ScoreWork(encoders=tuple(configs.items()))
    return {name: RemoteEncoder(name, engine, work) for name in configs}


def start(
    engine: Engine, encoders: Mapping[str, AnyEncoder]
) -> Runner[ScoreUnit | SpecUnit, ScoreResult | EncoderAnswer]:
    """An engine's workers, with those encoders."""
    remote = next((encoder for encoder in encoders.values() if isinstance(encoder, RemoteEncoder)), None)
    return engine.start(remote.work if remote else ScoreWork(encoders=tuple(encoders.items())))


def unneeded(metrics: Iterable[Metric], options: ScoreOptions) -> list[str]:
    """Those of the specifications for networks that none of the metrics goes through."""
    names = {name for metric in metrics for name in metric.encoders}
    return [spec for spec in specs_in(options) if (name := spec.partition(":")[0]) in _OWN and name not in names]


def specs_in(options: ScoreOptions) -> list[str]:
    """All specifications that were given."""
    return [options.encoder] if isinstance(options.encoder, str) else list(options.encoder)


def _specs(metrics: Iterable[Metric], options: ScoreOptions) -> dict[str, str]:
    """The specification behind each name that features use."""
    names = tuple(n for n in dict.fromkeys(n for m in metrics for n in m.encoders) if not is_judge(n))
    chosen: dict[str, str] = {}
    for spec in specs_in(options):
        backend = backend_of(spec)
        name = backend if backend in {*names, *_OWN} else "clip"
        if name in chosen:
            what = "the CLIP metrics" if name == "clip" else f"'{name}'"
            raise OptionError(f"Encoder: '{chosen[name]}' and '{spec}' are both for {what}. Give one of them.")
        chosen[name] = spec
    chosen.setdefault("clip", options.default_encoder)
    return {name: chosen.get(name, name) for name in names}


class RemoteEncoder:
    """An encoder in the workers of an engine, which tell what it is and are given files to encode.

    Args:
        name: By which features know it.
        engine: Whose workers.
        work: What they do, with all the encoders of a run.
    """

    def __init__(self, name: str, engine: Engine, work: ScoreWork) -> None:
        self.work = work
        self._name = name
        self._engine = engine

    @cached_property
    def _answer(self) -> EncoderAnswer:
        run: Runner[ScoreUnit | SpecUnit, ScoreResult | EncoderAnswer] = self._engine.start(self.work)
        for _, answer in run([SpecUnit(encoder=self._name)]):
            if isinstance(answer, tuple):
                return answer
        spec = next(config.spec for name, config in self.work.encoders if name == self._name)
        raise EngineError(f"The encoder {spec} cannot be loaded: the workers that try to die of it.")

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""
        return self._answer[0]

    @property
    def device(self) -> str:
        """Where the workers compute."""
        return self._answer[1]

    def encode_images(self, pixels: object) -> NoReturn:
        """Refuses: the workers have the network, and units of work are sent to them."""
        raise NotImplementedError

    encode_texts = encode_pairs = encode_items = encode_images
