"""Throughput of judging against bare calls to the same server: ``python -m tests.benchmarks.judging``.

The server, in a process of its own, answers every question after ``--latency`` seconds, however many there are at a
time. A bare call is a POST of a body that was made before, on a connection that is kept; judging reads and decodes
pictures, sends them, reads answers, and keeps them in a cache on disk. The ratio is of answers per second; beside it
the processor's milliseconds for an answer, without the server's, which do not depend on what else the machine does.
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

from evalkit.edits.whole_item import WholeItem
from evalkit.encoders.cache import EmbeddingCache
from evalkit.judges.asking import JudgeOptions, RubricJudge
from evalkit.judges.open import open_judge
from evalkit.judges.rubric import load_rubric
from tests.support.judging import hangs_for, judge_server


def serve(latency, pipe):
    """The server, until it is told to end."""
    with judge_server() as server:
        server.then, server.keeps = hangs_for(latency), False
        pipe.send(server.base_url)
        pipe.recv()


def pictures(folder, n, side):
    """Pairs of noisy pictures, as files."""
    random = np.random.default_rng(0)
    found = []
    for number in range(n):
        paths = [folder / f"{kind}{number}.png" for kind in ("source", "edited")]
        for path in paths:
            small = random.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
            Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(path)
        found.append(paths)
    return found


def item(paths):
    """What is judged, decoded."""
    source, edited = (Image.open(path).convert("RGB") for path in paths)
    return WholeItem(source_image=source, edited_image=edited, instruction="Make it red.")


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


def judged(base_url, files, concurrency, folder):
    """Answers per second of judging, and the processor's seconds for one."""
    options = JudgeOptions(spec=f"{base_url}/MODEL{concurrency}", concurrency=concurrency)
    with EmbeddingCache.open(folder / "cache.sqlite") as cache:
        judge = RubricJudge(open_judge(options.spec), load_rubric("judge"), options, cache)
        start, busy = time.perf_counter(), time.process_time()
        jobs = ((f"{number:064x}", lambda paths=paths: item(paths)) for number, paths in enumerate(files))
        assert sum(1 for _ in judge.ask(jobs)) == len(files)
        return len(files) / (time.perf_counter() - start), (time.process_time() - busy) / len(files)


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=1.0, help="seconds for an answer")
    parser.add_argument("--rounds", type=int, default=8, help="answers for each question in hand")
    parser.add_argument("--side", type=int, default=512, help="pixels")
    arguments = parser.parse_args()
    os.environ["no_proxy"] = "*"
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(arguments.latency, there), daemon=True)
    server.start()
    base_url = here.recv()
    with tempfile.TemporaryDirectory() as name:
        files = pictures(Path(name), max(64, 8) * arguments.rounds, arguments.side)
        settings = JudgeOptions(spec="").settings
        question = load_rubric("judge").question_about(item(files[0]), settings)
        judge = open_judge(f"{base_url}/MODEL")
        body = json.dumps(judge._body(question, 0)).encode()
        print(f"{arguments.latency:g} s for an answer, {arguments.side} px, {len(body) >> 10} KiB a question")
        print("in hand   bare/s   judged/s   ratio   bare ms   judged ms", flush=True)
        for concurrency in (1, 8, 64):
            n = concurrency * arguments.rounds
            called, call = bare(base_url, body, n, concurrency)
            answered, answer = judged(base_url, files[:n], concurrency, Path(name))
            figures = f"{called:8.2f} {answered:10.2f} {answered / called:7.3f} {1e3 * call:9.1f} {1e3 * answer:11.1f}"
            print(f"{concurrency:7} {figures}", flush=True)
    here.send(None)


if __name__ == "__main__":
    main()
