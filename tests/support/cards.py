"""Small invented data of exactly the shapes that the cards of benchmarks describe."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.pie_bench import picture

SESSIONS = {
    "11": ["make the hill blue"],
    "27": ["add a pond", "let it snow", "remove the pond"],
    "305": ["paint it red"],
}
"""Of a test set like MagicBrush's: instructions turn by turn."""


def drawn(seed: int, size: tuple[int, int] = (48, 32)) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture(seed, size).save(buffer, "PNG")
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_magicbrush(root: Path) -> Path:
    """Writes a test set of three sessions with five turns, as its zip unpacks."""
    sessions: dict[str, list[dict[str, str]]] = {}
    captions: dict[str, dict[str, str]] = {}
    for number, (img_id, instructions) in enumerate(SESSIONS.items()):
        names = [f"{img_id}-input.png", *(f"{img_id}-output{turn}.png" for turn in range(1, len(instructions) + 1))]
        for turn, name in enumerate(names):
            _write(root / "test" / "images" / img_id / name, drawn(10 * number + turn))
            captions.setdefault(img_id, {})[name] = f"picture {turn} of {img_id}"
        sessions[img_id] = [
            {"input": source, "mask": f"{img_id}-mask{turn}.png", "output": edit, "instruction": text}
            for turn, (source, edit, text) in enumerate(zip(names, names[1:], instructions, strict=False), 1)
        ]
    files: dict[str, Any] = {
        "edit_sessions.json": sessions,
        "edit_turns.json": [turn for turns in sessions.values() for turn in turns],
        "global_descriptions.json": captions,
        "local_descriptions.json": {
            img_id: {name: f"{text}, closely" for name, text in texts.items()} for img_id, texts in captions.items()
        },
    }
    for name, content in files.items():
        (root / "test" / name).write_text(json.dumps(content))
    return root


def write_magicbrush_outputs(root: Path) -> Path:
    """Writes a method's edits, turn by turn from the true images and from its own, as the authors' script does."""
    for number, (img_id, instructions) in enumerate(SESSIONS.items()):
        for turn in range(1, len(instructions) + 1):
            for kind in ("",) if turn == 1 else ("inde_", "iter_"):
                _write(
                    root / img_id / f"{img_id}_{kind}{turn}.png",
                    drawn(500 + 10 * number + turn + (kind == "iter_") * 50),
                )
    return root


IMGEDIT = {
    "41": ("animal/000000007.jpg", "Turn the cat's fur green.", "adjust"),
    "7": ("animal/000000007.jpg", "Add a hat.", "add"),
    "103": ("style/000000012.jpg", "Make it a woodcut.", "style"),
}


def write_imgedit(root: Path) -> Path:
    """Writes a basic suite of three edits of two images, as its tar unpacks."""
    folder = root / "Benchmark" / "singleturn"
    for number, name in enumerate(sorted({name for name, _, _ in IMGEDIT.values()})):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(40 + number, (48, 32)).save(folder / name)
    entries = {key: {"id": name, "prompt": text, "edit_type": kind} for key, (name, text, kind) in IMGEDIT.items()}
    (folder / "singleturn.json").write_text(json.dumps(entries))
    return root


def _image(seed: int) -> dict[str, Any]:
    return {"bytes": drawn(seed), "path": None}


def magicbrush_rows() -> Iterator[dict[str, Any]]:
    """The sessions as the rows of train and dev on the Hub."""
    for number, (img_id, instructions) in enumerate(SESSIONS.items()):
        for turn, instruction in enumerate(instructions, 1):
            yield {
                "img_id": img_id,
                "turn_index": turn,
                "source_img": _image(10 * number + turn - 1),
                "mask_img": _image(900),
                "instruction": instruction,
                "target_img": _image(10 * number + turn),
            }


def emu_rows(split: str) -> Iterator[dict[str, Any]]:
    """Edits of three images with captions, one of them the same before and after."""
    edits = (("add", "Put a kite there.", "a beach", "a beach with a kite"), ("text", "Write HI.", "a wall", "a wall"))
    for idx, (task, instruction, before, after) in enumerate((*edits, ("style", "As a mosaic.", "a cat", "a mosaic"))):
        yield {
            "instruction": instruction,
            "image": _image(60 + idx),
            "task": task,
            "split": split,
            "idx": 7 * idx,
            "hash": f"{idx:08x}",
            "input_caption": before,
            "output_caption": after,
        }


def gedit_rows() -> Iterator[dict[str, Any]]:
    """Two images with instructions of two kinds, each in two languages."""
    texts = {"en": ("Add a boat.", "Make it sunny."), "cn": ("加一条船。", "让天气晴朗。")}
    for number, kind in enumerate(("subject-add", "tone_transfer")):
        for language, both in texts.items():
            yield {
                "task_type": kind,
                "key": f"{kind[:3]}{language}{number:04}",
                "instruction": both[number],
                "instruction_language": language,
                "input_image": _image(80 + number),
                "input_image_raw": _image(90 + number),
                "Intersection_exist": True,
            }


def kontext_rows() -> Iterator[dict[str, Any]]:
    """Three edits of two images, two of which are one file."""
    for number, (kind, text) in enumerate(
        (("Text Editing", "Write YES."), ("Style Reference", "A harbour."), ("Instruction Editing - Local", "Add fog."))
    ):
        yield {
            "image": {"bytes": drawn(70 + number // 2), "path": f"{number // 2:04}.jpg"},
            "instruction": text,
            "category": kind,
            "key": f"{number:03}_{number}",
            "image_idx": number // 2,
            "prompt_idx": number,
        }


def rows_as_parquet(rows: Iterator[dict[str, Any]]) -> bytes:
    """Rows as ``datasets`` writes them to the Hub."""
    import datasets

    table = list(rows)
    features = datasets.Features(
        {
            name: datasets.Image() if isinstance(value, dict) else datasets.Value(_KINDS[type(value)])
            for name, value in table[0].items()
        }
    )
    buffer = io.BytesIO()
    datasets.Dataset.from_list(table, features=features).to_parquet(buffer)
    return buffer.getvalue()


def imagefolder(folder: str, rows: Iterator[dict[str, Any]]) -> dict[str, bytes]:
    """Rows as a table beside the images that they name."""
    files, lines = {}, []
    for row in rows:
        image = row.pop("image")
        files[f"{folder}/{image['path']}"] = image["bytes"]
        lines.append(json.dumps({"file_name": image["path"], **row}))
    return {**files, f"{folder}/metadata.jsonl": "\n".join(lines).encode()}


_KINDS = {str: "string", int: "int64", bool: "bool"}
HUB_FILES = {
    "osunlp/MagicBrush": lambda: {"data/dev-00000-of-00001-ab.parquet": rows_as_parquet(magicbrush_rows())},
    "facebook/emu_edit_test_set": lambda: {
        f"data/{split}-00000-of-00001.parquet": rows_as_parquet(emu_rows(split)) for split in ("validation", "test")
    },
    "stepfun-ai/GEdit-Bench": lambda: {"default/train/0000.parquet": rows_as_parquet(gedit_rows())},
    "black-forest-labs/kontext-bench": lambda: imagefolder("test", kontext_rows()),
}
"""Repository to its files in the revision that the cards name."""
