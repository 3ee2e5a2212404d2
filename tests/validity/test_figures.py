"""The panels of validity: agreement with people stands in one of its own, where there is any."""

from dataclasses import replace

import pytest

from evalkit.validity.figures import draw_panel
from evalkit.validity.records import AgainstControl, Agreement, MetricValidity, PairwiseAgreement, Validity

PEOPLE = PairwiseAgreement(
    truth="rating", n_systems=3, n_items=40, n_groups=20, accuracy=0.71, accuracy_low=0.64, accuracy_high=0.77,
    threshold=0.01, n_pairs=120, n_ties=20, soft=0.9, soft_low=0.8, soft_high=0.97,
)  # fmt: skip


def metric(name, people=None):
    """A metric with one control, one kind of damage, and agreement with a truth."""
    against = AgainstControl(
        control="shuffled_source", kind="control", n_items=40, n_groups=20, probability=0.9, ci_low=0.8, ci_high=0.96,
        area=0.85, n_ties=0, mean=0.2, shift=-0.1, shift_low=-0.12, shift_high=-0.08,
    )  # fmt: skip
    agreement = Agreement(
        truth="rating", edit_type=None, scope="methods", n_systems=3, how="kendall within items", value=0.4,
        ci_low=0.2, ci_high=0.6, n_items=40, n_groups=20,
    )  # fmt: skip
    return MetricValidity(
        metric=name, family="alignment", higher_is_better=True, signature="s", n_items=40, n_undefined=0, mean=0.3,
        floor_share=None, ceiling_share=None,
        controls=(against, replace(against, control="blur", kind="damage", shift=-0.05)),
        agreements=(agreement,), findings=(), verdict="usable", people=people,
    )  # fmt: skip


def validity(*metrics):
    """Trials of these metrics."""
    return Validity(
        benchmark="shapes", benchmark_version="1", true_edit="reference", methods=("a", "b", "c"), n_items=40,
        n_groups=20, level=0.95, seed=0, miniature=False, metrics=metrics,
    )  # fmt: skip


def test_agreement_with_people_has_a_panel():
    """Both accuracies with their intervals stand in a fourth panel; a metric without a soft one has no point there."""
    drawn = draw_panel(validity(metric("one", PEOPLE), metric("two", replace(PEOPLE, soft=None)), metric("three")))
    rows = {(row[0], row[2]): row[3:] for row in drawn.rows if row[1] == "people"}
    assert rows == {
        ("one", "of edits"): (0.71, 0.64, 0.77),
        ("one", "of methods, soft"): (0.9, 0.8, 0.97),
        ("two", "of edits"): (0.71, 0.64, 0.77),
    }
    labels = [axes.get_xlabel().replace("\n", " ") for axes in drawn.figure.axes]
    assert labels[2:] == ["rank correlation with the truth", "pairs ordered as people do"]
    assert "soft accuracy of pairs of methods" in drawn.caption


@pytest.mark.parametrize(("metrics", "panels"), [((metric("one"),), 3), ((replace(metric("one"), agreements=()),), 2)])
def test_without_people_there_is_no_such_panel(metrics, panels):
    """Nothing is drawn or said of what was not asked."""
    drawn = draw_panel(validity(*metrics))
    assert len(drawn.figure.axes) == panels
    assert "people" not in drawn.caption
    assert ("Right: mean rank correlation" in drawn.caption) == (panels == 3)
