"""Folders behind URLs: read, written, gone on with and refused, by the real clients against servers on loopback."""

import json
import shutil
import signal
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from click.testing import CliRunner
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import HfFileSystem, constants

from evalkit.cli import main
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.errors import RemoteError
from evalkit.scores.run import read_run
from evalkit.storage.paths import origin_of
from evalkit.storage.remote import Remote
from evalkit_adapters.methods.identity import Identity
from tests.support.hub import HubServer
from tests.support.pictures import encoded, scene

N = 3
METRIC = ("--metrics", "l1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Copies lie where no other test finds them."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def edits(tmp_path):
    """A small edit folder with its sources."""
    folder = tmp_path / "edits"
    items = []
    for number in range(N):
        for kind, seed in (("sources", number), ("edited", 100 + number)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{number}.png").write_bytes(encoded(scene(24, 24, seed=seed)))
        items.append(
            EditItem(
                item_id=f"item_{number}",
                source_image=folder / "sources" / f"{number}.png",
                edited_image=folder / "edited" / f"{number}.png",
                target_caption="a picture",
            )
        )
    write_manifest(folder, items)
    return folder


@pytest.fixture
def memory():
    """Fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture(scope="module")
def s3_server():
    """A server that speaks S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The client of that server, with one bucket."""
    from s3fs import S3FileSystem

    for name, value in (
        ("AWS_ENDPOINT_URL", s3_server),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    system = S3FileSystem()
    system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)
    S3FileSystem.clear_instance_cache()


def ran(*arguments, code=0):
    """A command's result, which must end with this exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def scored_there_and_back(system, root, url, edits, tmp_path):
    """A folder put behind a URL is checked and scored; its run, behind another, equals a local one and is compared."""
    system.put(f"{edits}/", f"{root}/edits/", recursive=True)
    ran("check", f"{url}/edits")
    ran("score", f"{url}/edits", *METRIC, "--output", f"{url}/runs/mine")
    ran("score", edits, *METRIC, "--output", tmp_path / "run")

    system.invalidate_cache()
    system.get(f"{root}/runs/mine/", f"{tmp_path / 'fetched'}/", recursive=True)
    there, here = read_run(tmp_path / "fetched"), read_run(tmp_path / "run")
    assert there.table.rows == here.table.rows
    assert there.record.folder.digest == here.record.folder.digest
    assert there.record.folder.path == f"{url}/edits"
    compared = ran("compare", f"there={url}/runs/mine", f"here={tmp_path / 'run'}", "--margin", "l1=0.001", "--json")
    assert [pair["verdict"] for pair in json.loads(compared.stdout)["comparisons"]] == ["inconclusive"]


def test_a_folder_in_memory_is_scored_and_the_run_written_back(memory, edits, tmp_path):
    """``memory://`` is a folder like any other, and the record names the URL."""
    scored_there_and_back(memory, "/box", "memory://box", edits, tmp_path)


def test_a_folder_on_s3_is_scored_and_the_run_written_back(s3, edits, tmp_path):
    """So is ``s3://``, through s3fs, against a server of that protocol."""
    scored_there_and_back(s3, "bucket", "s3://bucket", edits, tmp_path)


@pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
def test_a_folder_on_the_hub_is_scored_and_the_run_written_back(edits, tmp_path, monkeypatch):
    """So is ``hf://``, where all files of a run are one commit."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    with HubServer() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        files = {f"edits/{path.relative_to(edits)}": path.read_bytes() for path in edits.rglob("*") if path.is_file()}
        repo = hub.add_repo("dataset", "tester/box", files)
        HfFileSystem.clear_instance_cache()

        ran("score", "hf://datasets/tester/box/edits", *METRIC, "--output", "hf://datasets/tester/box/runs/mine")

        assert len(repo.commits) == 2
        assert {"runs/mine/run.json", "runs/mine/items.jsonl"} <= repo.head.files.keys()
        HfFileSystem.clear_instance_cache()


def test_a_folder_on_the_web_is_read_by_its_manifest(edits):
    """A web server lists no folders: the manifest says what there is, and the recipe what there should be.

    What it lacks is missing.
    """
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.requestline)

        def list_directory(self, path):
            self.send_error(403)

    (edits / "edited" / "2.png").unlink()
    recipe = {"asked": [{"items": ["never made"], "seeds": [None]}]}
    (edits / "method.json").write_text(json.dumps(recipe))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=edits.parent)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/edits"
        found = json.loads(ran("check", url, "--json", code=3).stdout)
        server.shutdown()

    assert (found["n_items"], found["n_edited"]) == (N + 1, N - 1)
    missing = [p["item_id"] for p in found["problems"] if p["code"] == "missing_edited_image"]
    assert missing[-1] == "never made"
    assert len(missing) == 2


def test_only_what_is_new_is_fetched(memory, edits, monkeypatch):
    """Files that have not changed are not copied again; changed ones are, and those that are gone there go here."""
    memory.put(f"{edits}/", "/box/", recursive=True)
    fetched = []
    get_file = type(memory).get_file

    def counting(self, source, target, **options):
        fetched.append(source)
        get_file(self, source, target, **options)

    monkeypatch.setattr(type(memory), "get_file", counting)
    copy = Remote("memory://box").pull()
    assert len(fetched) == 2 * N + 1

    fetched.clear()
    memory.pipe("/box/edited/0.png", encoded(scene(24, 24, seed=7)))
    memory.rm("/box/edited/1.png")
    memory.pipe("/box/../evil.png", b"")
    memory.pipe("/box/.hidden", b"")
    Remote("memory://box").pull()

    assert fetched == ["/box/edited/0.png"]
    assert (copy / "edited" / "0.png").read_bytes() == encoded(scene(24, 24, seed=7))
    assert not (copy / "edited" / "1.png").exists()
    assert origin_of(copy) == "memory://box"
    assert origin_of(copy / "edited") == "memory://box/edited"
    assert origin_of(edits) == str(edits.resolve())


def test_a_fetch_that_broke_off_goes_on(memory, edits, monkeypatch):
    """What arrived before the connection broke is not fetched again, and no half file is left."""
    memory.put(f"{edits}/", "/box/", recursive=True)
    get_file, calls = type(memory).get_file, []

    def breaking(self, source, target, **options):
        calls.append(source)
        if len(calls) > 3 and broken:
            with open(target, "wb") as file:  # noqa: PTH123
                file.write(b"half")
            raise OSError("connection lost")
        return get_file(self, source, target, **options)

    monkeypatch.setattr(type(memory), "get_file", breaking)
    broken = True
    with pytest.raises(RemoteError, match="connection lost"):
        Remote("memory://box").pull()
    n_tried, broken = len(calls), False

    copy = Remote("memory://box").pull()

    assert len(calls) - n_tried == 2 * N + 1 - 3
    assert all(path.read_bytes() == (edits / path.relative_to(copy)).read_bytes() for path in copy.rglob("*.png"))
    assert len(list(copy.rglob("*.png"))) == 2 * N


class Interrupted(Identity):
    """A method that is killed at its third edit."""

    n_edits = 0
    stops = True

    def edit(self, item, fitted, *, seed):
        """The source; or the end of the process."""
        type(self).n_edits += 1
        if self.stops and self.n_edits == 3:
            raise KeyboardInterrupt
        return super().edit(item, fitted, seed=seed)


def test_a_killed_run_goes_on_from_what_lies_behind_the_url(s3, tmp_path, monkeypatch):
    """Another machine, which has no copy, edits only what is not there yet."""
    monkeypatch.setattr("evalkit.registry.Registry.get", _with(Interrupted))
    command = ("edit", "identity", "--benchmark", "shapes", "--limit", "4", "--output", "s3://bucket/edits")
    ran(*command, code=130)
    s3.invalidate_cache()
    assert len([name for name in s3.find("bucket/edits") if name.endswith(".png")]) == 2

    shutil.rmtree(tmp_path / "cache" / "remote")
    Interrupted.stops, Interrupted.n_edits = False, 0
    done = json.loads(ran(*command, "--json").stdout)

    assert (done["n_kept"], done["n_edited"], Interrupted.n_edits) == (2, 2, 2)
    s3.invalidate_cache()
    lines = s3.cat_file("bucket/edits/metadata.jsonl").splitlines()
    assert len(lines) == len([name for name in s3.find("bucket/edits") if name.endswith(".png")]) == 4


def _with(method):
    """A registry's ``get`` that knows another ``identity``."""
    from evalkit.registry import Registry

    get = Registry.get

    def found(self, name):
        return method if name == "identity" and self.group == "evalkit.methods" else get(self, name)

    return found


def test_what_is_written_is_copied_back_while_the_work_lasts(memory):
    """A process that dies at once has lost seconds of what it wrote, and the manifest never names what is not there."""
    remote = Remote("memory://box", last=("metadata.jsonl",))
    with remote.kept_up(every=0.01) as folder:
        (folder / "a.png").write_bytes(b"first")
        (folder / "metadata.jsonl").write_bytes(b"{}\n")
        waited = threading.Event()
        for _ in range(500):
            if memory.exists("/box/metadata.jsonl"):
                break
            waited.wait(0.01)
        assert memory.cat_file("/box/a.png") == b"first"
        (folder / "a.png").write_bytes(b"second time")
        (folder / ".lock").touch()

    assert memory.cat_file("/box/a.png") == b"second time"
    assert memory.find("/box") == ["/box/a.png", "/box/metadata.jsonl"]
    assert Remote("memory://box").push() == 0


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def test_a_refused_write_is_heard_of_at_once(memory, monkeypatch, handler):
    """Work whose results cannot be written stops soon after the first attempt, and what it made stays in the copy."""
    before = signal.signal(signal.SIGINT, handler)

    def refuse(*arguments, **options):
        raise PermissionError("read only")

    monkeypatch.setattr(type(memory), "put_file", refuse)
    remote, waited = Remote("memory://box"), threading.Event()

    def work():
        with remote.kept_up(every=0.01) as folder:
            (folder / "a.png").write_bytes(b"first")
            for _ in range(1000):
                waited.wait(0.01)
            (folder / "b.png").write_bytes(b"in vain")

    try:
        with pytest.raises(RemoteError, match="cannot be written: access is denied"):
            work()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)

    assert [path.name for path in remote.folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("memory://nowhere", "there is no such folder, or it is empty. Check the address."),
        (
            "s3://no-such-bucket/edits",
            "there is no such folder, or it is empty. See what is there: aws s3 ls s3://no-s",
        ),
        ("gopher://box", "nobody here speaks gopher://. Use one of s3://"),
    ],
)
def test_a_place_that_is_not_there_is_one_sentence_with_the_next_command(url, wanted, s3, memory):
    """Missing folders, missing buckets and unknown protocols end in one message."""
    result = ran("check", url, code=1)

    assert wanted in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("failure", "wanted"),
    [
        (PermissionError("Forbidden"), "access is denied with the credentials that are set. Log in: aws configure"),
        (type("NoCredentialsError", (Exception,), {})("Unable to locate credentials"), "Log in: aws configure"),
        (ImportError("Install s3fs to access S3"), "pip install 'evalkit-editing[remote]'"),
        (TimeoutError("timed out"), "timed out. See what is there: aws s3 ls s3://bucket/edits"),
    ],
)
def test_what_the_client_raises_says_what_to_do(failure, wanted, s3, monkeypatch):
    """Wrong or no credentials, a client that is not installed, and a dead connection each name the next command."""

    def refuse(*arguments, **options):
        raise failure

    monkeypatch.setattr(type(s3), "find", refuse)
    with pytest.raises(RemoteError) as raised:
        Remote("s3://bucket/edits").pull()

    assert wanted in str(raised.value)


def test_a_folder_that_cannot_be_written_keeps_the_run_here(edits, monkeypatch, tmp_path):
    """The message says that it cannot be written; the copy has what was made, and the next run copies it."""
    put_file = LocalFileSystem.put_file

    def refuse(*arguments, **options):
        raise PermissionError("read only")

    monkeypatch.setattr(LocalFileSystem, "put_file", refuse)
    target = f"file://{tmp_path / 'run'}"
    result = ran("score", edits, *METRIC, "--output", target, code=1)
    assert "cannot be written: access is denied" in result.stderr

    monkeypatch.setattr(LocalFileSystem, "put_file", put_file)
    assert Remote(target).push() == 2
    assert len(read_run(tmp_path / "run").table.rows) == N
