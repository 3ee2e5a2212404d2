"""Comparisons with pictures, edit types and many metrics, for pages."""

from dataclasses import replace

import numpy as np
from PIL import Image

from evalkit.benchmarks.open import open_edits
from evalkit.edits.check import edits_digest
from evalkit.edits.item import EditItem
from evalkit.edits.manifest import write_manifest
from evalkit.images.decode import write_image
from evalkit.judges.judgement import Judgement
from evalkit.scores.frame import ScoreFrame
from evalkit.scores.run import FolderRecord
from tests.support.comparisons import METRICS

TYPES = ("style", "object")


def with_pictures(comparison, root, size=(64, 48), distinct=1_000, types=TYPES):
    """The comparison with edit folders and edit types, and an edit of the second method that failed.

    Args:
        comparison: Of whatever methods.
        root: Where a folder for each of them is made.
        size: Of the pictures.
        distinct: So many of them are files of their own, which all items use in turn.
        types: Which items have in turn.
    """
    rng = np.random.default_rng(0)
    methods = []
    for number, method in enumerate(comparison.methods):
        items = []
        for n, row in enumerate(method.table.rows):
            for kind in ("source", "edit"):
                if n < distinct:
                    write_image(root / str(number) / f"{kind}{n}.png", photograph(rng, size))
            items.append(
                EditItem(
                    item_id=row.item_id, source_caption="a photo of a dog on a sofa", edit_type=types[n % len(types)],
                    target_caption="a photo of a cat on a sofa",
                    source_image=root / str(number) / f"source{n % distinct}.png",
                    edited_image=root / str(number) / f"edit{n % distinct}.png",
                )
            )  # fmt: skip
        if number == 1:
            items[2] = items[2].without_edit("failed", "out of memory")
        write_manifest(root / str(number), items, benchmark="my own", method=f"m{number}")
        folder = open_edits(root / str(number)).folder
        record = FolderRecord(
            path=str(root / str(number)), layout=folder.layout, digest=edits_digest(folder.items, {}),
            n_files=folder.n_files, n_matched=folder.n_matched, opened_with=dict(folder.opened_with),
        )  # fmt: skip
        rows = [replace(row, edit_type=types[n % len(types)]) for n, row in enumerate(method.table.rows)]
        table = ScoreFrame.from_rows(rows, method.table.metrics)
        methods.append(replace(method, folder=record, table=table))
    return replace(comparison, methods=tuple(methods), benchmark="my own")


def with_metrics(comparison, n):
    """The comparison with its first metric under so many names, the first of them primary."""
    names = [METRICS[0].name, "clip_directional_similarity", *(f"another_metric_{k}" for k in range(n - 2))]
    metrics = tuple(replace(METRICS[0], name=name, primary=k == 0, margin=None) for k, name in enumerate(names))
    first = METRICS[0].name
    methods = []
    for method in comparison.methods:
        rows = [replace(row, values=dict.fromkeys(names, row.values[first]), reasons={}) for row in method.table.rows]
        methods.append(replace(method, table=ScoreFrame.from_rows(rows, names)))
    return replace(
        comparison,
        methods=tuple(methods),
        metrics=metrics,
        pairs=tuple(replace(p, metric=name) for name in names for p in comparison.pairs if p.metric == first),
        ranking=tuple(replace(r, metric=name) for name in names for r in comparison.ranking if r.metric == first),
        cliques=dict.fromkeys(names, comparison.cliques[first]),
    )


def with_judgements(comparison, words="It is red now.", repeats=2):
    """The comparison with answers of a judge about every edit, in these words; the last of each edit has no score."""
    answers = [Judgement(item_id="", rubric="judge", repeat=n, scores={"following": 8, "overall": 54**0.5},
                         text="{}", reasoning=words) for n in range(repeats - 1)]  # fmt: skip
    answers.append(
        Judgement(
            item_id="",
            rubric="judge",
            repeat=repeats - 1,
            scores=None,
            reason="judge_unreadable",
            text=f"Well: {words}",
        )
    )
    methods = []
    for method in comparison.methods:
        ids = dict.fromkeys(row.item_id for row in method.table.rows)
        own = [answer.model_copy(update={"item_id": item_id}) for item_id in ids for answer in answers]
        methods.append(replace(method, judgements=tuple(own)))
    return replace(comparison, methods=tuple(methods))


def photograph(rng, size):
    """A picture with structure at two scales, so that it compresses about as a photograph does."""
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse, dtype=float) + fine, 0, 255).astype(np.uint8))
