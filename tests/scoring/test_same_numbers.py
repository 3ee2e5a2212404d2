"""A score depends on its item alone: neighbours and the cache change no bit of it, a processor the last digits."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.edits.item import IMAGE_FIELDS, EditItem
from evalkit.encoders.cache import EmbeddingCache
from evalkit.encoders.load import open_encoder
from evalkit.metrics.base import METRICS, get_metrics
from evalkit.scoring.options import ScoreOptions
from evalkit.scoring.score import score_folder
from tests.support.fakes import make_edit_folder, make_items, save_picture

CLIP = ("clip_score", "clip_score:hessel", "clip_directional_similarity", "clip_image_similarity")
FIELDS = ("item_id", "group", "source_image", "edited_image", "source_caption", "target_caption")
PIXELS = ("l1", "mse", "psnr", "ssim")
BOUND = 1e-6
"""How far a cosine may lie apart on processors of other instruction sets; 6.5e-8 was measured on the true ViT-B/32."""
SSE = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}


def items_of_two_sizes(root):
    """Nine edits of three sources, of 40 and 48 pixels; captions of one to forty words."""
    items = make_items(root, 9, 3)
    for number, item in enumerate(items):
        save_picture(item.edited_image, 50 + number, size=40)
        save_picture(item.source_image, 90 + number % 3, size=40 + 8 * (number % 3 % 2))
    return [replace(i, target_caption=f"a {'very ' * (n * n % 40)}red bird") for n, i in enumerate(items)]


def scored(items, cache, encoders, metrics):
    """Value of every item under every metric."""
    folder = make_edit_folder(items[0].edited_image.parent, items)
    run = score_folder(folder, get_metrics(metrics), encoders, cache, ScoreOptions(name="test"))
    return {row.item_id: dict(row.values) for row in run.table.rows}


def assert_the_cache_changes_nothing(items, encoders, metrics):
    """All items from an empty cache, and from caches that know some of them, alone or with others."""
    with EmbeddingCache.in_memory() as empty:
        expected = scored(items, empty, encoders, metrics)
    for known in (items[:1], items[4:], items[::-2]):
        with EmbeddingCache.in_memory() as cache:
            scored(known, cache, encoders, metrics)
            assert scored(items, cache, encoders, metrics) == expected
    for item in items:
        with EmbeddingCache.in_memory() as cache:
            assert scored([item], cache, encoders, metrics) == {item.item_id: expected[item.item_id]}


@pytest.mark.parametrize("spec", ["tiny_open_clip", "tiny_transformers_clip", "tiny_siglip", "miniature"])
def test_what_is_cached_changes_no_bit_of_a_clip_score(tmp_path, request, spec):
    """An item's scores are the same to the last bit alone, among others, and where some of these are known already."""
    name = spec if spec == "miniature" else request.getfixturevalue(spec)
    encoders = {"clip": open_encoder(name, device="cpu")}
    assert_the_cache_changes_nothing(items_of_two_sizes(tmp_path), encoders, CLIP)


def test_what_is_cached_changes_no_bit_of_lpips(tmp_path, backbones):
    """Likewise of a network that looks at pairs of several sizes."""
    encoders = {"lpips_alex": open_encoder(f"lpips_alex:{backbones['alex'][0]}", device="cpu")}
    assert_the_cache_changes_nothing(items_of_two_sizes(tmp_path), encoders, ("lpips",))


def test_other_instructions_move_the_last_digits_only(tmp_path):
    """An old processor, under equal signatures: pixels to 1e-12, cosines to the bound that is stated."""
    items, path = items_of_two_sizes(tmp_path), tmp_path / "found.json"
    listed = [{name: str(getattr(item, name)) for name in FIELDS} for item in items]
    command = [sys.executable, "-m", "tests.scoring.test_same_numbers", json.dumps(listed)]
    with path.open("w") as output:
        subprocess.run(command, env={**os.environ, **SSE}, check=True, timeout=120, stdout=output)
    found, usual = json.loads(path.read_text()), summary_of(items)
    assert found["signatures"] == usual["signatures"]
    for metric, values in found["values"].items():
        tolerance = 1e-12 if metric in PIXELS else BOUND * METRICS.get(metric).highest
        np.testing.assert_allclose(values, usual["values"][metric], rtol=0, atol=tolerance, err_msg=metric)


def summary_of(items):
    """Signatures and values, as JSON."""
    folder = make_edit_folder(items[0].edited_image.parent, items)
    encoders = {"clip": open_encoder("miniature", device="cpu")}
    with EmbeddingCache.in_memory() as cache:
        run = score_folder(folder, get_metrics((*CLIP, *PIXELS)), encoders, cache, ScoreOptions(name="test"))
    values = {name: run.table.item_means(name).values.tolist() for name in (*CLIP, *PIXELS)}
    return {"values": values, "signatures": {name: each.signature for name, each in run.record.metrics.items()}}


if __name__ == "__main__":
    as_given = [{n: Path(v) if n in IMAGE_FIELDS else v for n, v in each.items()} for each in json.loads(sys.argv[1])]
    sys.stdout.write(json.dumps(summary_of([EditItem(**each) for each in as_given])))
