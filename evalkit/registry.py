"""Names to objects, imported only when asked for.

A registry holds ``name -> "module:object"`` for what evalkit ships and looks at one entry-point group for what
other packages add, so that listing names imports nothing and a broken plug-in is shown with its cause instead of
disappearing.
"""

import difflib
import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, Generic, TypeVar

from evalkit.errors import BrokenPluginError, UnknownNameError

T = TypeVar("T")
_DISTRIBUTION = "evalkit-editing"
"""Whose entry points come before those of other packages."""


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
        """
        entry = self._ours(name) or next((plugin for plugin in plugins(self.group) if plugin.name == name), None)
        if entry is None:
            raise UnknownNameError(unknown_name(self.kind, name, self.names()))
        return self._load(entry)

    def entries(self) -> tuple[RegistryEntry[T], ...]:
        """Every registered name with its object, or with the reason why there is none."""
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
        if entry.error is not None:
            return entry
        try:
            return replace(entry, value=self._load(entry))
        except BrokenPluginError as failure:
            return replace(entry, error=str(failure))

    def _load(self, entry: RegistryEntry[T]) -> T:
        if entry.value is not None:
            return entry.value
        module, _, attribute = entry.target.partition(":")
        try:
            with redirect_stdout(sys.stderr):  # standard output is the command's own
                value: T = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as failure:  # whatever a plug-in's import raises is its state, to be shown
            raise BrokenPluginError(
                f"The {self.kind} '{entry.name}' is registered as {entry.target}, which cannot be imported: "
                f"{type(failure).__name__}: {failure}."
            ) from failure
        return self._check(value, registered=entry.name) if self._check else value


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
    return f"There is no {kind} '{name}'. {nearest(name, known)}See: evalkit list {kind}s"


def nearest(name: str, known: Iterable[str]) -> str:
    """``Did you mean …?`` with the known names that are nearest, and a space; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}? " if near else ""
