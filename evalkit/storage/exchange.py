"""HTTP exchanges that are over when their time is, from the look-up of a name to the last byte of the answer.

The time-out of a socket bounds the wait for one piece and begins anew with the next: a server that sends a letter of
its status line every second is waited for as long as it likes. So an exchange runs on a thread of its own, which is
left when the time is over; its connections are cut then, so that it ends, and those that it still makes are refused.
Connections are kept for the next exchange after one that went well.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

T = TypeVar("T")
THREAD_NAME = "evalkit-exchange"
LONGEST_IDLE = 1.0
"""Seconds for which a connection is kept that nobody uses: servers close theirs after some, and might do so just when
it is used again."""
_of_thread = threading.local()
"""``connections``: those of the exchange that a thread runs."""


class Exchanges:
    """Exchanges with services; threads may have some at the same time, each with a session that nobody else uses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[float, _Session]] = []
        """Sessions with the time since which nobody uses them, the latest last."""

    def within(self, seconds: float, exchange: Callable[[requests.Session], T]) -> T:
        """What an exchange returns or raises, if its time suffices.

        Args:
            seconds: How long it may take.
            exchange: Gets a session, and reads or closes whatever it is answered.

        Raises:
            requests.Timeout: It takes longer, whatever the server does meanwhile.
        """
        session = self._taken()
        session.connections.use()
        returned: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            _of_thread.connections = session.connections
            try:
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
            if returned:
                session.connections.rest()
                with self._lock:
                    self._idle.append((time.monotonic(), session))
            else:
                session.end()
        if raised:
            raise raised[0]
        return returned[0]

    def _taken(self) -> "_Session":
        """The session that was used last, or a new one where none was used lately."""
        since = time.monotonic() - LONGEST_IDLE
        with self._lock:
            old = [session for used, session in self._idle if used < since]
            del self._idle[: len(old)]
            session = self._idle.pop()[1] if self._idle else None
        for each in old:
            each.end()
        return session or _Session()


class _Session(requests.Session):
    """A session whose connections can be cut, and which remembers nothing else of a server: no cookies."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = _Connections()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in _POOLS:
            self.mount(f"{scheme}://", _Adapter())

    def end(self) -> None:
        """Ends whatever waits for its connections, and closes them."""
        self.connections.cut()
        self.close()


class _Connections:
    """Those of one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._closed: set[socket.socket] = set()
        """Of them those whose connection is closed, of which the last answer may still be read."""
        self._is_used = self._is_over = False

    def use(self) -> None:
        """An exchange begins."""
        with self._lock:
            self._is_used = True

    def rest(self) -> None:
        """It is over, and nothing waits for any of them."""
        with self._lock:
            self._is_used = False
            for same in self._closed:
                same.close()
            self._sockets -= self._closed
            self._closed.clear()

    def add(self, made: socket.socket) -> socket.socket:
        """Takes note of one before anything is sent by it.

        Returns:
            The same connection still when TLS takes the socket over, for :meth:`close`.

        Raises:
            TimeoutError: The exchange is over.
        """
        with self._lock:
            if self._is_over:
                made.close()
                raise TimeoutError
            same = made.dup()
            self._sockets.add(same)
            return same

    def close(self, same: socket.socket) -> None:
        """Forgets one, but for as long as an exchange may read from it."""
        with self._lock:
            if self._is_used:
                self._closed.add(same)
            else:
                self._sockets.discard(same)
                same.close()

    def cut(self) -> None:
        """Ends whatever waits for them."""
        with self._lock:
            self._is_over, self._is_used = True, False
            for same in self._sockets:
                with same, suppress(OSError):  # the other side has closed it
                    same.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()
            self._closed.clear()


class _Known:
    """A connection of urllib3 that is known to the session which makes it."""

    _close_known: Callable[[], None] | None = None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the connection that this is mixed into
        connections: _Connections = _of_thread.connections
        same = connections.add(made)
        self._close_known = lambda: connections.close(same)
        return made

    def close(self) -> None:
        super().close()  # type: ignore[misc]  # as above
        if self._close_known:
            self._close_known()
            self._close_known = None


class _HTTPConnection(_Known, HTTPConnection):
    pass


class _HTTPSConnection(_Known, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """Makes connections that are known to their session."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what requests passes
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - what requests passes
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # which has connections of its own kind
            manager.pool_classes_by_scheme = _POOLS
        return manager
