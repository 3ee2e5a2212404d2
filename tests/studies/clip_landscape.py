"""Whether the directional CLIP loss points to the edit: the shapes benchmark under the miniature CLIP, without a model.

::

    python -m tests.studies.clip_landscape --sources 18

DiffusionCLIP and its like go down the directional distance of edited and source picture. For each edit the distance is
read along the straight line from the source picture to the perfect edit: *downhill at first* if 2 % of the way already
lie on the edit's side (distance below 1), *downhill throughout* if it never rises by more than 0.005 from there on.
*Perfect edit best* is the share of edits for which no other value of the attribute, drawn in its place, is nearer. It
is one line through many dimensions: where all three are high, other ways down may still end elsewhere.
"""

import argparse
from collections import defaultdict
from itertools import pairwise
from statistics import fmean

import torch

from evalkit.benchmarks.base import BENCHMARKS
from evalkit.benchmarks.shapes.world import ATTRIBUTES, Scene, draw
from evalkit.editing.method import MINIATURE, MethodRun
from evalkit.edits.item import EditItem
from evalkit_adapters.methods.diffusionclip.losses import directional_distance
from evalkit_adapters.methods.diffusionclip.method import DiffusionCLIP

_TOLERANCE = 0.005
_PATH = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the way from the source to the perfect edit."""


def shown(scene: Scene) -> torch.Tensor:
    """A scene without jitter, ``(1, 3, 64, 64)`` in [0, 1]."""
    return torch.tensor(draw(scene)).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def look(method: DiffusionCLIP, item: EditItem) -> dict[str, float]:
    """What is told of one edit."""
    assert item.source_attributes
    assert item.target_attributes
    objective = method.objective(item.source_caption or "", item.target_caption or "")
    before, after = Scene(**item.source_attributes), Scene(**item.target_attributes)
    source, perfect = shown(before), shown(after)
    (changed,) = (name for name in ATTRIBUTES if before.attributes[name] != after.attributes[name])

    def distance(picture: torch.Tensor) -> float:
        seen = [objective.clip.embed(part) for part in (picture, source)]
        return float(directional_distance(seen[0], seen[1], objective.direction))

    way = [distance(source + share * (perfect - source)) for share in _PATH]
    others = [
        distance(shown(Scene(**{**before.attributes, changed: value})))
        for value in ATTRIBUTES[changed]
        if value not in (before.attributes[changed], after.attributes[changed])
    ]
    return {
        "downhill at first": float(way[0] < 1),
        "downhill throughout": float(all(far <= near + _TOLERANCE for near, far in pairwise(way))),
        "perfect edit best": float(all(way[-1] <= other for other in others)),
        "distance at 2 %": way[0],
        "of the perfect edit": way[-1],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=18)
    number = parser.parse_args().sources
    shapes = BENCHMARKS.get("shapes")()
    groups = list(dict.fromkeys(item.group for item in shapes.items))[:number]
    method = DiffusionCLIP()
    method.load(MethodRun(model=MINIATURE, revision=None, settings=method.card.values(miniature=True)))
    found = defaultdict(list)
    for item in shapes.items:
        if item.group in groups:
            found[item.edit_type or ""].append(look(method, item))
    names = list(next(iter(found.values()))[0])
    print(f"| edit type | edits | {' | '.join(names)} |\n|---|{'---|' * (len(names) + 1)}")
    for kind, rows in found.items():
        means = " | ".join(f"{fmean(row[name] for row in rows):.2f}" for name in names)
        print(f"| {kind} | {len(rows)} | {means} |")


if __name__ == "__main__":
    main()
