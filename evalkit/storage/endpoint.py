"""Requests to a service: paced, repeated where that can help, bounded in time and size, the key kept secret.

The services are those that edit images (the method ``http``) and those that judge edits.
"""

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.util.retry import Retry

from evalkit.errors import EndpointError
from evalkit.storage.exchange import Exchanges

MAX_BYTES = 96 << 20
"""Of an answer; a 4096 × 4096 PNG in base64 has at most 67 MB."""
_BLOCK_SIZE = 64 << 10
_MESSAGE_LENGTH = 250
"""Characters of what a server says."""
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that another try may change."""
_FATAL = frozenset({401, 402, 404, 405})
"""Statuses that every item would get: the key, the account, the address or the model is wrong."""
_OK, _SUCCESS_CLASS = 200, 2
_REFUSING = frozenset({_OK, 400, 403, 422, 451})
_REFUSALS = ("moderation", "safety", "content_policy", "content_filter", "content policy")
"""Parts of the words with which servers refuse what was asked."""


@dataclass(kw_only=True)
class Endpoint:
    """One address, which threads may ask at the same time."""

    url: str
    key: str | None = field(repr=False)
    time_limit: float
    """Seconds per request, from its start to the last byte, whatever the server does."""
    retries: int
    longest_wait: float
    """Seconds between two tries; a server that asks for more has failed."""
    requests_per_minute: float | None
    _free_at: float = 0.0
    """Of the monotonic clock: when a request may start."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _exchanges: Exchanges = field(default_factory=Exchanges, repr=False)
    _fatal_error: str = ""
    """Why no further item need be tried."""

    def ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - what requests takes
        """The JSON object with which the server answers a POST request.

        Args:
            **request: What is sent, as ``requests`` takes it: ``data``, with ``headers`` or ``files``.

        Raises:
            EndpointError: It refused or failed; the message is what it said, without the key.
        """
        if self._fatal_error:
            raise EndpointError(f"not tried, as an item before it: {self._fatal_error}", fatal=True)
        content = self._request("POST", self.url, auth=self._authorise, allow_redirects=False, **request)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            start = self._clean(content[:80].decode(errors="replace"))
            raise EndpointError(f"the server's answer is not a JSON object: it begins with '{start}'")
        if answer.get("error"):  # some gateways say so with a status of 200
            raise _failure(_OK, *self._error_text(content))
        return answer

    def download(self, url: str) -> bytes:
        """The file that an answer points to; the key is for the endpoint only and does not go there."""
        return self._request("GET", url, auth=lambda request: request)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Puts the key in; as a function, it keeps requests from taking another out of a .netrc."""
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request

    def _request(self, method: str, url: str, **request: Any) -> bytes:  # noqa: ANN401 - what requests takes
        """The body of a successful answer, after as many tries as are allowed."""
        retry = Retry(self.retries, backoff_factor=2, backoff_max=self.longest_wait, backoff_jitter=0.25)
        while True:
            if method == "POST":
                self._pace()
            headers: Mapping[str, str] = {}
            try:
                response, content = self._exchange(method, url, **request)
                headers = response.headers
            except (requests.Timeout, requests.ConnectionError) as error:
                fault = EndpointError(self._connection_failure(error, url))
                if retry.total == 0 and method == "POST" and _is_unreachable(error):
                    fault.fatal, self._fatal_error = True, str(fault)
            except requests.RequestException as error:
                raise EndpointError(f"{urlsplit(url).netloc} cannot be asked: {self._clean(str(error))}") from None
            else:
                if response.status_code // 100 == _SUCCESS_CLASS:
                    return content
                fault = self._failure_of(response, content, url)
                if fault.fatal or fault.status not in _RETRYABLE:
                    raise fault
            retry = self._wait_for_retry(retry, method, url, headers, fault)

    def _wait_for_retry(
        self, retry: Retry, method: str, url: str, headers: Mapping[str, str], fault: EndpointError
    ) -> Retry:
        """Waits as long as the server asks for, or longer each time."""
        try:
            retry = retry.increment(method, url, error=fault)
        except MaxRetryError:
            raise fault.with_remark(f"{self.retries + 1} tries" if self.retries else "") from None
        seconds = retry.get_backoff_time()
        if asked := headers.get("Retry-After"):
            with suppress(InvalidHeader):
                seconds = retry.parse_retry_after(asked)
        if seconds > self.longest_wait:
            raise fault.with_remark(
                f"it asks for a wait of {seconds:.0f} s, longest_wait is {self.longest_wait:g} s"
            ) from None
        time.sleep(seconds)
        return retry

    def _pace(self) -> None:
        """Waits until another request is allowed."""
        if self.requests_per_minute is None:
            return
        with self._lock:  # who comes next waits behind this one
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + 60 / self.requests_per_minute

    def _exchange(self, method: str, url: str, **request: Any) -> tuple[requests.Response, bytes]:  # noqa: ANN401
        """An answer and all of its body, if they come in time.

        Raises:
            EndpointError: It is larger than any image.
            requests.Timeout: It takes too long.
            requests.RequestException: It is no answer.
        """

        def exchange(session: requests.Session) -> tuple[requests.Response, bytes]:
            with session.request(method, url, timeout=self.time_limit, stream=True, **request) as response:
                return response, _body(response)

        return self._exchanges.within(self.time_limit, exchange)

    def _connection_failure(self, error: requests.RequestException, url: str) -> str:
        """Why there is no answer."""
        if isinstance(error, requests.Timeout):
            return f"the server gave no whole answer within {self.time_limit:g} s"
        return f"the connection to {urlsplit(url).netloc} failed: {_cause(error)}"

    def _failure_of(self, response: requests.Response, content: bytes, url: str) -> EndpointError:
        """What is wrong by the server's own words."""
        status = response.status_code
        if response.is_redirect:
            message = f"the server answered {status} and points elsewhere; give the address itself"
            return EndpointError(message, status=status)
        code, message = self._error_text(content)
        fault = _failure(status, code, message or self._clean(response.reason or "no reason given"))
        if url == self.url and (status in _FATAL or code == "insufficient_quota"):
            fault.fatal, self._fatal_error = True, str(fault)
        return fault

    def _error_text(self, content: bytes) -> tuple[str, str]:
        """Code and sentence of an error."""
        code, message = _parse_error(content)
        return self._clean(code), self._clean(message)

    def _clean(self, text: str) -> str:
        """What a server said, on one line of fair length and without the key."""
        text = text.replace(self.key, "…") if self.key else text
        text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return text if len(text) <= _MESSAGE_LENGTH else f"{text[: _MESSAGE_LENGTH - 1]}…"


def _body(response: requests.Response) -> bytes:
    """All of a body, unless it is too large."""
    content = bytearray()
    try:
        while block := response.raw.read1(_BLOCK_SIZE, decode_content=True):  # what is there, however little
            content += block
            if len(content) > MAX_BYTES:
                raise EndpointError(f"the server's answer is larger than {MAX_BYTES >> 20} MiB")
    except ReadTimeoutError:
        raise requests.Timeout from None
    except HTTPError as error:
        raise requests.ConnectionError(error) from error
    return bytes(content)


def _failure(status: int, code: str, message: str) -> EndpointError:
    """What a server said, as a refusal or as a failure."""
    words, why = f"{code} {message}".lower(), f" ({code})" if code else ""
    if status in _REFUSING and any(word in words for word in _REFUSALS):
        return EndpointError(f"refused{why}: {message}", status=status, refused=True)
    return EndpointError(f"the server answered {status}{why}: {message}", status=status)


def _parse_error(content: bytes) -> tuple[str, str]:
    """Code and sentence of an error, in any of the forms that servers give them."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return "", content[: 4 * _MESSAGE_LENGTH].decode(errors="replace")
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return "", str(error)
    code = error.get("code") or error.get("type") or ""
    message = error.get("message") or error.get("detail") or error
    return code if isinstance(code, str) else "", message if isinstance(message, str) else json.dumps(message)


def _is_unreachable(error: requests.RequestException) -> bool:
    """Whether no connection could be made at all, which will be no different for the next item."""
    inner = error.args[0] if error.args else None
    return isinstance(error, requests.exceptions.SSLError) or isinstance(
        getattr(inner, "reason", inner), NewConnectionError
    )


def _cause(error: BaseException) -> str:
    """Why a connection failed, from the innermost error that says so."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return "it was broken off"
