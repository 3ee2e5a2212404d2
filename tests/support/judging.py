"""A server on this machine that judges as told, and a tiny model of a real class that looks at pictures."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

JudgeReply = Callable[["JudgeHandler", dict[str, Any]], None]


def usual_answer(asked: dict[str, Any]) -> str:
    """The same numbers for every edit, and of two edits the left one."""
    is_pair = "answer" in asked.get("response_format", {}).get("json_schema", {}).get("schema", {}).get(
        "properties", {}
    )
    return '{"answer": "left"}' if is_pair else '{"following": 8, "preservation": 6, "quality": 9}'


@dataclass
class JudgeServer:
    """What was asked, and what is to be answered."""

    base_url: str = ""
    script: list[JudgeReply] = field(default_factory=list)
    """The answers to the first requests."""
    then: JudgeReply = lambda handler, asked: handler.complete(usual_answer(asked))
    """The answer to all others."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keeps: bool = True
    """Whether what was asked is kept."""
    keys: list[str | None] = field(default_factory=list)
    """The Authorization header of each request."""
    most: int = 0
    """Requests that were in hand at the same time."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    now: int = 0

    def spec(self, model: str = "judge-1") -> str:
        """The specification of a model of this server."""
        return f"judge:{self.base_url}/{model}"


class JudgeHandler(BaseHTTPRequestHandler):
    """One connection."""

    server_state: JudgeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class named it
        """Nothing on standard error."""

    def do_POST(self) -> None:
        """The next answer of the script."""
        state, body = self.server_state, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            if state.keeps:
                state.asked.append(body)
                state.keys.append(self.headers.get("Authorization"))
            state.now += 1
            state.most = max(state.most, state.now)
            reply = state.script.pop(0) if state.script else state.then
        try:
            reply(self, body)
        except OSError:  # the client has hung up, as some tests want
            self.close_connection = True
        finally:
            with state.lock:
                state.now -= 1

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """One whole response."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def complete(self, text: str | None, *, finish: str = "stop", refusal: str | None = None, **more: Any) -> None:
        """A chat completion with this text."""
        message = {"role": "assistant", "content": text} | ({"refusal": refusal} if refusal else {})
        usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
        completion = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "judge-1-2026-11-01",
            "system_fingerprint": "fp_1",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage,
        }
        self.send(200, json.dumps(completion | more).encode())


def completes(text: str | None, **more: Any) -> JudgeReply:
    """This text."""
    return lambda handler, asked: handler.complete(text, **more)


def fails(status: int, message: str = "told to fail", code: str | None = None, **headers: str) -> JudgeReply:
    """An error as OpenAI writes it."""
    body = json.dumps({"error": {"message": message, "type": "some_error", "code": code}}).encode()
    return lambda handler, asked: handler.send(status, body, **headers)


def says_bytes(body: bytes) -> JudgeReply:
    """These bytes, with a status of 200."""
    return lambda handler, asked: handler.send(200, body)


def hangs_for(seconds: float) -> JudgeReply:
    """A good answer, after so long."""

    def reply(handler: JudgeHandler, asked: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.complete('{"following": 8, "preservation": 6, "quality": 9}')

    return reply


def hangs(seconds: float) -> JudgeReply:
    """Nothing for so long, then an answer."""

    def reply(handler: JudgeHandler, asked: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.complete("late")

    return reply


def pictures_in(asked: dict[str, Any]) -> list[str]:
    """The data URLs of a request."""
    parts = asked["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def words_in(asked: dict[str, Any]) -> str:
    """All texts of a request."""
    contents = [message["content"] for message in asked["messages"]]
    texts = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in contents]
    return "\n".join(part["text"] for each in texts for part in each if part["type"] == "text")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextmanager
def judge_server() -> Iterator[JudgeServer]:
    """The server, until the block ends."""
    state = JudgeServer()
    server = _Server(("127.0.0.1", 0), type("Bound", (JudgeHandler,), {"server_state": state}))
    state.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def save_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """A LLaVA with random weights and the processor of a real one, tokenizer apart, which knows bytes only."""
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: number for number, sign in enumerate(["<pad>", "<s>", "</s>", "<image>", *signs])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    vision = hf.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        initializer_range=0.5,
    )
    text = hf.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=8192, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=3, vision_feature_layer=-1)
    )
    images = hf.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    template = (
        "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
        "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %} {% endfor %}assistant: "
    )
    processor = hf.LlavaProcessor(
        image_processor=images, tokenizer=fast, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template,
    )  # fmt: skip
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
