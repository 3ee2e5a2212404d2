"""The page that raters see: one file with its style and script in it, which asks nobody else for anything."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from evalkit import __version__
from evalkit.judges.pairs import shown_texts
from evalkit.report.page import asset
from evalkit.report.page.render import script_data
from evalkit.voting.edits import VotedEdits
from evalkit.voting.plan import Ballot
from evalkit.voting.study import Study

Form = Literal["served", "file"]
SIDES = ("source", "left", "right")
FILE_SIDE = 1024
"""Pixels of the longer side of a picture in a file, at most."""
LOSSLESS_SIDE = 256
"""Pixels up to which it stays as it is, to the last bit."""


def policy(form: Form) -> str:
    """What a browser may do with the page: run its own script, and show and send what its form needs."""
    style, script = (_digest(text) for text in _own())
    source, target = ("'self' data:", "'self'") if form == "served" else ("data:", "'none'")
    return (
        f"default-src 'none'; img-src {source}; connect-src {target}; style-src '{style}'; script-src '{script}'; "
        "form-action 'none'; base-uri 'none'"
    )


def render_page(study: Study, form: Form, data: Mapping[str, Any]) -> str:
    """The page.

    Args:
        study: Of which it is.
        form: Whether a server keeps the answers, or they are a file to be sent.
        data: What the script needs beside that.
    """
    style, script = _own()
    return (
        _environment()
        .get_template("vote.html")
        .render(
            form=form, question=study.question, policy=policy(form), version=__version__,
            n_ballots=study.votes + study.checks,
            data=script_data({"form": form, "study": study.id, **data}),
            style=Markup(style), script=Markup(script),  # noqa: S704 - files of this package
        )
    )  # fmt: skip


def described(ballots: Sequence[Ballot], edits: VotedEdits) -> list[list[tuple[str, str]]]:
    """The texts of every ballot."""
    return [shown_texts(edits.items[ballot.item_id]) for ballot in ballots]


def png(image: Image.Image) -> bytes:
    """A picture to the last bit, without anything that its file said beside."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", image.size, image.tobytes()).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def data_url(image: Image.Image) -> str:
    """A picture as an address that holds it: WebP, of :data:`FILE_SIDE` pixels at most, lossless where it is small."""
    image = Image.frombytes("RGB", image.size, image.tobytes())
    image.thumbnail((FILE_SIDE, FILE_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=95, lossless=max(image.size) <= LOSSLESS_SIDE)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _own() -> tuple[str, str]:
    """Style and script."""
    style, script = ((files(__package__) / "templates" / name).read_text("utf-8") for name in ("vote.css", "vote.js"))
    return f"{asset('page.css')}\n{style}", script


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("evalkit.voting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
