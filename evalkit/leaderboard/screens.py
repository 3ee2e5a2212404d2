"""Screens: what should not be, looked for in every entry, each with its number; a flag proves nothing by itself."""

from collections import Counter
from collections.abc import Sequence

from evalkit.leaderboard.entry import Output, Screen
from evalkit.leaderboard.store import Held


def screen_outputs(one: Held, others: Sequence[Held]) -> tuple[Screen, ...]:
    """What an entry's manifest of outputs shows, by itself and beside the other methods'.

    Args:
        one: The entry.
        others: All entries; those of its protocol that are methods count.
    """
    peers = [
        peer
        for peer in others
        if peer.entry.protocol == one.entry.protocol and peer.path != one.path and peer.card.kind == "method"
    ]
    expected = one.card.kind == "control"
    return (
        identical_across_seeds(one.outputs, deterministic=one.entry.declarations.deterministic),
        equals_source(one.outputs, expected=expected),
        equals_other(one.outputs, {peer.entry.method: peer.outputs for peer in peers}, expected=expected),
    )


def identical_across_seeds(outputs: Sequence[Output], *, deterministic: bool) -> Screen:
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


def equals_source(outputs: Sequence[Output], *, expected: bool = False) -> Screen:
    """The share of edits that are their source image, to the pixel."""
    share = sum(output.equals_source for output in outputs) / len(outputs) if outputs else None
    note = "of the edits are their source image, to the pixel"
    return Screen(name="equals_source", value=share, flagged=bool(share) and not expected, note=note)


def equals_other(
    outputs: Sequence[Output], others: "dict[str, tuple[Output, ...]]", *, expected: bool = False
) -> Screen:
    """The largest share of edits that another method's entry has as well, to the pixel, for the same item."""
    name = "equals_other_entry"
    if not others or not outputs:
        return Screen(name=name, value=None, flagged=False, note="no other method's entry")
    # A picture that is the source says nothing about who copied from whom.
    mine = {(o.item_id, o.pixels_sha256) for o in outputs if o.pixels_sha256 and not o.equals_source}
    shared = Counter({method: len(mine & {(o.item_id, o.pixels_sha256) for o in of}) for method, of in others.items()})
    method, count = shared.most_common(1)[0]
    share = count / len(outputs)
    return Screen(
        name=name, value=share, flagged=share > 0 and not expected, note=f"of the edits are those of {method}"
    )
