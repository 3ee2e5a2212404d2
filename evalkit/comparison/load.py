"""What is to be compared: run directories and tables of other tools, refused where they are not comparable."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import OptionError, RunError
from evalkit.scores.external import ColumnNames, read_table
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import RunRecord, read_run

_SETTING = {"enc": "encoder", "img": "preprocessing", "tpl": "prompt templates", "dtype": "precision"}
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
    has_groups: bool = True
    """Whether the groups are known; if not, every item is its own."""


def load_methods(sources: Sequence[str | Path], columns: ColumnNames | None = None) -> tuple[list[Method], list[str]]:
    """The methods of run directories and tables, with remarks on how they were read.

    Args:
        sources: Paths, each optionally as ``NAME=PATH`` to give a method another name.
        columns: Of the tables, what cannot be guessed.

    Raises:
        RunError: A run cannot be read, or two methods have the same name.
        DataError: A table cannot be read.
        OptionError: A path leads nowhere, or a name is given to a table of several methods.
    """
    methods: list[Method] = []
    notes: list[str] = []
    for source in sources:
        name, path = _named(str(source))
        found, remarks = ([_run(path)], []) if path.is_dir() else _table(path, columns)
        if name is not None:
            if len(found) > 1:
                raise OptionError(f"{path} holds {len(found)} methods, which cannot all be called '{name}'.")
            found = [replace(found[0], name=name)]
        methods += found
        notes += remarks
    _refuse_namesakes(methods)
    return methods, notes


def check_comparable(methods: Sequence[Method], metrics: Sequence[str]) -> list[str]:
    """Refuse methods whose numbers mean different things; what a reader should merely know is returned.

    The signatures of every metric must agree but for evalkit's version: a change of code that changes a number raises
    the metric's own version, which must.

    Raises:
        RunError: Benchmarks, treatments of missing edits or signatures differ; the message names the field.
    """
    runs = [method for method in methods if method.record]
    records = [method.record for method in runs if method.record]
    notes = []
    for run, record in zip(runs[1:], records[1:], strict=True):
        first, name = records[0], runs[0].name
        for field in ("benchmark", "benchmark_version", "missing"):
            ours, theirs = getattr(first, field), getattr(record, field)
            if ours != theirs:
                raise RunError(_refusal(name, run.name, field, ours, theirs, "the scores", _remedy(field)))
        for metric in metrics:
            _check_signatures(name, first.metrics[metric].signature, run.name, record.metrics[metric].signature)
    versions = sorted({record.versions.get("evalkit", "unknown") for record in records})
    if len(versions) > 1:
        notes.append(f"the runs were made by different versions of evalkit ({', '.join(versions)}), with equal metrics")
    if len(runs) < len(methods):
        notes.append("scores of other tools carry no signature: whether they were made alike cannot be checked")
    return notes


def signature_fields(line: str) -> dict[str, str]:
    """A signature's fields.

    >>> signature_fields("clip_score|enc:a/b@c|v:1")
    {'metric': 'clip_score', 'enc': 'a/b@c', 'v': '1'}
    """
    metric, *pairs = line.split("|")
    return {"metric": metric, **{key: value for key, _, value in (pair.partition(":") for pair in pairs)}}


def _check_signatures(name_a: str, line_a: str, name_b: str, line_b: str) -> None:
    a, b = signature_fields(line_a), signature_fields(line_b)
    for field in dict.fromkeys([*a, *b]):
        if field != "evalkit" and a.get(field) != b.get(field):
            shown = f"{field} ({_SETTING[field]})" if field in _SETTING else field
            raise RunError(_refusal(name_a, name_b, shown, a.get(field), b.get(field), a["metric"], _remedy(field)))


def _refusal(a: str, b: str, field: str, ours: str | None, theirs: str | None, what: str, remedy: str) -> str:
    return (
        f"{a} and {b} cannot be compared: {what} differ in {field}: expected the same, got "
        f"{_quoted(ours)} for {a} and {_quoted(theirs)} for {b}. {remedy}"
    )


def _quoted(value: str | None) -> str:
    return "none" if value is None else f"'{value}'"


def _remedy(field: str) -> str:
    return f"Score one of them again like the other: evalkit score FOLDER {_OPTION.get(field, '')}".strip()


def _named(source: str) -> tuple[str | None, Path]:
    name, equals, rest = source.partition("=")
    path = Path(source)
    if equals and name and not path.exists():
        return name, _existing(Path(rest))
    return None, _existing(path)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise OptionError(
            f"{path} does not exist: expected a run directory or a table. Make a run with: evalkit score FOLDER"
        )
    return path


def _run(path: Path) -> Method:
    run = read_run(path)
    return Method(name=run.record.run, source=str(path), table=run.table, record=run.record)


def _table(path: Path, columns: ColumnNames | None) -> tuple[list[Method], list[str]]:
    external = read_table(path, columns)
    methods = [
        Method(name=name, source=str(path), table=table, has_groups=external.has_groups)
        for name, table in external.methods.items()
    ]
    return methods, list(external.notes)


def _refuse_namesakes(methods: Sequence[Method]) -> None:
    seen: dict[str, Method] = {}
    for method in methods:
        if method.name in seen:
            raise RunError(
                f"{seen[method.name].source} and {method.source} are both called '{method.name}'. "
                f"Give one another: evalkit compare NAME={method.source} …"
            )
        seen[method.name] = method
