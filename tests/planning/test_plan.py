"""Planning a study: known answers, what a pilot measures, and the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import OptionError
from evalkit.planning.plan import basis_from_deviation, basis_from_pilot, plan_study, power
from evalkit.planning.tables import plan_tables
from evalkit.stats.power import design_effect, intraclass_correlation
from tests.support.runs import A, B, write_scores


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def pilot(tmp_path):
    """Two runs of 40 items in 20 pictures, whose differences are alike within a picture."""
    rng = np.random.default_rng(0)
    groups = [f"g{number // 2}" for number in range(40)]
    shared = np.repeat(rng.normal(0, 0.02, 20), 2)
    a = rng.normal(0.25, 0.05, 40)
    b = a + 0.01 + shared + rng.normal(0, 0.01, 40)
    runs = [
        write_scores(tmp_path / name, {"clip_score": values.tolist()}, groups=groups)
        for name, values in (("a", a), ("b", b))
    ]
    return runs, b - a, groups


def test_the_textbooks_numbers_come_back():
    """73 items for .01 at a deviation of .03, and a smallest effect of .283 deviations at 100 items (80 %, α = .05)."""
    plan = plan_study(basis_from_deviation(0.03), items=[100], effects=[0.01, 0.005])
    assert [row.items for row in plan.needed] == [73, 285]
    assert plan.detectable[0].effect / 0.03 == pytest.approx(0.283, abs=0.0005)
    assert plan.seeds == ()


def test_groups_and_comparisons_cost_items():
    """A design effect multiplies the items (nearly), and so does sharing α among pairs."""
    alone = plan_study(basis_from_deviation(0.03), effects=[0.005]).needed[0].items
    grouped = plan_study(basis_from_deviation(0.03, icc=0.5, items_per_group=3), effects=[0.005]).needed[0]
    assert grouped.items == pytest.approx(2 * alone, rel=0.02)
    assert grouped.groups == pytest.approx(grouped.items / 3, abs=1)
    plan = plan_study(basis_from_deviation(1.0), items=[100], comparisons=45)
    assert plan.detectable[0].effect == pytest.approx(0.422, abs=0.0005)


def test_a_pilot_of_two_runs_is_measured(pilot):
    """Deviation, correlation within groups and design effect are those of the differences."""
    runs, differences, groups = pilot
    basis = basis_from_pilot(runs)
    icc = intraclass_correlation(differences, groups)
    assert icc > 0.3
    assert basis.standard_deviation == pytest.approx(differences.std(ddof=1), abs=1e-6)
    assert basis.intraclass_correlation == pytest.approx(icc, abs=1e-3)
    assert (basis.n_items, basis.n_groups, basis.items_per_group) == (40, 20, 2)
    assert basis.design_effect == pytest.approx(design_effect([2] * 20, icc), abs=1e-3)
    assert 40 in [row.items for row in plan_study(basis).detectable]


def test_a_pilot_of_one_run_is_a_guess_and_says_so(pilot):
    """Scores that vary by s give differences that vary by s·√(2(1−ρ))."""
    runs, _, _ = pilot
    half, none = basis_from_pilot(runs[:1]), basis_from_pilot(runs[:1], correlation=0.0)
    assert none.standard_deviation == pytest.approx(half.standard_deviation * np.sqrt(2))
    assert any("guessed from the scores of a" in note for note in half.notes)


def test_seeds_are_weighed_against_items(tmp_path):
    """Where edits vary much from seed to seed, more seeds spare items, though not images."""
    rng = np.random.default_rng(0)
    ids = [f"i{number}" for number in range(40)] * 3
    seeds = [seed for seed in range(3) for _ in range(40)]
    gains = np.tile(rng.normal(0.05, 0.03, 40), 3)
    runs = [
        write_scores(tmp_path / name, {"clip_score": rng.normal(means, 0.05).tolist()}, ids=ids, seeds=seeds)
        for name, means in (("a", np.full(120, 0.2)), ("b", 0.2 + gains))
    ]
    basis = basis_from_pilot(runs)
    assert basis.components.seeds_a == pytest.approx(0.05**2, rel=0.3)
    plan = plan_study(basis, effects=[0.02])
    items = [row.items for row in plan.seeds]
    assert [row.seeds for row in plan.seeds] == [1, 2, 3, 5, 10]
    assert items == sorted(items, reverse=True)
    assert items[0] > 1.5 * items[2]
    assert "seeds per item only new items help" in evalkit("power", *runs).stdout


def test_seeds_that_both_methods_share_are_planned_by_their_differences(tmp_path):
    """What a seed does to both methods is no noise of their difference: fewer items, and the table says why."""
    rng = np.random.default_rng(0)
    ids = [f"i{number}" for number in range(40)] * 3
    seeds = np.repeat(range(3), 40)
    common, gains = rng.normal(0.2, 0.05, 120), np.tile(rng.normal(0.05, 0.03, 40), 3)
    values = (common + rng.normal(0, 0.01, 120), common + gains + rng.normal(0, 0.01, 120))

    def components(labels_of_b):
        runs = [
            write_scores(tmp_path / f"{name}{labels_of_b[0]}", {"clip_score": scores.tolist()}, ids=ids, seeds=labels)
            for name, scores, labels in (("a", values[0], seeds.tolist()), ("b", values[1], labels_of_b))
        ]
        return runs, basis_from_pilot(runs).components

    runs, same = components(seeds.tolist())
    _, other = components((seeds + 7).tolist())
    assert (same.paired, other.paired) == (True, False)
    assert same.seeds_difference == pytest.approx(2 * 0.01**2, rel=0.4)
    assert other.seeds_difference == pytest.approx(same.seeds_a + same.seeds_b)
    assert same.items == pytest.approx(0.03**2, rel=0.5)
    assert "seeds per item (same seeds for both)" in evalkit("power", *runs).stdout
    assert json.loads(evalkit("power", *runs, "--json").stdout)["basis"]["components"]["paired"] is True


def test_too_few_groups_detect_nothing_and_say_why():
    """Twenty items of 2.5 per picture are 8 groups, whose smallest p is above .05/45: first possible with 28 items."""
    plan = plan_study(basis_from_deviation(0.03, icc=0.2, items_per_group=2.5), items=[2, 20, 28], comparisons=45)
    assert [row.groups for row in plan.detectable] == [0, 8, 11]
    assert [row.effect is None for row in plan.detectable] == [True, True, False]
    assert plan.detectable[0].reason == "two groups are the least that can be compared"
    assert plan.detectable[1].reason == "the smallest p-value of 8 groups is 0.0078, above α = 0.0011"
    assert (plan.fewest_groups, plan.fewest_items) == (11, 28)
    assert all(row.groups >= 11 and row.items >= 28 for row in plan.needed)


def test_the_command_shows_a_dash_where_nothing_can_be_found():
    """The cell has no number, the note says from when on, and JSON holds null with the reason."""
    options = ("power", "--sd", "0.03", "--icc", "0.2", "--group-size", "2.5", "--comparisons", "45")
    done = evalkit(*options)
    (row,) = (line for line in done.stdout.splitlines() if line.split()[:1] == ["20"])
    assert row.split() == ["20", "8", "–"]
    assert "fewer than 11 groups (28 items)" in done.stdout
    assert "four of five such studies" in done.stdout
    found = json.loads(evalkit(*options, "--json").stdout)
    assert found["detectable"][0]["effect"] is None
    assert "smallest p-value of 8 groups" in found["detectable"][0]["reason"]
    assert found["fewest"] == {"groups": 11, "items": 28}
    two = evalkit("power", "--sd", "0.03", "--icc", "0.2", "--items", "2", "--json")
    assert json.loads(two.stdout)["detectable"][0]["effect"] is None


def test_an_effect_is_planned_in_whole_groups():
    """Twenty items per group: at least six groups, and never a part of one."""
    plan = plan_study(basis_from_deviation(0.3, icc=0.5, items_per_group=20), effects=[5.0, 0.1])
    assert (plan.needed[0].items, plan.needed[0].groups) == (120, 6)
    assert [row.items for row in plan.needed] == [20 * row.groups for row in plan.needed]
    assert plan.needed[1].equivalence_items % 20 == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deviation": 0.0}, "standard deviation must be a positive number; got 0"),
        ({"deviation": float("nan")}, "standard deviation must be a positive number"),
        ({"deviation": 1.0, "icc": 2.0}, r"must lie in \[0, 1\]"),
        ({"deviation": 1.0, "items_per_group": 0.5}, "a group hold an item"),
    ],
)
def test_a_basis_out_of_range_is_refused(arguments, message):
    """With what was expected and what was got."""
    with pytest.raises(OptionError, match=message):
        basis_from_deviation(**arguments)


def test_a_pilot_that_tells_nothing_is_refused(tmp_path, pilot):
    """Constant differences, three methods, an unknown metric."""
    runs, _, _ = pilot
    same = [write_scores(tmp_path / name, {"clip_score": A}) for name in ("x", "y")]
    with pytest.raises(OptionError, match="values do not vary"):
        basis_from_pilot(same)
    with pytest.raises(OptionError, match="one method or two; got 3: x, y, z"):
        basis_from_pilot([*same, write_scores(tmp_path / "z", {"clip_score": B})])
    with pytest.raises(OptionError, match="no metric 'lpips': expected one of clip_score"):
        basis_from_pilot(runs, metric="lpips")


def test_the_command_prints_a_plan(pilot):
    """Two tables, and what they rest on; --json holds the same numbers."""
    runs, _, _ = pilot
    done = evalkit("power", *runs, "--effect", "0.01,0.005", "--items", "100")
    assert done.exit_code == 0, done.output
    assert "What so many items find" in done.stdout
    assert "design effect" in done.stdout
    result = json.loads(evalkit("power", *runs, "--effect", "0.01,0.005", "--items", "100", "--json").stdout)
    assert list(result) == ["basis", "detectable", "needed", "seeds", "fewest", "settings"]
    plan = plan_study(basis_from_pilot(runs), items=[100], effects=[0.01, 0.005])
    assert [row["items"] for row in result["needed"]] == [row.items for row in plan.needed]
    assert f"{plan.needed[1].items:,}" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--sd", "1", "run"],
        ["run", "--icc", "0.2"],
        ["--sd", "1", "--effect", "big"],
        ["--sd", "1", "--items", "0.5x"],
    ],
)
def test_wrong_usage_is_exit_code_2(options):
    """Neither pilot nor deviation, both, or what goes with the other."""
    assert evalkit("power", *options).exit_code == 2


def test_one_number_is_taken_as_a_list_of_one():
    """Of items and of effects, and arrays of them too."""
    (alone, listed, array) = (
        power(standard_deviation=0.03, items=form([50]), effects=form([0.01]))
        for form in (lambda values: values[0], list, np.array)
    )
    assert alone == listed == array
    assert [row.items for row in alone.detectable] == [50]


def test_labels_are_planned_for_every_effect_and_number_of_items():
    """With a metric fewer labels do than alone, and never more than there are items; a correlation of 2 is none."""
    plan = power(standard_deviation=1.0, effects=[0.3, 0.6], items=[60, 400], metric_correlation=0.7)
    assert [(row.effect, row.items) for row in plan.labels] == [(0.3, 60), (0.3, 400), (0.6, 60), (0.6, 400)]
    assert [row.labels_alone for row in plan.labels] == [row.items for row in plan.needed for _ in range(2)]
    assert plan.labels[0].labels is None
    assert plan.labels[1].labels < plan.labels[1].labels_alone
    assert "of 400 scored" in plan_tables(plan)[2].header
    done = evalkit("power", "--sd", "1", "--effect", "0.3", "--items", "400", "--metric-correlation", "0.7", "--json")
    assert json.loads(done.stdout)["labels"][0]["labels"] == plan.labels[1].labels
    with pytest.raises(OptionError, match="must lie in"):
        power(standard_deviation=1.0, metric_correlation=2)


def test_no_effect_is_no_plan():
    """An effect of 0 needs more items than there are: an error, and not a division by zero."""
    done = evalkit("power", "--sd", "1", "--effect", "0")
    assert done.exit_code == 1
    assert "The effect must be a positive number" in done.stderr


@pytest.mark.parametrize("encoder", ["miniature/clip@f32098898ebf", "open_clip/ViT-B-32@0123"])
def test_a_pilot_of_a_toy_encoder_is_named_above_the_plan(tmp_path, encoder):
    """Nobody plans a study on a toy's spread without knowing it."""
    runs = [write_scores(tmp_path / name, {"clip_score": x}, enc=encoder) for name, x in (("x", A), ("y", B))]
    title = plan_tables(plan_study(basis_from_pilot(runs)))[0].title
    assert ("\nminiature encoder" in title) == encoder.startswith("miniature")
