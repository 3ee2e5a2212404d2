"""The server of a study: a page for raters on this machine, their pictures without names, and their answers."""

import hmac
import json
import os
import secrets
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import DataError
from evalkit.judges.pairs import Choice
from evalkit.report.local_server import LocalHandler, local_server
from evalkit.storage.documents import parse_json
from evalkit.storage.paths import cache_directory
from evalkit.voting.page import SIDES, described, png, policy, render_page
from evalkit.voting.session import AnswerError, Session
from evalkit.voting.study import Study

_MOST = 1 << 16
"""Bytes of what a page sends."""
_JSON = "application/json"


class _Join(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    rater: str = Field(max_length=1_000)


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    rater: int
    n: int
    answer: Choice | None
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)


def vote_server(session: Session, token: str, port: int) -> ThreadingHTTPServer:
    """A server of a study, bound to this machine and not yet started.

    Its page is at ``/TOKEN/``: whoever does not know the token, such as a page of another site, gets nothing, and can
    send nothing.

    Args:
        session: What takes the answers.
        token: In letters that an address may hold.
        port: 0 for any that is free.

    Raises:
        OptionError: The port cannot be used.
    """
    return local_server(partial(_VoteHandler, session=session, token=token, policy=policy("served")), port)


def token_of(study: Study) -> str:
    """The part of a study's address that nobody can guess: the same whenever it is served on this machine.

    So a page that is open goes on when the server, however it ended, is started again.

    Raises:
        OSError: The machine's key cannot be kept.
    """
    path = cache_directory() / "vote.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), open(path, "xb", opener=partial(os.open, mode=0o600)) as file:
        file.write(secrets.token_bytes(32))
    return hmac.new(path.read_bytes(), study.id.encode(), "sha256").hexdigest()[:32]


class _VoteHandler(LocalHandler):
    def __init__(self, *args: Any, session: Session, token: str, **kwargs: Any) -> None:  # noqa: ANN401
        self.session, self.token = session, token
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """The page, or one of a rater's pictures: ``RATER/BALLOT/SIDE``."""
        words = self._words()
        if words is None:
            return
        try:
            if words == [""]:
                page = render_page(self.session.study, "served", {})
                self._send(page.encode("utf-8", "replace"), "text/html; charset=utf-8")
            else:
                self._send(self._picture(*words), "image/png")
        except (DataError, ValueError, TypeError, IndexError):
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        """``join`` makes somebody a rater; ``answer`` keeps an answer."""
        words = self._words()
        if words is None or not self._is_own_page():
            return
        try:
            sent = parse_json(self._content())
            answer = {"join": self._join, "answer": self._answer}["/".join(words)](sent)
        except KeyError:
            self.send_error(HTTPStatus.NOT_FOUND)
        except AnswerError as failure:
            self._say(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(failure)})
        except (ValueError, ValidationError):
            self.send_error(HTTPStatus.BAD_REQUEST)
        except OSError as failure:
            reason = f"The vote cannot be written: {failure.strerror}."
            self._say(HTTPStatus.INSUFFICIENT_STORAGE, {"error": reason})
        else:
            self._say(HTTPStatus.OK, answer)

    def _words(self) -> list[str] | None:
        """What is asked for below the token; None where nobody may ask that, which is answered."""
        if not self.is_asked_by_name():
            return None
        parts = self.path.split("/")
        if len(parts) > 2 and not parts[0] and secrets.compare_digest(parts[1].encode(), self.token.encode()):
            return parts[2:]
        self.send_error(HTTPStatus.NOT_FOUND)
        return None

    def _is_own_page(self) -> bool:
        """Whether its own page sends this, and no other; if not, that is answered."""
        origin, kind = self.headers.get("Origin"), self.headers.get("Content-Type", "")
        own = {f"http://{name}" for name in self.own_names()}
        if (origin is None or origin in own) and kind.partition(";")[0].strip() == _JSON:
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _content(self) -> bytes:
        length = int(self.headers.get("Content-Length", ""))
        if not 0 <= length <= _MOST:
            raise ValueError("too long")
        return self.rfile.read(length)

    def _join(self, sent: object) -> dict[str, Any]:
        number = self.session.join(_Join.model_validate(sent).rater)
        ballots = self.session.ballots(number)
        return {
            "rater": number,
            "ballots": [
                {"texts": texts, **{side: f"{number}/{n}/{side}" for side in SIDES}}
                for n, texts in enumerate(described(ballots, self.session.edits))
            ],
            "answers": self.session.answers(number),
        }

    def _answer(self, sent: object) -> dict[str, Any]:
        given = _Answered.model_validate(sent)
        self.session.answer(given.rater, given.n, given.answer, given.seconds)
        return {}

    def _picture(self, rater: str, n: str, side: str) -> bytes:
        if side not in SIDES or not (rater.isdecimal() and n.isdecimal()):
            raise ValueError("no picture")
        return png(self.session.edits.picture(self.session.ballots(int(rater))[int(n)], side))

    def _say(self, status: HTTPStatus, value: object) -> None:
        self._send(json.dumps(value).encode(), _JSON, status)

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - http.server's signature
        """Who votes is not written anywhere but in the votes."""
