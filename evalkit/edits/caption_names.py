"""Names of files that hold the caption an edit was made for, and perhaps that of its source, among anything else.

Scripts put what an edit was made with into its name: ``2_orig_A photo of a dog._scale=7.5_dog_01.jpeg.png``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.edits.folder import ExpectedItems
from evalkit.edits.headings import normalised
from evalkit.edits.layouts import Layout, Slot
from evalkit.edits.names import bare_name, composed, stem
from evalkit.edits.scan import Scan

_RUN = re.compile(r"[^\W\d_]+|\d+")
_SEED = re.compile(r"(?<![a-z])seed[ _=-]?(\d+)", re.IGNORECASE)
_SHORTEST = 8
"""Letters and digits of a caption that is not in a name by chance."""
_MISSPELLED = 12
"""Of one that may be misspelled by one letter."""
_MOST_UNMATCHED = 200
"""Files and items among which misspellings are looked for."""


def caption_layout(scan: Scan, expected: ExpectedItems) -> Layout | None:
    """Files whose names hold the target caption of one item, and of several with the same the name of its source.

    A caption that is there but for one letter counts where no other file or item is left that it could be.
    """
    captions = _keys((item.target_caption or "", i) for i, item in enumerate(expected.items))
    positions = {item.item_id: position for position, item in enumerate(expected.items)}
    sources = _keys((stem(bare_name(name)), positions[item_id]) for item_id, name in expected.source_names.items())
    captions = {key: found for key, found in captions.items() if len(key) >= _SHORTEST}
    if not captions:
        return None
    longest = max(map(len, [*captions, *sources]))
    found: dict[Path, tuple[Slot, ...]] = {}
    unmatched: dict[Path, list[str]] = {}
    for path in scan.images:
        spans = _spans(path, scan.root, longest + 1)
        if items := _items(spans, captions, sources):
            found[path] = tuple((position, _seed(path, scan.root)) for position in items)
        else:
            unmatched[path] = [key for _, _, key in spans]
    taken = {slots[0][0] for slots in found.values() if len(slots) == 1}
    missing = {key: rest for key, each in captions.items() if (rest := each - taken) and len(key) >= _MISSPELLED}
    for path, position in _misspelled(unmatched, missing):
        found[path] = ((position, _seed(path, scan.root)),)
    by_name = {path.relative_to(scan.root): slots for path, slots in found.items()}
    return lambda relative: by_name.get(Path(relative), ())


def _keys(named: Iterator[tuple[str, int]]) -> dict[str, set[int]]:
    keys: dict[str, set[int]] = defaultdict(set)
    for text, position in named:
        if key := normalised(text):
            keys[key].add(position)
    return keys


def _spans(path: Path, root: Path, longest: int) -> list[tuple[int, int, str]]:
    """Everything in a name that begins and ends with a word or a number, as letters and digits alone."""
    text = composed(path.relative_to(root).as_posix())
    runs = [(*match.span(), normalised(match[0])) for match in _RUN.finditer(text)]
    spans = []
    for at, (start, _, _) in enumerate(runs):
        key = ""
        for _, end, letters in runs[at:]:
            key += letters
            if len(key) > longest:
                break
            spans.append((start, end, key))
    return spans


def _items(
    spans: Sequence[tuple[int, int, str]], captions: dict[str, set[int]], sources: dict[str, set[int]]
) -> list[int]:
    """The items whose caption is the longest in the name, those with the source in it if there are such."""
    captioned = _longest([span for span in spans if span[2] in captions])
    items: set[int] = set()
    for begin, stop, key in captioned:
        outside = [span for span in spans if span[2] in sources and (span[1] <= begin or span[0] >= stop)]
        sourced = [captions[key] & sources[name] for _, _, name in _longest(outside)]
        items |= set[int]().union(*sourced) or captions[key]
    return sorted(items)


def _longest(spans: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    length = max((len(key) for _, _, key in spans), default=0)
    return [span for span in spans if len(span[2]) == length]


def _seed(path: Path, root: Path) -> int | None:
    seeds = {int(number) for number in _SEED.findall(path.relative_to(root).as_posix())}
    return seeds.pop() if len(seeds) == 1 else None


def _misspelled(unmatched: dict[Path, list[str]], missing: dict[str, set[int]]) -> Iterator[tuple[Path, int]]:
    """Files and items of which each is the only one that the other can be, but for one letter."""
    if len(unmatched) > _MOST_UNMATCHED or len(missing) > _MOST_UNMATCHED:
        return
    fits = {
        path: {
            min(found)
            for key, found in missing.items()
            if len(found) == 1 and any(_one_off(key, other) for other in keys)
        }
        for path, keys in unmatched.items()
    }
    for path, items in fits.items():
        others = set().union(*(each for other, each in fits.items() if other != path))
        if len(items) == 1 and not items & others:
            yield path, min(items)


def _one_off(one: str, other: str) -> bool:
    """Whether two texts differ by one letter, which one of them lacks or which is another; not by a digit."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    here, there = one[at:], other[at:]
    changed = here[:1] + there[:1]
    return not any(map(str.isdigit, changed)) and (here[1:] == there[1:] or here[1:] == there or here == there[1:])
