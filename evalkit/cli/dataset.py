"""``evalkit dataset``: benchmarks as Hugging Face data sets."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from evalkit.cli.command import EvalkitGroup
from evalkit.cli.command_lines import command_line
from evalkit.cli.output import Output, output_options


@click.group(cls=EvalkitGroup)
def dataset() -> None:
    """Build a benchmark as a Hugging Face data set, and publish it."""


@dataset.command(examples=["evalkit dataset build shapes --output data/shapes"])
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), help="A local copy of the benchmark's files.")
@click.option("-o", "--output", "output_dir", type=click.Path(path_type=Path), required=True, help="Where to write it.")
@output_options
def build(name: str, *, data: Path | None, output_dir: Path, output: Output) -> None:
    """Write the benchmark NAME as a data set that datasets.load_dataset opens."""
    from evalkit.benchmarks.base import BENCHMARKS
    from evalkit.benchmarks.dataset import build_dataset

    built = build_dataset(BENCHMARKS.get(name)(), data, output_dir)
    output.json(_plain(asdict(built)))
    output.line(
        f"{built.folder}: {built.n_items} edits in {built.n_groups} groups, {built.n_bytes / 1e6:.1f} MB, "
        f"{built.benchmark} version {built.version}"
    )
    output.line(f"Open it with: datasets.load_dataset({str(built.folder)!r}, split='test')")
    publish = command_line("dataset", "publish", built.folder, "--repo-id", "NAMESPACE/NAME")
    output.line(f"Publish it with: {publish}")


@dataset.command(examples=["evalkit dataset publish data/shapes --repo-id you/shapes"])
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--repo-id", required=True, help="NAMESPACE/NAME on the Hub; made if it does not exist.")
@click.option("--with-images", is_flag=True, help="Push images even if no licence is known for them.")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--message", help="The commit's message.")
@output_options
def publish(
    folder: Path, repo_id: str, *, with_images: bool, private: bool, message: str | None, output: Output
) -> None:
    """Push the data set in FOLDER to the Hugging Face Hub.

    Images whose licence is unknown stay here unless --with-images asks for them; their file names, digests and
    upstream addresses are pushed.
    """
    from evalkit.benchmarks.publish import publish_dataset

    published = publish_dataset(folder, repo_id, include_images=with_images, private=private, message=message)
    output.json(_plain(asdict(published)))
    if published.changed:
        output.line(f"Published {published.url} at {published.commit}")
    else:
        output.line(f"{published.url} already holds this data set, at {published.commit}")
    if not published.with_images:
        output.note("Without images: no licence is known for them. To push them all the same: --with-images")


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in record.items()}
