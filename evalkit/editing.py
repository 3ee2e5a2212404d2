"""``edit_folder``: one method over many items, into an edit folder.

What is finished is on disk at once: the image, then its line in the manifest. A run that was killed goes on where it
was; an item that fails is written down with its reason, and the others go on.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evalkit import __version__
from evalkit.data.draft import draft_of
from evalkit.data.images import image_digest, read_image, write_image
from evalkit.data.item import EditItem
from evalkit.data.manifest import MANIFEST_NAME, append_item, mend_manifest, read_manifest, write_manifest
from evalkit.data.parallel import Progress, unwatched
from evalkit.errors import BrokenPluginError, EvalkitError, ImageError, OptionError, RunError
from evalkit.method import MINIATURE, Adapter, MethodCard, Run, checked_card

RECORD_NAME = "method.json"
"""How a folder was made: card, settings, base model, versions."""
_SAME = ("method", "model", "revision", "settings", "dtype", "benchmark")
"""What all edits of one folder have in common."""
_LIBRARIES = ("torch", "diffusers", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What a run of a method did."""

    folder: Path
    n_edited: int
    n_kept: int
    """Edits that an earlier run had made."""
    failures: tuple[EditItem, ...]
    """Items that have no edited image now, each with its reason."""
    seconds: float


@dataclass(frozen=True, slots=True)
class _Job:
    item: EditItem
    seed: int
    file: Path


def edit_folder(
    method: type[Adapter[Any]],
    items: Sequence[EditItem],
    output: Path,
    *,
    run: Run,
    benchmark: str | None = None,
    seeds: Sequence[int] = (0,),
    progress: Progress = unwatched,
) -> Edited:
    """Edits items with a method.

    Args:
        method: The adapter's class.
        items: With their source images. Edits of one source image and caption share the method's ``fit``.
        output: The edit folder: ``<item_id>/<seed>.png`` and the manifest. Edits that it already holds are kept; those
            that failed are tried again.
        run: Base model, settings, device.
        benchmark: What the items are.
        seeds: One edit of every item is made with each.
        progress: Called with the edits done so far.

    Raises:
        BrokenPluginError: The class is no adapter, or its base model's loading fails unexpectedly.
        OptionError: No item has what the method needs, or ``output`` was made in another way.
        EvalkitError: The base model cannot be had.
        OSError: The folder cannot be written.
    """
    card = checked_card(method)
    _require_needs(card, items)
    start = time.perf_counter()
    with _locked(output):
        _write_record(output, card, run, benchmark, seeds)
        done = _finished(output)
        jobs = [job for job in _jobs(items, seeds, output) if (job.item.item_id, job.seed) not in done]
        _rewrite(output, done.values(), items, card, benchmark)
        results: list[EditItem] = []
        if jobs:
            adapter = _loaded(method, card, run)
            for result in _edits(adapter, card, jobs):
                append_item(output, result, benchmark=benchmark, method=card.name)
                results.append(result)
                progress("edits", len(results), len(jobs))
        _rewrite(output, [*done.values(), *results], items, card, benchmark)
    failures = tuple(result for result in results if result.status != "ok")
    return Edited(
        folder=output,
        n_edited=len(results) - len(failures),
        n_kept=len(done),
        failures=failures,
        seconds=time.perf_counter() - start,
    )


def _require_needs(card: MethodCard, items: Sequence[EditItem]) -> None:
    for need in sorted(card.needs):
        if items and not any(getattr(item, need) for item in items):
            raise OptionError(
                f"The method {card.name} needs {_spoken(need)}, and none of the {len(items)} items has one."
            )


def _jobs(items: Sequence[EditItem], seeds: Sequence[int], output: Path) -> Iterator[_Job]:
    """Every item with every seed, and where its image goes."""
    names: dict[str, str] = {}
    for item in items:
        name = re.sub(r"[^\w.-]+", "_", item.item_id).strip(".") or "_"
        if names.setdefault(name, item.item_id) != item.item_id:
            raise OptionError(
                f"The items '{names[name]}' and '{item.item_id}' would share the folder {output / name}. "
                f"Give one of them another item_id."
            )
        for seed in seeds:
            yield _Job(item, seed, output / name / f"{seed}.png")


def _edits(adapter: Adapter[Any], card: MethodCard, jobs: Sequence[_Job]) -> Iterator[EditItem]:
    """The finished items, source by source."""
    sources: dict[tuple[str, str | None, int], list[_Job]] = {}
    for job in jobs:
        lacking = next((need for need in sorted(card.needs) if getattr(job.item, need) is None), None)
        if lacking:
            yield _failed(job, f"the method needs {_spoken(lacking)}, and the item has none")
            continue
        try:
            digest = image_digest(_source(job.item))
        except ImageError as error:
            yield _failed(job, str(error))
            continue
        sources.setdefault((digest, _seen(job.item, card).source_caption, job.seed), []).append(job)
    for (_, caption, seed), alike in sources.items():
        started = time.perf_counter()
        try:
            picture = read_image(_source(alike[0].item))
            fitted = adapter.fit(picture, caption, seed=seed)
        except Exception as error:  # a method may raise anything; the other sources go on
            yield from (_failed(job, _told(error)) for job in alike)
            continue
        share = (time.perf_counter() - started) / len(alike)
        for job in alike:
            yield _edit(adapter, card, job, fitted, picture.size, share)
        del fitted


def _edit(
    adapter: Adapter[Any],
    card: MethodCard,
    job: _Job,
    fitted: Any,  # noqa: ANN401 - whatever the method's fit returned
    size: tuple[int, int],
    share: float,
) -> EditItem:
    """One edit, written to its file; or the item with the reason why there is none."""
    started = time.perf_counter()
    try:
        picture = adapter.edit(_seen(job.item, card), fitted, seed=job.seed)
        write_image(job.file, _checked(picture, size))
    except Exception as error:  # a method may raise anything; the other items go on
        return _failed(job, _told(error))
    seconds = round(time.perf_counter() - started + share, 3)
    return replace(job.item, seed=job.seed, edited_image=job.file, status="ok", reason=None, seconds=seconds)


def _seen(item: EditItem, card: MethodCard) -> EditItem:
    """The item as the method sees it: what its card needs and nothing else."""
    return EditItem(item_id=item.item_id, **{need: getattr(item, need) for need in card.needs})


def _source(item: EditItem) -> Path:
    if item.source_image is None:
        raise ImageError(f"The item {item.label} has no source image.")
    return item.source_image


def _checked(picture: object, size: tuple[int, int]) -> Image.Image:
    """What a method returned, as an RGB image of the source's size or square.

    Raises:
        ImageError: It is none.
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(_bytes(picture))
    if not isinstance(picture, Image.Image):
        raise ImageError(f"the method must return an RGB image or an array, got {type(picture).__name__}")
    if picture.mode != "RGB":
        raise ImageError(f"the method must return an RGB image, got mode {picture.mode}")
    if picture.size != size and picture.width != picture.height:
        expected, got = (f"{width} × {height}" for width, height in (size, picture.size))
        raise ImageError(f"the method must return an image of the source's size {expected}, or a square; got {got}")
    return picture


def _bytes(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ImageError(f"the method must return an array of height × width × 3, got {picture.shape}")
    if picture.dtype == np.uint8:
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise ImageError(f"the method must return bytes or floating-point numbers, got {picture.dtype}")
    if not np.isfinite(picture).all():
        raise ImageError("the method returned an image that is not finite (NaN or infinite)")
    if picture.min() < 0 or picture.max() > 1:
        low, high = float(picture.min()), float(picture.max())
        raise ImageError(f"the method must return numbers from 0 to 1, got {low:.3g} to {high:.3g}")
    levels: np.ndarray[Any, np.dtype[np.uint8]] = np.rint(picture * 255).astype(np.uint8)
    return levels


def _failed(job: _Job, reason: str) -> EditItem:
    return replace(replace(job.item, seed=job.seed).without_edit("failed", reason), seconds=None)


def _told(error: Exception) -> str:
    """What was raised, as a reason."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EvalkitError) and text else f"{type(error).__name__}: {text}"


def _spoken(need: str) -> str:
    word = need.replace("_", " ")
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _loaded(method: type[Adapter[Any]], card: MethodCard, run: Run) -> Adapter[Any]:
    try:
        adapter = method()
        adapter.load(run)
    except EvalkitError:
        raise
    except Exception as error:
        hint = f' It needs an extra: pip install "evalkit-editing[{card.extra}]"' if card.extra else ""
        raise BrokenPluginError(f"The method {card.name} cannot be loaded: {_told(error)}.{hint}") from error
    return adapter


def _finished(output: Path) -> dict[tuple[str, int], EditItem]:
    """The edits that the folder holds already, by item and seed."""
    if not (output / MANIFEST_NAME).exists():
        return {}
    mend_manifest(output)
    return {
        (item.item_id, item.seed): item
        for item in read_manifest(output).items
        if item.seed is not None and item.status == "ok" and item.edited_image and item.edited_image.is_file()
    }


def _rewrite(
    output: Path,
    edited: Iterable[EditItem],
    items: Sequence[EditItem],
    card: MethodCard,
    benchmark: str | None,
) -> None:
    """The manifest in the items' order, one line for each item and seed; other items, of earlier runs, after them."""
    order = {item.item_id: index for index, item in enumerate(items)}
    lines = sorted(edited, key=lambda item: (order.get(item.item_id, len(order)), item.seed or 0))
    write_manifest(output, lines, benchmark=benchmark, method=card.name)


def _write_record(output: Path, card: MethodCard, run: Run, benchmark: str | None, seeds: Sequence[int]) -> None:
    """How the folder is made; refuses one that was made in another way."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    record = {
        "method": card.name,
        "title": card.title,
        "paper": card.paper,
        "variant": card.variant,
        "model": run.model,
        "revision": run.revision,
        "miniature": run.model == MINIATURE,
        "settings": dict(run.settings),
        "dtype": run.dtype,
        "device": run.device,
        "benchmark": benchmark,
        "seeds": list(seeds),
        "versions": {"evalkit": __version__, **versions},
    }
    path = output / RECORD_NAME
    if path.exists():
        before = _read_record(path)
        for name in _SAME:
            if before.get(name) != record[name]:
                raise OptionError(
                    f"{path} says that this folder was made with {name} {json.dumps(before.get(name))}, and this run "
                    f"has {json.dumps(record[name])}. One folder holds one method's edits: choose another --output."
                )
        record["seeds"] = sorted({*before.get("seeds", []), *seeds})
    elif (output / MANIFEST_NAME).exists():
        raise OptionError(f"{output} already holds edits that evalkit edit did not make. Choose another --output.")
    with draft_of(path) as draft:
        draft.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}). Move the folder away and edit again.") from error
    if not isinstance(record, dict):
        raise RunError(f"{path} must hold one JSON object. Move the folder away and edit again.")
    return record


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Keeps a second process from writing the same folder."""
    from filelock import FileLock, Timeout

    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / ".lock", blocking=False):
            yield
    except Timeout:
        raise OptionError(
            f"Another process is editing into {output}. Wait for it, or choose another --output."
        ) from None
