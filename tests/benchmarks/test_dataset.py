"""Benchmarks as Hugging Face data sets: built, opened, published and loaded back with the real clients."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner
from huggingface_hub import DatasetCard, constants
from PIL import Image

from evalkit.benchmarks.base import Benchmark
from evalkit.benchmarks.dataset import build_dataset
from evalkit.benchmarks.dataset_card import COLUMNS, card_text, render_card
from evalkit.benchmarks.publish import publish_dataset
from evalkit.benchmarks.tedbench import tedbench
from evalkit.benchmarks.tedbench.records import sources
from evalkit.cli import main
from evalkit.edits.item import EditItem
from evalkit.errors import BenchmarkError, DataError, OptionError, PublishError
from tests.support.hub import HubServer

OFFICIAL = Path("../shared/tedbench")
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason=f"the official TEdBench is not in {OFFICIAL}")
# huggingface_hub 2.4 calls its own HTTP client in a way that the client deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
FILES = ("README.md", "benchmark.json", "data/test-00000-of-00001.parquet")


ROWS = "test-00000-of-00001.parquet"


def edit(number: int, source: str, **more: Any) -> EditItem:
    """A square that is to turn green."""
    return EditItem(
        item_id=f"edit-{number}",
        source_image=Path("images") / f"{source}.png",
        source_caption=f"A {source} square.",
        target_caption="A green square.",
        edit_type="recolour",
        **more,
    )


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """Three edits of two drawn images, with everything that a benchmark can have."""
    root = tmp_path / "files"
    (root / "images").mkdir(parents=True)
    for name, colour in (("red", "red"), ("blue", "blue"), ("green", "green"), ("mask", "white")):
        Image.new("RGB", (8, 6), colour).save(root / "images" / f"{name}.png")

    def locate(data: Path | None = None, *, near: Path | None = None) -> Path:
        if data is not None and not data.is_dir():
            raise BenchmarkError(f"There is nothing in {data}.")
        return data or root

    whole = edit(
        0,
        "red",
        group="warm",
        instruction="Make it green.",
        reference_image=Path("images/green.png"),
        edit_mask=Path("images/mask.png"),
        source_attributes={"shape": "square", "colour": "red"},
        target_attributes={"shape": "square", "colour": "green"},
    )
    return Benchmark(
        name="squares",
        title="Squares",
        version="3",
        description="Squares that turn green.",
        homepage="https://example.org/squares",
        licence="Unknown.",
        default_encoder="miniature",
        default_metrics=("clip_score",),
        edit_types={"recolour": "The square takes another colour.", "resize": "It takes another size."},
        items=(whole, edit(1, "red", group="warm"), edit(2, "blue")),
        locate=locate,
        source_urls={"images/red.png": "https://example.org/red.png"},
        notes=("Squares have four corners.",),
    )


@pytest.fixture
def built(benchmark: Benchmark, tmp_path: Path) -> Path:
    """The folder of its data set."""
    return build_dataset(benchmark, None, tmp_path / "out").folder


def load(folder: Path, cache: Path) -> Any:
    """The data set as its users get it, with images as stored bytes."""
    import datasets

    loaded = datasets.load_dataset(str(folder), split="test", cache_dir=str(cache))
    for name, feature in loaded.features.items():
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(name, datasets.Image(decode=False))
    return loaded


def read_all(folder: Path) -> dict[str, bytes]:
    """A built data set's files."""
    return {name: (folder / name).read_bytes() for name in FILES}


# Building -----------------------------------------------------------------------------------------------------


def test_round_trip(benchmark: Benchmark, tmp_path: Path) -> None:
    """Every field comes back as it was, images as the files' own bytes, and what an edit lacks as None."""
    import datasets

    built = build_dataset(benchmark, None, tmp_path / "out")
    assert (built.n_items, built.n_groups, built.version) == (3, 2, "3")
    loaded = load(built.folder, tmp_path / "cache")
    assert loaded.column_names == list(COLUMNS)
    first, second, third = loaded
    images = tmp_path / "files" / "images"
    for column, name in (("source_image", "red"), ("reference_image", "green"), ("edit_mask", "mask")):
        assert first[column] == {"bytes": (images / f"{name}.png").read_bytes(), "path": f"{name}.png"}
    assert first["target_attributes"] == {"colour": "green", "shape": "square"}
    assert first["instruction"] == "Make it green."
    assert first["source_sha256"] == hashlib.sha256((images / "red.png").read_bytes()).hexdigest()
    assert (first["source_file_name"], first["source_url"]) == ("images/red.png", "https://example.org/red.png")
    assert [second[name] for name in ("instruction", "reference_image", "edit_mask")] == [None, None, None]
    assert (first["group"], second["group"], third["source_url"]) == ("warm", "warm", None)
    assert third["group"] == third["source_sha256"][:12], "without a group the bytes are the group"
    decoded = loaded.cast_column("source_image", datasets.Image())
    assert decoded[2]["source_image"].getpixel((0, 0)) == (0, 0, 255)


def test_columns_that_nothing_fills_are_left_out(benchmark: Benchmark, tmp_path: Path) -> None:
    """A benchmark without masks, references, attributes or addresses has no columns for them."""
    plain = replace(benchmark, items=benchmark.items[1:], source_urls={})
    build_dataset(plain, None, tmp_path / "out")
    assert load(tmp_path / "out", tmp_path / "cache").column_names == [
        *("item_id", "source_image", "source_caption", "target_caption", "edit_type", "group"),
        *("source_file_name", "source_sha256"),
    ]


def test_building_again_changes_nothing(benchmark: Benchmark, tmp_path: Path) -> None:
    """The same benchmark gives the same bytes, in a new folder and over an earlier build."""
    build_dataset(benchmark, None, tmp_path / "a")
    first = read_all(tmp_path / "a")
    build_dataset(benchmark, None, tmp_path / "a")
    build_dataset(benchmark, None, tmp_path / "b")
    assert read_all(tmp_path / "a") == read_all(tmp_path / "b") == first


@pytest.mark.parametrize("left", [f".{ROWS}.1.1", ROWS])
def test_what_a_killed_build_left_is_replaced(benchmark: Benchmark, tmp_path: Path, left: str) -> None:
    """Half a table, or its draft, is no data set of somebody's; a whole table of other columns is."""
    data = tmp_path / "out" / "data"
    data.mkdir(parents=True)
    (data / left).write_bytes(b'{"item_id": "item-0", "gro')
    build_dataset(benchmark, None, tmp_path / "out")
    build_dataset(benchmark, None, tmp_path / "whole")
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")

    (tmp_path / "other" / "data").mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.table({"mine": [1]}), tmp_path / "other" / "data" / ROWS)
    with pytest.raises(OptionError, match="holds something other than a data set"):
        build_dataset(benchmark, None, tmp_path / "other")


def test_what_cannot_be_built_leaves_all_as_it_is(benchmark: Benchmark, tmp_path: Path) -> None:
    """Another's folder is refused and not touched, one that cannot be made is named, absent files write nothing."""
    (tmp_path / "thesis.tex").write_text("years of work")
    for output in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(OptionError, match="holds something other than a data set"):
            build_dataset(benchmark, None, output)
    with pytest.raises(DataError, match="cannot be written to"):
        build_dataset(benchmark, None, tmp_path / "thesis.tex" / "out")
    with pytest.raises(BenchmarkError, match="nothing in"):
        build_dataset(benchmark, tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


# The card -----------------------------------------------------------------------------------------------------


def test_card_header_is_the_hubs(benchmark: Benchmark, tmp_path: Path) -> None:
    """The Hub's own parser reads the header: licence, split and size as they are."""
    folder = tmp_path / "out"
    build_dataset(replace(benchmark, licence_id="apache-2.0"), None, folder)
    data = DatasetCard.load(folder / "README.md").data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["size_categories"] == ["n<1K"]
    assert data["configs"][0]["data_files"] == [{"split": "test", "path": "data/test-*.parquet"}]
    build_dataset(benchmark, None, folder)
    assert DatasetCard.load(folder / "README.md").data.license == "unknown"


def test_card_counts_what_there_is() -> None:
    """Figures on the card are those of the rows, counted here another way."""
    benchmark = tedbench()
    rows = [
        {
            "group": item.group,
            "source_file_name": str(item.source_image),
            "source_sha256": item.group,
            "source_caption": item.source_caption,
            "target_caption": item.target_caption,
            "edit_type": item.edit_type,
        }
        for item in benchmark.items
    ]
    card = render_card(card_text(benchmark), rows, {"item_id": "string"})
    assert "100 edits of 39 source images." in card
    assert "| source files | 40 |" in card
    assert f"| different target captions | {len({item.target_caption for item in benchmark.items})} |" in card
    for name, count in Counter(item.edit_type for item in benchmark.items).items():
        assert f"| `{name}` | {count} | {benchmark.edit_types[str(name)]} |" in card
    sizes = sorted(Counter(item.group for item in benchmark.items).values())
    assert f"least, median, most | {sizes[0]}, {sizes[19]}, {sizes[-1]} |" in card
    assert "2210.09276" in card


# The real TEdBench ---------------------------------------------------------------------------------------------


@needs_official
def test_tedbench_through_the_hub(tmp_path: Path) -> None:
    """Built by command from the official files, published by command, loaded back: 100 edits, nothing of an image."""
    out = tmp_path / "out"
    arguments = ["dataset", "build", "tedbench", "--data", str(OFFICIAL), "--output", str(out), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    built = json.loads(result.stdout)
    assert (built["n_items"], built["n_groups"], built["folder"]) == (100, 39, str(out))
    with HubServer() as hub:
        environment = hub.environment(tmp_path / "home", token=hub.token)

        command = [sys.executable, "-m", "evalkit", "dataset", "publish", str(out), "--repo-id", "evalkit/tedbench"]
        done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        published = json.loads(done.stdout)
        script = (
            "import datasets, json; rows = datasets.load_dataset('evalkit/tedbench', split='test'); "
            "print(json.dumps(rows.to_list()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
        )
        repo = hub.repos["dataset", "evalkit/tedbench"]

    assert published["changed"]
    assert not published["with_images"]
    assert published["commit"] == repo.head.oid
    assert sum(len(blob.content) for blob in repo.head.files.values()) < 100_000
    rows = json.loads(done.stdout)
    digests = {source.file_name: source.sha256 for source in sources()}
    assert {row["source_file_name"]: row["source_sha256"] for row in rows} == digests
    assert [row["item_id"] for row in rows] == [item.item_id for item in tedbench().items]
    assert "source_image" not in rows[0]
    for row in load(out, tmp_path / "cache"):
        official = OFFICIAL / "originals" / row["source_file_name"]
        assert row["source_image"]["bytes"] == official.read_bytes()


# Publishing ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub that this process's client talks to, logged in."""
    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server


def pushed(hub: HubServer, tmp_path: Path, repo_id: str = "evalkit/squares") -> Path:
    """A folder with what a repository holds now."""
    for path, blob in hub.repos["dataset", repo_id].head.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(blob.content)
    return tmp_path


def test_unlicensed_images_stay_here(built: Path, hub: HubServer, tmp_path: Path) -> None:
    """Without a licence the texts and digests are pushed, no image, and the card says so and tells the way to them."""
    published = publish_dataset(built, "evalkit/squares")
    assert not published.with_images
    loaded = load(pushed(hub, tmp_path / "back"), tmp_path / "cache")
    assert set(COLUMNS) - set(loaded.column_names) == {"source_image", "reference_image", "edit_mask"}
    assert loaded[0]["target_attributes"] == {"colour": "green", "shape": "square"}
    card = (tmp_path / "back" / "README.md").read_text()
    assert "holds no images" in card
    assert "evalkit dataset build squares" in card
    assert "holds no images" not in (built / "README.md").read_text()


@pytest.mark.parametrize("licence", ["apache-2.0", None])
def test_images_go_along_when_licensed_or_asked_for(
    licence: str | None, benchmark: Benchmark, hub: HubServer, tmp_path: Path
) -> None:
    """With a licence that lets them be passed on, or asked for, the folder is pushed as it is, images and card."""
    build_dataset(replace(benchmark, licence_id=licence), None, tmp_path / "out")
    assert publish_dataset(tmp_path / "out", "evalkit/squares", include_images=licence is None).with_images
    assert read_all(pushed(hub, tmp_path / "back")) == read_all(tmp_path / "out")


@pytest.mark.parametrize("include_images", [False, True])
def test_publishing_again_commits_nothing(
    benchmark: Benchmark, built: Path, hub: HubServer, tmp_path: Path, include_images: bool
) -> None:
    """Unchanged data make no second commit; changed data do, and leave nothing of the first behind."""
    first = publish_dataset(built, "evalkit/squares", include_images=include_images)
    again = publish_dataset(built, "evalkit/squares", include_images=include_images)
    assert (first.changed, again.changed) == (True, False)
    assert again.commit == first.commit
    build_dataset(replace(benchmark, items=benchmark.items[:2]), None, built)
    third = publish_dataset(built, "evalkit/squares", include_images=include_images, message="Fewer")
    repo = hub.repos["dataset", "evalkit/squares"]
    assert third.changed
    assert [commit.title for commit in repo.commits[1:]] == ["Squares, version 3, by evalkit 0.1.0", "Fewer"]
    assert sorted(repo.head.files) == sorted(FILES)


def test_private_means_private(built: Path, hub: HubServer, tmp_path: Path) -> None:
    """A new repository is made private when asked; a public one is not pushed to as if it were."""
    assert publish_dataset(built, "evalkit/hidden", private=True).private
    assert hub.repos["dataset", "evalkit/hidden"].private
    hub.add_repo("dataset", "evalkit/open", {})
    with pytest.raises(PublishError, match="exists and is public"):
        publish_dataset(built, "evalkit/open", private=True)
    assert not hub.repos["dataset", "evalkit/open"].head.files


def test_refusals_say_what_to_do(built: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A foreign namespace, a rejected token, no token and a malformed name each name the next step."""
    with pytest.raises(PublishError, match=r"may not write to elsewhere/squares; it may .* tester or evalkit"):
        publish_dataset(built, "elsewhere/squares")
    with pytest.raises(OptionError, match="NAMESPACE/NAME"):
        publish_dataset(built, "not a name")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PublishError, match=r"hf auth login.*does not accept the token"):
        publish_dataset(built, "evalkit/squares")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublishError, match="hf auth login"):
        publish_dataset(built, "evalkit/squares")
    assert not hub.repos


def test_a_failing_hub(built: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that answers with an error, or that is not there, is named with what it said."""
    hub.fail("POST /api/repos/create", status=500)
    with pytest.raises(PublishError, match=f"{hub.endpoint} answered 500"):
        publish_dataset(built, "evalkit/squares")
    hub.failures.clear()
    hub.fail("PUT /objects/", status=403)
    with pytest.raises(PublishError, match=r"failed: HfHubHTTPError: .*403"):
        publish_dataset(built, "evalkit/squares")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(PublishError, match=r"to http://127\.0\.0\.1:1 failed: ConnectError"):
        publish_dataset(built, "evalkit/squares")


def test_only_what_evalkit_built_is_published(built: Path, hub: HubServer, tmp_path: Path) -> None:
    """A folder that is no built data set, or a damaged one, is refused before anything is asked of the Hub."""
    for text in ("{}", "no json", None):
        folder = tmp_path / str(text)
        folder.mkdir()
        if text is not None:
            (folder / "benchmark.json").write_text(text)
        with pytest.raises(DataError, match="evalkit dataset build"):
            publish_dataset(folder, "evalkit/squares")
    (built / FILES[2]).unlink()
    with pytest.raises(DataError, match=r"expected benchmark\.json, README\.md and data/"):
        publish_dataset(built, "evalkit/squares")
    assert not hub.requests
