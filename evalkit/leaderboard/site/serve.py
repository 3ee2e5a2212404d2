"""The built site on this machine: only to whoever asks for it by name, and only what is a file of it."""

import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from evalkit.report.local_server import LocalHandler, local_server

_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')


def site_server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of a built site, bound to this machine and not yet started.

    It shows regular files, follows no link and lists no folder.

    Args:
        site: What ``build`` wrote.
        port: 0 for any that is free.

    Raises:
        OptionError: The port cannot be used.
    """
    root = site.resolve()
    return local_server(partial(_SiteHandler, directory=str(root), policy=_policy(root)), port)


def _policy(root: Path) -> str:
    """What the pages themselves say that a browser may load."""
    try:
        own = _POLICY.search((root / "index.html").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        own = None
    return own[1] if own else "default-src 'none'"


class _SiteHandler(LocalHandler, SimpleHTTPRequestHandler):
    def send_head(self) -> BytesIO | BinaryIO | None:
        """The headers of an answer; gives the file whose content is to follow."""
        if not self.is_asked_by_name():
            return None
        if not self._is_file_of_site():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def _is_file_of_site(self) -> bool:
        """Whether what is asked for is a regular file, or a folder with a page, that no link leads to."""
        if not self.path.startswith("/"):
            return False
        try:
            path = Path(self.translate_path(self.path))
            page = path / "index.html" if path.is_dir() else path
            return page.is_file() and page.resolve() == page
        except ValueError:  # a null byte
            return False
