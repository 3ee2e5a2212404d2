"""The site's downloads: everything behind its tables, for whoever wants to compute again."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evalkit.leaderboard.ranking import Board, BoardRow
from evalkit.leaderboard.store import LoadedEntry

PAIR_COLUMNS = (
    "metric",
    "a",
    "b",
    "n_items",
    "n_groups",
    "mean_a",
    "mean_b",
    "difference",
    "ci_low",
    "ci_high",
    "p_value",
    "adjusted_p_value",
    "effect_size_dz",
    "win",
    "tie",
    "loss",
    "minimum_detectable_effect",
    "verdict",
)


def board_records(board: Board) -> list[dict[str, Any]]:
    """One record per entry: ranks, verification, declarations, and each metric with its interval."""
    return [_record(place, board) for place in board.places]


def board_json(board: Board) -> str:
    """The board as JSON."""
    protocol = asdict(board.protocol)
    return json.dumps({"protocol": protocol, "entries": board_records(board)}, indent=1, ensure_ascii=False) + "\n"


def board_csv(board: Board) -> str:
    """The board as a flat table."""
    flat = []
    for record in board_records(board):
        row = {key: value for key, value in record.items() if not isinstance(value, Mapping)}
        for metric, summary in record["metrics"].items():
            row |= {f"{metric}.{key}": value for key, value in summary.items() if key != "signature"}
        flat.append(row)
    columns = list(dict.fromkeys(key for row in flat for key in row))
    return _csv(columns, ([row.get(column) for column in columns] for row in flat))


def pairs_csv(board: Board) -> str:
    """Every comparison."""
    return _csv(PAIR_COLUMNS, ([getattr(pair, column) for column in PAIR_COLUMNS] for pair in board.pairs))


def scores_csv(entries: Sequence[LoadedEntry]) -> str:
    """Every score, one per line: what ``evalkit compare`` reads."""
    columns = ("method", "item_id", "group", "seed", "metric", "value", "status", "reason")
    return _csv(
        columns,
        (
            [held.entry.method, row.item_id, row.group, row.seed, metric, row.values.get(metric), row.status, reason]
            for held in entries
            for row in held.run.table.rows
            for metric in held.run.table.metrics
            for reason in [row.reasons.get(metric)]
        ),
    )


def _record(place: BoardRow, board: Board) -> dict[str, Any]:
    held = place.held
    metrics = {
        name: {
            "mean": summary.mean,
            "ci_low": summary.ci_low,
            "ci_high": summary.ci_high,
            "n": summary.n,
            "n_groups": summary.n_groups,
            "rank_low": place.ranks[name].rank_low if name in place.ranks else None,
            "rank_high": place.ranks[name].rank_high if name in place.ranks else None,
            "signature": summary.signature,
        }
        for name in board.protocol.metrics
        if (summary := held.run.record.metrics.get(name)) is not None
    }
    return {
        "method": held.entry.method,
        "title": held.card.title,
        "kind": held.card.kind,
        "verification": held.level,
        "not_ranked": place.unranked,
        "pareto_front": place.on_front,
        "submitted": held.entry.submitted.isoformat(),
        "declarations": held.entry.declarations.model_dump(mode="json"),
        "metrics": metrics,
    }


def _csv(columns: Sequence[str], rows: Any) -> str:  # noqa: ANN401 - rows of cells
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
