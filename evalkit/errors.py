"""Every error that evalkit raises on purpose.

::

    EvalkitError                  anything from this library
    ├── UnknownNameError          no metric, encoder, benchmark, … has that name
    ├── BrokenPluginError         a registered name whose object cannot be imported
    ├── MissingExtraError         a library that only some commands or methods need is not installed
    ├── OptionError               an option's value is malformed or does not fit the others
    ├── DataError                 something is wrong with files that the user gave
    │   ├── ManifestError         a line of metadata.jsonl, or of a captions table
    │   ├── LayoutError           a folder that no layout explains
    │   ├── ImageError            one image that cannot or must not be decoded
    │   ├── MissingItemsError     edited images that are not there, under ``--missing fail``
    │   └── RemoteError           a folder behind a URL that cannot be read or written
    ├── BenchmarkError            a benchmark's own files are absent, or differ from the official ones
    ├── EncoderError              an encoder cannot be built from what was given
    │   └── WeightsError          its weights cannot be found, downloaded or trusted
    ├── EditError                 a method cannot make one edit; the item's reason
    ├── EndpointError             a service refused, failed or cannot be reached
    ├── BudgetSpentError          what may be spent on judges does not suffice
    ├── EngineError               the workers of another engine cannot be had
    ├── CacheError                the embedding cache cannot be read or written
    ├── RunError                  a run directory is absent, foreign or damaged
    ├── EntryError                a submission, or an entry of the leaderboard, is not as it must be
    └── PublishError              the Hugging Face Hub refused or cannot be reached

A message says what was checked, what was expected, what was found and where, and ends with the next thing to
do, as a command if there is one.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


class EvalkitError(Exception):
    """Anything that evalkit raises on purpose; the command line prints it as one message and exits with 1."""


class UnknownNameError(EvalkitError):
    """A name that is not registered."""


class BrokenPluginError(EvalkitError):
    """A registered name whose object cannot be imported, or is not what such a name must stand for."""


class MissingExtraError(EvalkitError):
    """A library that only some commands or methods need, and that is not installed."""


class OptionError(EvalkitError):
    """An option whose value is malformed, or does not fit the others."""


class DataError(EvalkitError):
    """Files that the user gave are absent, damaged, or not understood."""


class ManifestError(DataError):
    """A manifest or a captions table that cannot be read, or a line of it that is wrong."""


class LayoutError(DataError):
    """A folder that no layout explains."""


class ImageError(DataError):
    """An image that cannot, or must not, be decoded."""


class MissingItemsError(DataError):
    """Items without an edited image, where all were required."""


class RemoteError(DataError):
    """A folder behind a URL that cannot be read or written."""


class BenchmarkError(EvalkitError):
    """A benchmark's own files are absent or not the official ones."""


class EncoderError(EvalkitError):
    """An encoder cannot be built from what was given."""


class WeightsError(EncoderError):
    """Weights that cannot be found, downloaded or trusted.

    Args:
        what: What is wrong.
        ways_out: What a user can do who may choose the encoder.
    """

    def __init__(self, what: str, ways_out: str = "") -> None:
        super().__init__(f"{what} {ways_out}".rstrip())
        self.what = what


class EditError(EvalkitError):
    """One edit that a method cannot make; the message becomes the item's reason."""


class EndpointError(EvalkitError):
    """A service that refused, failed, or cannot be reached; the message is what it said.

    Attributes:
        status: Of the HTTP answer, where there was one.
        refused: Whether the service would not do what was asked, and would not do it the next time.
        fatal: Whether every other request would fare the same: a wrong key or address, an empty account.
    """

    def __init__(self, message: str, *, status: int | None = None, refused: bool = False, fatal: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.refused = refused
        self.fatal = fatal

    def with_remark(self, remark: str) -> "EndpointError":
        """The same with a remark in brackets, if there is one."""
        message = f"{self} ({remark})" if remark else str(self)
        return EndpointError(message, status=self.status, refused=self.refused, fatal=self.fatal)


class BudgetSpentError(EvalkitError):
    """What a command may spend on judges does not suffice; what was answered is kept."""


class EngineError(EvalkitError):
    """Workers that cannot be had: the engine is not installed, does not answer, or has no room for them."""


class CacheError(EvalkitError):
    """The embedding cache cannot be read or written."""


class RunError(EvalkitError):
    """A run directory is absent, foreign or damaged."""


class EntryError(EvalkitError):
    """A submission, or an entry of the leaderboard, is not as it must be."""


class PublishError(EvalkitError):
    """The Hugging Face Hub refused, or cannot be reached."""


def import_extra(module: str, extra: str) -> Any:  # noqa: ANN401 - a module of any library
    """A library that only some commands or methods need.

    Args:
        module: Its dotted name.
        extra: Of this distribution, which brings it along.

    Raises:
        MissingExtraError: It, or something that it needs, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise MissingExtraError(
            f"The library {missing} is not installed. Install it: pip install 'evalkit-editing[{extra}]'"
        ) from error


def failures_as_json(failures: Mapping[Any, EvalkitError]) -> list[dict[str, Any]]:
    """The folders of several that could not be used, each with the reason."""
    return [
        {"folder": str(location), "error": {"type": type(failure).__name__, "message": str(failure)}}
        for location, failure in failures.items()
    ]
