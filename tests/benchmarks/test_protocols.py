"""Protocols: what is fixed when numbers of different people are to stand in one table."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.controls import write_control
from evalkit.benchmarks.open import open_edits
from evalkit.benchmarks.protocol_tables import protocol_cells
from evalkit.benchmarks.protocols import PIE_BENCH_V2, PROTOCOLS, ProtocolColumn
from evalkit.cli import main
from evalkit.comparison.compare import compare
from evalkit.errors import UnknownNameError
from evalkit.scores.run import read_run
from tests.support.models import tiny_dino
from tests.support.pie_bench import EDITS, write_copy, write_outputs
from tests.support.runs import A, B, write_scores

ALL = [
    PROTOCOLS.get(name)
    for name in ("pie_bench/v2", "tedbench/v1", "shapes/v1", "magicbrush/v1", "magicbrush:multi_turn/v1")
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


def evalkit(*arguments):
    """The command, in this process."""
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
def test_a_protocol_fits_its_benchmark(protocol):
    """Its items and version are those of the benchmark that it names, and its margins are positive."""
    benchmark = BENCHMARKS.get(protocol.benchmark)()
    assert benchmark.version == protocol.benchmark_version
    assert not benchmark.items or len(protocol.covered(benchmark.items)) == protocol.n_items
    assert set(protocol.primary) <= set(protocol.metrics)
    assert set(protocol.margins) <= set(protocol.metrics)
    assert all(margin > 0 for margin in protocol.margins.values())
    assert protocol.evidence


def test_a_protocol_covers_whole_sources():
    """Of the shapes the first 72 edits, which are all of the first 18 sources: no group is cut in two."""
    items, protocol = BENCHMARKS.get("shapes")().items, PROTOCOLS.get("shapes/v1")
    covered = protocol.covered(items)
    assert covered == items[:72]
    assert not {item.group for item in covered} & {item.group for item in items[72:]}


def test_of_a_folder_with_more_than_the_protocol_covers_the_rest_is_left_out(tmp_path):
    """A whole benchmark's edits, and those that the protocol covers, give the same items and no problem."""
    shapes, protocol = BENCHMARKS.get("shapes")(), PROTOCOLS.get("shapes/v1")
    whole = write_control("identity", shapes.load(), tmp_path / "whole", rng=np.random.default_rng(0))
    for folder, dropped in ((whole, shapes.items[100:]), (whole, shapes.items[72:])):
        for item in dropped:
            shutil.rmtree(folder / item.item_id, ignore_errors=True)
        covered = protocol.part_of(open_edits(folder, benchmark="shapes").folder)
        assert [item.item_id for item in covered.items] == [item.item_id for item in shapes.items[:72]]
        assert {item.status for item in covered.items} == {"ok"}
        assert not [problem for problem in covered.problems if problem.code == "missing"]


@pytest.mark.parametrize("name", ["shapes/v1", "shapes/v2", "tedbench/v1"])
def test_margins_are_those_that_were_measured(name):
    """No number was chosen: each is the noise that the committed study found, of every column that has any."""
    study = json.loads((Path(__file__).parent.parent / "studies" / "protocol_margins.json").read_text())[name]
    protocol = PROTOCOLS.get(name)
    measured = {metric: study["metrics"][metric]["margin"] for metric in protocol.metrics if metric in study["metrics"]}
    assert dict(protocol.margins) == {metric: margin for metric, margin in measured.items() if margin is not None}
    assert study["n_items"] == protocol.n_items


@pytest.mark.parametrize(("name", "kept"), [("tedbench/v1", "metric_validity"), ("shapes/v1", "metric_validity_v1")])
def test_the_primary_preservation_metrics_agree_best_with_the_truth(name, kept):
    """Of the columns of preservation, over methods alone, as the committed study found."""
    study = json.loads((Path(__file__).parent.parent / "studies" / f"{kept}.json").read_text())
    agreement = {
        metric["metric"]: found["value"]
        for metric in study["metrics"]
        if metric["family"] == "preservation"
        for found in metric["agreements"]
        if (found["truth"], found["scope"], found["edit_type"]) == ("reference_closeness", "methods", None)
    }
    protocol = PROTOCOLS.get(name)
    tried = [metric for metric in protocol.metrics if agreement.get(metric) is not None]
    assert protocol.preservation == max(tried, key=agreement.__getitem__)


def test_a_misspelled_protocol_gets_the_nearest_names():
    """And the command that lists them."""
    with pytest.raises(UnknownNameError, match=r"Did you mean .*pie_bench/v2.*evalkit list protocols"):
        PROTOCOLS.get("pie_bench/v3")


def test_list_protocols_shows_what_is_fixed():
    """Columns, primary metrics, margins and where they come from."""
    done = evalkit("list", "protocols", "--json")
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) >= {"pie_bench/v2", "tedbench/v1", "shapes/v1"}
    assert len(rows["pie_bench/v2"]["columns"]) == 7
    assert rows["pie_bench/v2"]["encoder"] == "transformers:openai/clip-vit-large-patch14"
    assert "pie_bench/v2" in evalkit("list", "protocols").output


def test_the_columns_are_in_the_scales_of_the_published_table(tmp_path):
    """PnP Inversion with Prompt-to-Prompt, Ju et al. 2024, table 1, from values as records hold them."""
    raw = {
        "structure_distance:pie_bench": 0.01165,
        "psnr_background:pie_bench": 27.22,
        "lpips_background:pie_bench": 0.05455,
        "mse_background:pie_bench": 0.003286,
        "ssim_background:pie_bench": 0.8476,
        "clip_score": 0.2502,
        "clip_score:pie_bench": 22.10,
    }
    published = ["11.65", "27.22", "54.55", "32.86", "84.76", "25.02", "22.10"]
    record = read_run(write_scores(tmp_path / "run", {name: [value] for name, value in raw.items()})).record
    means = {name: summary.model_copy(update={"mean": raw[name]}) for name, summary in record.metrics.items()}
    cells = protocol_cells(record.model_copy(update={"metrics": means}), PIE_BENCH_V2)
    assert [cell["text"] for cell in cells] == published


@pytest.fixture
def small(monkeypatch):
    """PIE-Bench's protocol cut down to four edits, the toy encoder and the metrics that it has."""
    protocol = replace(
        PIE_BENCH_V2,
        n_items=len(EDITS),
        encoder="miniature",
        columns=(
            ProtocolColumn(metric="clip_score", title="CLIP whole", scale=1e2, digits=2),
            ProtocolColumn(metric="clip_image_similarity", title="Similarity ×10²", scale=1e2, digits=2),
        ),
        alignment="clip_score",
        preservation="clip_image_similarity",
        margins={"clip_image_similarity": 0.5},
    )
    monkeypatch.setattr("evalkit.benchmarks.protocols.PIE_BENCH_V2", protocol)
    return protocol


@pytest.fixture
def folders(tmp_path):
    """A copy of the benchmark and a method's outputs in the authors' layout."""
    return write_copy(tmp_path / "copy"), write_outputs(tmp_path / "output" / "p2p")


def test_a_protocol_decides_benchmark_metrics_and_encoder(small, folders, tmp_path):
    """One option scores the folder; the table is in its scales, the record keeps the values as they are."""
    copy, outputs = folders
    done = evalkit(
        "score", outputs, "--protocol", "pie_bench/v2", "--data", copy, "--output", tmp_path / "run", "--json"
    )
    assert done.exit_code in (0, 3), done.output
    printed = json.loads(done.stdout)
    record = read_run(tmp_path / "run").record
    assert (record.protocol, record.benchmark) == ("pie_bench/v2", "pie_bench")
    assert tuple(record.metrics) == small.metrics
    columns = printed["protocol"]["columns"]
    assert [column["title"] for column in columns] == ["CLIP whole", "Similarity ×10²"]
    assert columns[1]["value"] == pytest.approx(100 * record.metrics["clip_image_similarity"].mean)
    shown = evalkit("score", outputs, "--protocol", "pie_bench/v2", "--data", copy, "--output", tmp_path / "run")
    assert "As pie_bench/v2 prints it" in shown.output
    assert columns[1]["text"] in shown.output


def test_the_seven_columns_of_pie_bench_are_scored(tmp_path, monkeypatch, folders, backbones, tiny_transformers_clip):
    """Each has a number, in the order and the scales of the table; here of random networks of the true kinds."""
    monkeypatch.setattr(
        "evalkit.benchmarks.protocols.PIE_BENCH_V2",
        replace(PIE_BENCH_V2, n_items=len(EDITS), encoder=tiny_transformers_clip),
    )
    tiny_dino("vit", tmp_path / "vit")
    copy, outputs = folders
    done = evalkit(
        "score", outputs, "--protocol", "pie_bench/v2", "--data", copy, "--output", tmp_path / "run", "--json",
        "--encoder", f"lpips_squeeze:{backbones['squeeze'][0]}",
        "--encoder", f"dino_structure_pie_bench:{tmp_path / 'vit'}",
    )  # fmt: skip
    assert done.exit_code in (0, 3), done.output
    columns = json.loads(done.stdout)["protocol"]["columns"]
    record = read_run(tmp_path / "run").record
    assert [column["title"] for column in columns] == [column.title for column in PIE_BENCH_V2.columns]
    for shown, column in zip(columns, PIE_BENCH_V2.columns, strict=True):
        assert shown["value"] == pytest.approx(record.metrics[column.metric].mean * column.scale)
    background = record.metrics["mse_background:pie_bench"]
    assert background.undefined == {"no_background": 1}
    assert record.metrics["structure_distance:pie_bench"].n == len(EDITS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metrics", "clip_score"), "leave --metrics out"),
        (("--encoder", "miniature"), "leave --encoder miniature out"),
        (("--missing", "intersect"), "expected fail or floor, got intersect"),
        (("--dtype", "bf16"), "expected fp32, got bf16"),
    ],
)
def test_what_a_protocol_fixes_cannot_be_chosen(small, folders, tmp_path, options, said):
    """The first thing that differs is named, and nothing is scored."""
    copy, outputs = folders
    run = tmp_path / "run"
    done = evalkit("score", outputs, "--protocol", "pie_bench/v2", "--data", copy, "--output", run, *options)
    assert done.exit_code == 1
    assert said in done.output
    assert not run.exists()


def test_a_part_of_the_benchmark_is_not_the_protocol(folders, tmp_path):
    """Four items are not the 700."""
    copy, outputs = folders
    done = evalkit("score", outputs, "--protocol", "pie_bench/v2", "--data", copy, "--output", tmp_path / "run")
    assert done.exit_code == 1
    assert "expected 700, got 4" in done.output


def test_the_first_demand_that_is_not_met_is_named():
    """Another benchmark, version or number of images; every copy of a version will do."""
    met = {"benchmark": "pie_bench", "n_items": 700, "missing": "fail", "dtype": "fp32", "n_seeds": 1,
           "version": "v1@0123456789ab"}  # fmt: skip
    assert PIE_BENCH_V2.mismatch(**met) is None
    assert "expected pie_bench, got shapes" in PIE_BENCH_V2.mismatch(**{**met, "benchmark": "shapes"})
    assert "version of the benchmark" in PIE_BENCH_V2.mismatch(**{**met, "version": "v2@0123456789ab"})
    assert "edited images per item" in PIE_BENCH_V2.mismatch(**{**met, "n_seeds": 2})


@pytest.fixture
def agreed(monkeypatch):
    """The shapes' protocol with a margin that the runs below lie inside of."""
    protocol = replace(
        PROTOCOLS.get("shapes/v1"), alignment="clip_score", preservation="lpips", margins={"clip_score": 0.5}
    )
    monkeypatch.setattr("evalkit.benchmarks.protocols.SHAPES_V1", protocol)
    return protocol


def runs(tmp_path, *protocols):
    """Runs of two metrics under those protocols."""
    scores = [A, B]
    return [
        write_scores(tmp_path / f"run{n}", {"other": scores[n], "clip_score": scores[n]}, protocol=protocol)
        for n, protocol in enumerate(protocols)
    ]


def test_runs_of_one_protocol_are_compared_by_its_margins(agreed, tmp_path):
    """And by its primary metrics; a note says so, and the verdict uses the margin."""
    comparison = compare(runs(tmp_path, "shapes/v1", "shapes/v1"))
    metrics = {metric.name: metric for metric in comparison.metrics}
    assert metrics["clip_score"].margin == 0.5
    assert metrics["clip_score"].primary
    assert not metrics["other"].primary
    assert metrics["other"].margin is None
    assert any(note.startswith("as shapes/v1 has it") and "clip_score ±0.5" in note for note in comparison.notes)
    pair = next(pair for pair in comparison.pairs if pair.metric == "clip_score")
    assert pair.practically_equivalent or pair.verdict == "equivalent"


def test_what_the_user_says_comes_before_the_protocol(agreed, tmp_path):
    """A margin and a primary metric of one's own."""
    comparison = compare(runs(tmp_path, "shapes/v1", "shapes/v1"), margins={"clip_score": 0.001}, primary=["other"])
    metrics = {metric.name: metric for metric in comparison.metrics}
    assert metrics["clip_score"].margin == 0.001
    assert metrics["other"].primary
    assert not metrics["clip_score"].primary


@pytest.mark.parametrize(
    "protocols", [("shapes/v1", None), (None, None), ("shapes/v1", "tedbench/v1"), ("x/v1", "x/v1")]
)
def test_without_a_common_protocol_no_margin_is_assumed(agreed, tmp_path, protocols):
    """Neither of one run alone, nor of one that is no longer known."""
    comparison = compare(runs(tmp_path, *protocols))
    assert all(metric.margin is None for metric in comparison.metrics)
    assert comparison.metrics[0].primary


def test_clip_score_orders_methods_against_what_they_keep():
    """As the guide and the protocol of TEdBench say: it sees no control that loses what no caption names."""
    study = json.loads((Path(__file__).parent.parent / "studies" / "metric_validity.json").read_text())
    found = next(metric for metric in study["metrics"] if metric["metric"] == "clip_score")
    kept = {
        agreement["truth"]: agreement["ci_high"]
        for agreement in found["agreements"]
        if (agreement["scope"], agreement["edit_type"]) == ("methods", None)
    }
    blind = {control["control"]: control for control in found["controls"] if control["control"].startswith("other_")}
    assert all(kept[f"{kind}_preservation"] < 0 for kind in ("subject_detail", "scene_detail", "unnamed_attribute"))
    assert len(blind) == 3
    assert all(control["ci_low"] < 0.5 for control in blind.values())
