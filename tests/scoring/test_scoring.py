"""From an edit folder to a run: what is encoded, what is scored, and what is not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evalkit.encoders.cache import EmbeddingCache
from evalkit.errors import CacheError, MissingItemsError
from evalkit.metrics.base import get_metrics
from evalkit.scores.run import read_run, write_run
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.requests import Content, requests_of
from evalkit.scoring.score import score_folder
from tests.support.fakes import FakeEncoder, make_edit_folder, make_items

THREE = ("clip_score", "clip_directional_similarity", "clip_image_similarity")


@pytest.fixture
def cache():
    """A cache that lasts as long as the test."""
    with EmbeddingCache.in_memory() as opened:
        yield opened


def run(folder, cache, encoder=None, metrics=THREE, **settings):
    """Score with the fake encoder."""
    encoders = {"clip": encoder or FakeEncoder()}
    return score_folder(folder, get_metrics(metrics), encoders, cache, ScoreOptions(name="test", **settings))


def test_three_metrics_over_100_edits_of_40_sources_encode_each_image_once(tmp_path, cache):
    """The TEdBench case costs 140 images and 140 texts, however many metrics ask for them."""
    folder = make_edit_folder(tmp_path, make_items(tmp_path, 100, 40))
    encoder = FakeEncoder()
    record = run(folder, cache, encoder).record
    assert encoder.n_images == record.n_encoded_images == 140
    assert len(encoder.texts) == record.n_encoded_texts == 140
    assert record.n_items == record.n_edited == 100
    assert record.metrics["clip_score"].n_groups == 40


def test_a_second_run_encodes_nothing_and_gives_the_same_numbers(tmp_path, cache):
    """What was encoded is found again by content."""
    folder = make_edit_folder(tmp_path)
    first, encoder = run(folder, cache), FakeEncoder()
    second = run(folder, cache, encoder)
    assert (encoder.n_images, encoder.texts) == (0, [])
    assert second.table == first.table


def test_other_weights_share_nothing(tmp_path, cache):
    """A cache filled by one network is not used for another."""
    folder, encoder = make_edit_folder(tmp_path), FakeEncoder(weights="other")
    run(folder, cache)
    run(folder, cache, encoder)
    assert encoder.n_images == 14


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batch_size_changes_no_score(tmp_path, cache, batch_size):
    """Scores do not depend on who shares a batch."""
    folder = make_edit_folder(tmp_path)
    reference = run(folder, cache).table
    with EmbeddingCache.in_memory() as other:
        table = run(folder, other, batch_size=batch_size).table
    for name in THREE:
        np.testing.assert_allclose(table.item_means(name).values, reference.item_means(name).values, atol=1e-5)


def test_items_are_paired_by_identity_and_not_by_order(tmp_path, cache):
    """Reversing the items, or renaming files against the sort order, leaves every item's score alone."""
    items = make_items(tmp_path)
    renamed = []
    for index, item in enumerate(items):
        path = item.edited_image.rename(tmp_path / f"{99 - index}_{item.edited_image.name}")
        renamed.append(replace(item, edited_image=path))
    scores = {row.item_id: row.values for row in run(make_edit_folder(tmp_path, renamed), cache).table.rows}
    for row in run(make_edit_folder(tmp_path, renamed[::-1]), cache).table.rows:
        assert row.values == scores[row.item_id]


def test_the_encoder_sees_the_pixels_of_the_file(tmp_path, cache):
    """No photographic negative, no scaling: a picture of the network's size arrives byte for byte."""
    item = make_items(tmp_path, 1, 1)[0]
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    from PIL import Image

    Image.fromarray(pixels).save(item.edited_image)
    encoder = FakeEncoder()
    run(make_edit_folder(tmp_path, [item]), cache, encoder, metrics=("clip_score",))
    np.testing.assert_array_equal(encoder.batches[0][0], pixels)


def test_the_score_is_the_definition_applied_to_the_embeddings(tmp_path, cache):
    """End to end, an item's CLIPScore is the clamped cosine of what the encoder gives for its files."""
    folder, encoder = make_edit_folder(tmp_path), FakeEncoder()
    table = run(folder, cache, encoder, metrics=("clip_score",)).table
    from evalkit.images.decode import read_image

    for item, row in zip(folder.items, table.rows, strict=True):
        image = encoder.encode_images(encoder.spec.preprocess.apply(read_image(item.edited_image))[None])[0]
        text = encoder.encode_texts([item.target_caption])[0]
        cosine = image @ text / np.linalg.norm(image) / np.linalg.norm(text)
        assert row.values["clip_score"] == pytest.approx(max(cosine, 0), abs=1e-6)


def test_missing_items_stop_the_run_before_anything_is_encoded(tmp_path, cache):
    """Under the default nothing is scored; the error counts the items and names them."""
    items = make_items(tmp_path)
    items[3] = items[3].without_edit("missing", "no file")
    encoder = FakeEncoder()
    with pytest.raises(MissingItemsError, match=r"1 item has no edited image: item_3\. Nothing was scored"):
        run(make_edit_folder(tmp_path, items), cache, encoder)
    assert encoder.n_images == 0


def test_missing_items_can_be_floored_or_left_out(tmp_path, cache):
    """``floor`` scores them like the worst edit, ``intersect`` not at all; both are counted and in the signature."""
    items = make_items(tmp_path)
    items[3] = items[3].without_edit("missing", "no file")
    folder = make_edit_folder(tmp_path, items)
    floored, left_out = run(folder, cache, missing="floor"), run(folder, cache, missing="intersect")
    for name in THREE:
        attained = [row.values[name] for row in floored.table.rows if row.status == "ok"]
        assert floored.table.rows[3].values[name] == min(0.0, *attained)
    assert floored.record.metrics["clip_score"].n_floored == 1
    assert floored.record.metrics["clip_score"].signature.endswith("|missing:floor")
    assert left_out.table.rows[3].reasons == dict.fromkeys(THREE, "no_edited_image")
    assert left_out.record.metrics["clip_score"].n == 9
    assert left_out.record.n_edited == 9


def test_an_edit_that_its_method_declared_failed_scores_like_the_worst(tmp_path, cache):
    """A method that gives up on hard items gains nothing by it."""
    items = make_items(tmp_path)
    items[0] = items[0].without_edit("failed", "out of memory")
    table = run(make_edit_folder(tmp_path, items), cache).table
    attained = [row.values["clip_directional_similarity"] for row in table.rows[1:]]
    assert table.rows[0].values["clip_directional_similarity"] == min(0.0, *attained)
    assert table.rows[0].status == "failed"


def test_unreadable_images_are_all_named_and_what_was_encoded_is_kept(tmp_path, cache):
    """Two broken files are both in the message; the good ones need no second encoding."""
    items = make_items(tmp_path)
    items[1].edited_image.write_bytes(items[1].edited_image.read_bytes()[:60])
    items[2].edited_image.write_bytes(b"not an image")
    folder = make_edit_folder(tmp_path, items)
    with pytest.raises(MissingItemsError, match=r"(?s)2 images cannot be read.*item_1\.png.*item_2\.png"):
        run(folder, cache)
    encoder = FakeEncoder()
    record = run(folder, cache, encoder, missing="intersect").record
    assert encoder.n_images == 0
    assert record.metrics["clip_score"].n == 8
    assert [p.code for p in record.problems] == ["unreadable_image", "unreadable_image"]


def test_an_unreadable_source_takes_only_the_metrics_that_need_it(tmp_path, cache):
    """CLIPScore does not look at the source; directional similarity has a reason for its absence."""
    items = make_items(tmp_path, 8, 4)
    items[0].source_image.write_bytes(b"broken")
    record = run(make_edit_folder(tmp_path, items), cache, missing="intersect").record
    assert record.metrics["clip_score"].n == 8
    assert record.metrics["clip_directional_similarity"].undefined == {"no_source_image": 2}


def test_absent_captions_are_reasons_and_not_zeros(tmp_path, cache):
    """An item without a source caption has a CLIPScore and no direction."""
    items = [replace(item, source_caption=None) for item in make_items(tmp_path)]
    record = run(make_edit_folder(tmp_path, items), cache).record
    direction = record.metrics["clip_directional_similarity"]
    assert (direction.mean, direction.n, direction.undefined) == (None, 0, {"no_source_caption": 10})
    assert record.metrics["clip_score"].n == 10


def test_seeds_are_averaged_within_the_item(tmp_path, cache):
    """The mean is over items of each item's mean over seeds, whatever the number of seeds of each."""
    items = make_items(tmp_path, 4, 2, seeds=(0, 1, 2))[:-2]
    result = run(make_edit_folder(tmp_path, items), cache, metrics=("clip_score",))
    by_item = {}
    for row in result.table.rows:
        by_item.setdefault(row.item_id, []).append(row.values["clip_score"])
    summary = result.record.metrics["clip_score"]
    assert summary.n == 4
    assert summary.mean == pytest.approx(np.mean([np.mean(values) for values in by_item.values()]))


def test_an_edit_equal_to_its_source_and_two_equal_edits_are_listed(tmp_path, cache):
    """Copies are found by content, named, and directional similarity is undefined for them."""
    items = make_items(tmp_path)
    items[0].edited_image.write_bytes(items[0].source_image.read_bytes())
    items[5].edited_image.write_bytes(items[6].edited_image.read_bytes())
    record = run(make_edit_folder(tmp_path, items), cache).record
    problems = {(problem.code, problem.item_id) for problem in record.problems}
    assert ("edited_equals_source", "item_0") in problems
    assert any(code == "duplicate_output" for code, _ in problems)
    assert record.metrics["clip_directional_similarity"].undefined == {"equal_images": 1}


class BrokenCache(EmbeddingCache):
    """A cache whose disk fills up after the first batch."""

    writes = 0

    def put_many(self, *arguments):
        """Fails from the second call on."""
        self.writes += 1
        if self.writes > 1:
            raise CacheError("the disk is full")
        super().put_many(*arguments)


def test_a_cache_that_fails_midway_does_not_stop_the_run(tmp_path, cache):
    """The run ends with the same numbers and says what happened to the cache."""
    folder = make_edit_folder(tmp_path)
    reference = run(folder, cache).table
    with BrokenCache.in_memory() as broken:
        result = run(folder, broken, batch_size=4)
    assert result.table == reference
    assert [p.code for p in result.record.problems] == ["cache_unavailable"]
    assert "the disk is full" in result.record.problems[0].message


def test_a_plan_names_every_input_once_and_nothing_that_cannot_be_used(tmp_path):
    """Items that lack what a metric needs ask for nothing on its behalf."""
    items = make_items(tmp_path, 6, 2)
    items[0] = items[0].without_edit("missing", "no file")
    images, texts = (list(request.contents) for request in requests_of(get_metrics(["clip_score"]), items).values())
    assert images == [Content(files=(item.edited_image,)) for item in items[1:]]
    assert texts == [Content(texts=(item.target_caption,)) for item in items[1:]]


def test_a_run_directory_reads_back_as_it_was(tmp_path, cache):
    """Writing and reading loses nothing, and the file holds no NaN."""
    items = make_items(tmp_path / "folder")
    items[0].edited_image.write_bytes(items[0].source_image.read_bytes())
    result = run(make_edit_folder(tmp_path / "folder", items), cache)
    write_run(tmp_path / "run", result)
    again = read_run(tmp_path / "run")
    assert again.table == result.table
    assert again.record.metrics == result.record.metrics
    assert "NaN" not in (tmp_path / "run" / "items.jsonl").read_text()
    line = json.loads((tmp_path / "run" / "items.jsonl").read_text().splitlines()[0])
    assert line["clip_directional_similarity"] is None
    assert line["reasons"] == {"clip_directional_similarity": "equal_images"}
