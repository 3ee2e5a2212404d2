"""What is to be compared: run directories and tables of other tools, refused where they are not comparable."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from evalkit.errors import OptionError, RunError
from evalkit.formatting import listed, one_line_names
from evalkit.judges.judgement import Judgement
from evalkit.registry import nearest
from evalkit.scores.columns import ColumnNames
from evalkit.scores.external import read_table
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.labels import run_labels
from evalkit.scores.run import RECORD, RUNS, RunRecord, ScoredRun, read_run
from evalkit.scores.signatures import comparable_fields
from evalkit.votes.read import holds_votes

_SETTING = {
    "enc": "encoder",
    "img": "preprocessing",
    "tpl": "prompt templates",
    "dtype": "precision",
    "alpha": "what transparent pixels lie on",
    "aspect": "what is done about other aspect ratios",
}
_OPTION = {
    "missing": "--missing POLICY",
    "benchmark": "--benchmark NAME",
    "enc": "--encoder SPEC",
    "dtype": "--dtype TYPE, with or without --compile",
}
"""Field to the option of ``evalkit score`` that decides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method's scores and where they come from."""

    name: str
    source: str
    table: ScoreFrame
    record: RunRecord | None = None
    """None for scores of other tools."""
    ungrouped: frozenset[str] = frozenset()
    """Items of which nobody says with which others they share a source image."""
    guessed_groups: str | None = None
    """The column that was taken for one of groups, though its name does not say so."""
    zeroed: frozenset[str] = frozenset()
    """Metrics with values so small that they count as 0."""
    judgements: tuple[Judgement, ...] = ()
    """What judges answered about its edits."""

    def is_repeated(self, metric: str) -> bool:
        """Whether a judge answered several times about each item's one edit: its repeats then stand for seeds.

        Of several edits of an item the spread holds the judge's already.
        """
        judge = self.record.judges.get(metric.partition(":")[0]) if self.record else None
        return judge is not None and judge.repeats > 1 and len(self.table) == self.table.n_items


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMethods:
    """Methods of run directories and tables."""

    methods: list[Method]
    how_read: tuple[str, ...]
    """How tables were read."""
    warnings: tuple[str, ...]
    """That some are one and the same."""


def load_methods(
    sources: Sequence[str | Path | ScoredRun], columns: ColumnNames | None = None, metrics: Sequence[str] = ()
) -> LoadedMethods:
    """The methods of run directories and tables.

    Args:
        sources: Paths, each optionally as ``NAME=PATH`` to give a method another name; or runs that are read already.
        columns: Of the tables, what cannot be guessed.
        metrics: Names that are metrics, whatever else tables could mean by them.

    Raises:
        RunError: A run cannot be read, or two methods have the same name.
        DataError: A table cannot be read.
        OptionError: A path leads nowhere, or a name is given to a table of several methods.
    """
    methods: list[Method] = []
    single: list[int] = []
    notes: list[str] = []
    columns = replace(columns or ColumnNames(), metrics=tuple(metrics))
    for source in sources:
        found, remarks = _read(source, columns, is_alone=len(sources) == 1)
        single += [len(methods)] if len(found) == 1 else []
        methods += found
        notes += remarks
    methods = _told_apart(methods)
    _refuse_namesakes(methods)
    methods, about_groups = _without_guessed_groups(methods)
    notes += about_groups
    lines = one_line_names(method.name for method in methods)
    methods = [replace(method, name=lines[method.name]) for method in methods]
    warnings = _same_edits([methods[number] for number in single])
    return LoadedMethods(methods=methods, how_read=tuple(notes), warnings=tuple(warnings))


def check_comparable(methods: Sequence[Method], metrics: Sequence[str]) -> list[str]:
    """Refuse methods whose numbers mean different things; what a reader should merely know is returned.

    The signatures of every metric must agree but for evalkit's version: a change of code that changes a number raises
    the metric's own version, which must.

    Raises:
        RunError: Benchmarks, treatments of missing edits or signatures differ; the message names the field.
    """
    runs = [(method.name, method.record) for method in methods if method.record]
    for name, record in runs[1:]:
        first, reference = runs[0]
        theirs = _settings(record, metrics)
        for what, ours in _settings(reference, metrics).items():
            differing = [field for field in {**ours, **theirs[what]} if ours.get(field) != theirs[what].get(field)]
            if differing:
                raise RunError(_refusal(first, name, what, differing[0], ours, theirs[what]))
    notes = []
    versions = sorted({record.versions.get("evalkit", "unknown") for _, record in runs})
    if len(versions) > 1:
        notes.append(f"the runs were made by different versions of evalkit ({', '.join(versions)}), with equal metrics")
    if len(runs) < len(methods):
        notes.append("scores of other tools carry no signature: whether they were made alike cannot be checked")
    return notes


def _settings(record: RunRecord, metrics: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """What must be equal in two runs that are compared: fields of all scores, and of each metric's."""
    fields = ("benchmark", "benchmark_version", "missing")
    return {
        "the scores": {field: getattr(record, field) for field in fields},
        **{metric: {**comparable_fields(record.metrics[metric].signature)} for metric in metrics},
    }


def _refusal(
    a: str, b: str, what: str, field: str, expected: Mapping[str, str | None], found: Mapping[str, str | None]
) -> str:
    one, two = (f"'{of[field]}'" if of.get(field) is not None else "none" for of in (expected, found))
    shown = f"{field} ({_SETTING[field]})" if field in _SETTING else field
    remedy = f"Score one of them again like the other: evalkit score FOLDER {_OPTION.get(field, '')}".strip()
    return (
        f"{a} and {b} cannot be compared: {what} differ in {shown}: expected the same, got {one} for {a} and {two} "
        f"for {b}. {remedy}"
    )


def _named(source: str) -> tuple[str | None, Path]:
    """A source's own name for its method, where it gives one, and its path."""
    name, path = name_and_path(source)
    if not path.exists():
        raise OptionError(
            f"{path} does not exist: expected a run directory or a table. {_there_are(path)}Make a run with: "
            "evalkit score FOLDER"
        )
    return name, path


def name_and_path(source: str) -> tuple[str | None, Path]:
    """The two parts of ``NAME=PATH``; a path with an equals sign in it that is there has no name."""
    name, equals, rest = source.partition("=")
    return (name, Path(rest)) if equals and name and not Path(source).exists() else (None, Path(source))


def _there_are(path: Path) -> str:
    """Runs and tables that are called nearly as a path that is not there, beside it or below `RUNS`; else some runs."""
    beside = [found for parent in dict.fromkeys((path.parent, RUNS)) for found in sorted(parent.glob("*"))]
    runs = [found for found in beside if (found / RECORD).is_file()]
    known = {found.name: str(found) for found in (*runs, *beside) if found in runs or found.is_file()}
    near = nearest(path.name, known, shown=known)
    return near or (f"There are: {listed([str(run) for run in runs])}. " if runs else "")


def _same_edits(methods: Sequence[Method]) -> list[str]:
    """What there is to say of methods whose scores are those of one and the same edits."""
    first: dict[str, Method] = {}
    notes = []
    for method in methods:
        digest = method.record.folder.digest if method.record else ""
        known = first.setdefault(digest or method.source, method)
        if known is not method:
            same = Path(known.source).resolve() == Path(method.source).resolve()
            what = f"are both {method.source}" if same else "hold the same edits, byte by byte"
            notes.append(f"{known.name} and {method.name} {what}: there is nothing to compare")
    return notes


def _called(method: Method, name: str) -> Method:
    """The method under another name."""
    record = method.record and method.record.model_copy(update={"run": name, "named": True})
    return replace(method, name=name, record=record)


def _told_apart(methods: Sequence[Method]) -> list[Method]:
    """The methods, those of runs with labels that tell them apart."""
    runs = {(method.name, method.source): method.record for method in methods if method.record}
    labels = dict(zip(runs, run_labels(list(runs.values()), [source for _, source in runs]), strict=True))
    return [replace(method, name=labels.get((method.name, method.source), method.name)) for method in methods]


def _read(source: str | Path | ScoredRun, columns: ColumnNames, *, is_alone: bool) -> tuple[list[Method], list[str]]:
    """The methods of one source, and remarks on how they were read."""
    if isinstance(source, ScoredRun):
        return [_run(source, source.record.folder.path)], []
    if not isinstance(source, str | PathLike):
        raise OptionError(
            f"A {type(source).__name__} is no run: expected what score returned, or the path of a run directory or of "
            "a table, such as a CSV file."
        )
    name, path = _named(str(source))
    found, notes = (
        ([_run(read_run(path), str(path))], []) if path.is_dir() else _table(path, columns, is_alone=is_alone)
    )
    if name is not None and len(found) > 1:
        raise OptionError(f"{path} holds {len(found)} methods, which cannot all be called '{name}'.")
    return [_called(method, name) for method in found] if name else found, notes


def _run(run: ScoredRun, source: str) -> Method:
    return Method(name=run.record.run, source=source, table=run.table, record=run.record, judgements=run.judgements)


def _table(path: Path, columns: ColumnNames, *, is_alone: bool) -> tuple[list[Method], list[str]]:
    if holds_votes(path):
        raise OptionError(
            f"{path} holds votes, which are no scores: evalkit compare {shlex.quote(str(path))}, or in Python "
            "evalkit.compare_votes"
        )
    external = read_table(path, columns, is_alone=is_alone)
    methods = [
        Method(
            name=name,
            source=str(path),
            table=table,
            ungrouped=external.ungrouped,
            guessed_groups=external.guessed_groups,
            zeroed=external.zeroed,
        )
        for name, table in external.methods.items()
    ]
    return methods, list(external.notes)


def _without_guessed_groups(methods: Sequence[Method]) -> tuple[list[Method], list[str]]:
    """The methods, without groups that were only guessed where two tables do not agree about them, and a note."""
    agreed: dict[str, str] = {}
    differ = False
    for method in methods:
        for item, group in method.table.groups():
            if item not in method.ungrouped:
                differ = differ or agreed.setdefault(item, group) != group
    guessed = [method for method in methods if method.guessed_groups]
    if not (differ and guessed):
        return list(methods), []
    names = listed(list(dict.fromkeys(f"'{method.guessed_groups}'" for method in guessed)))
    without = [
        replace(method, ungrouped=frozenset(dict(method.table.groups())), guessed_groups=None)
        if method in guessed
        else method
        for method in methods
    ]
    return without, [f"{names} differs between tables for one item, and is no column of groups"]


def _refuse_namesakes(methods: Sequence[Method]) -> None:
    sources: dict[str, str] = {}
    for method in methods:
        if sources.get(method.name) == method.source:
            raise RunError(f"{method.source} is given twice: there is nothing to compare. Name another run.")
        if method.name in sources:
            raise RunError(
                f"{sources[method.name]} and {method.source} are both called '{method.name}'. "
                f"Give one another: evalkit compare {shlex.quote(f'NAME={method.source}')} …"
            )
        sources[method.name] = method.source
