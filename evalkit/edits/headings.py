"""What a column of a table holds, by its heading: the one list of headings that are understood without being told.

Captions tables, data sets and the cards of benchmarks all go through :func:`resolve_headings`. Headings are compared
by their letters and digits alone: ``Source Prompt``, ``sourcePrompt`` and ``source-prompt`` are one.
"""

import dataclasses
import difflib
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from evalkit.errors import OptionError
from evalkit.formatting import series

WORDS: Mapping[str, tuple[str, ...]] = {
    "SOURCE": ("source", "src", "original", "origin", "orig", "ori", "input", "before", "init", "initial"),
    "EDITED": ("edited", "output", "result", "generated", "gen", "prediction", "pred", "after"),
    "TARGET": ("target", "tgt"),
    "TRUTH": ("reference", "ref", "gt", "ground_truth"),
    "EDIT": ("edit", "editing"),
    "IMAGE": ("image", "img", "picture", "pic", "photo"),
    "FILE": ("file_name", "file_path", "file", "filename", "filepath", "path", "name"),
    "CAPTION": ("caption", "prompt", "text", "description"),
    "ID": ("id", "idx", "index", "key", "uid", "uuid", "number"),
}
"""Words of which headings consist."""

HEADINGS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "item_id": (
        ("item_id",),
        ("id", "uid", "uuid", "key", "idx", "item", "sample ID", "example ID", "case ID", "EDIT ID", "pair ID"),
        ("index", "number", "IMAGE ID", "file_id"),
    ),
    "source_image": (
        ("source_image", "source_image_file_name"),
        ("SOURCE IMAGE", "SOURCE FILE", "SOURCE IMAGE FILE"),
        ("SOURCE",),
        ("IMAGE", "FILE", "IMAGE FILE"),
    ),
    "edited_image": (
        ("edited_image", "edited_image_file_name"),
        ("EDITED IMAGE", "EDITED FILE", "EDITED IMAGE FILE", "edit IMAGE", "edit IMAGE FILE"),
        ("EDITED", "edit"),
        ("IMAGE", "FILE", "IMAGE FILE"),
    ),
    "reference_image": (
        ("reference_image", "reference_image_file_name"),
        ("TRUTH IMAGE", "TRUTH FILE", "TRUTH IMAGE FILE", "TARGET IMAGE", "TARGET FILE", "TARGET IMAGE FILE"),
        ("TRUTH", "TARGET"),
    ),
    "edit_mask": (
        ("edit_mask", "edit_mask_file_name"),
        ("mask", "mask IMAGE", "mask FILE", "mask IMAGE FILE", "EDIT mask IMAGE"),
    ),
    "source_caption": (
        ("source_caption",),
        ("SOURCE CAPTION", "source_global_caption"),
        ("SOURCE",),
    ),
    "target_caption": (
        ("target_caption",),
        ("TARGET CAPTION", "EDITED CAPTION", "new CAPTION", "target_global_caption"),
        ("EDIT CAPTION",),
        ("prompt", "text", "EDITED", "TARGET"),
    ),
    "instruction": (
        ("instruction",),
        ("EDIT instruction", "EDIT command", "command", "instruct", "EDIT action"),
        ("EDIT CAPTION", "edit", "action", "request"),
    ),
    "edit_type": (
        ("edit_type",),
        ("editing_type", "EDIT type ID", "EDIT category", "EDIT task", "task_type"),
        ("task",),
        ("category",),
    ),
    "group": (("group",), ("group ID", "cluster", "cluster ID"), ("source ID", "SOURCE IMAGE ID", "scene ID")),
    "seed": (("seed",), ("random_seed", "seed ID")),
}
"""Our fields, each with the headings that say it, the plainest first. A heading is its words' names, or its own words.

A heading counts for the field for which it is plainer, and each only once: ``edit_prompt`` is the instruction where
``edited_prompt`` is there too, and ``image`` is the edited image only where another heading names the source.
"""
HOW_TO_READ = (
    "A field's own name is always read. Letters and digits count; case, blanks, - and _ do not. A word in capitals "
    "stands for each of its spellings, listed last; what follows 'then' counts only where nothing before it is there."
)
FIELDS = tuple(HEADINGS)
_PICTURES = frozenset({"source_image", "edited_image", "reference_image", "edit_mask"})
_TEXTS = frozenset({"source_caption", "target_caption", "instruction"})
_SIDES = frozenset(word for side in ("SOURCE", "EDITED", "TARGET", "TRUTH") for word in WORDS[side]) | {"edit"}
"""Headings that say whose a column is, not whether it holds images or texts; its values do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column of a table is which of our fields."""

    of: Mapping[str, str]
    """Field to heading, of those that the table has."""
    notes: tuple[str, ...] = ()
    """What was taken for what by its heading, in a sentence that names the option to change it; empty where every
    heading is ours."""
    unsure: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Fields of images, with their headings (``image``, ``file_name``), which do not say whose of an item's it is."""


def resolve_headings(
    columns: Sequence[str], mapped: Mapping[str, str], *, where: str, pictures: Collection[str] = ()
) -> Columns:
    """Finds out which column of a table is which of our fields.

    Args:
        columns: The table's headings.
        mapped: What the user said with ``--map FIELD=HEADING``, which counts before any guess; an empty heading
            leaves the field unread.
        where: The table, as messages call it.
        pictures: Those of the columns that hold images or names of files, not texts; it decides what a bare ``input``
            or ``target`` is.

    Raises:
        OptionError: The user maps what is no field, or to a heading that is not there, or two headings say the same
            field equally well.

    >>> found = resolve_headings(["id", "original_prompt", "edit_prompt", "edited_prompt"], {}, where="list.json")
    >>> found.of["instruction"], found.of["target_caption"]
    ('edit_prompt', 'edited_prompt')
    """
    found = _mapped(columns, mapped, where)
    free = [column for column in columns if column not in found.values()]
    for rank in range(max(map(len, _FORMS.values()))):
        for field, ranks in _FORMS.items():
            if field in found or field in mapped or rank >= len(ranks):
                continue
            fitting = [column for column in free if _fits(column, field, ranks[rank], pictures)]
            fitting = [column for column in fitting if column in pictures] or fitting if field in _PICTURES else fitting
            if len(fitting) > 1:
                raise OptionError(_ambiguous(field, fitting, where))
            if fitting:
                found[field] = fitting[0]
                free.remove(fitting[0])
    _assign_captions(found, free, mapped, where)
    found = {field: heading for field, heading in found.items() if heading}
    heading = found.get("source_image", "")
    is_unsure = "source_image" not in mapped and "edited_image" not in found and normalised(heading) in _SOME_IMAGE
    unsure = {"source_image": heading} if is_unsure else {}
    return Columns(of=found, notes=_notes(found, free, mapped, where), unsure=unsure)


def mapped_fields(lines: Iterable[str]) -> dict[str, str]:
    """Field to heading, as the user said it with ``--map FIELD=HEADING``."""
    fields = [line.partition("=")[::2] for line in lines]
    return {field.strip(): heading.strip() for field, heading in fields}


def is_heading(name: str) -> bool:
    """Whether a name is known as a heading of some column."""
    return normalised(name) in _ALL


def heading_table() -> list[tuple[str, str]]:
    """What is read as what, for people: our fields with their headings, then the words of which headings consist."""
    either = " or ".join(sorted(_EITHER_CAPTION))
    last = {"source_caption": f"{either} beside a target_caption", "target_caption": f"{either} alone"}
    fields = []
    for name, ranks in HEADINGS.items():
        plainest = tuple(form for form in ranks[0] if form != name)
        told = [", ".join(forms) for forms in (plainest, *ranks[1:]) if forms]
        fields.append((name, ", then ".join([*told, *([last[name]] if name in last else [])])))
    return fields + [(name, ", ".join(spellings)) for name, spellings in WORDS.items()]


def normalised(heading: str) -> str:
    """A heading's letters and digits.

    >>> normalised("Source Prompt"), normalised("source-prompt")
    ('sourceprompt', 'sourceprompt')
    """
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", heading).casefold()))


def _spelled(form: str) -> Iterator[str]:
    """Every heading of a form, normalised."""
    for words in product(*(WORDS.get(word, (word,)) for word in form.split())):
        yield normalised("".join(words))


_FORMS = {
    field: tuple(frozenset(heading for form in forms for heading in _spelled(form)) for forms in ranks)
    for field, ranks in HEADINGS.items()
}
_EITHER_CAPTION = frozenset({"caption", "description"})
"""Of the source, where another heading or an instruction says what is wanted; alone, what is wanted."""
_ALL = frozenset[str]().union(*(rank for ranks in _FORMS.values() for rank in ranks)) | _EITHER_CAPTION
_SOME_IMAGE = _FORMS["source_image"][-1]


def _fits(column: str, field: str, headings: Collection[str], pictures: Collection[str]) -> bool:
    name = normalised(column)
    if name not in headings:
        return False
    return name not in _SIDES or (column in pictures) == (field in _PICTURES)


def _assign_captions(found: dict[str, str], free: list[str], mapped: Mapping[str, str], where: str) -> None:
    """Reads a bare ``caption``, once it is known what else there is."""
    bare = [column for column in free if normalised(column) in _EITHER_CAPTION]
    wanted = [field for field in ("target_caption", "source_caption") if field not in found and field not in mapped]
    if not bare or not wanted:
        return
    if len(bare) > 1:
        raise OptionError(_ambiguous(wanted[0], bare, where))
    if wanted[0] == "target_caption" and "instruction" in found and len(wanted) > 1:
        raise OptionError(
            f"{where}: '{bare[0]}' beside '{found['instruction']}' may describe the image before or after the edit. "
            f"Say which: {map_option('source_caption', bare[0])} or {map_option('target_caption', bare[0])}"
        )
    found[wanted[0]] = bare[0]
    free.remove(bare[0])


def _mapped(columns: Sequence[str], mapped: Mapping[str, str], where: str) -> dict[str, str]:
    """What the user said, checked."""
    for field, heading in mapped.items():
        if field not in FIELDS:
            raise OptionError(f"--map {field}={heading}: there is no field '{field}'; there are {', '.join(FIELDS)}.")
        if heading and heading not in columns:
            near = difflib.get_close_matches(heading, columns, n=1)
            hint = f"Did you mean {map_option(field, near[0])}?" if near else f"It has: {', '.join(columns) or 'none'}."
            raise OptionError(f"--map {field}={heading}: {where} has no column '{heading}'. {hint}")
    return {field: heading for field, heading in mapped.items() if heading}


def _ambiguous(field: str, fitting: Sequence[str], where: str) -> str:
    names = series([f"'{name}'" for name in fitting], "and")
    return f"{where}: {names} may each be the {field}. Say which: {map_option(field, fitting[0])}"


def map_option(field: str, heading: str) -> str:
    """``--map`` with what it is given, as a shell takes it.

    >>> map_option("target_caption", "new text")
    "--map 'target_caption=new text'"
    """
    return f"--map {shlex.quote(f'{field}={heading}')}"


def _notes(found: Mapping[str, str], free: Sequence[str], mapped: Mapping[str, str], where: str) -> tuple[str, ...]:
    """What was guessed, and which columns of texts were passed over for another, in one sentence."""
    guessed = [
        f"{field} from '{heading}'"
        for field, heading in found.items()
        if field not in mapped and normalised(heading) not in _FORMS[field][0]
    ]
    texts = frozenset[str]().union(*(rank for field in _TEXTS for rank in _FORMS[field])) - _SIDES | _EITHER_CAPTION
    unread = [f"'{column}'" for column in free if normalised(column) in texts]
    said = [f"read {series(guessed, 'and')}"] if guessed else []
    said += [f"{series(unread, 'and')} not read"] if unread else []
    return (f"{where}: {', '.join(said)}; to have it otherwise: --map FIELD=HEADING",) if said else ()
