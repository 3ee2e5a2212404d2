"""What a judge is worth: how often it contradicts itself, and what the form of pictures does to it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evalkit.cli import main
from evalkit.edits.item import EditItem
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.base import JudgeSettings
from evalkit.judges.judgement import Judgement
from evalkit.judges.metrics import metrics_of
from evalkit.judges.rubric import load_rubric
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.stats.clusters import code_groups
from evalkit.validity.judged import other_forms, worth_of
from evalkit.validity.systems import System, Systems
from evalkit.validity.trial import Trial
from tests.support.judging import judge_server, pictures_in
from tests.support.validity import work_folder

METRIC = next(metric for metric in metrics_of(load_rubric("judge")) if metric.name == "judge:following")


class Run:
    """Of a scored run what is looked at here."""

    def __init__(self, scores):
        rubric = load_rubric("judge")
        self.judgements = tuple(
            Judgement(
                item_id=str(item), rubric="judge", repeat=repeat, text="",
                scores=None if np.isnan(score) else dict.fromkeys(rubric.scores, float(score)),
                reason="judge_unreadable" if np.isnan(score) else None,
            )
            for item, answers in enumerate(scores) for repeat, score in enumerate(answers)
        )  # fmt: skip
        rows = [
            ItemScores(item_id=str(item), group=str(item), seed=None, status="ok",
                       values={METRIC.name: float(np.nanmean(answers))}, reasons={})
            for item, answers in enumerate(scores)
        ]  # fmt: skip
        self.table = ScoreFrame.from_rows(rows, (METRIC.name,))


def trial_of(**scores):
    """A trial of systems with these ``(n, repeats)`` scores; the first is the true edit."""
    n = len(next(iter(scores.values())))
    items = tuple(EditItem(item_id=str(number), group=str(number)) for number in range(n))
    systems = [System(name=name, kind="control", items=items) for name in scores]
    return Trial(
        systems=Systems(true=systems[0], others=tuple(systems[1:]), notes=()),
        runs={name: Run(np.array(table, dtype=float)) for name, table in scores.items()},
        items=items,
        groups=code_groups([item.group for item in items]),
        truths={},
        level=0.95,
        seed=0,
    )


def test_contradictions_are_counted_over_pairs_of_answers():
    """By hand: of three answers 1, 1, 4 two of three pairs differ, by 3 each; the other item's agree."""
    worth = worth_of(METRIC, trial_of(true=[[1, 1, 4], [5, 5, 5]]), {})
    assert (worth.repeats, worth.n_answers, worth.n_unread) == (3, 6, 0)
    assert worth.differing.value == pytest.approx((2 / 3 + 0) / 2)
    assert worth.distance == pytest.approx((3 + 3) / 6)
    assert worth.reversing.value is None


def test_a_ranking_is_reversed_where_another_answer_ranks_the_other_way():
    """First item: answer 0 prefers the true edit, answer 1 the other; second: both agree; third: a tie ranks none."""
    worth = worth_of(METRIC, trial_of(true=[[8, 3], [8, 7], [5, 5]], other=[[5, 6], [2, 1], [5, 1]]), {})
    assert worth.reversing.value == pytest.approx(1 / 2)
    assert worth.reversing.n_items == 2


def test_answers_without_scores_are_counted_and_compared_with_nothing():
    """They are neither the same nor another answer."""
    worth = worth_of(METRIC, trial_of(true=[[1, np.nan], [2, 3], [4, 4]]), {})
    assert worth.n_unread == 1
    assert (worth.differing.value, worth.differing.n_items) == (0.5, 2)


def test_one_answer_each_can_contradict_nothing():
    """Undefined with a reason, and no interval."""
    worth = worth_of(METRIC, trial_of(true=[[1], [2]]), {})
    assert worth.differing.value is None
    assert worth.differing.reason == "no item has two answers to compare"


def test_a_drift_is_the_mean_of_differences_and_their_size():
    """Shifts that cancel out still have a distance."""
    trial = trial_of(true=[[5, 5], [5, 5], [5, 5]])
    (drift,) = worth_of(METRIC, trial, {"64-jpeg95": Run(np.array([[6, 6], [4, 4], [6, 8]], dtype=float))}).drifts
    assert (drift.image, drift.shift.value, drift.distance) == ("64-jpeg95", pytest.approx(2 / 3), pytest.approx(4 / 3))
    assert drift.shift.ci_low < drift.shift.value < drift.shift.ci_high


def test_the_other_forms_are_the_other_format_and_half_the_size_that_pictures_have(tmp_path):
    """Half of what is sent, which is no more than the pictures are; pictures that are tiny are not made smaller."""
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    items = [EditItem(item_id="a", edited_image=tmp_path / "a.png")]
    labels = [form.settings.image_label for form in other_forms(JudgeOptions(spec="x"), items)]
    assert labels == ["1024-jpeg95", "40-png"]
    small = JudgeOptions(spec="x", settings=JudgeSettings(image_size=20, image_format="jpeg"))
    assert [form.settings.image_label for form in other_forms(small, items)] == ["20-png"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a cache of its own."""
    yield from work_folder(tmp_path_factory.mktemp("judged"))


def test_the_command_tries_a_judge_as_a_metric_and_against_itself(work, monkeypatch):
    """One that likes whatever it is shown but an unchanged picture rewards no doing nothing; its tables are there."""
    monkeypatch.setenv("no_proxy", "*")

    def reply(handler, asked):
        source, edited, *right = pictures_in(asked)
        if right:
            return handler.complete(json.dumps({"answer": "left" if source in (edited, *right) else "tie"}))
        following = 1 if source == edited else 8 + asked["seed"]
        return handler.complete(json.dumps({"following": following, "preservation": 5, "quality": 5}))

    arguments = ["validate", "judge:following", "--benchmark", "shapes", "--sources", "2", "--repeats", "2", "--output"]
    with judge_server() as server:
        server.then = reply
        done = CliRunner().invoke(main, [*arguments, str(work / "out"), "--judge", server.spec()])
    assert done.exit_code == 0, done.output
    found = json.loads((work / "out" / "validity.json").read_text())
    (metric,) = found["metrics"]
    assert metric["metric"] == "judge:following"
    controls = {control["control"]: control["probability"] for control in metric["controls"]}
    assert controls["identity"] == 1.0
    (worth,) = found["judge"]
    assert worth["repeats"] == 2
    assert 0 < worth["differing"]["value"] < 1
    assert worth["reversing"]["value"] == 0
    assert [drift["image"] for drift in worth["drifts"]] == ["1024-jpeg95", "32-png"]
    order = found["order"]
    assert (order["others"][0], order["n_unread"]) == ("identity", 0)
    assert 0 < order["changed"]["value"] == order["left"]["value"] < 1
    assert "The judge against itself" in done.output
    assert "The judge on pairs" in done.output
    assert "when pictures are sent otherwise" in " ".join(done.output.split())


def test_a_judge_of_whom_no_answer_could_be_read_is_a_problem_said_once(work, monkeypatch):
    """The command ends as a run of scoring does, with one sentence for all answers and one for all controls."""
    monkeypatch.setenv("no_proxy", "*")
    arguments = ["validate", "--benchmark", "shapes", "--sources", "2", "--output", str(work / "unread")]
    with judge_server() as server:
        server.then = lambda handler, _: handler.complete("I like it.")
        done = CliRunner().invoke(main, [*arguments, "--judge", server.spec("chatty")], env={"COLUMNS": "500"})
    assert done.exit_code == 3, done.output
    assert done.output.count("; the first was 'I like it.'") == 1
    assert done.output.count("against every control: no value") == 1
