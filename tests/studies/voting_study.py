"""A whole study in a box on shapes: raters whose judgement is known vote through the server, and methods are ranked.

::

    python -m tests.studies.voting_study
    python -m tests.studies.voting_study --raters 3 --votes 12 --items 8 --work build/trial    # in seconds

Four methods are made whose quality is known: on a known share of items the edit is perfect, on the others it gives a
wrong value; two have the same share. ``evalkit vote`` serves the study. Simulated raters take part through the server
alone, all at once: they are told what a person is told, and look at the pictures that a person sees. Each finds an edit
the better the nearer it is to the perfect one, with errors of its own, sees no difference where there is little, and
prefers the left a little; one answers at random. The command is then ended as a person ends it, and ``evalkit compare``
ranks the methods. What came out stands beside this file.
"""

import argparse
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evalkit import __version__
from evalkit.benchmarks.shapes import shapes
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.images.decode import read_image, write_image
from tests.support.voting import asked, joined

RESULTS, TABLE = Path(__file__).with_suffix(".json"), Path(__file__).with_suffix(".md")
SHARES = {"nine_of_ten": 0.9, "seven_of_ten": 0.7, "also_seven": 0.7, "four_of_ten": 0.4}
"""Method to the share of items on which its edit is perfect."""
ERROR, TIE, LEFT = 0.35, 0.25, 0.05
"""Of a rater, in units of the difference between a perfect and a typical wrong edit: standard deviation of the error,
difference below which there is none, and advantage of the left."""


def write_methods(items: Sequence[EditItem], work: Path, rng: np.random.Generator) -> dict[str, float]:
    """The edit folders; the share of perfect edits that each really has."""
    controls, shares = shapes().controls, {}
    for name, share in SHARES.items():
        perfect = rng.permutation(len(items)) < round(share * len(items))
        edited = []
        for item, is_perfect in zip(items, perfect, strict=True):
            picture = read_image(item.reference_image) if is_perfect else controls["wrong_attribute"](item)
            write_image(path := work / name / f"{item.item_id}.png", picture)
            edited.append(replace(item, edited_image=path))
        write_manifest(work / name, edited, benchmark="shapes", method=name)
        shares[name] = float(perfect.mean())
    return shares


class SimulatedRater:
    """Somebody who knows every perfect edit, and sees with errors.

    Args:
        items: Whose perfect edits are known.
        rng: Draws the errors.
        careless: Whether answers are drawn by lot.
    """

    def __init__(self, items: Sequence[EditItem], rng: np.random.Generator, *, careless: bool) -> None:
        self._perfect = {
            (item.instruction, pixels(read_image(item.source_image)).tobytes()): pixels(
                read_image(item.reference_image)
            )
            for item in items
        }
        self._rng, self._careless = rng, careless

    def take_part(self, address: str, name: str) -> None:
        """Answers every ballot."""
        told = joined(address, name)
        for n, ballot in enumerate(told["ballots"]):
            seen = {side: self._seen(address, ballot[side]) for side in ("source", "left", "right")}
            answer = self.answer(dict(ballot["texts"])["Instruction"], **seen)
            sent = {"rater": told["rater"], "n": n, "answer": answer, "seconds": 1.0}
            status, _, content = asked(address, "POST", "answer", sent)
            assert status == 200, content

    def answer(self, instruction: str, source: np.ndarray, left: np.ndarray, right: np.ndarray) -> str:
        """What somebody says who sees this."""
        if self._careless:
            return str(self._rng.choice(["left", "right", "tie"]))
        perfect = self._perfect[instruction, source.tobytes()]
        unit = max(np.abs(source - perfect).mean(), 1.0)
        bad = np.array([np.abs(picture - perfect).mean() / unit for picture in (left, right)])
        lead = bad[1] - bad[0] + LEFT + self._rng.normal(0, ERROR)
        if abs(lead) < TIE:
            return "both_bad" if bad.min() > 0.5 else "tie"
        return "left" if lead > 0 else "right"

    @staticmethod
    def _seen(address: str, path: str) -> np.ndarray:
        status, _, content = asked(address, "GET", path)
        assert status == 200, path
        return pixels(Image.open(io.BytesIO(content)))


def pixels(picture: Image.Image) -> np.ndarray:
    """Of a picture, as numbers that can be subtracted."""
    return np.asarray(picture.convert("RGB"), dtype=np.float64)


def collect(folders: Sequence[Path], items: Sequence[EditItem], votes: Path, options: argparse.Namespace) -> None:
    """Serve the study, have raters take part, and end it."""
    words = ["vote", *map(str, folders), "--votes", str(options.votes), "--output", str(votes), "--port", "0"]
    with subprocess.Popen([sys.executable, "-m", "evalkit", *words], stderr=subprocess.PIPE, text=True) as server:
        try:
            take_part(server, items, options)
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate()
        assert server.returncode == 0


def take_part(server: subprocess.Popen[str], items: Sequence[EditItem], options: argparse.Namespace) -> None:
    """All raters at once, at the address that the command says."""
    address = next(
        found.group() for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/\w+/", line))
    )
    raters = {
        f"rater_{number}" if number else "careless": SimulatedRater(
            items, np.random.default_rng([options.seed, number]), careless=number == 0
        )
        for number in range(options.raters)
    }
    with ThreadPoolExecutor(len(raters)) as pool:
        for done in [pool.submit(rater.take_part, address, name) for name, rater in raters.items()]:
            done.result()


def results_of(votes: Path, shares: Mapping[str, float], options: argparse.Namespace) -> dict[str, Any]:
    """What the comparison of the votes says, beside what is true."""
    from evalkit.comparison.votes.compare import compare_votes

    comparison = compare_votes(str(votes))
    [criterion] = comparison.criteria
    return {
        "evalkit": __version__,
        "options": {name: getattr(options, name) for name in ("raters", "votes", "items", "seed")},
        "n_votes": criterion.n_votes,
        "ties": criterion.n_ties / criterion.n_votes,
        "methods": {
            row.method: {
                "perfect": shares[row.method],
                "true_ranks": [1 + sum(other > shares[row.method] for other in shares.values()),
                               sum(other >= shares[row.method] for other in shares.values())],
                "ability": row.mean,
                "ranks": [row.rank_low, row.rank_high],
            }
            for row in comparison.ranking
        },
        "raters": {
            rater.name: {
                "checks": rater.n_checks,
                "failed_checks": rater.n_failed_checks,
                "agreement": rater.agreement.agreement,
                "flagged": rater.agreement.is_flagged,
            }
            for rater in comparison.raters
        },
    }  # fmt: skip


def render(results: Mapping[str, Any]) -> str:
    """The tables, in Markdown."""
    options = results["options"]
    given = " ".join(f"--{name} {value}" for name, value in options.items())
    lines = [
        "# A whole study of votes on shapes",
        "",
        f"`python -m tests.studies.voting_study {given}`: {options['raters']} simulated raters, the first",
        f"of whom answers at random, on {options['items']} items; {results['n_votes']} votes, "
        f"{results['ties']:.0%} of them ties; evalkit {results['evalkit']}.",
        "",
        "| method | perfect edits | true ranks | ranks found | ability |",
        "|---|---|---|---|---|",
    ]
    for name, row in results["methods"].items():
        true, found = ("–".join(dict.fromkeys(map(str, row[key]))) for key in ("true_ranks", "ranks"))
        lines.append(f"| `{name}` | {row['perfect']:.0%} | {true} | {found} | {shown(row['ability'])} |")
    lines += ["", "| rater | checks failed | agreement with others | flagged |", "|---|---|---|---|"]
    for name, row in results["raters"].items():
        failed = f"{row['failed_checks']} of {row['checks']}"
        lines.append(f"| {name} | {failed} | {shown(row['agreement'])} | {'yes' if row['flagged'] else 'no'} |")
    return "\n".join(lines) + "\n"


def shown(number: float | None) -> str:
    """A number, where there is one."""
    return "–" if number is None else f"{number:.2f}"


def main() -> None:
    """Make the edits, collect the votes, rank, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=12)
    parser.add_argument("--votes", type=int, default=60, help="of each")
    parser.add_argument("--items", type=int, default=144)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/voting_study"))
    options = parser.parse_args()
    items = shapes().load().items[: options.items]
    shares = write_methods(items, options.work, np.random.default_rng(options.seed))
    votes = options.work / "votes.jsonl"
    collect([options.work / name for name in SHARES], items, votes, options)
    results = results_of(votes, shares, options)
    print(render(results))
    if options.work == parser.get_default("work"):
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        TABLE.write_text(render(results))


if __name__ == "__main__":
    main()
