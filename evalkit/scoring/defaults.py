"""Which metrics a folder is scored by where nobody says it: those that its items have what it takes for."""

from collections.abc import Sequence

from evalkit.edits.item import EditItem, Problem
from evalkit.formatting import series
from evalkit.metrics.base import Metric, get_metrics

CAPTIONS = ("source_caption", "target_caption")
WITHOUT_CAPTIONS = ("clip_image_similarity", "l1", "ssim", "clip_reference_similarity", "l1_reference")
"""What can be said of edits that nobody described: what they preserve, and how near they come to a reference."""


def default_metrics(names: Sequence[str], items: Sequence[EditItem]) -> tuple[tuple[Metric, ...], tuple[Problem, ...]]:
    """Of the usual metrics those that some item can have a value by; of edits without captions others too.

    Args:
        names: The usual ones, of the benchmark or in general.
        items: Of the folder.

    Returns:
        The metrics, and in one notice what was left out, why, and what was taken instead.
    """
    usual = get_metrics(names)
    missing = {metric.name: fields for metric in usual if (fields := fields_lacked(metric, items))}
    if not missing or not items:
        return tuple(usual), ()
    kept = [metric for metric in usual if metric.name not in missing]
    taken: list[Metric] = []
    if not any(name in metric.fields for metric in kept for name in ("target_caption", "instruction")):
        others = get_metrics([name for name in WITHOUT_CAPTIONS if name not in names])
        taken = [metric for metric in others if not fields_lacked(metric, items)]
    if not kept and not taken:
        return tuple(usual), ()
    absent = dict.fromkeys(name for fields in missing.values() for name in fields)
    what = series([name.replace("_", " ") for name in absent])
    instead = f", and {series([metric.name for metric in taken], 'and')} taken instead" if taken else ""
    message = (
        f"No item has a {what}: {series(list(missing), 'and')} {'was' if len(missing) == 1 else 'were'} left "
        f"out{instead}. Choose yourself: --metrics A,B"
    )
    return (*kept, *taken), (Problem(code="metrics_chosen", message=message),)


def fields_lacked(metric: Metric, items: Sequence[EditItem]) -> tuple[str, ...]:
    """What a metric needs and no item has, beside an edited image."""
    return tuple(
        name
        for name in metric.fields
        if name != "edited_image" and not any(getattr(item, name) is not None for item in items)
    )
