"""What is said of pairs, ranks and methods, kind by kind; `test_statements_audit` holds it together."""

from dataclasses import replace

import numpy as np
import pytest

from evalkit.comparison.compare import compare
from evalkit.comparison.statements import boards
from evalkit.comparison.statements.captions import means_caption, pairs_caption
from evalkit.comparison.statements.methods import methods_section
from evalkit.comparison.statements.pairs import sentence_of, verdict_words
from evalkit.comparison.statements.rankings import headline, key_sentences
from evalkit.comparison.statements.terms import Inference
from evalkit.comparison.tables.text import (
    NOTES_SHOWN,
    PAIRS_SHOWN,
    bound_notes,
    comparison_notes,
    means_table,
    omitted_pairs,
    pairs_table,
    pairs_tables,
    shown_notes,
)
from evalkit.stats.records import CompleteCases
from tests.support.runs import write_scores


def written(tmp_path, scores, *, groups=None, metric="score"):
    """A table of methods' scores, None where there is none: method to values, or to lists of a value per seed."""
    path = tmp_path / "table.csv"
    lines = [f"item,method,seed,{'' if groups is None else 'group,'}{metric}"]
    for method, values in scores.items():
        for item, cells in enumerate(values):
            for seed, value in enumerate(cells if isinstance(cells, list) else [cells]):
                if value is not None:
                    group = "" if groups is None else f"{groups[item]},"
                    lines.append(f'i{item},"{method}",{seed},{group}{value}')
    path.write_text("\n".join(lines))
    return path


def normal(n, mean=0.0, seed=0):
    """Normal numbers, with six decimals."""
    return np.random.default_rng(seed).normal(mean, 1, n).round(6).tolist()


def said(comparison, number=0):
    """A pair's sentence as it is made anew from its record."""
    pair = comparison.pairs[number]
    metric = next(metric for metric in comparison.metrics if metric.name == pair.metric)
    assert pair.sentence == sentence_of(pair, metric, Inference.of(comparison.settings))
    return pair.sentence


def test_ranks_are_not_means(tmp_path):
    """A wins 26 of 30 items and four large wins of B make its mean larger: Wilcoxon's sentence is about ranks."""
    base = normal(30)
    b = [x + 20 if n < 4 else x - 1 - n / 100 for n, x in enumerate(base)]
    comparison = compare([written(tmp_path, {"A": base, "B": b})], test="wilcoxon")
    (pair,) = comparison.pairs
    assert (pair.difference > 0, pair.rank_biserial.value < 0) == (True, True)
    assert said(comparison).startswith("B over A on score: rank-biserial correlation −0.")
    assert "B − A" not in pair.sentence
    assert "true difference" not in pair.sentence
    if pair.winner is None:
        assert "p does not exceed α, but the interval includes 0" in pair.sentence
    else:
        assert pair.sentence.endswith("→ A is better in ranks; no difference of means follows")
    text = " ".join([*methods_section(comparison), *comparison_notes(comparison), means_caption(comparison, "X", "Y")])
    assert "No statement about means follows from these tests." in text
    assert "by decisions on ranks of the items' differences and not on means" in text
    assert "MDE" not in pairs_caption(comparison)


def test_a_design_that_cannot_decide_says_what_it_takes(tmp_path):
    """Six items and five methods: Holm's smallest p is 0.31, nine items would do, nobody is best, no MDE."""
    scores = {name: normal(6, 100 * n, n) for n, name in enumerate("ABCDE")}
    comparison = compare([written(tmp_path, scores)])
    assert said(comparison).endswith(
        "inconclusive: no difference is shown; cannot reach α = 0.05: with 6 items and 10 comparisons the smallest "
        "corrected p is 0.31; 9 items would do"
    )
    assert "would be found" not in said(comparison)
    assert verdict_words(comparison.pairs[0]) == "inconclusive, 9 groups needed at least"
    assert "no method is shown to be the best" in headline(comparison, comparison.metrics[0])
    assert "0 show a difference" in headline(comparison, comparison.metrics[0])
    assert {(row.rank_low, row.rank_high) for row in comparison.ranking} == {(1, 5)}


def test_no_number_of_items_is_planned_for_what_was_observed(tmp_path):
    """Without a margin there is none; with one it is the number for the margin, in whole groups."""
    table = written(tmp_path, {"A": normal(40), "B": normal(40, 0.1, 1)}, groups=[n // 2 for n in range(40)])
    assert "with" not in said(compare([table])).rpartition("→")[2]
    sentence = said(compare([table], margins={"score": 0.1}))
    found = sentence.rpartition("; ")[2]
    assert found.startswith("a true difference of the margin, 0.1, would be found by four of five such studies with ")
    items, groups = (int(part.replace(",", "")) for part in (found.split()[-4], found.split("(")[1].split()[0]))
    assert items == 2 * groups


@pytest.mark.parametrize(("metric", "bounded"), [("clip_score", True), ("score", False)])
def test_better_reaches_as_far_as_the_items_that_were_run(tmp_path, metric, bounded):
    """Better on the 30 common items; open on the benchmark, within bounds where the metric has a range."""
    a = [0.5 + n / 1000 for n in range(60)]
    b = [x + 0.1 + n / 2000 if n < 30 else None for n, x in enumerate(a)]
    comparison = compare([written(tmp_path, {"A": a, "B": b}, metric=metric)])
    end = said(comparison).rpartition("→ ")[2]
    assert "30 of 60 items" in said(comparison)
    assert end.startswith("B is better on the 30 common items; open on the benchmark")
    assert ("between −" in end, "no known range" in end) == (bounded, not bounded)
    assert verdict_words(comparison.pairs[0]) == "B better on 30 common items, open on the benchmark"


def test_the_number_said_is_that_compared(tmp_path):
    """Undefined values leave 8 of 20 items; groups that nobody knows are not said to share a source image."""
    a = [0.3 + n / 1000 for n in range(20)]
    runs = [
        write_scores(tmp_path / "A", {"clip_score": a}),
        write_scores(tmp_path / "B", {"clip_score": [x + 0.2 + n / 999 if n < 8 else None for n, x in enumerate(a)]}),
    ]
    comparison = compare(runs)
    assert "8 of 20 items in 8 groups" in said(comparison)
    assert said(comparison).endswith("B is better on the 8 common items")
    section = " ".join(methods_section(comparison))
    assert "compared on 8 of 20 items in 8 groups" in section
    assert "Every item has an edited image" not in section
    table = compare([written(tmp_path, {"A": a, "B": [x + 0.1 for x in a]})])
    assert "20 items, each its own group" in said(table)
    assert "It is not known which items share a source image" in " ".join(methods_section(table))


def test_seeds_are_said_to_be_paired_and_what_they_share(tmp_path):
    """The interval for new seeds on these items, and whether the same seeds were used."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 1, (30, 6))
    a = (rng.normal(0, 1, (30, 1)) + noise).round(6).tolist()
    b = (np.array(a) + 0.3 + rng.normal(0, 0.2, (30, 6))).round(6).tolist()
    sentence = said(compare([written(tmp_path, {"A": a, "B": b})]))
    assert "30 items, each its own group, 6 seeds" in sentence
    assert "; on these very items with new seeds [" in sentence
    assert "], seeds paired; " in sentence


def test_equivalence_and_difference_do_not_contradict(tmp_path):
    """A difference beyond chance inside the margin is both; skew is cautioned against; nothing without a margin."""
    table = written(tmp_path, {"A": normal(200), "B": [x + 0.1 + n / 1e5 for n, x in enumerate(normal(200))]})
    both = compare([table], margins={"score": 0.5})
    assert said(both).endswith("→ different, by less than the margin of 0.5")
    assert verdict_words(both.pairs[0]) == "different, by less than the margin"
    assert "A and B differ, by less than the margin" in headline(both, both.metrics[0])
    assert "equivalen" not in said(compare([table]))
    skewed = replace(both.pairs[0], skewness_ratio=0.5)
    words = sentence_of(skewed, both.metrics[0], Inference.of(both.settings))
    assert "by a test that errs more often than α = 0.05 on differences so skewed" in words
    tied = compare([written(tmp_path, {"A": [1, 1, 1], "B": [1, 1, 1]})])
    assert tied.pairs[0].verdict == "inconclusive"
    assert "of which none differ" in said(tied)


def test_failed_edits_are_said_beside_the_complete_cases(tmp_path):
    """How many items an edit failed on, and what those show that both edited."""
    comparison = compare([written(tmp_path, {"A": normal(30), "B": normal(30, 0.5, 1)})])
    complete = CompleteCases(n_items=28, difference=0.02, ci_low=-0.01, ci_high=0.05, p_value=0.1)
    pair = replace(comparison.pairs[0], n_failed=2, complete_cases=complete)
    words = sentence_of(pair, comparison.metrics[0], Inference.of(comparison.settings))
    assert "; on 2 items an edit failed and was given a score; on the 28 that both edited +0.0200 [−0.0100, +" in words
    of_ranks = Inference.of({**comparison.settings, "test": "wilcoxon"})
    assert "that both edited" not in sentence_of(pair, comparison.metrics[0], of_ranks)  # a difference of means


def test_a_name_is_one_line_and_stays_distinct(tmp_path):
    """Line breaks in names are blanks everywhere; two names that become the same are numbered."""
    scores = {"two\nlines": normal(12), "two lines": normal(12, 1, 1), "x": normal(12, 2, 2)}
    comparison = compare([written(tmp_path, scores)])
    names = [method.name for method in comparison.methods]
    assert len(set(names)) == 3
    for text in (*names, *(pair.sentence for pair in comparison.pairs), *comparison.notes):
        assert "\n" not in text


def test_what_holds_of_rank_sets_follows_from_the_correction(tmp_path):
    """Holm's sets hold at once; those of a false discovery rate need not, and it is said which is which."""
    scores = {name: normal(12, n, n) for n, name in enumerate("ABC")}
    notes = {
        correction: " ".join(comparison_notes(compare([written(tmp_path, scores)], correction=correction)))
        for correction in ("holm", "bh", "none")
    }
    assert "they hold at once, since the family-wise error" in notes["holm"]
    assert "false discovery rate is held, and need not hold at once" in notes["bh"]
    assert "hold one pair at a time" in notes["none"]


def test_against_a_baseline_nobody_is_called_best(tmp_path):
    """Only who is better and who is worse than the baseline was tested."""
    scores = {name: normal(30, 2 * n, n) for n, name in enumerate("ABC")}
    comparison = compare([written(tmp_path, scores)], baseline="B")
    assert headline(comparison, comparison.metrics[0]).startswith(
        "On score ↑: better than B: C; worse than B: A. Of 2 "
    )
    assert "only pairs with B were compared" in " ".join(comparison_notes(comparison))


def test_many_comparisons_fit_a_terminal(tmp_path):
    """With details a hundred rows, decided ones on primary metrics first, and where all are; without, one sentence."""
    scores = {f"m{number:02}": normal(20, number / 5, number) for number in range(16)}
    comparison = compare([written(tmp_path, scores)], n_permutations=499)
    (table,) = pairs_tables(comparison, PAIRS_SHOWN)
    assert len(table.rows) == PAIRS_SHOWN < len(pairs_table(comparison).rows) == 120
    decided = sum(pair.winner is not None for pair in comparison.pairs)
    assert sum(row[-1].endswith("better") for row in table.rows) == min(decided, PAIRS_SHOWN)
    (line,) = omitted_pairs(comparison)
    assert "100 of 120 comparisons" in line
    assert "--export csv" in line
    assert list(key_sentences(comparison)) == [headline(comparison, comparison.metrics[0])]


def test_a_fact_about_many_pairs_is_said_once_with_their_number(tmp_path):
    """Ten pairs that cannot be decided and ten without a spread are two sentences; one pair has its own."""
    scores = {name: normal(6, 100 * n, n) for n, name in enumerate("ABCDE")}
    comparison = compare([written(tmp_path, scores)])
    assert list(key_sentences(comparison)) == [
        headline(comparison, comparison.metrics[0]),
        "10 of 10 comparisons on score cannot reach α = 0.05: with 6 items and 10 comparisons the smallest corrected p "
        "is 0.31; 9 items would do.",
    ]
    flat = compare([written(tmp_path, {name: [n] * 12 for n, name in enumerate("ABC")})])
    reason = flat.pairs[0].reason
    assert f"3 of 3 comparisons on score: {reason}" in comparison_notes(flat)
    two = compare([written(tmp_path, {name: [n] * 12 for n, name in enumerate("AB")})])
    assert f"B − A on score: {reason}" in comparison_notes(two)
    assert list(key_sentences(two)) == [two.pairs[0].sentence]


def test_one_group_allows_no_interval_and_no_ranks(tmp_path):
    """Items that differ in one group are not called equal, no legend is there of ranks that nobody has."""
    comparison = compare([written(tmp_path, {"A": [0.1, 0.2, 0.3, 0.4], "B": [0.1, 0.9, 0.8, 0.4]}, groups="gggg")])
    notes = comparison_notes(comparison)

    assert "B − A on score: one group only: no spread between groups can be known" in notes
    assert [note for note in notes if "ranked" in note] == ["no method is ranked: one group only"]
    assert "ranks that the decisions allow" not in means_table(comparison).title
    assert "best mean" not in means_caption(comparison, "Bold", "italics")
    two = compare([written(tmp_path, {"A": normal(12), "B": normal(12, 9, 1)})])
    assert "ranks that the decisions allow" in means_table(two).title
    assert "best mean" in means_caption(two, "Bold", "italics")


def test_the_interval_of_equal_values_is_explained(tmp_path):
    """A mean at the end of a metric's range has the exact bound for an interval, and the notes say why."""
    spread = [x / 20 for x in range(10)]
    comparison = compare([written(tmp_path, {"A": [0.0] * 10, "B": spread}, metric="l1")])
    notes = ["[0.0000, 0.2589]: all values are equal: it is the bound that the groups allow"]

    assert list(bound_notes(comparison)) == notes
    assert shown_notes(comparison)[:1] == notes
    assert not list(bound_notes(compare([written(tmp_path, {"A": [0.0] * 10, "B": spread}, metric="score")])))


def test_a_terminal_has_the_first_notes_and_the_number_of_the_others(tmp_path):
    """One note more than are shown is shown, too."""
    comparison = compare([written(tmp_path, {name: normal(12, 0, n) for n, name in enumerate("AB")})])
    for many, shown in ((NOTES_SHOWN, NOTES_SHOWN), (NOTES_SHOWN + 1, NOTES_SHOWN + 1), (9, NOTES_SHOWN + 1)):
        notes = tuple(f"note {number}" for number in range(many))
        assert len(shown_notes(replace(comparison, notes=notes))) == shown
    assert shown_notes(replace(comparison, notes=notes))[-1] == f"… and {9 - NOTES_SHOWN} more notes: --details"


def test_a_control_that_is_not_beaten_is_named_with_the_test():
    """The reason has the difference and its uncorrected p-value, with the digits that tell it from α."""
    assert boards.not_better_than("identity", "making the edit", "clip_score", None, 0.05) == (
        "not shown to be better than the control identity at making the edit (clip_score, no p-value)"
    )
