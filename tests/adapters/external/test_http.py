"""The method ``http`` against a server on this machine."""

import base64
import gzip
import io
import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.editing import Edited
from evalkit.editing.method import MethodRun
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import read_manifest
from evalkit.errors import OptionError
from evalkit.images.decode import read_image
from evalkit.storage import endpoint
from evalkit_adapters.external.http import HTTP
from tests.support.fakes import save_picture
from tests.support.image_server import (
    drips,
    edited,
    floods,
    hangs_up,
    image_server,
    png,
    says,
    sends,
    waits,
)
from tests.support.toys import make, toy_items

KEY = "sk-test-0123456789abcdef"
SIDE = 32


@pytest.fixture
def server():
    """A server that edits whatever it is asked to."""
    with image_server() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """The key is in the environment, no proxy is, and nobody waits longer than a moment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def naps(monkeypatch):
    """How long the method would have waited, each time; it does not wait."""
    slept = []
    monkeypatch.setattr(endpoint.time, "sleep", slept.append)
    return slept


def items_in(folder, n_items=1) -> list[EditItem]:
    """Items with instructions."""
    return [replace(item, instruction=f"Do {item.item_id}.") for item in toy_items(folder, n_items)]


def run_of(server, **settings: Any) -> MethodRun:
    """A run at the published settings, but for these."""
    values = HTTP.card.values(miniature=False) | {"base_url": server.base_url, "sizes": "64x64"} | settings
    return MethodRun(model="", revision=None, settings=values)


def ask(server, folder, n_items=1, **settings: Any) -> Edited:
    """Edit some items."""
    return make(HTTP, items_in(folder, n_items), folder / "out", run=run_of(server, **settings))


def reason_of(done: Edited) -> str:
    """Why the only item failed."""
    (failure,) = done.failures
    return failure.reason


# What is sent, and what is made of the answer


def test_an_edit_is_one_request_whose_answer_has_the_frame_of_the_source(server, tmp_path):
    """Model, text, size and image go out with the key; the picture comes back in the source's size."""
    assert ask(server, tmp_path, quality="low", sizes="32x32,64x32").n_edited == 1
    (asked,) = server.asked
    assert asked.path == "/v1/images/edits"
    assert asked.authorization == f"Bearer {KEY}"
    fields = {"model": "gpt-image-1", "prompt": "Do item_0.", "n": "1", "size": "32x32", "quality": "low"}
    assert asked.fields == fields
    source, made = (read_image(path) for path in (tmp_path / "source_0.png", tmp_path / "out" / "item_0" / "0.png"))
    assert made.size == (SIDE, SIDE)
    assert np.array_equal(np.asarray(made), 255 - np.asarray(source))


def test_the_target_caption_and_the_seed_are_sent_where_they_are_asked_for(server, tmp_path):
    """Both are settings, as is sending no size: then the source goes out as it is."""
    ask(server, tmp_path, prompt="target_caption", send_seed=True, sizes="", model="local")
    (asked,) = server.asked
    prompt = "Another thing, number 0."
    assert asked.fields == {"model": "local", "prompt": prompt, "n": "1", "seed": "0"}
    assert Image.open(io.BytesIO(asked.image)).size == (SIDE, SIDE)


def test_a_picture_behind_an_address_is_fetched_without_the_key(server, tmp_path):
    """The key is the endpoint's; whoever keeps its files does not get it."""
    server.file = png(Image.new("RGB", (64, 64), "red"))
    server.then = sends(json.dumps({"data": [{"url": server.base_url.replace("/v1", "/file.png")}]}).encode())
    assert ask(server, tmp_path).n_edited == 1
    assert read_image(tmp_path / "out" / "item_0" / "0.png").getpixel((5, 5)) == (255, 0, 0)
    assert server.downloads == [None]


@pytest.mark.parametrize("size", [(48, 32), (32, 48), (33, 32), (90, 30), (32, 32)])
def test_what_a_server_gives_back_untouched_lies_where_it_lay(server, tmp_path, size):
    """Whatever its shape, a source that a server only copies comes back pixel on pixel, but for the resizing."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    smooth = np.stack([rows * 255 / size[1], columns * 255 / size[0], 0 * rows + 90], axis=2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "wide.png")
    item = EditItem(item_id="wide", source_image=tmp_path / "wide.png", instruction="Copy.")
    server.then = lambda handler, asked: handler.send_json(
        {"data": [{"b64_json": base64.b64encode(asked.image).decode()}]}
    )
    make(HTTP, [item], tmp_path / "out", run=run_of(server, sizes="96x96,144x96,96x144"))
    made = read_image(tmp_path / "out" / "wide" / "0.png")
    assert made.size == size
    assert np.abs(np.asarray(made, float) - smooth).max() <= 6
    asked = Image.open(io.BytesIO(server.asked[0].image)).size
    assert asked == {1.5: (144, 96), 3: (144, 96), 2 / 3: (96, 144)}.get(size[0] / size[1], (96, 96))


def test_an_answer_of_another_shape_than_asked_for_is_refused(server, tmp_path):
    """It cannot be laid over the source; the message names the size that the server has."""
    server.then = lambda handler, asked: handler.send_json(
        {"data": [{"b64_json": base64.b64encode(png(Image.new("RGB", (60, 40)))).decode()}]}
    )
    assert "asked for 64 × 64 and answered with 60 × 40; name the sizes that it has" in reason_of(ask(server, tmp_path))


# What it costs


@pytest.mark.parametrize(
    ("answer", "settings", "cost"),
    [
        ({"usage": {"cost": 0.0125}}, {}, 0.0125),
        ({"cost": 0.5, "usage": {"output_tokens": 10}}, {"price_output_tokens": 1.0}, 0.5),
        ({"usage": {"cost": 0}}, {}, 0.0),
        (
            {"usage": {"input_tokens_details": {"text_tokens": 20, "image_tokens": 300}, "output_tokens": 4000}},
            {"price_text_tokens": 5.0, "price_image_tokens": 10.0, "price_output_tokens": 40.0},
            (20 * 5 + 300 * 10 + 4000 * 40) / 1e6,
        ),
        ({"usage": {"input_tokens": 100}}, {"price_image_tokens": 10.0}, 0.001),
        ({}, {"price_edit": 0.02}, 0.02),
        ({"usage": {"output_tokens": 4000}}, {}, None),
        ({"usage": "much", "cost": "1"}, {}, None),
    ],
)
def test_the_cost_is_what_the_server_says_or_else_what_the_prices_make(server, tmp_path, answer, settings, cost):
    """It stands in the manifest with its currency, and nothing stands there if it is not known."""
    server.then = lambda handler, asked: handler.send_json(edited(asked, **answer))
    done = ask(server, tmp_path, currency="EUR", **settings)
    (item,) = read_manifest(tmp_path / "out").items
    assert item.cost == (None if cost is None else pytest.approx(cost, rel=1e-12))
    assert item.currency == (None if cost is None else "EUR")
    assert done.costs == ({} if cost is None else {"EUR": pytest.approx(cost)})


def test_costs_survive_a_resume_and_only_new_ones_are_counted(server, tmp_path):
    """What was paid stays in the manifest; a run says what it was charged itself."""
    ask(server, tmp_path, 2, price_edit=0.25)
    done = ask(server, tmp_path, 3, price_edit=0.5, requests_per_minute=6000.0, retries=1)
    assert (done.n_kept, done.costs) == (2, {"USD": 0.5})
    assert [item.cost for item in read_manifest(tmp_path / "out").items] == [0.25, 0.25, 0.5]


# Failures that pass


def test_too_many_requests_are_repeated_after_the_wait_that_is_asked_for(server, tmp_path, naps):
    """Retry-After is kept to the second."""
    server.script = [says(429, Retry_After="7")]
    assert ask(server, tmp_path).n_edited == 1
    assert naps == [7]
    assert len(server.asked) == 2


def test_a_wait_that_is_too_long_fails_the_item(server, tmp_path, naps):
    """An hour is not waited for."""
    server.script = [says(429, "Daily limit.", Retry_After="3600")]
    assert reason_of(ask(server, tmp_path)) == (
        "the server answered 429 (some_error): Daily limit. (it asks for a wait of 3600 s, longest_wait is 120 s)"
    )
    assert naps == []


@pytest.mark.parametrize("answer", [says(500), says(503, Retry_After="nonsense"), hangs_up], ids=["500", "503", "cut"])
def test_a_server_that_fails_is_asked_again_later_and_later_and_then_given_up(server, tmp_path, naps, answer):
    """Four tries; the waits double; the reason has the server's own words; the next item is tried."""
    server.then = answer
    done = ask(server, tmp_path, 2, retries=3)
    assert len(server.asked) == 8
    assert all(failure.reason.endswith("(4 tries)") for failure in done.failures)
    assert naps[0] == naps[3] == 0
    assert 4 <= naps[1] <= 4.25
    assert 8 <= naps[2] <= 8.25


@pytest.mark.parametrize("answer", [waits(1.0), drips(2.0)], ids=["silent", "dripping"])
def test_a_slow_answer_is_given_up_at_the_time_limit(server, tmp_path, answer):
    """Whether nothing comes or a byte at a time; then it is asked again."""
    server.script = [answer]
    start = time.perf_counter()
    assert ask(server, tmp_path, time_limit=0.3).n_edited == 1
    assert time.perf_counter() - start < 1.5
    assert len(server.asked) == 2
    server.script = [answer]
    failed = make(HTTP, items_in(tmp_path), tmp_path / "two", run=run_of(server, time_limit=0.3, retries=0))
    assert reason_of(failed) == "the server gave no whole answer within 0.3 s"


def test_requests_are_paced(server, tmp_path, monkeypatch):
    """By a clock of our own: 300 a minute start 0.2 s apart, repeated ones too, or at once if an answer took longer."""
    now, starts, durations = 1000.0, [], iter([0.05, 0.0, 0.5, 0.1])

    def pass_time(seconds):
        nonlocal now
        now += seconds

    def answers(answer):
        def timed(handler, asked):
            starts.append(now)
            pass_time(next(durations))
            answer(handler, asked)

        return timed

    monkeypatch.setattr(endpoint, "time", SimpleNamespace(monotonic=lambda: now, sleep=pass_time))
    server.script, server.then = [answers(says(500))], answers(server.then)
    assert ask(server, tmp_path, 3, requests_per_minute=300.0).n_edited == 3
    assert starts == pytest.approx([1000, 1000.2, 1000.4, 1000.9], abs=1e-9)


# Failures that last


@pytest.mark.parametrize(
    ("status", "code"), [(400, "moderation_blocked"), (403, "content_policy_violation"), (400, None)]
)
def test_a_refusal_is_a_failure_in_the_servers_words_and_is_not_repeated(server, tmp_path, status, code):
    """What the safety system rejects is recorded as refused; the next item is asked for."""
    server.script = [says(status, "Your request was rejected by the safety system.", code)]
    done = ask(server, tmp_path, 2)
    assert (done.n_edited, len(server.asked)) == (1, 2)
    assert reason_of(done) == f"refused ({code or 'some_error'}): Your request was rejected by the safety system."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(400, "Unknown parameter.", "bad"), "the server answered 400 (bad): Unknown parameter."),
        (sends(b"<html>Busy</html>"), "the server's answer is not a JSON object: it begins with '<html>Busy</html>'"),
        (sends(b"[1, 2]"), "not a JSON object: it begins with '[1, 2]'"),
        (sends(b"[" * 100_000), "the server's answer is not a JSON object"),
        (sends(b'{"data": []}'), "holds no image: expected data[0] with b64_json or url, got data"),
        (sends(b'{"data": [{"url": "file:///etc/passwd"}]}'), "the server's answer holds no image"),
        (sends(b'{"data": [{"b64_json": "a"}]}'), "the server's b64_json is not base64"),
        (
            sends(b'{"data": [{"b64_json": "Z2FyYmFnZQ=="}]}'),
            "the server's image cannot be used as an image: it is not",
        ),
        (sends(b'{"error": {"code": "safety", "message": "No."}}'), "refused (safety): No."),
        (sends(b'{"error": "No."}'), "the server answered 200: No."),
        (floods, "the server's answer is larger than 1 MiB"),
        (sends(gzip.compress(bytes(32 << 20)), Content_Encoding="gzip"), "the server's answer is larger than 1 MiB"),
        (
            lambda handler, asked: handler.send(302, b"", Location="http://127.0.0.1:9/"),
            "answered 302 and points elsewhere",
        ),
    ],
)
def test_whatever_else_comes_is_the_items_reason(server, tmp_path, monkeypatch, answer, reason):
    """Nothing that a server sends ends the run, or is asked for again."""
    monkeypatch.setattr(endpoint, "MAX_BYTES", 1 << 20)
    server.script = [answer]
    done = ask(server, tmp_path, 2)
    assert reason in reason_of(done)
    assert (done.n_edited, len(server.asked)) == (1, 2)


@pytest.mark.parametrize("status", [401, 402, 404])
def test_what_every_item_would_get_is_asked_for_once(server, tmp_path, status):
    """A wrong key, an empty account or a wrong address is not tried a hundred times."""
    server.then = says(status, "Wrong.")
    done = ask(server, tmp_path, 5)
    assert len(server.asked) == 1
    assert done.failures[0].reason == f"the server answered {status} (some_error): Wrong."
    assert done.failures[4].reason.startswith("not tried, as an item before it: the server answered")


def test_a_server_that_is_not_there_is_said_to_be_not_there(server, tmp_path, naps):
    """The address and the cause, once for all items; when it is there again, the run goes on."""
    run = run_of(server, base_url="http://127.0.0.1:9/v1", retries=2)
    done = make(HTTP, items_in(tmp_path, 3), tmp_path / "out", run=run)
    assert len(naps) == 2
    assert done.failures[0].reason == "the connection to 127.0.0.1:9 failed: Connection refused (3 tries)"
    assert done.failures[2].reason.startswith("not tried")
    assert ask(server, tmp_path, 3).n_edited == 3


def test_an_item_without_the_text_that_is_sent_fails_alone(server, tmp_path):
    """The reason says which other text there is."""
    items = [replace(items_in(tmp_path)[0], instruction=None), *items_in(tmp_path, 2)[1:]]
    done = make(HTTP, items, tmp_path / "out", run=run_of(server))
    assert reason_of(done) == "the item has no instruction to send; perhaps --set prompt=target_caption"
    assert done.n_edited == 1


# The key


def test_the_key_is_written_nowhere(server, tmp_path):
    """Neither a file of the folder nor anything printed holds it, even where the server repeats it and with --debug."""
    server.script = [says(400, f"Incorrect API key provided: {KEY}.", KEY), sends(KEY.encode())]
    for index in range(3):
        save_picture(tmp_path / "mine" / f"{index}.png", index, SIDE)
    rows = [
        {"item_id": str(n), "source_image_file_name": f"{n}.png", "instruction": "Do.", "target_caption": "Done."}
        for n in range(3)
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ["--sources", tmp_path / "mine", "--captions", tmp_path / "captions.jsonl", "--output", tmp_path / "out"]
    settings = ["--set", f"base_url={server.base_url}", "--set", "sizes=64x64", "--set", "price_edit=0.04", "--debug"]
    done = CliRunner().invoke(main, ["edit", "http", *map(str, options), *settings])
    assert done.exit_code == 3, done.output
    assert "HTTP endpoint: 1 edits in " in done.stdout
    assert ", charged 0.04 USD" in done.stdout
    assert "Incorrect API key provided: …" in done.stdout
    assert len(server.asked) == 3
    assert server.asked[2].authorization == f"Bearer {KEY}"
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) >= 5
    assert KEY not in done.output
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_without_a_key_nothing_is_asked(server, tmp_path, monkeypatch):
    """The message says how to set it; a server that wants none gets none."""
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(OptionError, match="The environment variable OPENAI_API_KEY holds no key"):
        ask(server, tmp_path)
    assert ask(server, tmp_path, key_variable="").n_edited == 1
    assert server.asked[0].authorization is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key_variable": "sk-secret"}, "must be the name of an environment variable, not a key"),
        ({"base_url": "https://me:secret@example.org/v1"}, "must not hold a key or password"),
        ({"base_url": "https://example.org/v1?key=secret"}, "must not hold a key or password"),
        ({"base_url": "example.org/v1"}, "must be like http://localhost:8000/v1; got 'example.org/v1'"),
        ({"base_url": "file:///tmp"}, "must be like http"),
        ({"sizes": "big"}, "must be like 1024x1024,1536x1024,1024x1536; got 'big'"),
    ],
)
def test_wrong_settings_stop_the_run_and_are_not_repeated_where_they_may_be_secret(server, tmp_path, settings, message):
    """One sentence, before anything is asked or written."""
    with pytest.raises(OptionError, match=message.replace("(", r"\(")) as refused:
        ask(server, tmp_path, **settings)
    assert "secret" not in str(refused.value)
    assert server.asked == []
    assert not (tmp_path / "out" / "method.json").exists()
