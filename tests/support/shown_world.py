"""A small world in which the command lines of README, guide and help run: folders, tables, runs, servers."""

import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.benchmarks import protocols
from evalkit.benchmarks.base import BENCHMARKS, Benchmark
from evalkit.benchmarks.protocols import PROTOCOLS
from evalkit.benchmarks.shapes import shapes, shapes_v2
from evalkit.benchmarks.tedbench import tedbench
from evalkit.cli import main
from evalkit.edits.manifest import write_manifest
from evalkit.images.decode import read_image, write_image
from evalkit.leaderboard.submit import submit
from evalkit.votes.records import write_votes
from tests.support import boards, models
from tests.support.datasets import cell, pair_rows, parquet, write_parquet
from tests.support.diffusion import save_tiny
from tests.support.fakes import make_items, save_picture
from tests.support.hub import HubServer, use_in_process
from tests.support.image_server import image_server
from tests.support.judging import judge_server
from tests.support.pie_bench import EDITS, write_copy, write_outputs
from tests.support.pipelines import save_tiny_pipeline
from tests.support.runs import A, B
from tests.support.votes import simulated_votes

N_ITEMS, PER_SOURCE = 12, 4
CLIP = "ViT-B-32-quickgelu"
EDIT_ALL = """
import json, pathlib, shutil, sys
for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
    item = json.loads(line)
    folder = pathlib.Path(sys.argv[1]).parent
    shutil.copy(folder / item["source_image_file_name"], folder / item["edited_image_file_name"])
"""
SOURCES = [
    {
        "idx": number,
        "image": cell(number, f"{number}.png"),
        "input_caption": f"in {number}",
        "output_caption": f"out {number}",
    }
    for number in range(4)
]
ENTRIES = ("sdedit", "mdp")
SITE = Path("leaderboard/site").absolute()
WEIGHTS: Mapping[str, Callable[[Path], Any]] = {
    "timm/vit_base_patch32_clip_224.openai": models.tiny_open_clip,
    "openai/clip-vit-base-patch32": models.tiny_transformers_clip,
    "openai/clip-vit-large-patch14": models.tiny_transformers_clip,
    "facebook/dino-vits16": partial(models.tiny_dino, "vit"),
    "facebook/dino-vitb8": partial(models.tiny_dino, "vit"),
    "stable-diffusion-v1-5/stable-diffusion-v1-5": save_tiny,
    "stabilityai/stable-diffusion-2-1-base": save_tiny,
    "CompVis/stable-diffusion-v1-4": save_tiny,
    "timbrooks/instruct-pix2pix": partial(save_tiny_pipeline, "instruct_pix2pix"),
    "black-forest-labs/FLUX.2-klein-4B": partial(save_tiny_pipeline, "flux2_klein"),
}
"""Small networks of random weights, by the name of the repository in whose place they stand."""
RUNS = {"evalkit_runs": ("imagic", "mine"), ".": ("A", "B"), "runs": ("ours", "baseline")}


def few_shapes() -> Benchmark:
    """The first edits of shapes; there are hundreds."""
    whole = shapes()
    return replace(whole, items=whole.items[:N_ITEMS])


def few_shapes_v2() -> Benchmark:
    """The first edits of version 2, of which the board is."""
    whole = shapes_v2()
    return replace(whole, items=whole.items[:N_ITEMS])


def drawn_tedbench() -> Benchmark:
    """Drawn pictures in the place of TEdBench's photographs, which are nobody's to pass on."""
    whole, drawn = tedbench(), few_shapes()
    return replace(
        whole, items=drawn.items[::PER_SOURCE], edited_names={}, locate=lambda data=None, *, near=None: drawn.locate()
    )


SHAPES_V2 = replace(protocols.SHAPES_V2, n_items=N_ITEMS)
PIE_BENCH_V2 = replace(protocols.PIE_BENCH_V2, n_items=len(EDITS))


@contextmanager
def world(laid_out: Path, root: Path, lines: Sequence[str]) -> Iterator[None]:
    """The current directory, and whatever a network would be needed for, until a document's lines have run.

    Args:
        laid_out: What :func:`lay_out` wrote.
        root: Where its folders are copied to.
        lines: What is to run there; servers that none of them asks are not started.
    """
    text = "\n".join(lines)
    shutil.copytree(laid_out / "world", root)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        small(patch)
        patch.chdir(root)
        patch.setenv("EVALKIT_CACHE", str(laid_out / "cache"))
        patch.setenv("TORCH_HOME", str(laid_out / "torch"))
        hub = stack.enter_context(HubServer(user="you"))
        use_in_process(hub, patch, laid_out / "home", token=hub.token)
        patch.setitem(open_clip.factory._MODEL_CONFIGS, CLIP, models.CONFIG)
        _fill(hub, laid_out)
        if "edit http" in text:
            patch.setenv("OPENAI_API_KEY", "none")
            patch.setenv("IMAGE_SERVER", stack.enter_context(image_server()).base_url)
        if "--judge" in text:
            patch.setenv("JUDGE_SERVER", stack.enter_context(judge_server()).base_url)
        if "s3://" in text:
            stack.enter_context(_bucket(patch))
        # The site would be shown until Ctrl-C.
        patch.setattr("evalkit.report.local_server.ThreadingHTTPServer.serve_forever", lambda _: None)
        yield


def small(patch: pytest.MonkeyPatch) -> None:
    """Benchmarks and protocols of few edits under the names of those that have many."""
    here = __name__
    for name, target in {"shapes": few_shapes, "shapes:v2": few_shapes_v2, "tedbench": drawn_tedbench}.items():
        patch.setitem(BENCHMARKS._builtin, name, f"{here}:{target.__name__}")
    for name, target in {"shapes/v2": "SHAPES_V2", "pie_bench/v2": "PIE_BENCH_V2"}.items():
        patch.setitem(PROTOCOLS._builtin, name, f"{here}:{target}")


def lay_out(root: Path) -> Path:
    """Every folder and file that a document speaks of."""
    (root / "world").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "world")
        patch.setenv("EVALKIT_CACHE", str(root / "cache"))
        small(patch)
        _folders()
        _tables()
        _board()
        _programs()
        for repo_id, write in WEIGHTS.items():
            write(root / "weights" / repo_id)
        checkpoints = root / "torch/hub/checkpoints"
        checkpoints.mkdir(parents=True)
        models.write_backbone(checkpoints, "squeeze")[0].rename(checkpoints / "squeezenet1_1-b8a52dc0.pth")
    return root


def _folders() -> None:
    lines = ["item_id,source_caption,target_caption"]
    for number in range(4):
        lines.append(f"i{number},A thing.,Another thing {number}.")
        save_picture(Path(f"photos/i{number}.png"), number, 32)
        save_picture(Path(f"outputs/i{number}.png"), 10 + number, 32)
        save_picture(Path(f"numbered/{number}.png"), 10 + number, 32)
    Path("captions.csv").write_text("\n".join(lines) + "\n")
    for number, name in enumerate(("ours", "baseline", "mine", "theirs")):
        edit_shapes(Path("edits", name), seed=number)
    edit_shapes(Path("FOLDER"), seed=7, benchmark=few_shapes_v2())
    edit_shapes(Path("tedbench/imagic"), seed=8, benchmark=drawn_tedbench())
    for number, name in enumerate(("ours", "theirs")):
        write_manifest(Path(name, "outputs"), make_items(Path(name, "outputs"), 4 + number, 4))
    write_parquet(Path("pairs.parquet"), pair_rows(4))
    write_parquet(Path("test.parquet"), SOURCES)
    write_copy(Path("PIE-Bench_v1"), (512, 512))
    write_outputs(Path("output/ddim+p2p"))


def edit_shapes(folder: Path, *, seed: int, benchmark: Benchmark | None = None) -> None:
    """A folder of true edits with noise, as a good method of shapes would write it."""
    rng, items = np.random.default_rng(seed), []
    benchmark = benchmark or few_shapes()
    for item in benchmark.load().items:
        pixels = np.array(read_image(item.reference_image), dtype=np.int16)
        noisy = np.clip(pixels + rng.integers(-9, 10, pixels.shape), 0, 255).astype(np.uint8)
        path = folder / f"{item.item_id}.png"
        write_image(path, Image.fromarray(noisy))
        items.append(replace(item, edited_image=path))
    write_manifest(folder, items, benchmark=benchmark.name, method=folder.name)


def _tables() -> None:
    scored = CliRunner().invoke(main, ["score", "edits/theirs", "edits/mine", "--output", "scored"])
    assert scored.exit_code == 0, scored.output
    for above, names in RUNS.items():
        for name, run in zip(names, ("theirs", "mine"), strict=True):
            shutil.copytree(Path("scored", run), Path(above, name))
    ids = [f"item {number}" for number in range(len(A))]
    for name, values in (("a", A), ("b", B), ("ours", A), ("baseline", B)):
        pandas.DataFrame({"item_id": ids, "clip_score": values}).to_csv(f"scores_{name}.csv", index=False)
    both = [
        (name, number, value) for name, values in (("ours", A), ("theirs", B)) for number, value in enumerate(values)
    ]
    rows = [{"method": name, "item_id": number, "my_distance": value} for name, number, value in both]
    pandas.DataFrame(rows).to_csv("evaluation_result.csv", index=False)
    for name, values in (("ours.json", A), ("theirs.xlsx", B)):
        table = pandas.DataFrame({"category": list("aabbcc"), "index": [0, 1] * 3, "psnr": values})
        table.to_excel(name, index=False) if name.endswith("xlsx") else table.to_json(name, orient="records")
    pandas.DataFrame({"item_id": ids, "ours": A, "theirs": B}).to_csv("items_by_method.tsv", sep="\t", index=False)
    rated = [(method, item.item_id) for method in ("mine", "theirs") for item in few_shapes().items]
    rows = [{"method": method, "item_id": item, "rating": len(item) % 5} for method, item in rated]
    pandas.DataFrame(rows).to_csv("ratings.csv", index=False)
    votes = simulated_votes({"ours": 1.0, "theirs": 0.0, "others": 0.0}, n_raters=5)
    for name in ("votes", "votes_a", "votes_b"):
        write_votes(Path(f"{name}.jsonl"), votes)
    renamed = {"winner": "verdict", "rater": "person"}
    pandas.DataFrame([vote.model_dump(exclude_none=True) for vote in votes]).rename(columns=renamed).to_csv("arena.csv")


def _board() -> None:
    board = boards.empty_board(Path("leaderboard"))
    for seed, name in enumerate(ENTRIES):
        edit_shapes(Path("entries", name), seed=20 + seed, benchmark=few_shapes_v2())
        submit(Path("entries", name), _card(f"entries/{name}.yaml", name), board)
    shutil.copytree(SITE, "leaderboard/site")
    for path in ("my_method.yaml", "METHOD.yaml"):
        _card(path, "my_method")
    git = ["git", "-c", "user.name=you", "-c", "user.email=you@example.org"]
    for words in (
        ["init", "-q"],
        ["add", "leaderboard"],
        ["commit", "-qm", "Board"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run([*git, *words], check=True)


def _card(path: str, name: str) -> Path:
    return boards.write_card(Path(path), boards.card_of(name, protocol="shapes/v2"))


def _programs() -> None:
    Path("edit.py").write_text("import shutil, sys\nshutil.copy(*sys.argv[-2:])\n")
    Path("edit_all.py").write_text(EDIT_ALL)


def _fill(hub: HubServer, laid_out: Path) -> None:
    """Repositories of the names that the lines lead to, with small networks of random weights and small data sets."""
    for repo_id in WEIGHTS:
        hub.add_repo("model", repo_id, _files(laid_out / "weights" / repo_id))
    edits = {f"sdedit/{name}": content for name, content in _files(laid_out / "world/ours/outputs").items()}
    hub.add_repo("dataset", "you/edits", edits)
    hub.add_repo("dataset", "owner/benchmark", {"test.parquet": parquet(SOURCES)})
    rows = [{"ours": row.pop("edited_img"), **row} for row in pair_rows(4)]
    outputs = hub.add_repo("dataset", "you/outputs", {"test.parquet": parquet(rows)})
    outputs.names["v2"] = outputs.head


@contextmanager
def _bucket(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that speaks S3, with one empty bucket."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "test")
    S3FileSystem.clear_instance_cache()
    S3FileSystem().mkdir("bucket")
    try:
        yield
    finally:
        server.stop()
        S3FileSystem.clear_instance_cache()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
