"""Judges behind an OpenAI-compatible endpoint, against a server on this machine that behaves and misbehaves."""

import base64
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import EndpointError, ImageError, OptionError, UnknownNameError
from evalkit.images.decode import decode_image
from evalkit.judges.base import JudgeSettings, Question
from evalkit.judges.open import open_judge
from evalkit.storage import endpoint
from tests.images.corpus import seeds
from tests.support.judging import completes, fails, hangs, judge_server, pictures_in, says_bytes
from tests.support.pictures import encoded

KEY = "sk-test-0123456789abcdef"
SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}


@pytest.fixture
def server():
    """A server that judges whatever it is asked to."""
    with judge_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def naps(monkeypatch):
    """How long would have been waited, each time; nobody waits."""
    slept = []
    monkeypatch.setattr(endpoint.time, "sleep", slept.append)
    return slept


def picture(size=(40, 20), **settings):
    """A red picture, as it is sent."""
    return JudgeSettings(**settings).picture(Image.new("RGB", size, "red"))


def question(**more) -> Question:
    """Two texts with a picture between them."""
    return Question(parts=("Before:", picture(), "How good?"), system="You judge.", **more)


def ask(server, asked=None, *, seed=0, model="judge-1", **settings):
    """One answer."""
    return open_judge(server.spec(model), JudgeSettings(**settings)).ask(asked or question(), seed=seed)


# What is sent, and what is made of the answer


def test_a_question_is_one_request_with_texts_and_pictures_in_their_order(server):
    """Model, temperature, seed, length and the form of the answer go with it; pictures are data URLs."""
    answer = ask(server, question(schema=SCHEMA), seed=3, max_tokens=77, temperature=0.5)
    (asked,) = server.asked
    assert (asked["model"], asked["temperature"], asked["seed"], asked["max_tokens"]) == ("judge-1", 0.5, 3, 77)
    assert asked["messages"][0] == {"role": "system", "content": "You judge."}
    parts = asked["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text"]
    assert asked["response_format"]["json_schema"]["schema"] == SCHEMA
    (url,) = pictures_in(asked)
    shown = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    assert (shown.size, shown.getpixel((0, 0))) == ((40, 20), (255, 0, 0))
    assert answer.text.startswith('{"following"')
    assert (answer.model, answer.finish, answer.is_structured) == ("judge-1-2026-11-01", "stop", True)
    assert (answer.input_tokens, answer.output_tokens, answer.system_fingerprint) == (1000, 50, "fp_1")
    assert server.keys == [None]


@pytest.mark.parametrize(
    ("says", "kept"),
    [("a\nmodel\x1b[31m\u202e 2", "a model [31m 2"), ("\n", "judge-1"), (7, "7"), ("m" * 300, "m" * 199 + "…")],
)
def test_a_models_name_is_one_line_whatever_the_server_calls_it(server, says, kept):
    """Signatures and tables hold it; where nothing is left of it, it is the name that was asked for."""
    server.then = completes("8", model=says)
    assert ask(server).model == kept


@pytest.mark.parametrize(
    ("address", "model"),
    [("{}/Qwen/Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B"), ("{}#v1/other", "v1/other"), ("{}/m:free", "m:free")],
)
def test_the_model_is_what_stands_behind_the_version_or_the_hash(server, address, model):
    """Names with slashes and colons are taken whole."""
    open_judge(address.format(server.base_url)).ask(question())
    assert server.asked[0]["model"] == model


@pytest.mark.parametrize(
    ("more", "settings", "cost"),
    [
        ({"usage": {"cost": 0.0125}}, {"price_input": 1.0}, 0.0125),
        ({}, {"price_input": 2.5, "price_output": 10.0}, (1000 * 2.5 + 50 * 10) / 1e6),
        ({}, {"price_output": 10.0}, 50 * 10 / 1e6),
        ({"usage": {"prompt_tokens": 5}}, {"price_input": 2.5, "price_output": 10.0}, None),
        ({}, {}, None),
        ({"usage": "much"}, {"price_input": 1.0}, None),
    ],
)
def test_the_cost_is_what_the_server_says_or_else_what_the_prices_make(server, more, settings, cost):
    """Nothing stands there where a number or a price is missing."""
    server.then = completes("8", **more)
    assert ask(server, **settings).cost == (None if cost is None else pytest.approx(cost, rel=1e-12))


def test_a_picture_is_made_smaller_and_never_larger():
    """The longer side keeps to the size, the other to the shape; the format is the one asked for."""
    assert picture((400, 100), image_size=64).open().size == (64, 16)
    assert picture((40, 20), image_size=64).open().size == (40, 20)
    assert picture((4000, 2), image_size=64).open().size == (64, 1)
    sent = picture((40, 20), image_format="jpeg")
    assert (sent.media_type, sent.data[:2]) == ("image/jpeg", b"\xff\xd8")
    assert (JudgeSettings().image_label, JudgeSettings(image_format="jpeg").image_label) == ("1024-png", "1024-jpeg95")


@pytest.mark.parametrize("settings", [{}, {"image_size": 16}, {"image_format": "jpeg"}])
def test_a_picture_from_its_file_is_sent_with_the_pixels_that_decoding_gives(settings):
    """Of every kind of file; a plain PNG that is small enough goes as it is, and nothing else does."""
    asks = JudgeSettings(**settings)
    files, as_they_are = seeds(), []
    del files["JPEG/EXIF"]  # of which Pillow warns
    for name, data in files.items():
        sent, made = asks.picture_of_file(data, name), asks.picture(decode_image(data, name).image)
        assert sent.format == made.format
        assert np.array_equal(sent.open(), made.open()), name
        as_they_are += [name] if sent.data == data else []
    assert all(files[name].startswith(b"\x89PNG") for name in as_they_are)
    assert bool(as_they_are) == (not settings)


@pytest.mark.parametrize("damage", [lambda data: data[:-99], lambda data: data[:50] + bytes(40) + data[90:]])
def test_a_picture_whose_file_is_damaged_is_refused_by_name(damage):
    """By what decoding says of it."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.raises(ImageError, match=r"cat\.png cannot be used as an image: "):
        JudgeSettings().picture_of_file(damage(encoded(pixels)), "cat.png")


@pytest.mark.parametrize(
    ("reply", "text", "finish"),
    [
        (completes(None, refusal="I will not."), "I will not.", "refusal"),
        (completes("Half an", finish="length"), "Half an", "length"),
        (completes("", finish="content_filter"), "", "refusal"),
        (completes("x", finish="tool_calls"), "x", "other"),
        (
            fails(400, "Rejected by the safety system.", "content_filter"),
            "refused (content_filter): Rejected by",
            "refusal",
        ),
        (completes([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab", "stop"),  # type: ignore[arg-type]
    ],
)
def test_how_an_answer_ended_is_said(server, reply, text, finish):
    """A refusal is an answer, whether it comes as a message or as an error."""
    server.then = reply
    answer = ask(server)
    assert answer.text.startswith(text)
    assert answer.finish == finish
    assert len(server.asked) == 1


# What servers do not know


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Unknown field: response_format.", "response_format"),
        ("json_schema is not supported", "response_format"),
        ("'seed' is not permitted", "seed"),
    ],
)
def test_a_field_that_a_server_does_not_know_is_left_out_from_then_on(server, message, field):
    """It is refused once; the answers say that they were not held to the schema."""
    server.script = [fails(400, message)]
    judge = open_judge(server.spec())
    answers = [judge.ask(question(schema=SCHEMA)) for _ in range(2)]
    assert [field in asked for asked in server.asked] == [True, False, False]
    assert [answer.is_structured for answer in answers] == [field != "response_format"] * 2


def test_the_length_goes_by_the_name_that_a_server_wants(server):
    """Newer models of OpenAI refuse ``max_tokens``."""
    server.script = [fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")]
    ask(server, max_tokens=99)
    assert "max_tokens" not in server.asked[1]
    assert server.asked[1]["max_completion_tokens"] == 99


def test_a_temperature_of_none_is_not_sent(server):
    """For models that have only their own; a refused temperature is not left out by itself, as it changes answers."""
    ask(server, temperature=None)
    assert "temperature" not in server.asked[0]
    server.then = fails(400, "Unsupported value: 'temperature'")
    with pytest.raises(EndpointError, match="temperature"):
        ask(server)


# Failures


def test_a_wait_that_is_asked_for_is_waited(server, naps):
    """Retry-After is kept to the second, then the answer comes."""
    server.script = [fails(429, Retry_After="7"), fails(500)]
    assert ask(server).finish == "stop"
    assert naps[0] == 7
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (says_bytes(b"<html>Busy</html>"), "not a JSON object: it begins with '<html>Busy</html>'"),
        (says_bytes(b'{"choices": []}'), "holds no message: expected choices"),
        (says_bytes(b'{"choices": [{"message": "hi"}]}'), "holds no message"),
        (says_bytes(b'{"error": {"message": "Broken."}}'), "the server answered 200: Broken."),
        (fails(500), r"the server answered 500 \(some_error\): told to fail \(2 tries\)"),
        (fails(400, "Image too large."), "the server answered 400"),
    ],
)
def test_what_is_no_answer_is_an_error_in_the_servers_words(server, naps, reply, message):
    """It is not taken for an answer, nor for one that could not be read."""
    server.then = reply
    with pytest.raises(EndpointError, match=message) as failed:
        ask(server, retries=1)
    assert not failed.value.fatal


def test_a_server_that_hangs_is_given_up_at_the_time_limit(server):
    """However long it would take."""
    server.then = hangs(2.0)
    start = time.monotonic()
    with pytest.raises(EndpointError, match=r"no whole answer within 0.3 s"):
        ask(server, time_limit=0.3, retries=0)
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("status", [401, 404])
def test_what_every_question_would_get_is_asked_once(server, status):
    """The error says that it is no use to go on."""
    server.then = fails(status, "Wrong.")
    judge = open_judge(server.spec())
    for _ in range(2):
        with pytest.raises(EndpointError, match=r"Wrong\.") as failed:
            judge.ask(question())
        assert failed.value.fatal
    assert len(server.asked) == 1


def test_threads_ask_at_the_same_time(server):
    """Eight of them are in hand together."""
    barrier = threading.Barrier(8, timeout=10)

    def together(handler, asked):
        barrier.wait()
        handler.complete("8")

    server.then = together
    judge = open_judge(server.spec())
    threads = [threading.Thread(target=judge.ask, args=[question()]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most == 8


# The key, and what is typed


def test_the_key_goes_to_the_server_only_where_it_is_named(server, monkeypatch):
    """OPENAI_API_KEY in the environment is not for every address; no message repeats a key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ask(server)
    server.then = fails(400, f"Bad key {KEY}")
    with pytest.raises(EndpointError, match="Bad key …"):
        ask(server, key_variable="OPENAI_API_KEY")
    assert server.keys == [None, f"Bearer {KEY}"]


def test_openai_wants_its_key(monkeypatch):
    """Before anything is asked."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(OptionError, match="OPENAI_API_KEY holds no key"):
        open_judge("judge:https://api.openai.com/v1/gpt")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("judge:http://localhost:8000", OptionError, "expected an address with /v1/ and a model"),
        ("judge:http://me:secret@localhost/v1/m", OptionError, "must not hold a key or password"),
        ("judge:", OptionError, "got nothing"),
        ("judge:htpp://localhost/v1/m", UnknownNameError, "no judge 'htpp'. Did you mean http"),
    ],
)
def test_a_specification_that_cannot_be_understood_is_refused(spec, error, message):
    """One sentence, with an example; secrets are not repeated."""
    with pytest.raises(error, match=message) as refused:
        open_judge(spec)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temprature": "1"}, r"no setting 'temprature'\. Did you mean temperature\?"),
        ({"temperature": "hot"}, "The judge's setting 'temperature': .*, got 'hot'"),
        ({"image_format": "gif"}, "'image_format': .*'png' or 'jpeg', got 'gif'"),
        ({"price_input": "nan"}, "'price_input'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(values, message):
    """By its name, with what was typed."""
    with pytest.raises(OptionError, match=message):
        JudgeSettings.read(values)


def test_settings_are_read_from_text():
    """As they are typed; ``none`` and nothing are None."""
    read = JudgeSettings.read({"temperature": "none", "max_tokens": "9", "price_input": "", "key_variable": ""})
    assert read == JudgeSettings(temperature=None, max_tokens=9)
