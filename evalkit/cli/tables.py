"""The options of every command that reads tables of other tools."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say which column is what, and hands on ``columns`` and ``groups``."""

    @click.option("--item-column", metavar="NAME", help="Tables: the column that names the items.")
    @click.option("--method-column", metavar="NAME", help="Tables: the column that names the method.")
    @click.option("--seed-column", metavar="NAME", help="Tables: the column with the seed.")
    @click.option("--metric-column", metavar="NAME", help="Long tables: the column that names the metric.")
    @click.option("--value-column", metavar="NAME", help="Long tables: the column with the value.")
    @click.option("--groups", metavar="NAME|FILE", help="Tables: the column of groups; or a table of items and groups.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click passes options
        item_column: str | None,
        method_column: str | None,
        seed_column: str | None,
        metric_column: str | None,
        value_column: str | None,
        groups: str | None,
        **kwargs: Any,  # noqa: ANN401 - click passes options
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        from evalkit.results.external import Columns

        file = Path(groups) if groups is not None and Path(groups).is_file() else None
        columns = Columns(
            item=item_column,
            method=method_column,
            seed=seed_column,
            group=groups if file is None else None,
            metric=metric_column,
            value=value_column,
        )
        return command(*args, columns=columns, groups=file, **kwargs)

    return wrapped
