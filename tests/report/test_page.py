"""The page: verdicts first, all of it in one file, nothing in a name can act, and it can be used by anybody."""

import base64
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from evalkit.benchmarks.open import open_edits
from evalkit.comparison.statements.methods import methods_section
from evalkit.comparison.statements.pairs import verdict_words
from evalkit.comparison.statements.rankings import headline
from evalkit.edits.check import edits_digest
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.errors import BenchmarkError
from evalkit.formatting import format_interval, format_score
from evalkit.images.decode import write_image
from evalkit.judges.judgement import Judgement
from evalkit.report.page.cells import means_columns
from evalkit.report.page.gallery import MAX_ITEMS, MAX_PICTURES, MAX_WORDS, build_gallery, choose_items
from evalkit.report.page.pictures import THUMBNAIL
from evalkit.report.page.render import render_page, script_data, write_page
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import FolderRecord
from tests.support.audit import Tables
from tests.support.comparisons import METRICS, comparison_of
from tests.support.folders import put
from tests.support.pages import with_judgements

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'
VOID = {"meta", "img", "br", "path", "use", "rect", "link", "wbr", "input"}


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, texts by element, and whether all are closed."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.open, self.wrong = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """An element without content."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """An element ends."""
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        """Text."""
        if self.open and data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag):
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Edit folders of two methods on four items, with a hostile caption, a missing edit and a large picture."""
    root = tmp_path_factory.mktemp("edits")
    rng = np.random.default_rng(0)
    found = {}
    for name in ("imagic", "identity"):
        items = []
        for number in range(4):
            for kind in ("source", name):
                pixels = rng.integers(0, 255, (300, 600, 3), dtype=np.uint8)
                write_image(root / name / f"{kind}{number}.png", Image.fromarray(pixels))
            items.append(
                EditItem(
                    item_id=f"item{number:03}",
                    source_caption="a photo of a dog",
                    target_caption=HOSTILE if number == 0 else "a photo of a cat",
                    source_image=root / name / f"source{number}.png",
                    edited_image=root / name / f"{name}{number}.png",
                )
            )
        if name == "identity":
            items[3] = items[3].without_edit("failed", "out of memory <b>")
        write_manifest(root / name, items, benchmark="my own", method=name)
        found[name] = scored(root / name)
    return found


def scored(root, **options):
    """What the record of a run says about the folder that was scored."""
    folder = open_edits(root, **options).folder
    return FolderRecord(
        path=str(root), layout=folder.layout, digest=edits_digest(folder.items, {}), n_files=folder.n_files,
        n_matched=folder.n_matched, opened_with=dict(folder.opened_with),
    )  # fmt: skip


@pytest.fixture
def without_figures(monkeypatch):
    """Pages without their figures, for tests of the rest."""
    monkeypatch.setattr("evalkit.report.page.render.draw_for_page", lambda *_, **__: iter(()))


@pytest.fixture(scope="module")
def comparison(folders):
    """Two methods on four items with pictures."""
    return replace(comparison_of(2, n_items=4, folders=folders), benchmark="my own")


@pytest.fixture(scope="module")
def html(comparison):
    """The page of that comparison."""
    return render_page(comparison)


def test_everything_is_in_one_well_formed_file(html):
    """Pictures are data, links lead to the page's own sections, nothing is fetched; what is opened is closed."""
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert html.startswith("<!DOCTYPE html>")
    assert (page.open, page.wrong) == ([], [])
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/jpeg;base64,") or value[1:] in ids, (tag, value)
    assert not page.all("link") + page.all("iframe") + page.all("object")
    assert set(re.findall(r"url\(([^)]{0,12})", html)) <= {f"#{one}"[:12] for one in ids}
    assert "@import" not in html
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy


def test_nothing_in_a_name_or_caption_can_act(folders):
    """Markup in method names, captions, reasons and notes is shown as text, in tables, figures and attributes."""
    names = (HOSTILE, "identity")
    hostile = comparison_of(2, names=names, n_items=4, folders={HOSTILE: folders["imagic"], **folders})
    page = Page(render_page(replace(hostile, benchmark="my own", notes=(HOSTILE,))))

    assert page.all("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not [attributes for _, attributes in page.elements if any(name.startswith("on") for name in attributes)]
    assert {image["src"][:23] for image in page.all("img") if "src" in image} == {"data:image/jpeg;base64,"}
    assert any(HOSTILE in image["alt"] for image in page.all("img"))
    assert ("li", f"{HOSTILE}.") in page.texts
    assert ("option", f"{HOSTILE} scores best") in page.texts
    assert (page.open, page.wrong) == ([], [])


def test_the_answer_comes_first(html):
    """What was found on the primary metric, in one sentence, then the table of means, then a figure, then the rest."""
    order = ["On clip_score ↑: ", "<table", "<figure", 'id="trade-off"', 'id="pairs"', 'id="gallery"', 'id="methods"']
    places = [html.index(part, html.index("<main>")) for part in order]

    assert places == sorted(places)
    assert html.count('class="answer"') == 1
    assert html.index('class="answer"') < places[0] < html.index("</p>", html.index('class="answer"'))


def test_the_table_of_means_marks_what_is_not_told_apart_from_the_best():
    """Each cell has mean, interval, ranks and mark, which are said below; over five metrics make two tables."""
    many = tuple(replace(METRICS[0], name=f"m{n}", primary=n == 0) for n in range(6))
    comparison = comparison_of(3, n_items=20)
    both = replace(
        comparison, metrics=many,
        pairs=tuple(replace(p, metric=m.name) for m in many for p in comparison.pairs if p.metric == "clip_score"),
        ranking=tuple(replace(r, metric=m.name) for m in many for r in comparison.ranking if r.metric == "clip_score"),
        cliques={m.name: () for m in many},
    )  # fmt: skip
    columns = means_columns(both, many)
    page = Tables(render_page(both))
    tables = [(head, rows) for (caption, rows), head in zip(page.tables, page.heads, strict=True) if "Means" in caption]

    assert [len(head) for head, _ in tables] == [6, 2]
    assert tables[0][0][1] == "m0 ↑ primary"
    for row, mark in columns[0].cells.values():
        (cell,) = (cells[1] for cells in tables[0][1] if cells[0] == row.method)
        sign = {"best": "● ", "tied": "○ ", "": ""}[mark]
        assert cell.startswith(f"{sign}{format_score(row.mean)} {row.rank_low}")
        assert cell.endswith(format_interval(row.ci_low, row.ci_high))
    assert "●: best mean; ○: no method is decided better." in page.words


def test_edit_types_have_a_table_that_says_what_it_is():
    """A column per type with its items; exploratory, and which correction holds; no section without types."""
    comparison = typed(comparison_of(3, n_items=24, metrics=METRICS), ["style", "object"])
    page = Tables(render_page(comparison))
    (table,) = (head for (caption, _), head in zip(page.tables, page.heads, strict=True) if "edit type" in caption)

    assert table == ["method", "style 12 items", "object 12 items"]
    (about,) = (words for words in page.words if words.startswith("Exploratory: "))
    assert "Benjamini–Hochberg-corrected" in about
    assert "over all 6 comparisons of all edit types." in about
    assert 'id="types"' not in render_page(comparison_of(3, n_items=24))


def typed(comparison, types):
    """The comparison with edit types that take turns item by item."""
    methods = tuple(
        replace(
            method,
            table=ScoreFrame.from_rows(
                [replace(row, edit_type=types[n % len(types)]) for n, row in enumerate(method.table.rows)],
                method.table.metrics,
            ),
        )
        for method in comparison.methods
    )
    return replace(comparison, methods=methods)


def test_pairs_are_a_matrix_with_the_numbers_of_each_as_data():
    """One matrix per metric, a cell for each two methods, and behind it every number of the pair."""
    comparison = comparison_of(4, n_items=20)
    page = Tables(render_page(comparison))
    matrices = [rows for caption, rows in page.tables if caption.startswith("Rows against columns")]

    assert [len(rows) for rows in matrices] == [4, 4]
    assert len(page.data["pairs"]) == len(comparison.pairs)
    assert page.data["heads"][:4] == ["comparison", "verdict", "difference", "interval"]
    for known, pair in zip(page.data["pairs"], comparison.pairs, strict=True):
        assert known["cells"][0] == f"{pair.b} − {pair.a}"
        assert known["sentence"] == pair.sentence
    with_baseline = Tables(render_page(comparison_of(4, n_items=20, baseline="identity")))
    cells = [cell for caption, rows in with_baseline.tables if "Rows" in caption for row in rows for cell in row[1:]]
    assert sum(bool(cell) for cell in cells) == 2 * 2 * 3


def test_nobody_is_called_better_where_nobody_knows_the_direction():
    """The matrix says different, the heading has no arrow, and no item has a best method."""
    metrics = (replace(METRICS[0], direction_known=False), METRICS[1])
    comparison = comparison_of(2, n_items=20, metrics=metrics)
    (pair, other) = comparison.pairs
    pair = replace(pair, verdict="inconclusive", undirected=True)
    page = Tables(render_page(replace(comparison, pairs=(pair, other))))
    (caption, rows), *_ = [found for found in page.tables if found[0].startswith("Rows against columns")]

    assert "≠ different" in caption
    assert all(cell.endswith("different, direction unknown") for row in rows for cell in row[1:] if cell)
    assert page.heads[0][1] == "clip_score primary"
    assert page.data["higher"] == [None, False]


def test_data_cannot_end_its_element():
    """Whatever a name holds, the JSON in the page stays JSON."""
    text = str(script_data({"</script><script>": ["<!--", "\u2028", "&"]}))

    assert "<" not in text
    assert json.loads(text) == {"</script><script>": ["<!--", "\u2028", "&"]}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("a_better", "imagic is better than identity."),
        ("b_better", "identity is better than imagic."),
        ("equivalent", "imagic and identity are equivalent within the margin that was declared, 0.01."),
        ("inconclusive", "no difference between imagic and identity is shown."),
    ],
)
def test_a_verdict_in_words(verdict, expected):
    """Each of the four verdicts has its sentence."""
    comparison = comparison_of(2, n_items=20)
    pairs = tuple(replace(pair, verdict=verdict, items_needed=1_234, margin=0.01) for pair in comparison.pairs)

    assert headline(replace(comparison, pairs=pairs), METRICS[0]) == f"On clip_score ↑: {expected}"


def test_a_pair_without_a_common_item_is_not_called_undecided():
    """The sentence and the table say that the two cannot be compared, and why."""
    comparison = comparison_of(2, n_items=20)
    empty = tuple(
        replace(pair, difference=None, n_items=0, verdict="inconclusive", reason="no item has both scores")
        for pair in comparison.pairs
    )
    words = headline(replace(comparison, pairs=empty), METRICS[0])

    assert words == "On clip_score ↑: imagic and identity cannot be compared: no item has both scores."
    assert verdict_words(empty[0]) == "not comparable"


def test_many_methods_are_summed_up():
    """With many methods the sentence names the leaders and counts the verdicts of all pairs."""
    comparison = comparison_of(4)
    words = headline(comparison, METRICS[0])

    assert "no method is shown to be the best; by the ranks that the decisions allow it may be any of " in words
    assert [int(n) for n in re.findall(r"\b(\d+) (?:show|is|are)", words)] == [
        sum(p.metric == "clip_score" and p.verdict in kinds for p in comparison.pairs)
        for kinds in (("a_better", "b_better"), ("equivalent",), ("inconclusive",))
    ]
    ranks = {row.method: number for number, row in enumerate(comparison.ranking[:4], start=1)}
    told = tuple(replace(r, rank_low=ranks[r.method], rank_high=ranks[r.method]) for r in comparison.ranking)
    best = comparison.ranking[0].method
    assert f"{best} is best. Of 6 comparisons" in headline(replace(comparison, ranking=told), METRICS[0])


def test_what_is_long_is_folded_away(html):
    """Pairs, sentences, notes and other metrics are closed until somebody opens them."""
    assert Page(html).all("details") == [{}, {}, {"class": "print"}, {}]
    assert "In full, to paste: 2 comparisons" in html


def test_it_can_be_used_with_a_screen_reader(html):
    """There are landmarks, a language, one main heading, headers with a scope, texts for pictures, real buttons."""
    page = Page(html)
    tags = [tag for tag, _ in page.elements]

    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert page.all("html")[0]["lang"] == "en"
    assert tags.count("h1") == 1
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert tags.count("caption") == tags.count("table") == 3
    pictures = [image for image in page.all("img") if "src" in image]
    assert all(image["alt"] and image["width"] and image["height"] for image in pictures)
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert all(button["type"] == "button" for button in page.all("button"))
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes} <= ids


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(html, scheme):
    """Every text colour stands out from every ground that it lies on by 4.5 : 1, in the light and in the dark."""
    blocks = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    grounds = {"ink": ("paper", "soft", "band", "better", "worse"), "warn-ink": ("warn",)}
    grounds |= dict.fromkeys(("muted", "link"), ("paper", "soft"))

    assert set(colours) == {name for pair in grounds.items() for name in (pair[0], *pair[1])} | {"line"}
    for text, names in grounds.items():
        for ground in names:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_pictures_are_small_and_their_number_is_bounded(html):
    """Thumbnails have at most so many pixels, and a page never has more items and pictures than it says."""
    sizes = []
    for image in [image for image in Page(html).all("img") if "src" in image]:
        with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as opened:
            sizes.append(opened.size)

    assert set(sizes) == {(THUMBNAIL, THUMBNAIL // 2)}
    for n_methods in (2, 12):
        gallery = build_gallery(comparison_of(n_methods, n_items=200))
        assert len(gallery.rows) <= MAX_ITEMS
        assert len(gallery.rows) * (n_methods + 1) <= MAX_PICTURES
        assert gallery.n_items == 200


def test_the_items_shown_are_chosen_and_their_number_is_said(without_figures):
    """Of too many items a third are the most disputed, a third the worst of the rest, the others spread evenly."""
    values = {f"i{n}": [float(n), float(n) + (50.0 if n % 10 == 0 else n / 100)] for n in range(101)}
    chosen = choose_items(values, METRICS[0], 12)

    assert set(chosen.disputed) <= {f"i{n}" for n in range(0, 101, 10)}
    assert chosen.worst == ("i1", "i2", "i3", "i4")
    assert len(chosen.items) == len(set(chosen.items)) == 12
    assert choose_items(values, METRICS[1], 12).worst == ("i100", "i90", "i80", "i99")
    assert choose_items({"a": [], "b": [1.0]}, METRICS[0], 12).items == ("b", "a")
    many, few = (render_page(comparison_of(2, n_items=n)) for n in (80, 10))
    assert "60 of 80 items are shown, by clip_score: the 20 on which methods differ most" in many
    assert "All 10 items are shown." in few
    assert "No pictures: the scores come from tables that name no edit folder." in few


def test_an_item_shows_source_edits_and_scores(comparison):
    """A row has the captions, the source, each method's edit or why there is none, and its scores."""
    gallery = build_gallery(comparison)
    first, last = (next(row for row in gallery.rows if row.item_id == f"item00{n}") for n in (1, 3))

    assert first.texts == (("source", "a photo of a dog"), ("asked for", "a photo of a cat"))
    assert first.source.alt == "Source image: a photo of a dog"
    assert first.edits["imagic"].alt == "Edit by imagic, asked for: a photo of a cat"
    assert last.edits["identity"].data is None
    assert last.edits["identity"].reason == "out of memory <b>"
    for metric in ("clip_score", "lpips"):
        scores = {m.name: m.table.rows[1].values[metric] for m in comparison.methods}
        assert {name: values[metric] for name, values in first.scores.items()} == scores


def test_an_edit_has_its_score_on_each_metric(comparison, html):
    """An edit's scores stand in the order of the metrics that one can choose."""
    choice = re.search(r'<select id="gallery-metric".*?</select>', html, re.DOTALL).group()
    values = comparison.methods[0].table.rows[0].values

    assert re.findall(r"<option[^>]*>([^<]*)", choice) == ["clip_score", "lpips (exploratory)"]
    assert f'data-s="{format_score(values["clip_score"])}|{format_score(values["lpips"])}"' in html


def test_signatures_are_on_the_page(html):
    """Each signature stands in the methods section; a score of another tool says that it has none."""
    assert METRICS[0].signature in html.replace("<wbr>", "")
    assert "lpips: scores of another tool" in html.replace("<wbr>", "")
    assert "miniature" not in html


def test_folders_that_are_gone_are_named(tmp_path, without_figures):
    """Where an edit folder cannot be opened the page says so, and shows the scores without pictures."""
    gone = {"imagic": FolderRecord(path=str(tmp_path / "gone"), layout="manifest", digest="", n_files=0, n_matched=0)}
    page = Page(render_page(replace(comparison_of(2, n_items=4, folders=gone), benchmark=None)))

    assert any(
        text.endswith("imagic are not shown: " + str(tmp_path / "gone is not there any more."))
        for _, text in page.texts
    )
    assert not [image for image in page.all("img") if "src" in image]


def test_a_folder_that_has_changed_since_is_named(folders, tmp_path):
    """Pictures that may not be those that were scored are shown with a warning; others are not."""
    shutil.copytree(folders["imagic"].path, tmp_path / "imagic")
    record = scored(tmp_path / "imagic")
    other = comparison_of(2, n_items=4, folders={**folders, "imagic": record})
    assert build_gallery(other).problems == ()

    shutil.copy(tmp_path / "imagic" / "imagic1.png", tmp_path / "imagic" / "imagic2.png")
    (problem,) = build_gallery(other).problems
    assert problem.startswith("The pictures of imagic may not be those that were scored: ")
    assert all(row.edits["imagic"].data for row in build_gallery(other).rows)


def test_a_folder_is_opened_as_it_was_scored(tmp_path):
    """The pictures of a folder that took a table of captions and a folder of sources are found again."""
    for name in ("edits", "sources"):
        put(tmp_path / name, [f"item{number:03}.png" for number in range(4)])
    (tmp_path / "captions.csv").write_text("item_id,target_caption\n" + "".join(f"item00{n},a cat\n" for n in range(4)))
    record = scored(tmp_path / "edits", sources=tmp_path / "sources", captions=tmp_path / "captions.csv")
    gallery = build_gallery(comparison_of(2, n_items=4, folders={"imagic": record}))

    assert gallery.problems == ()
    assert all(row.source.data and row.edits["imagic"].data for row in gallery.rows)
    assert gallery.rows[0].texts == (("asked for", "a cat"),)


@pytest.mark.parametrize("first", ["imagic", "identity"])
def test_sources_that_some_folder_brings_are_enough(folders, monkeypatch, first):
    """A benchmark whose own images cannot be had is asked once, and named only where no other folder shows them."""
    asked = []

    def without_benchmark(root, *, with_images=True, **options):
        if with_images and first in str(root):
            asked.append(root)
            raise BenchmarkError("no network")
        opened = open_edits(root, **options)
        if first in str(root):
            items = tuple(replace(item, source_image=None) for item in opened.folder.items)
            opened = replace(opened, folder=replace(opened.folder, items=items))
        return opened

    monkeypatch.setattr("evalkit.benchmarks.open.open_edits", without_benchmark)
    gallery = build_gallery(comparison_of(2, n_items=4, folders=folders))

    assert len(asked) == 1
    assert gallery.problems == ()
    assert all(row.source.data for row in gallery.rows)
    alone = build_gallery(comparison_of(2, n_items=4, folders={first: folders[first]}))
    assert alone.problems == ("The source images are not shown: no network",)


def test_a_toy_encoder_is_labelled():
    """Scores of the miniature encoder are labelled at the top, at each of their metrics, and in the figures."""
    toy = replace(METRICS[0], signature="clip_score|enc:miniature/a@0123456789ab|v:1")
    page = render_page(comparison_of(2, n_items=10, metrics=(toy, METRICS[1])))

    assert '<p class="warn">Miniature encoder: a dry run' in page
    assert len(re.findall(r'<span class="tag">miniature</span>', page)) == 1
    assert "miniature encoder, not comparable" in page


def test_the_methods_section_has_what_it_takes_to_repeat_it():
    """Test, groups, correction, margins, version, seed and counts are in the paragraphs to paste."""
    text = " ".join(methods_section(comparison_of(3, n_items=20)))

    for words in (
        "20 items in 10 groups of tedbench", "two-sided sign-flip test", "random assignments of signs",
        "Pointwise 95 % intervals", "Holm, which holds the family-wise error) over 3 comparisons",
        "Benjamini–Hochberg, which holds the false discovery rate)", "CR2", "±0.01 for clip_score", "α = 0.05",
        "seed 0", "evalkit 0.1.0",
    ):  # fmt: skip
        assert words in text, words


def test_equal_data_give_the_same_page(comparison, html, tmp_path):
    """The page has no date and nothing random in it."""
    write_page(comparison, tmp_path / "new" / "page.html")

    assert (tmp_path / "new" / "page.html").read_text("utf-8") == html


def contrast(*colours):
    """The contrast of two colours ``#rrggbb`` by the Web Content Accessibility Guidelines 2.1."""
    channels = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)


def test_what_a_judge_said_stands_folded_below_each_item(comparison, without_figures):
    """Every answer about every edit, its numbers or why it has none, and its words; nothing where nobody judged."""
    assert not [
        attributes
        for attributes in Page(render_page(comparison)).all("details")
        if "said" in attributes.get("class", "")
    ]
    html = render_page(with_judgements(comparison))
    folded = [attributes for attributes in Page(html).all("details") if attributes.get("class") == "said"]
    assert len(folded) == 4
    assert not any("open" in attributes for attributes in folded)
    assert html.count("following 8, overall 7.348") == 2 * 4
    assert html.count("no score: ") == html.count("<p>Well: It is red now.</p>") == 2 * 4
    assert html.count("<p>It is red now.</p>") == 2 * 4
    assert html.count("judge, answer 2:") == 2 * 4


def test_a_judges_words_cannot_act_and_long_ones_are_cut(comparison, without_figures):
    """An answer may hold anything; where the rest of it is, is said."""
    html = render_page(with_judgements(comparison, HOSTILE, repeats=1))
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "{{ 7*7 }}" in html
    html = render_page(with_judgements(comparison, "x" * 2 * MAX_WORDS))
    assert "x" * MAX_WORDS + "… (the rest is in judgements.jsonl)" in html
    assert "x" * (MAX_WORDS + 1) not in html


def test_which_edit_a_judge_looked_at_is_said_where_there_are_several(comparison):
    """Answers are in the order of seeds and repeats, with the number of each."""
    first, second = comparison.methods
    one = Judgement(item_id="item000", rubric="judge", repeat=0, scores=None, text="")
    answers = [one.model_copy(update={"seed": seed, "repeat": repeat, "scores": {"following": seed}})
               for repeat in (1, 0) for seed in (7, 3)]  # fmt: skip
    several = replace(comparison, methods=(replace(first, judgements=tuple(answers)), second))
    row = next(row for row in build_gallery(several).rows if row.item_id == "item000")
    assert [(words.about, words.scores) for words in row.answers[first.name]] == [
        ("judge, seed 3, answer 1", "following 3"), ("judge, seed 3, answer 2", "following 3"),
        ("judge, seed 7, answer 1", "following 7"), ("judge, seed 7, answer 2", "following 7"),
    ]  # fmt: skip
    assert [*row.answers] == [first.name]
