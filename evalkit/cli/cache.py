"""``evalkit cache``: what the embedding cache holds, and emptying it."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from evalkit.cli.command import EvalkitGroup
from evalkit.cli.output import Output, output_options

if TYPE_CHECKING:
    from evalkit.encoders.cache import CachedEncoder, CacheInfo


@click.group(cls=EvalkitGroup)
def cache() -> None:
    """Show or clear the embeddings that are kept between runs."""


@cache.command(examples=["evalkit cache info"])
@output_options
def info(*, output: Output) -> None:
    """Show where the cache is and what it holds."""
    from evalkit.tables.table import TextTable

    found = _info()
    output.json(asdict(found))
    output.line(f"{found.path}: {found.n_entries:,} embeddings, {_megabytes(found.n_bytes)} on disk.")
    if found.encoders:
        header = ("encoder", "fingerprint", "images", "texts", "pairs", "items", "size")
        rows = tuple(
            (
                _name(encoder),
                encoder.fingerprint[:12],
                *(f"{n:,}" for n in (encoder.n_images, encoder.n_texts, encoder.n_pairs, encoder.n_items)),
                _megabytes(encoder.n_bytes),
            )
            for encoder in found.encoders
        )
        output.table(TextTable(title="", header=header, rows=rows, text_columns=frozenset({0, 1})))


@cache.command(examples=["evalkit cache clear --encoder miniature/clip --yes"])
@click.option("--encoder", metavar="NAME", help="Only this one's: its name or fingerprint in evalkit cache info.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_options
def clear(*, encoder: str | None, yes: bool, output: Output) -> None:
    """Delete embeddings; they are computed again when they are needed."""
    from evalkit.encoders.cache import EmbeddingCache

    found = _info()
    chosen = _choose(found, encoder) if encoder else None
    n_entries = chosen.n_entries if chosen else found.n_entries
    what = f"{n_entries:,} embeddings{f' of {_name(chosen)}' if chosen else ''}"
    if n_entries and not yes:
        click.confirm(f"Delete {what} from {found.path}?", abort=True, err=True)
    dropped = 0
    if found.encoders:
        with EmbeddingCache.open() as opened:
            dropped = opened.clear(chosen.fingerprint if chosen else None)
    output.json({"path": found.path, "n_deleted": dropped})
    output.line(f"Deleted {dropped:,} embeddings from {found.path}.")


def _info() -> "CacheInfo":
    """What the cache holds; looking does not make one."""
    from evalkit.encoders.cache import EmbeddingCache, default_path

    if not default_path().exists():
        with EmbeddingCache.in_memory() as empty:
            return replace(empty.info(), path=str(default_path()))
    with EmbeddingCache.open() as opened:
        return opened.info()


def _choose(found: "CacheInfo", name: str) -> "CachedEncoder":
    """The one encoder of that name, label or beginning of a fingerprint."""
    from evalkit.errors import OptionError, UnknownNameError

    matching = [
        encoder
        for encoder in found.encoders
        if name in (encoder.label, (encoder.label or "").partition("@")[0]) or encoder.fingerprint.startswith(name)
    ]
    known = ", ".join(f"{_name(encoder)} ({encoder.fingerprint[:12]})" for encoder in found.encoders) or "none"
    if not matching:
        raise UnknownNameError(f"The cache {found.path} holds nothing of an encoder '{name}'. It holds: {known}.")
    if len(matching) > 1:
        raise OptionError(
            f"'{name}' stands for {len(matching)} encoders in {found.path}; give a fingerprint of: {known}."
        )
    return matching[0]


def _name(encoder: "CachedEncoder") -> str:
    return encoder.label or f"unnamed {encoder.fingerprint[:12]}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
