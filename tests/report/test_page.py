"""The page: verdicts first, all of it in one file, nothing in a name can act, and it can be used by anybody."""

import base64
import hashlib
import io
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
from evalkit.images.decode import write_image
from evalkit.report.page.gallery import MAX_ITEMS, MAX_THUMBNAILS, THUMBNAIL, build_gallery, spread_over
from evalkit.report.page.render import render_page, write_page
from evalkit.scores.run import FolderRecord
from tests.support.comparisons import METRICS, comparison_of
from tests.support.folders import put

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}'
VOID = {"meta", "img", "br", "path", "use", "rect", "link", "wbr"}


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
    monkeypatch.setattr("evalkit.report.page.render.draw_figures", lambda *_, **__: iter(()))


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

    assert len(page.all("script")) == 1
    assert not [attributes for _, attributes in page.elements if any(name.startswith("on") for name in attributes)]
    assert {image["src"][:23] for image in page.all("img")} == {"data:image/jpeg;base64,"}
    assert any(HOSTILE in image["alt"] for image in page.all("img"))
    assert ("li", HOSTILE) in page.texts
    assert ("button", HOSTILE) in page.texts
    assert (page.open, page.wrong) == ([], [])


def test_verdicts_come_first(html):
    """The first section says in words what was found, with each metric's direction, before any table or picture."""
    first = html.index("On clip_score ↑: ")

    assert 'class="verdicts"' in html[:first]
    assert first < min(html.index("<table"), html.index("<img"), html.index("<svg"))
    assert first < html.index("identity − imagic = ")


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


def test_many_sentences_are_folded_away(html, without_figures):
    """A few sentences are open; as many as ten methods have are folded, so that the ranking stays near the top."""
    many = render_page(comparison_of(10, n_items=10))

    assert Page(html).all("details") == [{"open": None}]
    assert Page(many).all("details") == [{}]
    assert "In full, to paste: 45 comparisons" in many


def test_it_can_be_used_with_a_screen_reader(html):
    """There are landmarks, a language, one main heading, headers with a scope, texts for pictures, real buttons."""
    page = Page(html)
    tags = [tag for tag, _ in page.elements]

    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert page.all("html")[0]["lang"] == "en"
    assert tags.count("h1") == 1
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert tags.count("caption") == tags.count("table") == 5
    assert all(image["alt"] and image["width"] and image["height"] for image in page.all("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert all(button["type"] == "button" for button in page.all("button"))
    assert all(region["tabindex"] == "0" for region in page.all("div") if region.get("role") == "region")
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes} <= ids


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(html, scheme):
    """Every text colour stands out from every ground that it lies on by 4.5 : 1, in the light and in the dark."""
    blocks = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    grounds = dict.fromkeys(("ink", "muted", "link"), ("paper", "soft")) | {"warn-ink": ("warn",)}

    assert set(colours) == {"paper", "ink", "muted", "line", "band", "soft", "link", "warn", "warn-ink"}
    for text, names in grounds.items():
        for ground in names:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_pictures_are_small_and_their_number_is_bounded(html):
    """Thumbnails have at most so many pixels, and a page never has more items and pictures than it says."""
    sizes = []
    for image in Page(html).all("img"):
        with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as opened:
            sizes.append(opened.size)

    assert set(sizes) == {(THUMBNAIL, THUMBNAIL // 2)}
    for n_methods in (2, 12):
        gallery = build_gallery(comparison_of(n_methods, n_items=200))
        assert len(gallery.rows) <= MAX_ITEMS
        assert len(gallery.rows) * (n_methods + 1) <= MAX_THUMBNAILS
        assert gallery.n_items == 200


def test_the_items_shown_span_all_differences_and_their_number_is_said(without_figures):
    """Of too many items both extremes and evenly many between them are shown, in the order of the data."""
    ids = [f"i{n}" for n in range(101)]
    chosen = spread_over(ids, {item_id: float((7 * n) % 101) for n, item_id in enumerate(ids)}, 11)

    assert sorted((7 * ids.index(item_id)) % 101 for item_id in chosen) == list(range(0, 101, 10))
    assert chosen == sorted(chosen, key=ids.index)
    many, few = (render_page(comparison_of(2, n_items=n)) for n in (80, 10))
    assert "60 of 80 items are shown, evenly spread over the differences on clip_score" in many
    assert "All 10 items are shown." in few
    assert "No pictures: the scores come from tables that name no edit folder." in few


def test_an_item_shows_source_edits_and_scores(comparison):
    """A row has the captions, the source, each method's edit or why there is none, its scores and their difference."""
    gallery = build_gallery(comparison)
    first, last = gallery.rows[1], gallery.rows[3]

    assert first.texts == (("source", "a photo of a dog"), ("asked for", "a photo of a cat"))
    assert first.source.alt == "Source image: a photo of a dog"
    assert first.edits["imagic"].alt == "Edit by imagic, asked for: a photo of a cat"
    assert last.edits["identity"].data is None
    assert last.edits["identity"].reason == "out of memory <b>"
    for metric in ("clip_score", "lpips"):
        scores = {m.name: m.table.rows[1].values[metric] for m in comparison.methods}
        assert {name: values[metric] for name, values in first.scores.items()} == scores
        assert first.differences[metric] == scores["identity"] - scores["imagic"]


def test_sort_keys_hold_each_metric_in_the_order_of_the_choice(comparison, html):
    """A cell's values stand in the order of the metrics that one can choose to sort by."""
    options = re.findall(r"<option>([^<]*)", html)
    values = comparison.methods[0].table.rows[0].values

    assert options == ["clip_score", "lpips"]
    assert f'data-v="{values["clip_score"]:.9g}|{values["lpips"]:.9g}"' in html


def test_signatures_are_on_the_page(html):
    """Each signature stands in the methods section; a score of another tool says that it has none."""
    assert METRICS[0].signature in html
    assert "lpips: scores of another tool" in html
    assert "miniature" not in html


def test_folders_that_are_gone_are_named(tmp_path, without_figures):
    """Where an edit folder cannot be opened the page says so, and shows the scores without pictures."""
    gone = {"imagic": FolderRecord(path=str(tmp_path / "gone"), layout="manifest", digest="", n_files=0, n_matched=0)}
    page = Page(render_page(replace(comparison_of(2, n_items=4, folders=gone), benchmark=None)))

    assert any(
        text.endswith("imagic are not shown: " + str(tmp_path / "gone is not there any more."))
        for _, text in page.texts
    )
    assert not page.all("img")


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

    monkeypatch.setattr("evalkit.report.page.gallery.open_edits", without_benchmark)
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
    assert len(re.findall(r'<span class="tag">miniature</span>', page)) == 3
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
