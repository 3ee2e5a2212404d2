"""Runs with a judge: answers become scores, words are kept, nothing is asked twice, and a budget is kept to."""

import base64
import io
import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from evalkit.cli import main
from evalkit.comparison.compare import compare
from evalkit.errors import BudgetSpentError, EndpointError, OptionError
from evalkit.images.decode import decode_image, read_image
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.base import JudgeSettings
from evalkit.scores.run import read_run
from evalkit.scoring import features, units
from evalkit.scoring.score import score
from evalkit.storage import endpoint
from tests.support.judging import completes, fails, judge_server, pictures_in, words_in

N_ITEMS = 4
METRICS = ["judge:following", "judge:preservation", "judge:quality", "judge:overall"]


@pytest.fixture
def server():
    """A judge that gives 8, 6 and 9."""
    with judge_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(endpoint.time, "sleep", lambda _: None)


def folder(tmp_path, name="mine", shift=0, **texts):
    """Edits of small pictures, each of another colour."""
    root = tmp_path / name
    root.mkdir()
    lines = []
    for number in range(N_ITEMS):
        for side, colour in (("source", (10 * number, 0, 0)), ("edited", (0, 10 * number + shift, 200))):
            Image.new("RGB", (32, 32), colour).save(root / f"{side}{number}.png")
        row = {
            "file_name": f"edited{number}.png",
            "item_id": f"item{number}",
            "source_image_file_name": f"source{number}.png",
        }
        lines.append(row | (texts or {"instruction": f"Do {number}.", "target_caption": f"Done {number}."}))
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return root


def judged(path, server, target, *, model="judge-1", settings=None, metrics=None, **options):
    """A run with a judge."""
    judge = JudgeOptions(spec=server.spec(model), settings=JudgeSettings(**(settings or {})), **options)
    return score(path, target, judge=judge, metrics=metrics)


def rates(asked):
    """A judge's numbers that follow from what it is asked, with its seed."""
    digest = sum(map(ord, words_in(asked) + pictures_in(asked)[1])) + 3 * asked.get("seed", 0)
    return json.dumps({"following": digest % 11, "preservation": digest % 7, "quality": digest % 5})


def test_a_run_with_a_judge_has_its_metrics_and_all_its_words(server, tmp_path):
    """Every item is asked about once with its own pictures and text; run and file can be read again."""
    run = judged(folder(tmp_path), server, tmp_path / "run")
    assert run.record.metrics["judge:overall"].mean == pytest.approx(54**0.5)
    assert [*run.record.metrics] == METRICS
    assert sorted(words_in(asked).count("Do ") for asked in server.asked) == [1] * N_ITEMS
    assert len({tuple(pictures_in(asked)) for asked in server.asked}) == N_ITEMS
    again = read_run(tmp_path / "run")
    assert again.judgements == run.judgements
    assert len(again.judgements) == N_ITEMS
    assert again.judgements[0].text == '{"following": 8, "preservation": 6, "quality": 9}'
    record = again.record.judges["judge"]
    assert (record.models, record.forms, record.n_answers, record.input_tokens) == (
        ["judge-1-2026-11-01"],
        ["schema"],
        N_ITEMS,
        1000 * N_ITEMS,
    )


def test_the_signature_names_all_that_can_change_a_judges_number(server, tmp_path):
    """Model as the server names it, rubric, temperature, length, form and pictures; not how often it was asked."""
    path = folder(tmp_path)
    run = judged(path, server, tmp_path / "a", settings={"temperature": 0.5, "image_size": 64})
    rubric = run.record.judges["judge"].rubric.label
    signature = run.record.metrics["judge:overall"].signature
    assert signature.startswith(
        f"judge:overall|enc:judge/judge-1-2026-11-01|img:64-png|tpl:{rubric}|ask:t0.5+max1024+schema|dtype:unknown|"
    )
    more = judged(path, server, tmp_path / "b", settings={"temperature": 0.5, "image_size": 64}, repeats=2)
    assert more.record.metrics["judge:overall"].signature == signature


def test_what_was_answered_is_not_asked_again(server, tmp_path):
    """More repeats ask for the others only; another temperature or another picture is another question."""
    path = folder(tmp_path)
    judged(path, server, tmp_path / "run")
    judged(path, server, tmp_path / "run")
    assert len(server.asked) == N_ITEMS
    run = judged(path, server, tmp_path / "run", repeats=3)
    assert sorted(asked["seed"] for asked in server.asked) == sorted([*range(3)] * N_ITEMS)
    assert run.record.judges["judge"].n_asked == 2 * N_ITEMS
    judged(path, server, tmp_path / "run", settings={"temperature": 0.7})
    assert len(server.asked) == 4 * N_ITEMS
    Image.new("RGB", (32, 32), "white").save(path / "edited0.png")
    judged(path, server, tmp_path / "run")
    assert len(server.asked) == 4 * N_ITEMS + 1


def test_repeats_are_averaged_and_those_without_a_score_left_out(server, tmp_path):
    """An item's score is the mean over the answers that have one; without any there is the first reason."""
    replies = {
        "Do 0.": ["8", "6"],
        "Do 1.": ["eleven", "4"],
        "Do 2.": ["none", "none"],
        "Do 3.": ["12", "none"],
    }

    def reply(handler, asked):
        texts = next(texts for words, texts in replies.items() if words in words_in(asked))
        handler.complete(f"following: {texts[asked['seed']]}\npreservation: 1\nquality: 1")

    server.then = reply
    run = judged(folder(tmp_path), server, tmp_path / "run", repeats=2)
    rows = {row.item_id: row for row in run.table.rows}
    values = [rows[f"item{number}"].values["judge:following"] for number in range(N_ITEMS)]
    assert values == [7.0, 4.0, None, None]
    reasons = [rows[f"item{number}"].reasons.get("judge:following") for number in range(N_ITEMS)]
    assert reasons == [None, None, "judge_unreadable", "judge_off_scale"]
    (problem,) = [problem for problem in run.record.problems if problem.code == "unread_answer"]
    assert problem.message.startswith("5 answers of 8 to the rubric judge have no scores")
    assert problem.severity == "problem"
    assert {judgement.text.splitlines()[0] for judgement in run.judgements if judgement.scores is None} == {
        "following: eleven",
        "following: none",
        "following: 12",
    }


def test_answers_that_could_not_be_had_are_asked_for_again_by_the_same_command(server, tmp_path):
    """The others have their scores meanwhile, and the reason is the server's."""
    server.script = [fails(400, "No room."), *[completes('{"following": 1, "preservation": 1, "quality": 1}')] * 3]
    path = folder(tmp_path)
    run = judged(path, server, tmp_path / "run", concurrency=1)
    assert run.record.metrics["judge:overall"].n == N_ITEMS - 1
    assert run.record.metrics["judge:overall"].undefined == {"judge_failed": 1}
    (problem,) = [problem for problem in run.record.problems if problem.code == "judge_failed"]
    assert "No room." in problem.message
    again = judged(path, server, tmp_path / "run", concurrency=1)
    assert again.record.metrics["judge:overall"].n == N_ITEMS
    assert len(server.asked) == N_ITEMS + 1


def test_a_refusal_is_an_answer(server, tmp_path):
    """Undefined with the judge's words, and not asked for again."""
    server.then = completes(None, refusal="I do not judge people.")
    path = folder(tmp_path)
    run = judged(path, server, tmp_path / "run")
    assert run.record.metrics["judge:overall"].undefined == {"judge_refused": N_ITEMS}
    assert {judgement.text for judgement in run.judgements} == {"I do not judge people."}
    judged(path, server, tmp_path / "run")
    assert len(server.asked) == N_ITEMS


def test_a_wrong_key_ends_the_run(server, tmp_path):
    """With one question and how to go on; nothing is written."""
    server.then = fails(401, "Wrong key.")
    with pytest.raises(EndpointError, match=r"The judge http/judge-1 cannot be asked: .*Wrong key.*same command"):
        judged(folder(tmp_path), server, tmp_path / "run", concurrency=1)
    assert len(server.asked) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("budget", "settings", "n_asked"),
    [
        ("3answers", {}, 3),
        ("2100tokens", {}, 2),
        ("0.0025", {"price_input": 1.0}, 2),
        ("0.0025 USD", {"price_input": 1.0}, 2),
    ],
)
def test_a_budget_is_never_passed_and_says_how_to_go_on(server, tmp_path, budget, settings, n_asked):
    """Whatever it counts, with many questions at once; the same command with as much again goes on where it stopped."""
    path = folder(tmp_path)
    with pytest.raises(BudgetSpentError, match=rf"is spent: {n_asked} answers .* are kept\. Go on: the same command"):
        judged(path, server, tmp_path / "run", budget=budget, settings=settings, concurrency=8)
    assert len(server.asked) == n_asked
    run = judged(path, server, tmp_path / "run", budget=budget, settings=settings, concurrency=8)
    assert len(server.asked) == N_ITEMS
    assert run.record.metrics["judge:overall"].n == N_ITEMS


def test_a_budget_that_cannot_be_kept_is_refused(server, tmp_path):
    """A server that does not charge for itself, and no price; or an amount of nothing known."""
    with pytest.raises(OptionError, match="does not say what an answer costs in USD"):
        judged(folder(tmp_path), server, tmp_path / "run", budget="5", concurrency=1)
    with pytest.raises(OptionError, match="Budget: expected such as"):
        judged(tmp_path / "mine", server, tmp_path / "run", budget="5 apples")


def test_as_many_questions_are_in_hand_as_was_asked_for(server, tmp_path):
    """Never more, and as many as that where there are enough."""
    barrier = threading.Barrier(4, timeout=20)

    def together(handler, asked):
        barrier.wait()
        handler.complete(rates(asked))

    server.then = together
    judged(folder(tmp_path), server, tmp_path / "run", concurrency=4, repeats=2)
    assert server.most == 4


def test_items_without_instructions_are_judged_by_their_caption(server, tmp_path):
    """The rubric follows from what items have; both of ours can be asked for at once."""
    path = folder(tmp_path, target_caption="A cube.")
    run = judged(path, server, tmp_path / "run")
    assert "judge_caption:overall" in run.record.metrics
    both = judged(folder(tmp_path, "both"), server, tmp_path / "both_run", rubrics=("judge", "judge_caption"))
    assert {name.partition(":")[0] for name in both.record.metrics} == {"judge", "judge_caption"}
    assert len(both.judgements) == 2 * N_ITEMS


def test_other_metrics_of_the_run_stay_and_so_do_the_words(server, tmp_path):
    """A judge joins what was scored before, and stays when something else is scored after it."""
    path = folder(tmp_path)
    score(path, tmp_path / "run", metrics=["l1"])
    judged(path, server, tmp_path / "run")
    run = score(path, tmp_path / "run", metrics=["psnr"])
    assert set(run.record.metrics) == {"l1", "psnr", *METRICS}
    assert len(read_run(tmp_path / "run").judgements) == N_ITEMS
    named = judged(path, server, tmp_path / "new", metrics=["l1", "judge:quality"])
    assert [*named.record.metrics] == ["l1", "judge:quality"]


def test_a_judge_that_changes_in_between_is_said_and_signed(server, tmp_path):
    """A service may put another model behind a name from one day to the next."""
    server.script = [completes(rates_of(8), model="judge-2")]
    run = judged(folder(tmp_path), server, tmp_path / "run", concurrency=1)
    assert "enc:judge/judge-1-2026-11-01+judge/judge-2|" in run.record.metrics["judge:overall"].signature
    assert any(problem.code == "judge_changed" for problem in run.record.problems)


def rates_of(number):
    """The same number for all."""
    return json.dumps(dict.fromkeys(("following", "preservation", "quality"), number))


def test_a_judge_is_never_compared_with_another(server, tmp_path):
    """Runs of one judge are compared on its metrics; those of two are refused, and the field is named."""
    server.then = lambda handler, asked: handler.complete(rates(asked))
    one = judged(folder(tmp_path, "one"), server, tmp_path / "a")
    two = judged(folder(tmp_path, "two", shift=5), server, tmp_path / "b")
    found = compare([one, two])
    assert [metric.name for metric in found.metrics] == METRICS
    assert all(metric.higher_is_better for metric in found.metrics)
    server.then = lambda handler, asked: handler.complete(rates(asked), model="judge-2")
    other = judged(tmp_path / "two", server, tmp_path / "c", model="other")
    with pytest.raises(Exception, match=r"differ in enc \(encoder\).*judge-2"):
        compare([one, other])


@pytest.mark.parametrize("damage", [lambda _: b"no picture", lambda data: data[:45]])
@pytest.mark.parametrize("side", ["source", "edited"])
def test_a_picture_that_cannot_be_decoded_is_not_asked_about(server, tmp_path, side, damage):
    """It is missing, as for any metric, and named."""
    path = folder(tmp_path)
    broken = path / f"{side}1.png"
    broken.write_bytes(damage(broken.read_bytes()))
    judge = JudgeOptions(spec=server.spec())
    run = score(path, tmp_path / "run", judge=judge, missing="intersect")
    assert run.record.metrics["judge:overall"].n == N_ITEMS - 1
    assert len(server.asked) == N_ITEMS - 1
    assert broken.name in " ".join(problem.message for problem in run.record.problems)


def test_files_are_decoded_once_while_the_judge_is_waited_for(server, tmp_path, monkeypatch):
    """Whoever makes a question looks at its pictures, and what is said of them is what scoring without a judge says."""
    path, decoded = folder(tmp_path), []
    Image.new("RGBA", (32, 32), (0, 0, 255, 9)).save(path / "edited1.png")
    Image.new("RGB", (32, 32), "blue").save(path / "edited2.png", "JPEG")
    for module in (features, units):
        told = lambda data, name: decoded.append(str(name)) or decode_image(data, name)  # noqa: E731
        monkeypatch.setattr(module, "decode_image", told)
    run = judged(path, server, tmp_path / "run")
    assert sorted(decoded) == sorted(map(str, path.glob("*.png")))
    again = judged(path, server, tmp_path / "again", model="other")
    assert len(decoded) == len(set(decoded))
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "other_cache"))
    without = score(path, tmp_path / "without", metrics=["l1"])
    assert run.record.images == again.record.images == without.record.images
    assert [*run.record.problems] == [*without.record.problems]


def test_files_go_as_they_are_or_as_the_pixels_that_metrics_see(server, tmp_path):
    """A PNG that is nothing but its pixels byte for byte, one that says who made it without that, a JPEG as a PNG."""
    path = folder(tmp_path)
    told = PngInfo()
    told.add_text("Software", "A method")
    Image.new("RGB", (32, 32), "red").save(path / "edited1.png", pnginfo=told)
    Image.new("RGB", (32, 32), "blue").save(path / "edited2.png", "JPEG")
    judged(path, server, tmp_path / "run")
    for number in range(N_ITEMS):
        (asked,) = [asked for asked in server.asked if f"Do {number}." in words_in(asked)]
        files = [path / f"{side}{number}.png" for side in ("source", "edited")]
        sent = [base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in pictures_in(asked)]
        as_they_are = [data == file.read_bytes() for data, file in zip(sent, files, strict=True)]
        assert as_they_are == [True, number not in (1, 2)]
        assert b"A method" not in sent[1]
        for data, file in zip(sent, files, strict=True):
            assert np.array_equal(Image.open(io.BytesIO(data)), read_image(file))


def test_the_command_says_who_judged_and_what_it_took(server, tmp_path):
    """Answers, model and tokens below the table; options of a judge want one; a protocol has none."""
    path = str(folder(tmp_path))
    arguments = ["score", path, "--judge", server.spec(), "--output", str(tmp_path / "run"), "--judge-set"]
    done = CliRunner().invoke(main, [*arguments, "price_input=2"])
    assert done.exit_code == 0, done.output
    flat = " ".join(done.stdout.split())
    assert "judge: 4 answers of judge-1-2026-11-01, 4,200 tokens, 0.008 USD" in flat
    alone = CliRunner().invoke(main, ["score", path, "--repeats", "2"])
    assert (alone.exit_code, "--repeats goes with --judge SPEC" in alone.output) == (2, True)
    fixed = CliRunner().invoke(main, [*arguments, "temperature=0", "--protocol", "shapes/v1"])
    assert "shapes/v1 fixes the metrics: leave --judge out" in fixed.output
    listed = CliRunner().invoke(main, ["list", "rubrics", "--json"])
    assert {"judge", "judge_caption"} <= {row["name"] for row in json.loads(listed.stdout)}


def test_a_rubric_of_ones_own_makes_metrics_of_its_name(server, tmp_path):
    """With the numbers of its scale; one with the name of a metric is refused."""
    text = (
        "{title: Light, version: 1, licence: CC0-1.0, source: Own, lowest: 1, highest: 5, "
        "criteria: {light: {summary: x, question: y}}, question: '{edited_image} {instruction} {criteria}'}"
    )
    for name in ("mine", "l1"):
        (tmp_path / f"{name}.yaml").write_text(text)
    server.then = completes('{"light": 4}')
    run = judged(folder(tmp_path), server, tmp_path / "run", rubrics=(str(tmp_path / "mine.yaml"),))
    assert run.record.metrics["mine:light"].mean == 4
    with pytest.raises(OptionError, match="'l1' has the name of a metric"):
        judged(tmp_path / "mine", server, tmp_path / "other", rubrics=(str(tmp_path / "l1.yaml"),))


def test_scores_are_the_same_in_any_order_of_answers(server, tmp_path):
    """One question at a time or eight give the same run."""
    server.then = lambda handler, asked: handler.complete(rates(asked))
    path = folder(tmp_path)
    one = judged(path, server, tmp_path / "a", model="one", concurrency=1, repeats=3)
    many = judged(path, server, tmp_path / "b", model="many", concurrency=8, repeats=3)
    for metric in METRICS:
        assert np.array_equal(one.table.column(metric), many.table.column(metric))
    bare = [replace_time(judgement) for judgement in one.judgements]
    assert bare == [replace_time(judgement) for judgement in many.judgements]


def replace_time(judgement):
    """A judgement without what it took."""
    return judgement.model_copy(update={"seconds": 0.0})
