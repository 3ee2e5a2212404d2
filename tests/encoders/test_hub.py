"""The loopback Hub, asked by the real client: what other tests rely on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from tests.support.hub import HubServer

# huggingface_hub 2.4 calls its own HTTP client in a way that the client deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
BINARY = b"\xff\x00" * 50_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server with a model of three files."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    with HubServer() as server:
        server.add_repo("model", "org/name", {"config.json": b"{}", "w.bin": BINARY, "sub/a.txt": b"x"})
        yield server


def download(hub: HubServer, filename: str, cache: Path, repo_id: str = "org/name", token: str | bool = False) -> bytes:
    """What the client gets of one file."""
    path = hf_hub_download(repo_id, filename, endpoint=hub.endpoint, cache_dir=cache, token=token)
    return Path(path).read_bytes()


def test_text_and_large_files_arrive(hub: HubServer, tmp_path: Path) -> None:
    """A small file comes directly, a binary one through the redirect to the object store, each byte for byte."""
    assert download(hub, "config.json", tmp_path) == b"{}"
    assert download(hub, "w.bin", tmp_path) == BINARY
    assert any(line.startswith("GET /objects/") for line in hub.requests)


def test_listing_names_every_file(hub: HubServer) -> None:
    """Tree, info and file list agree on the paths."""
    api = HfApi(endpoint=hub.endpoint, token=False)
    assert sorted(api.list_repo_files("org/name")) == ["config.json", "sub/a.txt", "w.bin"]
    siblings = api.model_info("org/name").siblings
    assert siblings is not None
    assert [sibling.rfilename for sibling in siblings] == ["config.json", "sub/a.txt", "w.bin"]


def test_absences_are_told_apart(hub: HubServer, tmp_path: Path) -> None:
    """A missing file, a missing repository, a private and a gated one give the client's own exceptions."""
    hub.add_repo("model", "org/gated", {"a": b"x"}, gated=True)
    hub.add_repo("model", "org/private", {"a": b"x"}, private=True)
    with pytest.raises(EntryNotFoundError):
        download(hub, "absent", tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        download(hub, "a", tmp_path, "org/absent")
    with pytest.raises(RepositoryNotFoundError):
        download(hub, "a", tmp_path, "org/private")
    with pytest.raises(GatedRepoError):
        download(hub, "a", tmp_path, "org/gated")
    assert download(hub, "a", tmp_path, "org/gated", token=hub.token) == b"x"


def test_it_fails_as_told(hub: HubServer, tmp_path: Path) -> None:
    """A server error is passed on as often as asked, and then the file is served."""
    hub.fail(r"GET /api/models/org/name", status=500, times=1)
    api = HfApi(endpoint=hub.endpoint, token=False)
    with pytest.raises(HfHubHTTPError, match="500"):
        api.model_info("org/name")
    assert api.model_info("org/name").sha == hub.repos["model", "org/name"].head.oid
    assert download(hub, "config.json", tmp_path) == b"{}"


def test_push_commits_once(hub: HubServer, tmp_path: Path) -> None:
    """A folder is pushed in one commit, large files by the object store; pushed again unchanged there is no other."""
    (tmp_path / "data").mkdir()
    table = BINARY[::-1]
    (tmp_path / "data" / "table.bin").write_bytes(table)
    (tmp_path / "README.md").write_text("# Hello\n")
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.create_repo("evalkit/new", repo_type="dataset")
    for _ in range(2):
        api.upload_folder(repo_id="evalkit/new", repo_type="dataset", folder_path=tmp_path, commit_message="first")
    repo = hub.repos["dataset", "evalkit/new"]
    assert [commit.title for commit in repo.commits] == ["initial commit", "first"]
    assert sum(line.startswith("PUT /objects/") for line in hub.requests) == 1
    assert {path: blob.content for path, blob in repo.head.files.items()} == {
        "data/table.bin": table,
        "README.md": b"# Hello\n",
    }


def test_strangers_cannot_write(hub: HubServer) -> None:
    """Without the token nothing is created, and with it only in a namespace of its owner."""
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi(endpoint=hub.endpoint, token="hf_wrong").create_repo("evalkit/x", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(endpoint=hub.endpoint, token=hub.token).create_repo("elsewhere/x", repo_type="dataset")
    assert list(hub.repos) == [("model", "org/name")]
