"""Edited images beside their sources: read once, compared once, kept, and never all in memory."""

import math
import os
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit.encoders.base import EncoderSpec, Preprocess
from evalkit.encoders.cache import EmbeddingCache
from evalkit.images.decode import decode_image, read_image
from evalkit.metrics.base import METRICS, Metric, Scores, get_metrics
from evalkit.metrics.features import PairFeature
from evalkit.scoring import units
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_folder
from tests.support.fakes import make_edit_folder, make_items, save_picture

FOUR = ("l1", "mse", "psnr", "ssim")


@pytest.fixture
def cache():
    """A cache that lasts as long as the test."""
    with EmbeddingCache.in_memory() as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch):
    """How often each file was decoded for a pair."""
    counted = Counter()

    def decode(data, name):
        counted[Path(name).name] += 1
        return decode_image(data, name)

    monkeypatch.setattr(units, "decode_image", decode)
    return counted


class Comparer:
    """A pair encoder that gives the difference of the means, and counts its pairs."""

    def __init__(self, weights="fake"):
        self.weights = weights
        self.shapes = []

    device = "cpu"

    @property
    def spec(self):
        """A specification whose fingerprint follows ``weights``."""
        native = Preprocess(size=0, mode="native", mean=(0, 0, 0), std=(1, 1, 1))
        return EncoderSpec(name="fake/pairs", weights_sha256=self.weights, preprocess=native, tokenizer="none")

    def encode_pairs(self, pairs):
        """Difference of the means, one number per pair."""
        self.shapes += [pair.source.shape for pair in pairs]
        return np.array([[pair.edited.mean() - pair.source.mean()] for pair in pairs], np.float32)


DISTANCE = Metric(
    name="distance",
    summary="for tests",
    reference="none",
    family="preservation",
    higher_is_better=False,
    lowest=-255.0,
    highest=255.0,
    features={"numbers": PairFeature(encoder="comparer")},
    function=lambda numbers: Scores.of(numbers[:, 0]),
)


def with_masks(items, root):
    """The items with an edit mask each, of the left half."""
    path = root / "mask.png"
    left = np.zeros((16, 16), np.uint8)
    left[:, :8] = 255
    Image.fromarray(left).save(path)
    return [replace(item, edit_mask=path) for item in items]


def run(folder, cache, metrics=FOUR, **settings):
    """Score without any encoder."""
    return score_folder(folder, get_metrics(metrics), {}, cache, ScoreOptions(name="test", **settings))


def test_metrics_of_pixels_need_no_encoder_and_decode_each_image_once(tmp_path, cache, reads):
    """Four metrics over ten edits of four sources are 14 decoded files, and the record names no network."""
    record = run(make_edit_folder(tmp_path, make_items(tmp_path, 10, 4)), cache).record
    assert len(reads) == 14
    assert set(reads.values()) == {1}
    assert record.encoders == {}
    assert (record.n_compared_pairs, record.n_encoded_images) == (10, 0)
    assert (
        record.metrics["ssim"].signature
        == "ssim|enc:none|img:source-bicubic-aa|tpl:none|dtype:fp64|alpha:white|aspect:2%|v:1|evalkit:0.1.0"
    )


def test_a_second_run_decodes_nothing_and_gives_the_same_numbers(tmp_path, cache, reads):
    """What was compared is found again by content, under whatever name."""
    items = make_items(tmp_path)
    first = run(make_edit_folder(tmp_path, items), cache).table
    reads.clear()
    items[0] = replace(items[0], edited_image=items[0].edited_image.rename(tmp_path / "renamed.png"))
    second = run(make_edit_folder(tmp_path, items), cache)
    assert (second.table, second.record.n_compared_pairs, reads) == (first, 0, {})


def test_a_changed_edit_or_source_is_compared_again(tmp_path, cache):
    """The result belongs to both contents: changing either makes it new, and no other."""
    items = make_items(tmp_path, 10, 5)
    run(make_edit_folder(tmp_path, items), cache)
    save_picture(items[3].edited_image, 77)
    assert run(make_edit_folder(tmp_path, items), cache).record.n_compared_pairs == 1
    save_picture(items[0].source_image, 78)
    assert run(make_edit_folder(tmp_path, items), cache).record.n_compared_pairs == 2


def test_another_version_of_a_measure_shares_nothing(tmp_path, cache):
    """A measure whose numbers changed does not find those of the version before."""
    folder, metric = make_edit_folder(tmp_path), METRICS.get("l1")
    run(folder, cache)
    newer = replace(metric, features={"differences": replace(metric.pairs[0], version=2)})
    assert score_folder(folder, [newer], {}, cache).record.n_compared_pairs == 10


def test_the_score_is_the_definition_applied_to_the_files(tmp_path, cache):
    """End to end, an item's numbers are those of its two files, colours and range as they are."""
    folder = make_edit_folder(tmp_path)
    for item, row in zip(folder.items, run(folder, cache).table.rows, strict=True):
        one, other = (np.asarray(read_image(path)) / 255 for path in (item.edited_image, item.source_image))
        assert row.values["mse"] == pytest.approx(np.mean((one - other) ** 2), rel=1e-6)
        assert row.values["psnr"] == pytest.approx(-10 * np.log10(row.values["mse"]), abs=1e-6)


def test_numbers_of_pixels_are_kept_in_the_64_bits_that_the_signature_names(tmp_path, cache):
    """One level of 255 is 1/255 to the last digit, fresh and from the cache; white on black has 0 dB and not −0."""
    (item,) = make_items(tmp_path, 1, 1)
    for path, level in ((item.source_image, 100), (item.edited_image, 101)):
        Image.new("RGB", (8, 8), (level,) * 3).save(path)
    for _ in range(2):
        found = run(make_edit_folder(tmp_path, [item]), cache)
        assert found.table.rows[0].values["l1"] == 1 / 255
        assert "|dtype:fp64|" in found.record.metrics["l1"].signature
    Image.new("RGB", (8, 8), "white").save(item.edited_image)
    Image.new("RGB", (8, 8), "black").save(item.source_image)
    assert str(run(make_edit_folder(tmp_path, [item]), cache).table.rows[0].values["psnr"]) == "0.0"


def test_an_edit_of_another_size_is_brought_to_the_size_of_its_source(tmp_path, cache):
    """The stated rule, end to end: Pillow's bicubic filter on the edited image, the source untouched."""
    item = make_items(tmp_path, 1, 1)[0]
    save_picture(item.edited_image, 5, size=31)
    value = run(make_edit_folder(tmp_path, [item]), cache).table.rows[0].values["l1"]
    edited, source = read_image(item.edited_image), read_image(item.source_image)
    resized = np.asarray(edited.resize(source.size, Image.Resampling.BICUBIC), float)
    assert value == pytest.approx(np.abs(resized - np.asarray(source, float)).mean() / 255, rel=1e-6)


def test_the_mask_takes_part_in_the_result_and_in_the_signature(tmp_path, cache):
    """White may change: only the black half counts, and another mask is another result."""
    items = with_masks(make_items(tmp_path, 2, 1), tmp_path)
    folder = make_edit_folder(tmp_path, items)
    result = run(folder, cache, metrics=("l1", "l1_background"))
    edited, source = (np.asarray(read_image(p), float) for p in (items[0].edited_image, items[0].source_image))
    expected = np.abs(edited - source)[:, 8:].mean() / 255
    assert result.table.rows[0].values["l1_background"] == pytest.approx(expected, rel=1e-6)
    assert "|img:source-bicubic-aa+mask-nearest|" in result.record.metrics["l1_background"].signature
    Image.fromarray(255 - np.asarray(Image.open(items[0].edit_mask))).save(tmp_path / "other.png")
    inverted = [replace(item, edit_mask=tmp_path / "other.png") for item in items]
    again = run(make_edit_folder(tmp_path, inverted), cache, metrics=("l1", "l1_background"))
    assert again.record.n_compared_pairs == 2
    expected = np.abs(edited - source)[:, :8].mean() / 255
    assert again.table.rows[0].values["l1_background"] == pytest.approx(expected, rel=1e-6)


def test_with_and_without_its_mask_an_edit_is_decoded_once(tmp_path, cache, reads):
    """Metrics of the whole and of the background share their images."""
    items = with_masks(make_items(tmp_path, 3, 1), tmp_path)
    run(make_edit_folder(tmp_path, items), cache, metrics=("l1", "l1_background", "ssim_background"))
    assert {name: n for name, n in reads.items() if name.startswith("item")} == dict.fromkeys(
        ("item_0.png", "item_1.png", "item_2.png"), 1
    )


def test_what_is_missing_is_a_reason_or_scores_like_the_worst_edit(tmp_path, cache):
    """No mask, no source: reasons. A failed edit: the worst of the others, or an unrelated picture's."""
    items = make_items(tmp_path, 6, 2)
    items[1] = replace(items[1], source_image=None)
    items[2] = items[2].without_edit("failed", "out of memory")
    table = run(make_edit_folder(tmp_path, items), cache, metrics=("psnr", "l1", "mse_background")).table
    assert table.rows[0].reasons == {"mse_background": "no_edit_mask"}
    assert table.rows[1].reasons == dict.fromkeys(("psnr", "l1", "mse_background"), "no_source_image")
    others = [row.values for row in table.rows if row.status == "ok" and row.values["l1"] is not None]
    psnr, l1 = min(row["psnr"] for row in others), max(row["l1"] for row in others)
    assert table.rows[2].values["psnr"] == min(psnr, 10 * math.log10(6))
    assert table.rows[2].values["l1"] == max(l1, 1 / 3)
    assert table.rows[2].values["mse_background"] is None
    assert table.rows[2].reasons == {"mse_background": "no_edit_mask"}


def test_an_unreadable_mask_takes_only_the_metrics_that_need_it(tmp_path, cache):
    """The whole image can be compared without it."""
    items = with_masks(make_items(tmp_path, 4, 2), tmp_path)
    items[0].edit_mask.write_bytes(b"broken")
    record = run(make_edit_folder(tmp_path, items), cache, metrics=("l1", "l1_background"), missing="intersect").record
    assert record.metrics["l1"].n == 4
    assert record.metrics["l1_background"].undefined == {"no_edit_mask": 4}
    assert [problem.code for problem in record.problems] == ["unreadable_image"]


def test_an_unreadable_edit_is_named_and_the_others_are_kept(tmp_path, cache):
    """A file that turns out broken when it is decoded does not cost the work on the others."""
    items = make_items(tmp_path)
    items[1].edited_image.write_bytes(items[1].edited_image.read_bytes()[:60])
    folder = make_edit_folder(tmp_path, items)
    record = run(folder, cache, missing="intersect").record
    assert (record.metrics["l1"].n, record.n_compared_pairs) == (9, 10)
    assert run(folder, cache, missing="intersect").record.n_compared_pairs == 1


def test_encoders_that_compare_pairs_are_asked_once_per_pair(tmp_path, cache):
    """Their results are kept by both contents and by their weights."""
    folder = make_edit_folder(tmp_path)
    comparer, other = Comparer(), Comparer("other")
    result = score_folder(folder, [DISTANCE], {"comparer": comparer}, cache)
    assert len(comparer.shapes) == 10
    item = folder.items[0]
    means = [np.asarray(read_image(path)).mean() for path in (item.edited_image, item.source_image)]
    assert result.table.rows[0].values["distance"] == pytest.approx(means[0] - means[1], abs=1e-4)
    assert result.record.metrics["distance"].signature.startswith("distance|enc:fake/pairs@")
    score_folder(folder, [DISTANCE], {"comparer": comparer}, cache)
    score_folder(folder, [DISTANCE], {"comparer": other}, cache)
    assert (len(comparer.shapes), len(other.shapes)) == (10, 10)


def test_a_run_that_was_killed_goes_on_where_it_stopped(tmp_path, cache, monkeypatch):
    """What had been compared before the interruption is not compared again."""
    folder = make_edit_folder(tmp_path, make_items(tmp_path, 40, 40))
    measured = []
    slow = METRICS.get("l1").pairs[0].measure

    def measure(edited, source):
        if len(measured) == 25:
            raise KeyboardInterrupt
        measured.append(1)
        return slow(edited, source)

    metric = replace(METRICS.get("l1"), features={"differences": PairFeature(measure=measure)})
    with pytest.raises(KeyboardInterrupt):
        score_folder(folder, [metric], {}, cache)
    measured.clear()
    record = score_folder(folder, [replace(metric)], {}, cache).record
    assert record.n_compared_pairs < 40
    assert record.metrics["l1"].n == 40


def test_memory_does_not_grow_with_the_number_of_items(tmp_path, cache, monkeypatch):
    """However many pairs there are, only a window of them is alive at any time."""
    alive, most = Counter(), []
    align = units.align

    def counted(*images):
        pair = align(*images)
        alive["pairs"] += 1
        most.append(alive["pairs"])
        weakref.finalize(pair.edited, lambda: alive.subtract(["pairs"]))
        return pair

    monkeypatch.setattr(units, "align", counted)
    folder = make_edit_folder(tmp_path, make_items(tmp_path, 120, 30))
    score_folder(folder, [DISTANCE], {"comparer": Comparer()}, cache)
    assert len(most) == 120
    assert max(most) <= 4 * max(units.EDITS, 2 * (os.cpu_count() or 1))


def test_an_encoder_of_pairs_alone_refuses_single_images():
    """Given as the network behind CLIP metrics it says what it cannot do."""
    from evalkit.encoders.base import LoadedEncoder
    from evalkit.encoders.load import LazyEncoder, SpecCache
    from evalkit.errors import EncoderError

    lazy = LazyEncoder("comparer", lambda: LoadedEncoder(encoder=Comparer()), SpecCache(None, "comparer", "fp32"))
    with pytest.raises(EncoderError, match=r"'comparer': expected one that makes vectors of texts, which fake/pairs"):
        lazy.encode_texts(["a cat"])


def test_the_cache_says_what_was_compared(tmp_path, cache):
    """Measures stand in the cache's table under their own names."""
    run(make_edit_folder(tmp_path), cache)
    found = {encoder.label: encoder.n_pairs for encoder in cache.info().encoders}
    assert found == {"images/facts": 0, "pixels/differences": 10, "pixels/structural_similarity": 10}
