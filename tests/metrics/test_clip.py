"""The CLIP metrics against closed forms, an independent implementation, and a table of invariances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evalkit.errors import EvalkitError, UnknownNameError
from evalkit.metrics import clip
from evalkit.metrics.base import METRICS, REASONS, Scores, get_metrics
from evalkit.metrics.features import TEMPLATES, fill

CLIP_METRICS = [name for name in METRICS.names() if name.startswith("clip_")]
INVARIANCES = {
    # metric: unchanged when (edited scaled, texts scaled, images swapped, all rotated)
    "clip_score": {"scale", "rotate"},
    "clip_score:hessel": {"scale", "rotate"},
    "clip_score:torchmetrics": {"scale", "rotate"},
    "clip_score:cosine": {"scale", "rotate"},
    "clip_score:pie_bench": {"scale", "rotate"},
    "clip_directional_similarity": {"scale", "rotate", "swap_both"},
    "clip_directional_similarity:loss": {"scale", "rotate", "swap_both"},
    "clip_directional_similarity:templates": {"scale", "rotate", "swap_both"},
    "clip_image_similarity": {"scale", "rotate", "swap_both"},
    "clip_reference_similarity": {"scale", "rotate"},
}
COUNTS = np.array([[1.0, 2.0, 90.0, 10.0], [3.0, 4.0, 70.0, 30.0]])
"""What a metric of the edited part is told of two pairs of pictures; the last column counts the mask's pixels."""


def features(metric, n=6, d=16, seed=0):
    """Random vectors for every feature of a metric."""
    rng = np.random.default_rng(seed)
    shapes = {
        name: (n, 5, d) if getattr(f, "template", "none") == "imagenet79" else (n, d)
        for name, f in metric.features.items()
    }
    drawn = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return drawn | {name: COUNTS[np.arange(n) % len(COUNTS)] for name in drawn if name == "differences"}


def values(metric, given_features):
    """A metric's values, all of which must be defined."""
    scores = metric.compute(given_features, resolution=1e-5)
    assert set(scores.reasons) == {None}
    return scores.values


def reference(name, f):
    """The definitions again, item by item in torch, from the papers and not from evalkit's code."""
    t = {key: torch.tensor(value, dtype=torch.float64) for key, value in f.items()}
    cos = torch.nn.functional.cosine_similarity
    unit = torch.nn.functional.normalize
    out = []
    for i in range(len(t["edited_image"])):
        e = t["edited_image"][i]
        if name.startswith("clip_score"):
            similarity = float(cos(e, t["target_caption"][i], dim=0))
            out.append(
                {
                    "clip_score": max(similarity, 0),
                    "clip_score:hessel": 2.5 * max(similarity, 0),
                    "clip_score:torchmetrics": 100 * similarity,
                    "clip_score:cosine": similarity,
                    "clip_score:pie_bench": 100 * max(similarity, 0),
                }[name]
            )
        elif name in ("clip_image_similarity", "clip_reference_similarity"):
            other = t["source_image" if name == "clip_image_similarity" else "reference_image"][i]
            out.append(float(cos(e, other, dim=0)))
        else:
            target = torch.atleast_2d(t["target_caption"][i])
            source = torch.atleast_2d(t["source_caption"][i])
            text = (unit(target, dim=1) - unit(source, dim=1)).mean(0)
            similarity = float(cos(unit(e, dim=0) - unit(t["source_image"][i], dim=0), text, dim=0))
            out.append(1 - similarity if name.endswith(":loss") else similarity)
    return np.array(out)


@pytest.mark.parametrize("name", CLIP_METRICS)
def test_every_metric_agrees_with_an_independent_implementation(name):
    """Each metric equals its definition written again in torch, to 1e-9."""
    metric = METRICS.get(name)
    f = features(metric, n=40)
    np.testing.assert_allclose(values(metric, f), reference(name, f), atol=1e-9)


def test_every_clip_metric_has_its_row_in_the_invariance_table():
    """A metric cannot be added without saying what leaves it unchanged."""
    assert set(INVARIANCES) == set(CLIP_METRICS)


@pytest.mark.parametrize("name", CLIP_METRICS)
def test_metrics_obey_their_invariances_and_no_others(name):
    """Scaling any vector, rotating the space and exchanging before with after change what the table says."""
    metric = METRICS.get(name)
    f = features(metric)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
    changed = {
        "scale": {key: value * (3.0 + index) for index, (key, value) in enumerate(f.items())},
        "rotate": {key: value if key == "differences" else value @ rotation for key, value in f.items()},
    }
    if "source_image" in f:
        exchanged = {"edited_image": "source_image", "source_image": "edited_image"}
        exchanged |= {"target_caption": "source_caption", "source_caption": "target_caption"}
        changed["swap_both"] = {key: f[exchanged[key]] for key in f}
    unchanged = {kind for kind, g in changed.items() if np.allclose(values(metric, g), values(metric, f), atol=1e-6)}
    assert unchanged == INVARIANCES[name]


@pytest.mark.parametrize("name", CLIP_METRICS)
def test_an_item_scores_the_same_alone_and_in_any_order(name):
    """One value per item: neighbours and order do not matter."""
    metric = METRICS.get(name)
    f = features(metric)
    whole = values(metric, f)
    order = np.random.default_rng(2).permutation(len(whole))
    np.testing.assert_array_equal(values(metric, {key: value[order] for key, value in f.items()}), whole[order])
    alone = [values(metric, {key: value[[i]] for key, value in f.items()})[0] for i in range(len(whole))]
    np.testing.assert_array_equal(alone, whole)


@given(
    arrays(np.float32, (4, 8), elements=st.floats(-10, 10, width=32)),
    arrays(np.float32, (4, 8), elements=st.floats(-10, 10, width=32)),
    arrays(np.float32, (4, 8), elements=st.floats(-10, 10, width=32)),
    arrays(np.float32, (4, 8), elements=st.floats(-10, 10, width=32)),
)
def test_no_input_gives_a_number_outside_the_range_or_a_nan_without_a_reason(a, b, c, d):
    """Whatever the vectors, a value is in the stated range or absent with a reason from the closed list."""
    given_features = {"edited_image": a, "source_image": b, "target_caption": c, "source_caption": d}
    given_features["differences"] = np.rint(np.abs(a[:, :4]))
    for name in CLIP_METRICS:
        metric = METRICS.get(name)
        if "reference_image" in metric.features:
            continue
        scores = metric.compute({key: given_features[key] for key in metric.features}, resolution=1e-5)
        for value, reason in zip(scores.optional(), scores.reasons, strict=True):
            assert (value is None) == (reason is not None)
            assert reason is None or reason in REASONS
            assert value is None or metric.lowest <= value <= metric.highest


def test_clip_score_clamps_each_item_and_torchmetrics_the_mean():
    """Cosines 0.3, −0.1, 0.25, −0.05 give 0.1375 clamped per item and 10.0 on torchmetrics' scale."""
    cosines = np.array([0.3, -0.1, 0.25, -0.05])
    image = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    text = np.tile([1.0, 0.0], (4, 1))
    assert clip.clip_score(image, text).values.mean() == pytest.approx(0.1375)
    assert clip.clip_score_torchmetrics(image, text).values.mean() == pytest.approx(10.0)
    assert clip.clip_score_hessel(image, text).values == pytest.approx([0.75, 0, 0.625, 0])


def test_pie_bench_clamps_each_item_of_both_its_columns():
    """Its scripts ask torchmetrics for an item at a time: 5 items give 1.620, the mean clamped once 0.603."""
    from evalkit.benchmarks.protocols import PIE_BENCH_V2

    cosines = np.array([0.05, -0.0308, 0.02, 0.011, -0.02005])
    image = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    text = np.tile([1.0, 0.0], (5, 1))
    given = {"edited_image": image, "target_caption": text, "differences": np.tile(COUNTS[:1], (5, 1))}
    columns = {column.metric: column.scale for column in PIE_BENCH_V2.columns if column.title.startswith("CLIP")}
    for name, scale in columns.items():
        metric = METRICS.get(name)
        found = metric.compute({key: given[key] for key in metric.features}, resolution=1e-5)
        assert found.values * scale == pytest.approx([5.0, 0, 2.0, 1.1, 0])
        assert (metric.summarize, metric.lowest) == ("mean", 0.0)
    assert np.maximum(100 * cosines, 0).mean() == pytest.approx(1.620)
    assert max((100 * cosines).mean(), 0) == pytest.approx(0.603)


def test_an_edit_that_changes_nothing_is_undefined_and_not_zero():
    """Directional similarity has no value, and says why, when image or text did not move."""
    e = np.eye(4, dtype=np.float32)
    same_image = clip.clip_directional_similarity(e[:1], e[:1] * 2, e[1:2], e[:1], resolution=1e-5)
    same_text = clip.clip_directional_similarity(e[2:3], e[:1], e[1:2], e[1:2], resolution=1e-5)
    assert same_image.reasons == ("equal_images",)
    assert same_text.reasons == ("equal_captions",)
    assert same_text.optional() == [None]


def test_rounding_noise_is_not_a_direction():
    """A difference below the encoder's rounding is treated as no difference."""
    rng = np.random.default_rng(0)
    source, target, caption = rng.normal(size=(3, 5, 64))
    noisy = source + 1e-7 * rng.normal(size=source.shape)
    scores = clip.clip_directional_similarity(noisy, source, target, caption, resolution=1e-5)
    assert set(scores.reasons) == {"equal_images"}


def test_vectors_that_are_zero_or_infinite_have_a_reason():
    """An encoder that overflowed gives an undefined value and not a number."""
    one = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    bad = np.array([[0.0, 0.0], [np.inf, 0.0], [np.nan, 0.0]])
    assert clip.clip_score(bad, one).reasons == ("not_finite",) * 3
    assert clip.clip_directional_similarity(bad, one, one, one, resolution=1e-5).reasons == ("not_finite",) * 3


def test_scores_refuse_a_value_without_a_reason():
    """A NaN that no reason explains is a fault of the metric and raised as one."""
    with pytest.raises(EvalkitError, match="not finite"):
        Scores.of(np.array([np.nan]))
    with pytest.raises(EvalkitError, match="closed list"):
        Scores.of(np.array([1.0]), {"because": np.array([True])})


def test_a_wrong_name_suggests_the_nearest():
    """A misspelt metric is answered with the one that was meant."""
    with pytest.raises(UnknownNameError, match=r"Did you mean clip_score.*evalkit list metrics"):
        get_metrics(["clip_scor"])


def test_the_template_ensemble_is_the_one_of_stylegan_nada():
    """CLIP's 80 ImageNet templates without the plural one: 79, all different."""
    sentences = TEMPLATES["imagenet79"]()
    assert len(set(sentences)) == 79
    assert "a bad photo of a {}." in sentences
    assert not any("many" in sentence for sentence in sentences)


def test_templates_do_not_double_the_full_stop():
    """A caption loses its full stop where the sentence brings one, and keeps it where it does not."""
    assert fill("none", "A cat.") == ("A cat.",)
    assert "a photo of the A cat." in fill("imagenet79", "A cat.")
    assert fill("photo_depicts", "A {curious} cat.") == ("A photo depicts A {curious} cat.",)
