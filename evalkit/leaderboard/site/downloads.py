"""The site's downloads: everything behind its tables, for whoever wants to compute again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evalkit.leaderboard.judge_tables import JudgeTable
from evalkit.leaderboard.ranking import Board, BoardRow
from evalkit.leaderboard.store import LoadedEntry
from evalkit.leaderboard.vote_tables import VoteResults
from evalkit.tables.table import csv_text

SUMMARY = ("mean", "ci_low", "ci_high", "n", "n_groups")
"""What a board's downloads say of a metric, beside ranks and signature."""


def board_records(board: Board) -> list[dict[str, Any]]:
    """One record per entry: ranks, verification, declarations, and each metric with its interval."""
    return [_record(row, board.protocol.metrics) for row in board.rows]


def board_json(board: Board) -> str:
    """The board as JSON."""
    protocol = asdict(board.protocol)
    found = {"protocol": protocol, "entries": board_records(board), "judges": [_judge(table) for table in board.judges]}
    found["votes"] = [_votes(table) for table in board.votes]
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def board_csv(board: Board) -> str:
    """The board as a flat table."""
    flat = []
    for record in board_records(board):
        row = {key: value for key, value in record.items() if not isinstance(value, Mapping)}
        for metric, summary in record["metrics"].items():
            row |= {f"{metric}.{key}": value for key, value in summary.items() if key != "signature"}
        flat.append(row)
    columns = list(dict.fromkeys(key for row in flat for key in row))
    return csv_text(columns, ([row.get(column) for column in columns] for row in flat))


def scores_csv(entries: Sequence[LoadedEntry]) -> str:
    """Every score, one per line: what ``evalkit compare`` reads."""
    rows = (
        [entry.method, row.item_id, row.group, row.seed, name, row.values.get(name), row.status, row.reasons.get(name)]
        for entry in entries
        for row in entry.run.table.rows
        for name in entry.run.table.metrics
    )
    columns = ("method", "item_id", "group", "seed", "metric", "value", "status", "reason")
    return csv_text(columns, rows)


def _record(row: BoardRow, metrics: Sequence[str]) -> dict[str, Any]:
    entry = row.entry
    return {
        "method": entry.method,
        "title": entry.card.title,
        "kind": entry.card.kind,
        "verification": entry.level,
        "not_ranked": row.unranked,
        "pareto_front": row.on_front,
        "submitted": entry.record.submitted.isoformat(),
        "declarations": entry.record.declarations.model_dump(mode="json"),
        "metrics": {name: _summary(row, name) for name in metrics if name in entry.metrics},
    }


def _judge(table: JudgeTable) -> dict[str, Any]:
    return {
        "judge": table.identity,
        "ranks_by": table.metric,
        "entries": [
            {
                "method": row.entry.method,
                "rank_low": row.ranked and row.ranked.rank_low,
                "rank_high": row.ranked and row.ranked.rank_high,
                "metrics": {
                    name: {field: getattr(summary, field) for field in SUMMARY}
                    for name, summary in row.judged.metrics.items()
                },
            }
            for row in table.rows
        ],
    }


def _votes(table: VoteResults) -> dict[str, Any]:
    return {
        "record": table.votes.record.model_dump(mode="json"),
        "judge": table.votes.identity,
        "ranks": table.is_ranking,
        "entries": [
            {
                "method": row.entry.method,
                "rank_low": row.ranks and row.ranks[0],
                "rank_high": row.ranks and row.ranks[1],
                **{field: getattr(row.ability, field) for field in ("mean", "ci_low", "ci_high")},
                "won": row.won,
                "n_votes": row.n_votes,
            }
            for row in table.rows
        ],
    }


def _summary(row: BoardRow, metric: str) -> dict[str, Any]:
    summary, ranks = row.entry.metrics[metric], row.ranks.get(metric)
    return {
        **{field: getattr(summary, field) for field in SUMMARY},
        "rank_low": ranks.rank_low if ranks else None,
        "rank_high": ranks.rank_high if ranks else None,
        "signature": summary.signature,
    }
