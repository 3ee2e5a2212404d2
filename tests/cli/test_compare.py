"""``evalkit compare`` as a person runs it: the order of what is said, the JSON contract, exports, escapes."""

import csv
import io
import json
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.comparison.compare import compare
from evalkit.report.figures.view import MetricView
from tests.support.runs import A, B, random_runs, write_scores

PAIR_KEYS = [
    "metric", "a", "b", "n_items", "n_groups", "mean_a", "mean_b", "difference", "ci_low", "ci_high", "p_value",
    "adjusted_p_value", "effect_size_dz", "win", "tie", "loss", "minimum_detectable_effect", "verdict",
]  # fmt: skip
RANKING_KEYS = ["metric", "method", "mean", "ci_low", "ci_high", "rank_low", "rank_high"]
NASTY = r"[red]50%_of|A&B {x} $y$ #1 \emph{~^} <b>"


def evalkit(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def two(tmp_path):
    """Two runs of six items, b better on each."""
    return [write_scores(tmp_path / name, {"clip_score": values}) for name, values in (("a", A), ("b", B))]


@pytest.fixture
def nasty(tmp_path):
    """A table whose method has a name that every format would stumble over."""
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "method", "my_score"])
        for method, values in ((NASTY, A), ("=plain", B)):
            writer.writerows([number, method, value] for number, value in enumerate(values))
    return path


def test_json_holds_the_contract_and_nothing_else(two):
    """The documented keys in their order; nulls only with a reason among the notes."""
    done = evalkit("compare", *two, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert list(result) == ["comparisons", "ranking", "settings", "not_told_apart", "signature"]
    (pair,) = result["comparisons"]
    assert list(pair)[: len(PAIR_KEYS)] == PAIR_KEYS
    assert (pair["n_total"], pair["floor"], pair["rank_biserial"], pair["margin"]) == (6, None, None, None)
    assert pair["sentence"].startswith("b − a = +0.217")
    assert result["not_told_apart"] == {"clip_score": []}
    assert (pair["p_value"], pair["ci_low"], pair["verdict"]) == (2 / 64, 0.1, "b_better")
    assert [list(place) for place in result["ranking"]] == [[*RANKING_KEYS, "reason"]] * 2
    settings = result["settings"]
    assert [settings[key] for key in ("alpha", "seed", "test", "correction")] == [0.05, 0, "sign_flip", "holm"]


def test_the_table_comes_first_then_the_verdict_then_what_stands_below(two):
    """A person reads the answer at once: means, ranks, the sentence of the pair, a signature, where the rest is."""
    done = evalkit("compare", *two)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Means on tedbench with pointwise 95 % intervals, over 6 items in 6 groups")
    words = ("1 • 0.4350", "b − a = +0.217 clip_score [+0.100, +0.400] (95 %, 6 items in 6 groups)", "→ b is better",
             "enc:fake/net|dtype:fp32|sha:", "All pairs, sentences and notes: --details")  # fmt: skip
    places = [done.stdout.index(text) for text in words]
    assert places == sorted(places)
    assert "Comparisons on" not in done.stdout
    assert "clip_score|enc:fake/net@0123" in evalkit("compare", *two, "--signature", "full").stdout


def test_details_are_every_pair_every_sentence_and_every_note(tmp_path):
    """With few comparisons all are put into sentences, with many those on primary metrics; tables have them all."""
    runs = random_runs(tmp_path, list("abcd"), n=8, metrics=("clip_score", "clip_image_similarity"))
    extra = random_runs(tmp_path / "more", list("e"), n=8, metrics=("clip_score", "clip_image_similarity"))
    many = evalkit("compare", *runs, *extra, "--details").stdout
    assert many.count("→") == 10
    assert evalkit("compare", *runs, "--details").stdout.count("→") == 12
    assert evalkit("compare", *runs).stdout.count("→") == 0
    for metric in ("clip_score", "clip_image_similarity"):
        assert f"Comparisons on {metric} ↑: sign-flip test by group" in many
    assert many.count(" better") + many.count("inconclusive") >= 20
    assert "Ranks are sets" in many
    assert "--details" not in many


def test_options_reach_the_comparison(two):
    """Margin, baseline, test, correction, alpha and seed stand in the settings and act."""
    options = ["--margin", "clip_score=1", "--baseline", "b", "--alpha", "0.1", "--seed", "5", "--test", "t"]
    result = json.loads(evalkit("compare", *two, *options, "--correction", "none", "--json").stdout)
    (pair,) = result["comparisons"]
    assert (pair["a"], pair["b"], pair["verdict"]) == ("b", "a", "equivalent")
    kept = {key: result["settings"][key] for key in ("alpha", "seed", "test", "correction", "baseline", "margins")}
    assert kept == {
        "alpha": 0.1, "seed": 5, "test": "t", "correction": "none", "baseline": "b", "margins": {"clip_score": 1.0},
    }  # fmt: skip


def test_groups_may_be_a_column_or_a_file(tmp_path):
    """The same groups either way."""
    table = tmp_path / "t.csv"
    lines = [f"{n},{method},photo_{n // 2},{values[n]}" for method, values in (("a", A), ("b", B)) for n in range(6)]
    table.write_text("\n".join(["item,method,photo,score", *lines]))
    groups = tmp_path / "groups.csv"
    groups.write_text("item,group\n" + "".join(f"{n},g{n // 2}\n" for n in range(6)))
    for option in ("photo", groups):
        (pair,) = json.loads(evalkit("compare", table, "--groups", option, "--json").stdout)["comparisons"]
        assert (pair["n_groups"], pair["p_value"]) == (3, 0.25)


def test_the_csv_export_reads_back(two, nasty):
    """One line per comparison, numbers in full, names as they are but for what a spreadsheet would compute."""
    (line,) = csv.DictReader(io.StringIO(evalkit("compare", *two, "--export", "csv").stdout))
    assert list(line)[: len(PAIR_KEYS)] == PAIR_KEYS
    assert {"reason", "n_total", "rank_biserial_low", "groups_needed", "bound_low"} < set(line)
    assert (float(line["p_value"]), float(line["ci_high"]), line["verdict"]) == (2 / 64, 0.4, "b_better")
    (line,) = csv.DictReader(io.StringIO(evalkit("compare", nasty, "--export", "csv").stdout))
    assert (line["a"], line["b"]) == (NASTY, "'=plain")


def test_the_latex_export_is_well_formed_whatever_the_names(nasty):
    """Booktabs, balanced braces, the same number of cells in every row, and no special character left bare."""
    tex = evalkit("compare", nasty, "--export", "latex").stdout
    for part in (r"\toprule", r"\bottomrule", r"\begin{table}", r"\end{table}", r"\caption{"):
        assert tex.count(part) == 2
    # The one line that is a condition compares lengths with ">".
    body = "\n".join(line for line in tex.splitlines() if not line.startswith(("%", r"\resizebox{\ifdim")))
    bare = re.sub(r"\\[\\&%$#_{}]", "", body)
    assert bare.count("{") + tex.count(r"\resizebox") == bare.count("}")
    assert not re.search(r"[#~^<>|\"]|(?<!\\)%", bare)
    assert body.count("$") % 2 == 0
    assert not re.search(r"[^\x00-\x7f]", body)
    for table in body.split(r"\begin{tabular}")[1:]:
        lines = [line for line in table.splitlines() if not line.startswith(r"\multicolumn")]
        rows = [re.sub(r"\\&", "", line) for line in lines if line.endswith(r"\\")]
        columns = len(re.match(r"\{([lr]+)\}", table)[1])
        assert {row.count("&") + 1 for row in rows} == {columns}
        assert not any(row.startswith("[") for row in rows)
    assert r"\textbf{" in tex
    assert r"my\_score $\uparrow$" in tex
    assert "sign-flip test by group" in tex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: it is in Debian's texlive-latex-recommended")
@pytest.mark.parametrize("what", ["names that every format would stumble over", "many metrics and methods"])
def test_the_latex_export_compiles_and_fits_the_page(tmp_path, nasty, what):
    """LaTeX stops at nothing, and no table is wider than the text or longer than the page."""
    metrics = ["clip_score", "clip_directional_similarity", "clip_image_similarity", "psnr", "dino_image_similarity"]
    sources = [nasty] if "names" in what else random_runs(tmp_path, list("abcdefgh"), n=8, metrics=metrics)
    (tmp_path / "tables.tex").write_text(evalkit("compare", *sources, "--export", "latex").stdout)
    document = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{tables}\end{document}"
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-jobname=tables", document],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert not re.search(r"Overfull|too large|Missing character", done.stdout), done.stdout
    # Tables that were broken for length share a number.
    assert (tmp_path / "tables.aux").read_text().count(r"{table}{\numberline {2}") == (1 if "names" in what else 8)


def test_latex_says_what_a_plain_engine_cannot_set(tmp_path):
    """Letters that pdfTeX has no font for are named; Latin names need nothing."""
    names = {name: write_scores(tmp_path / name, {"clip_score": A}) for name in ("a", "Müller", "雪")}
    tex = evalkit("compare", names["a"], names["雪"], "--export", "latex").stdout
    assert "% Needs xelatex or lualatex, and a font that has 雪" in tex
    assert "xelatex" not in evalkit("compare", names["a"], names["Müller"], "--export", "latex").stdout


def test_ties_with_the_best_are_marked(tmp_path):
    """The best mean in bold, the one that cannot be told from it underlined, the worse one plain."""
    runs = random_runs(tmp_path, ["a", "b"], n=40)
    runs.append(write_scores(tmp_path / "far", {"clip_score": [n / 400 for n in range(40)]}))
    tex = evalkit("compare", *runs, "--export", "latex").stdout
    assert re.search(r"^b & \\textbf\{0\.\d+\}", tex, re.MULTILINE)
    assert re.search(r"^far & 0\.\d+ \\\\$", tex, re.MULTILINE)
    tied = random_runs(tmp_path / "tied", ["c", "d"], n=6)
    assert re.search(
        r"^[cd] & \\underline\{0\.\d+\}", evalkit("compare", *tied, "--export", "latex").stdout, re.MULTILINE
    )


def test_the_markdown_export_keeps_its_columns_whatever_the_names(nasty):
    """Every row of a table has as many cells as its header, and no markup comes from a name."""
    text = evalkit("compare", nasty, "--export", "md").stdout
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    assert "<b>" not in text.replace(r"\<b\>", "")
    assert r"\[red\]" in text
    assert "**" in text


def test_names_are_no_markup_on_the_terminal(nasty):
    """A method called "[red]…" is printed, and not obeyed."""
    assert "[red]50%" in evalkit("compare", nasty).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--margin", "clip_score"], "expected METRIC=NUMBER, got 'clip_score'"),
        (["--margin", "clip_score=wide"], "expected METRIC=NUMBER"),
        (["--test", "anova"], "--test"),
        (["--alpha", "2"], "--alpha"),
        (["--export", "csv", "--json"], "both take standard output"),
    ],
)
def test_wrong_usage_is_exit_code_2(two, options, message):
    """What cannot be understood is usage."""
    done = evalkit("compare", *two, *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_runs_that_differ_are_exit_code_1_with_the_field_named(tmp_path, two):
    """An error in one message, under --json as an object."""
    other = write_scores(tmp_path / "c", {"clip_score": B}, enc="other/net@4567")
    done = evalkit("compare", two[0], other)
    assert done.exit_code == 1
    assert "Error: a and c cannot be compared: clip_score differ in enc (encoder)" in done.stderr
    done = evalkit("compare", two[0], other, "--json")
    assert json.loads(done.stdout)["error"]["type"] == "RunError"


def test_miniature_scores_are_labelled(tmp_path):
    """A toy network's numbers are never shown as if they were real."""
    runs = [
        write_scores(tmp_path / name, {"clip_score": values}, enc="miniature/clip@0")
        for name, values in (("a", A), ("b", B))
    ]
    assert "miniature encoder: a dry run" in evalkit("compare", *runs).stdout


def test_figures_and_page_are_written_and_named(two, tmp_path):
    """Real runs give every figure and a page that says the verdict; standard output stays one JSON object."""
    figures, page = tmp_path / "new" / "figures", tmp_path / "page.html"
    done = evalkit("compare", *two, "--figures", figures, "--report", page, "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["comparisons"][0]["verdict"] == "b_better"
    kinds = {file.name.removesuffix("_clip_score.svg") for file in figures.glob("*.svg")}
    assert kinds == {"means", "forest", "ecdf", "heat_map"}
    assert f"Wrote 17 files to {figures}, shown in {figures / 'index.html'}" in done.stderr
    assert f"Wrote {page}" in done.stderr
    text = page.read_text("utf-8")
    assert "On clip_score ↑: b is better than a." in text
    assert "The pictures of a are not shown: " in text
    assert "is not there any more" in text


def test_all_figures_are_written_where_they_are_asked_for(two, tmp_path):
    """The flag adds the figures that the handful leaves out, and needs a directory."""
    done = evalkit("compare", *two, "--figures", tmp_path / "figures", "--figures-all")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "figures" / "power_clip_score.svg").is_file()
    done = evalkit("compare", *two, "--figures-all")
    assert done.exit_code == 2
    assert "--figures DIR where to: give both" in done.stderr


def test_a_place_that_cannot_be_written_is_one_sentence(two, tmp_path):
    """A page below a file cannot be written: the message names it and the options."""
    (tmp_path / "file").write_text("")
    done = evalkit("compare", *two, "--report", tmp_path / "file" / "page.html")

    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert "--report FILE.html" in done.stderr
    assert "Traceback" not in done.stderr


def test_figures_have_the_groups_of_the_comparison(two, tmp_path):
    """Groups given by a table replace those of the runs also where figures take their scores from."""
    table = tmp_path / "groups.csv"
    table.write_text("item_id,group\n" + "".join(f"item_{n},g{n // 2}\n" for n in range(6)))
    comparison = compare(two, groups=table)

    for method in comparison.methods:
        assert [row.group for row in method.table.rows] == ["g0", "g0", "g1", "g1", "g2", "g2"]
    drawn = MetricView(comparison=comparison, metric=comparison.metrics[0]).with_reference("a")
    assert drawn.groups == ("g0", "g0", "g1", "g1", "g2", "g2")
    assert [row.group for row in compare(two).methods[0].table.rows] == [f"item_{n}" for n in range(6)]
