"""``outputs.jsonl``: which edits were scored, by their digests, so that nobody can exchange them afterwards."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from evalkit.edits.check import contents_digest
from evalkit.edits.item import EditItem
from evalkit.images.decode import Decoded, read_image_bytes, with_decoded
from evalkit.images.digests import pixel_digest
from evalkit.images.stored import AnyImage
from evalkit.leaderboard.records import OutputDigest

_READERS = 4


def digest_outputs(items: Sequence[EditItem]) -> tuple[OutputDigest, ...]:
    """One line per item and seed, in their order.

    Raises:
        ImageError: An edited image cannot be read.
    """
    sources = dict.fromkeys(item.source_image for item in items if item.source_image)
    with ThreadPoolExecutor(_READERS) as pool:
        pixels = dict(zip(sources, pool.map(_pixels_in, sources), strict=True))
        return tuple(pool.map(lambda item: _output(item, pixels), items))


def outputs_digest(outputs: Sequence[OutputDigest]) -> str:
    """What a run's record says of the same edits, :func:`evalkit.edits.check.edits_digest`."""
    return contents_digest((output.item_id, output.seed, output.sha256 or output.status) for output in outputs)


def exchanged(published: Sequence[OutputDigest], found: Sequence[OutputDigest]) -> list[str]:
    """The items whose edited images are not those that were published, byte for byte."""
    before, now = ({(output.item_id, output.seed): output.sha256 for output in of} for of in (published, found))
    return [edit[0] for edit in {**before, **now} if before.get(edit) != now.get(edit)]


def _output(item: EditItem, sources: dict[AnyImage, str]) -> OutputDigest:
    if item.edited_image is None:
        return OutputDigest(item_id=item.item_id, seed=item.seed, status="failed")
    data = read_image_bytes(item.edited_image)
    pixels = with_decoded(data, item.label, _digest)
    return OutputDigest(
        item_id=item.item_id,
        seed=item.seed,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels,
        equals_source=item.source_image is not None and sources[item.source_image] == pixels,
    )


def _pixels_in(path: AnyImage) -> str:
    return with_decoded(read_image_bytes(path), path, _digest)


def _digest(decoded: Decoded) -> str:
    return pixel_digest(decoded.image)
