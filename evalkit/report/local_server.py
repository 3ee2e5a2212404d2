"""Servers of pages on this machine: bound to it, and answering only to whoever asks for them by name."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from evalkit import __version__
from evalkit.errors import OptionError

_ADDRESS = "127.0.0.1"
_NAMES = (_ADDRESS, "localhost")
_HTTP_PORT = 80


def local_server(handler: Callable[..., "LocalHandler"], port: int) -> ThreadingHTTPServer:
    """A server bound to this machine, and not yet started.

    Args:
        handler: Makes what answers one request.
        port: 0 for any that is free.

    Raises:
        OptionError: The port cannot be used.
    """
    try:
        return ThreadingHTTPServer((_ADDRESS, port), handler)
    except OSError as failure:
        raise OptionError(f"Port {port} cannot be used: {failure.strerror}. Take a free one: --port 0") from failure


class LocalHandler(BaseHTTPRequestHandler):
    """Answers to ``127.0.0.1`` and ``localhost`` only: no page of another site, whose name leads here, can read it.

    Args:
        policy: What a browser may do with every answer.
    """

    server_version = f"evalkit/{__version__}"
    sys_version = ""
    timeout = 30
    """Seconds that a client may be silent."""

    def __init__(self, *args: Any, policy: str, **kwargs: Any) -> None:  # noqa: ANN401 - what http.server passes
        self.policy = f"{policy}; frame-ancestors 'none'"
        super().__init__(*args, **kwargs)

    def is_asked_by_name(self) -> bool:
        """Whether the request says, once, that it is meant for this machine; if not, that is answered."""
        given = [host.strip().lower() for host in self.headers.get_all("Host", [])]
        if len(given) == 1 and given[0] in self.own_names():
            return True
        self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server answers to its own name only")
        return False

    def own_names(self) -> set[str]:
        """What it is called, with the port."""
        port = self.connection.getsockname()[1]
        suffixes = (f":{port}", "") if port == _HTTP_PORT else (f":{port}",)
        return {name + suffix for name in _NAMES for suffix in suffixes}

    def end_headers(self) -> None:
        """Ends the headers of any answer, an error's too."""
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()
