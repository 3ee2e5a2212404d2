"""The order effect of a judge: shown two edits of an item in both orders, does it stand by its choice?

Position bias, after Zheng et al. 2023 (arXiv 2306.05685), §3.4: the same pair is asked about twice, its sides swapped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from evalkit.encoders.base import FeatureCache
from evalkit.images.decode import read_image_bytes
from evalkit.judges.asking import Asker, JudgeOptions, JudgeQuery
from evalkit.judges.base import Judge
from evalkit.judges.budget import Budget
from evalkit.judges.pairs import ASKED_AS, Choice, pair_question, question_digest, read_choice
from evalkit.validity.judged import rate_of
from evalkit.validity.records import OrderEffect
from evalkit.validity.systems import Systems
from evalkit.validity.trial import Trial

_SIDE: Mapping[Choice, float] = {"left": 1.0, "right": -1.0, "tie": 0.0, "both_bad": 0.0}
_SWAPPED: Mapping[Choice, Choice] = {"left": "right", "right": "left", "tie": "tie", "both_bad": "both_bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BothOrders:
    """What a judge chose between the true edit and another of each item: with the true edit left, then right."""

    others: tuple[str, ...]
    """The systems whose edits stood beside the true ones."""
    choices: Mapping[str, tuple[Choice | None, Choice | None]]
    """By item; None for an answer that names no choice, or that could not be had."""


def ask_both_orders(
    judge: Judge, options: JudgeOptions, systems: Systems, cache: FeatureCache, budget: Budget | None
) -> BothOrders:
    """Ask a judge about one pair of each item in both orders.

    The true edit stands beside that of a method, or, without another method, of a control: of the next one for each
    next item, so that an item costs two answers however many there are.

    Args:
        judge: Who is asked.
        options: How many questions at a time, and how pictures are sent; each is asked once.
        systems: Whose edits.
        cache: Remembers answers.
        budget: What may be spent.

    Raises:
        BudgetSpentError: The budget does not suffice; what was answered is kept.
        EndpointError: No question can be answered.
        ImageError: A picture cannot be read.
    """
    besides = [each for each in systems.others if each.name != systems.true.name]
    others = [each for each in besides if each.kind == "method"] or [each for each in besides if each.kind == "control"]
    edits = [{item.item_id: item.edited_image for item in other.items} for other in others]
    waiting: dict[str, list[tuple[str, int]]] = {}
    found: dict[str, list[Choice | None]] = {}

    def questions() -> Iterator[JudgeQuery]:
        for number, item in enumerate(systems.true.items):
            other = edits[number % len(edits)].get(item.item_id) if edits else None
            if item.source_image is None or item.edited_image is None or other is None:
                continue
            source, true, beside = (
                options.settings.picture_of_file(read_image_bytes(path), path)
                for path in (item.source_image, item.edited_image, other)
            )
            found[item.item_id] = [None, None]
            for order, sides in enumerate([(true, beside), (beside, true)]):
                question = pair_question(item, [source, *sides])
                digest = question_digest(question)
                waiting.setdefault(digest, []).append((item.item_id, order))
                yield digest, lambda question=question: question  # type: ignore[misc]

    asker = Asker(judge, replace(options, repeats=1), cache, budget, ASKED_AS, f"judge/pairs/{judge.label}")
    for answered in asker.ask(questions()):
        item_id, order = waiting[answered.digest].pop(0)
        (said,) = answered.answers
        found[item_id][order] = read_choice(said) if said else None
    return BothOrders(
        others=tuple(each.name for each in others),
        choices={item_id: (first, second) for item_id, (first, second) in found.items()},
    )


def order_effect(asked: BothOrders, trial: Trial) -> OrderEffect:
    """How often a judge's choice changes when the sides are swapped, and whether it prefers a side.

    Items of which both answers name a choice count; intervals treat groups as the sample.
    """
    changed, side = (np.full(len(trial.items), np.nan) for _ in range(2))
    for number, item in enumerate(trial.items):
        first, second = asked.choices.get(item.item_id, (None, None))
        if first is not None and second is not None:
            changed[number] = _SWAPPED[second] != first
            side[number] = (_SIDE[first] + _SIDE[second]) / 2
    answers = [choice for both in asked.choices.values() for choice in both]
    return OrderEffect(
        others=asked.others,
        n_answers=len(answers),
        n_unread=answers.count(None),
        changed=rate_of(changed, trial),
        left=rate_of(side, trial, (-1.0, 1.0)),
    )
