"""``evalkit power``: how large a study must be."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.cli.command import EvalkitCommand
from evalkit.cli.inputs import column_options, runs_from
from evalkit.cli.output import Output, names_in, output_options

if TYPE_CHECKING:
    from evalkit.scores.columns import ColumnNames


LABELS_HELP = (
    "Plan labels: how a metric's differences correlate with those of people, of whose labels pilot or --sd are."
)


@click.command(
    cls=EvalkitCommand,
    examples=[
        "evalkit power runs/ours runs/baseline",
        "evalkit power --sd 0.03 --icc 0.2 --group-size 2.5 --effect 0.01",
        "evalkit power --sd 1.2 --effect 0.3 --items 300 --metric-correlation 0.6",
    ],
)
@click.argument("pilot", nargs=-1, metavar="[RUN [RUN]]")
@click.option("--sd", type=float, metavar="X", help="Standard deviation of the items' differences, without a pilot.")
@click.option("--icc", type=click.FloatRange(0, 1), help="With --sd: correlation within groups.  [default: 0]")
@click.option("--group-size", type=click.FloatRange(min=1), help="With --sd: items per source image.  [default: 1]")
@click.option("--metric", metavar="NAME", help="Of the pilot.  [default: the first]")
@click.option(
    "--correlation", type=click.FloatRange(-1, 1, max_open=True), help="Of one run's scores with another method's."
)
@click.option("--metric-correlation", type=click.FloatRange(-1, 1), metavar="R", help=LABELS_HELP)
@click.option("--effect", "effects", metavar="X,Y", help="Differences to find.  [default: 0.1 to 0.5 deviations]")
@click.option("--items", metavar="N,M", help="Numbers of items to consider.  [default: 20 to 1,000]")
@click.option("--comparisons", type=click.IntRange(min=1), default=1, help="Pairs to be compared.")
@click.option("--alpha", type=click.FloatRange(0.0001, 0.5), default=0.05, help="Error rate.")
@click.option("--power", type=click.FloatRange(0.5, 0.9999), default=0.8, help="Of finding it.")
@column_options
@output_options
def power(
    pilot: tuple[str, ...],
    *,
    sd: float | None,
    icc: float | None,
    group_size: float | None,
    metric: str | None,
    correlation: float | None,
    effects: str | None,
    items: str | None,
    columns: "ColumnNames",
    groups: Path | None,
    output: Output,
    **settings: Any,  # noqa: ANN401 - handed on to the library as they are
) -> None:
    """Plan a study: how many items find which difference.

    Shows the true difference that so many items would find, and the items that a difference needs. How much scores vary
    is measured in a pilot: two runs, or a table of two methods; one run tells how much differences may vary; or --sd
    says it.
    """
    from evalkit.planning.plan import power as plan_power
    from evalkit.planning.tables import plan_notes, plan_tables

    if bool(pilot) == (sd is not None):
        raise click.UsageError("Give a pilot (one run or two) or a standard deviation (--sd), and not both.")
    if pilot and not (icc is None and group_size is None):
        raise click.UsageError("--icc and --group-size go with --sd; a pilot's are measured.")
    given: dict[str, Any] = {"icc": icc, "items_per_group": group_size, "correlation": correlation}
    plan = plan_power(
        *runs_from(pilot, output),
        standard_deviation=sd,
        metric=metric,
        columns=columns,
        groups=groups,
        items=[int(number) for number in _numbers(items, "--items")],
        effects=_numbers(effects, "--effect"),
        **{name: value for name, value in given.items() if value is not None},
        **settings,
    )
    output.json(plan.to_dict())
    for table in plan_tables(plan):
        output.table(table)
    for note in plan_notes(plan):
        output.text(f"  {note}", indent="    ")


def _numbers(listed: str | None, option: str) -> list[float]:
    try:
        return [float(text) for text in names_in(listed)]
    except ValueError:
        raise click.BadParameter(
            f"expected numbers with commas between them, got '{listed}'.", param_hint=option
        ) from None
