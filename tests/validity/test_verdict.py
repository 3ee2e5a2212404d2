"""Verdicts on metrics: fixed rules from numbers to words."""

from dataclasses import replace

import pytest

from evalkit.validity.records import AgainstControl, Agreement
from evalkit.validity.verdict import findings, verdict


def against(control, probability, low, high, *, kind="control", shift=-0.5, half=0.05):
    """A control with a probability and a shift, each with its interval."""
    return AgainstControl(
        control=control, kind=kind, n_items=50, n_groups=20, probability=probability, ci_low=low, ci_high=high,
        area=None, n_ties=0, mean=0.1, shift=shift, shift_low=shift - half, shift_high=shift + half,
    )  # fmt: skip


GOOD = tuple(
    against(name, 0.95, 0.85, 0.99) for name in ("identity", "shuffled_source", "wrong_attribute", "shuffled_caption")
)


def said(family="alignment", controls=GOOD, agreement=None, floor=0.0, ceiling=0.0):
    """The findings."""
    return findings(family, controls, agreement, floor_share=floor, ceiling_share=ceiling)


def swapped(control):
    """The good controls with one in the place of that of its name."""
    return tuple(control if found.control == control.control else found for found in GOOD)


def test_a_metric_that_prefers_the_true_edit_everywhere_has_no_finding():
    """Its verdict says so."""
    assert said() == ()
    assert verdict("alignment", ()) == "prefers the true edit to every control"


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (against("identity", 0.1, 0.05, 0.3), "rewards doing nothing"),
        (against("shuffled_source", 0.1, 0.05, 0.3), "prefers another picture"),
        (against("wrong_attribute", 0.2, 0.1, 0.4), "prefers a wrong edit"),
        (against("wrong_attribute", 0.5, 0.4, 0.6), "blind to a wrong edit"),
        (against("shuffled_caption", 0.55, 0.45, 0.65), "blind to the captions"),
        (against("shuffled_caption", 0.6, 0.2, 0.9), "not shown to see the captions (too few items)"),
        (against("identity", 1.0, None, None), "not shown to see doing nothing (no interval)"),
        (against("identity", 0.65, 0.55, 0.72), "cannot rank single items (65 % against doing nothing)"),
    ],
)
def test_what_is_wrong_with_an_alignment_metric_is_said(control, words):
    """By where the interval of the paired probability lies."""
    assert said(controls=swapped(control)) == (words,)


def test_few_items_show_no_blindness():
    """A wide interval around one half is no evidence that a metric sees nothing."""
    assert not any("blind" in text for text in said(controls=swapped(against("identity", 0.5, 0.1, 0.9))))


def test_a_preservation_metric_is_not_blamed_for_a_wrong_edit():
    """It asks what stayed; but that an untouched source is the best of all is said."""
    controls = (
        against("identity", 0.0, 0.0, 0.1),
        against("shuffled_source", 1.0, 0.9, 1.0),
        against("wrong_attribute", 0.5, 0.45, 0.55),
    )
    assert said("preservation", controls) == ("rewards doing nothing",)


def test_a_quality_metric_is_asked_only_whether_it_sees_what_is_spoilt():
    """Another picture may be as sound, and so may a wrong edit; a blurred one is not."""
    others = tuple(against(name, 0.5, 0.45, 0.55) for name in ("identity", "shuffled_source", "wrong_attribute"))
    seen, unseen = (against("blur", p, p - 0.05, p + 0.05, kind="damage", shift=0.0) for p in (0.9, 0.5))
    assert said("quality", (*others, seen)) == ()
    assert verdict("quality", ()).startswith("prefers the true edit to one that is blurred")
    assert said("quality", (*others, unseen)) == ("blind to blur",)


def test_a_round_trip_that_moves_the_mean_far_is_said():
    """As a share of the way to another picture; a blur may move it, that is no file format."""
    jpeg = against("jpeg_90", 0.5, 0.45, 0.55, kind="damage", shift=0.2)
    blur = against("blur", 0.9, 0.8, 0.95, kind="damage", shift=0.4)
    assert said(controls=(*GOOD, jpeg, blur)) == ("moved by jpeg_90 by 40 % of the way to another picture",)
    small = against("jpeg_90", 0.5, 0.45, 0.55, kind="damage", shift=0.01)
    assert said(controls=(*GOOD, small)) == ()


def test_noise_is_not_called_a_move():
    """A shift whose interval holds 0, or that the way to another picture may be ten times as long as, is not shown."""
    noisy = against("jpeg_90", 0.5, 0.45, 0.55, kind="damage", shift=0.45, half=0.5)
    assert said(controls=(*GOOD, noisy)) == ()
    unsure = swapped(against("shuffled_source", 0.95, 0.85, 0.99, shift=-0.5, half=2.0))
    assert said(controls=(*unsure, against("jpeg_90", 0.5, 0.45, 0.55, kind="damage", shift=0.2))) == ()
    assert said(controls=(*GOOD, replace(noisy, shift_low=None, shift_high=None))) == ()


def test_blindness_to_blur_is_said_after_what_is_worse():
    """The gravest finding comes first."""
    blur = against("blur", 0.5, 0.4, 0.6, kind="damage", shift=0.0)
    found = said(controls=(*swapped(against("identity", 0.1, 0.05, 0.2)), blur))
    assert found == ("rewards doing nothing", "blind to blur")


@pytest.mark.parametrize(("floor", "ceiling", "end"), [(0.21, 0.2, "worst"), (0.2, 0.21, "best")])
def test_crowding_at_an_end_is_said(floor, ceiling, end):
    """More than a fifth of the edits at one end leaves no room to tell methods apart; a fifth does."""
    assert said(floor=floor, ceiling=ceiling) == (f"21 % of the edits have the {end} value",)


def test_agreement_that_was_not_shown_is_said():
    """Where the interval of the correlation reaches 0."""
    agreement = Agreement(
        truth="edit_success", edit_type=None, scope="methods", n_systems=3, how="kendall within items", value=0.1,
        ci_low=-0.1, ci_high=0.3, n_items=40, n_groups=20,
    )  # fmt: skip
    assert said(agreement=agreement) == ("no agreement with edit_success was shown",)
    assert said(agreement=replace(agreement, ci_low=0.05)) == ()


def test_a_metric_that_has_no_value_for_the_untouched_source_is_told():
    """Directional similarity: nothing can be said of a method that does nothing."""
    assert said(controls=swapped(against("identity", None, None, None))) == ("has no value for an untouched source",)


def test_a_metric_without_values_is_said_to_have_none():
    """As multi-scale SSIM has none for pictures smaller than its window."""
    controls = tuple(against(found.control, None, None, None) for found in GOOD)
    assert said("preservation", controls) == ("has no value for the true edit or for every control",)
