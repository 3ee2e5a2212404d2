"""Votes compared from a file: what is found, said and exported follows from the same decisions."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evalkit.comparison.statements.terms import Inference
from evalkit.comparison.votes.compare import compare_votes
from evalkit.comparison.votes.shown import shown_in_full
from evalkit.comparison.votes.statements import key_sentences, methods_section, notes_of, sentence_of
from evalkit.errors import DataError, OptionError
from evalkit.report.page.votes import render_votes_page
from evalkit.votes.records import Vote, write_votes
from tests.support.votes import simulated_votes

ABILITIES = {"ours": 1.5, "theirs": 0.0, "twin": 0.0}


def written(tmp_path, votes, name="votes.jsonl"):
    """The votes as a file."""
    write_votes(tmp_path / name, votes)
    return tmp_path / name


@pytest.fixture
def path(tmp_path):
    """A study in which one method is better than two that are equal."""
    return written(tmp_path, simulated_votes(ABILITIES))


def test_what_is_found_of_a_study(path):
    """The better one is found, the twins are not told apart, and what the votes are is counted."""
    found = compare_votes(path)
    (criterion,) = found.criteria
    assert (criterion.name, criterion.primary) == ("preference", True)
    assert (criterion.n_votes, criterion.n_items, criterion.n_groups, criterion.n_raters) == (320, 40, 20, 8)
    assert next((row.method, row.rank_low, row.rank_high) for row in found.ranking) == ("ours", 1, 1)
    assert [*map(set, criterion.result.ranking.cliques)] == [{"theirs", "twin"}]
    assert sum(share * n for share, n in criterion.won.values()) == pytest.approx(320)
    assert repr(found) == "<VoteComparison: On preference: ours is best.>"


def test_several_files_are_one_study(tmp_path, path):
    """Two halves of the votes say what all of them say."""
    votes = simulated_votes(ABILITIES)
    halves = [written(tmp_path, votes[start::2], f"{start}.jsonl") for start in (0, 1)]
    whole, joined = compare_votes(path), compare_votes(*halves)
    assert [pair.difference for pair in joined.pairs] == pytest.approx([pair.difference for pair in whole.pairs])
    assert [pair.p_value for pair in joined.pairs] == pytest.approx([pair.p_value for pair in whole.pairs])


def test_a_file_that_is_given_twice_counts_once(path):
    """Every vote comes again, which is noted, and changes no number."""
    once, twice = compare_votes(path), compare_votes(path, path)
    assert twice.pairs == once.pairs
    assert twice.criteria[0].n_votes == once.criteria[0].n_votes
    assert "320 votes left out that came again from the same rater: each counts once" in twice.notes


def test_checks_rank_nobody(tmp_path):
    """Attention checks say who looks, and change no ability."""
    votes = simulated_votes(ABILITIES)
    checks = [
        Vote(item_id=f"check-{n}", a="ours", b="grey", winner="a" if n else "b", expected="a", rater="r0")
        for n in range(3)
    ]
    found = compare_votes(written(tmp_path, [*votes, *checks]))
    assert {row.method for row in found.ranking} == {*ABILITIES}
    first = found.raters[0]
    assert (first.name, first.n_checks, first.n_failed_checks) == ("r0", 3, 1)
    assert "failed attention checks: r0 1 of 3" in list(notes_of(found))


def test_both_bad_on_a_check_is_neither_passed_nor_failed(tmp_path):
    """It prefers no control: whoever always says so has failed nothing, has passed nothing, and is named."""
    winners = {"r0": ["both_bad"] * 3, "r1": ["both_bad", "tie", "a"], "r2": ["a"] * 3}
    checks = [
        Vote(item_id=f"check-{n}", a="reference", b="identity", winner=winner, expected="a", rater=rater)
        for rater, answers in winners.items()
        for n, winner in enumerate(answers)
    ]
    found = compare_votes(written(tmp_path, [*simulated_votes(ABILITIES), *checks]))
    counted = {each.name: (each.n_checks, each.n_failed_checks, each.n_open_checks) for each in found.raters}
    assert [counted[name] for name in winners] == [(3, 0, 3), (3, 1, 1), (3, 0, 0)]
    notes = list(notes_of(found))
    assert "failed attention checks: r1 1 of 2" in notes
    assert 'attention checks answered "both bad", neither passed nor failed: r0 3 of 3, r1 1 of 3' in notes
    table = next(table for table in shown_in_full(found).tables if table.title.startswith("Raters"))
    at = table.header.index("checks failed")
    assert [row[at] for row in table.rows[:4]] == ["0 of 0", "1 of 2", "0 of 3", "0 of 0"]
    assert [each["n_open_checks"] for each in found.to_dict()["raters"][:3]] == [3, 1, 0]


def test_questions_are_compared_by_themselves(tmp_path):
    """Each question has its ranking; those that are not primary are exploratory."""
    votes = [
        vote.model_copy(update={"criterion": name})
        for name in ("faithful", "kept")
        for vote in simulated_votes(ABILITIES, seed=len(name))
    ]
    path = written(tmp_path, votes)
    assert [pair.n_comparisons for pair in compare_votes(path).pairs] == [6] * 6
    found = compare_votes(path, primary=["kept"])
    assert [(each.name, each.primary) for each in found.criteria] == [("faithful", False), ("kept", True)]
    assert [each.name for each in compare_votes(path, metrics=["kept"]).criteria] == ["kept"]


def test_edit_types_are_exploratory(path):
    """Every type has its own abilities, and all their pairs are one family."""
    found = compare_votes(path, by="edit_type")
    assert [*found.edit_types] == ["add", "remove", "style"]
    pairs = [pair for criteria in found.edit_types.values() for each in criteria for pair in each.result.pairs]
    assert {pair.n_comparisons for pair in pairs} == {9}
    assert found.to_dataframe()["edit_type"].tolist() == [""] * 3 + ["add"] * 3 + ["remove"] * 3 + ["style"] * 3
    assert found.to_dict()["edit_types"].keys() == found.edit_types.keys()


def test_every_surface_says_the_same(path):
    """JSON, CSV, Markdown, LaTeX, page and sentences hold the verdicts that the pairs have."""
    found = compare_votes(path, margins={"preference": 0.3})
    inference = Inference.of(found.settings)
    record = json.loads(found.to_json())
    assert [pair["verdict"] for pair in record["comparisons"]] == [pair.verdict for pair in found.pairs]
    assert record["raters"][0]["rater"] == "r0"
    assert record["votes"]["preference"]["krippendorff_alpha"]["value"] == found.criteria[0].agreement.value
    assert found.to_csv().count("\n") == 4
    page = render_votes_page(found)
    for pair in found.pairs:
        sentence = sentence_of(pair, found.criteria[0], inference)
        assert sentence.split(" → ")[1].startswith(f"{pair.winner} is better" if pair.winner else "inconclusive")
        assert f"{pair.b} − {pair.a}" in page
    assert "On preference: ours is best." in page
    assert "ours is best" in found.to_markdown()
    assert r"\begin{tabular}" in found.to_latex()
    assert "Bradley–Terry" in " ".join(methods_section(found))
    assert found.scalars()["preference/ours/rank_high"] == 1.0


def test_hostile_names_are_inert(tmp_path):
    """Whatever a method is called, the page holds it as text."""
    nasty = "<script>alert(1)</script>"
    page = render_votes_page(compare_votes(written(tmp_path, simulated_votes({nasty: 1.0, "b": 0.0}))))
    assert nasty not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"rater": None}, "nobody knows who voted"),
        ({"rater": "me"}, "all votes are of one rater: what is found holds for this rater"),
        ({"group": None}, "every item counts as its own group"),
    ],
)
def test_what_is_not_known_is_said(tmp_path, change, note):
    """Unknown raters, a single one, and unknown groups stand in the notes."""
    votes = [vote.model_copy(update=change) for vote in simulated_votes(ABILITIES)]
    assert any(each.startswith(note) for each in notes_of(compare_votes(written(tmp_path, votes))))


def test_a_method_that_wins_always_is_said_to_have_no_end(tmp_path):
    """The sentence gives the bound and no difference."""
    votes = [Vote(item_id=f"i{n}", a="best", b="other", winner="a", rater=f"r{n % 9}") for n in range(90)]
    found = compare_votes(written(tmp_path, votes))
    (pair,) = found.pairs
    sentence = sentence_of(pair, found.criteria[0], Inference.of(found.settings))
    assert sentence.startswith("other − best < −")
    assert "best won every vote" in sentence
    assert pair.winner == "best"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baseline": "our"}, "The baseline 'our' is none of the methods: expected one of ours, theirs, twin. Did you"),
        (
            {"primary": ["quality"]},
            "--primary names 'quality', on which there are no votes: expected one of preference",
        ),
        ({"margins": {"preference": 0.0}}, "A margin must be a positive number; got preference=0"),
        ({"test": "wilcoxon"}, "--test wilcoxon is about scores"),
        ({"correction": "maxt"}, "--correction maxt is about scores"),
    ],
)
def test_options_that_do_not_fit_votes_are_refused(path, settings, message):
    """In one sentence, with what is there."""
    with pytest.raises(OptionError, match=message):
        compare_votes(path, **settings)


def test_groups_of_a_table_stand_above_those_of_votes(path, tmp_path):
    """Four groups for forty items leave three degrees of freedom, and wider intervals."""
    rows = "\n".join(f"item-{n:02},g{n % 4}" for n in range(40))
    (tmp_path / "groups.csv").write_text(f"item_id,group\n{rows}\n")
    found, before = compare_votes(path, groups=tmp_path / "groups.csv"), compare_votes(path)
    assert found.criteria[0].n_groups == 4
    widths = [np.mean([pair.ci_high - pair.ci_low for pair in each.pairs]) for each in (found, before)]
    assert widths[0] > 1.1 * widths[1]


def test_a_group_that_some_votes_name_is_the_items(tmp_path):
    """Rows that leave it out change nothing; rows that name another are refused, unless a table decides."""
    votes = simulated_votes(ABILITIES)
    halves = [vote.model_copy(update={"group": None}) if n % 3 else vote for n, vote in enumerate(votes)]
    whole, half = (compare_votes(written(tmp_path, each)) for each in (votes, halves))
    assert half.criteria[0].n_groups == whole.criteria[0].n_groups == 20
    assert [pair.p_value for pair in half.pairs] == [pair.p_value for pair in whole.pairs]
    path = written(tmp_path, [*votes, votes[0].model_copy(update={"group": "elsewhere", "rater": "new"})])
    with pytest.raises(DataError, match=r"name two groups, '.+' and 'elsewhere'. Mend them, .*--groups FILE"):
        compare_votes(path)
    (tmp_path / "groups.csv").write_text("item_id,group\n" + "\n".join(f"item-{n:02},g{n % 4}" for n in range(40)))
    assert compare_votes(path, groups=tmp_path / "groups.csv").criteria[0].n_groups == 4


def test_what_only_one_place_won_is_said_first(tmp_path):
    """Nothing is known of edits that were chosen by where they were shown."""
    votes = [vote.model_copy(update={"first": "a", "winner": "a"}) for vote in simulated_votes(ABILITIES)]
    assert next(notes_of(compare_votes(written(tmp_path, votes)))).startswith(
        "every vote on preference that is no tie is for the edit that was shown first"
    )


def test_one_item_is_named_as_all_that_is_known(tmp_path):
    """Raters are the sample then, which the test says, and agreement beyond chance cannot be told."""
    votes = [
        Vote(item_id="only", a="x", b="y", winner="b" if n % 3 else "a", first="ab"[n % 2], rater=f"r{n}")
        for n in range(40)
    ]
    found = compare_votes(written(tmp_path, votes))
    assert "; t over raters p = " in sentence_of(found.pairs[0], found.criteria[0], Inference.of(found.settings))
    notes = [*notes_of(found)]
    assert "raters' agreement on preference is not known: only one unit was rated by several" in notes
    assert "all votes are on one item: what is found holds for it, whatever others would show" in notes
    assert "robust to raters (a cluster jackknife)" in methods_section(found)[1]


def test_raters_of_several_questions_are_counted_together(tmp_path):
    """Two answered one question and two others the other: four."""
    votes = [
        vote.model_copy(update={"criterion": name, "rater": f"{name}-{n % 2}", "seed": n})
        for n, vote in enumerate(simulated_votes(ABILITIES)[:80])
        for name in ("follows", "keeps")
    ]
    found = compare_votes(written(tmp_path, votes))
    assert found.n_raters == 4
    assert "160 votes on" in methods_section(found)[0]
    assert methods_section(found)[0].endswith("by 4 raters.")


def test_what_votes_do_not_connect_is_no_inconclusive_comparison(tmp_path):
    """It is counted by itself, and the best is so of those that are ranked."""
    islands = [vote for n in range(90) for vote in _island(n)]
    said = next(key_sentences(compare_votes(written(tmp_path, islands))))
    assert said == (
        "On preference: a is best of the 3 that are ranked. Of 10 comparisons, 3 show a difference, 0 show "
        "equivalence, 0 are inconclusive, and 7 cannot be made."
    )


def _island(number):
    """Votes on an item between a, b and c, and between d and e."""
    for better, worse, every in (("a", "b", 4), ("b", "c", 4), ("d", "e", 4)):
        winner = "b" if number % every == 0 else "a"
        yield Vote(item_id=f"i{number}", a=better, b=worse, winner=winner, rater=f"r{number % 9}")


def test_many_notes_and_pairs_fit_the_full_form(path):
    """What is printed in full holds the short form's tables first."""
    found = compare_votes(path)
    titles = [table.title.split("\n")[0] for table in shown_in_full(found).tables]
    assert titles[0].startswith("Abilities in log-odds with pointwise 95 % intervals")
    assert [title.split(":")[0] for title in titles[1:]] == ["Comparisons on preference in log-odds", "Raters"]
    assert str(replace(found, notes=("a note",))).rstrip().endswith("a note")


def test_raters_who_answer_as_one_are_named_on_every_surface(tmp_path):
    """A person who votes under two names: in the notes, the table of raters, the page and the record."""
    votes = [vote for seed in range(4) for vote in _crossed(seed)]
    copies = [vote.model_copy(update={"rater": "again"}) for vote in votes if vote.rater == "r2"]
    found = compare_votes(written(tmp_path, [*votes, *copies]))
    (note,) = [note for note in notes_of(found) if note.startswith("the same answers")]
    assert "(corrected): again and r2, 80 of 80 where " in note
    assert note in found.to_dict()["settings"]["notes"]
    assert note[30:60] in render_votes_page(found)
    copied = found.to_dict()["copied_answers"]
    assert (copied["n_pairs"], copied["n_tested"]) == (21, 21)
    (flagged,) = copied["flagged"]
    assert (flagged["raters"], flagged["n_shared"], flagged["n_same"]) == (["again", "r2"], 80, 80)
    assert flagged["p_value"] < 0.001
    raters = shown_in_full(found).tables[-1]
    assert {row[0]: row[-1] for row in raters.rows if row[-1]} == {"again": "as r2", "r2": "as again"}
    assert not any("the same answers" in note for note in notes_of(compare_votes(written(tmp_path, votes))))


def _crossed(seed):
    """Six raters who all vote on the same 20 edits of two methods, and mostly see what is there."""
    rng = np.random.default_rng(seed)
    for item, better in enumerate(rng.choice(["a", "b"], 20)):
        for rater in range(6):
            winner = better if rng.random() < 0.6 else rng.choice(["a", "b", "tie"])
            yield Vote(item_id=f"{seed}-{item}", a="ours", b="theirs", winner=winner, rater=f"r{rater}")


def test_where_too_little_is_shared_nothing_is_said_of_copies(tmp_path):
    """That it cannot be known is said, if there are two raters; of one, or of unknown ones, nothing."""
    said = "whether answers were copied cannot be said of any two raters: that takes 10 votes of both on the same"
    few = simulated_votes({"ours": 1.0, "theirs": 0.0}, n_raters=3)
    found = compare_votes(written(tmp_path, few))
    assert any(note.startswith(said) for note in notes_of(found))
    assert found.to_dict()["copied_answers"] == {"n_pairs": 3, "n_tested": 0, "flagged": []}
    for votes in (few[:40], [vote.model_copy(update={"rater": None}) for vote in few]):
        alone = compare_votes(written(tmp_path, votes))
        assert not any(note.startswith("whether answers were copied") for note in notes_of(alone))
        assert alone.to_dict()["copied_answers"] is None
