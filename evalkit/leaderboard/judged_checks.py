"""What can be checked of judgements without the judge: every number is read again in the words that were kept.

Nobody can ask the judge again here, so that it is not known whether these words were said, or of these pictures.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from evalkit.benchmarks.base import Benchmark
from evalkit.edits.item import EditItem
from evalkit.judges.base import JudgeAnswer
from evalkit.judges.judgement import JUDGEMENTS, Judgement, answer_facts
from evalkit.judges.metrics import answer_numbers, metrics_of
from evalkit.judges.reading import FAILED, read_answer
from evalkit.judges.rubric import Rubric
from evalkit.leaderboard.digests import outputs_digest
from evalkit.leaderboard.judged import JudgedRun, judged_name, not_the_named
from evalkit.leaderboard.recomputed import is_close, wrong_means
from evalkit.leaderboard.store import LoadedEntry
from evalkit.metrics.base import Metric
from evalkit.metrics.features import TEXT_FIELDS
from evalkit.scores.frame import NO_EDIT, ItemScores, ScoreFrame
from evalkit.scores.run import ITEMS, RECORD
from evalkit.scores.signatures import comparable_fields
from evalkit.scoring.summaries import signature, with_failures_scored

FILES = frozenset({RECORD, ITEMS, JUDGEMENTS})
"""All that a judge's folder may hold."""
_LONGEST_NAME = 200
_ItemSeed = tuple[str, int | None]
"""Item and seed."""


def judged_problem(entry: LoadedEntry, judged: JudgedRun, benchmark: Benchmark) -> tuple[str, str] | None:
    """The first thing that is wrong with what a judge said of an entry: code and sentence; None where nothing is."""
    checked = _JudgedChecks(entry, judged, benchmark)
    for code, check in (
        ("unknown_file", checked.unknown_files),
        ("wrong_digest", checked.other_edits),
        ("wrong_judgement", checked.misread_words),
        ("wrong_protocol", checked.another_judge),
        ("coverage", checked.gaps),
        ("wrong_value", checked.wrong_scores),
        ("wrong_mean", checked.wrong_means),
        ("wrong_protocol", checked.wrong_signatures),
    ):
        for message in check():
            return code, message
    return None


class _JudgedChecks:
    """The checks, in the order in which they can be made; each yields sentences."""

    def __init__(self, entry: LoadedEntry, judged: JudgedRun, benchmark: Benchmark) -> None:
        self._entry, self._judged, self._benchmark = entry, judged, benchmark
        self._run, self._record, self._judge = judged.run, judged.run.record, judged.judge
        self._rubric = self._judge.rubric
        self._metrics = list(metrics_of(self._rubric))
        self._by_edit: dict[_ItemSeed, list[Judgement]] = defaultdict(list)
        for judgement in self._run.judgements:
            self._by_edit[judgement.item_id, judgement.seed].append(judgement)

    def unknown_files(self) -> Iterator[str]:
        for path in sorted(self._judged.path.iterdir()):
            if path.name not in FILES:
                yield f"expected only {', '.join(sorted(FILES))}, got {path.name}"

    def other_edits(self) -> Iterator[str]:
        expected, found = outputs_digest(self._entry.outputs), self._record.folder.digest
        if expected != found:
            yield f"other pictures were judged: the entry's edits have the digest {expected[:12]}…, got {found[:12]}…"

    def another_judge(self) -> Iterator[str]:
        record, own = self._record, self._entry.run.record
        for what, expected, got in (
            ("run", self._entry.method, record.run),
            ("benchmark", own.benchmark, record.benchmark),
            ("version of the benchmark", own.benchmark_version, record.benchmark_version),
            ("number of items", own.n_items, record.n_items),
            ("number of edited items", own.n_edited, record.n_edited),
            ("treatment of missing edits", own.missing, record.missing),
            ("level", own.level, record.level),
            ("rubric", self._rubric.name, next(iter(record.judges))),
            ("metrics", [metric.name for metric in self._metrics], list(record.metrics)),
            ("encoders", {}, record.encoders),
        ):
            if expected != got:
                yield f"{what}: expected {expected}, got {got}"
        for judgement in self._run.judgements:
            if not judgement.model.isprintable() or not 0 < len(judgement.model) <= _LONGEST_NAME:
                yield f"{judgement.item_id}: expected the name of a model in a line, got {judgement.model[:60]!r}"
        for field, expected in answer_facts(self._run.judgements).items():
            if not is_close(expected, got := getattr(self._judge, field)):
                yield f"{field} of the judge: the answers say {expected}, run.json says {got}"

    def misread_words(self) -> Iterator[str]:
        for judgement in self._run.judgements:
            if judgement.rubric != self._rubric.name:
                yield f"{judgement.item_id}: expected an answer to the rubric {self._rubric.name}"
            if judgement.reason == FAILED:
                yield f"{judgement.item_id}: the judge could not be asked, which is no judgement"
            again = read_again(self._rubric, judgement)
            for field in ("scores", "reason", "reasoning"):
                if getattr(again, field) != (given := getattr(judgement, field)):
                    yield f"{judgement.item_id}, {field}: its words say {getattr(again, field)}, its line says {given}"

    def gaps(self) -> Iterator[str]:
        items = {item.item_id: item for item in self._benchmark.items}
        expected = list(range(min(self._judge.repeats, len(self._run.judgements))))  # whatever number stands there
        for row in self._entry.run.table.rows:
            found = sorted(judgement.repeat for judgement in self._by_edit.get((row.item_id, row.seed), []))
            wanted = expected if row.status == "ok" and not _absent(self._rubric, items[row.item_id]) else []
            if found != wanted:
                yield f"{row.item_id}: expected {len(wanted)} answers, one for each repeat, got {len(found)}"
        if unknown := self._by_edit.keys() - {(row.item_id, row.seed) for row in self._entry.run.table.rows}:
            yield f"judgements of {min(unknown)[0]}, which is no edit of the entry"

    def wrong_scores(self) -> Iterator[str]:
        found = {(row.item_id, row.seed): row for row in self._run.table.rows}
        if len(found) != len(self._run.table.rows) or len(found) != len(self._entry.run.table.rows):
            yield f"expected a line for each of {len(self._entry.run.table.rows)} edits, got {len(found)}"
        for row in self._table().rows:
            given = found.get((row.item_id, row.seed))
            for field in ("group", "edit_type", "status"):
                if (got := getattr(given, field, None)) != (expected := getattr(row, field)):
                    yield f"{field} of {row.item_id}: expected {expected}, got {got}"
            for name, value in row.values.items():
                if given is None or not is_close(value, given.values[name]):
                    got = given and given.values[name]
                    yield f"{name} of {row.item_id}: the judge's words give {value}, {ITEMS} says {got}"
                if given and row.reasons.get(name) != given.reasons.get(name):
                    yield f"{name} of {row.item_id}: expected the reason {row.reasons.get(name)}"

    def wrong_means(self) -> Iterator[str]:
        yield from wrong_means(self._record, self._run.table, self._metrics)

    def wrong_signatures(self) -> Iterator[str]:
        for metric in self._metrics:
            line = str(signature(metric, {}, self._record.missing, judges=self._record.judges))
            got = self._record.metrics[metric.name].signature
            if comparable_fields(line) != comparable_fields(got):
                yield f"the signature of {metric.name}: its record gives {line}, got {got}"
        if refusal := not_the_named(self._entry.protocol, self._judged.identity):
            yield refusal
        expected = judged_name(self._judge, self._judged.identity)
        if expected != self._judged.name:
            yield f"the folder of this judge is called {expected}, got {self._judged.name}"

    def _table(self) -> ScoreFrame:
        """Every score as the words give it."""
        items = {item.item_id: item for item in self._benchmark.items}
        rows = [
            _scored(self._metrics, self._rubric, items[row.item_id], row, self._by_edit[row.item_id, row.seed])
            for row in self._entry.run.table.rows
        ]
        table = ScoreFrame.from_rows(rows, tuple(metric.name for metric in self._metrics))
        return with_failures_scored(table, self._metrics, self._record.missing)


def read_again(rubric: Rubric, judgement: Judgement) -> Judgement:
    """A judgement as its words are read."""
    answer = JudgeAnswer(text=judgement.text, model=judgement.model, finish=judgement.finish)
    reading = read_answer(rubric, answer)
    scores = None if reading.scores is None else dict(reading.scores)
    return judgement.model_copy(update={"scores": scores, "reason": reading.reason, "reasoning": reading.reasoning})


def _absent(rubric: Rubric, item: EditItem) -> list[str]:
    """The texts that the judge is to read, and that the benchmark does not have of an item."""
    return [name for name in rubric.takes if name in TEXT_FIELDS and not getattr(item, name)]


def _scored(
    metrics: Sequence[Metric], rubric: Rubric, item: EditItem, row: ItemScores, judgements: Sequence[Judgement]
) -> ItemScores:
    """The row of an edit, with the scores that are read in the answers about it."""
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    absent = _absent(rubric, item)
    repeats = sorted(judgements, key=lambda judgement: judgement.repeat)
    numbers = answer_numbers(rubric, [read_again(rubric, judgement) for judgement in repeats])
    for metric in metrics:
        reason: str | None = f"no_{absent[0]}" if absent else NO_EDIT
        values[metric.name] = None
        if repeats:
            scores = metric.function(numbers[None, :])
            values[metric.name], reason = scores.optional()[0], scores.reasons[0]
        if reason:
            reasons[metric.name] = reason
    return replace(row, values=values, reasons=reasons)
