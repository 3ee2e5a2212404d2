"""HTTP exchanges that are over when their time is, from the look-up of a name to the last byte of the answer.

The time-out of a socket bounds the wait for one piece and begins anew with the next: a server that sends a letter of
its status line every second is waited for as long as it likes. So an exchange runs on a thread of its own, which is
left when the time is over; its connections are cut then, so that it ends, and those that it still makes are refused.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

T = TypeVar("T")
THREAD_NAME = "evalkit-exchange"
_of_thread = threading.local()
"""``connections``: those of the exchange that a thread runs."""


def exchange_within(seconds: float, exchange: Callable[[requests.Session], T]) -> T:
    """What an exchange returns or raises, if its time suffices.

    Args:
        seconds: How long it may take.
        exchange: Gets a session that nobody else uses.

    Raises:
        requests.Timeout: It takes longer, whatever the server does meanwhile.
    """
    returned: list[T] = []
    raised: list[BaseException] = []
    connections = _Connections()

    def run() -> None:
        _of_thread.connections = connections
        try:
            with requests.Session() as session:
                for scheme in _POOLS:
                    session.mount(f"{scheme}://", _Adapter())
                returned.append(exchange(session))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=THREAD_NAME, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
        if thread.is_alive():
            raise requests.Timeout
    finally:
        connections.cut()
    if raised:
        raise raised[0]
    return returned[0]


class _Connections:
    """Those of one exchange."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_over = False

    def add(self, made: socket.socket) -> None:
        """Takes note of one before anything is sent by it.

        Raises:
            TimeoutError: The exchange is over.
        """
        with self._lock:
            if self._is_over:
                made.close()
                raise TimeoutError
            self._sockets.append(made.dup())  # the same connection still, when TLS takes the socket over

    def cut(self) -> None:
        """Ends whatever waits for them."""
        with self._lock:
            self._is_over = True
            for made in self._sockets:
                with made, suppress(OSError):  # the other side has closed it
                    made.shutdown(socket.SHUT_RDWR)


class _HTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        _of_thread.connections.add(made)
        return made


class _HTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        _of_thread.connections.add(made)
        return made


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """Makes connections that are known to their exchange."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what requests passes
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - what requests passes
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # which has connections of its own kind
            manager.pool_classes_by_scheme = _POOLS
        return manager
