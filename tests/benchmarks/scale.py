"""Whether a folder of a million edits is only a thousand times one of a thousand: seconds and peak memory per command.

    python tests/benchmarks/scale.py --sizes 1000 10000 100000 1000000

The folder is a manifest over tiny PNGs, five edits per source, a thousand files to a directory; equal pictures have
different bytes behind their end, so that nobody takes them for one file. The embeddings of all images and captions are
in the cache before ``evalkit score`` starts, so that it is the bookkeeping that is measured. ``evalkit compare`` joins
that run with a copy whose scores differ by noise. Every command is a process of its own.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from common import COLOURS, EDITS_PER_SOURCE, NOUNS, Finished, evalkit, make_folder
from PIL import Image

from evalkit.encoders.cache import EmbeddingCache
from evalkit.scoring.requests import content_digest
from evalkit.storage.prefetch import in_batches

PER_DIRECTORY = 1000
BATCH = 5000
SIDE = 16
COMMANDS = ("check", "score", "compare")


def tiny_png(grey: int) -> bytes:
    """The smallest picture that nothing is said against."""
    file = io.BytesIO()
    Image.new("L", (SIDE, SIDE), grey).save(file, "PNG")
    return file.getvalue()


def write_images(folder: Path, kind: str, n: int, picture: bytes) -> Iterator[tuple[str, bytes]]:
    """Files that show one picture and differ in their bytes: name and SHA-256 of each."""
    for number in range(n):
        name = f"{kind}/{number // PER_DIRECTORY:04d}/{number % PER_DIRECTORY:03d}.png"
        path = folder / name
        if number % PER_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        content = picture + number.to_bytes(4, "big")
        path.write_bytes(content)
        yield name, content_digest([hashlib.sha256(content).hexdigest()])


def make(folder: Path, n: int, cache: EmbeddingCache, key: str, dimension: int) -> None:
    """The folder, and its embeddings in the cache."""
    rng = np.random.default_rng(0)

    def keep(kind: str, digests: Iterable[str]) -> None:
        for batch in in_batches(digests, BATCH):
            vectors = rng.normal(size=(len(batch), dimension)).astype(np.float32)
            cache.put_many(key, kind, dict(zip(batch, vectors, strict=True)))

    def source_caption(group: int) -> str:
        return f"A photo of a {NOUNS[group % len(NOUNS)]}, number {group}."

    def target_caption(number: int) -> str:
        group, which = divmod(number, EDITS_PER_SOURCE)
        return f"A photo of a {COLOURS[which]} {NOUNS[group % len(NOUNS)]}, number {group}."

    n_sources = -(-n // EDITS_PER_SOURCE)
    keep("image", (digest for _, digest in write_images(folder, "source", n_sources, tiny_png(80))))
    keep("text", (content_digest([], [source_caption(group)]) for group in range(n_sources)))
    keep("text", (content_digest([], [target_caption(number)]) for number in range(n)))
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as manifest:

        def listed() -> Iterator[str]:
            for number, (name, digest) in enumerate(write_images(folder, "edited", n, tiny_png(160))):
                group = number // EDITS_PER_SOURCE
                line = {
                    "item_id": f"item_{number}",
                    "source_image_file_name": f"source/{group // PER_DIRECTORY:04d}/{group % PER_DIRECTORY:03d}.png",
                    "edited_image_file_name": name,
                    "source_caption": source_caption(group),
                    "target_caption": target_caption(number),
                }
                manifest.write(json.dumps(line) + "\n")
                yield digest

        keep("image", listed())


def encoder_of(root: Path, cache: Path) -> tuple[str, int]:
    """The miniature encoder's key in the cache and its dimension, from a run over one item."""
    folder = make_folder(root / "one", 1, 64)
    evalkit("score", str(folder), "--encoder", "miniature", "--output", str(root / "one_run"), cache=cache)
    with EmbeddingCache.open(cache / "embeddings.sqlite") as opened:
        (known,) = [encoder for encoder in opened.info().encoders if encoder.n_images]
    return known.fingerprint, known.n_bytes // (4 * (known.n_images + known.n_texts))


def noisy_copy(run: Path, other: Path) -> None:
    """A run of the same items with other scores."""
    rng = np.random.default_rng(1)
    other.mkdir()
    digest = hashlib.sha256()
    with (run / "items.jsonl").open(encoding="utf-8") as lines, (other / "items.jsonl").open("wb") as copy:
        for line in lines:
            row = json.loads(line)
            noise = rng.normal(0.001, 0.05)
            scored = {name: value + noise for name, value in row.items() if isinstance(value, float)}
            text = (json.dumps({**row, **scored}) + "\n").encode()
            digest.update(text)
            copy.write(text)
    record = json.loads((run / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "run": "other", "items_sha256": digest.hexdigest()}))


def measure(root: Path, n: int) -> dict[str, Finished]:
    """Every command over a folder of so many edits."""
    cache, folder = root / "cache", root / "folder"
    fingerprint, dimension = encoder_of(root, cache)
    with EmbeddingCache.open(cache / "embeddings.sqlite") as opened:
        make(folder, n, opened, fingerprint, dimension)
    done = {"check": evalkit("check", str(folder), cache=cache)}
    run, other = root / "run", root / "other"
    done["score"] = evalkit("score", str(folder), "--encoder", "miniature", "--output", str(run), cache=cache)
    record = json.loads((run / "run.json").read_text())
    if record["n_encoded_images"] + record["n_encoded_texts"]:
        raise SystemExit("the cache was not warm")
    noisy_copy(run, other)
    done["compare"] = evalkit("compare", str(run), str(other), cache=cache)
    return done


def table(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    """The curve in Markdown."""
    lines = ["| edits | " + " | ".join(f"{name}: s (processor), MiB" for name in COMMANDS) + " |", "|---" * 4 + "|"]
    for n, by_command in figures.items():
        cells = [
            f"{found['seconds']:.1f} ({found['cpu_seconds']:.1f}), {found['peak_mib']:.0f}"
            for found in (by_command[name] for name in COMMANDS)
        ]
        lines.append(f"| {int(n):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Generate, measure, print, and, if asked to, write the figures as JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--output", type=Path, help="Path without suffix: .json and .md are written there.")
    parser.add_argument("--scratch", type=Path, help="Where to generate; the system's temporary directory by default.")
    options = parser.parse_args()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for n in options.sizes:
        root = Path(tempfile.mkdtemp(dir=options.scratch))
        try:
            done = measure(root, n)
        finally:
            shutil.rmtree(root)
        figures[str(n)] = {
            name: {
                "seconds": round(one.seconds, 2),
                "cpu_seconds": round(one.cpu_seconds, 2),
                "peak_mib": round(one.peak_mib, 1),
            }
            for name, one in done.items()
        }
        print(json.dumps({n: figures[str(n)]}), flush=True)
    print(table(figures))
    if options.output:
        sizes = " ".join(map(str, options.sizes))
        where = f"{os.cpu_count()} cores, Python {platform.python_version()}"
        record = {"command": f"python tests/benchmarks/scale.py --sizes {sizes}", "where": where, "figures": figures}
        options.output.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
        options.output.with_suffix(".md").write_text(
            f"# Seconds and peak memory from 10³ to 10⁶ edits\n\n`{record['command']}` ({where}), one run; what each "
            f"column is stands in the script.\n\n{table(figures)}\n"
        )


if __name__ == "__main__":
    main()
