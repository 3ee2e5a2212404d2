"""A server on this machine that edits images by HTTP as told, and notes what it was asked."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image, ImageOps

MOST = 32 << 20
"""Bytes of a request, and of what a flood sends."""


@dataclass
class Asked:
    """One request for an edit."""

    path: str
    authorization: str | None
    fields: dict[str, str]
    image: bytes


Answer = Callable[["Handler", Asked], None]


@dataclass
class ImageServer:
    """What was asked, and what is to be answered."""

    base_url: str = ""
    script: list[Answer] = field(default_factory=list)
    """The answers to the first requests."""
    then: Answer = lambda handler, asked: handler.send_json(edited(asked))
    """The answer to all others."""
    asked: list[Asked] = field(default_factory=list)
    downloads: list[str | None] = field(default_factory=list)
    """The Authorization header of each request for a file."""
    file: bytes = b""
    """What is behind ``/file.png``."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server_state: ImageServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class named it
        """Nothing on standard error."""

    def do_GET(self) -> None:
        """The file."""
        self.server_state.downloads.append(self.headers.get("Authorization"))
        self.send(200, self.server_state.file)

    def do_POST(self) -> None:
        """The next answer of the script."""
        state, body = self.server_state, self.rfile.read(min(MOST, int(self.headers["Content-Length"])))
        message = message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
        contents = {name: part.get_payload(decode=True) for name, part in parts.items()}
        image = contents.pop("image", b"")
        fields = {name: content.decode() for name, content in contents.items()}
        asked = Asked(self.path, self.headers.get("Authorization"), fields, image)
        state.asked.append(asked)
        answer = state.script.pop(0) if state.script else state.then
        try:
            answer(self, asked)
        except OSError:  # the client has hung up, as some tests want
            self.close_connection = True

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """One whole response."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, value: Any, status: int = 200, **headers: str) -> None:
        """A JSON document."""
        self.send(status, json.dumps(value).encode(), **headers)


def edited(asked: Asked, **more: Any) -> dict[str, Any]:
    """A good answer: the image inverted."""
    image = ImageOps.invert(Image.open(io.BytesIO(asked.image)).convert("RGB"))
    return {"created": 1, "data": [{"b64_json": base64.b64encode(png(image)).decode()}], **more}


def png(image: Image.Image) -> bytes:
    """A file of an image."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def says(status: int, message: str = "told to fail", code: str | None = None, **headers: str) -> Answer:
    """An error as OpenAI writes it."""
    error = {"error": {"message": message, "type": "some_error", "code": code}}
    return lambda handler, asked: handler.send_json(error, status, **headers)


def sends(body: bytes, **headers: str) -> Answer:
    """These bytes, with a status of 200."""
    return lambda handler, asked: handler.send(200, body, **headers)


def drips(seconds: float) -> Answer:
    """A byte at a time, for so long at most."""

    def answer(handler: Handler, asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            time.sleep(0.02)
        handler.close_connection = True

    return answer


def waits(seconds: float) -> Answer:
    """Nothing for so long, then a good answer."""

    def answer(handler: Handler, asked: Asked) -> None:
        time.sleep(seconds)
        handler.send_json(edited(asked))

    return answer


def floods(handler: Handler, asked: Asked) -> None:
    """Much more than was announced to be sane, in chunks."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    block = b" " * (1 << 16)
    for _ in range(MOST >> 16):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
    handler.wfile.write(b"0\r\n\r\n")


def hangs_up(handler: Handler, asked: Asked) -> None:
    """Half an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data"')
    handler.close_connection = True


@contextmanager
def image_server() -> Iterator[ImageServer]:
    """The server, until the block ends."""
    state = ImageServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"server_state": state}))
    server.daemon_threads = True
    state.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
