"""One deadline for a request to an endpoint, against servers that send each part of an answer without end."""

import gc
import gzip
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, repeat
from pathlib import Path

import pytest
import requests
from urllib3.util import connection

from evalkit.errors import EndpointError
from evalkit.storage.endpoint import Endpoint
from evalkit.storage.exchange import LONGEST_IDLE, THREAD_NAME, Exchanges

LIMIT = 0.4
TOO_LATE = "the server gave no whole answer within {:g} s"
PATIENCE = 20.0
"""Seconds within which what takes no time has happened on a busy machine; a server here would drip for ever."""
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ZIPPED = gzip.compress(os.urandom(1 << 16))
PARTS = {
    "silence": (b"", ()),
    "status": (b"HTTP/1.1 200 ", repeat(b"O")),
    "status_line": (b"", repeat(b"H")),
    "headers": (OK, (b"X: %d\r\n" % number for number in count())),
    "header": (OK + b"X: ", repeat(b"a")),
    "continue": (b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "chunk_size": (CHUNKED, repeat(b"0")),
    "chunks": (CHUNKED, repeat(b"1\r\n \r\n")),
    "trailer": (CHUNKED + b"1\r\n{\r\n0\r\n", repeat(b"X: a\r\n")),
    "closing_body": (OK + b"Connection: close\r\n\r\n", repeat(b" ")),
    "body": (OK + b"Content-Length: 1000000\r\n\r\n", repeat(b" ")),
    "gzip": (
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED),
        [ZIPPED[number : number + 1] for number in range(len(ZIPPED))],
    ),
    "error": (b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n", repeat(b" ")),
}
HANDSHAKE = (b"\x16\x03\x03\x40\x00", repeat(b"\x02"))
"""The beginning of a TLS record of 16 KiB."""


@dataclass
class DrippingServer:
    """Where it listens, and what became of the connections to it."""

    port: int
    asked: list[bytes] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)


@contextmanager
def dripping(first: bytes, pieces: Iterable[bytes]) -> Iterator[DrippingServer]:
    """A server that says the beginning of an answer at once, and the rest piece by piece for as long as it is heard."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if asked := connection.recv(1 << 20):
                server.asked.append(asked)
                connection.sendall(first)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)
            while connection.recv(1 << 20):
                pass
        server.hung_up.set()

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = DrippingServer(listener.getsockname()[1])
        threading.Thread(target=serve, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def failure(url: str, *, image: bytes = b"image", retries: int = 0, limit: float = LIMIT) -> str:
    """Why there is no edit; that is known when the limit is over, and no thread is left behind."""
    endpoint = Endpoint(url=url, key=None, time_limit=limit, retries=retries, longest_wait=0, requests_per_minute=None)
    start = time.monotonic()
    with pytest.raises(EndpointError) as failed:
        endpoint.ask(data={"prompt": "Do."}, files={"image": image})
    assert limit * (retries + 1) <= time.monotonic() - start < PATIENCE
    for thread in exchanges():
        thread.join(PATIENCE)
    assert exchanges() == []
    return str(failed.value)


def exchanges() -> list[threading.Thread]:
    """Those that still run."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_an_answer_is_waited_for_beyond_the_limit(part):
    """However soon each byte comes after the last; the connection is closed when the time is over."""
    with dripping(*PARTS[part]) as server:
        assert failure(f"http://127.0.0.1:{server.port}/") == TOO_LATE.format(LIMIT)
        assert server.hung_up.wait(PATIENCE)


def test_each_try_has_a_time_of_its_own():
    """After one that was too late another is made."""
    with dripping(*PARTS["status"]) as server:
        assert failure(f"http://127.0.0.1:{server.port}/", retries=2) == f"{TOO_LATE.format(LIMIT)} (3 tries)"
        assert len(server.asked) == 3


def test_a_handshake_is_not_waited_for_beyond_the_limit():
    """Nor is any other part of the exchange that is no answer yet."""
    with dripping(*HANDSHAKE) as server:
        assert failure(f"https://127.0.0.1:{server.port}/", limit=3.0) == TOO_LATE.format(3)  # certificates are read
        assert server.hung_up.wait(PATIENCE)


def test_a_proxy_is_not_waited_for_beyond_the_limit(monkeypatch):
    """It answers to CONNECT before the server is reached at all."""
    monkeypatch.delenv("no_proxy")
    with dripping(*PARTS["status_line"]) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.port}")
        assert failure("https://images.invalid/") == TOO_LATE.format(LIMIT)
        assert server.asked[0].startswith(b"CONNECT images.invalid:443 ")


def test_a_server_that_does_not_read_is_not_waited_for_beyond_the_limit():
    """The request is larger than what a connection holds on its way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert failure(f"http://127.0.0.1:{listener.getsockname()[1]}/", image=bytes(32 << 20)) == TOO_LATE.format(
            LIMIT
        )


def test_nothing_is_sent_after_the_limit(monkeypatch):
    """A connection that comes about too late costs nothing: the server is not asked for an edit by it."""
    connect, may_connect = connection.create_connection, threading.Event()

    def late(*arguments, **options):
        may_connect.wait(PATIENCE)
        return connect(*arguments, **options)

    monkeypatch.setattr(connection, "create_connection", late)
    with dripping(*PARTS["status"]) as server:
        with pytest.raises(requests.Timeout):
            Exchanges().within(LIMIT, lambda session: session.post(f"http://127.0.0.1:{server.port}/", data=b"asked"))
        (thread,) = exchanges()
        may_connect.set()
        thread.join(PATIENCE)
        assert server.hung_up.wait(PATIENCE)
        assert server.asked == []


def test_ctrl_c_ends_an_exchange():
    """It is not waited for, and its connection is closed."""
    with dripping(*PARTS["body"]) as server:
        threading.Timer(LIMIT, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            Exchanges().within(PATIENCE, lambda session: session.get(f"http://127.0.0.1:{server.port}/"))
        assert server.hung_up.wait(PATIENCE)


# Connections that are kept


@contextmanager
def answering(*headers: bytes) -> Iterator[DrippingServer]:
    """A server that answers every request with an empty object; ``asked`` has a list of requests per connection."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            server.asked.append(requests_here := [])  # type: ignore[arg-type]
            while asked := connection.recv(1 << 16):
                requests_here.append(asked)
                connection.sendall(b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: 2", *headers, b"", b"{}"]))
                if b"Connection: close" in headers:
                    return

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = DrippingServer(listener.getsockname()[1])
        threading.Thread(target=serve, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def asks(exchanges: Exchanges, server: DrippingServer) -> None:
    """One exchange."""
    response = exchanges.within(PATIENCE, lambda session: session.get(f"http://127.0.0.1:{server.port}/"))
    assert response.content == b"{}"


def test_a_connection_is_kept_for_the_next_exchange():
    """What a server wants remembered is not sent by it; one that nobody used for a while is made anew."""
    exchanges = Exchanges()
    with answering(b"Set-Cookie: who=you; Path=/") as server:
        for _ in range(3):
            asks(exchanges, server)
        assert [len(of_connection) for of_connection in server.asked] == [3]
        assert not any(b"cookie" in each.lower() for each in server.asked[0])
        time.sleep(LONGEST_IDLE + 0.1)
        asks(exchanges, server)
        assert [len(of_connection) for of_connection in server.asked] == [3, 1]


def test_exchanges_at_the_same_time_have_connections_of_their_own():
    """As many as there are at once, and not more."""
    exchanges, together = Exchanges(), threading.Barrier(4, timeout=PATIENCE)

    def one() -> None:
        def exchange(session: requests.Session) -> None:
            together.wait()
            assert session.get(f"http://127.0.0.1:{server.port}/").ok
            together.wait()

        exchanges.within(PATIENCE, exchange)

    with answering() as server:
        for _ in range(2):
            threads = [threading.Thread(target=one) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
        assert [len(of_connection) for of_connection in server.asked] == [2] * 4


def n_open() -> int:
    """Files and connections that this process holds."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_a_server_that_closes_each_connection_leaves_none_open_here():
    """Nor does a session that nobody holds any more."""
    exchanges = Exchanges()
    before = n_open()
    with answering(b"Connection: close") as server:
        for _ in range(5):
            asks(exchanges, server)
        assert len(server.asked) == 5
    with answering() as server:
        asks(exchanges, server)
    del exchanges
    gc.collect()
    end = time.monotonic() + PATIENCE
    while n_open() > before and time.monotonic() < end:
        time.sleep(0.02)  # the server's side
    assert n_open() <= before


def test_an_exchange_that_fails_leaves_its_connection_to_nobody():
    """The next one cannot read what was meant for it."""
    exchanges = Exchanges()

    def breaks_off(session: requests.Session) -> None:
        session.get(f"http://127.0.0.1:{server.port}/", stream=True)
        raise ValueError("no sense in it")

    with answering() as server:
        with pytest.raises(ValueError, match="no sense"):
            exchanges.within(PATIENCE, breaks_off)
        asks(exchanges, server)
        assert [len(of_connection) for of_connection in server.asked] == [1, 1]
