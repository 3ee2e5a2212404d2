"""One self-contained HTML page for a comparison."""

from importlib.resources import files


def asset(name: str) -> str:
    """A file of the page: ``page.css``, which the leaderboard's site uses too, or ``page.js``."""
    return (files(__name__) / "templates" / name).read_text("utf-8")
