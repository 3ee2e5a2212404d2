"""Folders behind URLs (``s3://``, ``gs://``, ``hf://``, ``https://``, whatever fsspec knows).

All of evalkit works on local folders. One behind a URL is copied into the cache before it is read, and only what is new
there is copied the next time; one that is written to is copied back, a few seconds behind the work. Both directions go
on where a killed process stopped, as it is written down what was copied when it is there whole.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.edits.item import IMAGE_FIELDS
from evalkit.edits.manifest import MANIFEST_NAME
from evalkit.errors import RemoteError
from evalkit.storage.atomic import atomic_write
from evalkit.storage.paths import cache_directory
from evalkit.storage.prefetch import Progress, no_progress, prefetch

THREADS = 8
"""Files on their way at a time."""
EVERY = 20.0
"""Seconds between two copies of what is being written."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")
_VALIDATORS = ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified", "last_modified", "created")
_LISTS = ("http", "https")
"""Where folders mostly cannot be listed, and the manifest says what there is."""
_LAST = (MANIFEST_NAME, "run.json")
"""Files that name others are copied after them."""
_LOOK = {"s3": "aws s3 ls", "gs": "gcloud storage ls", "gcs": "gcloud storage ls", "hf": "hf download --dry-run"}
_LOG_IN = {
    "s3": "aws configure",
    "gs": "gcloud auth application-default login",
    "gcs": "gcloud auth application-default login",
    "hf": "hf auth login",
}


def is_url(place: str) -> bool:
    """Whether a place is a URL, and no path.

    >>> is_url("s3://bucket/edits"), is_url("edits"), is_url("C:/edits")
    (True, False, False)
    """
    return bool(_URL.match(place))


def place_of(folder: Path) -> str:
    """The URL that a folder is a copy of, else its absolute path."""
    resolved, copies = folder.resolve(), _copies().resolve()
    if resolved.is_relative_to(copies):
        digest, _, *below = resolved.relative_to(copies).parts
        return "/".join([(copies / digest / "url").read_text(encoding="utf-8"), *below])
    return str(resolved)


class Remote:
    """A folder behind a URL and its local copy.

    Args:
        url: The folder's.

    Raises:
        RemoteError: Nobody here speaks the URL's protocol.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._protocol = self.url.partition("://")[0].lower()
        home = _copies() / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self.folder = home / (PurePosixPath(self.url.partition("://")[2]).name or "folder")
        """The local copy."""
        self._index = home / "index.jsonl"
        self._lock = threading.Lock()
        with self._explained():
            import fsspec

            self._fs, self._root = fsspec.url_to_fs(self.url)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(home / "url") as draft:
            draft.write_text(self.url, encoding="utf-8")

    def pull(self, progress: Progress = no_progress, *, required: bool = True) -> Path:
        """Make the copy equal to what is behind the URL; what was written here and not yet copied back stays.

        Args:
            progress: Called with the files that are done.
            required: Whether there must be a file.

        Raises:
            RemoteError: The folder is not there, or cannot be read.
        """
        known = self._known()
        with self._explained(), ThreadPoolExecutor(THREADS) as pool:
            there = self._listed(pool, required=required)
            if required and not there:
                raise FileNotFoundError
            for name in known.keys() - there.keys():
                (self.folder / name).unlink(missing_ok=True)
            new = [name for name, token in there.items() if not self._is_current(name, token, known.get(name))]

            def get(name: str) -> None:
                with atomic_write(self.folder / name) as draft:
                    self._fs.get_file(f"{self._root}/{name}", str(draft))
                self._note(name, there[name], _stamp(self.folder / name))

            for done, _ in enumerate(prefetch(pool, get, new, 2 * THREADS), start=1):
                progress("fetching files", done, len(new))
        self._tidy({name: entry for name, entry in self._known().items() if name in there})
        return self.folder

    def push(self, progress: Progress = no_progress) -> int:
        """Copy back what was written to the copy since; the number of files.

        Raises:
            RemoteError: The folder cannot be written.
        """
        known = self._known()
        stamps = {name: _stamp(self.folder / name) for name in _written(self.folder)}
        new = [name for name, stamp in stamps.items() if known.get(name, {}).get("local") != stamp]
        with self._explained("written"), ThreadPoolExecutor(THREADS) as pool:
            if self._protocol == "hf":
                self._commit(new)

            def put(name: str) -> None:
                if self._protocol != "hf":
                    self._put(name)
                self._fs.invalidate_cache()
                self._note(name, _token(self._fs.info(f"{self._root}/{name}")), stamps[name])

            for last in (False, True):
                names = [name for name in new if (PurePosixPath(name).name in _LAST) == last]
                for done, _ in enumerate(prefetch(pool, put, names, 2 * THREADS), start=1):
                    progress("copying files", done, len(names))
        return len(new)

    @contextmanager
    def kept_up(self, every: float = EVERY) -> Iterator[Path]:
        """The copy, which is copied back every few seconds while the block lasts, and at its end, however it ends.

        Raises:
            RemoteError: The folder cannot be written; what the block made is in the copy.
        """
        over, failures = threading.Event(), list[RemoteError]()

        def follow() -> None:
            while not over.wait(every):
                try:
                    self.push()
                except RemoteError as failure:  # the last attempt, at the end, counts
                    failures.append(failure)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield self.folder
        finally:
            over.set()
            follower.join()
            self.push()

    def _listed(self, pool: ThreadPoolExecutor, *, required: bool) -> dict[str, str]:
        """What is behind the URL: names, each with what changes when the file does."""
        self._fs.invalidate_cache()
        if self._protocol in _LISTS and (names := self._named_by_manifest()):
            tokens = dict(prefetch(pool, self._token_if_there, names, 2 * THREADS))
            return {name: token for name, token in tokens.items() if token is not None}
        try:
            found: Mapping[str, Mapping[str, Any]] = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            if required:
                raise
            return {}
        names_of = {path: path.removeprefix(self._root).lstrip("/") for path in found}
        return {name: _token(found[path]) for path, name in names_of.items() if _is_inside(name)}

    def _named_by_manifest(self) -> list[str]:
        try:
            lines = self._fs.cat_file(f"{self._root}/{MANIFEST_NAME}").splitlines()
        except FileNotFoundError:
            return []
        rows = [json.loads(line) for line in lines if line.strip()]
        names = dict.fromkeys(row.get(f"{column}_file_name") for row in rows for column in IMAGE_FIELDS)
        return [MANIFEST_NAME, *(name for name in names if isinstance(name, str) and _is_inside(name))]

    def _token_if_there(self, name: str) -> str | None:
        try:
            return _token(self._fs.info(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None

    def _is_current(self, name: str, token: str, entry: Mapping[str, Any] | None) -> bool:
        path = self.folder / name
        return entry is not None and entry["remote"] == token and path.is_file()

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
            place = self._fs.resolve_path(self._root)
            HfApi(endpoint=self._fs.endpoint, token=self._fs.token).upload_folder(
                repo_id=place.repo_id,
                repo_type=place.repo_type,
                revision=place.revision,
                path_in_repo=place.path_in_repo or None,
                folder_path=self.folder,
                allow_patterns=[re.sub(r"([*?[])", r"[\1]", name) for name in names],
                commit_message=f"Add {len(names)} files with evalkit",
            )

    def _known(self) -> dict[str, dict[str, Any]]:
        """What was copied, in either direction: the state of both files when they were equal."""
        known = {}
        if self._index.exists():
            for line in self._index.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):  # else a process was killed while it wrote it
                    entry = json.loads(line)
                    known[entry["name"]] = entry
        return known

    def _note(self, name: str, remote: str, local: list[int]) -> None:
        line = json.dumps({"name": name, "remote": remote, "local": local}) + "\n"
        with self._lock, self._index.open("a", encoding="utf-8") as file:
            file.write(line)

    def _tidy(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        with self._lock, atomic_write(self._index) as draft, draft.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in known.values())

    @contextmanager
    def _explained(self, action: str = "read") -> Iterator[None]:
        """Whatever the many libraries below fsspec raise, as one sentence with what to do."""
        try:
            yield
        except Exception as failure:
            reason = _reason(failure, self.url, self._protocol)
            raise RemoteError(f"{self.url} cannot be {action}: {reason}") from failure


def _reason(failure: Exception, url: str, protocol: str) -> str:
    """Why, and the next command."""
    look = f"See what is there: {_LOOK[protocol]} {url}" if protocol in _LOOK else "Check the address."
    if isinstance(failure, ImportError):
        return f"{failure}. Install what speaks {protocol}://: pip install 'evalkit-editing[remote]'"
    if isinstance(failure, ValueError) and "rotocol" in str(failure):
        return f"nobody here speaks {protocol}://. Use one of s3://, gs://, hf://, https://, or a local folder."
    if isinstance(failure, PermissionError) or "Credential" in type(failure).__name__ or _is_denied(failure):
        return f"access is denied with the credentials that are set. Log in: {_LOG_IN.get(protocol, 'see its manual')}"
    if isinstance(failure, FileNotFoundError) or "NotFound" in type(failure).__name__:
        return f"there is no such folder, or it is empty. {look}"
    text = " ".join(str(failure).split()).rstrip(".") or type(failure).__name__
    return f"{text}. {look}"


def _is_denied(failure: Exception) -> bool:
    status = getattr(failure, "status", None) or getattr(getattr(failure, "response", None), "status_code", None)
    return status in (401, 403)


def _copies() -> Path:
    return cache_directory() / "remote"


def _token(info: Mapping[str, Any]) -> str:
    """What changes when a file does, as far as its server says it."""
    return json.dumps([info.get("size"), *(str(info[key]) for key in _VALIDATORS if info.get(key) is not None)])


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _is_inside(name: str) -> bool:
    """Whether a name is that of a file in the folder, and not hidden; object stores allow any."""
    parts = name.split("/")
    return not any(part in ("", "..") or part.startswith(".") for part in parts) and "\\" not in name


def _written(folder: Path) -> Iterator[str]:
    """The names of the files in a folder, without locks and drafts."""
    for place, _, names in os.walk(folder):
        for name in names:
            relative = (Path(place) / name).relative_to(folder).as_posix()
            if _is_inside(relative):
                yield relative
