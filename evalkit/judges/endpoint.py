"""Judges behind an OpenAI-compatible endpoint: a vLLM server of one's own, or a service."""

import base64
import re
import threading
import time
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json

from evalkit.errors import EndpointError, OptionError, import_extra
from evalkit.formatting import one_line, shortened
from evalkit.judges.base import LONGEST_NAME, Finish, JudgeAnswer, JudgeSettings, Picture, Question
from evalkit.storage.services import service_key, service_url

_MODEL_AFTER = re.compile(r"(https?://[^#]*?/v\d+\w*)/([^#]+)|(https?://[^#]+)#(.+)")
"""Address and model: behind ``/v1/``, or behind ``#`` where the address does not end so."""
_OWN_KEY = {"api.openai.com": "OPENAI_API_KEY"}
"""Hosts whose key has a usual place; no other host is sent it."""
_FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "refusal"}
_JSON = {"Content-Type": "application/json"}
_MALFORMED = frozenset({400, 422})
"""Statuses by which servers say that they do not know a field."""


def open_endpoint(spec: str, settings: JudgeSettings, *, device: str) -> "EndpointJudge":  # noqa: ARG001 - it is elsewhere
    """A judge behind HTTP, of whom nothing is asked yet.

    Raises:
        OptionError: There is no model in the address, or the key is not where it should be.
        MissingExtraError: requests is not installed.
    """
    import_extra("requests", "http")
    found = _MODEL_AFTER.fullmatch(spec)
    if not found:
        raise OptionError(
            "Judge: expected an address with /v1/ and a model, such as judge:http://localhost:8000/v1/MODEL, or one "
            "with # before the model."
        )
    address = service_url(found[1] or found[3], "The judge's address")
    host = urlsplit(address).hostname or ""
    key = service_key(settings.key_variable or _OWN_KEY.get(host, ""), "--judge-set")
    return EndpointJudge(address, found[2] or found[4], key, settings)


class EndpointJudge:
    """A model behind ``{address}/chat/completions``.

    What a server does not take is left out from then on: ``response_format``, by which an answer is held to a schema,
    and ``seed``; and ``max_tokens`` becomes ``max_completion_tokens`` where that is what it wants.

    Args:
        address: Up to ``/v1``.
        model: As the server calls it.
        key: Sent with each request, and written nowhere.
        settings: How it is asked.
    """

    def __init__(self, address: str, model: str, key: str | None, settings: JudgeSettings) -> None:
        from evalkit.storage.endpoint import Endpoint

        self._address = address
        self._model = model
        self._settings = settings
        self._endpoint = Endpoint(
            url=f"{address}/chat/completions",
            key=key,
            time_limit=settings.time_limit,
            retries=settings.retries,
            longest_wait=settings.longest_wait,
            requests_per_minute=settings.requests_per_minute,
        )
        self._lock = threading.Lock()
        self._refused_fields: set[str] = set()

    @property
    def label(self) -> str:
        """The model as it was asked for."""
        return f"http/{self._model}"

    @property
    def key(self) -> Mapping[str, Any]:
        """Address, model, temperature and length of answers."""
        return {
            "address": self._address,
            "model": self._model,
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
        }

    def ask(self, question: Question, *, seed: int = 0) -> JudgeAnswer:
        """The model's answer, which may be a refusal.

        Raises:
            EndpointError: The server failed, or its answer is no chat completion.
        """
        body = self._body(question, seed)
        while True:
            left_out = set(self._refused_fields)
            sent = _without(body, left_out)
            start = time.monotonic()
            try:
                answer = self._endpoint.ask(data=to_json(sent), headers=_JSON)
            except EndpointError as failure:
                if failure.refused:
                    return JudgeAnswer(text=str(failure), model=self._model, finish="refusal")
                if self._learns(failure, sent, left_out):
                    continue
                raise
            return self._read(answer, "response_format" in sent, time.monotonic() - start)

    def _body(self, question: Question, seed: int) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": question.system}] if question.system else []
        messages.append({"role": "user", "content": [_sent(part) for part in question.parts]})
        body: dict[str, Any] = {"model": self._model, "messages": messages, "seed": seed}
        if self._settings.temperature is not None:
            body["temperature"] = self._settings.temperature
        body["max_tokens"] = self._settings.max_tokens
        if question.schema is not None:
            form = {"name": "answer", "strict": True, "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    def _learns(self, failure: EndpointError, sent: Mapping[str, Any], left_out: set[str]) -> bool:
        """Whether the server names a field of the request that it can do without; it is not sent again."""
        if failure.status not in _MALFORMED:
            return False
        named = [field for field in ("response_format", "json_schema", "seed", "max_tokens") if field in str(failure)]
        field = {"json_schema": "response_format"}.get(named[0], named[0]) if named else ""
        if field not in sent:
            return bool(self._refused_fields - left_out)  # another thread has learnt it meanwhile
        with self._lock:
            self._refused_fields.add(field)
        return True

    def _read(self, answer: Mapping[str, Any], is_structured: bool, seconds: float) -> JudgeAnswer:
        choices = answer.get("choices")
        first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        message = first.get("message")
        if not isinstance(message, dict):
            had = ", ".join(map(str, answer)) or "nothing"
            raise EndpointError(f"the server's answer holds no message: expected choices[0].message, got {had}")
        refusal, finish = message.get("refusal"), _FINISHES.get(str(first.get("finish_reason") or "stop"), "other")
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        sent, received = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        charged = next(
            (cost for cost in (_number(usage.get("cost")), _number(answer.get("cost"))) if cost is not None), None
        )
        fingerprint = answer.get("system_fingerprint")
        return JudgeAnswer(
            text=refusal if isinstance(refusal, str) and refusal else _text(message.get("content")),
            model=shortened(one_line(str(answer.get("model") or "")), LONGEST_NAME) or self._model,
            finish="refusal" if refusal else finish,
            is_structured=is_structured,
            system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
            input_tokens=sent,
            output_tokens=received,
            cost=self._settings.cost(sent, received) if charged is None else charged,
            seconds=round(seconds, 3),
        )


def _without(body: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """A request without fields that the server does not take."""
    left = {name: value for name, value in body.items() if name not in fields}
    return left | ({"max_completion_tokens": body["max_tokens"]} if "max_tokens" in fields else {})


def _sent(part: str | Picture) -> dict[str, Any]:
    """A part of a question as the protocol has it."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(part.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{data}"}}


def _text(content: object) -> str:
    """The text of a message, whether it is one or comes in parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        return None
    return float(value)
