"""``outputs.jsonl``: which edits were scored, by their digests, so that nobody can exchange them afterwards."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evalkit.benchmarks.protocols import Protocol
from evalkit.edits.item import EditItem
from evalkit.errors import EntryError
from evalkit.formatting import listed
from evalkit.images.decode import decode_image, read_image_bytes
from evalkit.images.digests import pixel_digest
from evalkit.leaderboard.records import OutputDigest

_READERS = 4


def outputs_of(items: Sequence[EditItem]) -> tuple[OutputDigest, ...]:
    """One line per item and seed, in their order.

    Raises:
        ImageError: An edited image cannot be read.
    """
    sources = dict.fromkeys(item.source_image for item in items if item.source_image)
    with ThreadPoolExecutor(_READERS) as pool:
        pixels = dict(zip(sources, pool.map(_pixels_in, sources), strict=True))
        return tuple(pool.map(lambda item: _output(item, pixels), items))


def check_coverage(edits: Iterable[tuple[str, int | None]], protocol: Protocol, item_ids: Sequence[str]) -> None:
    """Refuse edits that are not one per item and seed, for every item and as many seeds as the protocol asks for.

    Args:
        edits: Item and seed of each edit, failed ones included.
        protocol: Says how many seeds.
        item_ids: The benchmark's.

    Raises:
        EntryError: An item is absent, unknown or there twice, or has too few or other seeds than the rest.
    """
    listed = list(edits)
    twice = [item for item, count in Counter(listed).items() if count > 1]
    if twice:
        raise EntryError(f"Coverage: expected one edit per item and seed, got several of {_named(twice)}.")
    seeds: dict[str, set[int | None]] = {}
    for item, seed in listed:
        seeds.setdefault(item, set()).add(seed)
    absent = [item for item in item_ids if item not in seeds]
    strangers = sorted(seeds.keys() - set(item_ids))
    if absent or strangers:
        what = f"{len(absent)} are absent: {_named(absent)}" if absent else f"got also {_named(strangers)}"
        raise EntryError(
            f"Coverage: expected an edit of each of the {len(item_ids)} items of {protocol.benchmark}; {what}. "
            "An edit that the method could not make stands in the manifest with status 'failed', and scores the worst "
            "value. See: evalkit check FOLDER"
        )
    common = seeds[item_ids[0]]
    uneven = [item for item in item_ids if seeds[item] != common]
    if uneven:
        raise EntryError(
            f"Coverage: expected the same seeds for every item, got {_seeds(common)} for {item_ids[0]} and "
            f"{_seeds(seeds[uneven[0]])} for {uneven[0]}."
        )
    if protocol.n_seeds is not None and len(common) != protocol.n_seeds:
        raise EntryError(
            f"Coverage: {protocol.name} asks for {protocol.n_seeds} edited images per item, got {len(common)}. "
            "Choose the seeds: evalkit edit METHOD --seeds 0,1,2"
        )


def _output(item: EditItem, sources: dict[Path, str]) -> OutputDigest:
    if item.edited_image is None:
        return OutputDigest(item_id=item.item_id, seed=item.seed, status="failed")
    data = read_image_bytes(item.edited_image)
    pixels = pixel_digest(decode_image(data, item.label).image)
    return OutputDigest(
        item_id=item.item_id,
        seed=item.seed,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels,
        equals_source=item.source_image is not None and sources[item.source_image] == pixels,
    )


def _pixels_in(path: Path) -> str:
    return pixel_digest(decode_image(read_image_bytes(path), path).image)


def _named(things: Sequence[object]) -> str:
    return listed([_label(thing) for thing in things])


def _label(thing: object) -> str:
    text = thing if isinstance(thing, str) else " seed ".join(map(str, thing)) if isinstance(thing, tuple) else ""
    return text if len(text) <= 80 else f"{text[:79]}…"


def _seeds(seeds: set[int | None]) -> str:
    return "seeds " + ", ".join(sorted(map(str, seeds)))
