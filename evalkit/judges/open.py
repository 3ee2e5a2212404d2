"""``open_judge``: from a specification such as ``judge:http://localhost:8000/v1/MODEL`` to a judge."""

from typing import Protocol

from evalkit.errors import OptionError, UnknownNameError
from evalkit.judges.base import Judge, JudgeSettings
from evalkit.registry import Registry, unknown_name

BUILTIN = {
    "http": "evalkit.judges.endpoint:open_endpoint",
    "https": "evalkit.judges.endpoint:open_endpoint",
    "transformers": "evalkit.judges.local:open_local",
}


class JudgeBackend(Protocol):
    """A way to open judges: what is registered in the entry-point group ``evalkit.judges``."""

    def __call__(self, spec: str, settings: JudgeSettings, *, device: str) -> Judge:
        """Opens a judge; nothing is asked yet.

        Args:
            spec: All of the specification behind ``judge:``, such as ``transformers:DIR``.
            settings: How it is asked.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:<index>`` or ``mps``, for one of this machine.

        Raises:
            EvalkitError: The specification or a setting is wrong, or the model is not there.
        """


JUDGES: Registry[JudgeBackend] = Registry("judge", BUILTIN, "evalkit.judges")


def open_judge(spec: str, settings: JudgeSettings | None = None, *, device: str = "auto") -> Judge:
    """A judge that can be asked.

    Args:
        spec: ``judge:http://HOST:PORT/v1/MODEL`` (or ``https``), ``judge:transformers:DIR``, or a plug-in's name and
            what it asks for; ``judge:`` can be left out.
        settings: How it is asked.
        device: Where one of this machine computes.

    Raises:
        OptionError: The specification cannot be understood.
        UnknownNameError: There is no such kind of judge.
        EvalkitError: Whatever the judge cannot be opened for.
    """
    spec = spec.removeprefix("judge:")
    name = spec.partition(":")[0]
    if not name:
        raise OptionError("Judge: expected judge:http://HOST:PORT/v1/MODEL or judge:transformers:DIR, got nothing.")
    if name not in JUDGES.names():
        raise UnknownNameError(unknown_name("judge", name, JUDGES.names()))
    return JUDGES.get(name)(spec, settings or JudgeSettings(), device=device)
