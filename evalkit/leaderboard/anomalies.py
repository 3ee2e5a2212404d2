"""Screens: what should not be, looked for in every entry, each with its number; a flag proves nothing by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence

from evalkit.leaderboard.records import OutputDigest, Screen
from evalkit.leaderboard.store import LoadedEntry


def screen_outputs(entries: Sequence[LoadedEntry]) -> dict[str, tuple[Screen, ...]]:
    """What the manifests of a board's entries show, each by itself and beside the other methods'.

    Args:
        entries: All entries of one protocol.

    Returns:
        Method to its screens.
    """
    makers: dict[tuple[str, str], list[str]] = {}
    for held in entries:
        # A picture that is the source says nothing about who copied from whom, and controls copy by design.
        for edit in _own_edits(held.outputs) if held.card.kind == "method" else ():
            makers.setdefault(edit, []).append(held.entry.method)
    return {held.entry.method: _screens(held, makers) for held in entries}


def _screens(held: LoadedEntry, makers: Mapping[tuple[str, str], Sequence[str]]) -> tuple[Screen, ...]:
    expected = held.card.kind == "control"
    return (
        identical_across_seeds(held.outputs, deterministic=held.entry.declarations.deterministic),
        equals_source(held.outputs, expected=expected),
        equals_other(held.entry.method, held.outputs, makers, expected=expected),
    )


def _own_edits(outputs: Sequence[OutputDigest]) -> set[tuple[str, str]]:
    return {(o.item_id, o.pixels_sha256) for o in outputs if o.pixels_sha256 and not o.equals_source}


def identical_across_seeds(outputs: Sequence[OutputDigest], *, deterministic: bool) -> Screen:
    """The share of items with several seeds of which two gave the same picture."""
    by_item: dict[str, list[str | None]] = {}
    for output in outputs:
        by_item.setdefault(output.item_id, []).append(output.pixels_sha256)
    several = [pixels for pixels in by_item.values() if len(pixels) > 1]
    name = "identical_across_seeds"
    if not several:
        return Screen(name=name, value=None, flagged=False, note="one seed per item")
    made = [[digest for digest in pixels if digest] for pixels in several]
    share = sum(len(set(digests)) < len(digests) for digests in made) / len(several)
    note = "declared deterministic" if deterministic else "of the items have one picture for several seeds"
    return Screen(name=name, value=share, flagged=share > 0 and not deterministic, note=note)


def equals_source(outputs: Sequence[OutputDigest], *, expected: bool = False) -> Screen:
    """The share of edits that are their source image, to the pixel."""
    share = sum(output.equals_source for output in outputs) / len(outputs) if outputs else None
    note = "of the edits are their source image, to the pixel"
    return Screen(name="equals_source", value=share, flagged=bool(share) and not expected, note=note)


def equals_other(
    method: str,
    outputs: Sequence[OutputDigest],
    makers: Mapping[tuple[str, str], Sequence[str]],
    *,
    expected: bool = False,
) -> Screen:
    """The largest share of edits that another method's entry has as well, to the pixel, for the same item.

    Args:
        method: Whose outputs.
        outputs: Its edits.
        makers: Item and picture to the methods that made it.
        expected: Whether this is a control, which may.
    """
    mine = _own_edits(outputs)
    shared = Counter(other for edit in mine for other in makers.get(edit, ()) if other != method)
    if not shared:
        return Screen(name="equals_other_entry", value=0.0, flagged=False, note="of the edits are another method's")
    other, count = shared.most_common(1)[0]
    note = f"of the edits are those of {other}"
    return Screen(name="equals_other_entry", value=count / len(outputs), flagged=not expected, note=note)
