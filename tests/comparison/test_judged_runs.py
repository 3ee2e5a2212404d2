"""Runs with a judge, compared: its repeats are a part of what is uncertain."""

import numpy as np
import pytest

from evalkit.comparison.compare import compare
from evalkit.judges.judgement import Judgement, JudgeRecord
from evalkit.judges.rubric import load_rubric
from evalkit.scores.frame import ItemScores, ScoreFrame
from evalkit.scores.run import ScoredRun, read_run
from evalkit.stats.components import answer_components
from evalkit.stats.seeds import fixed_items_interval
from tests.support.runs import write_scores

METRIC = "judge:overall"


def judged(root, name, scores, *, floored=()):
    """A run whose judge gave these ``(n, repeats)`` scores, NaN where an answer has none."""
    rubric = load_rubric("judge")
    rows, judgements = [], []
    for number, answers in enumerate(scores):
        item = f"item{number:02}"
        known = answers[~np.isnan(answers)]
        value = 0.0 if number in floored else float(known.mean()) if len(known) else None
        rows.append(
            ItemScores(
                item_id=item, group=item, seed=0, edit_type=None, status="failed" if number in floored else "ok",
                values={METRIC: value}, reasons={} if value is not None else {METRIC: "judge_unreadable"},
            )
        )  # fmt: skip
        for repeat, score in enumerate(answers if number not in floored else ()):
            read = None if np.isnan(score) else dict.fromkeys(rubric.scores, float(score))
            judgements.append(
                Judgement(item_id=item, seed=0, rubric="judge", repeat=repeat, scores=read, text="x", model="m",
                          reason=None if read else "judge_unreadable")
            )  # fmt: skip
    record = read_run(write_scores(root / name, {METRIC: [0.0]})).record
    judge = JudgeRecord(
        judge="http/m", asked={}, image="64-png", rubric=rubric, repeats=scores.shape[1], models=["m"],
        forms=["schema"],
        n_answers=scores.size, n_asked=scores.size, currency="USD",
    )  # fmt: skip
    record = record.model_copy(update={"judges": {"judge": judge}})
    return ScoredRun(record=record, table=ScoreFrame.from_rows(rows, (METRIC,)), judgements=tuple(judgements))


def draws(shift=0.0, *, n=12, repeats=3, noise=1.0, seed=0):
    """Scores with a spread between items and one between answers."""
    random = np.random.default_rng(seed)
    items = np.random.default_rng(99).normal(5, 1, size=(n, 1))
    return items + shift + noise * random.normal(size=(n, repeats))


def test_repeats_of_a_judge_count_as_seeds_do(tmp_path):
    """The interval over new answers is that of the answers themselves; the difference is that of the items' means."""
    a, b = draws(seed=1), draws(0.5, seed=2)
    (pair,) = compare([judged(tmp_path, "a", a), judged(tmp_path, "b", b)]).pairs
    assert pair.n_seeds == 3
    assert pair.difference == pytest.approx(float((b.mean(axis=1) - a.mean(axis=1)).mean()), abs=1e-5)
    expected = fixed_items_interval(a, b, widest=(pair.ci_high - pair.ci_low) / 2, crossed=False)
    assert expected.low is not None
    assert (pair.new_seeds.low, pair.new_seeds.high) == pytest.approx((expected.low, expected.high), abs=1e-5)
    assert ", 3 answers of the judge to each)" in pair.sentence
    assert "on these very edits with new answers of the judge [" in pair.sentence
    assert "seeds" not in pair.sentence


def test_the_interval_over_items_holds_the_judges_own_variance(tmp_path):
    """It widens with the noise of single answers, and narrows with more of them."""
    widths = []
    for noise, repeats in ((0.1, 3), (2.0, 3), (2.0, 27)):
        a, b = (draws(noise=noise, repeats=repeats, seed=seed) for seed in (1, 2))
        root = tmp_path / f"{noise}-{repeats}"
        (pair,) = compare([judged(root, "a", a), judged(root, "b", b)]).pairs
        widths.append(pair.ci_high - pair.ci_low)
    assert widths[0] < widths[2] < widths[1]


def test_answers_without_a_score_and_failed_edits_take_part_as_the_table_has_them(tmp_path):
    """An item's mean is over the answers that it has; one without any is left out; a failed edit is given its score."""
    a, b = draws(seed=1), draws(seed=2)
    a[0, 1] = b[1] = np.nan
    run_b = judged(tmp_path, "b", b, floored=(2,))
    pair = next(pair for pair in compare([judged(tmp_path, "a", a), run_b]).pairs if pair.metric == METRIC)
    means = np.where(np.arange(12) == 2, 0.0, [np.nanmean(row) if not np.isnan(row).all() else np.nan for row in b])
    differences = means - np.nanmean(a, axis=1)
    assert pair.n_items == 11
    assert pair.difference == pytest.approx(float(np.nanmean(differences)), abs=1e-5)


def test_where_the_spread_of_answers_comes_from_is_one_line(tmp_path):
    """Items, what methods do to them, and repeats, of the edits that did not fail, in text and in the record."""
    a, b = draws(seed=1), draws(0.5, noise=2.0, seed=2)
    found = compare([judged(tmp_path, "a", a), judged(tmp_path, "b", b, floored=(2,))])
    expected = answer_components([np.delete(a, 2, axis=0), np.delete(b, 2, axis=0)])
    metric = next(metric for metric in found.metrics if metric.name == METRIC)
    assert metric.components.shares == pytest.approx(expected.shares)
    (line,) = [note for note in found.notes if "of the variance of single answers" in note]
    assert line.startswith(f"{METRIC}: ")
    assert f"{100 * expected.shares[2]:.0f} % is between the judge's repeats; 3 of these" in line
    assert f"narrow its interval by at most about {100 * expected.narrowing:.0f} %" in line
    assert found.to_dict()["components"][METRIC]["repeats"] == pytest.approx(expected.repeats)


def test_one_answer_each_is_as_any_metric(tmp_path):
    """Nothing is said of new answers."""
    (pair,) = compare(
        [judged(tmp_path, "a", draws(repeats=1, seed=1)), judged(tmp_path, "b", draws(repeats=1, seed=2))]
    ).pairs
    assert (pair.n_seeds, pair.new_seeds) == (1, None)
    assert "answers" not in pair.sentence


def test_nothing_is_said_of_answers_that_were_not_repeated(tmp_path):
    """There is no line of components then."""
    found = compare([judged(tmp_path, "a", draws(repeats=1, seed=1)), judged(tmp_path, "b", draws(repeats=1, seed=2))])
    assert not [note for note in found.notes if "single answers" in note]
    assert "components" not in found.to_dict()
