"""One self-contained HTML page for a comparison."""

from importlib.resources import files

SCRIPTS = ("common.js", "viewer.js")
"""What the leaderboard's site uses too: tables that sort, and two pictures on top of each other."""


def asset(*names: str) -> str:
    """Files of the page, one after the other: ``page.css``, which the leaderboard's site uses too, or scripts."""
    return "\n".join((files(__name__) / "templates" / name).read_text("utf-8") for name in names)
