"""What each editing technique conserves that nobody told it to: the survey's first table, put to the test.

::

    python -m tests.studies.what_is_conserved               # edits what is missing, then tests, on the claim list
    python -m tests.studies.what_is_conserved --list final  # once, when every setting and claim stands

Every edit's scores are kept beside this file as CSV, and what follows from them as JSON, list by list; the section, its
tables and figures, and the README's part, which shows the final list, are written from both. A method whose scores are
there, by the settings and weights of today, is not run again: with ``--from-scores`` nothing is, and everything that is
said is computed from the tables alone.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from matplotlib.transforms import Bbox
from scipy import stats

from evalkit import __version__
from evalkit.benchmarks.base import BENCHMARKS
from evalkit.editing.method import METHODS
from evalkit.encoders.base import settings_digest
from evalkit.formatting import format_interval, format_p_relation, format_signed
from evalkit.metrics.base import METRICS as METRIC_REGISTRY
from evalkit.report.figures.style import GREY, GRID, DrawnFigure, figure_style, method_styles, new_figure
from evalkit.report.figures.write import write_figures
from evalkit.stats.clusters import code_groups, group_deviations
from evalkit.stats.compare import compare_methods
from evalkit.stats.intervals import mean_interval
from evalkit.stats.records import PairComparison
from evalkit.stats.scores import InferenceOptions, MetricScores
from evalkit_adapters.diffusion.latent_diffusion import MINIATURE_DIFFUSION_V2
from tests.studies.shapes_v2 import (
    BASELINES,
    CONTROLS,
    LISTS,
    METRICS,
    SEEDS,
    TRUTHS,
    edit_and_score,
    scored,
    tried_methods,
    work_of,
)

if TYPE_CHECKING:
    import pandas

RESULTS = Path(__file__).with_suffix("")
"""Without suffix."""
SUCCESS, SUBJECT, SCENE, UNNAMED, *_ = TRUTHS
README = Path(__file__).parents[2] / "README.md"
KINDS = {"semantic": SUBJECT, "structural": SCENE}
"""Kind of information to the metric that stands for it."""
ALPHA = 0.05
N_FRESH = 10
"""Seeds of the fresh sample, which everything is held against and which is quickly made."""


KEPT = ["item_id", "group", "edit_type", "seed", "is_random", *METRICS, "seconds"]
"""Columns of an edit's scores."""


def scores_path(listed: str) -> Path:
    """The table of every edit's scores on a list."""
    return RESULTS.with_name(f"{RESULTS.name}_{listed}.csv")


def figure_path(listed: str) -> Path:
    """The figure of a list."""
    return RESULTS.with_name(f"{RESULTS.name}_{listed}.svg")


def read_scores(listed: str) -> "pandas.DataFrame":
    """A row per method, item and seed; no rows where nothing was run yet."""
    import pandas

    path = scores_path(listed)
    if not path.exists():
        return pandas.DataFrame(columns=["method", "made_by", *KEPT])
    return pandas.read_csv(path, dtype={"made_by": str})


def keep_scores(listed: str, name: str, frame: "pandas.DataFrame") -> None:
    """Puts a method's scores in the table; those with other seeds stay, if settings and weights are the same."""
    import pandas

    kept, made = read_scores(listed), made_by(name, listed)
    own = frame[KEPT].assign(method=name, made_by=made)
    stays = (kept.method != name) | ((kept.made_by == made) & ~kept.seed.isin(own.seed.unique()))
    together = pandas.concat([kept[stays], own])[kept.columns] if stays.any() else own[kept.columns]
    order = {each: number for number, each in enumerate(tried_methods())}
    together = together.sort_values(["method", "seed"], key=lambda column: column.replace(order), kind="stable")
    together.to_csv(scores_path(listed), index=False, float_format="%.6g")


def made_by(name: str, listed: str) -> str:
    """Digest of what decides a method's edits beside the seed: settings, list and the base model's weights."""
    benchmark = BENCHMARKS.get(LISTS[listed])()
    weights = MINIATURE_DIFFUSION_V2 / "unet" / "diffusion_pytorch_model.safetensors"
    settings = METHODS.get(name).card.values(miniature=True, chosen=None)
    deciding = [name, settings, benchmark.name, benchmark.version, hashlib.sha256(weights.read_bytes()).hexdigest()]
    return settings_digest(deciding)[:12]


def lacks(listed: str, name: str, kept: "pandas.DataFrame") -> list[int]:
    """The seeds of which a method has no scores yet."""
    seeds = range(N_FRESH) if name == "text_to_image" else SEEDS
    own = kept[(kept.method == name) & (kept.made_by == made_by(name, listed))]
    if len(own) and not own.is_random.any():
        return []
    return [seed for seed in seeds if seed not in set(own.seed)]


def judge(frames: Mapping[str, "pandas.DataFrame"]) -> dict[str, Any]:
    """Everything that is said of the methods, from their scores on one list, controls first."""
    names = list(frames)
    items = list(dict.fromkeys(frames["identity"].item_id))
    facts = frames["identity"].drop_duplicates("item_id").set_index("item_id").loc[items]
    groups = list(facts.group)
    tables = {metric: {name: table_of(frames[name], metric, items) for name in names} for metric in METRICS}
    labels = {name: tuple(map(str, sorted(frame.seed.unique()))) for name, frame in frames.items()}
    decided = decisions_of(tables, labels, groups)
    return {
        "n_items": len(items),
        "n_groups": len(set(groups)),
        "methods": {
            name: {
                "means": {metric: estimate(tables[metric][name], groups, metric) for metric in METRICS},
                "seconds": float(frames[name].seconds.mean()),
                "n_seeds": int(frames[name].seed.nunique()),
                "by_seed": {kind: np.nanmean(tables[metric][name], axis=0).tolist() for kind, metric in KINDS.items()},
                "by_type": by_type(tables, name, facts.edit_type),
                "kept_in_successes": kept_in_successes(tables, name),
                "ellipse": ellipse(tables, name, groups),
                **decided.get(name, {}),
            }
            for name in names
        },
    }


def decisions_of(
    tables: Mapping[str, Mapping[str, Any]], labels: Mapping[str, tuple[str, ...]], groups: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What is decided of each technique, with the survey's claims; seeds have the names in ``labels``."""
    edited = [name for name in labels if name not in CONTROLS]
    of_kinds = {metric: tables[metric] for metric in KINDS.values()}
    success = against("identity", edited, {SUCCESS: tables[SUCCESS]}, groups)
    kept = against("text_to_image", edited, of_kinds, groups)
    seeds_drawn = against("text_to_image", edited, of_kinds, groups, seed_labels=labels)
    between = {name: tables[SUBJECT][name] - tables[SCENE][name] for name in labels}
    difference = against("text_to_image", edited, {"difference": between}, groups)
    unnamed = against("text_to_image", edited, {UNNAMED: tables[UNNAMED]}, groups)
    return {
        name: {
            "claims": sorted(METHODS.get(name).card.conserves),
            "success": success[SUCCESS, name],
            **{kind: kept[metric, name] for kind, metric in KINDS.items()},
            "seeds_drawn": {kind: seeds_drawn[metric, name] for kind, metric in KINDS.items()},
            "difference": difference["difference", name],
            "unnamed": unnamed[UNNAMED, name],
        }
        for name in edited
    }


def table_of(frame: Any, metric: str, items: Sequence[str]) -> npt.NDArray[np.float64]:
    """``(items, seeds)``, NaN where there is no value."""
    return np.asarray(frame.pivot(index="item_id", columns="seed", values=metric).loc[list(items)], dtype=float)


def against(
    baseline: str,
    names: Sequence[str],
    tables: Mapping[str, Mapping[str, Any]],
    groups: Sequence[str],
    *,
    seed_labels: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[tuple[str, str], dict[str, Any]]:
    """Every method against a baseline, on each metric; all of them are one family, corrected after Holm.

    With the names of its seeds, those of a method with several are a sample of all that there might have been.
    """
    labels = {name: found if len(found) > 1 else None for name, found in (seed_labels or {}).items()}
    metrics = [
        MetricScores(
            metric=metric,
            scores={name: scores[name] for name in (baseline, *names)},
            higher_is_better=True,
            is_rate=metric == SUCCESS,
            seed_labels={name: labels[name] for name in (baseline, *names)} if labels else {},
        )
        for metric, scores in tables.items()
    ]
    compared = compare_methods(metrics, groups, InferenceOptions(baseline=baseline, alpha=ALPHA))
    return {(pair.metric, pair.b): decision(pair) for pair in compared}


def decision(pair: PairComparison) -> dict[str, Any]:
    """A method less the baseline, with what was decided."""
    return {
        "difference": pair.difference,
        "ci_low": pair.ci_low,
        "ci_high": pair.ci_high,
        "p_value": pair.p_value,
        "adjusted_p_value": pair.adjusted_p_value,
        "n_comparisons": pair.n_comparisons,
        "verdict": {"b_better": "more", "a_better": "less"}.get(pair.verdict, "not shown"),
    }


def estimate(table: npt.NDArray[np.float64], groups: Sequence[str], metric: str) -> dict[str, float | None]:
    """A mean over items with its interval."""
    values = np.nanmean(np.where(np.isnan(table).all(axis=1, keepdims=True), 0, table), axis=1)
    known = ~np.isnan(table).all(axis=1)
    if not known.any():
        return {"mean": None, "ci_low": None, "ci_high": None}
    bounds = METRIC_REGISTRY.get(metric).bounds
    found = mean_interval(values[known], np.array(groups)[known], is_rate=metric == SUCCESS, bounds=bounds)
    return {"mean": float(values[known].mean()), "ci_low": found.low, "ci_high": found.high}


def by_type(tables: Mapping[str, Mapping[str, Any]], name: str, types: Any) -> dict[str, dict[str, float]]:
    """Edit type to the mean of every truth."""
    kinds = np.array(types.astype(str))
    return {
        kind: {metric: float(np.nanmean(tables[metric][name][kinds == kind])) for metric in TRUTHS}
        for kind in dict.fromkeys(kinds)
    }


def kept_in_successes(tables: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, float | None]:
    """Kind to the mean preservation over the edits that did what was asked."""
    done = tables[SUCCESS][name] == 1
    return {kind: float(tables[metric][name][done].mean()) if done.any() else None for kind, metric in KINDS.items()}


def ellipse(tables: Mapping[str, Mapping[str, Any]], name: str, groups: Sequence[str]) -> dict[str, float]:
    """The 95 % confidence region of both means: Hotelling's T², with cluster-robust (CR2) covariance.

    Returns:
        Full ``width`` and ``height`` along its axes, and the ``angle`` of the first in degrees; x is structural.
    """
    columns = np.stack([tables[metric][name].mean(axis=1) for metric in (SCENE, SUBJECT)], axis=1)
    deviations = group_deviations(columns, code_groups(groups))
    freedom = len(set(groups)) - 1
    reach = np.sqrt(2 * freedom / (freedom - 1) * stats.f.ppf(1 - ALPHA, 2, freedom - 1))
    lengths, axes = np.linalg.eigh(deviations.T @ deviations)
    width, height = 2 * reach * np.sqrt(np.maximum(lengths, 0))
    angle = np.degrees(np.arctan2(axes[1, 0], axes[0, 0]))
    return {"width": float(width), "height": float(height), "angle": float(angle)}


def works(judged: Mapping[str, Any]) -> bool:
    """Whether it edits more than nothing does, and keeps more of what it claims than a fresh sample."""
    return judged["success"]["verdict"] == "more" and all(
        judged[kind]["verdict"] == "more" for kind in judged["claims"]
    )


def draw(listed: str, result: Mapping[str, Any]) -> DrawnFigure:
    """Semantic against structural preservation on a list, a point with an ellipse per method."""
    with figure_style():
        figure = new_figure(5.2, "What is kept of what no caption names", _basis(result))
        axes = figure.add_subplot()
        styles = method_styles(list(result["methods"]))
        axes.axhline(0, color=GRID, linewidth=0.8, zorder=0)
        axes.axvline(0, color=GRID, linewidth=0.8, zorder=0)
        axes.plot([-0.1, 1], [-0.1, 1], color=GRID, linewidth=0.8, linestyle="--", zorder=0)
        rows = []
        for name, judged in result["methods"].items():
            x, y = (judged["means"][metric]["mean"] for metric in (SCENE, SUBJECT))
            style, region = styles[name], judged["ellipse"]
            axes.add_patch(
                Ellipse((x, y), **region, facecolor=style.colour, edgecolor=style.colour, alpha=0.18, linewidth=0.8)
            )
            axes.plot(x, y, marker=style.marker, color=style.colour, markerfacecolor=style.face, linestyle="none")
            rows.append((name, x, y, *region.values()))
        axes.set_xlabel("structural: the horizon kept (1 exactly, 0 by chance)")
        axes.set_ylabel("semantic: the stripe kept (1 exactly, 0 by chance)")
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(colors=GREY)
        write_labels(axes, {styles[name].label: (x, y) for name, x, y, *_ in rows})
        return DrawnFigure(
            name=figure_path(listed).stem,
            title="What is kept of what no caption names",
            caption=f"Mean preservation with 95 % confidence regions over source images. {_basis(result)}",
            alt=" ".join(f"{name}: structural {x:.2f}, semantic {y:.2f}." for name, x, y, *_ in rows),
            figure=figure,
            columns=("method", "structural", "semantic", "width", "height", "angle"),
            rows=tuple(rows),
        )


def write_labels(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Each point's label beside it, on the side where it covers least of the points and of the labels before it."""
    figure = axes.figure
    figure.draw_without_rendering()
    marks = axes.transData.transform(list(points.values()))
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in marks]
    for label, point in points.items():
        tried = [
            axes.annotate(label, point, xytext=(6 * x, 6 * y), textcoords="offset points", fontsize=7, ha=ha, va=va)
            for x, ha in ((1, "left"), (-1, "right"), (0, "center"))
            for y, va in ((0.6, "bottom"), (-0.6, "top"), (2.2, "bottom"), (-2.2, "top"))
        ]
        boxes = [text.get_window_extent() for text in tried]
        covered = [sum(overlap(box, other) for other in taken) for box in boxes]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        for index, text in enumerate(tried):
            if index != best:
                text.remove()


def overlap(a: Bbox, b: Bbox) -> float:
    """Area that two boxes share."""
    shared = Bbox.intersection(a, b)
    return shared.width * shared.height if shared else 0.0


def _basis(result: Mapping[str, Any]) -> str:
    return f"{result['n_items']} edits of {result['n_groups']} drawn pictures, miniature models"


def tables_of(result: Mapping[str, Any]) -> list[str]:
    """The survey's table beside what was measured, and what stands behind it, in Markdown."""
    lines = [
        "| technique | conserves, says the survey | success | semantic kept | structural kept "
        "| above a fresh sample: semantic | structural | semantic − structural | unnamed attributes | works |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, judged in result["methods"].items():
        means = judged["means"]
        shares = [f"{100 * means[SUCCESS]['mean']:.0f} %", *(number(means[metric]) for metric in (SUBJECT, SCENE))]
        if "claims" in judged:
            tested = [shown(judged[part]) for part in ("semantic", "structural", "difference", "unnamed")]
            claims = " and ".join(judged["claims"]) or "no claim"
            worked = ("yes" if works(judged) else "no") if judged["claims"] else "–"
        else:
            tested, claims, worked = ["–"] * 4, "a control", "–"
        lines.append(f"| `{name}` | {claims} | {' | '.join((*shares, *tested))} | {worked} |")
    return lines


def short_table(result: Mapping[str, Any]) -> str:
    """What a newcomer wants to know, in Markdown: the survey's claim beside what is kept."""
    lines = [
        "| technique | conserves, says the survey | edits that succeed | semantic kept | structural kept |",
        "|---|---|---|---|---|",
    ]
    for name, judged in result["methods"].items():
        means = judged["means"]
        cells = [f"{100 * means[SUCCESS]['mean']:.0f} %"]
        for kind, metric in KINDS.items():
            text = f"{means[metric]['mean']:z.2f}".replace("-", "−")
            cells.append(f"**{text}**" if judged.get(kind, {}).get("verdict") == "more" else text)
        claims = (" and ".join(judged["claims"]) or "–") if "claims" in judged else "a control"
        lines.append(f"| `{name}` | {claims} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def details_of(result: Mapping[str, Any]) -> list[str]:
    """Success by edit type and the other means of every method, in Markdown."""
    kinds = list(next(iter(result["methods"].values()))["by_type"])
    others = [metric for metric in METRICS if metric not in (SUCCESS, SUBJECT, SCENE)]
    lines = [
        f"| method | {' | '.join(kinds)} | {' | '.join(f'`{metric}`' for metric in others)} "
        "| kept where it succeeds: semantic | structural | seconds |",
        f"|---|{'---|' * (len(kinds) + len(others) + 3)}",
    ]
    for name, judged in result["methods"].items():
        cells = [f"{100 * judged['by_type'][kind][SUCCESS]:.0f}" for kind in kinds]
        cells += [number(judged["means"][metric]) for metric in others]
        cells += ["–" if value is None else f"{value:z.2f}" for value in judged["kept_in_successes"].values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {judged['seconds']:.1f} |")
    return lines


def number(found: Mapping[str, float | None]) -> str:
    """A mean with its interval."""
    if found["mean"] is None:
        return "undefined"
    return f"{found['mean']:z.2f} {format_interval(found['ci_low'], found['ci_high'], '{:z.2f}'.format)}"


def shown(found: Mapping[str, Any]) -> str:
    """A difference, its interval and corrected p; bold where it is decided."""
    interval = format_interval(found["ci_low"], found["ci_high"], "{:.2f}".format)
    text = f"{format_signed(found['difference'], 2)} {interval}, p {format_p_relation(found['adjusted_p_value'])}"
    return text if found["verdict"] == "not shown" else f"**{text}**"


def section(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The study as a reviewer reads it."""
    parts = [_INTRODUCTION.format(version=__version__)]
    for listed, result in results.items():
        parts += [
            f"## {'Claim' if listed == 'claim' else 'Final'} list\n",
            *([_LOOKED_AT_ONCE] if listed == "final" else []),
            f"`{result['command']}`: {_basis(result)}; {seeds_of(result)}.{missing_from(result)}\n",
            verdicts(result) + "\n",
            *([agreement(results["claim"], result) + "\n"] if listed == "final" else []),
            f"![Semantic against structural preservation]({figure_path(listed).name})\n",
            "\n".join(tables_of(result)) + "\n",
            by_seed(result) + "\n",
            "Success by edit type in %, the other metrics (mean and 95 % interval), and preservation among the edits "
            "that succeeded, which describes only: which edits succeed is not left to chance. Seconds are of one core, "
            "which other work shared.\n",
            "\n".join(details_of(result)) + "\n",
        ]
    tried = [name for name in next(iter(results.values()))["methods"] if name not in BASELINES]
    return "\n".join([*parts, _SETTINGS.format(table=settings_table(tried)), _LIMITS])


def settings_table(names: Sequence[str]) -> str:
    """In Markdown, what the miniature model makes of each method's settings, beside the published ones."""
    lines = ["| method | setting | published | here |", "|---|---|---|---|"]
    for name in names:
        card = METHODS.get(name).card
        changed = {key: here for key, here in (card.miniature or {}).items() if here != card.settings[key].default}
        lines += [
            f"| `{name}` | `{key}` | {card.settings[key].default!r} | {here!r} |" for key, here in changed.items()
        ]
    return "\n".join(lines)


def seeds_of(result: Mapping[str, Any]) -> str:
    """How many edits of an item each method made."""
    several: dict[int, list[str]] = {}
    for name, judged in result["methods"].items():
        several.setdefault(judged["n_seeds"], []).append(f"`{name}`")
    parts = [f"{n} seeds of {', '.join(names)}" for n, names in sorted(several.items(), reverse=True) if n > 1]
    return ", ".join([*parts, "one of others"]) if parts else "one seed"


def by_seed(result: Mapping[str, Any]) -> str:
    """How far apart the seeds of a method are, and what that leaves of the claims."""
    shown = [
        f"`{name}` {' and '.join(f'{kind} {together(means)}' for kind, means in judged['by_seed'].items())}"
        for name, judged in result["methods"].items()
        if judged["n_seeds"] > 1
    ]
    claims = [(name, kind) for name, each in result["methods"].items() for kind in each.get("claims", ())]
    left = [(name, kind) for name, kind in claims if result["methods"][name]["seeds_drawn"][kind]["verdict"] == "more"]
    return (
        f"Kept, seed by seed: {'; '.join(shown)}. All items of a seed begin with the same noise, and what it favours "
        "is common to them: the intervals above, which are over source images, hold for these seeds, and not for "
        "others. Where the seeds of a method are a sample too, as `evalkit compare` has it wherever they seem to shift "
        f"all items, {len(left)} of the {len(claims)} claims are confirmed: {named(left)}. Two seeds leave one degree "
        "of freedom; of methods with one, or that draw nothing, only the fresh sample's count."
    )


def together(means: Sequence[float]) -> str:
    """The means of two seeds, or between which those of more lie."""
    if len(means) > len(SEEDS):
        return f"{min(means):z.2f} to {max(means):z.2f}"
    return ", ".join(f"{mean:z.2f}" for mean in means)


def missing_from(result: Mapping[str, Any]) -> str:
    """Which techniques were not run, in a sentence."""
    left_out = ", ".join(f"`{name}`" for name in result["left_out"])
    return f" **Not run yet: {left_out}**; the corrections are over the others." if left_out else ""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What follows from the decisions of a list: techniques, each with the kind of information it is about."""

    confirmed: tuple[tuple[str, str], ...]
    not_shown: tuple[tuple[str, str], ...]
    """Claims of the survey that were not confirmed."""
    unclaimed: tuple[tuple[str, str], ...]
    """Kept more than by a fresh sample, and claimed by nobody."""
    attributes: tuple[str, ...]
    working: tuple[str, ...]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "Verdicts":
        """Those of a list."""
        judged = {name: each for name, each in result["methods"].items() if "claims" in each}
        kept = {(name, kind): each[kind]["verdict"] == "more" for name, each in judged.items() for kind in KINDS}
        claimed = {(name, kind) for name, each in judged.items() for kind in each["claims"]}
        return cls(
            confirmed=tuple(part for part, more in kept.items() if more and part in claimed),
            not_shown=tuple(part for part, more in kept.items() if not more and part in claimed),
            unclaimed=tuple(part for part, more in kept.items() if more and part not in claimed),
            attributes=tuple(name for name, each in judged.items() if each["unnamed"]["verdict"] == "more"),
            working=tuple(name for name, each in judged.items() if each["claims"] and works(each)),
        )

    @property
    def n_claims(self) -> int:
        """Of the survey."""
        return len(self.confirmed) + len(self.not_shown)


def named(parts: Iterable[tuple[str, str]]) -> str:
    """``sine (semantic), sine (structural)``, or none."""
    return ", ".join(f"{name} ({kind})" for name, kind in parts) or "none"


def verdicts(result: Mapping[str, Any]) -> str:
    """What follows from the decisions, in sentences."""
    found = Verdicts.of(result)
    return (
        f"Of the survey's {found.n_claims} claims {len(found.confirmed)} are confirmed: {named(found.confirmed)}. Not "
        f"shown: {named(found.not_shown)}. Kept above a fresh sample without being claimed: {named(found.unclaimed)}. "
        "Attributes that captions leave out are kept above a fresh sample's by "
        f"{', '.join(found.attributes) or 'none'}. Working, which takes success above `identity` too: "
        f"{len(found.working)} ({', '.join(found.working) or 'none'})."
    )


def agreement(claim: Mapping[str, Any], final: Mapping[str, Any]) -> str:
    """Which comparisons with a fresh sample came out again on sources that nobody had looked at, in sentences."""
    before, now = (
        {
            (name, kind): each[kind]["verdict"]
            for name, each in result["methods"].items()
            for kind in KINDS
            if kind in each
        }
        for result in (claim, final)
    )
    changed = [
        f"{name} ({kind}): {before[name, kind]} there, {verdict} here"
        for (name, kind), verdict in now.items()
        if before[name, kind] != verdict
    ]
    said = (
        f"Of the {len(now)} comparisons with a fresh sample {len(now) - len(changed)} are decided as on the claim list"
    )
    return f"{said}. Otherwise: {'; '.join(changed)}." if changed else f"{said}."


def readme_section(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What a newcomer wants to know: of the final list, if it was looked at."""
    result = results.get("final", results["claim"])
    found, n_tested = Verdicts.of(result), sum(bool(each.get("claims")) for each in result["methods"].values())
    missing = f" (not shown: {named(found.not_shown)})" if found.not_shown else ""
    untouched = " that no setting was chosen by" if "final" in results else ""
    said = (
        "A survey (Cruz Cáceres 2023) lists which information each of nine techniques conserves; nobody had tested it. "
        f"In {result['n_items']} edits of {result['n_groups']} drawn pictures{untouched}, made with miniature models, "
        f"{len(found.confirmed)} of its {found.n_claims} claims are confirmed{missing}, and {len(found.working)} of "
        f"{n_tested} techniques both edit and keep what they are said to."
    )
    return f"{_HEADING}\n\n{fill(said, 118)}\n\n{short_table(result)}\n{_MEANING}"


_HEADING = "## What methods keep"
_MEANING = """\
A stripe across the shape (*semantic*) and a horizon (*structural*) are named by no caption: 1 is kept exactly, 0 is
what chance keeps, and **bold** is more than a fresh picture of the caption keeps, at p < .05 after correction over the
techniques. Tables, tests and limits: `tests/studies/what_is_conserved.md`.
"""

_INTRODUCTION = """# What is conserved?

`python -m tests.studies.what_is_conserved`, evalkit {version}.

**Question.** The survey *Image Edition Using Diffusion Models and Natural Language* (Cruz Cáceres 2023) opens with a
table of nine techniques and the information that each conserves: semantic, structural or both. The table repeats what
papers claim; nobody has tested it. Does each technique keep more of that information than a model that has never seen
the source image?

**Material.** Version 2 of the `shapes` benchmark. Each drawing holds what no caption names: a stripe across the shape,
whose angle is uniform over 180° (of the subject: *semantic*), and a horizon, whose height and slope are uniform (of the
scene: *structural*). Captions name three of five attributes. Every method edits with the miniature diffusion model, at
settings found on another list of sources (the tuning list), which shares no source with these.

**Measure.** `subject_detail_preservation` is cos 2Δ of the stripe's angle, `scene_detail_preservation` the mean of
cos 2πΔ/r of the horizon's height and slope: 1 where kept exactly, 0 in expectation for anything that does not depend on
the source, 0 where the recogniser, which has no learnt part, finds nothing. `unnamed_attribute_preservation` is the
same of the two attributes that each caption leaves out; what they are is named to the model for other pictures, so a
technique that finds words for the source can keep them without keeping a detail for which there are none.
`edit_success:v2` is 1 where the attribute that was to change has the value asked for.

**Tests.** The unit of inference is the source image; an item's value is the mean over its seeds. Each technique is
tested against a fresh sample for the target caption (`text_to_image`) on both kinds, by sign-flip permutation of source
images: one family of two tests per technique, corrected after Holm. The difference between the kinds (semantic less
structural, above the fresh sample's), unnamed attributes above the fresh sample's, and success against the untouched
source (`identity`) are families of their own.
Intervals are of level 95 % and not corrected. **Bold**: decided at corrected p < .05. *Works*: more success than
`identity`, and more of every kind that is claimed than a fresh sample.
"""

_LOOKED_AT_ONCE = """\
Sources of which nothing was looked at before every setting, claim and test stood. Added after that look, and declared
before it: the second seeds of DiffusionCLIP and all but six of the ten of the fresh sample. Changed after it: when
`evalkit compare` takes two seeds as a sample (only where an F test has p ≤ .05), which the sentence on seeds follows.
"""

_SETTINGS = """## Settings

What differs from the published settings, which were made for photographs of 512 pixels and a model of a billion
weights: fewer steps at higher rates, as the miniature model is small; and how strongly the source is held on to, found
on the tuning list.

{table}
"""

_LIMITS = """## Limits

* One world and one model, both small: 64 × 64 drawings of one shape, and a latent diffusion model of 11 MB. That a
  technique keeps a stripe or a horizon here is evidence about the technique; how much it keeps of a photograph is not.
* One detail stands for *semantic* information and one for *structural*. A stripe has a place and a direction in the
  picture as well; a technique that copies layout copies it along.
* What `ddim_reconstruction` keeps is the ceiling of every technique that begins with inversion.
* What HiPer may keep is what an optimised embedding recalls of a picture at all, with nothing edited:
  `embedding_capacity.md`.
* A technique that edits nothing keeps everything: preservation is to be read beside success, never without.
"""


def main() -> None:
    """Edit what is missing, test, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", choices=[name for name in LISTS if name != "tuning"], default="claim", dest="listed")
    parser.add_argument("--without", default="", help="methods that are left out, and said to be missing")
    parser.add_argument("--from-scores", action="store_true", help="edit nothing; say what follows from the tables")
    options = parser.parse_args()
    listed, left_out = options.listed, [name for name in options.without.split(",") if name]
    names = [name for name in tried_methods() if name not in left_out]
    table = read_scores(listed)
    for name in names:
        if options.from_scores:
            if name not in set(table.method):
                parser.error(f"{scores_path(listed)} has no scores of {name}")
        elif missing := lacks(listed, name, table):
            print(f"{name} …", flush=True)
            edit_and_score(name, work_of(listed), listed, seeds=missing)
            keep_scores(listed, name, scored(work_of(listed), name))
    table = read_scores(listed)
    order = [*CONTROLS, *(name for name in names if name not in CONTROLS)]
    frames = {name: table[table.method == name] for name in order}
    asked = [each for each in sys.argv[1:] if each != "--from-scores"]
    command = " ".join(["python -m tests.studies.what_is_conserved", *asked])
    kept = RESULTS.with_suffix(".json")
    results = json.loads(kept.read_text()) if kept.exists() else {}
    results[listed] = {"command": command, "left_out": left_out, **judge(frames)}
    kept.write_text(json.dumps(results, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(section(results))
    readme = re.sub(
        rf"{_HEADING}\n.*?(?=\n## )", lambda _: readme_section(results), README.read_text(), flags=re.DOTALL
    )
    README.write_text(readme)
    drawn = work_of(listed) / "figures"
    write_figures([draw(listed, results[listed])], drawn)
    figure_path(listed).write_bytes((drawn / figure_path(listed).name).read_bytes())
    print(verdicts(results[listed]))


if __name__ == "__main__":
    main()
