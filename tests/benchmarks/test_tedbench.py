"""TEdBench: what is committed about it, and how its photographs are found, fetched and verified."""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.benchmarks.tedbench import EDIT_TYPES, files, tedbench
from evalkit.benchmarks.tedbench.files import locate, locate_imagic
from evalkit.benchmarks.tedbench.records import COMMIT, INPUT_LIST_SHA256, SourceRow, official_name, rows, sources
from evalkit.errors import BenchmarkError

OFFICIAL = Path("../shared/tedbench")
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason=f"the official TEdBench is not in {OFFICIAL}")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# What is committed --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    """The registered benchmark."""
    return BENCHMARKS.get("tedbench")()


def test_size_and_ids(benchmark: Benchmark) -> None:
    """100 edits of 40 photographs, two of which are one file; ids are safe file names, and never change."""
    assert len(benchmark.items) == 100
    assert len({item.source_image for item in benchmark.items}) == len(sources()) == 40
    assert benchmark.n_groups == 39
    group = {str(item.source_image): item.group for item in benchmark.items}
    assert group["bird.png"] == group["bird.jpeg"]
    ids = [item.item_id for item in benchmark.items]
    assert len({item_id.lower() for item_id in ids}) == 100
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,79}", item_id) for item_id in ids)
    assert benchmark.version == "1"
    assert hashlib.sha256("\n".join(ids).encode()).hexdigest() == (
        "d0d81f4f95410cbf5f4f50c43fc8043304594ba0e3ecc4d13de8922a6cf2cc2f"
    )


def test_captions(benchmark: Benchmark) -> None:
    """Every item has both captions, a source caption equals no target of its photograph, equal photographs have one."""
    targets = {(str(item.source_image), item.target_caption) for item in benchmark.items}
    assert len(targets) == 100
    for item in benchmark.items:
        assert str(item.source_caption).endswith(".")
        assert (str(item.source_image), item.source_caption) not in targets
    captions = {(source.sha256, source.caption) for source in sources()}
    assert len(captions) == len({source.sha256 for source in sources()}) == 39


def test_edits_are_described_by_closed_lists(benchmark: Benchmark) -> None:
    """Every type is used and defined, every instruction is an order in one sentence, in upstream's order from 0."""
    assert {item.edit_type for item in benchmark.items} == set(EDIT_TYPES) == set(benchmark.edit_types)
    assert all(str(item.instruction).endswith(".") for item in benchmark.items)
    assert {str(item.instruction).split()[0] for item in benchmark.items} <= {
        *("Add", "Close", "Crack", "Dress", "Fill", "Knock", "Make", "Move", "Open", "Peel", "Put", "Replace"),
        *("Saw", "Show", "Slice", "Tear", "Turn"),
    }
    assert [row.index for row in rows()] == list(range(100))


# Against the official files -----------------------------------------------------------------------------------


@needs_official
def test_the_records_are_those_of_the_official_files(benchmark: Benchmark) -> None:
    """Texts are upstream's to the letter; photographs and published results are exactly those that are recorded."""
    assert digest(OFFICIAL / "input_list.json") == INPUT_LIST_SHA256
    upstream = json.loads((OFFICIAL / "input_list.json").read_text())
    assert [(row.source, row.target_caption) for row in rows()] == [
        (line["img_name"], line["target_text"]) for line in upstream
    ]
    published = {path.name: digest(path) for path in (OFFICIAL / "imagic").iterdir()}
    assert published == {official_name(row.source, row.target_caption): row.imagic_sha256 for row in rows()}
    assert set(benchmark.edited_names.values()) == set(published)
    photographs = {path.name: digest(path) for path in (OFFICIAL / "originals").iterdir()}
    assert photographs == {source.file_name: source.sha256 for source in sources()}


@needs_official
@pytest.mark.parametrize("given", [OFFICIAL, OFFICIAL.parent, OFFICIAL / "originals"])
def test_a_copy_is_found(given: Path, benchmark: Benchmark) -> None:
    """A local copy may be the photographs' folder, or hold it, with or without a folder named after the benchmark."""
    items = benchmark.load(given).items
    assert all(item.source_image is not None and item.source_image.is_file() for item in items)


@needs_official
def test_official_results_bring_their_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the published results the photographs are found beside them, without a network or a cache."""
    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    assert locate(near=OFFICIAL / "imagic") == (OFFICIAL / "originals").resolve()
    assert not list(tmp_path.iterdir())


# Finding, fetching and verifying, on two made-up photographs ---------------------------------------------------


PHOTOGRAPHS = {"a.png": b"first photograph", "b c.png": b"second photograph"}


class World:
    """Two made-up official photographs, and a loopback server that has them."""

    def __init__(self, tmp_path: Path) -> None:
        self.official = tmp_path / "official" / "originals"
        self.cache = tmp_path / "cache" / "benchmarks" / "tedbench" / "originals"
        self.requests: list[str] = []
        self.failures: list[int] = []
        self.write(self.official)

    def write(self, folder: Path) -> Path:
        """A copy of the photographs."""
        folder.mkdir(parents=True)
        for name, content in PHOTOGRAPHS.items():
            (folder / name).write_bytes(content)
        return folder

    def sources(self) -> tuple[SourceRow, ...]:
        """Their records."""
        return tuple(
            SourceRow(file_name=name, sha256=hashlib.sha256(data).hexdigest(), n_bytes=len(data), caption="A photo.")
            for name, data in PHOTOGRAPHS.items()
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The made-up photographs in the place of the official ones, served on loopback."""
    made = World(tmp_path)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            made.requests.append(unquote(self.path))
            if made.failures:
                self.send_error(made.failures.pop(0))
            else:
                super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(made.official.parent)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setattr(files, "sources", made.sources)
    monkeypatch.setattr(files, "FIRST_WAIT_S", 0.0)
    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EVALKIT_TEDBENCH_URL", f"http://127.0.0.1:{server.server_address[1]}/")
    yield made
    server.shutdown()
    server.server_close()


def test_fetched_once(world: World) -> None:
    """What is nowhere is fetched into the cache, byte for byte, and not asked for again."""
    assert locate() == locate() == world.cache
    assert {path.name: path.read_bytes() for path in world.cache.iterdir()} == PHOTOGRAPHS
    assert world.requests == ["/originals/a.png", "/originals/b c.png"]


def test_published_edits_are_found_and_fetched_like_the_photographs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a copy that is named or lies beside, else from the authors' other folder, under the names that they gave."""
    row = replace(rows()[0], imagic_sha256=hashlib.sha256(b"an edit").hexdigest())
    monkeypatch.setattr(files, "rows", lambda: (row,))
    published = world.official.parent / "imagic" / official_name(row.source, row.target_caption)
    published.parent.mkdir()
    published.write_bytes(b"an edit")

    assert locate_imagic(world.official.parent) == locate_imagic(near=world.official) == published.parent
    assert world.requests == []
    assert locate_imagic() == world.cache.with_name("imagic")
    assert (world.cache.with_name("imagic") / published.name).read_bytes() == b"an edit"
    assert world.requests == [f"/imagic/{published.name}"]
    published.write_bytes(b"another")
    with pytest.raises(BenchmarkError, match="is not the official one"):
        locate_imagic(world.official.parent)


def test_fetch_goes_on_where_it_stopped(world: World) -> None:
    """Only photographs that the cache lacks, or has wrongly, are fetched."""
    world.write(world.cache)
    (world.cache / "b c.png").write_bytes(b"torn")
    assert locate() == world.cache
    assert world.requests == ["/originals/b c.png"]


def test_a_failing_server_is_asked_again(world: World) -> None:
    """A server's passing failure does not end the fetch."""
    world.failures = [503, 500]
    assert locate() == world.cache
    assert world.requests == [*["/originals/a.png"] * 3, "/originals/b c.png"]


def test_a_wrong_file_is_not_kept(world: World) -> None:
    """A served file with other bytes is refused with both digests, and does not reach the cache."""
    expected = world.sources()[0].sha256
    (world.official / "a.png").write_bytes(b"something else")
    got = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(
        BenchmarkError, match=rf"a\.png is not the official file: expected SHA-256 {expected}, got {got}"
    ):
        locate()
    assert not world.cache.exists()


def test_without_a_network(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a network one message, and nothing beside it, says what was wanted from where, and the way out."""
    monkeypatch.setenv("EVALKIT_TEDBENCH_URL", "http://127.0.0.1:1")
    near = tmp_path / "outputs"
    near.mkdir()
    with pytest.raises(BenchmarkError) as failure:
        locate(near=near)
    message = str(failure.value)
    assert "http://127.0.0.1:1/originals/a.png" in message
    assert str(tmp_path / "originals") in message
    assert "--data DIR" in message
    assert not caplog.records


def test_a_missing_file_upstream(world: World) -> None:
    """A 404 is not asked for again, and reads as what it is."""
    (world.official / "a.png").unlink()
    with pytest.raises(BenchmarkError, match="404"):
        locate()
    assert world.requests == ["/originals/a.png"]


def test_an_unwritable_cache(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that cannot be written is named with the way to choose another."""
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(BenchmarkError, match="EVALKIT_CACHE=DIR"):
        locate()


def test_a_named_copy_must_be_official(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A differing file in a copy named by the user is refused with its name and both digests; nothing is fetched."""
    (world.official / "b c.png").write_bytes(b"resized")
    expected, got = world.sources()[1].sha256, hashlib.sha256(b"resized").hexdigest()
    with pytest.raises(BenchmarkError, match=rf"b c\.png has SHA-256 {got}, expected {expected}"):
        locate(world.official)
    monkeypatch.setenv("EVALKIT_DATA", str(world.official))
    with pytest.raises(BenchmarkError, match=r"b c\.png has SHA-256"):
        locate()
    assert not world.requests


def test_an_incomplete_copy(world: World, tmp_path: Path) -> None:
    """A named copy that lacks a photograph says which; one that has none says what was expected where."""
    (world.official / "a.png").unlink()
    with pytest.raises(BenchmarkError, match=r"a\.png is missing"):
        locate(world.official)
    with pytest.raises(BenchmarkError, match="--data DIR"):
        locate(tmp_path / "absent")


def test_order_of_places(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The given copy goes before EVALKIT_DATA, that before a folder beside the results, that before the cache."""
    given = world.write(tmp_path / "given" / "tedbench" / "originals")
    chosen = world.write(tmp_path / "chosen" / "originals")
    beside = world.write(tmp_path / "beside" / "originals")
    near = tmp_path / "beside" / "results"
    near.mkdir()
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "chosen"))
    assert locate(tmp_path / "given", near=near) == given
    assert locate(near=near) == chosen
    monkeypatch.delenv("EVALKIT_DATA")
    assert locate(near=near) == beside
    shutil.rmtree(beside)
    assert locate(near=near) == world.cache


def test_resized_sources_beside_the_results_are_passed_over(world: World, tmp_path: Path) -> None:
    """A folder beside the results that is not the official one is nobody's claim: the official files are fetched."""
    beside = world.write(tmp_path / "beside" / "originals")
    (beside / "a.png").write_bytes(b"resized")
    assert locate(near=tmp_path / "beside" / "results") == world.cache


def test_urls_are_pinned() -> None:
    """Where a photograph is fetched from names the revision, so that it cannot change."""
    urls = tedbench().source_urls
    assert len(urls) == 40
    assert all(f"/{COMMIT}/tedbench/originals/" in url for url in urls.values())
