"""The templates of the site, and where its pages go."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from evalkit import __version__
from evalkit.comparison.statements import boards
from evalkit.leaderboard.files import read_file
from evalkit.leaderboard.protocol import ALPHA
from evalkit.leaderboard.records import LEVELS
from evalkit.leaderboard.records_io import write_text
from evalkit.leaderboard.site.plot import MOST_INTERVALS
from evalkit.leaderboard.site.views import FILTERS
from evalkit.report.page import SCRIPTS, asset

PAGES = (
    ("reported", "Reported elsewhere"),
    ("read", "How to read it"),
    ("guide/leaderboard", "How to submit"),
    ("guide/index", "Guide"),
)
"""What the navigation holds beside the boards."""


def environment(templates: Path, protocols: Sequence[str]) -> Environment:
    """Jinja as every page is made with it: the report's style, scripts and viewer, and what only a board has."""
    found = Environment(
        loader=ChoiceLoader([FileSystemLoader(templates), PackageLoader("evalkit.report.page")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS
    script = asset(*SCRIPTS) + "\n" + read_file(templates / "site.js").decode()
    found.globals.update(
        protocols=protocols,
        pages=PAGES,
        titles=dict(PAGES),
        version=__version__,
        levels=LEVELS,
        say=boards,
        alpha=ALPHA,
        most_intervals=MOST_INTERVALS,
        style=Markup(asset("page.css") + read_file(templates / "site.css").decode()),  # noqa: S704 - of this project
        script=Markup(script),  # noqa: S704 - files of this project
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return found


class Site:
    """A site that is being written."""

    def __init__(self, templates: Path, output: Path, protocols: Sequence[str]) -> None:
        self.output = output
        self.n_pages = 0
        self._environment = environment(templates, protocols)

    def page(self, template: str, name: str, here: str = "", **shown: Any) -> None:  # noqa: ANN401 - the template's
        """Write one page.

        Args:
            template: Which.
            name: The page's address within the site.
            here: What the navigation marks: a protocol, or one of the pages that it holds.
            shown: What the template shows.
        """
        whole = name in (f"{here}.html", f"{here}/index.html")
        html = self._environment.get_template(template).render(
            up="../" * name.count("/"), here=here, whole=whole, **shown
        )
        write_text(self.output / name, html)
        self.n_pages += 1
