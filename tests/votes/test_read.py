"""Votes are read from our file and from those of others; what is no vote is named by its row."""

import json

import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import DataError, OptionError
from evalkit.votes.columns import VoteColumns, names_votes
from evalkit.votes.read import holds_votes, read_study_votes, read_votes
from evalkit.votes.records import Vote, write_votes

NAMES = st.sampled_from(["dog", "Hündin 2", "a", "犬"])


@settings(max_examples=30, deadline=None)
@given(
    votes=st.lists(
        st.builds(
            Vote,
            item_id=NAMES,
            a=st.sampled_from(["b", "ours"]),
            b=st.sampled_from(["a", "theirs"]),
            winner=st.sampled_from(["a", "b", "tie", "both_bad"]),
            rater=st.none() | NAMES,
            group=st.none() | NAMES,
            edit_type=st.none() | NAMES,
            criterion=st.none() | NAMES,
            first=st.sampled_from([None, "a", "b"]),
            seed=st.none() | st.integers(0, 99),
            seconds=st.none() | st.floats(0, 1e6),
            timestamp=st.none() | st.just("2026-11-30T06:28:16Z"),
            expected=st.sampled_from([None, "a", "tie"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read(tmp_path_factory, votes):
    """Every field of every vote comes back, and nothing is said of how the file was read."""
    path = tmp_path_factory.mktemp("votes") / "votes.jsonl"
    write_votes(path, votes)
    table = read_votes(path)
    assert [vote.model_dump() for vote in table.votes] == [vote.model_dump() for vote in votes]
    assert table.notes == ()


EXPECTED = [("p0", "x", "y", "a"), ("p1", "y", "z", "b"), ("p2", "x", "z", "tie"), ("p3", "x", "y", "both_bad")]
SHAPES = {
    "chatbot_arena.json": [
        {"question_id": i, "model_a": a, "model_b": b, "winner": w, "judge": "arena_user_1", "turn": 1}
        for (i, a, b, _), w in zip(EXPECTED, ["model_a", "model_b", "tie", "tie (bothbad)"], strict=True)
    ],
    "genai_arena.jsonl": [
        {"question_id": i, "left_model": a, "right_model": b, "vote_type": w}
        for (i, a, b, _), w in zip(EXPECTED, ["leftvote", "rightvote", "tievote", "bothbad_vote"], strict=True)
    ],
    "genai_bench.csv": [
        {"item_id": i, "left": a, "right": b, "vote": w}
        for (i, a, b, _), w in zip(EXPECTED, ["A>B", "[[B>A]]", "A=B=Good", "A=B=Bad"], strict=True)
    ],
    "names.parquet": [
        {"image": i, "method_1": a, "method_2": b, "preferred": w, "annotator": "ann"}
        for (i, a, b, _), w in zip(EXPECTED, ["x", "z", "same", "neither"], strict=True)
    ],
    "kaggle_arena.csv": [
        {
            "id": i,
            "model_a": a,
            "model_b": b,
            "prompt": "…",
            "winner_model_a": w == "a",
            "winner_model_b": w == "b",
            "winner_tie": int(w in ("tie", "both_bad")),
        }
        for i, a, b, w in EXPECTED
    ],
    "numbered.jsonl": [
        {"id": i, "model_1": a, "model_2": b, "choice": {"a": 1, "b": "2", "both_bad": "neither"}.get(w, w)}
        for i, a, b, w in EXPECTED
    ],
    "geditbench_v2.jsonl": [
        {"key": f"{i}_pair_{a}_vs_{b}", "results": {"winner": w, "raw": "…"}}
        for (i, a, b, _), w in zip(EXPECTED, ["Image A", "Image B", "Tie", "tie (both bad)"], strict=True)
    ],
}


def write(path, records):
    """A table in the format that the file's name asks for."""
    frame = pandas.DataFrame(records)
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path)
        case ".json":
            path.write_text(json.dumps(records))
        case _:
            path.write_text("\n".join(map(json.dumps, records)))


@pytest.mark.parametrize("name", SHAPES)
def test_well_known_shapes_are_recognised(tmp_path, name):
    """Arenas, benches, one column for each outcome, numbers of headings and the methods' names say the same votes."""
    write(tmp_path / name, SHAPES[name])
    assert holds_votes(tmp_path / name)
    table = read_votes(tmp_path / name)
    found = [(vote.item_id, vote.a, vote.b, vote.winner) for vote in table.votes]
    only_ties = name == "kaggle_arena.csv"  # which has no column of those that are both bad
    assert found == [(*of, "tie" if only_ties and winner == "both_bad" else winner) for *of, winner in EXPECTED]
    assert table.notes[0].startswith(f"{name} was read by its columns: ")
    shown_left = name.startswith("genai") or name.startswith("geditbench")
    assert {vote.first for vote in table.votes} == {"a" if shown_left else None}


def test_a_row_without_a_winner_is_counted(tmp_path):
    """A judge's answer that could not be read is no tie, and does not vanish without a word."""
    write(tmp_path / "v.jsonl", [{"key": "p_pair_x_vs_y", "result": {"winner": w}} for w in ("Image A", None, "")])
    table = read_votes(tmp_path / "v.jsonl")
    assert len(table.votes) == 1
    assert table.notes[-1] == "v.jsonl: 2 rows without a winner left out (line 2, line 3)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["p9", "x", "x", "a"], "line 3: a vote is between two methods, and both are 'x'"),
        (["", "x", "y", "a"], "line 3: the column 'item_id' is empty"),
        (["p9", "", "y", "a"], "line 3: the column 'a' is empty"),
        (["p9", "x", "y", "a", "-3"], "line 3: seconds: Input should be greater than or equal to 0"),
    ],
)
def test_what_is_no_vote_is_named_by_its_row(tmp_path, row, message):
    """One sentence says which row, and what is wrong with it."""
    good = ["p0", "x", "y", "a", "1.5"]
    row += [""] * (5 - len(row))
    (tmp_path / "v.csv").write_text("\n".join(map(",".join, [["item_id", "a", "b", "winner", "seconds"], good, row])))
    with pytest.raises(DataError, match=message):
        read_votes(tmp_path / "v.csv")


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ("1 2 2 0", r"'2' \(2 rows\), '1' \(1 row\), '0' \(1 row\), first in line 2"),
        ("1 -1 0 x", r"'1' \(1 row\), '-1' \(1 row\), '0' \(1 row\), first in line 2"),
        ("x perhaps", r"'perhaps' \(1 row\), first in line 3"),
    ],
)
def test_words_that_are_no_winner_are_counted_once_for_the_file(tmp_path, codes, said):
    """What is understood stands beside them, and how another column is named; no number is guessed."""
    rows = [f"p{n},x,y,{code}" for n, code in enumerate(codes.split())]
    (tmp_path / "v.csv").write_text("\n".join(["item,left,right,choice", *rows]))
    message = rf"v\.csv: expected in its column 'choice' .* A>B, .*; got {said}\. .* --map winner=HEADING"
    with pytest.raises(DataError, match=message):
        read_votes(tmp_path / "v.csv")


@pytest.mark.parametrize(
    ("marks", "got"),
    [("1,1,0", "1, 1 and 0"), ("0,0,0", "0, 0 and 0"), ("1,,0", "1, nothing and 0"), ("2,0,0", "2, 0 and 0")],
)
def test_a_row_whose_outcomes_are_not_one_is_refused(tmp_path, marks, got):
    """Where a column for each outcome holds a 1 or a 0, one of a row must hold a 1; a row without any is no vote."""
    head = "id,model_a,model_b,winner_model_a,winner_model_b,winner_tie"
    (tmp_path / "v.csv").write_text(f"{head}\n0,x,y,0,1,0\n1,x,y,,,\n")
    assert [vote.winner for vote in read_votes(tmp_path / "v.csv").votes] == ["b"]
    (tmp_path / "v.csv").write_text(f"{head}\n0,x,y,0,1,0\n1,x,y,{marks}\n")
    with pytest.raises(
        DataError, match=f"line 3: expected a 1 in one of the columns winner_model_a, .*got {got}. Mend"
    ):
        read_votes(tmp_path / "v.csv")


def test_columns_of_outcomes_can_be_named(tmp_path):
    """Under whatever headings; the second is asked for where only the first is named."""
    (tmp_path / "v.csv").write_text("id,left,right,choice,L,R\n0,x,y,whatever,0,1\n")
    named = ["winner_a=L", "winner_b=R"]
    assert [vote.winner for vote in read_votes(tmp_path / "v.csv", VoteColumns.of(named)).votes] == ["b"]
    with pytest.raises(DataError, match="--map winner_b=HEADING"):
        read_votes(tmp_path / "v.csv", VoteColumns.of(named[:1]))


def test_a_vote_that_comes_again_counts_once(tmp_path):
    """In one file or several, and it is said; another time makes another vote, and who is not known repeats nobody."""
    vote = Vote(item_id="i", a="x", b="y", winner="a", rater="r", seconds=2.0)
    turned = vote.model_copy(update={"a": "y", "b": "x", "winner": "b", "seconds": None})
    others = [
        vote.model_copy(update=other)
        for other in ({"seconds": 3.0}, {"repeat": 1}, {"winner": "tie"}, {"rater": None}, {"rater": None})
    ]
    write_votes(tmp_path / "a.jsonl", [vote, vote, *others])
    write_votes(tmp_path / "b.jsonl", [turned])
    table = read_study_votes([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert table.votes == (vote, *others)
    assert table.notes == ("2 votes left out that came again from the same rater: each counts once",)


def test_a_timestamp_tells_votes_apart(tmp_path):
    """In tables that have one; the same line once more is the same vote."""
    rows = ["p0,x,y,x,r,10:00", "p0,x,y,x,r,10:05", "p0,x,y,x,r,10:00"]
    (tmp_path / "v.csv").write_text("\n".join(["item,left,right,choice,rater,timestamp", *rows]))
    assert [vote.timestamp for vote in read_study_votes([tmp_path / "v.csv"]).votes] == ["10:00", "10:05"]


def test_columns_of_any_name_can_be_named(tmp_path):
    """What nobody could guess is asked for, part by part, and then read."""
    (tmp_path / "v.csv").write_text("bild;erste;zweite;urteil;wer\np0;x;y;x;r1\n")
    with pytest.raises(DataError, match=r"which column of .* holds the items: .* --map item=HEADING"):
        read_votes(tmp_path / "v.csv")
    named = VoteColumns.of(["item=bild", "a=erste", "b=zweite", "winner=urteil", "rater=wer"])
    (vote,) = read_votes(tmp_path / "v.csv", named).votes
    assert (vote.item_id, vote.winner, vote.rater) == ("p0", "a", "r1")
    with pytest.raises(DataError, match="has no column 'Urteil'"):
        read_votes(tmp_path / "v.csv", VoteColumns.of(["winner=Urteil"]))


@pytest.mark.parametrize("given", [["winners=x"], ["winner"], ["a=x", "a=y"]])
def test_a_part_that_is_none_is_refused(given):
    """The message lists the parts."""
    with pytest.raises(OptionError, match=r"PART=HEADING, each part once, with PART one of item, a, b, winner"):
        VoteColumns.of(given)


def test_scores_are_no_votes(tmp_path):
    """A table of scores, a file that is none and a folder hold no votes."""
    (tmp_path / "s.csv").write_text("item_id,method,best\np0,x,0.5\n")
    (tmp_path / "s.parquet").write_bytes(b"PAR1")
    (tmp_path / "s.json").write_text('{"winner":')
    assert not any(map(holds_votes, [*tmp_path.iterdir(), tmp_path, tmp_path / "absent.csv"]))
    assert names_votes(["Item", "Left", "Right", "Winner"])
