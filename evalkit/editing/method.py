"""What an editing method is: a card that can be read without loading anything heavy, and an adapter that runs it.

An adapter is a class with a ``card`` and three functions, ``load``, ``fit`` and ``edit``; :class:`Adapter` says what
each is given and what it owes. One that must see all edits before it makes the first, such as a program that works
through a list, has ``edit_all`` in the place of the last two: :class:`BatchAdapter`. It becomes a method of
``evalkit edit`` through the entry-point group ``evalkit.methods``, ours and anybody's alike. The class is imported to
list the methods, so its file keeps torch and everything like it inside of its functions.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from evalkit import __version__
from evalkit.edits.item import EditItem
from evalkit.errors import BrokenPluginError, OptionError
from evalkit.registry import Registry, nearest, refuse_faults
from evalkit.storage.prefetch import Progress, no_progress
from evalkit.storage.tensors import Tensors, kept

Value = bool | int | float | str | None
"""What a setting can be."""
Need = Literal["source_caption", "target_caption", "instruction", "edit_mask"]
"""A field of an item, beside its source image, without which a method cannot edit it."""
NEEDS: tuple[Need, ...] = get_args(Need)
Information = Literal["semantic", "structural"]
"""What an edit can keep of the source image: of its subject, or of the scene around it."""
Precision = Literal["fp32", "bf16", "fp16"]
EditedPicture = Image.Image | npt.NDArray[np.uint8] | npt.NDArray[np.floating]
"""An RGB image, or ``(height, width, 3)`` sRGB: unsigned bytes, or floating-point numbers in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """An edited image that somebody charges for; what ``edit`` may return instead of the bare picture."""

    picture: EditedPicture
    cost: float
    """In units of ``currency``, from 0."""
    currency: str

    def __post_init__(self) -> None:
        if not 0 <= self.cost < inf or not self.currency:
            raise ValueError(f"an edit's cost must be a number from 0 with a currency, got {self.cost} {self.currency}")


MINIATURE, MINIATURE_V2 = "miniature", "miniature:v2"
"""The base models' names that stand for the small models that come with the adapters, by version of the shapes."""
MINIATURES = (MINIATURE, MINIATURE_V2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing about a method that can be set."""

    default: Value
    """The published value. Its type is the setting's; a default of None is a number that may be left out."""
    summary: str
    """What it does, with its unit."""
    choices: tuple[str, ...] = ()
    """The values that a text can have."""
    lowest: float | None = None
    highest: float | None = None
    shapes_edits: bool = True
    """Whether edits depend on it; a folder that was begun may go on with another value of one that they do not."""

    def parse(self, name: str, text: str) -> Value:
        """The value that a user typed.

        Raises:
            OptionError: It is of another type, none of the choices, or out of range.
        """
        value = self._read(text.strip())
        if not self.allows(value):
            raise OptionError(f"The setting '{name}' must be {self.rule}; got '{text}'.")
        return value

    def allows(self, value: object) -> bool:
        """Whether the setting can have this value."""
        if isinstance(self.default, str):
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if value is None or isinstance(value, bool) or isinstance(self.default, bool):
            return type(value) is type(self.default)
        if not isinstance(value, int if isinstance(self.default, int) else (int, float)) or not -inf < value < inf:
            return False
        return (self.lowest is None or value >= self.lowest) and (self.highest is None or value <= self.highest)

    @property
    def rule(self) -> str:
        """What the setting can be, as it reads after "must be"."""
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return f"one of {', '.join(self.choices)}" if self.choices else "a text"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        low = "" if self.lowest is None else f" from {self.lowest:g}"
        high = "" if self.highest is None else f" to {self.highest:g}" if low else f" up to {self.highest:g}"
        return f"{'none or ' if self.default is None else ''}{kind}{low}{high}"

    def _read(self, text: str) -> Value:
        """The text as a value of the setting's type; as it is where it cannot be read so."""
        if isinstance(self.default, str):
            return text
        if isinstance(self.default, bool):
            return {"true": True, "false": False}.get(text.lower(), text)
        if self.default is None and text.lower() in ("none", ""):
            return None
        try:
            return int(text) if isinstance(self.default, int) else float(text)
        except ValueError:
            return text


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCard:
    """Everything there is to know about a method before it runs."""

    name: str
    """As it stands on the command line and in tables: lower_snake_case."""
    title: str
    summary: str
    """One sentence on what it does."""
    paper: str
    """Address of the paper; empty where there is none."""
    licence: str
    """Of the method's own code as wrapped, and under which terms its reference implementation is."""
    variant: str
    """Which published variant is followed, and what is uncertain about it."""
    base_model: str = ""
    """Hub identifier of the model it edits with; empty where it needs none."""
    revision: str | None = None
    """Of the base model on the Hub: a commit, a tag or a branch."""
    needs: frozenset[Need] = frozenset()
    takes: frozenset[Need] = frozenset()
    """What it uses where an item has it, and does without where not."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    miniature: Mapping[str, Value] | None = None
    """The settings that differ from the published ones with the miniature base model; None: it cannot be used."""
    conserves: frozenset[Information] = frozenset()
    """What its authors say that it keeps, in the words of the survey's first table; empty: nothing is claimed."""
    edit_types: frozenset[str] | None = None
    """The edit types of the shapes benchmark that it can do, as tested there; None where it was not tested."""
    cannot: str = ""
    """What it honestly cannot do, in one sentence."""
    extra: str | None = None
    """The extra of the distribution to install for it (``pip install ".[extra]"``)."""

    def values(self, *, miniature: bool, chosen: Mapping[str, str] | None = None) -> dict[str, Value]:
        """Every setting's value for a run.

        Args:
            miniature: Whether the base model is the miniature one.
            chosen: What the user set, as typed.

        Raises:
            OptionError: A name or a value that the card does not allow.
        """
        values: dict[str, Value] = {name: setting.default for name, setting in self.settings.items()}
        values |= (self.miniature or {}) if miniature else {}
        for name, text in (chosen or {}).items():
            if name not in self.settings:
                known = ", ".join(self.settings) or "none"
                near = nearest(name, self.settings)
                raise OptionError(f"The method {self.name} has no setting '{name}'. {near}Its settings: {known}.")
            values[name] = self.settings[name].parse(name, text)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRun:
    """What one run of a method is given: the base model and the settings."""

    model: str
    """Hub identifier, local directory, ``miniature`` or ``miniature:v2``; empty for methods without a base model."""
    revision: str | None
    """Of the base model, where it is the card's own."""
    settings: Mapping[str, Any]
    """A value for every setting of the card."""
    device: str = "cpu"
    dtype: Precision = "fp32"
    artefacts: Path | None = None
    """Where the user wants what is optimised to be kept; None: nowhere."""
    progress: Progress = no_progress
    """For ``fit`` and ``edit`` to call in the midst of something long: what is done, steps done (from 0), all steps."""

    def kept(self, made_of: Mapping[str, Value | Image.Image], make: Callable[[], Tensors]) -> Tensors:
        """The result of an optimisation: an earlier one where it is kept, else made now, and kept if that is wanted.

        Args:
            made_of: What it follows from beside the base model and the precision: the method and what was optimised,
                pictures, captions, the seed, and those settings that matter to it.
            make: Makes the tensors.
        """
        model = {"model": self.model, "revision": self.revision, "dtype": self.dtype, "evalkit": __version__}
        return kept(self.artefacts, {**model, **made_of}, make)


Fitted = TypeVar("Fitted")


class Adapter(Protocol, Generic[Fitted]):
    """A method that runs. The runner makes one object per run.

    Any exception ends the item (in ``fit``: the source's items), never the run; its text becomes the item's reason.
    """

    card: ClassVar[MethodCard]

    def load(self, run: MethodRun) -> None:
        """Brings the base model into memory.

        Raises:
            EvalkitError: It cannot be had; this ends the run.
        """

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> Fitted:
        """The work that all edits of one source image share: encoding, inversion, optimisation.

        Called once per source image, caption and seed.

        Args:
            source_image: RGB, as large as its file.
            source_caption: None unless the card needs or takes it and the item has it.
            seed: Of everything random in it.

        Returns:
            Whatever ``edit`` wants. It may be used for any number of edits and must not be changed by them.
        """

    def edit(self, item: EditItem, fitted: Fitted, *, seed: int) -> EditedPicture | Billed:
        """One edit.

        Args:
            item: Its id and the fields that the card needs or takes; all others are None.
            fitted: What ``fit`` returned for its source image.
            seed: Of everything random in it.

        Returns:
            The edited image, of the source image's size or square. The base model is left as it was found.
        """


@runtime_checkable
class BatchAdapter(Protocol):
    """A method that is given all edits at once, in the place of ``fit`` and ``edit``."""

    card: ClassVar[MethodCard]

    def load(self, run: MethodRun) -> None:
        """As :meth:`Adapter.load`."""

    def edit_all(self, items: Sequence[EditItem]) -> Iterator[tuple[EditItem, EditedPicture | Billed | Exception]]:
        """All edits that are to be made.

        Args:
            items: Each with its id, its ``seed``, the file of its source image, and the fields that the card needs or
                takes; all others are None.

        Yields:
            An item as it was given, with its edited image or with why there is none: as soon as it is there, so that a
            run that is killed keeps it, and in any order. Of an item that comes again the last word counts; one that
            never comes has failed.

        Raises:
            Exception: Ends the items that have not come; its text becomes their reason.
        """


def checked_card(method: object, *, registered: str | None = None) -> MethodCard:
    """The card of an adapter's class.

    Args:
        method: What an entry point points to.
        registered: The entry point's name.

    Raises:
        BrokenPluginError: The class has no card, lacks one of its functions, or its card contradicts itself.
    """
    card = getattr(method, "card", None)
    if not isinstance(method, type) or not isinstance(card, MethodCard):
        name = getattr(method, "__qualname__", repr(method))
        raise BrokenPluginError(
            f"{name} is no adapter: expected a class with a card of type MethodCard, got {type(card).__name__}."
        )
    parts = ("load", "edit_all") if hasattr(method, "edit_all") else ("load", "fit", "edit")
    absent = [part for part in parts if not callable(getattr(method, part, None))]
    if absent:
        raise BrokenPluginError(f"The method {card.name} is no adapter: it lacks {', '.join(absent)}.")
    if registered not in (None, card.name):
        raise BrokenPluginError(
            f"The method '{registered}' is registered under another name than its card's, which is '{card.name}'."
        )
    refuse_faults(f"The card of the method {card.name}", lambda: _faults(card))
    return card


def _checked_method(method: type[Adapter[Any]], *, registered: str) -> type[Adapter[Any]]:
    checked_card(method, registered=registered)
    return method


METHODS: Registry[type[Adapter[Any]]] = Registry("method", {}, "evalkit.methods", check=_checked_method)


def _faults(card: MethodCard) -> Iterator[str]:
    """What contradicts the card's own types and rules."""
    for name in ("name", "title", "summary", "paper", "licence", "variant", "base_model", "cannot"):
        if not isinstance(text := getattr(card, name), str):
            yield f"{name} must be a text, got {text!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", card.name):
        yield f"name must be in lower_snake_case, got '{card.name}'"
    for name in ("needs", "takes"):
        if not isinstance(wanted := getattr(card, name), Set):
            yield f"{name} must be a set, got {type(wanted).__name__}"
        elif unknown := wanted - set(NEEDS):
            yield f"{name} may hold {', '.join(NEEDS)}; got {', '.join(sorted(map(str, unknown)))}"
    yield from _setting_faults(card.settings, card.miniature or {})


def _setting_faults(settings: Mapping[str, object], miniature: Mapping[str, object]) -> Iterator[str]:
    for name, setting in settings.items():
        if not isinstance(setting, Setting):
            yield f"settings['{name}'] must be a Setting, got {setting!r}"
        elif not setting.allows(setting.default):
            yield f"the setting '{name}' must be {setting.rule}; its default is {setting.default!r}"
    for name, value in miniature.items():
        setting = settings.get(name)
        if not isinstance(setting, Setting):
            yield f"miniature names '{name}', which is none of its settings"
        elif not setting.allows(value):
            yield f"the setting '{name}' must be {setting.rule}; its value in miniature is {value!r}"
