"""Small copies of benchmarks as their authors hand them out, with drawn pictures and texts of our own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from evalkit.edits.item import EditItem
from tests.support.pictures import scene

SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What must be read from a copy."""

    items: tuple[EditItem, ...]
    """With the paths of images in the copy."""
    n_groups: int
    edited_names: Mapping[str, str] = field(default_factory=dict)
    """Where the official scripts expect the edits, if there is such a place."""


def _draw(path: Path, seed: int) -> None:
    """Writes a picture that only the seed decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(SIDE, SIDE, seed)).save(path)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) if path.suffix == ".json" else yaml.safe_dump(value, sort_keys=False))


def _item(item_id: str, source: str, **texts: str) -> EditItem:
    images = {name: Path(texts.pop(name)) for name in ("reference_image", "edit_mask") if name in texts}
    return EditItem(item_id=item_id, source_image=Path(source), **images, **texts)  # type: ignore[arg-type]


def _wild_ti2i(root: Path) -> Copy:
    """Records of a picture and several texts; one says what the picture shows, and begins its path otherwise."""
    records = [
        {"init_img": "data/kite_sketch.jpeg", "target_prompts": ["a photo of a kite", "a paper kite"]},
        {"init_img": "/Wild-TI2I/data/boat.png", "source_prompt": "a boat", "target_prompts": ["a red boat"]},
    ]
    _write(root / "wild-ti2i-real.yaml", records)
    for number, name in enumerate(("kite_sketch.jpeg", "boat.png")):
        _draw(root / "data" / name, number)
    kite, boat = "01-kite_sketch", "02-boat"
    return Copy(
        items=(
            _item(f"{kite}-1", "data/kite_sketch.jpeg", target_caption="a photo of a kite", group=kite),
            _item(f"{kite}-2", "data/kite_sketch.jpeg", target_caption="a paper kite", group=kite),
            _item(f"{boat}-1", "data/boat.png", source_caption="a boat", target_caption="a red boat", group=boat),
        ),
        edited_names={
            f"{kite}-1": "kite_sketch/output-a photo of a kite.png",
            f"{kite}-2": "kite_sketch/output-a paper kite.png",
            f"{boat}-1": "boat/output-a red boat.png",
        },
        n_groups=2,
    )


def _wild_ti2i_generated(root: Path) -> Copy:
    """Records of a text from which a picture was drawn, of how it was, and of several texts."""
    records = [
        {"source_prompt": "a kite", "target_prompts": ["a paper kite"], "seed": 7, "scale": 5.0, "ddim_steps": 50},
        {"source_prompt": "a boat", "target_prompts": ["a raft", "a ship"], "seed": 8, "scale": 5.0, "ddim_steps": 50},
    ]
    _write(root / "wild-ti2i-fake.yaml", records)
    for number, name in enumerate(("a kite", "a boat")):
        _draw(root / "data" / f"{name}.png", number)
    return _of_prompts("data")


def _of_prompts(folder: str) -> Copy:
    kite, boat = f"{folder}/a kite.png", f"{folder}/a boat.png"
    return Copy(
        items=(
            _item("01-1", kite, source_caption="a kite", target_caption="a paper kite", group="01"),
            _item("02-1", boat, source_caption="a boat", target_caption="a raft", group="02"),
            _item("02-2", boat, source_caption="a boat", target_caption="a ship", group="02"),
        ),
        edited_names={
            "01-1": "a kite/output-a paper kite.png",
            "02-1": "a boat/output-a raft.png",
            "02-2": "a boat/output-a ship.png",
        },
        n_groups=2,
    )


def _imagenet_r_ti2i(root: Path) -> Copy:
    """A folder per class, named by paths that begin above the copy; two pictures share their name."""
    records = [
        {
            "init_img": f"/ImageNetR-TI2I/{name}/sketch_3.jpg",
            "target_prompts": [f"a toy of a {name}", "an art of a hut"],
        }
        for name in ("kite", "boat")
    ]
    _write(root / "imnetr-ti2i.yaml", records)
    items = []
    for number, name in enumerate(("kite", "boat"), 1):
        _draw(root / name / "sketch_3.jpg", number)
        for position, caption in enumerate((f"a toy of a {name}", "an art of a hut"), 1):
            group = f"{number:02}-sketch_3"
            item_id = f"{group}-{position}"
            items.append(_item(item_id, f"{name}/sketch_3.jpg", target_caption=caption, group=group))
    return Copy(items=tuple(items), n_groups=2)


def _imagenet_r_ti2i_generated(root: Path) -> Copy:
    """The same with a picture that is drawn."""
    records = [
        {"source_prompt": "a kite", "target_prompts": ["a paper kite"], "seed": 7, "scale": 5.0, "ddim_steps": 50},
        {"source_prompt": "a boat", "target_prompts": ["a raft", "a ship"], "seed": 8, "scale": 5.0, "ddim_steps": 50},
    ]
    _write(root / "imnetr-fake-ti2i.yaml", records)
    for number, name in enumerate(("a kite", "a boat")):
        _draw(root / "imgs" / f"{name}.png", number)
    return replace(_of_prompts("imgs"), edited_names={})


def _editval(root: Path) -> Copy:
    """Classes, photographs and dimensions, one inside the other, and at the bottom what is asked for."""
    edits = {
        "kite": {
            "1017": {"object_addition": {"from": [""], "to": ["boat", "paper plane"]}},
            "20981": {"shape": {"from": [""], "to": ["heart-shaped"]}},
        },
        "stop_sign": {"300312": {"position_replacement": {"from": ["right"], "to": ["left"]}}},
    }
    _write(root / "object.json", edits)
    for number, name in enumerate(("000000001017", "000000020981", "000000300312")):
        _draw(root / "train2017" / f"{name}.jpg", number)

    def item(kind: str, photograph: int, to: str, before: str, caption: str, instruction: str) -> EditItem:
        return _item(
            f"{kind}/{photograph}/{to}",
            f"train2017/{photograph:012}.jpg",
            source_caption=before,
            target_caption=caption,
            instruction=instruction,
            edit_type=kind,
            group=str(photograph),
        )

    kite, sign, add = "a photo of a kite", "a photo of a stop_sign", "object_addition"
    items = (
        item(add, 1017, "boat", kite, "a photo of a kite and boat", "add boat"),
        item(add, 1017, "paper plane", kite, "a photo of a kite and paper plane", "add paper plane"),
        item("shape", 20981, "heart-shaped", kite, "a photo of a heart-shaped kite", "make the kite heart-shaped"),
        item("position_replacement", 300312, "left", sign, f"{sign} at the left", "move the stop_sign to the left"),
    )
    return Copy(items=items, edited_names={item.item_id: f"{item.item_id}.png" for item in items}, n_groups=3)


def _i2ebench(root: Path, wording: str = "ori_exp") -> Copy:
    """A folder per task with its list, sources, references and masks; tasks of later rounds beside them."""
    rows: dict[str, dict[str, Any]] = {
        "Counting": {"image": "COCO_val2014_000000000007.jpg", "Evaluation": "How many?", "Answer": "One"},
        "Replacement": {"image": "COCO_val2014_000000000007.jpg", "Evaluation": "Is there one?", "Answer": "Yes"},
        "SnowRemoval": {"image": "1.jpg", "type": "global"},
        "StyleAlteration": {"image": "0001.jpg", "style": "a drawing in chalk"},
        "ColorAlteration": {"image": "0001.jpg", "Evaluation": "What colour?", "Answer": "red"},
        "RegionAccuracy": {
            "image": "0000.jpg",
            "mask": "0000.png",
            "from_task": "ColorAlteration",
            "from_image": "0001.jpg",
        },
    }
    items, names = [], {}
    for number, (task, row) in enumerate(sorted(rows.items())):
        row = {**row, "ori_exp": f"change {task}", "div_exp": f"let {task} change"}
        folder = Path("EditData") / task
        _write(root / folder / f"{task}.json", {"1": row})
        _write(root / folder / f"{task}_2nd.json", {"1": {**row, "ori_exp": "once more"}})
        stem = Path(row["image"]).stem
        texts = {"instruction": row[wording], "edit_type": task, "group": f"{task}/{stem}"}
        seeds = {"input": number}
        if task == "SnowRemoval":
            texts["reference_image"] = f"{folder}/gt/{row['image']}"
            seeds["gt"] = 50
        elif task == "StyleAlteration":
            texts["target_caption"] = row["style"]
        elif task == "Counting":
            texts["group"] = f"Replacement/{stem}"
        elif task == "RegionAccuracy":
            texts |= {"edit_mask": f"{folder}/mask/{row['mask']}", "group": "ColorAlteration/0001"}
            path = root / folder / "mask" / row["mask"]
            path.parent.mkdir(parents=True)
            mask = Image.new("L", (SIDE, SIDE))
            mask.paste(255, (4, 4, 20, 20))
            mask.save(path)
        for kind, seed in seeds.items():
            _draw(root / folder / kind / row["image"], seed)
        items.append(_item(f"{task}/{stem}", f"{folder}/input/{row['image']}", **texts))
        names[f"{task}/{stem}"] = f"{task}/{row['image']}"
    return Copy(items=tuple(items), edited_names=names, n_groups=4)


def _i2ebench_diverse(root: Path) -> Copy:
    """The same with the other wording."""
    return _i2ebench(root, "div_exp")


def _risebench(root: Path, table: str = "datav2_total_w_subtask.json") -> Copy:
    """A list of edits with the folders of pictures beside it; some have a text as the answer, some a picture."""
    rows: list[dict[str, Any]] = [
        {
            "index": f"{category}_{number}",
            "category": category,
            "subtask": "a subtask",
            "instruction": f"what is it after {number} days?",
            "image": f"{category}_images/{number}.png",
            **({"reference_img": f"{category}_images/{number}_ref.png"} if number == 1 else {"reference": "older"}),
        }
        for category, number in (("temporal_reasoning", 2), ("logical_reasoning", 1), ("logical_reasoning", 10))
    ]
    _write(root / table, rows)
    items = []
    for number, row in enumerate(rows):
        _draw(root / "data" / row["image"], number)
        texts = {"instruction": row["instruction"], "edit_type": row["category"], "group": row["image"]}
        if answer := row.get("reference_img"):
            _draw(root / "data" / answer, 60 + number)
            texts["reference_image"] = f"data/{answer}"
        items.append(_item(row["index"], f"data/{row['image']}", **texts))
    names = {row["index"]: f"images/{row['category']}/{row['index']}.png" for row in rows}
    return Copy(items=tuple(items), edited_names=names, n_groups=3)


def _risebench_small(root: Path) -> Copy:
    """The smaller one, whose list lies among the folders of pictures."""
    return _risebench(root, "data/data_total.json")


COPIES: Mapping[str, Callable[[Path], Copy]] = {
    "wild_ti2i": _wild_ti2i,
    "wild_ti2i:generated": _wild_ti2i_generated,
    "imagenet_r_ti2i": _imagenet_r_ti2i,
    "imagenet_r_ti2i:generated": _imagenet_r_ti2i_generated,
    "editval": _editval,
    "i2ebench": _i2ebench,
    "i2ebench:diverse": _i2ebench_diverse,
    "risebench": _risebench,
    "risebench:small": _risebench_small,
}
"""What writes a copy, by the name of the benchmark."""
