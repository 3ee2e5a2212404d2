"""Whatever tables are compared, all that is said of them is true, wherever it is said.

Tables are drawn with ties, skew, rates, few groups, one dominating group, missing halves, seeds, extreme magnitudes and
2 to 12 methods; each is compared, put on every surface, read back from there, and held against `tests.support.audit`.
"""

import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.comparison.compare import compare
from evalkit.comparison.statements.methods import MEASURED
from evalkit.comparison.statements.terms import how_tested
from evalkit.errors import EvalkitError
from evalkit.leaderboard.protocol import get_protocol
from evalkit.leaderboard.ranking import rank_board
from evalkit.leaderboard.store import Leaderboard
from evalkit.report.figures.write import draw_figures
from tests.support.audit import AuditError, Said, audit, check_words
from tests.support.audit_boards import audit_board, board_of_runs, shown_by_name

NAMES = ("alpha", "b_2", "g x", "g\nx", "δ", "e&f", "[red]", "50 %", "a#b", "h^i", "{j}", "k~")
METRICS = {"quality": "any", "clip_score": "unit", "correct": "rate", "lpips": "lower"}
SHAPES = ("normal", "lognormal", "ties", "ratings", "constant", "one outlier")


@st.composite
def designs(draw):
    """What a table looks like, and what is asked of it."""
    chosen = draw(st.lists(st.sampled_from(list(METRICS)), min_size=1, max_size=3, unique=True))
    margin = draw(st.sampled_from([None, 0.1, 3.0]))
    return {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "n_methods": draw(st.sampled_from([2, 2, 3, 3, 4, 6, 12])),
        "sizes": draw(st.sampled_from([(1,) * 3, (1,) * 6, (1,) * 8, (2,) * 6, (1,) * 25, (12, *(1,) * 8), (3,) * 12])),
        "grouped": draw(st.booleans()),
        "metrics": chosen,
        "shape": draw(st.sampled_from(SHAPES)),
        "scale": draw(st.sampled_from([1.0, 1.0, 1.0, 1e-90, 1e-7, 1e6, 1e80])),
        "effect": draw(st.sampled_from([0.0, 0.05, 1.0, 3.0])),
        "n_seeds": draw(st.sampled_from([1, 1, 1, 2, 5])),
        "missing": draw(st.sampled_from(["nothing", "nothing", "a half", "some cells", "a method's values"])),
        "asked": {
            "test": draw(st.sampled_from(["sign_flip", "sign_flip", "sign_flip", "t", "wilcoxon"])),
            "correction": draw(st.sampled_from(["holm", "holm", "bh", "by", "none"])),
            "baseline": draw(st.sampled_from([None, None, None, "b_2"])),
            "primary": draw(st.sampled_from([(), tuple(chosen)])),
            "margins": {} if margin is None else {chosen[0]: margin if METRICS[chosen[0]] == "any" else 0.1},
            "alpha": draw(st.sampled_from([0.05, 0.05, 0.01, 0.2])),
        },
    }


def values_of(kind, design, rng, offset):
    """``(items, methods)`` scores of one metric."""
    n, k = sum(design["sizes"]), design["n_methods"]
    groups = np.repeat(np.arange(len(design["sizes"])), design["sizes"])
    noise = rng.normal(0, 1, (n, k)) + rng.normal(0, 0.7, (len(design["sizes"]), k))[groups]
    shift = design["effect"] * np.arange(k) / k + offset
    match design["shape"]:
        case "lognormal":
            noise = np.exp(noise)
        case "ties":
            noise = np.where(rng.random((n, k)) < 0.15, noise, 0.0)
        case "ratings":
            noise = np.round(noise + shift)
        case "constant":
            noise, shift = np.ones((n, k)), shift * (rng.random() < 0.5)
        case "one outlier":
            noise[0] += 1e5
    latent = noise + shift
    if kind == "any":
        return latent * design["scale"]
    if kind == "rate":
        return (latent > np.quantile(latent, rng.choice([0.05, 0.5, 0.95]))).astype(float)
    return np.clip(0.5 + 0.2 * latent, 0, 1)


def write_table(path, design):
    """The table as a CSV of one row per item, method and seed."""
    rng = np.random.default_rng(design["seed"])
    names = NAMES[: design["n_methods"]]
    groups = np.repeat(np.arange(len(design["sizes"])), design["sizes"])
    scores = {
        name: [values_of(METRICS[name], design, rng, 0.0) for _ in range(design["n_seeds"])]
        for name in design["metrics"]
    }
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "method", "seed", *(["group"] if design["grouped"] else []), *design["metrics"]])
        for item, group in enumerate(groups):
            for method, name in enumerate(names):
                if design["missing"] == "a half" and method == 1 and item % 2:
                    continue
                for seed in range(design["n_seeds"]):
                    cells = [repr(float(scores[metric][seed][item, method])) for metric in design["metrics"]]
                    if (design["missing"] == "some cells" and (item + method) % 7 == 0) or (
                        design["missing"] == "a method's values" and method == 1
                    ):
                        cells[0] = ""
                    writer.writerow([item, name, seed, *([group] if design["grouped"] else []), *cells])


def compared(tmp_path_factory, design):
    """The comparison of a drawn table, with every warning an error; None where it is refused."""
    path = tmp_path_factory.mktemp("audit") / "table.csv"
    write_table(path, design)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return compare([path], lower_is_better=[n for n in design["metrics"] if METRICS[n] == "lower"],
                           n_permutations=499, n_resamples=199, **design["asked"])  # fmt: skip
        except EvalkitError:
            return None


def audited(tmp_path_factory, design, **options):
    """Compare a drawn table and hold all that is said of it against the audit."""
    comparison = compared(tmp_path_factory, design)
    if comparison is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            audit(comparison, **options)


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch):
    monkeypatch.setattr("evalkit.report.page.render.draw_for_page", lambda *_, **__: iter(()))


SETTINGS = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@given(designs())
@settings(max_examples=150, **SETTINGS)
def test_what_is_said_of_a_table_is_true_wherever_it_is_said(tmp_path_factory, design):
    """Terminal, page, LaTeX, Markdown, CSV and JSON agree with one another and with what was decided."""
    audited(tmp_path_factory, design)


@pytest.mark.slow
@given(designs())
@settings(max_examples=2_000, **SETTINGS)
def test_what_is_said_of_many_tables_is_true(tmp_path_factory, design):
    """The same of two thousand tables."""
    audited(tmp_path_factory, design)


@given(designs())
@settings(max_examples=25, **SETTINGS)
def test_what_a_board_says_is_true(tmp_path_factory, design):
    """Ranks, sets and downloaded pairs of a board agree, and its page says the same."""
    root = tmp_path_factory.mktemp("board")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audit_board(*board_of_runs(root, *board_scores(design)))


@pytest.mark.parametrize("name", ["shapes/v1", "tedbench/v1"])
def test_what_the_published_boards_say_is_true(name):
    """The boards of this repository, as they are built from their entries."""
    entries = shown_by_name(Leaderboard(Path("leaderboard")).entries(name))
    audit_board(rank_board(get_protocol(name), entries), entries)


def board_scores(design):
    """Scores of two metrics by method: controls that methods can beat, and methods that differ or do not."""
    rng = np.random.default_rng(design["seed"])
    n, k = sum(design["sizes"]), design["n_methods"]
    groups = [f"g{group}" for group, size in enumerate(design["sizes"]) for _ in range(size)]
    metrics = ("clip_score", "clip_image_similarity")
    found = {"identity": [np.full(n, 0.1), np.full(n, 1.0)], "shuffled_source": [np.full(n, 0.2), np.full(n, 0.1)]}
    for number, name in enumerate(("alpha", "b_2", "delta", "eps", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")[:k]):
        shift = 0.05 * design["effect"] * number / k
        found[name] = [np.clip(0.5 + shift + 0.05 * rng.normal(size=n), 0, 1) for _ in metrics]
        if design["shape"] in ("ties", "constant"):
            found[name] = [np.where(rng.random(n) < 0.8, 0.5, np.round(values, 2)) for values in found[name]]
    scores = {
        name: {metric: np.round(values, 6).tolist() for metric, values in zip(metrics, columns, strict=True)}
        for name, columns in found.items()
    }
    return scores, groups


def drawn(tmp_path_factory, **changes):
    """One table that decides some pairs and not others."""
    design = {
        "seed": 1, "n_methods": 4, "sizes": (1,) * 25, "grouped": True, "metrics": ["clip_score", "lpips"],
        "shape": "normal", "scale": 1.0, "effect": 3.0, "n_seeds": 1, "missing": "nothing",
        "asked": {"test": "sign_flip", "correction": "holm", "margins": {"clip_score": 0.01}},
    }  # fmt: skip
    return compared(tmp_path_factory, {**design, **changes})


def test_names_that_take_two_lines_are_read_back(tmp_path):
    """Long names with quotes and line breaks are the same methods on every surface."""
    values = np.random.default_rng(0).normal(0, 1, (20, 2)).round(6)
    names = ("second\nline of a name", 'first "with" quotes')
    with (tmp_path / "table.csv").open("w", newline="") as file:
        rows = ([item, name, values[item, k]] for item in range(20) for k, name in enumerate(names))
        csv.writer(file).writerows([["item_id", "method", "score"], *rows])
    audit(compare([tmp_path / "table.csv"]))


def of_pair(decided, **changes):
    """Changes the first pair that is decided, or the first that is not."""

    def mutate(comparison):
        number = next(n for n, pair in enumerate(comparison.pairs) if (pair.winner is not None) == decided)
        pairs = list(comparison.pairs)
        pairs[number] = replace(
            pairs[number], **{k: v(pairs[number]) if callable(v) else v for k, v in changes.items()}
        )
        return replace(comparison, pairs=tuple(pairs))

    return mutate


def of_rank(**changes):
    """Changes the first row of the ranking."""
    return lambda comparison: replace(
        comparison, ranking=(replace(comparison.ranking[0], **changes), *comparison.ranking[1:])
    )


def together(comparison):
    """Puts a decided pair into a set that is not told apart."""
    pair = next(pair for pair in comparison.pairs if pair.winner is not None)
    sets = {**comparison.cliques, pair.metric: (*comparison.cliques[pair.metric], (pair.a, pair.b))}
    return replace(comparison, cliques=sets)


@pytest.mark.parametrize(
    ("mutate", "fault"),
    [
        (of_rank(rank_high=4), "are allowed"),
        (of_rank(rank_low=2), "are allowed"),
        (together, "decided and in a set"),
        (lambda comparison: replace(comparison, cliques={}), "in no set"),
        (of_pair(False, verdict="equivalent", equivalence_p_value=0.4), "equivalent at p = 0.4"),
        (of_pair(True, verdict=lambda p: {"a_better": "b_better"}.get(p.verdict, "a_better")), "is better by"),
        (of_pair(True, ci_low=-0.1, ci_high=0.1), "with an interval from"),
        (of_pair(False, ci_low=-1.5), "begins below"),
        (of_pair(False, ci_low=0.01, ci_high=0.01), "has no width"),
        (of_rank(ci_high=1.25), "ends above"),
        (of_rank(ci_high=float("inf")), "a number that is none"),
        (of_pair(False, difference=float("nan")), "a number that is none"),
        (of_pair(True, sentence=lambda p: p.sentence.replace("25 items", "26 items")), "n in"),
        (of_pair(False, sentence=lambda p: f"{p.sentence} → {p.b} is better"), "nobody wins"),
        (of_pair(True, sentence=lambda p: f"{p.sentence}; about 400 items would decide"), "would decide"),
        (of_pair(True, sentence=lambda p: f"−0.000 {p.sentence}"), "a zero with a sign"),
    ],
)  # fmt: skip
def test_the_audit_sees_what_is_not_so(tmp_path_factory, mutate, fault):
    """Each property fails where a record is changed against it."""
    comparison = drawn(tmp_path_factory)
    audit(comparison)
    with pytest.raises((AuditError, ValueError), match=fault if "none" not in fault else "."):
        audit(mutate(comparison))


def test_equivalence_without_a_margin_is_seen(tmp_path_factory):
    """The word equivalent needs a margin."""
    comparison = drawn(tmp_path_factory, asked={})
    with pytest.raises(AuditError, match="without a margin"):
        audit(of_pair(False, verdict="equivalent", equivalence_p_value=0.01)(comparison))


def test_captions_of_figures_are_held_against_the_same_words(tmp_path_factory):
    """No caption or alternative text names a test that was not made, or a number that is none."""
    for test in ("sign_flip", "t", "wilcoxon"):
        comparison = drawn(tmp_path_factory, asked={"test": test})
        for figure in draw_figures(comparison, everything=True):
            check_words(Said(where=figure.name, text=f"{figure.caption} {figure.alt}", metrics={}))
            if figure.name.split("_")[0] in ("forest", "cliques", "heat"):
                metric = next(m for m in comparison.metrics if figure.name.endswith(m.name))
                assert how_tested(comparison, metric) in figure.caption
    one = Said(where="a caption", text="Means, resampled by group", metrics={})
    with pytest.raises(AuditError, match="a test that was not made"):
        check_words(one)


def test_figures_of_false_positives_are_those_of_the_study():
    """What the methods section says of skew was measured by tests/studies/error_rates."""
    scenarios = json.loads(Path("tests/studies/error_rates.json").read_text())["scenarios"]
    for name, (words, rate) in MEASURED.items():
        assert scenarios[name]["rates"]["decided"] == pytest.approx(rate, abs=6e-4), words
