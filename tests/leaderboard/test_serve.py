"""The server that shows the built site, by raw requests: what it answers with, and to whom."""

import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from evalkit.errors import OptionError
from evalkit.leaderboard.site.serve import site_server

HEADERS = ("Content-Security-Policy", "X-Content-Type-Options")


@pytest.fixture
def site(tmp_path):
    """A site of one page and one download, beside a secret."""
    root = tmp_path / "site"
    (root / "downloads").mkdir(parents=True)
    policy = "default-src 'none'; img-src data:; script-src 'sha256-abc='"
    (root / "index.html").write_text(f'<meta http-equiv="Content-Security-Policy" content="{policy}">The board.')
    (root / "downloads" / "board.csv").write_text("a,b\n")
    (tmp_path / "secret.txt").write_text("the secret")
    return root


@pytest.fixture
def port(site):
    """Where the site is served."""
    with site_server(site, 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def send(port: int, request: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and content of the answer to these very bytes, in which PORT stands for the port."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request.replace("PORT", str(port)).encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, content = answer.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), content


def get(port: int, path: str) -> tuple[int, dict[str, str], str]:
    """The answer to an honest request."""
    return send(port, f"GET {path} HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n")


def test_pages_and_downloads_come_with_a_policy(port):
    """The policy is the pages' own, in which nobody may frame them; a type is what it is said to be."""
    for path, content in {"/": "The board.", "/index.html": "The board.", "/downloads/board.csv": "a,b\n"}.items():
        status, headers, body = get(port, path)
        assert status == 200
        assert body.endswith(content)
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; img-src data:; script-src 'sha256-abc='; frame-ancestors 'none'"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /absent HTTP/1.1", 404),
        ("POST / HTTP/1.1", 501),
        ("GET /index.html/ HTTP/1.1", 404),
        ("GET /%00 HTTP/1.1", 404),
        ("GET /%ed%a0%80 HTTP/1.1", 404),
        ("GET /../secret.txt HTTP/1.1", 404),
        ("GET /%2e%2e/secret.txt HTTP/1.1", 404),
        ("GET /..%2fsecret.txt HTTP/1.1", 404),
        ("GET http://elsewhere/index.html HTTP/1.1", 404),
        ("GET http://elsewhere/../.. HTTP/1.1", 404),
    ],
)
def test_errors_come_with_a_policy_too(port, request_line, status):
    """Whatever is asked for that is not there, the answer is one of the server's, and the secret stays one."""
    answered, headers, body = send(port, f"{request_line}\r\nHost: 127.0.0.1:PORT\r\n\r\n")
    assert answered == status
    assert set(HEADERS) <= set(headers)
    assert "secret" not in body
    assert "Location" not in headers


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["127.0.0.1:PORT"], 200),
        (["LOCALHOST:PORT"], 200),
        ([], 421),
        (["evil.example:PORT"], 421),
        (["localhost.evil.example:PORT"], 421),
        (["localhost"], 421),
        (["localhost:1"], 421),
        (["localhost:PORT", "evil.example"], 421),
        (["localhost:PORT", "localhost:PORT"], 421),
        ([""], 421),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_only_its_own_name_is_answered_to(port, hosts, status, method):
    """A name of somebody else's that leads to this machine gets nothing of the site."""
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    answered, headers, body = send(port, f"{method} / HTTP/1.1\r\n{lines}\r\n")
    assert answered == status
    assert set(HEADERS) <= set(headers)
    assert ("The board." in body) == (status == 200 and method == "GET")


def test_links_are_not_followed(site, port):
    """Neither to a file nor to a folder, nor as the page of a folder, and within the site no more than out of it."""
    (site / "file").symlink_to(site.parent / "secret.txt")
    (site / "folder").symlink_to(site.parent)
    (site / "inner").symlink_to(site / "downloads")
    (site / "page").mkdir()
    (site / "page" / "index.html").symlink_to(site.parent / "secret.txt")
    for path in ("/file", "/folder/secret.txt", "/inner/board.csv", "/page/", "/page", "/page/index.html", "/folder"):
        status, _, body = get(port, path)
        assert status == 404
        assert "the secret" not in body


def test_folders_are_not_listed(site, port):
    """One without a page is not there; one with a page is redirected to."""
    (site / "few").mkdir()
    (site / "few" / "index.html").write_text("Few.")
    assert get(port, "/downloads/")[0] == get(port, "/downloads")[0] == 404
    assert "board.csv" not in get(port, "/downloads/")[2]
    assert get(port, "/few/")[2] == "Few."
    status, headers, _ = get(port, "/few")
    assert (status, headers["Location"]) == (301, "/few/")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_only_regular_files_are_opened(site, port):
    """A pipe that nobody writes to is not waited for."""
    os.mkfifo(site / "pipe")
    assert get(port, "/pipe")[0] == 404


def test_a_folder_that_build_did_not_write_may_load_nothing(tmp_path):
    """Without a policy of the pages, there is the strictest."""
    (tmp_path / "a.html").write_text("<script>1</script>")
    with site_server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        headers = get(server.server_address[1], "/a.html")[1]
        server.shutdown()
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_port_that_is_taken_is_said_to_be_taken(site, port):
    """With what to type instead."""
    with pytest.raises(OptionError, match=f"Port {port} cannot be used: .* Take a free one: --port 0"):
        site_server(site, port)


def test_the_site_can_be_looked_at(small_site):
    """Serve shows it on this machine, at the address that it prints."""
    site = small_site[1]
    command = [sys.executable, "-m", "evalkit", "leaderboard", "serve", str(site), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        address = re.search(r"http://127.0.0.1:\d+/", server.stdout.readline()).group()
        with urllib.request.urlopen(f"{address}few/v1/index.html") as answer:
            shown, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
        server.terminate()

    assert shown == (site / "few/v1/index.html").read_text()
    own = re.search('content="(default-src [^"]*)"', shown)[1]
    assert policy == f"{own}; frame-ancestors 'none'"
