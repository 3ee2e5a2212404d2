"""The built site on this machine: only to whoever asks for it by name, and only what is a file of it."""

import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from evalkit import __version__
from evalkit.errors import OptionError

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')
_HTTP_PORT = 80


def site_server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of a built site, bound to this machine and not yet started.

    It answers to ``127.0.0.1`` and ``localhost`` only, so that no page of another site whose name leads here can read
    it; it shows regular files, follows no link and lists no folder.

    Args:
        site: What ``build`` wrote.
        port: 0 for any that is free.

    Raises:
        OptionError: The port cannot be used.
    """
    root = site.resolve()
    try:
        return ThreadingHTTPServer((_ADDRESS, port), partial(_SiteHandler, directory=str(root), policy=_policy(root)))
    except OSError as failure:
        raise OptionError(f"Port {port} cannot be used: {failure.strerror}. Take a free one: --port 0") from failure


def _policy(root: Path) -> str:
    """What the pages themselves say that a browser may load, and that nobody may frame them."""
    try:
        own = _POLICY.search((root / "index.html").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        own = None
    return (own[1] if own else "default-src 'none'") + "; frame-ancestors 'none'"


class _SiteHandler(SimpleHTTPRequestHandler):
    server_version = f"evalkit/{__version__}"
    sys_version = ""
    timeout = 30
    """Seconds that a client may be silent."""

    def __init__(self, *args: Any, policy: str, **kwargs: Any) -> None:  # noqa: ANN401 - what http.server passes
        self.policy = policy
        super().__init__(*args, **kwargs)

    def send_head(self) -> BytesIO | BinaryIO | None:
        """The headers of an answer; gives the file whose content is to follow."""
        if not self._is_asked_by_name():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server answers to its own name only")
        elif not self._is_file_of_site():
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            return super().send_head()
        return None

    def _is_asked_by_name(self) -> bool:
        """Whether the request says, once, that it is meant for this machine."""
        port = self.connection.getsockname()[1]
        given = [host.strip().lower() for host in self.headers.get_all("Host", [])]
        suffixes = (f":{port}", "") if port == _HTTP_PORT else (f":{port}",)
        return len(given) == 1 and given[0] in {name + suffix for name in _NAMES for suffix in suffixes}

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

    def end_headers(self) -> None:
        """Ends the headers of any answer, an error's too."""
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()
