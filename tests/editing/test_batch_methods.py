"""Methods that are given all edits at once, edits that cost something, and settings that no edit depends on."""

from dataclasses import replace

import numpy as np
import pytest

from evalkit.editing.method import Billed, Setting, checked_card
from evalkit.edits.manifest import read_manifest
from evalkit.errors import BrokenPluginError, OptionError
from evalkit.images.decode import read_image
from tests.support.toys import CARD, RUN, SIDE, make, statuses, toy, toy_items


def batch(edit_all, **card):
    """A method that has nothing but ``edit_all``, and notes what it was given in ``given``."""

    class Batch:
        given = []  # noqa: RUF012 - one list per class is what is wanted

        def load(self, run):
            pass

        def edit_all(self, items):
            self.given.append(list(items))
            yield from edit_all(items)

    Batch.card = replace(CARD, **card)
    return Batch


def grey(level=0.5):
    """A picture."""
    return np.full((SIDE, SIDE, 3), level)


def all_grey(items):
    """An edit for each."""
    return ((item, grey()) for item in items)


def level_of(folder, item_id):
    """The level of a grey picture."""
    return read_image(folder / item_id / "0.png").getpixel((0, 0))[0]


def test_all_edits_are_given_at_once_with_their_files_and_seeds(tmp_path):
    """One call has every item and seed with its source image, and of the texts those that the card names."""
    items = [replace(item, instruction="Do it.", group="g") for item in toy_items(tmp_path, 2)]
    method = batch(all_grey)
    assert make(method, items, tmp_path / "out", seeds=(0, 4)).n_edited == 4
    (given,) = method.given
    assert [(item.item_id, item.seed) for item in given] == [("item_0", 0), ("item_0", 4), ("item_1", 0), ("item_1", 4)]
    assert [item.source_image for item in given] == [item.source_image for item in items for _ in range(2)]
    assert given[0].target_caption == items[0].target_caption
    assert (given[0].instruction, given[0].source_caption, given[0].group) == (None, None, None)
    assert [item.group for item in read_manifest(tmp_path / "out").items] == ["g"] * 4


def test_edits_come_in_any_order_and_the_last_word_counts(tmp_path):
    """The manifest keeps the order of the items; an edit that comes again takes the place of the first."""

    def edit_all(items):
        yield from ((item, grey()) for item in reversed(items))
        yield items[0], grey(1.0)
        yield items[1], ValueError("taken back")

    seen = []
    done = make(batch(edit_all), toy_items(tmp_path, 3), tmp_path / "out", progress=lambda *step: seen.append(step))
    assert statuses(tmp_path / "out") == [
        ("item_0", 0, "ok", None),
        ("item_1", 0, "failed", "ValueError: taken back"),
        ("item_2", 0, "ok", None),
    ]
    assert (level_of(tmp_path / "out", "item_0"), done.n_edited) == (255, 2)
    assert max(seen) == ("edits", 3, 3)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda items: None, "the method gave no picture for it"),
        (lambda items: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda items: exit(3), "SystemExit: 3"),
    ],
)
def test_what_never_comes_has_failed_and_the_rest_is_kept(tmp_path, end, reason):
    """Whether a method forgets an item or falls over it; the next run gives it those items only."""

    def edit_all(items):
        yield items[1], grey()
        end(items)

    done = make(batch(edit_all), toy_items(tmp_path, 3), tmp_path / "out")
    assert [(item.item_id, item.reason) for item in done.failures] == [("item_0", reason), ("item_2", reason)]
    method = batch(all_grey)
    assert make(method, toy_items(tmp_path, 3), tmp_path / "out").n_kept == 1
    assert [item.item_id for item in method.given[0]] == ["item_0", "item_2"]


def test_an_item_without_what_is_needed_is_not_given(tmp_path):
    """The method is spared items that lack a text or a source image that can be read."""
    items = toy_items(tmp_path, 4, 4)
    items[1] = replace(items[1], target_caption=None)
    items[2].source_image.write_bytes(b"no image")
    method = batch(all_grey)
    done = make(method, items, tmp_path / "out")
    assert {item.item_id for item in done.failures} == {"item_1", "item_2"}
    assert [item.item_id for item in method.given[0]] == ["item_0", "item_3"]


def test_an_interruption_goes_through_and_keeps_what_had_come(tmp_path):
    """Edits are on disk as soon as they come, not when all have."""

    def edit_all(items):
        yield items[0], grey()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(batch(edit_all), toy_items(tmp_path, 3), tmp_path / "out")
    assert statuses(tmp_path / "out") == [("item_0", 0, "ok", None)]


def test_a_batch_method_needs_no_fit_and_no_edit_but_it_must_load():
    """What is missing is named."""
    method = batch(all_grey)
    assert checked_card(method) is method.card
    method.load = None
    with pytest.raises(BrokenPluginError, match="it lacks load"):
        checked_card(method)


# Costs


def test_what_an_edit_cost_stands_in_its_line_and_the_run_has_the_sums(tmp_path):
    """Per currency; an edit that cost nothing is another thing than one of unknown cost."""
    bills = {"item_0": (0.5, "USD"), "item_1": (0.25, "USD"), "item_2": (0.0, "EUR")}

    def edit(item, seed):
        if item.item_id in bills:
            cost, currency = bills[item.item_id]
            return Billed(picture=grey(), cost=cost, currency=currency)
        return None

    done = make(toy(edit=edit), toy_items(tmp_path, 4), tmp_path / "out")
    assert done.costs == {"USD": 0.75, "EUR": 0.0}
    lines = [(item.cost, item.currency) for item in read_manifest(tmp_path / "out").items]
    assert lines == [*bills.values(), (None, None)]
    again = make(toy(edit=edit), toy_items(tmp_path, 4), tmp_path / "out")
    assert (again.n_kept, again.costs) == (4, {})
    assert [(item.cost, item.currency) for item in read_manifest(tmp_path / "out").items] == lines


@pytest.mark.parametrize(("cost", "currency"), [(-1.0, "USD"), (float("nan"), "USD"), (float("inf"), "USD"), (1.0, "")])
def test_a_cost_that_is_none_fails_the_edit_and_harms_no_manifest(tmp_path, cost, currency):
    """The manifest stays readable."""
    method = toy(edit=lambda item, seed: Billed(picture=grey(), cost=cost, currency=currency))
    (failure,) = make(method, toy_items(tmp_path, 1), tmp_path / "out").failures
    assert failure.reason.startswith("ValueError: an edit's cost must be a number from 0 with a currency")
    assert len(read_manifest(tmp_path / "out").items) == 1


# Settings that no edit depends on


def test_a_folder_goes_on_with_another_value_of_what_no_edit_depends_on(tmp_path):
    """A pace may change, a strength may not."""
    free = {**CARD.settings, "pace": Setting(default=1, summary="Edits per hour.", shapes_edits=False)}
    method = toy(settings=free)
    make(method, toy_items(tmp_path, 2), tmp_path / "out", run=replace(RUN, settings={**RUN.settings, "pace": 1}))
    faster = replace(RUN, settings={**RUN.settings, "pace": 9})
    assert make(method, toy_items(tmp_path, 2), tmp_path / "out", run=faster).n_kept == 2
    stronger = replace(RUN, settings={**RUN.settings, "pace": 9, "strength": 0.9})
    with pytest.raises(OptionError, match="was made with settings"):
        make(method, toy_items(tmp_path, 2), tmp_path / "out", run=stronger)
