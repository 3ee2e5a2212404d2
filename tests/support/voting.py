"""Studies on a few drawn edits, and their servers."""

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection

from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.voting.edits import open_methods
from evalkit.voting.serve import token_of, vote_server
from evalkit.voting.session import open_session
from evalkit.voting.study import new_study
from tests.support.fakes import save_picture

HOSTILE = '"><script>window.hit=1</script><img src=x onerror=window.hit=1>'
NAMES = ("careful_editor", "other_editor", "third_editor")


def write_methods(root, names=NAMES, n_items=6, *, texts=None, missing=(), seeds=(None,), reference=True):
    """Edit folders, two items to a source, with perfect edits and two edit types.

    Args:
        root: Where.
        names: Of the methods.
        n_items: Of each.
        texts: Fields of every item.
        missing: Pairs of a method and an item's number of which there is no edit.
        seeds: Of every edit.
        reference: Whether items have perfect edits.
    """
    texts = texts or {"instruction": "Make it red.", "target_caption": "A red thing.", "source_caption": "A thing."}
    for number, name in enumerate(names):
        items = []
        for k in range(n_items):
            source = save_picture(root / name / "sources" / f"s{k // 2}.png", k // 2, 40)
            perfect = save_picture(root / name / "perfect" / f"p{k}.png", 100 + k, 40) if reference else None
            for seed in seeds:
                path = root / name / f"e{k}_{seed}.png"
                item = EditItem(
                    item_id=f"item{k}", seed=seed, source_image=source, reference_image=perfect, group=f"s{k // 2}",
                    edit_type=("recolour", "remove")[k % 2], edited_image=path, **texts,
                )  # fmt: skip
                save_picture(path, 1000 * (number + 1) + 10 * k + (seed or 0), 40)
                items.append(item.without_edit("failed", "no memory") if (name, k) in missing else item)
        write_manifest(root / name, items, benchmark=None, method=name)
    return [str(root / name) for name in names]


def opened(root, **options):
    """The edits of folders that are written for it."""
    return open_methods(write_methods(root, **options))


@contextmanager
def session_of(path, edits, *, votes=6, checks=1, **design):
    """A session on the edits."""
    with open_session(path, edits, new_study(edits, votes=votes, checks=checks, seed=0, **design)) as session:
        yield session


@contextmanager
def served(session, port=0):
    """The address of a session's page, as long as it is served."""
    token = token_of(session.study)
    with vote_server(session, token, port) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{token}/"
        server.shutdown()


def asked(address, method, path, body=None, **headers):
    """Status, headers and content of the answer to a request below an address."""
    host, _, token = address.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=20)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method, f"/{token}{path}", body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def joined(address, name):
    """What a page is told when somebody begins."""
    status, _, content = asked(address, "POST", "join", {"rater": name})
    assert status == 200, content
    return json.loads(content)


def without_source(edits):
    """The edits, of which no item has a perfect edit."""
    return replace(edits, items={key: replace(item, reference_image=None) for key, item in edits.items.items()})
