"""Opens files that anybody may have made: none that is no regular file, and none that is larger than it should be."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def open_regular(path: Path, *, limit: int | None = None, alone: bool = False) -> BufferedReader:
    """A file to read, once it is certain that reading it ends.

    Args:
        path: Which.
        limit: Bytes that it may have.
        alone: Whether it must be a file of this one name: neither a symbolic nor a hard link.

    Raises:
        OSError: It cannot be opened, or is not such a file; ``strerror`` says why.
    """
    if alone and path.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    # Without waiting: a pipe would have its reader wait for a writer. What is opened is what is looked at.
    descriptor = os.open(path, _FLAGS | (_NO_FOLLOW if alone else 0))
    try:
        if fault := file_fault(os.fstat(descriptor), limit=limit, alone=alone):
            raise OSError(errno.EINVAL, fault, str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, *, limit: int, alone: bool = False) -> bytes:
    """The bytes of a file that :func:`open_regular` opens; not more than ``limit``, if it grows meanwhile.

    Raises:
        OSError: As there.
    """
    with open_regular(path, limit=limit, alone=alone) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, _too_large(len(data), limit), str(path))
    return data


def file_fault(status: os.stat_result, *, limit: int | None = None, alone: bool = False) -> str | None:
    """Why something is no file that should be read; None if it is one.

    Args:
        status: What ``lstat`` or ``fstat`` say of it.
        limit: Bytes that it may have.
        alone: Whether another name for it is a fault.
    """
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        return _KINDS.get(kind, "it is no regular file")
    if alone and status.st_nlink > 1:
        return "it is a hard link: another name leads to the same file"
    if limit is not None and status.st_size > limit:
        return _too_large(status.st_size, limit)
    return None


def _too_large(size: int, limit: int) -> str:
    return f"it has {size:,} bytes, and {limit:,} are allowed"


_KINDS = {
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}
