"""The order effect of a judge: the same pair with its sides swapped, one pair of each item."""

import json
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from evalkit.edits.item import EditItem
from evalkit.encoders.cache import EmbeddingCache
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.base import JudgeAnswer, Picture
from evalkit.stats.clusters import code_groups
from evalkit.stats.intervals import group_wilson_interval
from evalkit.validity.order import BothOrders, ask_both_orders, order_effect
from evalkit.validity.report import order_table
from evalkit.validity.systems import System, Systems
from evalkit.validity.trial import Trial

N_ITEMS = 6


class Rule:
    """A judge that chooses by a rule of the brightness of the left and the right edit."""

    label, key = "rule", MappingProxyType({})

    def __init__(self, rule):
        self.rule, self.asked = rule, []

    def ask(self, question, *, seed=0):
        """What the rule says."""
        source, *edits = (part.open().getpixel((0, 0))[0] for part in question.parts if isinstance(part, Picture))
        self.asked.append((source, *edits))
        return JudgeAnswer(text=json.dumps({"answer": self.rule(*edits)}), model="m")


@pytest.fixture
def systems(tmp_path):
    """True edits of brightness 100 and more, controls of 50 and of 20 and more, damage that nobody is to look at."""

    def system(name, kind, level):
        items = []
        for number in range(N_ITEMS):
            paths = {"source_image": tmp_path / f"source{number}.png", "edited_image": tmp_path / f"{name}{number}.png"}
            for path, value in zip(paths.values(), (number, level + number), strict=True):
                Image.new("RGB", (8, 8), (value, 0, 0)).save(path)
            items.append(EditItem(item_id=str(number), group=str(number // 2), instruction="Brighter.", **paths))
        return System(name=name, kind=kind, items=tuple(items))

    others = (system("dim", "control", 50), system("dark", "control", 20), system("jpeg", "damage", 99))
    return Systems(true=system("reference", "true", 100), others=others, notes=())


def trial_of(systems):
    """The trial of them."""
    items = systems.true.items
    return Trial(
        systems=systems, runs={}, items=items, groups=code_groups([item.group for item in items]), truths={},
        level=0.95, seed=0,
    )  # fmt: skip


def asked(rule, systems, **options):
    """What a judge with a rule chose, and what it was shown."""
    judge = Rule(rule)
    with EmbeddingCache.in_memory() as cache:
        for _ in range(2):  # what is known is not asked again
            both = ask_both_orders(judge, JudgeOptions(spec="", repeats=3, **options), systems, cache, None)
    return both, judge.asked


def test_each_item_is_asked_about_once_in_each_order_with_the_controls_in_turn(systems):
    """Of the true edit and a control; damage is no edit, and repeats are not for this."""
    both, shown = asked(lambda left, right: "left" if left > right else "right", systems)
    expected = [
        (n, *sides) for n in range(N_ITEMS) for other in [(50, 20)[n % 2] + n]
        for sides in [(100 + n, other), (other, 100 + n)]
    ]  # fmt: skip
    assert sorted(shown) == sorted(expected)
    assert both.others == ("dim", "dark")
    assert set(both.choices.values()) == {("left", "right")}


def test_methods_are_taken_before_controls(systems):
    """They are what a judge is to tell apart; one whose edits pass for the true ones is not held against itself."""
    ours, theirs = (System(name=name, kind="method", items=systems.others[0].items) for name in ("ours", "theirs"))
    both, _ = asked(lambda *_: "tie", Systems(true=ours, others=(*systems.others, ours, theirs), notes=()))
    assert both.others == ("theirs",)


@pytest.mark.parametrize(
    ("rule", "changed", "left"),
    [
        (lambda left, right: "left" if left > right else "right", 0, 0),
        (lambda left, right: "left", 1, 1),
        (lambda left, right: "right", 1, -1),
        (lambda left, right: "tie", 0, 0),
        (lambda left, right: "both_bad" if left > right else "tie", 1, 0),
    ],
)
def test_the_extremes_are_known(systems, rule, changed, left):
    """A judge that looks never changes; one that likes a side always does; a tie stands, and is not "both bad"."""
    found = order_effect(asked(rule, systems)[0], trial_of(systems))
    assert (found.n_answers, found.n_unread, found.changed.n_items) == (2 * N_ITEMS, 0, N_ITEMS)
    assert (found.changed.value, found.left.value) == (changed, left)


def test_the_interval_is_that_of_groups(systems):
    """By hand: three of six pairs change, in groups of two; half of those that change are for the left."""
    left, right = ("left", "left"), ("right", "right")
    choices = [left, left, ("left", "right"), ("right", "left"), right, ("tie", "tie")]
    both = BothOrders(others=("dim",), choices={str(n): each for n, each in enumerate(choices)})
    trial = trial_of(systems)
    found = order_effect(both, trial)
    interval = group_wilson_interval(np.array([1, 1, 0, 0, 1, 0.0]), trial.groups, level=0.95)
    assert (found.changed.value, found.changed.ci_low, found.changed.ci_high) == (0.5, interval.low, interval.high)
    assert found.left.value == pytest.approx((1 + 1 - 1) / 6)


def test_pairs_without_two_choices_are_counted_and_left_out(systems):
    """An answer that names no choice is neither a change nor none."""
    both = BothOrders(others=("dim",), choices={"0": ("left", None), "1": (None, None), "2": ("left", "right")})
    found = order_effect(both, trial_of(systems))
    assert (found.n_answers, found.n_unread) == (6, 3)
    assert (found.changed.n_items, found.changed.value) == (1, 0.0)
    nothing = order_effect(BothOrders(others=("dim",), choices={"0": (None, None)}), trial_of(systems))
    assert nothing.changed.value is None
    assert nothing.changed.reason


def test_there_is_no_table_without_a_judge():
    """It is there for those that were asked alone."""
    assert order_table(type("Validity", (), {"order": None})()) is None
