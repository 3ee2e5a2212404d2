"""Where everything lies below ``leaderboard/``, and entries as they are read from there and written to there.

::

    methods/NAME.yaml                    the card of a method
    entries/BENCHMARK/VERSION/NAME/      an entry: a run directory (run.json, items.jsonl) with
        entry.json                           who submitted it, under which protocol, and what they declare
        outputs.jsonl                        the digest of every edit
        verification.json                    what the maintainers found
        pictures/ITEM.png                    a few edits, where the licences allow
        judgements/JUDGE/                    what a judge said of the edits: a run directory with judgements.jsonl
    votes/BENCHMARK/VERSION/NAME/        votes between entries: votes.json and votes.jsonl
        votes.judgements.jsonl               where a judge voted all that it said
    reported/NAME.yaml                   a table of the literature
    schema/NAME.schema.json              generated from the records
    site/                                templates of the site
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.benchmarks.protocols import Protocol
from evalkit.errors import EntryError, RunError, UnknownNameError
from evalkit.formatting import listed
from evalkit.leaderboard.files import (
    CARDS,
    ENTRIES,
    JUDGED,
    PICTURES,
    VOTES,
    FileFault,
    file_faults,
    link_fault,
    open_file,
)
from evalkit.leaderboard.judged import JudgedRun
from evalkit.leaderboard.protocol import get_protocol
from evalkit.leaderboard.records import SCHEMAS, Card, Entry, Level, OutputDigest, Reported, Verification, VotesRecord
from evalkit.leaderboard.records_io import read_json, read_lines, read_yaml
from evalkit.registry import nearest
from evalkit.scores.run import ITEMS, RECORD, MetricSummary, ScoredRun, read_run
from evalkit.votes.judged import PairJudgement, words_file
from evalkit.votes.records import VOTES_FILE, Vote

ENTRY_FILE = "entry.json"
OUTPUTS_FILE = "outputs.jsonl"
VOTES_RECORD = "votes.json"
WORDS_FILE = words_file(Path(VOTES_FILE)).name
VERIFICATION_FILE = "verification.json"
FILES = frozenset({ENTRY_FILE, OUTPUTS_FILE, VERIFICATION_FILE, RECORD, ITEMS, PICTURES, JUDGED})
"""All that an entry's folder may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEntry:
    """An entry with all that lies beside it."""

    path: Path
    record: Entry
    card: Card
    run: ScoredRun
    outputs: tuple[OutputDigest, ...]
    verification: Verification | None
    judged: tuple[JudgedRun, ...] = ()
    """What judges said of its edits, a run each, by name."""

    @property
    def method(self) -> str:
        """Its name on its board."""
        return self.record.method

    @property
    def name(self) -> str:
        """The entry's name among all boards, ``protocol/method``, as commands take it."""
        return f"{self.record.protocol}/{self.record.method}"

    @property
    def protocol(self) -> Protocol:
        """The rules of its board.

        Raises:
            EntryError: There is no protocol of the name that it says.
        """
        return get_protocol(self.record.protocol)

    @property
    def awaiting(self) -> tuple[str, ...]:
        """The metrics of its protocol that it has no scores of."""
        return self.protocol.awaiting(self.metrics)

    @property
    def metrics(self) -> dict[str, MetricSummary]:
        """Means and intervals of the metrics that were scored."""
        return self.run.record.metrics

    @property
    def level(self) -> Level:
        """How far up the ladder it is; a verification of another run does not count."""
        if self.verification is None or self.verification.run_sha256 != self.record.run_sha256:
            return "self_scored"
        return self.verification.level


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedVotes:
    """Votes between entries of a board, of people or of one judge, with their record."""

    path: Path
    record: VotesRecord
    votes: tuple[Vote, ...]
    words: tuple[PairJudgement, ...] = ()
    """All that the judge said."""

    @property
    def name(self) -> str:
        """Among all boards: ``protocol/name``."""
        return f"{self.record.protocol}/{self.record.name}"

    @property
    def identity(self) -> str | None:
        """The judge's signature: votes of two never stand in one table. None where people voted."""
        judge = self.record.judge
        return judge.signature(self.record.question, self.words) if judge else None


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The data of all boards: a folder of cards, entries, tables of the literature and templates."""

    root: Path

    def entry_path(self, protocol: str, method: str) -> Path:
        """Where an entry lies, or would lie."""
        return self.root / ENTRIES / protocol / method

    def card_path(self, method: str) -> Path:
        """Where a card lies, or would lie."""
        return self.root / CARDS / f"{method}.yaml"

    def entry_paths(self, protocol: str | None = None) -> list[Path]:
        """Every entry's folder, of a protocol or of all, by name."""
        return [path for path in self.paths(f"{ENTRIES}/{protocol or '*/*'}/*") if path.is_dir()]

    def paths(self, pattern: str) -> list[Path]:
        """What fits a pattern, by name; links do not, and no folder is looked into through one."""
        found = [self.root]
        for part in pattern.split("/"):
            found = [path for folder in found for path in folder.glob(part) if not path.is_symlink()]
        return sorted(found)

    def faults(self, path: Path | None = None) -> list[FileFault]:
        """What is no plain file, in an entry's folder or in all."""
        return list(file_faults(self.root, path or self.root))

    def protocols(self) -> list[str]:
        """The protocols that there are entries for."""
        return list(dict.fromkeys("/".join(path.parts[-3:-1]) for path in self.entry_paths()))

    def cards(self) -> Iterator[Path]:
        """The file of every method's card, by name."""
        return iter(self.paths(f"{CARDS}/*.yaml"))

    def read(self, path: Path) -> LoadedEntry:
        """An entry with everything that belongs to it.

        Raises:
            EntryError: One of its files is absent, damaged, not of its schema, or no plain file.
        """
        for fault in self.faults(path):
            raise EntryError(f"{fault.path} is not read: {fault.reason}.")
        record = read_json(path / ENTRY_FILE, Entry)
        try:
            run = read_run(path, opened=open_file)
        except RunError as failure:
            raise EntryError(f"{path}: its run cannot be read: {failure}") from None
        verification = path / VERIFICATION_FILE
        return LoadedEntry(
            path=path,
            record=record,
            card=self._card(record.method),
            run=run,
            outputs=read_lines(path / OUTPUTS_FILE, OutputDigest),
            verification=read_json(verification, Verification) if verification.exists() else None,
            judged=tuple(self._judged(path)),
        )

    def _judged(self, entry: Path) -> Iterator[JudgedRun]:
        folder = entry / JUDGED
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            try:
                run = read_run(path, opened=open_file)
            except RunError as failure:
                raise EntryError(f"{path}: its judgements cannot be read: {failure}") from None
            if len(run.record.judges) != 1:
                raise EntryError(
                    f"{path} holds what {len(run.record.judges)} judges or rubrics said: expected one. Make it again "
                    "with: evalkit submit FOLDER --card METHOD.yaml --judge SPEC"
                )
            yield JudgedRun(path=path, run=run)

    def find(self, name: str) -> LoadedEntry:
        """The entry of a name, ``protocol/method``.

        Raises:
            UnknownNameError: There is none.
            EntryError: It cannot be read.
        """
        path = self.root / ENTRIES / name
        if path not in (paths := self.entry_paths()) and not link_fault(self.root, path):
            names = ["/".join(each.parts[-3:]) for each in paths]
            near = nearest(name, names).strip() or f"There are: {listed(names)}."
            raise UnknownNameError(f"There is no entry '{name}' in {self.root}. {near}")
        return self.read(path)

    def _card(self, method: str) -> Card:
        path = self.card_path(method)
        if fault := link_fault(self.root, path):
            raise EntryError(f"{fault.path} is not read: {fault.reason}.")
        return read_yaml(path, Card)

    def entries(self, protocol: str) -> list[LoadedEntry]:
        """Every entry of a protocol."""
        return [self.read(path) for path in self.entry_paths(protocol)]

    def votes_path(self, protocol: str, name: str) -> Path:
        """Where votes lie, or would lie."""
        return self.root / VOTES / protocol / name

    def votes_paths(self, protocol: str | None = None) -> list[Path]:
        """Every collection of votes, of a protocol or of all, by name."""
        return [path for path in self.paths(f"{VOTES}/{protocol or '*/*'}/*") if path.is_dir()]

    def read_votes(self, path: Path) -> LoadedVotes:
        """A collection of votes.

        Raises:
            EntryError: One of its files is absent, damaged, not of its schema, or no plain file.
        """
        for fault in self.faults(path):
            raise EntryError(f"{fault.path} is not read: {fault.reason}.")
        record = read_json(path / VOTES_RECORD, VotesRecord)
        return LoadedVotes(
            path=path,
            record=record,
            votes=read_lines(path / VOTES_FILE, Vote),
            words=read_lines(path / WORDS_FILE, PairJudgement) if record.judge else (),
        )

    def reported_paths(self) -> list[Path]:
        """The file of every table of the literature, by name."""
        return self.paths("reported/*.yaml")

    def reported(self, benchmark: str | None = None) -> list[Reported]:
        """The tables of the literature, of a benchmark or of all."""
        tables = [read_yaml(path, Reported) for path in self.reported_paths()]
        return [table for table in tables if benchmark in (None, table.benchmark)]


def schemas() -> dict[str, str]:
    """File name to the JSON Schema of every record of the leaderboard."""
    return {
        f"{name}.schema.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **record.model_json_schema()}, indent=2
        )
        + "\n"
        for name, record in SCHEMAS.items()
    }
