"""The options that say who judges edits, shared by every command that can have them judged."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from evalkit.judges.asking import JudgeOptions

JUDGE_HELP = (
    "Have the edits judged: judge:http://HOST:PORT/v1/MODEL, an OpenAI-compatible endpoint, or judge:transformers:DIR."
)
_OTHERS = {
    "rubrics": "--rubric",
    "repeats": "--repeats",
    "budget": "--budget",
    "concurrency": "--concurrency",
    "judge_settings": "--judge-set",
}


_OPTIONS = (
    click.option("--judge", "judge_spec", metavar="SPEC", help=JUDGE_HELP),
    click.option(
        "--rubric",
        "rubrics",
        metavar="NAME|FILE",
        multiple=True,
        help="What the judge is asked; can be repeated: evalkit list rubrics.  [default: judge, or judge_caption "
        "without instructions]",
    ),
    click.option("--repeats", type=click.IntRange(min=1), help="Answers about each edit.  [default: 1]"),
    click.option(
        "--budget",
        metavar="AMOUNT",
        help="Stop before more is spent: 2.50, 100000tokens or 50answers.",
    ),
    click.option("--concurrency", type=click.IntRange(1, 1024), help="Questions at the same time.  [default: 8]"),
    click.option(
        "--judge-set",
        "judge_settings",
        metavar="NAME=VALUE",
        multiple=True,
        help="A setting of the judge, such as temperature=0.7: evalkit guide judging.",
    ),
)
"""Of a judge, in the order of the help."""


def judge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a judge to a command and passes them as one ``judge`` record, None without a judge."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click passes options
        judge_spec: str | None,
        rubrics: tuple[str, ...],
        repeats: int | None,
        budget: str | None,
        concurrency: int | None,
        judge_settings: tuple[str, ...],
        **kwargs: Any,  # noqa: ANN401 - click passes options
    ) -> Any:  # noqa: ANN401 - whatever the command returns
        given: dict[str, Any] = {
            "rubrics": rubrics,
            "repeats": repeats,
            "budget": budget,
            "concurrency": concurrency,
            "judge_settings": judge_settings,
        }
        given = {name: value for name, value in given.items() if value}
        if judge_spec is None and given:
            raise click.UsageError(f"{_OTHERS[next(iter(given))]} goes with --judge SPEC.")
        return command(*args, judge=options_of(judge_spec, given) if judge_spec else None, **kwargs)

    return functools.reduce(lambda wrapping, option: option(wrapping), reversed(_OPTIONS), wrapped)


def options_of(spec: str, given: dict[str, Any]) -> "JudgeOptions":
    """The record of a judge's options as they were typed."""
    from evalkit.judges.asking import JudgeOptions
    from evalkit.judges.base import JudgeSettings

    pairs = [text.partition("=") for text in given.pop("judge_settings", ())]
    if bad := next((name for name, equals, _ in pairs if not equals), None):
        raise click.UsageError(f"--judge-set: expected NAME=VALUE, got '{bad}'.")
    return JudgeOptions(spec=spec, settings=JudgeSettings.read({name: value for name, _, value in pairs}), **given)
