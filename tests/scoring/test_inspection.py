"""What is done to alpha, size, aspect ratio and long captions is said by score as it is by check, and stored."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evalkit.edits.check import check_folder
from evalkit.edits.item import EditItem
from evalkit.edits.open import open_folder
from evalkit.edits.problems import BY_CHECK_ALONE, BY_SCORE_ALONE, severity_of
from evalkit.encoders.base import ABSENT, EncoderSpec, Preprocess
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import open_encoder
from evalkit.encoders.tokens import token_numbers
from evalkit.images.decode import read_image
from evalkit.images.pairs import TINY, same_aspect
from evalkit.metrics.base import METRICS, get_metrics
from evalkit.scoring import units
from evalkit.scoring.measure import measure
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_folder
from evalkit.scoring.summaries import signature
from tests.support.fakes import FakeEncoder, make_edit_folder, make_items
from tests.support.messy import build_messy
from tests.support.pictures import scene


def saved(path: Path, width: int, height: int, *, seed: int = 0, alpha: int | None = None) -> Path:
    """A picture of that size, half of it as transparent as ``alpha`` says."""
    image = Image.fromarray(scene(width, height, seed))
    if alpha is not None:
        mask = np.full((height, width), 255, np.uint8)
        mask[:, : max(width // 2, 1)] = alpha
        image.putalpha(Image.fromarray(mask))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def item_of(root: Path, edited: tuple[int, int], source: tuple[int, int], **more: int | None) -> EditItem:
    """One edit with its source."""
    images = {
        "edited_image": saved(root / "e.png", *edited, seed=1, **more),
        "source_image": saved(root / "s.png", *source),
    }
    return EditItem(item_id="i", source_caption="A cat.", target_caption="A dog.", **images)


def run(folder, metrics=("l1", "ssim", "clip_score", "clip_image_similarity"), cache=None, encoder=None, **options):
    """A run with an encoder that projects pixels."""
    options = ScoreOptions(name="test", missing="intersect", **options)
    with EmbeddingCache.in_memory() as memory:
        encoders = {"clip": encoder or FakeEncoder()}
        return score_folder(folder, get_metrics(metrics), encoders, cache or memory, options)


def told(problems):
    """Code, item and words of problems, with how grave each is, without what only one of the two commands can know."""
    found = ((p.code, p.item_id, severity_of(p.code), p.message) for p in problems)
    return Counter(each for each in found if each[0] not in BY_CHECK_ALONE | BY_SCORE_ALONE)


SIDE = st.integers(1, 70)


@given(edited=st.tuples(SIDE, SIDE), source=st.tuples(SIDE, SIDE), alpha=st.sampled_from([None, 0, 128, 255]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_sizes_check_and_score_say_the_same(tmp_path, edited, source, alpha):
    """One problem or notice for each thing that is done or cannot be; values exactly where they mean something."""
    folder = make_edit_folder(tmp_path, [item_of(tmp_path, edited, source, alpha=alpha)])
    result = run(folder)
    assert told(result.record.problems) == told(check_folder(folder))
    codes = {problem.code for problem in result.record.problems}
    tiny = min(edited) < TINY
    assert ("transparent_image" in codes) == (alpha in (0, 128))
    assert ("tiny_image" in codes) == tiny
    assert ("other_aspect" in codes) == (not same_aspect(edited, source) and not tiny)
    assert ("size_differs" in codes) == (edited != source and same_aspect(edited, source) and not tiny)
    counts = result.record.images
    named = ("transparent_image", "size_differs", "other_aspect", "tiny_image")
    found = (counts.transparent, counts.resized, counts.other_aspect, counts.tiny)
    assert found == tuple(int(code in codes) for code in named)
    (row,) = result.table.rows
    expected = (
        None if edited == source else "tiny_image" if tiny else "other_aspect" if "other_aspect" in codes else None
    )
    assert row.reasons.get("l1") == expected
    assert (row.values["l1"] is None) == (expected is not None)
    assert row.values["clip_score"] is not None
    assert row.values["clip_image_similarity"] is not None


def test_a_squeezed_picture_is_not_scored_by_its_pixels(tmp_path):
    """300 × 200 squeezed to 200 × 300 had an SSIM of .99 when it was stretched back; the image as it is has one."""
    source = Image.fromarray(scene(300, 200))
    squeezed = measure(source.resize((200, 300)), source=source, metrics=["ssim", "l1"])
    assert squeezed.values == {"ssim": None, "l1": None}
    assert squeezed.reasons == {"ssim": "other_aspect", "l1": "other_aspect"}
    smaller = measure(source.resize((150, 100)), source=source, metrics=["ssim", "l1"])
    assert smaller["ssim"] > 0.99


def test_transparent_pixels_lie_on_white_and_score_says_of_whom(tmp_path):
    """The number is that of the same edit on white, and every image so changed is named and counted, sources too."""
    clear = item_of(tmp_path / "clear", (40, 40), (40, 40), alpha=0)
    white = item_of(tmp_path / "white", (40, 40), (40, 40))
    pixels = np.array(Image.open(white.edited_image))
    pixels[:, :20] = 255
    Image.fromarray(pixels).save(white.edited_image)
    saved(clear.source_image, 40, 40, alpha=128)
    saved(white.source_image, 40, 40)
    Image.fromarray(np.asarray(read_image(clear.source_image))).save(white.source_image)
    results = [run(make_edit_folder(tmp_path, [item]), metrics=("l1",)) for item in (clear, white)]
    values = [result.table.rows[0].values["l1"] for result in results]
    assert values[0] == values[1]
    notices = [p for p in results[0].record.problems if p.code == "transparent_image"]
    assert [p.severity for p in notices] == ["notice"] * 2
    assert {p.message.split(" has ")[0] for p in notices} == {"clear/e.png", "The source image of i"}
    assert results[0].record.images.transparent == 2
    assert results[1].record.problems == []


def test_a_mask_of_another_shape_takes_the_metrics_that_need_it(tmp_path):
    """What lies outside of a stretched mask is not what was to be kept; a coarse one of the right shape is usable."""
    item = item_of(tmp_path, (64, 32), (64, 32))
    for size, reason in (((8, 4), None), ((64, 32), None), ((32, 32), "other_aspect")):
        mask = saved(tmp_path / f"mask_{size[0]}_{size[1]}.png", *size)
        grey = np.zeros(size[::-1], np.uint8)
        grey[: size[1] // 2] = 255
        Image.fromarray(grey).save(mask)
        folder = make_edit_folder(tmp_path, [replace(item, edit_mask=mask)])
        result = run(folder, metrics=("l1", "l1_background"))
        assert result.table.rows[0].reasons.get("l1_background") == reason
        assert result.table.rows[0].values["l1"] is not None
        assert told(result.record.problems) == told(check_folder(folder))
        assert any(p.code == "other_aspect" for p in result.record.problems) == (reason is not None)


def test_a_reference_of_another_shape_takes_the_metrics_that_look_at_it(tmp_path):
    """The source's metrics have values, the reference's have none, and the item is a problem by name."""
    item = item_of(tmp_path, (64, 32), (64, 32))
    item = replace(item, reference_image=saved(tmp_path / "r.png", 32, 64, seed=4))
    folder = make_edit_folder(tmp_path, [item])
    result = run(folder, metrics=("l1", "l1_reference"))
    assert result.table.rows[0].reasons == {"l1_reference": "other_aspect"}
    (problem,) = result.record.problems
    assert (problem.code, problem.item_id, problem.severity) == ("other_aspect", "i", "problem")
    assert "64 × 32 pixels and the reference image 32 × 64" in problem.message
    assert told(result.record.problems) == told(check_folder(folder))


def test_of_a_messy_folder_check_and_score_say_the_same(tmp_path):
    """Every code with its items and severity, whatever metrics are asked for, and again from the cache."""
    mess = build_messy(tmp_path)
    folder = open_folder(mess.folder, expected=mess.expected)
    expected = told(check_folder(folder))
    with EmbeddingCache.in_memory() as cache:
        for metrics in (("clip_score",), ("l1",), ("l1", "clip_image_similarity")):
            assert told(run(folder, metrics=metrics, cache=cache).record.problems) == expected


def test_what_files_are_like_is_taken_once_and_kept(tmp_path, monkeypatch):
    """An image is looked at when it is decoded for a metric; a second run decodes nothing and says the same."""
    folder = make_edit_folder(tmp_path, [item_of(tmp_path, (40, 20), (20, 40), alpha=0)])
    decoded = Counter()

    def decode(data, name):
        decoded[Path(name).name] += 1
        return decode_image(data, name)

    decode_image = units.decode_image
    monkeypatch.setattr(units, "decode_image", decode)
    with EmbeddingCache.in_memory() as cache:
        first = run(folder, metrics=("l1",), cache=cache).record
        assert decoded == {"e.png": 1, "s.png": 1}
        second = run(folder, metrics=("l1",), cache=cache).record
    assert decoded == {"e.png": 1, "s.png": 1}
    assert second.problems == first.problems
    assert second.images == first.images


def test_a_source_that_no_metric_needs_may_be_broken(tmp_path):
    """It is a problem, as in check, and does not stop a run that does not look at it."""
    item = item_of(tmp_path, (40, 40), (40, 40))
    item.source_image.write_bytes(b"broken")
    folder = make_edit_folder(tmp_path, [item])
    with EmbeddingCache.in_memory() as cache:
        result = score_folder(folder, get_metrics(["clip_score"]), {"clip": FakeEncoder()}, cache, ScoreOptions())
    assert result.table.rows[0].values["clip_score"] is not None
    assert [p.code for p in result.record.problems] == ["unreadable_image"]
    assert told(result.record.problems) == told(check_folder(folder))


@pytest.mark.parametrize("name", sorted(METRICS.names()))
def test_every_metric_says_what_becomes_of_alpha_and_of_aspect_ratios(name):
    """All lie on white; those that hold images against each other, and they alone, say how far ratios may differ."""
    metric = METRICS.get(name)
    fields = signature(metric, {encoder: FakeEncoder() for encoder in metric.encoders}).fields()
    assert fields["alpha"] == "white"
    held = {image for image, _ in metric.frames}
    assert fields.get("aspect") == ("2%" if held else None)
    assert held <= {"edited_image", "edit_mask"}
    if metric.pairs:
        assert "edited_image" in held


class Blanks(FakeEncoder):
    """Reads five words of a text, and counts them."""

    @property
    def spec(self) -> EncoderSpec:
        """A specification of its own."""
        preprocess = Preprocess(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        return EncoderSpec(name="blanks", weights_sha256=ABSENT, preprocess=preprocess, tokenizer="blanks")

    def count_tokens(self, texts):
        """Words by their letters."""
        whole = [[sum(map(ord, word)) for word in text.split()] for text in texts]
        return token_numbers(whole, [[*words, 0, 0, 0, 0, 0][:5] for words in whole])


def test_cut_captions_are_notices_by_item_and_field(tmp_path):
    """Once for each caption whatever its seeds, with both counts; nothing is said at the limit."""
    items = make_items(tmp_path, 3, 3, seeds=(0, 1))
    texts = ("one two three four five", "one two three four five six", "one two three four five six seven")
    items = [replace(item, source_caption="short", target_caption=texts[int(item.item_id[-1])]) for item in items]
    record = run(make_edit_folder(tmp_path, items), metrics=("clip_score",), encoder=Blanks()).record
    assert [(p.code, p.item_id, p.severity) for p in record.problems] == [
        ("cut_caption", "item_1", "notice"),
        ("indistinct_captions", "item_1", "notice"),
        ("cut_caption", "item_2", "notice"),
        ("indistinct_captions", "item_2", "notice"),
    ]
    assert record.problems[0].message == "The target caption of item_1: 6 tokens, of which blanks reads 5."
    assert record.problems[3].message == (
        "The target caption of item_2 is to blanks the same as the target caption of item_0, once it is cut."
    )


def test_a_template_adds_to_a_caption(tmp_path):
    """What is counted is the sentence that the encoder is given."""
    items = [replace(item, target_caption="three four five") for item in make_items(tmp_path, 1, 1)]
    folder = make_edit_folder(tmp_path, items)
    plain, framed = (
        run(folder, metrics=(name,), encoder=Blanks()).record.problems for name in ("clip_score", "clip_score:hessel")
    )
    assert plain == []
    assert [p.message for p in framed] == ["The target caption of item_0: 6 tokens, of which blanks reads 5."]


def test_equal_captions_that_are_cut_are_not_called_indistinct(tmp_path):
    """Only captions that differ can be mixed up by cutting them."""
    items = [replace(item, target_caption="a b c d e f", source_caption="x") for item in make_items(tmp_path, 2, 2)]
    record = run(make_edit_folder(tmp_path, items), metrics=("clip_score",), encoder=Blanks()).record
    assert [p.code for p in record.problems] == ["cut_caption"] * 2


def test_source_and_target_that_are_cut_to_one_text_have_no_direction(tmp_path):
    """The reason is the metric's, and why they are the same to the encoder is a notice."""
    start = "red " * 60
    items = [
        replace(i, source_caption=start + "square", target_caption=start + "disc") for i in make_items(tmp_path, 1, 1)
    ]
    encoder = open_encoder("miniature", device="cpu")
    result = run(make_edit_folder(tmp_path, items), metrics=("clip_directional_similarity",), encoder=encoder)
    assert result.table.rows[0].reasons == {"clip_directional_similarity": "equal_captions"}
    told_of = Counter(p.code for p in result.record.problems)
    assert told_of == {"cut_caption": 2, "indistinct_captions": 1, "nothing_measured": 1}


def test_captions_are_counted_again_from_the_cache_without_the_network(tmp_path):
    """A second run says the same of them and asks the encoder for nothing."""

    class Once(Blanks):
        def count_tokens(self, texts):
            asked.extend(texts)
            return super().count_tokens(texts)

    asked = []
    items = [replace(item, target_caption="a b c d e f g") for item in make_items(tmp_path, 2, 2)]
    folder = make_edit_folder(tmp_path, items)
    with EmbeddingCache.in_memory() as cache:
        first, second = (run(folder, metrics=("clip_score",), cache=cache, encoder=Once()).record for _ in range(2))
    assert first.problems == second.problems
    assert asked == ["a b c d e f g"]
