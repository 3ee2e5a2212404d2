"""Headless Chromium, where there is one."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

OVERFLOW = """() => {
  const kinds = "table, svg, figure, section, pre, code, dl, p, form, summary, nav, fieldset";
  const unseen = ".visually-hidden, .narrow svg, .wide svg, details:not([open]) > :not(summary)";
  return [document.documentElement, ...document.querySelectorAll(kinds)]
    .filter((node) => node.clientWidth && !node.closest(unseen))
    .filter((node) => node.scrollWidth > node.clientWidth + 1 || node.getBoundingClientRect().right > innerWidth + 1)
    .map((node) => `${node.tagName}.${node.className} ${node.scrollWidth} of ${node.clientWidth}`);
}"""
"""Everything in a page that holds more than it shows, or reaches beyond the screen."""


@contextmanager
def chromium():
    """A browser; the test is skipped, with the reason, where none is installed."""
    executable = os.environ.get("EVALKIT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium: install Debian's package chromium, or name one in EVALKIT_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def accessibility_faults(page):
    """What axe finds wrong with an open page: the rule and the first element of each fault."""
    script = Path(pytest.importorskip("axe_playwright_python").__file__).parent / "axe.min.js"
    page.evaluate(script.read_text("utf-8"))  # evaluated by the browser itself, which no policy of the page forbids
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [f"{fault['id']}: {fault['nodes'][0]['html'][:200]}" for fault in found["violations"]]
