"""Folders behind URLs (``s3://``, ``gs://``, ``hf://``, ``https://``, whatever fsspec knows).

All of evalkit works on local folders. One behind a URL is copied into the cache before it is read, and only what is new
there is copied the next time; one that is written to is copied back, a few seconds behind the work. Both directions go
on where a killed process stopped, as it is written down what was copied when it is there whole.
"""

import _thread
import hashlib
import json
import os
import re
import signal
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.errors import RemoteError
from evalkit.storage.atomic import atomic_write, remove_leftovers
from evalkit.storage.documents import parse_json
from evalkit.storage.paths import copies_directory
from evalkit.storage.prefetch import Progress, no_progress, prefetch

THREADS = 8
"""Files on their way at a time."""
EVERY = 20.0
"""Seconds between two copies of what is being written."""
_VALIDATORS = ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified", "last_modified", "created")
_LIST = {"s3": "aws s3 ls", "gs": "gcloud storage ls", "gcs": "gcloud storage ls", "hf": "hf download --dry-run"}
_LOG_IN = {"s3": "aws configure", "hf": "hf auth login"} | dict.fromkeys(
    ("gs", "gcs"), "gcloud auth application-default login"
)


class Remote:
    """A folder behind a URL and its local copy.

    Args:
        url: The folder's.
        index: The name of a JSON Lines file that names all others in columns which end with ``file_name``; it says
            what there is where a server lists no folders.
        beside: Names of files beside the index that may be there too.
        last: Names of files that say what others hold, and are written after them.

    Raises:
        RemoteError: Nobody here speaks the URL's protocol.
    """

    def __init__(
        self, url: str, *, index: str | None = None, beside: Collection[str] = (), last: Collection[str] = ()
    ) -> None:
        self.url = url.rstrip("/")
        self._index, self._beside, self._last = index, beside, last
        self._protocol = self.url.partition("://")[0].lower()
        home = copies_directory() / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self.folder = home / (PurePosixPath(self.url.partition("://")[2]).name or "folder")
        """The local copy."""
        self._log = home / "index.jsonl"
        self._lock = threading.Lock()
        with self._explained():
            import fsspec

            self._fs, self._root = fsspec.url_to_fs(self.url)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(home / "url") as temporary:
            temporary.write_text(self.url, encoding="utf-8")

    def pull(self, progress: Progress = no_progress, *, required: bool = True) -> Path:
        """Makes the copy equal to what is behind the URL; what was written here and not yet copied back stays.

        Args:
            progress: Called with the files that are done.
            required: Whether there must be a file.

        Raises:
            RemoteError: The folder is not there, or cannot be read.
        """
        known = self._copied()
        remove_leftovers(self.folder)
        with self._explained(), ThreadPoolExecutor(THREADS) as pool:
            there = self._listed(pool, required=required)
            for name in known.keys() - there.keys():
                (self.folder / name).unlink(missing_ok=True)
                self._record(name, None, None)
            new = [
                name
                for name, state in there.items()
                if known.get(name, {}).get("remote") != state or not (self.folder / name).is_file()
            ]

            def get(name: str) -> None:
                with atomic_write(self.folder / name, tidy=False) as temporary:
                    self._fs.get_file(f"{self._root}/{name}", str(temporary))
                self._record(name, there[name], _local_state(self.folder / name))

            for done, _ in enumerate(prefetch(pool, get, new, 2 * THREADS), start=1):
                progress("fetching files", done, len(new))
        return self.folder

    def push(self) -> int:
        """Copies back what was written to the copy since; the number of files.

        Raises:
            RemoteError: The folder cannot be written.
        """
        known = self._copied()
        states = {name: _local_state(self.folder / name) for name in _files_in(self.folder)}
        new = [name for name, state in states.items() if known.get(name, {}).get("local") != state]

        def put(name: str) -> None:
            if self._protocol != "hf":
                self._put(name)
            self._fs.invalidate_cache()
            self._record(name, _remote_state(self._fs.info(f"{self._root}/{name}")), states[name])

        with self._explained("written"), ThreadPoolExecutor(THREADS) as pool:
            if self._protocol == "hf":
                self._commit(new)
            for last in (False, True):
                names = [name for name in new if (PurePosixPath(name).name in self._last) == last]
                for _ in prefetch(pool, put, names, 2 * THREADS):
                    pass
        return len(new)

    @contextmanager
    def kept_up(self, every: float = EVERY) -> Iterator[Path]:
        """The copy, which is copied back every few seconds while the block lasts, and at its end, however it ends.

        Where that fails the block is interrupted, as by the user, so that nobody works for hours in vain.

        Raises:
            RemoteError: The folder cannot be written; what the block made is in the copy.
        """
        over, failures, stopped = threading.Event(), list[RemoteError](), False
        in_main = threading.current_thread() is threading.main_thread()

        def follow() -> None:
            while not failures and not over.wait(every):
                try:
                    self.push()
                except RemoteError as failure:
                    failures.append(failure)
                    if in_main and not over.is_set():
                        _thread.interrupt_main()

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            try:
                with _interruptible(in_main):
                    yield self.folder
            finally:
                over.set()
                follower.join()
        except KeyboardInterrupt:
            stopped = bool(failures)
            if stopped:
                raise failures[0] from None
            raise
        finally:
            if not stopped:
                self.push()

    def _listed(self, pool: ThreadPoolExecutor, *, required: bool) -> dict[str, str]:
        """What is behind the URL: names, each with what changes when the file does."""
        self._fs.invalidate_cache()
        found: dict[str, str] = {}
        if self._protocol in ("http", "https") and (names := self._named_by_index()):
            states = dict(prefetch(pool, self._state_if_there, names, 2 * THREADS))
            found = {name: state for name, state in states.items() if state is not None}
        else:
            with nullcontext() if required else suppress(FileNotFoundError):
                by_path: Mapping[str, Mapping[str, Any]] = self._fs.find(self._root, detail=True)
                names_of = {path: path.removeprefix(self._root).lstrip("/") for path in by_path}
                found = {name: _remote_state(by_path[path]) for path, name in names_of.items() if _is_inside(name)}
        if required and not found:
            raise FileNotFoundError
        return found

    def _named_by_index(self) -> list[str]:
        try:
            lines = self._fs.cat_file(f"{self._root}/{self._index}").splitlines() if self._index else []
        except FileNotFoundError:
            return []
        rows = [parse_json(line) for line in lines if line.strip()]
        named = dict.fromkeys(row[column] for row in rows for column in row if column.endswith("file_name"))
        inside = (name for name in named if isinstance(name, str) and _is_inside(name))
        return [str(self._index), *self._beside, *inside]

    def _state_if_there(self, name: str) -> str | None:
        try:
            return _remote_state(self._fs.info(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None

    def _put(self, name: str) -> None:
        source, target = str(self.folder / name), f"{self._root}/{name}"
        try:
            self._fs.put_file(source, target)
        except FileNotFoundError:
            if self._protocol in _LOG_IN:  # object stores have no folders: it is the bucket that is not there
                raise
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(source, target)

    def _commit(self, names: list[str]) -> None:
        """All files in one commit of the Hub, which counts commits and not files."""
        from huggingface_hub import HfApi

        if names:
            target = self._fs.resolve_path(self._root)
            HfApi(endpoint=self._fs.endpoint, token=self._fs.token).upload_folder(
                repo_id=target.repo_id,
                repo_type=target.repo_type,
                revision=target.revision,
                path_in_repo=target.path_in_repo or None,
                folder_path=self.folder,
                allow_patterns=[re.sub(r"([*?[])", r"[\1]", name) for name in names],
                commit_message=f"Add {len(names)} files with evalkit",
            )

    def _copied(self) -> dict[str, dict[str, Any]]:
        """What was copied, in either direction: the state of both files when they were equal."""
        entries: dict[str, dict[str, Any]] = {}
        for line in self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else ():
            with suppress(ValueError):  # half a line is what a killed process left
                entry = parse_json(line)
                entries[entry["name"]] = entry
        return {name: entry for name, entry in entries.items() if entry["remote"] is not None}

    def _record(self, name: str, remote: str | None, local: list[int] | None) -> None:
        """Writes down that a file was copied, or is gone."""
        line = "\n" + json.dumps({"name": name, "remote": remote, "local": local})
        with self._lock, self._log.open("a", encoding="utf-8") as file:
            file.write(line)

    @contextmanager
    def _explained(self, action: str = "read") -> Iterator[None]:
        """Whatever the many libraries below fsspec raise, as one sentence with what to do."""
        try:
            yield
        except Exception as failure:
            reason = _reason(failure, self.url, self._protocol)
            raise RemoteError(f"{self.url} cannot be {action}: {reason}") from failure


@contextmanager
def _interruptible(in_main: bool) -> Iterator[None]:
    """A shell has background jobs ignore interrupts, ours included; in the main thread they are heeded meanwhile."""
    ignored = in_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _reason(failure: Exception, url: str, protocol: str) -> str:
    """Why a folder cannot be read or written, and what to do next, as the end of a sentence."""
    kind, next_step = type(failure).__name__, "Check the address."
    if protocol in _LIST:
        next_step = f"See what is there: {_LIST[protocol]} {url}"
    status = getattr(failure, "status", None) or getattr(getattr(failure, "response", None), "status_code", None)
    if isinstance(failure, ImportError):
        return f"{failure}. Install what speaks {protocol}://: pip install 'evalkit-editing[remote]'"
    if isinstance(failure, ValueError) and "rotocol" in str(failure):
        return f"nobody here speaks {protocol}://. Use one of s3://, gs://, hf://, https://, or a local folder."
    if isinstance(failure, PermissionError) or "Credential" in kind or status in (401, 403):
        return f"access is denied with the credentials that are set. Log in: {_LOG_IN.get(protocol, 'see its manual')}"
    if isinstance(failure, FileNotFoundError) or "NotFound" in kind:
        return f"there is no such folder, or it is empty. {next_step}"
    return f"{' '.join(str(failure).split()).rstrip('.') or kind}. {next_step}"


def _remote_state(info: Mapping[str, Any]) -> str:
    """What changes when a file does, as far as its server says it."""
    return json.dumps([info.get("size"), *(str(info[key]) for key in _VALIDATORS if info.get(key) is not None)])


def _local_state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _is_inside(name: str) -> bool:
    """Whether a name is that of a file in the folder, and not hidden; object stores allow any."""
    parts = name.split("/")
    return not any(part in ("", "..") or part.startswith(".") for part in parts) and "\\" not in name


def _files_in(folder: Path) -> Iterator[str]:
    """The names of the files below a folder, without locks and unfinished ones."""
    for directory, _, names in os.walk(folder):
        relative = Path(directory).relative_to(folder)
        yield from (name for file in names if _is_inside(name := (relative / file).as_posix()))
