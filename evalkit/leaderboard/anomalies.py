"""Anomaly checks: what should not be, looked for in every entry, each with its number; a flag alone proves nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence

from evalkit.leaderboard.records import AnomalyCheck, OutputDigest
from evalkit.leaderboard.store import LoadedEntry

EditKey = tuple[str, str]
"""Item and digest of the picture."""


def check_outputs(entries: Sequence[LoadedEntry]) -> dict[str, tuple[AnomalyCheck, ...]]:
    """What the digests of a board's outputs show, each entry's by themselves and beside the other methods'.

    Args:
        entries: All entries of one protocol.

    Returns:
        Method to its checks.
    """
    makers: dict[EditKey, list[str]] = {}
    for entry in entries:
        # A picture that is the source says nothing about who copied from whom, and controls copy by design.
        for edit in _own_edits(entry.outputs) if entry.card.kind == "method" else ():
            makers.setdefault(edit, []).append(entry.method)
    return {entry.method: _checks(entry, makers) for entry in entries}


def _checks(entry: LoadedEntry, makers: Mapping[EditKey, Sequence[str]]) -> tuple[AnomalyCheck, ...]:
    expected = entry.card.kind == "control"
    return (
        identical_across_seeds(entry.outputs, deterministic=entry.record.declarations.deterministic),
        equals_source(entry.outputs, expected=expected),
        equals_other(entry.method, entry.outputs, makers, expected=expected),
    )


def _own_edits(outputs: Sequence[OutputDigest]) -> set[EditKey]:
    return {(o.item_id, o.pixels_sha256) for o in outputs if o.pixels_sha256 and not o.equals_source}


def identical_across_seeds(outputs: Sequence[OutputDigest], *, deterministic: bool) -> AnomalyCheck:
    """The share of items with several seeds of which two gave the same picture."""
    by_item: dict[str, list[str | None]] = {}
    for output in outputs:
        by_item.setdefault(output.item_id, []).append(output.pixels_sha256)
    several = [pixels for pixels in by_item.values() if len(pixels) > 1]
    name = "identical_across_seeds"
    if not several:
        return AnomalyCheck(name=name, value=None, flagged=False, note="one seed per item")
    made = [[digest for digest in pixels if digest] for pixels in several]
    share = sum(len(set(digests)) < len(digests) for digests in made) / len(several)
    note = "declared deterministic" if deterministic else "of the items have one picture for several seeds"
    return AnomalyCheck(name=name, value=share, flagged=share > 0 and not deterministic, note=note)


def equals_source(outputs: Sequence[OutputDigest], *, expected: bool = False) -> AnomalyCheck:
    """The share of edits that are their source image, to the pixel."""
    share = sum(output.equals_source for output in outputs) / len(outputs) if outputs else None
    note = "of the edits are their source image, to the pixel"
    return AnomalyCheck(name="equals_source", value=share, flagged=bool(share) and not expected, note=note)


def equals_other(
    method: str, outputs: Sequence[OutputDigest], makers: Mapping[EditKey, Sequence[str]], *, expected: bool = False
) -> AnomalyCheck:
    """The largest share of edits that another method's entry has as well, to the pixel, for the same item.

    Args:
        method: Whose outputs.
        outputs: Its edits.
        makers: Item and picture to the methods that made it.
        expected: Whether this is a control, which may.
    """
    shared = Counter(other for edit in _own_edits(outputs) for other in makers.get(edit, ()) if other != method)
    name = "equals_other_entry"
    if not shared:
        return AnomalyCheck(name=name, value=0.0, flagged=False, note="of the edits are another method's")
    other, count = shared.most_common(1)[0]
    note = f"of the edits are those of {other}"
    return AnomalyCheck(name=name, value=count / len(outputs), flagged=not expected, note=note)
