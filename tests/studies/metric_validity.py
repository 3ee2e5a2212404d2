"""Which metric agrees with what really happened: every metric over every method's edits of version 2 of the shapes.

::

    python -m tests.studies.metric_validity                 # killed and started again, it goes on
    python -m tests.studies.metric_validity --methods sdedit,plug_and_play --sources 6 --work build/trial

It takes every editing method that is tried on the shapes, with the edits of the claim list that ``shapes_v2`` makes,
and every metric that needs no downloaded weights, so it is to be run again when either is added. The result is written
beside this file: the record as JSON, the section as Markdown, the panel as SVG.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from evalkit import __version__
from evalkit.benchmarks.protocols import SHAPES_V2
from evalkit.report.figures.write import write_figures
from evalkit.validity.damage import DAMAGES
from evalkit.validity.figures import draw_panel
from evalkit.validity.records import Validity
from evalkit.validity.report import markdown
from evalkit.validity.validate import validate_metrics
from tests.studies.protocol_margins import offline_metrics
from tests.studies.shapes_v2 import LISTS, SEEDS, edit_and_score, tried_methods, work_of

RESULTS = Path(__file__).with_suffix(".json")
SECTION = Path(__file__).with_suffix(".md")
FIGURE = Path(__file__).with_suffix(".svg")
CONTROLS = ("identity",)
"""Registered as methods, and controls here in any case."""


LIMITS = """## Limits

* The world is small: one striped shape per picture before a horizon, 64 × 64 pixels, closed captions. That a metric
  fails here is evidence against it; that it succeeds is not evidence for photographs.
* The miniature CLIP was trained on captions of these very worlds, so CLIP metrics see the attributes better here than
  a large CLIP sees fine attributes of photographs. Numbers of CLIP metrics say something of the metric's *form* (what
  it rewards, where it is undefined), and nothing of the networks used in papers.
* `reference_closeness` is itself a mean absolute difference, so it leans towards L1 among the metrics of preservation.
  The order between L1 and others says that they see different things, more than that L1 sees better.
* Damage is judged on drawn pictures with flat colours, which JPEG and resizing treat unlike photographs.
* The methods are few and of one family, and their edits of an item are often all successful: agreement with edit
  success over methods alone rests on the items where they differ.
"""


def section(validity: Validity, left_out: list[str]) -> str:
    """The study as a section: question, method, estimands, results, limits."""
    methods = ", ".join(f"`{name}`" for name in validity.methods)
    damages = "; ".join(f"`{name}`: {damage.summary}" for name, damage in DAMAGES.items())
    return f"""# Do the metrics measure what they are used for?

`python -m tests.studies.metric_validity`, evalkit {__version__}.

**Question.** A metric is used to say which of two edits of the same picture is better. Where the truth is known, that
can be checked: does the metric prefer the edit that was asked for to what is known to be worse, is it left cold by
what is no edit, and does it order the edits of an item as the truth does?

**Material.** {validity.n_items} edits of {validity.n_groups} drawn pictures, the claim list of the shapes
(`{LISTS["claim"]}`, version {validity.benchmark_version}): recolour, reshape, resize, background, and the spatial
moves. Pictures hold details that no caption names, and captions leave out some attributes. The *true edit* is the drawn
reference picture. Controls: the untouched source (`identity`), the source of another item (`shuffled_source`), the
right kind of edit with a wrong value (`wrong_attribute`), the true edit under both captions of an item with another
source (`shuffled_caption`, one random circle of sources, seed {validity.seed}); and the true edit with everything drawn
anew that its caption leaves out (`drawn_anew`), with the stripe turned (`other_stripe`), with another horizon
(`other_horizon`), with other unnamed attributes (`other_unnamed`). Damage of the
true edit: {damages}. Methods, with their settings for the miniature model, each item averaged over the seeds
that it was edited with: {methods}. CLIP metrics go through the shipped miniature encoder (signatures below), metrics
of pixels need none.{_left_out(left_out)}

**Truth.** `edit_success:v2`: every attribute that was to change has the value asked for.
`subject_detail_preservation` (the stripe's angle), `scene_detail_preservation` (the horizon's height and slope) and
`unnamed_attribute_preservation`: 1 where kept, 0 in expectation where drawn anew. All are read by a recogniser without
learnt parts. `reference_closeness`: 1 − mean absolute difference from the reference picture.

**Estimands.** (1) For each control the probability, over items, that the true edit scores better than the control on
the same item, ties counting half; Wilson's interval with the design effect of the source images. Below .75 a metric
cannot rank single items. (2) The mean change of the score under damage, in % of the mean distance between the true
edit and another source. (3) Kendall's τ_b between metric and truth over the edits of one item, averaged over items
(ungrouped correlations would mix in how difficult items are); bootstrap-t interval over source images. It is given
for the methods alone, where differences are small, and for methods, controls and reference together, where they are
large. An item on which the truth ties all edits has no τ and is left out; the numbers of items stand in brackets.
Intervals are not corrected for their number: the tables describe, and decide nothing alone.

## Results

{markdown(validity)}
![Panel](metric_validity.svg)

{LIMITS}"""


def _left_out(names: list[str]) -> str:
    if not names:
        return ""
    which = ", ".join(f"`{name}`" for name in names)
    return f" Metrics that need weights from elsewhere, or the truth of version 1, were not tried: {which}."


def main() -> None:
    """Edit, try every metric, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(name for name in tried_methods() if name not in CONTROLS))
    parser.add_argument("--sources", type=int, help="how many of the list's; all by default")
    parser.add_argument("--work", type=Path, default=work_of("claim"))
    options = parser.parse_args()
    names = options.methods.split(",")
    for name in names:
        print(f"{name} …", flush=True)
        edit_and_score(name, options.work, "claim", n_sources=options.sources, seeds=SEEDS[:1])
    metrics = offline_metrics(SHAPES_V2)
    validity = validate_metrics(
        [metric.name for metric in metrics],
        LISTS["claim"],
        options.work / "validity",
        methods=[options.work / "edits" / name for name in names],
        progress=lambda what, done, total: print(f"{what} {done}/{total}", flush=True) if what == "scoring" else None,
    )
    chosen = {metric.name for metric in metrics}
    text = section(validity, [name for name in all_metrics() if name not in chosen])
    print(text)
    write_figures([draw_panel(validity)], options.work / "figures")
    if options.work == parser.get_default("work"):
        RESULTS.write_text(json.dumps(asdict(validity), indent=1, ensure_ascii=False) + "\n")
        SECTION.write_text(text)
        FIGURE.write_bytes((options.work / "figures" / "validity.svg").read_bytes())


def all_metrics() -> tuple[str, ...]:
    """Every registered metric."""
    from evalkit.metrics.base import METRICS

    return METRICS.names()


if __name__ == "__main__":
    main()
