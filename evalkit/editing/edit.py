"""``edit_folder``: one method over many items.

What is finished is on disk at once: the image, then its line in the manifest. A run that was killed goes on where it
was; an item that fails is written down with its reason, and the others go on.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.editing.method import Adapter, BatchAdapter, MethodCard, MethodRun, checked_card
from evalkit.editing.recipe import Recipe, recipe_of, require_same, write_recipe
from evalkit.editing.units import ANY, EditWork, Made, SourceUnit, loaded, made_of
from evalkit.edits.asked import Asked, ItemSeed, together
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import MANIFEST_NAME, append_item, mend_manifest, read_manifest, write_manifest
from evalkit.edits.sources import copy_sources
from evalkit.engine.base import Engine, Lost
from evalkit.engine.local import LocalEngine
from evalkit.errors import EditError, ImageError, OptionError
from evalkit.images.decode import image_digest, image_size, read_image_bytes, write_image
from evalkit.images.stored import AnyImage, StoredImage
from evalkit.storage.atomic import remove_leftovers
from evalkit.storage.prefetch import Progress, no_progress

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What a run of a method did."""

    folder: Path
    n_edited: int
    n_kept: int
    """Edits that were asked for and that an earlier run had made."""
    failures: tuple[EditItem, ...]
    """Items that have no edited image now, each with its reason."""
    costs: Mapping[str, float]
    """What was charged for the edits that this run made, per currency."""
    seconds: float


@dataclass(frozen=True, slots=True)
class _Job:
    """One edit to be made: of an item, with a seed, into a folder."""

    item: EditItem
    seed: int
    output: Path

    @property
    def key(self) -> ItemSeed:
        return self.item.item_id, self.seed

    @property
    def file(self) -> Path:
        return self.output / self.item.file_stem / f"{self.seed}.png"


_Edits = Generator[EditItem, None, None]
"""The finished items, while the method runs; to be closed, so that what it has started ends in any case."""


def edit_folder(
    method: type[Adapter[Any]],
    items: Sequence[EditItem],
    output: Path,
    *,
    run: MethodRun,
    benchmark: str | None = None,
    seeds: Sequence[int] = (0,),
    keep_sources: bool = False,
    engine: Engine | None = None,
    progress: Progress = no_progress,
) -> Edited:
    """Edits items with a method.

    Args:
        method: The adapter's class.
        items: With their source images. Edits of one source image and caption share the method's ``fit``.
        output: The edit folder: ``<item_id>/<seed>.png`` and the manifest. Edits that it already holds are kept; those
            that failed, or whose source or texts have changed, are made again.
        run: Base model, settings, device.
        benchmark: What the items are.
        seeds: One edit of every item is made with each.
        keep_sources: Whether the folder gets copies of the source images, so that it can be scored by itself.
        engine: Where the method runs; this process by default. Whatever it is, only this process writes.
        progress: Called with the edits done so far and, where the method runs in this process, with its own steps.

    Raises:
        BrokenPluginError: The class is no adapter, or its base model's loading fails unexpectedly.
        OptionError: No item has what the method needs, ``output`` was made in another way, or another process is at it.
        ManifestError: The manifest in ``output`` is damaged.
        EvalkitError: The base model cannot be had, or no worker can be started.
        OSError: The folder cannot be written.
    """
    card, engine, start = checked_card(method), engine or LocalEngine(), time.perf_counter()
    _check(method, card, items, engine)
    with _locked(output):
        recipe, earlier = _begun_before(output, recipe_of(method, card, run, benchmark, _asked(items, seeds)), card)
        items = copy_sources(items, output / "sources") if keep_sources else items
        jobs = [_Job(item, seed, output) for item in items for seed in dict.fromkeys(seeds)]
        lines = {job.key: _kept(job, earlier.get(job.key)) for job in jobs}
        todo = [job for job in jobs if lines[job.key] is None]
        lines |= {key: item for key, item in earlier.items() if key not in lines}
        with closing(_loaded_method(method, card, run, engine, progress)(todo) if todo else (_ for _ in ())) as edits:
            write_recipe(output, recipe)
            _write(output, lines, benchmark, card)
            made: dict[ItemSeed, EditItem] = {}
            progress("edits", 0, len(todo))
            for item in edits:
                append_item(output, item, benchmark=benchmark, method=card.name)
                made[item.item_id, item.seed] = item
                progress("edits", len(made), len(todo))
        _write(output, lines | made, benchmark, card)
    failures = tuple(item for job in todo if (item := made[job.key]).status != "ok")
    return Edited(
        folder=output,
        n_edited=len(todo) - len(failures),
        n_kept=len(jobs) - len(todo),
        failures=failures,
        costs=_costs(made.values()),
        seconds=time.perf_counter() - start,
    )


def _check(method: type[Adapter[Any]], card: MethodCard, items: Sequence[EditItem], engine: Engine) -> None:
    if engine.distributed and hasattr(method, "edit_all"):
        raise OptionError(f"The method {card.name} is given all edits at once, by one process: --engine local")
    _require_needs(card, items)
    _require_names(items)


def _asked(items: Iterable[EditItem], seeds: Sequence[int]) -> Asked:
    return together((item.item_id, seed) for item in items for seed in seeds)


def _begun_before(output: Path, recipe: Recipe, card: MethodCard) -> tuple[Recipe, dict[ItemSeed, EditItem]]:
    """The recipe to go on with, and the lines of earlier runs; a folder in which nothing was made starts anew."""
    earlier = _earlier(output)
    if any(item.status == "ok" for item in earlier.values()):
        return require_same(output, recipe, card, earlier), earlier
    return recipe, {}


def _require_needs(card: MethodCard, items: Sequence[EditItem]) -> None:
    for need in sorted(card.needs):
        if items and not any(getattr(item, need) for item in items):
            raise OptionError(
                f"The method {card.name} needs {_with_article(need)}, and none of the {len(items)} items has one. "
                f"Others may do without: evalkit list methods"
            )


def _require_names(items: Sequence[EditItem]) -> None:
    """Every item has a folder of its own, on file systems too that take upper case for lower."""
    names: dict[str, str] = {}
    for item in items:
        name = item.file_stem
        if other := names.get(name.casefold()):
            raise OptionError(
                f"The items '{other}' and '{item.item_id}' would share the folder {name}. "
                f"Give one of them another item_id."
            )
        names[name.casefold()] = item.item_id


def _earlier(output: Path) -> dict[ItemSeed, EditItem]:
    """The lines of earlier runs; what a killed one left unfinished is cleared away."""
    remove_leftovers(output)
    if not (output / MANIFEST_NAME).exists():
        return {}
    mend_manifest(output)
    return {(item.item_id, item.seed): item for item in read_manifest(output).items}


def _kept(job: _Job, made: EditItem | None) -> EditItem | None:
    """What an earlier run made of the job, if it is there and was made of the same source and texts."""
    if (
        made is None
        or made.status != "ok"
        or not isinstance(made.edited_image, Path)
        or not made.edited_image.is_file()
    ):
        return None
    for name in ("source_caption", "target_caption", "instruction"):
        if (getattr(job.item, name) or None) != getattr(made, name):
            return None
    # A benchmark's sources lie outside the folder and are not in the manifest; the user's own are named by content.
    if made.source_image and job.item.source_image and made.source_image.name != job.item.source_image.name:
        return None
    facts = {name: getattr(made, name) for name in ("edited_image", "seconds", "cost", "currency")}
    return replace(job.item, seed=job.seed, **facts)


def _loaded_method(
    method: type[Adapter[Any]], card: MethodCard, run: MethodRun, engine: Engine, progress: Progress
) -> Callable[[Sequence[_Job]], _Edits]:
    """Loads the method; from jobs to finished items."""
    if hasattr(method, "edit_all"):
        adapter: Any = loaded(method, card, replace(run, progress=progress))
        return lambda jobs: _edits_at_once(adapter, card, jobs)
    # The steps of several workers would make no sense in one bar.
    work = EditWork(method=method, card=card, run=run if engine.distributed else replace(run, progress=progress))
    do = engine.start(work)
    return lambda jobs: _edits_by_source(do, card, jobs, sent=engine.distributed)


def _edits_at_once(adapter: BatchAdapter, card: MethodCard, jobs: Sequence[_Job]) -> _Edits:
    """The finished items as the method gives them; those that it says nothing about last."""
    given: dict[ItemSeed, tuple[_Job, EditItem, tuple[int, int]]] = {}
    for job in jobs:
        try:
            source = _source(job.item, card)
            item = replace(_visible_fields(job.item, card), seed=job.seed, source_image=source)
            given[job.key] = job, item, image_size(source)
        except ImageError as error:
            yield _failed(job, error)
    silent: BaseException = ImageError("the method gave no picture for it")
    open_jobs, started = set(given), time.perf_counter()
    try:
        for item, made in adapter.edit_all([item for _, item, _ in given.values()]):
            job, _, size = given[item.item_id, item.seed]
            open_jobs.discard(job.key)
            yield _written(job, _checked(job, made, size, started))
            started = time.perf_counter()
    except ANY as error:
        silent = error
    yield from (_failed(job, silent) for key, (job, _, _) in given.items() if key in open_jobs)


def _checked(job: _Job, made: object, size: tuple[int, int], started: float) -> Made:
    """What such a method gave for an item."""
    try:
        if isinstance(made, Exception):
            raise made
        return replace(made_of(job.item.item_id, made, size), seconds=time.perf_counter() - started)
    except ANY as error:
        return Made.failed(job.item.item_id, error)


def _edits_by_source(
    do: Callable[[Iterable[SourceUnit]], Iterator[tuple[SourceUnit, Made | Lost]]],
    card: MethodCard,
    jobs: Sequence[_Job],
    *,
    sent: bool,
) -> _Edits:
    """The finished items, source by source; files are read when their turn comes."""
    sources: dict[tuple[str, str | None, int], list[_Job]] = {}
    for job in jobs:
        try:
            digest = image_digest(_source(job.item, card))
        except ImageError as error:
            yield _failed(job, error)
            continue
        sources.setdefault((digest, _visible_fields(job.item, card).source_caption, job.seed), []).append(job)
    open_jobs = {job.key: job for alike in sources.values() for job in alike}
    units = (_unit(alike, card, caption, sent=sent) for (_, caption, _), alike in sources.items())
    for unit, made in do(units):
        if isinstance(made, Lost):
            yield from (_failed(open_jobs[item.item_id, unit.seed], EditError(made.reason)) for item in unit.items)
        else:
            yield _written(open_jobs[made.item_id, unit.seed], made)


def _unit(alike: Sequence[_Job], card: MethodCard, caption: str | None, *, sent: bool) -> SourceUnit:
    """The edits of one source; sent to others, it carries its files with it."""
    path = _source(alike[0].item, card)
    source: bytes | ImageError
    try:
        source = read_image_bytes(path)
    except ImageError as error:
        source = error
    items = tuple(_visible_fields(job.item, card) for job in alike)
    given = {item.edit_mask for item in items if item.edit_mask}
    # Methods get files; one that is a cell of a table is made one where the method runs.
    masks = [mask for mask in given if isinstance(mask, StoredImage) or (sent and mask.is_file())]
    return SourceUnit(
        source=source,
        name=str(path),
        caption=caption,
        seed=alike[0].seed,
        items=items,
        masks={mask: read_image_bytes(mask) for mask in masks},
    )


def _written(job: _Job, made: Made) -> EditItem:
    """What a method made, written to its file; or the item with the reason why there is none."""
    if made.picture is None:
        return _without(job, made)
    started = time.perf_counter()
    try:
        write_image(job.file, made.picture)
    except ANY as error:
        return _failed(job, error)
    return replace(
        job.item,
        seed=job.seed,
        edited_image=job.file,
        status="ok",
        reason=None,
        seconds=round(made.seconds + time.perf_counter() - started, 3),
        cost=made.cost,
        currency=made.currency,
    )


def _costs(made: Iterable[EditItem]) -> dict[str, float]:
    """What the items cost together, per currency."""
    costs: dict[str, float] = {}
    for item in made:
        if item.cost is not None and item.currency is not None:
            costs[item.currency] = costs.get(item.currency, 0.0) + item.cost
    return costs


def _visible_fields(item: EditItem, card: MethodCard) -> EditItem:
    """The item as the method sees it: what its card needs or takes, and nothing else."""
    return EditItem(item_id=item.item_id, **{need: getattr(item, need) for need in card.needs | card.takes})


def _source(item: EditItem, card: MethodCard) -> AnyImage:
    """The source image of an item that has all that the method needs."""
    for need in sorted(card.needs):
        if not getattr(item, need):
            raise ImageError(f"the method needs {_with_article(need)}, and the item has none")
    if item.source_image is None:
        raise ImageError("the item has no source image")
    return item.source_image


def _failed(job: _Job, error: BaseException) -> EditItem:
    return _without(job, Made.failed(job.item.item_id, error))


def _without(job: _Job, made: Made) -> EditItem:
    item = replace(job.item, seed=job.seed, seconds=None, cost=None, currency=None)
    _LOG.debug("%s failed:\n%s", item.label, made.trace)
    return item.without_edit("failed", made.reason)


def _with_article(need: str) -> str:
    word = need.replace("_", " ")
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _write(output: Path, lines: Mapping[ItemSeed, EditItem | None], benchmark: str | None, card: MethodCard) -> None:
    """The manifest, one line for each item and seed that something is known of."""
    write_manifest(output, filter(None, lines.values()), benchmark=benchmark, method=card.name)


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
