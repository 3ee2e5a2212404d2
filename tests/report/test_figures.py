"""Figures: what is drawn, that it can be read, and that the same data give the same files."""

import csv
import io
import math
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from evalkit.report.figures.means import cliques, crowded_leaders, forest, means
from evalkit.report.figures.pairs import common_scales, ecdf, heat_map
from evalkit.report.figures.power_curve import curve_of, planning_alpha, power_curve
from evalkit.report.figures.style import (
    COLOURS,
    figure_style,
    method_styles,
    rendered,
    short_labels,
    with_fixed_layout,
)
from evalkit.report.figures.trade_off import crowded, mean_covariance, region_radius, trade_off
from evalkit.report.figures.view import MetricView
from evalkit.report.figures.write import FORMATS, draw_figures, draw_for_page, write_figures
from evalkit.scores.frame import ScoreFrame
from evalkit.stats.clusters import cluster_error, code_groups
from evalkit.stats.power import Design, minimum_detectable_effect
from tests.support.comparisons import METRICS, NAMES, comparison_of

ALIGNED, PRESERVED = METRICS
HOSTILE = ("a$b_$ <script>", 'x" onload="y', "line\nbreak\x00", "名前", "z" * 80)


def view_of(comparison, metric):
    """A metric of a comparison."""
    return MetricView(comparison=comparison, metric=metric)


def table_of(drawn):
    """The rows behind a figure, as dictionaries."""
    return [dict(zip(drawn.columns, row, strict=True)) for row in drawn.rows]


def test_writes_every_format_with_its_numbers_and_a_caption(tmp_path):
    """Each figure comes as SVG, PDF and PNG, with a CSV of its numbers and its caption in one page of captions."""
    comparison = comparison_of(2, n_items=20, metrics=METRICS[:1])
    files = write_figures(draw_figures(comparison, everything=True), tmp_path / "figures")

    assert sorted({file.suffix for file in files}) == [".csv", ".html", ".pdf", ".png", ".svg"]
    stems = {file.stem for file in files if file.suffix == ".svg"}
    assert stems == {f"{kind}_clip_score" for kind in ("means", "forest", "cliques", "ecdf", "heat_map", "power")}
    starts = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG"}
    assert all(file.read_bytes().startswith(starts.get(file.suffix, b"")) for file in files)
    assert files[-1].name == "index.html"
    index = files[-1].read_text()
    assert all(f'<img src="{stem}.svg"' in index and f'href="{stem}.pdf"' in index for stem in stems)
    assert "sign-flip test by group" in index
    rows = list(csv.reader(io.StringIO((tmp_path / "figures" / "forest_clip_score.csv").read_text())))
    assert [row[0] for row in rows] == ["method", "identity", "imagic"]


def test_a_handful_is_drawn_unless_all_are_asked_for():
    """The first primary metric's figures and one trade-off; all metrics' with everything."""
    names = [drawn.name for drawn in draw_figures(comparison_of(3, n_items=20))]
    everything = [drawn.name for drawn in draw_figures(comparison_of(3, n_items=20), everything=True)]

    assert names == [*(f"{kind}_clip_score" for kind in ("means", "forest", "ecdf", "heat_map")),
                     "trade_off_clip_score_lpips"]  # fmt: skip
    assert len(everything) == 13
    assert set(names) < set(everything)


def test_equal_data_give_equal_files():
    """Two drawings of one comparison are the same bytes in every format: no date, no random identifier."""
    first, second = (_drawn(forest, comparison_of(3, n_items=20), ALIGNED) for _ in range(2))

    for file_format in FORMATS:
        assert rendered(first, file_format) == rendered(second, file_format), file_format


def test_all_captions_name_level_and_unit_of_resampling():
    """Every caption says how sure its intervals or verdicts are, and what was resampled."""
    drawn = list(draw_figures(comparison_of(3, n_items=20), everything=True))

    assert len(drawn) == 13
    for one in drawn:
        assert "95 %" in one.caption or "α = 0.0" in one.caption, one.name
        assert "20 items in 10 groups" in one.caption, one.name
        assert one.alt


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("n_methods", [2, 12])
def test_no_texts_overlap_or_leave_the_figure(n_methods, narrow):
    """With two methods or twelve, with long names, no text lies on another or is cut off, nor on a phone."""
    comparison = comparison_of(n_methods, n_items=20)
    of_metric = [drawn for drawn in draw_figures(comparison, everything=True) if not drawn.name.endswith("_lpips")]
    for drawn in draw_for_page(comparison, narrow=True) if narrow else of_metric:
        renderer = FigureCanvasAgg(drawn.figure).get_renderer()
        boxes = [(text, text.get_window_extent(renderer)) for text in _texts(drawn.figure)]
        width, height = drawn.figure.canvas.get_width_height()
        for text, box in boxes:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, f"{drawn.name}: '{text.get_text()}' is cut off"
        for (one, a), (two, b) in combinations(boxes, 2):
            apart = min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1
            assert apart, f"{drawn.name}: '{one.get_text()}' lies on '{two.get_text()}'"


def test_a_method_has_one_style_and_one_label_everywhere():
    """Colours follow the order of the methods, a second round differs in marker and line; cut labels stay different."""
    style = method_styles(NAMES)
    assert style["imagic"].colour == COLOURS[0] == style["diffusionclip"].colour
    assert style["imagic"].line != style["diffusionclip"].line
    assert len({(one.colour, one.marker, one.line) for one in style.values()}) == 12
    assert [name for name, one in style.items() if one.hollow] == ["identity"]

    labels = short_labels(["a" * 60 + "1", "a" * 60 + "2", "a" * 20 + "b" * 40 + "a" * 20, "short"])
    assert labels["short"] == "short"
    assert len(set(labels.values())) == 4
    assert all(len(label) <= 38 for label in labels.values())


def test_hostile_names_are_only_text():
    """Formulas, markup, line breaks, control characters and other scripts in names make valid SVG and no markup."""
    comparison = comparison_of(5, names=HOSTILE, n_items=10)
    svg = rendered(_drawn(forest, comparison, ALIGNED), "svg").decode()

    root = ElementTree.fromstring(svg)
    assert not [node for node in root.iter() if node.tag.endswith("script") or node.get("onload")]
    texts = {node.text for node in root.iter() if node.tag.endswith("text")}
    assert {"a$b_$ <script>", "line�break�", "名前"} <= texts


def test_forest_holds_the_pairs_turned_towards_the_reference():
    """Differences are method minus baseline, with the interval turned where the pair was compared the other way."""
    comparison = comparison_of(3, n_items=20, baseline="plug-and-play")
    rows = {row["method"]: row for row in table_of(_drawn(forest, comparison, ALIGNED))}
    means = {m.name: m.table.item_means("clip_score").values.mean() for m in comparison.methods}

    assert rows["imagic"]["difference"] == pytest.approx(means["imagic"] - means["plug-and-play"], abs=1e-12)
    assert rows["imagic"]["difference_ci_low"] < rows["imagic"]["difference"] < rows["imagic"]["difference_ci_high"]
    assert rows["plug-and-play"]["difference"] is None


def test_turning_a_pair_swaps_wins_and_verdict():
    """A pair seen from the other side has the opposite difference, wins and standing."""
    comparison = comparison_of(4, spread=0.2)
    pair = next(p for p in comparison.pairs if (p.metric, p.a, p.b) == ("lpips", "imagic", "plug-and-play"))
    one, other = (pair.seen_from(name) for name in ("imagic", "plug-and-play"))

    assert (one.a, one.b) == (other.b, other.a) == ("plug-and-play", "imagic")
    assert (one.verdict_on("imagic"), other.verdict_on("imagic"), other.verdict_on("plug-and-play")) == (
        "better", "better", "worse",
    )  # fmt: skip
    assert (one.win, one.loss, one.difference) == (other.loss, other.win, -other.difference)
    assert (one.ci_low, one.ci_high, one.mean_a) == (-other.ci_high, -other.ci_low, other.mean_b)
    assert one.win_rate + other.win_rate == pytest.approx(1)


def test_the_reference_is_the_baseline_or_the_best():
    """Without a baseline the others are held against the best mean, which is the lowest where lower is better."""
    comparison = comparison_of(4, spread=0.2)
    means = {m.name: m.table.item_means("lpips").values.mean() for m in comparison.methods}

    assert view_of(comparison, PRESERVED).reference == min(means, key=means.get)
    assert view_of(comparison_of(4, baseline="identity"), PRESERVED).reference == "identity"


def test_figures_rest_on_the_items_of_the_tables():
    """Where a third method lacks an item, the pairs of methods that are ranked leave it out, and figures do too."""
    comparison = comparison_of(3, n_items=20)
    third = comparison.methods[2]
    shorter = replace(third, table=ScoreFrame.from_rows(third.table.rows[1:], third.table.metrics))
    one = replace(comparison, methods=(*comparison.methods[:2], shorter))
    alone = tuple(replace(row, rank_low=None) if row.method == third.name else row for row in one.ranking)

    def n_items(one, metric=ALIGNED):
        return len(view_of(replace(one, baseline="identity"), metric).with_reference("imagic").item_ids)

    assert n_items(one) == 19
    assert n_items(replace(one, ranking=alone)) == 20
    itself = view_of(replace(comparison, baseline="imagic"), PRESERVED).with_reference("imagic")
    assert not itself.columns.std(axis=1).any()


def test_the_distribution_shows_ties_as_a_jump():
    """Items that tie are zeros of the data, and a vertical stroke at 0 as high as their share."""
    drawn = _drawn(ecdf, comparison_of(2, n_items=60), ALIGNED)
    zeros = [row for row in table_of(drawn) if row["difference"] == 0]
    strokes = [
        line for line in drawn.figure.axes[0].lines if line.get_linewidth() > 3 and list(line.get_xdata()) == [0, 0]
    ]

    assert len(zeros) == 12
    low, high = strokes[0].get_ydata()
    assert high - low == pytest.approx(12 / 60)


def test_a_panel_that_would_collapse_has_its_own_scale():
    """Panels share one axis; those that would fill less than a sixth of it share another, and so on."""
    wide, other, small, smaller = (-1.0, 0.2), (-0.4, 0.4), (-0.01, 0.05), (-0.0001, 0.0)
    scales = common_scales([wide, small, other, smaller, small])

    assert scales[0] == scales[2] == pytest.approx((-1.07, 0.47))
    assert scales[1] == scales[4]
    assert len(set(scales)) == 3
    for (low, high), (left, right) in zip((wide, small, other, smaller, small), scales, strict=True):
        assert left < low
        assert high < right
        assert high - low > (right - left) / 8
    assert common_scales([(0.0, 0.0)] * 2) == [(-1.0, 1.0)] * 2


def test_regions_that_crowd_are_enlarged():
    """Three or more in a small part of the picture are found; those that fill it are not."""

    def box(x, y, half=0.01):
        return np.array([[x - half, y - half], [x + half, y + half]])

    crowd = [box(0.9, 0.9), box(0.91, 0.92), box(0.89, 0.9)]
    assert crowded([box(0, 0), *crowd, box(0.5, 0.1)]) == [1, 2, 3]
    assert crowded([box(0, 0), box(0.5, 0.5), box(1, 1), box(1, 0)]) == []
    assert crowded(crowd[:2]) == []
    assert crowded([box(0, 0, 0)] * 4) == []


def test_the_leaders_are_enlarged_where_the_axis_of_all_does_not_tell_them_apart():
    """Only those that no other is decided better than, only where they stand first, and only where they crowd."""
    rows = view_of(comparison_of(3, n_items=20), ALIGNED).with_mean

    def at(*means, tied):
        return [
            replace(rows[0], mean=mean, ci_low=mean - 0.01, ci_high=mean + 0.01, tied_with_best=number < tied)
            for number, mean in enumerate(means)
        ]

    assert len(crowded_leaders(at(0.9, 0.91, 0.1, tied=2))) == 2
    assert crowded_leaders(at(0.9, 0.91, 0.1, tied=1)) == []
    assert crowded_leaders(at(0.9, 0.91, tied=2)) == []
    assert crowded_leaders(at(0.9, 0.5, 0.1, tied=2)) == []
    assert crowded_leaders(at(tied=0)) == []


def test_means_stand_beside_their_ranks():
    """Each bar goes from the least to the greatest rank; rows that no method is decided better than are shaded."""
    comparison = comparison_of(4, n_items=20)
    drawn = _drawn(means, comparison, ALIGNED)
    rows = table_of(drawn)
    bars = [line.get_xdata().tolist() for line in drawn.figure.axes[-1].lines]

    assert bars == [[row["rank_low"] - 0.32, row["rank_high"] + 0.32] for row in rows]
    shaded = list(drawn.figure.axes[-1].patches)
    assert len(shaded) == sum(row["tied_with_best"] for row in rows) > 0
    assert "Shaded: no method is decided better." in drawn.caption


def test_sets_need_not_be_neighbours():
    """A set of methods that are not told apart has dots at its members only, however far apart their ranks are."""
    comparison = comparison_of(3, n_items=20)
    order = [row.method for row in comparison.ranking if row.metric == "clip_score"]
    gap = {"clip_score": ((order[0], order[2]), (order[1],))}
    drawn = _drawn(cliques, replace(comparison, cliques=gap), ALIGNED)

    assert [(row["set"], row["method"]) for row in table_of(drawn)] == [(1, order[0]), (1, order[2]), (2, order[1])]
    assert [len(dots.get_offsets()) for dots in drawn.figure.axes[1].collections] == [2, 1]
    assert "α = 0.05" in drawn.caption
    assert "holm" in drawn.caption.lower()


def test_the_heat_map_marks_what_is_not_decided():
    """Inconclusive cells are hatched, equivalent ones carry a dot, and both triangles are there."""
    comparison = comparison_of(6)
    drawn = _drawn(heat_map, comparison, ALIGNED)
    axes = drawn.figure.axes[0]
    standings = [row["standing_of_row"] for row in table_of(drawn)]

    assert len(standings) == 30
    assert sum(bool(patch.get_hatch()) for patch in axes.patches) == standings.count("inconclusive") > 0
    assert len(axes.lines) == standings.count("equivalent") > 0


def test_with_a_baseline_there_are_no_sets_and_no_heat_map():
    """Figures that need all pairs are left out where only pairs with the baseline were compared."""
    names = {drawn.name for drawn in draw_figures(comparison_of(3, n_items=20, baseline="identity"), everything=True)}

    assert names == {
        f"{kind}_{metric}" for kind in ("means", "forest", "ecdf", "power") for metric in ("clip_score", "lpips")
    } | {"trade_off_clip_score_lpips"}


def test_joint_covariance_has_the_group_robust_errors_on_its_diagonal():
    """The 2×2 covariance is the square of the standard error that intervals use, and for independent items S/n."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(30, 2))
    groups = tuple(str(i // 3) for i in range(30))
    covariance, freedom = mean_covariance(values, groups)
    single, _ = mean_covariance(values, tuple(map(str, range(30))))

    for column in range(2):
        alone = cluster_error(values[:, column], code_groups(groups))
        assert (covariance[column, column], freedom) == (pytest.approx(alone.error**2), alone.freedom)
    assert single == pytest.approx(np.cov(values.T) / 30)
    assert mean_covariance(values[:4], ("a", "a", "b", "b")) is None


def test_confidence_regions_cover_the_mean():
    """95 of 100 ellipses of normal data hold the true mean (2,000 samples of 12 items)."""
    rng = np.random.default_rng(2)
    mixing = np.array([[1.0, 0.0], [0.8, 0.3]])
    inside = 0
    for _ in range(2_000):
        values = rng.normal(size=(12, 2)) @ mixing.T
        mean = values.mean(axis=0)
        covariance, freedom = mean_covariance(values, tuple(map(str, range(12))))
        inside += mean @ np.linalg.solve(covariance, mean) <= region_radius(freedom, 0.05) ** 2

    assert inside / 2_000 == pytest.approx(0.95, abs=0.015)


def test_lower_is_better_points_to_the_right_too():
    """The axis of a lower-is-better metric is reversed: the better corner is always at the top right."""
    axes = _drawn(lambda view: trade_off(view, PRESERVED), comparison_of(3, n_items=20), ALIGNED).figure.axes[0]

    assert axes.xaxis.get_inverted()
    assert not axes.yaxis.get_inverted()


def test_the_power_curve_halves_with_four_times_the_items_and_passes_through_the_tables_figure():
    """Far from small samples it falls with the root of the number of items; alpha is that of the table's family."""
    curve = curve_of(Design(standard_deviation=0.2), 400, 0.05)
    at = dict(zip(curve.groups, curve.effects, strict=True))
    assert curve.now == at[400] == pytest.approx(0.01 * 2.8, rel=0.01)
    assert at[6_400] == pytest.approx(at[400] / 4, rel=0.01)
    assert list(curve.effects) == sorted(curve.effects, reverse=True)

    comparison = comparison_of(3, n_items=20)
    n_found = sum(pair.adjusted_p_value <= 0.05 for pair in comparison.pairs if pair.metric == "lpips")
    levels = [planning_alpha(view_of(comparison, metric)) for metric in METRICS]
    assert levels == pytest.approx([0.05 / 3, 0.05 * max(1, n_found) / 3])
    small = curve_of(Design(standard_deviation=0.01 * 20**0.5, group_sizes=(2,)), 20, 0.05 / 3)
    assert small.now == minimum_detectable_effect(
        standard_error=0.01, degrees_of_freedom=9, alpha=0.05 / 3, n_groups=10
    )


def test_the_power_curve_is_drawn_in_whole_groups_and_not_below_the_floor():
    """It starts where the smallest p-value allows it, counts whole groups, and is absent where none is in reach."""
    few = curve_of(Design(standard_deviation=1.0, group_sizes=(2.5,)), 20, 0.05 / 45)
    assert (few.groups[0], few.items[0], few.now) == (11, 28, None)
    assert [math.ceil(2.5 * groups) for groups in few.groups] == list(few.items)
    assert curve_of(Design(standard_deviation=1.0, group_sizes=(20,)), 20, 1e-9) is None
    assert curve_of(Design(standard_deviation=1.0, group_sizes=(2.5,)), 20, 0.05 / 45, sign_flip=False).now > 0


def test_the_power_curve_says_what_is_found_and_names_no_smallest_difference():
    """The caption speaks of true differences that four of five such studies would find."""
    drawn = _drawn(power_curve, comparison_of(3, n_items=20), ALIGNED)
    assert "would be found by four of five such studies" in drawn.caption
    assert "nothing can be found" in drawn.caption
    assert "mallest" not in drawn.caption + drawn.alt


def test_degenerate_scores_leave_figures_out_and_raise_nothing():
    """Equal methods have no power curve, a metric without any value has no figure, one item draws."""
    comparison = comparison_of(2, names=("a", "a2"), n_items=20)
    same = replace(comparison, methods=tuple(replace(m, table=comparison.methods[0].table) for m in comparison.methods))
    nothing = replace(
        comparison, ranking=tuple(replace(r, mean=None, ci_low=None, ci_high=None) for r in comparison.ranking)
    )

    assert power_curve(view_of(same, ALIGNED)) is None
    assert [drawn.name for drawn in draw_figures(nothing, everything=True)] == ["trade_off_clip_score_lpips"]


def test_numbers_in_the_forest():
    """A difference and its interval have the same decimals, and the p-value is written as in the tables."""
    comparison = comparison_of(2, n_items=20)
    (pair,) = (pair for pair in comparison.pairs if pair.metric == ALIGNED.name)
    pair = replace(pair, difference=-0.0123456, ci_low=-0.02, ci_high=0.000107, adjusted_p_value=0.0471)
    shown = {text.get_text() for text in _texts(_drawn(forest, replace(comparison, pairs=(pair,)), ALIGNED).figure)}
    numbers = ("−0.0123 [−0.0200, +0.0001]  p = 0.0471", "+0.0123 [−0.0001, +0.0200]  p = 0.0471")

    assert len(shown.intersection(numbers)) == 1


def _drawn(draw, comparison, metric):
    with figure_style():
        return with_fixed_layout(draw(view_of(comparison, metric)))


def _texts(figure):
    """Every visible text with letters in it."""
    for axes in figure.axes:
        if axes.get_visible():
            yield from (t for t in axes.findobj(lambda a: hasattr(a, "get_window_extent") and hasattr(a, "get_text"))
                        if t.get_visible() and t.get_text().strip() and _drawn_in(t, axes))  # fmt: skip
    yield from (t for t in figure.texts if t.get_text())
    for legend in figure.legends:
        yield from legend.get_texts()


def _drawn_in(text, axes):
    """Tick labels exist also where they are switched off or outside the limits."""
    for axis in (axes.xaxis, axes.yaxis):
        for tick in axis.get_major_ticks():
            if text in (tick.label1, tick.label2):
                low, high = sorted(axis.get_view_interval())
                return low <= tick.get_loc() <= high
    return text is not axes.title or bool(text.get_text())
