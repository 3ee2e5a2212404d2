"""The page of votes, in a real browser: by keys, by mouse and by touch, with lost connections and hostile texts."""

import json
from contextlib import contextmanager

import pytest

from evalkit.votes.read import read_votes
from evalkit.voting.files import merge_votes, write_pages
from evalkit.voting.session import answer_of
from evalkit.voting.study import new_study
from tests.support.browser import OVERFLOW, accessibility_faults, chromium
from tests.support.voting import HOSTILE, opened, served, session_of

pytestmark = pytest.mark.browser
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
READY = "#ballot:not([hidden]) [data-answer=left]:not(:disabled)"
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowDown", "both_bad": "ArrowUp"}


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as opened_browser:
        yield opened_browser


@contextmanager
def page_of(browser, address, viewport=DESKTOP, *, lost=False, **options):
    """A page; nothing may go wrong in it, and it may ask for nothing but what lies below its address."""
    context = browser.new_context(viewport=viewport, **options)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" and not lost else None)
    page.on("pageerror", lambda failure: wrong.append(str(failure)))
    page.on(
        "request",
        lambda sent: None if sent.url.startswith((address, "data:", "blob:")) else wrong.append(sent.url),
    )
    page.goto(address)
    yield page
    assert wrong == []
    assert page.evaluate("window.hit") is None
    context.close()


def begin(page, name="Anna"):
    """Begin, by keys."""
    page.fill("#rater", name)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{READY}, #done:not([hidden])")


def answer(page, said):
    """Answer, by a key, when the next pair is there."""
    before = page.title()
    page.keyboard.press(KEYS[said])
    page.wait_for_function("before => document.title !== before", arg=before)
    page.wait_for_selector(f"{READY}, #done:not([hidden])")


def sent(session, n, page):
    """Wait until so many votes are in the file."""
    for _ in range(100):
        if len(session.votes) == n:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{len(session.votes)} votes, expected {n}")


def test_a_whole_study_by_keys(browser, address, session):
    """Arrows answer, the progress goes on, and every answer is the vote of its ballot."""
    said = ["left", "right", "tie", "both_bad", "left", "left", "right"]
    with page_of(browser, address) as page:
        begin(page)
        for n, each in enumerate(said):
            assert page.text_content("#count") == f"{n + 1} of 7"
            assert page.text_content("#asked") == "Make it red."
            assert page.evaluate("document.activeElement.id") == "asked"
            answer(page, each)
        assert page.is_visible("#done")
        sent(session, 7, page)
        assert page.text_content("#kept").startswith("All your answers are kept")
    votes = read_votes(session.path).votes
    found = [answer_of(ballot, vote.winner) for ballot, vote in zip(session.ballots(0), votes, strict=True)]
    assert found == said
    assert all(vote.seconds is not None and vote.seconds < 60 for vote in votes)


def test_undo_goes_back_as_far_as_one_likes(browser, address, session):
    """By key and button, also from the end; what is taken back is out of the file, and asked again."""
    with page_of(browser, address) as page:
        begin(page)
        assert page.is_disabled("#ballot .undo")
        for _ in range(7):
            answer(page, "left")
        page.click("#done .undo")
        page.wait_for_selector(READY)
        assert page.text_content("#count") == "7 of 7"
        page.keyboard.press("Backspace")
        page.wait_for_selector(READY)
        assert page.text_content("#count") == "6 of 7"
        sent(session, 5, page)
        answer(page, "right")
        sent(session, 6, page)
    assert session.answers(0) == {**dict.fromkeys(range(5), "left"), 5: "right"}


def test_by_touch(browser, address, session):
    """Buttons are large enough for a finger, a tap enlarges all pictures at one place, and a tap answers."""
    with page_of(browser, address, PHONE, has_touch=True, is_mobile=True) as page:
        page.fill("#rater", "Anna")
        page.tap("#join button")
        page.wait_for_selector(READY)
        sizes = page.eval_on_selector_all(
            "#ballot button:not(.picture)", "nodes => nodes.map((n) => n.getBoundingClientRect().height)"
        )
        assert len(sizes) == 6
        assert min(sizes) >= 44
        bottom = page.eval_on_selector(".answers", "node => node.getBoundingClientRect().bottom")
        assert bottom < PHONE["height"]
        page.tap(".left .picture", position={"x": 10, "y": 10})
        scales = "nodes => nodes.map((n) => getComputedStyle(n).transform)"
        assert set(page.eval_on_selector_all("#pictures .own", scales)) == {"matrix(3, 0, 0, 3, 0, 0)"}
        page.tap(".left .picture", position={"x": 10, "y": 10})
        assert set(page.eval_on_selector_all("#pictures .own", scales)) == {"matrix(1, 0, 0, 1, 0, 0)"}
        page.tap("[data-answer=right]")
        sent(session, 1, page)
    assert session.answers(0) == {0: "right"}


def test_the_source_is_laid_over_both_edits_as_long_as_it_is_held(browser, address):
    """By the space bar and by the button, pressed with a key or the mouse."""
    seen = "nodes => nodes.map((n) => getComputedStyle(n).visibility)"
    with page_of(browser, address) as page:
        begin(page)

        def shown():
            return set(page.eval_on_selector_all(".under", seen))

        source = page.eval_on_selector(".source .own", "node => node.src")
        assert page.eval_on_selector_all(".under", "nodes => nodes.map((n) => n.src)") == [source, source]
        for press, release in (
            (lambda: page.keyboard.down(" "), lambda: page.keyboard.up(" ")),
            (lambda: (page.hover("#flicker"), page.mouse.down()), page.mouse.up),
            (lambda: (page.focus("#flicker"), page.keyboard.down(" ")), lambda: page.keyboard.up(" ")),
        ):
            assert shown() == {"hidden"}
            press()
            assert shown() == {"visible"}
            release()
        assert shown() == {"hidden"}
        assert page.text_content("#count") == "1 of 7"


def test_pictures_are_enlarged_by_keys_and_moved(browser, address, session):
    """Enter on a picture, Shift with arrows, Escape; arrows alone still answer."""
    with page_of(browser, address) as page:
        begin(page)
        page.focus(".right .picture")
        page.keyboard.press("Enter")
        assert page.get_attribute(".left .picture", "aria-pressed") == "true"
        page.keyboard.press("Shift+ArrowLeft")
        assert page.evaluate("document.getElementById('pictures').style.getPropertyValue('--x')") == "40%"
        page.keyboard.press("Escape")
        assert page.get_attribute(".left .picture", "aria-pressed") == "false"
        answer(page, "tie")
        sent(session, 1, page)


def test_two_raters_at_once_and_a_reload(browser, address, session):
    """Each has ballots and answers of their own; the same name goes on where it was."""
    with page_of(browser, address) as first, page_of(browser, address) as second:
        begin(first, "Anna")
        begin(second, "Bo <b>")
        for _ in range(3):
            answer(first, "left")
            answer(second, "right")
        sent(session, 6, first)
        first.reload()
        begin(first, " Anna ")
        assert first.text_content("#count") == "4 of 7"
        assert not first.is_disabled("#ballot .undo")
    assert session.progress() == {"Anna": (3, 7), "Bo <b>": (3, 7)}
    assert session.ballots(0) != session.ballots(1)


def test_a_lost_connection_is_shown_and_nothing_is_lost(browser, address, session):
    """One goes on voting, reloads, and what was kept in the browser is sent when the server answers again."""
    with page_of(browser, address, lost=True) as page:
        begin(page)
        answer(page, "left")
        sent(session, 1, page)
        page.route("**/answer", lambda route: route.abort())
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#trouble:not([hidden])")
        assert "kept in this browser" in page.text_content("#trouble")
        page.wait_for_selector(READY)
        answer(page, "tie")
        assert len(session.votes) == 1
        page.on("dialog", lambda dialog: dialog.accept())  # the page warns who leaves with answers unsent
        page.reload()
        begin(page)
        assert page.text_content("#count") == "4 of 7"
        page.unroute("**/answer")
        sent(session, 3, page)
        page.wait_for_selector("#trouble", state="hidden")
    assert session.answers(0) == {0: "left", 1: "right", 2: "tie"}


def test_an_acknowledgement_that_is_lost_does_not_count_twice(browser, address, session):
    """The answer arrives, its acknowledgement does not, and it is sent again."""
    with page_of(browser, address, lost=True) as page:
        begin(page)

        def swallow(route):
            route.fetch()
            route.abort()

        page.route("**/answer", swallow, times=1)
        answer(page, "left")
        page.wait_for_selector("#trouble:not([hidden])")
        page.wait_for_selector("#trouble", state="hidden", timeout=20_000)
    assert len(read_votes(session.path).votes) == 1


def test_a_server_that_was_killed_goes_on_with_the_open_page(browser, edits, tmp_path, monkeypatch):
    """Started again at its port, by the same command, it is sent what was answered meanwhile."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "votes.jsonl"
    with session_of(path, edits) as session, served(session) as address:
        context = browser.new_context(viewport=DESKTOP)
        page = context.new_page()
        page.goto(address)
        begin(page)
        answer(page, "left")
        sent(session, 1, page)
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#trouble:not([hidden])")
    port = int(address.split(":")[2].partition("/")[0])
    with session_of(path, edits) as session, served(session, port) as again:
        assert again == address
        sent(session, 2, page)
        page.wait_for_selector(READY)
        assert session.answers(0) == {0: "left", 1: "right"}
        context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["1280", "390"])
def test_hostile_texts_are_texts(browser, tmp_path, monkeypatch, viewport):
    """In captions, instructions, names of raters and the question; nothing acts, nothing is cut."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    texts = {"instruction": HOSTILE, "target_caption": "x" * 300, "source_caption": "{{ 7*7 }}</script>\u202etxet"}
    edits = opened(tmp_path, texts=texts)
    with (
        session_of(tmp_path / "votes.jsonl", edits, question=HOSTILE) as session,
        served(session) as address,
        page_of(browser, address, viewport) as page,
    ):
        assert page.evaluate(OVERFLOW) == []
        begin(page, "<img src=x>")
        assert page.text_content("#asked") == HOSTILE
        assert page.evaluate(OVERFLOW) == []
        answer(page, "left")
        sent(session, 1, page)
    [page_file] = write_pages(
        tmp_path / "pages", edits, new_study(edits, votes=3, checks=1, seed=0, question=HOSTILE), 1
    )
    with page_of(browser, f"file://{page_file}", viewport) as page:
        begin(page, "<img src=x>")
        assert page.text_content("#asked") == HOSTILE
        answer(page, "left")
        assert page.evaluate(OVERFLOW) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["1280", "390"])
def test_it_is_accessible_and_nothing_is_cut(browser, address, viewport, scheme):
    """The rules of axe find nothing at the beginning, at a pair, with pictures enlarged, and at the end."""
    with page_of(browser, address, viewport, color_scheme=scheme) as page:
        assert accessibility_faults(page) == []
        begin(page)
        assert accessibility_faults(page) == []
        page.click(".left .picture")
        assert accessibility_faults(page) == []
        assert page.evaluate(OVERFLOW) == []
        for n in range(7):
            answer(page, "left")
            assert f"{n + 1} of 7 answered" in page.text_content("#status")
        assert accessibility_faults(page) == []


def test_at_1280_and_at_390_everything_is_seen_at_once(browser, address):
    """Pictures, answers and tools are on the first screen, pictures as large as it allows."""
    for viewport, least in ((DESKTOP, 350), (PHONE, 165)):
        with page_of(browser, address, viewport) as page:
            begin(page, f"at {viewport['width']}")
            bottom = page.eval_on_selector(".tools", "node => node.getBoundingClientRect().bottom")
            widths = page.eval_on_selector_all(".picture", "nodes => nodes.map((n) => n.getBoundingClientRect().width)")
            assert bottom < viewport["height"]
            assert min(widths) > least


def test_a_held_key_answers_once(browser, address, session):
    """Whoever leans on an arrow has not voted on everything."""
    with page_of(browser, address) as page:
        begin(page)
        for _ in range(5):  # as the browser repeats it
            page.keyboard.down("ArrowLeft")
        page.wait_for_selector(READY)
        page.keyboard.up("ArrowLeft")
        sent(session, 1, page)
        assert page.text_content("#count") == "2 of 7"


def test_the_static_page_is_answered_offline_saved_and_merged(browser, tmp_path):
    """It asks for nothing, keeps answers over a reload, names no method, and what it saves becomes votes."""
    edits = opened(tmp_path / "edits")
    study = new_study(edits, votes=5, checks=1, seed=0)
    pages = write_pages(tmp_path / "study", edits, study, 2)
    text = pages[0].read_text()
    assert not any(word in text for word in ("careful_editor", "other_editor", "expected", "identity"))
    saved = []
    for number, (page_file, name) in enumerate(zip(pages, ("Anna", "Bo"), strict=True)):
        with page_of(browser, f"file://{page_file}") as page:
            begin(page, name)
            for said in ("left", "right", "tie"):
                answer(page, said)
            page.on("dialog", lambda dialog: dialog.accept())  # the page warns who leaves with answers unsaved
            page.reload()
            begin(page, name)
            assert page.text_content("#count") == "4 of 6"
            assert accessibility_faults(page) == []
            page.keyboard.press("Backspace")
            page.wait_for_selector(READY)
            answer(page, "both_bad")
            with page.expect_download() as download:
                page.click("#save")
            saved.append(tmp_path / "study" / f"from-{name}.json")
            download.value.save_as(saved[-1])
            assert f"Saved: 3 of 6 answers, in answers-{number + 1}.json" in page.text_content("#saved")
    merged = merge_votes([*saved, saved[0]])
    assert [vote.rater for vote in merged.votes] == ["Anna"] * 3 + ["Bo"] * 3
    assert merged.n_duplicates == 3
    ballots = json.loads((tmp_path / "study" / "study.json").read_text())["raters"]["1"]
    assert merged.votes[0].winner == ballots[0]["first"]
    assert merged.votes[2].winner == "both_bad"


def test_without_storage_it_says_not_to_leave(browser, address, session):
    """A browser that keeps nothing still votes."""
    with page_of(browser, address) as page:
        page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })")
        page.reload()
        begin(page)
        page.keyboard.press("ArrowLeft")
        sent(session, 1, page)
