"""The server of a study, by raw requests: who gets what, and what is taken."""

import json
import socket

import pytest

from evalkit.votes.read import read_votes
from tests.support.voting import asked, joined, served, session_of


def send(address, request):
    """The status of the answer to these very bytes, in which HOST and TOKEN stand for what they are."""
    host, _, token = address.removeprefix("http://").rstrip("/").partition("/")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=20) as connection:
        request = request.replace("HOST", host).replace("PORT", port).replace("TOKEN", token)
        connection.sendall(request.encode("latin-1"))
        return int(connection.recv(65536).split()[1])


def test_the_page_comes_with_a_policy_and_names_no_method(address, session):
    """Nothing but its own script runs, nobody may frame it, and it is not kept."""
    status, headers, content = asked(address, "GET", "")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'sha256-")
    assert policy.endswith("form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not any(method.name.encode() in content for method in session.edits.methods)


def test_nothing_that_a_rater_is_sent_names_a_method(address, session):
    """Neither texts nor addresses of pictures, nor what the pictures hold, nor headers; checks look like the others."""
    told = joined(address, "Anna")
    secret = [method.name for method in session.edits.methods]
    secret += [method.run for method in session.edits.methods] + ["reference", "identity", "expected"]
    assert not any(word in json.dumps(told) for word in secret)
    assert len(told["ballots"]) == 7
    for n, ballot in enumerate(told["ballots"]):
        assert ballot.keys() == {"texts", "source", "left", "right"}
        for side in ("source", "left", "right"):
            assert ballot[side] == f"{told['rater']}/{n}/{side}"
            status, headers, content = asked(address, "GET", ballot[side])
            assert (status, headers["Content-Type"]) == (200, "image/png")
            assert {content[k : k + 4] for k in (12, 37)} == {b"IHDR", b"IDAT"}
            assert not any(word.encode() in content for word in secret)
            assert not any(word in str(headers) for word in secret)


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        ("GET /TOKEN/", "HOST", 200),
        ("GET /TOKEN/", "localhost:PORT", 200),
        ("GET /TOKEN/", "evil.example:PORT", 421),
        ("GET /TOKEN/", "localhost:1", 421),
        ("GET /", "HOST", 404),
        ("GET /TOKEN", "HOST", 404),
        ("GET /0123456789abcdef0123456789abcdef/", "HOST", 404),
        ("GET /\xe9/", "HOST", 404),
        ("GET /TOKEN/0/0/left", "HOST", 404),
        ("GET /TOKEN/../../etc/passwd", "HOST", 404),
        ("GET /TOKEN/%2e%2e/%2e%2e/etc/passwd", "HOST", 404),
        ("GET /TOKEN/0/0/..", "HOST", 404),
        ("GET /TOKEN/-1/0/left", "HOST", 404),
        ("GET /TOKEN/\xb2/0/left", "HOST", 404),
        ("GET http://evil.example/TOKEN/", "HOST", 404),
        ("PUT /TOKEN/answer", "HOST", 501),
        ("DELETE /TOKEN/answer", "HOST", 501),
    ],
)
def test_only_whoever_knows_the_address_gets_anything(address, line, host, status):
    """Neither another name, nor another token, nor another path; before anybody has joined there is no picture."""
    assert send(address, f"{line} HTTP/1.1\r\nHost: {host}\r\n\r\n") == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 403),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
)
def test_no_page_of_another_site_can_vote(address, session, headers, status):
    """Forms cannot send JSON, and browsers say where a request comes from."""
    joined(address, "Anna")
    answer = {"rater": 0, "n": 0, "answer": "left"}
    assert asked(address, "POST", "answer", answer, **headers)[0] == status
    assert len(session.votes) == (status == 200)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        ({"rater": 0, "n": 0}, 400),
        ({"rater": 0, "n": 0, "answer": "careful_editor"}, 400),
        ({"rater": 0, "n": 0, "answer": "left", "winner": "a"}, 400),
        ({"rater": "0", "n": 0, "answer": "left"}, 400),
        ({"rater": 0, "n": True, "answer": "left"}, 400),
        ({"rater": 0, "n": 0, "answer": "left", "seconds": -1.0}, 400),
        ({"rater": 0, "n": 0, "answer": "left", "seconds": "NaN"}, 400),
        ({"rater": 5, "n": 0, "answer": "left"}, 422),
        ({"rater": 0, "n": 99, "answer": "left"}, 422),
        (b"[" * 50_000, 400),
        (b" " * 70_000, 400),
    ],
)
def test_what_is_no_answer_is_refused_and_nothing_is_written(address, session, body, status):
    """Whatever is sent, the server goes on."""
    joined(address, "Anna")
    headers = {"Content-Type": "application/json"} if isinstance(body, bytes) else {}
    assert asked(address, "POST", "answer", body, **headers)[0] == status
    assert not session.path.exists()
    assert asked(address, "GET", "")[0] == 200


@pytest.mark.parametrize("length", ["-1", "x", "99999999999"])
def test_a_length_that_is_none_is_refused(address, length):
    """Nothing is waited for."""
    request = "POST /TOKEN/answer HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
    assert send(address, f"{request}Content-Length: {length}\r\n\r\n") == 400


def test_an_answer_that_is_sent_again_counts_once(address, session):
    """As when its acknowledgement was lost; one that is taken back is gone."""
    joined(address, "Anna")
    for _ in range(3):
        assert asked(address, "POST", "answer", {"rater": 0, "n": 1, "answer": "left", "seconds": 1.5})[0] == 200
    [vote] = read_votes(session.path).votes
    assert (vote.rater, vote.seconds) == ("Anna", 1.5)
    for _ in range(2):
        assert asked(address, "POST", "answer", {"rater": 0, "n": 1, "answer": None, "seconds": None})[0] == 200
    assert session.path.read_text() == ""


def test_a_disk_that_is_full_is_said_and_the_answer_can_be_sent_again(address, session, monkeypatch):
    """The page keeps what was not acknowledged."""
    joined(address, "Anna")
    answer = {"rater": 0, "n": 1, "answer": "left"}
    with monkeypatch.context() as patch:
        patch.setattr("evalkit.voting.session.os.write", lambda *_: 0)
        status, _, content = asked(address, "POST", "answer", answer)
    assert status == 507
    assert "cannot be written: No space left on device" in json.loads(content)["error"]
    assert asked(address, "POST", "answer", answer)[0] == 200
    assert len(session.votes) == 1


def test_the_address_is_the_same_when_the_server_is_started_again(edits, tmp_path, monkeypatch):
    """Of another study, or on another machine, it is another one; its key is nobody else's to read."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    tokens = []
    for file in ("votes", "votes", "others"):
        with session_of(tmp_path / f"{file}.jsonl", edits) as session, served(session) as address:
            tokens.append(address.split("/")[3])
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "elsewhere"))
    with session_of(tmp_path / "votes.jsonl", edits) as session, served(session) as address:
        tokens.append(address.split("/")[3])
    assert tokens[0] == tokens[1]
    assert len({*tokens}) == 3
    assert (tmp_path / "cache" / "vote.key").stat().st_mode & 0o077 == 0
