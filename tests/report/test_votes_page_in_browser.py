"""The page of votes in a real browser: nothing is cut at any width, nothing in a name acts, and axe finds nothing."""

import pytest

from evalkit.comparison.votes.compare import compare_votes
from evalkit.report.page.votes import write_votes_page
from evalkit.votes.records import write_votes
from tests.report.test_page_in_browser import HOSTILE, opened_page
from tests.support.browser import OVERFLOW, accessibility_faults, chromium
from tests.support.votes import simulated_votes

pytestmark = pytest.mark.browser
OPEN = "() => document.querySelectorAll('details').forEach((folded) => { folded.open = true; })"


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by name: four methods with edit types, and hostile names on two questions."""
    root, found = tmp_path_factory.mktemp("pages"), {}
    demo = simulated_votes({"ours": 1.2, "theirs": 0.4, "twin": 0.0, "identity": -1.0})
    hostile = [
        vote.model_copy(update={"criterion": name, "rater": f"{HOSTILE[0]} {vote.rater}"})
        for name in HOSTILE[1:3]
        for vote in simulated_votes(dict.fromkeys(HOSTILE, 0.0))
    ]
    for name, votes in (("demo", demo), ("hostile", hostile)):
        write_votes(root / f"{name}.jsonl", votes)
        found[name] = root / f"{name}.html"
        write_votes_page(compare_votes(root / f"{name}.jsonl", by="edit_type"), found[name])
    return found


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("name", ["demo", "hostile"])
def test_nothing_is_cut(browser, files, name, width):
    """No table, figure or text is wider than its place, closed or opened, and nothing in a name acts."""
    opened = opened_page(browser, files[name], {"width": width, "height": 800})
    assert opened.evaluate(OVERFLOW) == []
    opened.evaluate(OPEN)
    assert opened.evaluate(OVERFLOW) == []
    assert opened.evaluate("window.hit") is None
    assert opened.wrong == []
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible(browser, files, width, scheme):
    """The rules of axe find nothing, folded or opened, in the light and in the dark."""
    opened = opened_page(browser, files["demo"], {"width": width, "height": 800}, color_scheme=scheme)
    assert accessibility_faults(opened) == []
    opened.evaluate(OPEN)
    assert accessibility_faults(opened) == []
    opened.close()


def test_the_first_screen_holds_the_answer_and_the_abilities(browser, files):
    """At 1280 × 800 the sentence, all methods and the figure of abilities are seen without scrolling."""
    opened = opened_page(browser, files["demo"], {"width": 1280, "height": 800})
    bottoms = "nodes => nodes.map((node) => node.getBoundingClientRect().bottom)"
    assert max(opened.eval_on_selector_all(".answer, .means >> nth=0, .wide svg >> nth=0", bottoms)) < 800
    opened.close()
