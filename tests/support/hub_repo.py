"""What the loopback Hub of :mod:`tests.support.hub` holds: repositories, commits and files, with git's identifiers."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

Kind = Literal["model", "dataset"]
DATE = "2024-01-01T00:00:00.000Z"
LARGE = {
    ".arrow",
    ".bin",
    ".gz",
    ".jpeg",
    ".jpg",
    ".npy",
    ".npz",
    ".parquet",
    ".png",
    ".pt",
    ".pth",
    ".safetensors",
    ".zip",
}


def is_large(path: str) -> bool:
    """Whether a file is kept outside git: as the Hub's default attributes, this goes by suffix."""
    return PurePosixPath(path).suffix.lower() in LARGE


@dataclass(frozen=True)
class Blob:
    """One file's content."""

    content: bytes
    is_large: bool
    """Whether it is kept outside git."""

    @classmethod
    def at(cls, path: str, content: bytes) -> "Blob":
        """The file as the Hub would keep it under that name."""
        return cls(content, is_large(path))

    @cached_property
    def sha256(self) -> str:
        """What large files are known by."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def oid(self) -> str:
        """What git knows the file by: of a large file, its pointer's."""
        stored = self.pointer if self.is_large else self.content
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git stores in the place of a large file."""
        lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{self.sha256}", f"size {len(self.content)}")
        return "".join(f"{line}\n" for line in lines).encode()

    def describe(self, path: str) -> dict[str, Any]:
        """The file as a tree listing shows it."""
        large = {"lfs": {"oid": self.sha256, "size": len(self.content), "pointerSize": len(self.pointer)}}
        return {"type": "file", "path": path, "size": len(self.content), "oid": self.oid} | (
            large if self.is_large else {}
        )


@dataclass(frozen=True)
class Commit:
    """The state of a repository at one point."""

    title: str
    parent: str | None
    files: dict[str, Blob]

    @cached_property
    def oid(self) -> str:
        """Forty hexadecimal digits that depend on everything in the commit."""
        listing = "".join(f"{path} {blob.oid}\n" for path, blob in sorted(self.files.items()))
        return hashlib.sha1(f"{self.parent}\n{self.title}\n{listing}".encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """The commit as a history shows it."""
        return {"id": self.oid, "title": self.title, "message": "", "authors": [], "date": DATE}

    def folders(self) -> set[str]:
        """Every folder, however deep."""
        return {str(parent) for path in self.files for parent in PurePosixPath(path).parents} - {"."}

    def entry(self, path: str) -> dict[str, Any] | None:
        """One file or folder as a tree listing shows it."""
        path = path.strip("/")
        if path in self.files:
            return self.files[path].describe(path)
        oid = hashlib.sha1(path.encode()).hexdigest()
        return {"type": "directory", "path": path, "size": 0, "oid": oid} if path in self.folders() else None

    def tree(self, root: str, *, recursive: bool) -> list[dict[str, Any]]:
        """What lies in a folder, or anywhere below it."""
        top = root.strip("/")
        paths = sorted({*self.files, *self.folders()})
        below = [path for path in paths if not top or path.startswith(f"{top}/")]
        shown = [path for path in below if recursive or "/" not in path.removeprefix(f"{top}/" if top else "")]
        return [entry for path in shown if (entry := self.entry(path)) is not None]


@dataclass(slots=True)
class Repo:
    """A repository with one branch, and names for commits of it."""

    kind: Kind
    repo_id: str
    private: bool = False
    gated: bool = False
    commits: list[Commit] = field(default_factory=list)
    names: dict[str, Commit] = field(default_factory=dict)
    """Other revisions, such as ``refs/convert/parquet``."""

    @property
    def head(self) -> Commit:
        """The newest commit."""
        return self.commits[-1]

    def commit(self, title: str, files: dict[str, Blob]) -> Commit:
        """Adds a commit that holds exactly ``files``."""
        self.commits.append(Commit(title, self.head.oid if self.commits else None, files))
        return self.head

    def find(self, revision: str) -> Commit | None:
        """The commit of ``main``, of another name or of forty hexadecimal digits."""
        if revision in ("main", "refs/heads/main"):
            return self.head
        if revision in self.names:
            return self.names[revision]
        return next((commit for commit in self.commits if commit.oid == revision), None)

    def info(self, commit: Commit) -> dict[str, Any]:
        """The repository as its page's API shows it."""
        siblings = [
            {"rfilename": path, "size": len(blob.content), "blobId": blob.oid}
            | ({"lfs": {"sha256": blob.sha256, "size": len(blob.content), "pointerSize": 1}} if blob.is_large else {})
            for path, blob in sorted(commit.files.items())
        ]
        return {
            "_id": "0" * 24,
            "id": self.repo_id,
            "author": self.repo_id.split("/")[0],
            "sha": commit.oid,
            "lastModified": DATE,
            "createdAt": DATE,
            "private": self.private,
            "gated": "auto" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
        }
