"""A Hugging Face Hub on loopback: enough of its HTTP protocol for the real clients, with nothing else faked.

::

    with HubServer() as hub:
        hub.add_repo("model", "org/name", {"config.json": b"{}"})
        subprocess.run([sys.executable, "-c", ...], env=hub.environment(tmp_path))

``huggingface_hub`` and ``datasets`` read ``HF_ENDPOINT`` when they are imported, so a client is best run in a
process of its own with :meth:`HubServer.environment`; ``HfApi(endpoint=hub.endpoint, token=hub.token)`` works within
one. What the server holds is in :mod:`tests.support.hub_repo`; the protocol is spoken by :mod:`tests.support.hub_http`.
"""

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.hub_http import Handler
from tests.support.hub_repo import Blob, Kind, Repo


@dataclass(slots=True)
class Failure:
    """Requests that the server answers with an error instead of serving them."""

    pattern: re.Pattern[str]
    status: int
    remaining: int | None
    error_code: str | None


@dataclass(slots=True)
class HubServer:
    """The server, its repositories, and what was asked of it."""

    token: str = "hf_loopback"
    user: str = "tester"
    organizations: tuple[str, ...] = ("evalkit",)
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256, as uploads put them and downloads are redirected to them."""
    requests: list[str] = field(default_factory=list)
    """``METHOD /path`` of every request, in order."""
    failures: list[Failure] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _http: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        """What ``HF_ENDPOINT`` must be."""
        assert self._http is not None, "the server runs inside its `with` block"
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def environment(self, home: Path, *, token: str | None = None) -> dict[str, str]:
        """Environment of a client process: this endpoint, caches of its own below ``home``, no Xet, no telemetry.

        Args:
            home: Where the client keeps its caches and its token.
            token: Logged in with this one; None is not logged in.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        own = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return kept | own | ({"HF_TOKEN": token} if token else {})

    def add_repo(
        self, kind: Kind, repo_id: str, files: Mapping[str, bytes], *, private: bool = False, gated: bool = False
    ) -> Repo:
        """A repository with one commit that holds ``files``."""
        repo = Repo(kind=kind, repo_id=repo_id, private=private, gated=gated)
        repo.commit("initial commit", {path: Blob.at(path, content) for path, content in files.items()})
        self.objects |= {blob.sha256: blob.content for blob in repo.head.files.values() if blob.is_large}
        self.repos[kind, repo_id] = repo
        return repo

    def fail(self, pattern: str, *, status: int = 500, times: int | None = None, error_code: str | None = None) -> None:
        """From now on answers requests whose ``METHOD /path`` matches ``pattern`` with ``status``, ``times`` times."""
        self.failures.append(Failure(re.compile(pattern), status, times, error_code))

    def __enter__(self) -> "HubServer":
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()


def use_in_process(hub: HubServer, monkeypatch: Any, home: Path, *, token: str | None = None) -> None:
    """Has the clients of this process, whatever they read when they were imported, ask this Hub until a test is over.

    Args:
        hub: A running server.
        monkeypatch: The fixture of the test.
        home: For caches.
        token: Logged in with this one; None is not logged in.
    """
    import datasets
    from huggingface_hub import HfFileSystem, constants, hf_api

    template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for name, value in {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
        "HF_HUB_CACHE": str(home / "hub"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    for name, value in {
        "HF_ENDPOINT": hub.endpoint,
        "HUB_DATASETS_URL": f"{hub.endpoint}/datasets/{{repo_id}}/resolve/{{revision}}/{{path}}",
        "HF_DATASETS_CACHE": home / "datasets",
    }.items():
        monkeypatch.setattr(datasets.config, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(hf_api.api, "endpoint", hub.endpoint)
    HfFileSystem.clear_instance_cache()
