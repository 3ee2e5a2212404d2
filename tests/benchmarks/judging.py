"""Throughput of judging against bare calls to the same server: ``python -m tests.benchmarks.judging``.

The server, in a process of its own, answers every question after ``--latency`` seconds, however many there are at a
time. A bare call is a POST of a body that was made before, on a connection that is kept; judging is ``score`` of a
folder from its manifest to its record on disk: first of pictures that nobody has seen, which are looked at like any
others, then again by another judge, when it is known what they are like. The ratios are of answers per second, from
the start of the run to its end: the first wave waits for its pictures, so they rise with ``--rounds``. Beside them the
processor's milliseconds for an answer, without the server's, which do not depend on what else the machine does.
``--format JPEG`` is of pictures that are decoded and encoded again.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import numpy as np
import requests
from PIL import Image

from evalkit.judges.asking import JudgeOptions
from evalkit.judges.base import JudgeSettings
from evalkit.judges.open import open_judge
from evalkit.judges.rubric import load_rubric
from evalkit.scoring.score import score
from tests.support.judging import hangs_for, judge_server


def serve(latency, pipe):
    """The server, until it is told to end."""
    with judge_server() as server:
        server.then, server.keeps = hangs_for(latency), False
        pipe.send(server.base_url)
        pipe.recv()


def folder_of(root, n, side, form, seed):
    """Edits of noisy pictures that no other seed has."""
    random = np.random.default_rng(seed)
    root.mkdir()
    lines = []
    for number in range(n):
        source, edited = (f"{kind}{number}.{form.lower()}" for kind in ("source", "edited"))
        for name in (source, edited):
            small = random.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
            Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(root / name, form)
        row = {
            "file_name": edited,
            "item_id": f"{number}",
            "source_image_file_name": source,
            "instruction": "Turn red.",
        }
        lines.append(json.dumps(row))
    (root / "metadata.jsonl").write_text("\n".join(lines))
    return root


def question_about(folder):
    """What is asked about the first edit."""
    source, edited = (next(folder.glob(f"{kind}0.*")) for kind in ("source", "edited"))
    pictures = (JudgeSettings().picture_of_file(path.read_bytes(), path) for path in (source, edited))
    shown = dict(zip(("source_image", "edited_image"), pictures, strict=True))
    return load_rubric("judge").question_about(shown | {"instruction": "Turn red."})


def bare(base_url, body, n, concurrency):
    """Answers per second of POST requests with a finished body, and the processor's seconds for one."""
    of_thread = local()

    def call(_):
        if not hasattr(of_thread, "session"):
            of_thread.session = requests.Session()
        response = of_thread.session.post(f"{base_url}/chat/completions", data=body, timeout=60)
        json.loads(response.content)

    start, busy = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(call, range(n)))
    return n / (time.perf_counter() - start), (time.process_time() - busy) / n


def judged(base_url, folder, run, concurrency):
    """Answers per second of judging, and the processor's seconds for one."""
    judge = JudgeOptions(spec=f"judge:{base_url}/{run.name}", concurrency=concurrency)
    start, busy = time.perf_counter(), time.process_time()
    n = len(score(folder, run, judge=judge).judgements)
    return n / (time.perf_counter() - start), (time.process_time() - busy) / n


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=1.0, help="seconds for an answer")
    parser.add_argument("--rounds", type=int, default=8, help="answers for each question in hand")
    parser.add_argument("--in-hand", type=int, nargs="+", default=[1, 8, 64], help="questions at the same time")
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--format", default="PNG", help="of the files, as Pillow names it")
    arguments = parser.parse_args()
    os.environ["no_proxy"] = "*"
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(arguments.latency, there), daemon=True)
    server.start()
    base_url = here.recv()
    with tempfile.TemporaryDirectory() as name:
        root, form = Path(name), arguments.format
        os.environ["EVALKIT_CACHE"] = str(root / "cache")
        warm = folder_of(root / "warm", 1, arguments.side, form, seed=0)
        judged(base_url, warm, root / "warm_run", 1)
        body = json.dumps(open_judge(f"judge:{base_url}/M")._body(question_about(warm), 0)).encode()
        print(f"{arguments.latency:g} s for an answer, {arguments.side} px {form}, {len(body) >> 10} KiB a question")
        print("in hand   bare/s  first/s   ratio  again/s   ratio   bare ms  first ms  again ms", flush=True)
        for concurrency in arguments.in_hand:
            n = concurrency * arguments.rounds
            folder = folder_of(root / f"edits{concurrency}", n, arguments.side, form, seed=concurrency)
            called, call = bare(base_url, body, n, concurrency)
            first, took = judged(base_url, folder, root / f"first{concurrency}", concurrency)
            again, takes = judged(base_url, folder, root / f"again{concurrency}", concurrency)
            rates = f"{called:8.2f} {first:8.2f} {first / called:7.3f} {again:8.2f} {again / called:7.3f}"
            print(f"{concurrency:7} {rates} {1e3 * call:9.1f} {1e3 * took:9.1f} {1e3 * takes:9.1f}", flush=True)
    here.send(None)


if __name__ == "__main__":
    main()
