"""Scored runs as tables: one run, and several side by side."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from evalkit.formatting import (
    DASH,
    counted,
    format_interval,
    format_percent,
    format_score,
    listed,
    one_line,
    series,
)
from evalkit.metrics.base import REASONS
from evalkit.scores.run import MetricSummary, RunRecord
from evalkit.scores.signatures import short_signature
from evalkit.tables.exportable import Shown
from evalkit.tables.table import TextTable, in_columns

MINIATURE_NOTE = "miniature encoder: a dry run on a toy, not comparable with published numbers"
SignatureLength = Literal["short", "full"]
"""One line for a run, or a line for each of its metrics."""
NO_CAPTIONS = {
    "no_source_caption": "source caption",
    "no_target_caption": "target caption",
    "no_instruction": "instruction",
}
"""Reasons that are often those of a whole benchmark, with what its items lack."""
NO_TYPES = "The items have no edit types, or all the same one: there is nothing to tell apart by edit type."


def run_as_json(record: RunRecord) -> dict[str, Any]:
    """What ``evalkit score --json`` prints of a run."""
    return {
        "run": record.run,
        "benchmark": record.benchmark,
        "n_items": record.n_items,
        "n_edited": record.n_edited,
        "layout": record.folder.layout,
        "metrics": summaries_as_json(record.metrics),
        "problems": [problem.model_dump() for problem in record.problems],
        "images": record.images.model_dump() if record.images else None,
        "signature": signature_lines([record])[0],
    }


def summaries_as_json(metrics: Mapping[str, MetricSummary]) -> dict[str, Any]:
    """Metrics as ``evalkit score --json`` has them."""
    shown = {"mean", "ci_low", "ci_high", "n", "n_groups", "n_undefined", "higher_is_better", "signature"}
    return {name: summary.model_dump(include=shown) for name, summary in metrics.items()}


def shown_runs(records: Mapping[str, RunRecord]) -> Shown:
    """One run, or several side by side, under these names, with what must stand below."""
    records = {name: record.model_copy(update={"run": name}) for name, record in records.items()}
    one = next(iter(records.values())) if len(records) == 1 else None
    means = [f"{name} {format_score(summary.mean)}" for name, summary in one.metrics.items()] if one else list(records)
    what = f"{one_line(one.run)}, {counted(one.n_items, 'item')}" if one else counted(len(records), "run")
    return Shown(
        summary=f"{what}: {listed(means)}",
        tables=(run_table(one) if one else runs_table(records),) if records else (),
        notes=(*run_notes(*records.values()), *signature_lines(records.values())),
    )


def run_table(record: RunRecord) -> TextTable:
    """One run: a row per metric with its mean, its interval, and on how many items they rest where that differs."""
    found = list(record.metrics.items())
    same = len({(summary.n, summary.n_groups) for _, summary in found}) == 1
    undefined = any(summary.n_undefined for _, summary in found)
    rows = tuple(
        (
            label(name, summary.higher_is_better),
            format_score(summary.mean),
            format_interval(summary.ci_low, summary.ci_high),
            *(() if same else (f"{summary.n:,}", f"{summary.n_groups:,}")),
            *((f"{summary.n_undefined:,}" if summary.n_undefined else "",) if undefined else ()),
        )
        for name, summary in found
    )
    numbers = () if same else ("items", "groups")
    header = (
        "metric",
        "mean",
        f"{format_percent(record.level)} interval",
        *numbers,
        *(["undefined"] if undefined else []),
    )
    basis = _basis(found[0][1].n, found[0][1].n_groups) if same else ""
    on = f" on {one_line(record.benchmark)}" if record.benchmark else ""
    title = f"{one_line(record.run)}{on}{basis}"
    return TextTable(title=_titled(title, [record]), header=header, rows=rows)


def runs_table(records: Mapping[str, RunRecord], title: str | None = None) -> TextTable:
    """Several runs side by side: a row per run, a column per metric, each mean with its interval.

    Args:
        records: Name to run; a metric that a run does not have is a dash.
        title: What they are; by default how many runs, of what, on how many items.
    """
    directions = {name: s.higher_is_better for record in records.values() for name, s in record.metrics.items()}
    columns = [means_column([record.metrics.get(name) for record in records.values()]) for name in directions]
    sizes = {
        name: max(((s.n, s.n_groups) for s in record.metrics.values()), default=(0, 0))
        for name, record in records.items()
    }
    same = len(set(sizes.values())) == 1
    items = [] if same else [[f"{n:,}" for n, _ in sizes.values()]]
    level = next((format_percent(record.level) for record in records.values()), "")
    benchmarks = {record.benchmark for record in records.values()}
    on = f" on {benchmarks.pop()}" if len(benchmarks) == 1 and None not in benchmarks else ""
    title = title or f"{counted(len(records), 'run')}{on}{_basis(*next(iter(sizes.values()))) if same else ''}"
    return TextTable(
        title=_titled(f"{title}: means with {level} intervals", records.values()),
        header=("run", *(() if same else ("items",)), *(label(name, up) for name, up in directions.items())),
        rows=tuple(zip(records, *items, *columns, strict=True)),
    )


def run_notes(*records: RunRecord) -> list[str]:
    """What has to stand under the table of runs: undefined and floored values, intervals that are not there."""
    found: dict[str, list[str]] = {}
    for record in records:
        for note in (*_undefined_notes(record.metrics), *_other_notes(record.metrics), *_judge_notes(record)):
            found.setdefault(note, []).append(record.run)
    return [f"{note} ({listed(runs)})" if len(records) > 1 else note for note, runs in found.items()]


def _judge_notes(record: RunRecord) -> Iterable[str]:
    """Who judged, and what that took."""
    for name, judge in record.judges.items():
        spent = [] if judge.input_tokens is None else [f"{judge.input_tokens + (judge.output_tokens or 0):,} tokens"]
        spent += [] if judge.cost is None else [f"{judge.cost:.4g} {judge.currency}"]
        known = judge.n_answers - judge.n_asked
        earlier = f" ({known:,} of them known from before)" if known else ""
        of = f" of {series(judge.models, 'and')}" if judge.models else ""
        yield ", ".join([f"{name}: {counted(judge.n_answers, 'answer')}{of}{earlier}", *spent])


def signature_lines(records: Iterable[RunRecord], length: SignatureLength = "short") -> list[str]:
    """The signatures of runs, each once: one line per run, or one per metric; with whose it is, if not of all."""
    records, runs = list(records), dict[str, list[str]]()
    for record in records:
        lines = [summary.signature for summary in record.metrics.values()]
        for line in dict.fromkeys(lines if length == "full" else [short_signature(lines)]):
            runs.setdefault(line, []).append(record.run)
    return [line if len(names) == len(records) else f"{line} ({', '.join(names)})" for line, names in runs.items()]


def is_miniature(record: RunRecord) -> bool:
    """Whether a toy network took part."""
    return any(encoder.name.startswith("miniature") for encoder in record.encoders.values())


def label(name: str, higher_is_better: bool) -> str:
    """A name with an arrow towards the better values."""
    return f"{name} {'↑' if higher_is_better else '↓'}"


def means_column(summaries: Iterable[MetricSummary | None]) -> list[str]:
    """Means with their intervals, one below the other."""
    return in_columns(
        (format_score(s.mean), format_interval(s.ci_low, s.ci_high)) if s and s.mean is not None else ("", DASH)
        for s in summaries
    )


def _undefined_notes(metrics: Mapping[str, MetricSummary]) -> Iterable[str]:
    """What is undefined and why; of all metrics that no item has the captions for in one line."""
    captions: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for name, summary in metrics.items():
        for reason, count in summary.undefined.items():
            if reason in NO_CAPTIONS and not summary.n:
                captions.setdefault(reason, []).append(name)
            else:
                note = f"{counted(count, 'value')} undefined, {REASONS.get(reason, reason)}"
                others.setdefault(note, []).append(name)
    if captions:
        names = dict.fromkeys(name for of_reason in captions.values() for name in of_reason)
        yield f"{', '.join(names)}: no values, as no item has a {series([NO_CAPTIONS[reason] for reason in captions])}"
    yield from (f"{', '.join(names)}: {note}" for note, names in others.items())


def _other_notes(metrics: Mapping[str, MetricSummary]) -> Iterable[str]:
    """What values stand for edits that are not there, and why a mean has no interval."""
    for name, summary in metrics.items():
        if summary.n_floored:
            scored = "scored like the worst edit, or like one without merit where that is worse"
            yield f"{name}: {counted(summary.n_floored, 'item')} without an edited image, {scored}"
        if summary.ci_low is None and summary.n:
            yield f"{name}: no interval, {summary.interval}"


def _basis(n_items: int, n_groups: int) -> str:
    return f", {counted(n_items, 'item')} in {counted(n_groups, 'group')}"


def _titled(title: str, records: Iterable[RunRecord]) -> str:
    """The title, below which it stands where the numbers are a toy network's."""
    return f"{title}\n{MINIATURE_NOTE}" if any(map(is_miniature, records)) else title
