"""Names to objects, imported only when asked for.

A registry holds ``name -> "module:object"`` for what evalkit ships and looks at one entry-point group for what
other packages add, so that listing names imports nothing and a broken plug-in is shown with its cause instead of
disappearing.
"""

import difflib
import functools
import importlib
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from operator import attrgetter
from types import FrameType
from typing import Any, Generic, TypeVar

from evalkit.errors import BrokenPluginError, UnknownNameError

T = TypeVar("T")
R = TypeVar("R")
_DISTRIBUTION = "evalkit-editing"
"""Whose entry points come before those of other packages."""
LISTING_LIMIT = 5.0
"""Seconds that a plug-in of somebody else's may take for each thing that it is asked while names are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry(Generic[T]):
    """One registered name: where it comes from, and the object or why it cannot be had."""

    name: str
    target: str
    """``module:object``."""
    provider: str
    """The distribution that registers it."""
    value: T | None = None
    error: str | None = None

    @property
    def module(self) -> str:
        """Where its object is defined."""
        return self.target.partition(":")[0]

    def ask(self, question: Callable[[], R], what: str) -> R:
        """The answer of its code, as :func:`ask_plugin` has it; of somebody else's within :data:`LISTING_LIMIT`."""
        seconds = None if self.provider in ("evalkit", _DISTRIBUTION) else LISTING_LIMIT
        return ask_plugin(question, what, module=self.module, seconds=seconds)


def plugins(group: str) -> tuple[RegistryEntry[Any], ...]:
    """What other packages register in an entry-point group, by name, evalkit's own distribution first.

    Finding them reads the metadata of all installed distributions, which happens once for each ``sys.path``.
    """
    return _scan(group, tuple(sys.path))


@functools.cache
def _scan(group: str, path: tuple[str, ...]) -> tuple[RegistryEntry[Any], ...]:  # noqa: ARG001 - part of the key
    found: list[RegistryEntry[Any]] = [
        RegistryEntry(name=point.name, target=point.value, provider=point.dist.name if point.dist else "unknown")
        for point in metadata.entry_points(group=group)
    ]
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.provider != _DISTRIBUTION, entry.provider)))


class Registry(Generic[T]):
    """Objects of one kind by name.

    Args:
        kind: What the names stand for, in the singular, as it reads in messages and as ``evalkit list`` knows it in
            the plural (``"metric"``).
        builtin: The names that evalkit ships, each with its ``module:object``; or what gives them with the objects.
        group: The entry-point group through which other packages add theirs.
        check: Gives back what a name leads to, or refuses it with a BrokenPluginError; it is told the name as
            ``registered``.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, str] | Callable[[], Mapping[str, T]],
        group: str,
        *,
        check: Callable[..., T] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._builtin = builtin if callable(builtin) else dict(builtin)
        self._check = check

    def names(self) -> tuple[str, ...]:
        """Every registered name, ours first; no plug-in is imported."""
        return tuple(dict.fromkeys(entry.name for entry in self._targets()))

    def get(self, name: str) -> T:
        """The object registered under ``name``.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest.
            BrokenPluginError: The name is registered and its object cannot be imported.
            KeyboardInterrupt: The user pressed Ctrl-C meanwhile.
        """
        entry = self._ours(name) or next((plugin for plugin in plugins(self.group) if plugin.name == name), None)
        if entry is None:
            raise UnknownNameError(unknown_name(self.kind, name, self.names()))
        return self._load(entry)

    def entries(self) -> tuple[RegistryEntry[T], ...]:
        """Every registered name with its object, or with the reason why there is none.

        A plug-in of somebody else's that is not imported within :data:`LISTING_LIMIT` has none.
        """
        return tuple(self._materialised(entry) for entry in self._targets())

    def _targets(self) -> tuple[RegistryEntry[T], ...]:
        """The entries as they are registered, nothing imported; of a name that is there twice, ours or the first."""
        entries = [*filter(None, map(self._ours, self._all_ours())), *plugins(self.group)]
        first: dict[str, RegistryEntry[T]] = {}
        for index, entry in enumerate(entries):
            if (used := first.setdefault(entry.name, entry)) is not entry:
                error = f"The {self.kind} '{entry.name}' of {entry.provider} is not used: {used.provider} has the name."
                entries[index] = replace(entry, error=error)
        return tuple(entries)

    def _all_ours(self) -> Mapping[str, str | T]:
        return self._builtin() if callable(self._builtin) else self._builtin

    def _ours(self, name: str) -> RegistryEntry[T] | None:
        found = self._all_ours().get(name)
        if found is None or isinstance(found, str):
            return RegistryEntry(name=name, target=found, provider="evalkit") if found else None
        return RegistryEntry(name=name, target=f"a {type(found).__name__}", provider="evalkit", value=found)

    def _materialised(self, entry: RegistryEntry[T]) -> RegistryEntry[T]:
        if entry.error is not None or entry.value is not None:
            return entry
        try:
            return replace(entry, value=entry.ask(*self._loading(entry)))
        except BrokenPluginError as failure:
            return replace(entry, error=str(failure))

    def _load(self, entry: RegistryEntry[T]) -> T:
        if entry.value is not None:
            return entry.value
        return ask_plugin(*self._loading(entry), module=entry.module, seconds=None)

    def _loading(self, entry: RegistryEntry[T]) -> tuple[Callable[[], T], str]:
        """What has to run for the object of an entry, and what is said where that fails."""

        def load() -> T:
            value: T = attrgetter(entry.target.partition(":")[2])(importlib.import_module(entry.module))
            return self._check(value, registered=entry.name) if self._check else value

        return load, f"The {self.kind} '{entry.name}' is registered as {entry.target}, which cannot be imported"


_unanswered: dict[str, threading.Thread] = {}
"""Modules that were waited for in vain, and may hold the lock of their import for ever."""


def ask_plugin(question: Callable[[], R], what: str, *, module: str, seconds: float | None) -> R:
    """The answer of somebody else's code, which may raise whatever it likes, and wait for whatever it likes.

    Args:
        question: Runs that code.
        what: What is said of the plug-in if there is no answer, as the sentence begins.
        module: Where the code lies.
        seconds: How long it may take. It then runs on a thread of its own; one that is late is left behind, and ends
            with the process. None: as long as it likes, on this thread.

    Raises:
        BrokenPluginError: The question ended in any error, or tried to end the process, or was not answered in time.
        KeyboardInterrupt: The user pressed Ctrl-C meanwhile; one that the code raises itself is an error of the code.
    """
    thread = _unanswered.get(module)
    if thread is not None and thread.is_alive():
        raise BrokenPluginError(f"{what}: its module {module} is still waited for.")
    interrupts: list[int] = []
    with _noting_interrupts(interrupts):
        try:
            answer = question() if seconds is None else _answer_within(seconds, question, module)
        except BrokenPluginError:
            if not interrupts:
                raise
        except BaseException as failure:
            if not interrupts:
                raise BrokenPluginError(f"{what}: {_reason(failure)}.") from failure
    if interrupts:
        raise KeyboardInterrupt
    return answer


def _answer_within(seconds: float, question: Callable[[], R], module: str) -> R:
    answers: list[R] = []
    failures: list[BaseException] = []

    def answer() -> None:
        try:
            answers.append(question())
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _unanswered[module] = thread
        raise TimeoutError(f"no answer within {seconds:g} s")
    if failures:
        raise failures[0]
    return answers[0]


def _reason(failure: BaseException) -> str:
    """Type and message of an error, which may be of a class that cannot even say that."""
    try:
        message = str(failure)
    except BaseException:
        message = ""
    return f"{type(failure).__name__}: {message}" if message else type(failure).__name__


@contextmanager
def _noting_interrupts(interrupts: list[int]) -> Iterator[None]:
    """Notes each Ctrl-C of the user, which stays what it was; signals come to the main thread only."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # unless the plug-in has put its own in place
            signal.signal(signal.SIGINT, before)


def refuse_faults(subject: str, faults: Callable[[], Iterable[str]]) -> None:
    """Raises a BrokenPluginError where a plug-in's record contradicts itself.

    Args:
        subject: What is wrong then, as the sentence begins: ``The metric x``.
        faults: Gives each fault as a clause.
    """
    try:
        found = [*faults()]
    except (AttributeError, TypeError, ValueError) as error:  # a field of a type that nothing can be done with
        found = [str(error)]
    if found:
        raise BrokenPluginError(f"{subject} is wrong: {'; '.join(found)}.")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not among the known ones, with the nearest of them."""
    own = "; for one of your own: evalkit guide methods" if kind == "method" else ""
    return f"There is no {kind} '{name}'. {nearest(name, known)}See: evalkit list {kind}s{own}"


def refuse_unknown_options(names: Iterable[str], function: Callable[..., object], options: type) -> None:
    """Refuse what is no option of a public function that takes the fields of a record as its ``**`` arguments.

    Raises:
        TypeError: As for any argument that a function does not have; the message suggests the nearest.
    """
    taken = [*inspect.signature(function).parameters.values(), *inspect.signature(options).parameters.values()]
    known = [
        argument.name for argument in taken if argument.kind not in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
    ]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise TypeError(
                f"{function.__name__}() has no option '{name}'. {near}See: help(evalkit.{options.__name__})"
            )


def nearest(name: str, known: Iterable[str], *, shown: Mapping[str, str] | None = None) -> str:
    """``Did you mean …?`` with the nearest of the known names and those as near, and a space; empty if none is near.

    Args:
        name: What was typed.
        known: What there is.
        shown: Known name to what is to be typed for it; the name itself by default.
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    ratios = [difflib.SequenceMatcher(None, each, name).ratio() for each in near]
    meant = [(shown or {}).get(each, each) for each, ratio in zip(near, ratios, strict=True) if ratio > ratios[0] - 0.1]
    return f"Did you mean {' or '.join(meant)}? " if meant else ""
