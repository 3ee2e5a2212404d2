"""Any program as a method: called once per item, or once for all of them with a manifest of what is to be done."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from PIL import Image

from evalkit.editing.method import NEEDS, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import MANIFEST_NAME, read_manifest, write_manifest
from evalkit.errors import DataError, EditError, ImageError, OptionError
from evalkit.images.decode import IMAGE_SUFFIXES, read_image, read_image_bytes, write_image
from evalkit.images.stored import AnyImage
from evalkit_adapters.external.program import StopSignals, failure_of, run_program

_PLACEHOLDERS = {
    "item": (
        *("item_id", "seed", "source_image", "edited_image"),
        *("source_caption", "target_caption", "instruction", "edit_mask"),
    ),
    "folder": ("manifest", "folder", "source_images", "edited_images"),
}
"""What can stand in braces in the command, per way of calling it."""
_REQUIRED = {"item": {"edited_image"}, "folder": {"manifest", "folder", "edited_images"}}
"""One of these must, or the program could not know where to write."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_POLL_INTERVAL = 0.2
"""Seconds between two checks of what a program has written, and of signals."""
_QUIET_PERIOD = 2.0
"""Seconds without a change after which an image counts as written."""
_Outcome = tuple[EditItem, Image.Image | Exception]


class Command:
    """Runs a program of the user's, which reads a source image and texts and writes an edited image."""

    card: ClassVar[MethodCard] = MethodCard(
        name="command",
        title="Command",
        summary="Runs any program: one call per item, or one call with a manifest of all items.",
        paper="",
        licence="Apache-2.0; the program has its own",
        variant=(
            "No shell: the command is split into arguments as a shell would, and each placeholder fills its own. "
            "Source images are handed over as upright RGB PNGs in a folder that is removed afterwards. The time of an "
            "edit, where one call makes all, is the wait for its image."
        ),
        takes=frozenset(NEEDS),
        settings={
            "command": Setting(
                default="",
                summary="Program and arguments. Per item: "
                + ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS["item"])
                + " are filled in, {edited_image} being the file to write. Per folder: {manifest} names a "
                "metadata.jsonl, whose edited_image_file_name are to be written, {folder} where it lies, "
                "{source_images} and {edited_images} its two folders, whose files have the same names.",
            ),
            "once_per": Setting(default="item", summary="How often it is called.", choices=("item", "folder")),
            "directory": Setting(default="", summary="Where it works; the current directory if empty."),
            "time_limit": Setting(
                default=None, summary="Seconds after which a call is stopped.", lowest=0.001, shapes_edits=False
            ),
        },
        cannot="It knows nothing of the program: whether it follows the seed is the program's affair.",
    )

    def load(self, run: MethodRun) -> None:
        """Checks the command and where it works.

        Raises:
            OptionError: It is empty, has a placeholder that does not exist, or no such program or directory is there.
        """
        self.once_per: str = run.settings["once_per"]
        self.time_limit: float | None = run.settings["time_limit"]
        self.directory = _directory(run.settings["directory"])
        self.arguments = _arguments(run.settings["command"], self.once_per)
        _require_program(self.arguments[0], self.directory)

    def edit_all(self, items: Sequence[EditItem]) -> Iterator[_Outcome]:
        """One call after the other, or one call."""
        with StopSignals() as signals:
            if self.once_per == "folder":
                yield from self._edit_folder(items, signals)
                return
            for item in items:
                signals.check()
                try:
                    yield item, self._edit_item(item, signals)
                except Exception as error:  # the item's reason, whatever it is
                    yield item, error

    def _edit_item(self, item: EditItem, signals: StopSignals) -> Image.Image:
        with _temporary_folder() as name:
            folder = Path(name)
            job = _staged(item, folder / "source.png", folder / "edited.png", folder / "edit_mask.png")
            arguments = _fill(self.arguments, {name: getattr(job, name) for name in _PLACEHOLDERS["item"]})
            end = self._end_of_call()
            with run_program(arguments, self.directory, folder) as process:
                while process.poll() is None:
                    if end is not None and time.monotonic() >= end:
                        raise EditError(_timeout_message(self.time_limit))
                    signals.check()
                    _wait_briefly(process, end)
            if fault := failure_of(process, folder):
                raise EditError(fault)
            path = _image_file(folder / "edited.png")
            if path is None:
                raise EditError("the program ended well, and wrote no image to {edited_image}")
            return _read_edited(path)

    def _edit_folder(self, items: Sequence[EditItem], signals: StopSignals) -> Iterator[_Outcome]:
        with _temporary_folder() as name:
            log, folder, jobs, waiting = Path(name), Path(name) / "edits", [], []
            sources, edits, masks = (folder / part for part in ("source_images", "edited_images", "edit_masks"))
            for number, item in enumerate(items):
                signals.check()
                file = f"{number:05d}.png"
                try:
                    jobs.append(_staged(item, sources / file, edits / file, masks / file))
                    waiting.append(item)
                except (ImageError, OSError) as error:
                    yield item, error
            if waiting:
                edits.mkdir()
                write_manifest(folder, jobs)
                yield from self._call(folder, log, _Collector(waiting, jobs), signals)

    def _call(self, folder: Path, log: Path, collector: "_Collector", signals: StopSignals) -> Iterator[_Outcome]:
        """One call for all jobs of a folder: images while it runs, the rest and the failures when it has ended."""
        values = {
            "manifest": folder / MANIFEST_NAME,
            "folder": folder,
            "source_images": folder / "source_images",
            "edited_images": folder / "edited_images",
        }
        end, late = self._end_of_call(), None
        with run_program(_fill(self.arguments, values), self.directory, log) as process:
            while process.poll() is None and late is None and signals.received is None:
                _wait_briefly(process, end)
                yield from collector.finished()
                if end is not None and time.monotonic() >= end and process.poll() is None:
                    late = _timeout_message(self.time_limit)
        last = collector.remaining(folder, late or failure_of(process, log))
        if signals.received is not None:
            yield from (outcome for outcome in last if not isinstance(outcome[1], Exception))
            signals.check()
        yield from last

    def _end_of_call(self) -> float | None:
        """When a call that begins now is to be stopped, by the monotonic clock."""
        return None if self.time_limit is None else time.monotonic() + self.time_limit


class _Collector:
    """The images of a folder, each once it is whole, and again if it was changed after that."""

    def __init__(self, items: Sequence[EditItem], jobs: Sequence[EditItem]) -> None:
        self._items = dict(zip((_key(job) for job in jobs), items, strict=True))
        self._jobs = {_key(job): job for job in jobs}
        self._yielded: dict[tuple[str, int | None], tuple[Path, int, int]] = {}

    def finished(self) -> Iterator[_Outcome]:
        """Images that are new and that nobody has touched for a while."""
        for key, job in self._jobs.items():
            path = _image_file(job.edited_image)
            state = self._state(path) if path else None
            if (
                path is None
                or state is None
                or state == self._yielded.get(key)
                or time.time() - state[1] / 1e9 < _QUIET_PERIOD
            ):
                continue
            try:
                picture = _read_edited(path)
            except EditError:  # perhaps it is not finished
                continue
            self._yielded[key] = state
            yield self._items[key], picture

    def remaining(self, folder: Path, fault: str | None) -> Iterator[_Outcome]:
        """What has come since, and for every job without an image why.

        The program may have rewritten the manifest: with another name for an edited image, or with a status ``failed``
        and a reason. ``fault`` is why it did not end well.
        """
        lines, wrong = _read_back(folder)
        silent = fault or wrong or "the program ended well, and wrote no image for it"
        for key, job in self._jobs.items():
            line = lines.get(key, job)
            path = _image_file(line.edited_image)
            if line.status != "ok":
                yield self._items[key], EditError(line.reason or "the program gave it up and did not say why")
            elif path is None:
                yield self._items[key], EditError(silent)
            elif self._state(path) != self._yielded.get(key):
                try:
                    yield self._items[key], _read_edited(path)
                except EditError as error:
                    yield self._items[key], EditError(f"{error} ({fault})") if fault else error

    @staticmethod
    def _state(path: Path) -> tuple[Path, int, int] | None:
        """What changes when a file is written again; None if it has gone."""
        try:
            facts = path.stat()
        except OSError:
            return None
        return path, facts.st_mtime_ns, facts.st_size


def _arguments(command: str, once_per: str) -> list[str]:
    """The command as a list of arguments, its placeholders checked."""
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise OptionError(f"The setting 'command' cannot be split into arguments ({error}); got '{command}'.") from None
    example = {
        "item": "python edit.py {source_image} {target_caption} {edited_image}",
        "folder": "python edit_all.py {manifest}",
    }[once_per]
    if not arguments:
        raise OptionError(f"The method command needs a program. Name it: --set 'command={example}'")
    placeholders = {name for argument in arguments for name in _PLACEHOLDER.findall(argument)}
    if unknown := sorted(placeholders - set(_PLACEHOLDERS[once_per])):
        known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS[once_per])
        other = "folder" if once_per == "item" else "item"
        hint = f" It is for --set once_per={other}." if unknown[0] in _PLACEHOLDERS[other] else ""
        raise OptionError(
            f"The setting 'command' has no {{{unknown[0]}}} with once_per={once_per}; there are {known}.{hint}"
        )
    if not placeholders & _REQUIRED[once_per]:
        wanted = " or ".join(f"{{{name}}}" for name in _PLACEHOLDERS[once_per] if name in _REQUIRED[once_per])
        raise OptionError(
            f"The setting 'command' must tell the program where to write, by {wanted} (once_per={once_per}); "
            f"got '{command}'. For example: --set 'command={example}'"
        )
    return arguments


def _fill(arguments: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The arguments with their placeholders filled; what is filled in is never split, nor looked at for more.

    Raises:
        EditError: The item has no value for one, or a text would be taken for an option.
    """

    def value_for(name: str) -> str:
        value = values[name]
        if value is None or value == "":
            raise EditError(f"the command uses {{{name}}}, and the item has none")
        return str(value)

    filled: list[str] = []
    for argument in arguments:
        text = _PLACEHOLDER.sub(lambda match: value_for(match[1]), argument)
        if text.startswith("-") and not argument.startswith("-") and "--" not in filled:
            raise EditError(
                f"its {argument} begins with a hyphen and would be taken for an option: write "
                f"--NAME={argument}, or -- before it, in the command"
            )
        filled.append(text)
    return filled


def _directory(name: str) -> Path | None:
    path = Path(name).expanduser() if name else None
    if path and not path.is_dir():
        raise OptionError(f"The setting 'directory' must be a directory that is there; got '{name}'.")
    return path


def _require_program(program: str, directory: Path | None) -> None:
    executable = str((directory or Path()) / program) if "/" in program else program
    if shutil.which(executable) is None:
        raise OptionError(
            f"There is no program '{program}' that can be run. Install it, give its whole path, or begin the command "
            f"with what runs it: --set 'command=python {program} …'"
        )


def _staged(item: EditItem, source: Path, edited: Path, mask: Path) -> EditItem:
    """The item with copies of its images, so that a program can do no harm to the originals.

    Raises:
        ImageError: The source image, or the edit mask, cannot be read.
        OSError: The copies cannot be written.
    """
    if item.source_image:
        write_image(source, read_image(item.source_image))
    if item.edit_mask:  # as it is: a program may count on its single channel
        mask = mask.with_suffix(item.edit_mask.suffix)
        mask.parent.mkdir(exist_ok=True)
        mask.write_bytes(read_image_bytes(item.edit_mask))
    return replace(item, source_image=source, edited_image=edited, edit_mask=mask if item.edit_mask else None)


def _read_back(folder: Path) -> tuple[dict[tuple[str, int | None], EditItem], str | None]:
    """The lines of the manifest as the program left it, or what is wrong with it."""
    try:
        return {_key(item): item for item in read_manifest(folder).items}, None
    except DataError as error:
        return {}, str(error).replace(f"{folder}/", "")


def _key(item: EditItem) -> tuple[str, int | None]:
    return item.item_id, item.seed


def _image_file(path: AnyImage | None) -> Path | None:
    """The file, or one of its name in another format."""
    if not isinstance(path, Path):
        return None
    if path.is_file():
        return path
    others = (path.with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES))
    return next((other for other in others if other.is_file()), None)


def _read_edited(path: Path) -> Image.Image:
    try:
        return read_image(path)
    except ImageError as error:
        raise EditError(str(error).replace(str(path), "the program's image")) from None


def _timeout_message(limit: float | None) -> str:
    return f"the program was stopped at the time limit of {limit:g} s"


def _wait_briefly(process: subprocess.Popen[bytes], end: float | None) -> None:
    """Waits for a program to end, but not long, nor beyond the end of its time."""
    seconds = _POLL_INTERVAL if end is None else max(0.0, min(_POLL_INTERVAL, end - time.monotonic()))
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _temporary_folder() -> "TemporaryDirectory[str]":
    return TemporaryDirectory(prefix="evalkit-command-", ignore_cleanup_errors=True)
