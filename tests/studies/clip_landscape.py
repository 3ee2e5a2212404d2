"""Whether the directional CLIP loss points to the edit: a list of the shapes benchmark under a miniature CLIP.

::

    python -m tests.studies.clip_landscape                                  # version 2 and its CLIP
    python -m tests.studies.clip_landscape --list shapes --clip miniature --sources 18

DiffusionCLIP and its like go down the directional distance of edited and source picture. For each edit the distance is
read along the straight line from the source picture to the perfect edit: *downhill at first* if 2 % of the way already
lie on the edit's side (distance below 1), *downhill throughout* if it never rises by more than 0.005 from there on.
*Perfect edit best* is the share of edits for which no other value of the attribute, drawn in its place, is nearer. It
is one line through many dimensions: where all three are high, other ways down may still end elsewhere.

*Painted* is about what no line tells: a perfect generator, which knows where the shape (or the background) is and has
its colour alone to find, goes down the distance from the source's colour, once; the share that ends at the colour that
was asked for.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import numpy as np
import torch

from evalkit.benchmarks.shapes.details import GROUND_TONE, STRIPE_TONE
from evalkit.benchmarks.shapes.edits import EDIT_TYPES, LISTS, Edit, edits
from evalkit.benchmarks.shapes.world import ATTRIBUTES, BACKGROUNDS, COLOURS, NATIVE_SIZE, coverage, detailed, draw
from evalkit_adapters.guidance.clip import GuidingClip
from evalkit_adapters.guidance.loading import open_clip_guide
from evalkit_adapters.methods.diffusionclip.losses import DirectionalObjective, directional_distance, text_direction

_TOLERANCE = 0.005
_PATH = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the way from the source to the perfect edit."""
_TABLES = {"colour": COLOURS, "background": BACKGROUNDS}
_PAINT_STEPS, _PAINT_RATE = 200, 0.05
_LIGHT = torch.tensor([0.299, 0.587, 0.114])


def look(objective: DirectionalObjective, edit: Edit) -> dict[str, float]:
    """What is told of one edit."""
    attribute = EDIT_TYPES[edit.edit_type].attribute
    source, perfect = (to_tensor(draw(scene, edit.jitter)) for scene in (edit.source, edit.target))

    @torch.no_grad()
    def distance(picture: torch.Tensor) -> float:
        seen = [objective.clip.embed(part) for part in (picture, source)]
        return float(directional_distance(seen[0], seen[1], objective.direction))

    way = [distance(source + share * (perfect - source)) for share in _PATH]
    asked = (getattr(edit.source, attribute), getattr(edit.target, attribute))
    others = [
        distance(to_tensor(draw(replace(edit.source, **{attribute: value}), edit.jitter)))
        for value in ATTRIBUTES[attribute]
        if value not in asked
    ]
    told = {
        "downhill at first": float(way[0] < 1),
        "downhill throughout": float(all(far <= near + _TOLERANCE for near, far in pairwise(way))),
        "perfect edit best": float(all(way[-1] <= other for other in others)),
        "distance at 2 %": way[0],
        "of the perfect edit": way[-1],
    }
    return told | ({"painted": float(painted(objective, edit) == asked[1])} if attribute in _TABLES else {})


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """``(1, 3, 64, 64)`` in [0, 1]."""
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255


def painted(objective: DirectionalObjective, edit: Edit) -> str:
    """The colour of the world that is nearest to where the descent from the source's colour ends."""
    attribute = EDIT_TYPES[edit.edit_type].attribute
    table = {name: torch.tensor(colour) / 255 for name, colour in _TABLES[attribute].items()}
    source = to_tensor(draw(edit.source, edit.jitter))
    free = torch.logit(table[getattr(edit.source, attribute)].clamp(0.02, 0.98)).requires_grad_()
    optimiser = torch.optim.Adam([free], lr=_PAINT_RATE)
    for _ in range(_PAINT_STEPS):
        made = paint(edit, attribute, free.sigmoid(), source)
        seen = [objective.clip.embed(part) for part in (made, source)]
        optimiser.zero_grad()
        directional_distance(seen[0], seen[1], objective.direction).sum().backward()
        optimiser.step()
    end = free.detach().sigmoid()
    return min(table, key=lambda name: float((table[name] - end).norm()))


def paint(edit: Edit, attribute: str, colour: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """The source with another colour of the shape or of the background, and the tones that go with it."""
    covered = torch.tensor(coverage(edit.source, edit.jitter) / 255).float()
    share = covered if attribute == "colour" else 1 - covered
    toned = torch.tensor(toned_share(edit, attribute)).float()
    darker, lighter, light_from = STRIPE_TONE if attribute == "colour" else GROUND_TONE
    is_light = float(255 * colour.detach() @ _LIGHT) >= light_from
    tone = colour * darker if is_light else colour + (1 - colour) * lighter
    flat = colour[:, None, None] + toned * (tone - colour)[:, None, None]
    return source + share * (flat - source)


def toned_share(edit: Edit, attribute: str) -> np.ndarray:
    """How much of each pixel has the other tone: of the stripe, or below the horizon."""
    scene = edit.source
    if scene.details is None:
        return np.zeros((NATIVE_SIZE, NATIVE_SIZE))
    return detailed(scene, scene.details, edit.jitter)[attribute == "background"]


def objective_of(clip: GuidingClip, edit: Edit) -> DirectionalObjective:
    """The directional distance of an edit's captions, alone."""
    direction = text_direction(clip, edit.source_caption, edit.target_caption, ["{}"])
    return DirectionalObjective(clip=clip, direction=direction, clip_weight=1.0, l1_weight=0.0, is_logarithmic=False)


def painted_shares(clip: str, listed: str) -> dict[str, float]:
    """Edit type to the share of a list's edits that a perfect generator makes under an encoder's guidance."""
    guide, made = open_clip_guide(clip, device="cpu"), defaultdict(list)
    for edit in edits(listed):
        attribute = EDIT_TYPES[edit.edit_type].attribute
        if attribute in _TABLES:
            made[edit.edit_type].append(painted(objective_of(guide, edit), edit) == getattr(edit.target, attribute))
    return {kind: fmean(each) for kind, each in made.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", choices=LISTS, default="shapes:v2", dest="listed")
    parser.add_argument("--clip", default="miniature:v2", help="an encoder, as evalkit score --encoder takes it")
    parser.add_argument("--sources", type=int, help="how many of the list's; all by default")
    options = parser.parse_args()
    asked = edits(options.listed)
    groups = list(dict.fromkeys(edit.group for edit in asked))[: options.sources]
    clip = open_clip_guide(options.clip, device="cpu")
    found = defaultdict(list)
    for edit in asked:
        if edit.group in groups:
            found[edit.edit_type].append(look(objective_of(clip, edit), edit))
    names = list(found["recolour"][0])
    print(f"| edit type | edits | {' | '.join(names)} |\n|---|{'---|' * (len(names) + 1)}")
    for kind, rows in found.items():
        means = " | ".join(f"{fmean(row[name] for row in rows):.2f}" if name in rows[0] else "–" for name in names)
        print(f"| {kind} | {len(rows)} | {means} |")


if __name__ == "__main__":
    main()
