"""What ``check`` takes for 10,000 items of each kind of folder, against reading the same files once.

    python tests/benchmarks/checking.py --items 10000
    python tests/benchmarks/checking.py --items 2500 --kinds manifest,parquet

Every kind holds the same small pictures: a source and an edit for each item. *Reading once* hashes the bytes of all
files of the kind in a bare process, start-up included, as it is in all figures. Processor seconds are what the process
computed itself; peak memory is the operating system's figure. Kinds that a version does not know are named as such.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from common import Finished, evalkit, process
from PIL import Image

SIDE = 64
HASHING = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            hashlib.file_digest(file, "sha256")
"""
Arguments = list[str | Path]


class Pictures:
    """The files that all kinds are made of: linked, not copied, where they lie in a folder.

    Args:
        root: Where they are written.
        n: How many items.
    """

    def __init__(self, root: Path, n: int) -> None:
        self.n, self._root, rng = n, root, np.random.default_rng(0)
        root.mkdir()
        for kind in ("source", "edit"):
            for number in range(n):
                coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((SIDE, SIDE), Image.BICUBIC).save(self.file(kind, number))

    def file(self, kind: str, number: int) -> Path:
        """The picture itself."""
        return self._root / f"{kind}_{number}.png"

    def put(self, kind: str, number: int, path: Path) -> None:
        """Has it lie somewhere else too."""
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(self.file(kind, number), path)


def caption(number: int) -> dict[str, str]:
    """The texts of an item."""
    return {"source_caption": f"A picture, number {number}.", "target_caption": f"Another picture, number {number}."}


def table(root: Path, pictures: Pictures, **names: str) -> Path:
    """The captions of all items, with the names of files as columns."""
    path = root / "captions.csv"
    with path.open("w", newline="") as file:
        rows = csv.DictWriter(file, ["item_id", "source_caption", "target_caption", *names])
        rows.writeheader()
        for number in range(pictures.n):
            files = {column: name.format(n=number, g=number % 100) for column, name in names.items()}
            rows.writerow({"item_id": f"i{number}", **caption(number), **files})
    return path


def manifest(root: Path, pictures: Pictures) -> Arguments:
    """A manifest that names edits and sources."""
    lines = []
    for number in range(pictures.n):
        for kind in ("source", "edit"):
            pictures.put(kind, number, root / kind / f"{number}.png")
        names = {"source_image_file_name": f"source/{number}.png", "edited_image_file_name": f"edit/{number}.png"}
        lines.append(json.dumps({"item_id": f"i{number}", **caption(number), **names}) + "\n")
    (root / "metadata.jsonl").write_text("".join(lines))
    return [root]


def parallel(root: Path, pictures: Pictures, edited: str, source: str, *more: str) -> Arguments:
    """Edits and sources in two trees, and a table of captions."""
    for number in range(pictures.n):
        pictures.put("edit", number, root / "edits" / edited.format(n=number, g=number % 100))
        pictures.put("source", number, root / "sources" / source.format(n=number, g=number % 100))
    return [root / "edits", "--sources", root / "sources", "--captions", table(root, pictures), *more]


def item_ids(root: Path, pictures: Pictures) -> Arguments:
    """``i0.png`` on both sides."""
    return parallel(root, pictures, "i{n}.png", "i{n}.png")


def item_ids_and_seeds(root: Path, pictures: Pictures) -> Arguments:
    """``i0/0.png``."""
    return parallel(root, pictures, "i{n}/0.png", "i{n}.png")


def trees(root: Path, pictures: Pictures) -> Arguments:
    """Sub-folders of equal names, which the table gives."""
    arguments = parallel(root, pictures, "g{g}/{n}.png", "g{g}/{n}.png")
    table(root, pictures, source_image="g{g}/{n}.png", edited_image="g{g}/{n}.png")
    return arguments


def pattern(root: Path, pictures: Pictures) -> Arguments:
    """Names that only the user knows to read."""
    return parallel(root, pictures, "run7_i{n}__v3.png", "i{n}.png", "--pattern", "run7_{item_id}__v3.png")


def pairs(root: Path, pictures: Pictures) -> Arguments:
    """``input_0.png`` beside ``output_0.png``."""
    for number in range(pictures.n):
        pictures.put("source", number, root / "pairs" / f"input_{number}.png")
        pictures.put("edit", number, root / "pairs" / f"output_{number}.png")
    return [root / "pairs", "--pattern", "output_{item_id}.png", "--source-pattern", "input_{item_id}.png"]


def pair_folders(root: Path, pictures: Pictures) -> Arguments:
    """A folder for each pair with its captions, as InstructPix2Pix's data have it."""
    for number in range(pictures.n):
        folder = root / "folders" / f"{number:07}"
        pictures.put("source", number, folder / f"{number}_0.png")
        pictures.put("edit", number, folder / f"{number}_1.png")
        texts = caption(number)
        prompt = {"input": texts["source_caption"], "edit": "Change it.", "output": texts["target_caption"]}
        (folder / "prompt.json").write_text(json.dumps(prompt))
    return [root / "folders"]


def text_files(root: Path, pictures: Pictures) -> Arguments:
    """The caption of ``i0.png`` in ``i0.txt``."""
    arguments = parallel(root, pictures, "i{n}.png", "i{n}.png")
    for number in range(pictures.n):
        (root / "edits" / f"i{number}.txt").write_text(caption(number)["target_caption"])
    return [*arguments[:-1], root / "edits"]


def strips(root: Path, pictures: Pictures) -> Arguments:
    """The source with the edit beside it, in one file."""
    arguments = parallel(root, pictures, "i{n}.png", "i{n}.png", "--strip", "source,edited")
    for number in range(pictures.n):
        strip = Image.new("RGB", (2 * SIDE, SIDE))
        for column, kind in enumerate(("source", "edit")):
            strip.paste(Image.open(pictures.file(kind, number)), (column * SIDE, 0))
        path = root / "edits" / f"i{number}.png"
        path.unlink()
        strip.save(path)
    return arguments


def parquet(root: Path, pictures: Pictures) -> Arguments:
    """Rows of a data set: both pictures as bytes, and the captions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir()
    path = root / "pairs.parquet"
    rows = [
        {
            "item_id": f"i{number}",
            **caption(number),
            **{f"{name}_image": {"bytes": pictures.file(kind, number).read_bytes(), "path": None}
               for name, kind in (("source", "source"), ("edited", "edit"))},
        }
        for number in range(pictures.n)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    return [path]


def card(root: Path, pictures: Pictures) -> Arguments:
    """A benchmark of one's own: its card, its rows in a local copy, and edits by item id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (root / "copy").mkdir(parents=True)
    rows = [
        {"key": f"i{number}", **caption(number),
         "image": {"bytes": pictures.file("source", number).read_bytes(), "path": None}}
        for number in range(pictures.n)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), root / "copy" / "test-00000-of-00001.parquet", row_group_size=1000)
    fields = ("source_caption", "target_caption")
    columns = {"item_id": "{key}", "source_image": "{image}", **{name: f"{{{name}}}" for name in fields}}
    lines = [
        "title: Own", "version: v1", "description: Drawn.", "homepage: https://example.org", "licence: Own.",
        f"n_items: {pictures.n}", "source:", "  hub: nobody/own", "  split: test", "columns:",
        *(f'  {name}: "{column}"' for name, column in columns.items()), "metrics: [l1]",
    ]  # fmt: skip
    (root / "own.yaml").write_text("\n".join(lines) + "\n")
    for number in range(pictures.n):
        pictures.put("edit", number, root / "edits" / f"i{number}.png")
    return [root / "edits", "--benchmark", root / "own.yaml", "--data", root / "copy"]


KINDS: dict[str, Callable[[Path, Pictures], Arguments]] = {
    kind.__name__: kind
    for kind in (
        manifest, item_ids, item_ids_and_seeds, trees, pattern, pairs, pair_folders, text_files, strips, parquet, card
    )
}  # fmt: skip


def measured(arguments: Arguments, n: int, work: Path, *more: str) -> Finished | None:
    """The command over a kind; None where this version does not know it."""
    command = ["check", *map(str, arguments), *more, "--json"]
    try:
        done = evalkit(*command, cache=work / "cache")
    except SystemExit:
        return None
    found = json.loads(done.output)
    if found["n_edited"] != n:
        raise SystemExit(f"{' '.join(command)}: expected {n} edits, got {found['n_edited']}: {found['problems'][:2]}")
    return done


def main() -> None:
    """Makes each kind, measures it, and prints a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        pictures = Pictures(work / "pictures", options.items)
        print(f"{options.items} items of each kind; processor seconds (times reading once), peak memory")
        for name in options.kinds.split(","):
            root = work / name
            arguments = KINDS[name](root, pictures)
            once = process([sys.executable, "-c", HASHING, str(root)])
            cells = [f"{name:20} reading once {once.cpu_seconds:5.2f} s"]
            for title, more in (("--no-decode", ["--no-decode"]), ("check", [])):
                done = measured(arguments, options.items, work, *more)
                if done is None:
                    cells.append(f"{title}: not known to this version")
                    continue
                ratio = done.cpu_seconds / once.cpu_seconds
                cells.append(f"{title} {done.cpu_seconds:6.2f} s ({ratio:4.1f}×), {done.peak_mib:4.0f} MiB")
            print("; ".join(cells), flush=True)
            subprocess.run(["rm", "-rf", str(root)], check=True)


if __name__ == "__main__":
    main()
