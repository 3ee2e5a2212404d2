"""Result folders as the scripts of published methods and benchmarks write them, with pictures and texts of our own.

Each layout names the file that says how it looks; nothing of those projects is here but names of folders and headings.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.pictures import scene

SIDE = 32
"""Pictures are squares of this many pixels, as strips of pictures are cut by it."""

Pairs = list[tuple[Path, Image.Image | Path]]
"""Source file and edit, which is a file of its own or a part of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealLayout:
    """How somebody's scripts name what they write, and what a user types to score it."""

    name: str
    written_by: str
    """Repository and file."""
    write: Callable[[Path], Pairs]
    """Draws such a folder, and says which source and edit belong together."""
    command: str
    """What follows ``evalkit score`` in the folder above."""
    unmatched: tuple[str, ...] = ()
    """Names of pictures in the folder that are nobody's edit; they are problems."""

    def __str__(self) -> str:
        """Its name, for pytest."""
        return self.name


def mean_l1(pairs: Pairs) -> float:
    """The mean over pairs of the mean absolute difference of unit floats, from the files as Pillow decodes them."""
    return float(np.mean([np.abs(_floats(source) - _floats(edit)).mean() for source, edit in pairs]))


def _floats(image: Path | Image.Image) -> np.ndarray:
    opened = image if isinstance(image, Image.Image) else Image.open(image)
    return np.asarray(opened.convert("RGB"), dtype=np.float64) / 255


def _draw(path: Path, seed: int) -> Path:
    """Writes a picture that only the seed decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(SIDE, SIDE, seed)).save(path, quality=95)
    return path


def _drawn(root: Path, names: Iterable[tuple[str, str]]) -> Pairs:
    """Draws sources and edits by their names; a source that stands there twice is drawn once."""
    sources: dict[str, Path] = {}
    pairs: Pairs = []
    for number, (source, edit) in enumerate(names):
        if source not in sources:
            sources[source] = _draw(root / source, len(sources))
        pairs.append((sources[source], _draw(root / edit, 100 + number)))
    return pairs


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=4))


def _editval(root: Path) -> Pairs:
    """A folder per dimension and in it one per image, edits named by what is asked for."""
    edits = (
        ("object_addition", "1017", "kite"),
        ("object_addition", "1017", "paper plane"),
        ("shape", "20981", "heart-shaped"),
        ("background", "20981", "forest"),
    )
    return _drawn(root, [(f"images/{image}.jpg", f"edited/{kind}/{image}/{to}.png") for kind, image, to in edits])


_CAPTIONS = (
    ("kite_1.jpeg", "A photo of a red kite."),
    ("kite_1.jpeg", "A kite. Drawn in chalk."),
    ("old_boat.png", "A boat in a storm."),
)
"""Sources and target captions as TEdBench has them: full stops inside and at the end, underscores in names."""


def _write_list(root: Path) -> None:
    """TEdBench's list of edits."""
    rows = [{"img_name": source, "target_text": caption} for source, caption in _CAPTIONS]
    _write_json(root / "tedbench" / "input_list.json", rows)


def _imagic(root: Path) -> Pairs:
    """TEdBench's official names: the source's, the caption's with underscores and without the last full stop."""
    _write_list(root)
    return _drawn(
        root,
        [
            (f"tedbench/originals/{source}", f"tedbench/imagic/{source}-{caption.rstrip('.').replace(' ', '_')}.png")
            for source, caption in _CAPTIONS
        ],
    )


def _pnp_diffusers(root: Path) -> Pairs:
    """A folder per source, named without its suffix; the caption in the file's name, and the settings beside it."""
    pairs = _drawn(
        root,
        [(f"data/{source}", f"PNP-results/{Path(source).stem}/output-{caption}.png") for source, caption in _CAPTIONS],
    )
    (root / "PNP-results" / "kite_1" / "config.yaml").write_text("seed: 1\nprompt: A photo of a red kite.\n")
    return pairs


def _plug_and_play(root: Path) -> Pairs:
    """A folder per experiment and in it one per scale and prompt, with pictures of the way there."""
    label = "INJECTION_T_40_STEPS_50_NP-ALPHA_0.75_SCHEDULE_linear_NP_a_photo"
    edits = [("kite", "10.0", "a_photo_of_a_red_kite"), ("kite", "10.0", "a_kite"), ("boat", "7.5", "a_boat")]
    pairs = _drawn(
        root,
        [
            (f"data/{name}.png", f"experiments/{name}/translations/{scale}_{prompt}/{label}_sample_0.png")
            for name, scale, prompt in edits
        ],
    )
    for number, (name, scale, prompt) in enumerate(edits):
        folder = root / "experiments" / name / "translations" / f"{scale}_{prompt}"
        (folder / "args.json").write_text("{}")
        _draw(folder / f"predicted_samples_{label}" / "49.png", 200 + number)
    return pairs


def _region_e(root: Path) -> Pairs:
    """A folder per category with the pictures in a folder of their own, and files of times and settings."""
    keys = {"CR": ("001_0", "001_1"), "TE": ("014_0",)}
    pairs = _drawn(
        root,
        [
            (f"data/Processed/Kontext-Bench/{task}/img/{key}.png", f"result/mymethod/{task}/generation/{key}.png")
            for task in keys
            for key in keys[task]
        ],
    )
    for task in keys:
        rows = [json.dumps({"key": key, "instruction": "make it red"}) for key in keys[task]]
        (root / "data" / "Processed" / "Kontext-Bench" / task / "metadata.jsonl").write_text("\n".join(rows))
        _write_json(root / "result" / "mymethod" / task / "time_consuming.json", {"mean": 1.5})
    return pairs


LAYOUTS = (
    RealLayout(
        name="editval",
        written_by="deep-ml-research/editval_code README.md",
        write=_editval,
        command='edited --sources images --pattern "*/{source}/{target_caption}.png"',
    ),
    RealLayout(
        name="imagic_without_captions",
        written_by="imagic-editing/imagic-editing.github.io tedbench",
        write=_imagic,
        command='tedbench/imagic --sources tedbench/originals --pattern "{source}-{target_caption}.png"',
    ),
    RealLayout(
        name="pnp_diffusers",
        written_by="MichalGeyer/pnp-diffusers pnp.py, config_pnp.yaml",
        write=_pnp_diffusers,
        command='PNP-results --sources data --pattern "{source}/output-{target_caption}.png"',
    ),
    RealLayout(
        name="plug_and_play",
        written_by="MichalGeyer/plug-and-play run_pnp.py",
        write=_plug_and_play,
        command='experiments --sources data --pattern "{source}/translations/*_{target_caption}/*_sample_0.png"',
        unmatched=("49.png",) * 3,
    ),
    RealLayout(
        name="region_e",
        written_by="Peyton-Chen/RegionE data/preprocess.py, src/FluxKontext/main.py",
        write=_region_e,
        command="result/mymethod --sources data/Processed/Kontext-Bench",
    ),
)
