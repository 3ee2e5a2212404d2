"""Result folders as the scripts of published methods and benchmarks write them, with pictures and texts of our own.

Each layout names the file that says how it looks; nothing of those projects is here but names of folders and headings.
"""

import json
from collections.abc import Callable, Iterable, Mapping
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


def _imgedit(root: Path) -> Pairs:
    """A flat folder named by the keys of a JSON object, with the judge's answers beside the edits."""
    edits = {
        "1082": {"id": "animal/000000001.jpg", "prompt": "give the hare a hat", "edit_type": "adjust"},
        "17": {"id": "animal/000000001.jpg", "prompt": "remove the hare", "edit_type": "remove"},
        "673": {"id": "style/000000002.jpg", "prompt": "draw it in chalk", "edit_type": "style"},
    }
    _write_json(root / "basic_edit.json", edits)
    answer = "Brief reasoning: a hat is there.\nPrompt Compliance: 4\nVisual Seamlessness: 5\nDetail Fidelity: 4"
    _write_json(root / "edited_images" / "result.json", dict.fromkeys(edits, answer))
    return _drawn(root, [(f"original_images/{edit['id']}", f"edited_images/{key}.png") for key, edit in edits.items()])


def _risebench(root: Path) -> Pairs:
    """A folder per category, edits named by the item's index, the judge's files above them."""
    rows = [
        {
            "index": f"{category}_{number}",
            "category": category,
            "subtask": "a subtask",
            "instruction": f"what is it after {number} days?",
            "image": f"{category}_images/{number}.png",
            "reference": "it has changed",
        }
        for category in ("temporal_reasoning", "spatial_reasoning")
        for number in (1, 2, 10)
    ]
    _write_json(root / "data" / "data_total.json", rows)
    edits = root / "outputs" / "mymodel"
    pairs = _drawn(
        root,
        [
            (f"data/{row['image']}", f"outputs/mymodel/images/{row['category']}/{row['index']}{suffix}")
            for row, suffix in zip(rows, (".png", ".jpg", ".jpeg", ".png", ".png", ".png"), strict=True)
        ],
    )
    (edits / "mymodel_judge.csv").write_text("-,Score-Origin,Score-Percentage,Accuracy\nOverall,3.5,62.5,0.2\n")
    (edits / "mymodel.pkl").write_bytes(b"\x80\x04}.")
    return pairs


def _i2ebench(root: Path) -> Pairs:
    """A folder per dimension and in it one per model; edits are named as their sources."""
    names = ("0001.jpg", "COCO_val2014_000000000007.jpg", "12.jpg")
    rows = {
        str(number): {
            "image": name,
            "ori_exp": "Add a kite",
            "div_exp": "Let there be a kite in the sky",
            "Evaluation": "How many kites are there?",
            "Answer": "One",
            "type": "object",
        }
        for number, name in enumerate(names, 1)
    }
    _write_json(root / "EditData" / "Counting" / "Counting.json", rows)
    return _drawn(root, [(f"EditData/Counting/input/{name}", f"EditResult/Counting/mymodel/{name}") for name in names])


def _editval(root: Path) -> Pairs:
    """A folder per dimension and in it one per image, edits named by what is asked for."""
    edits = (
        ("object_addition", "1017", "kite"),
        ("object_addition", "1017", "paper plane"),
        ("shape", "20981", "heart-shaped"),
        ("background", "20981", "forest"),
    )
    return _drawn(root, [(f"images/{image}.jpg", f"edited/{kind}/{image}/{to}.png") for kind, image, to in edits])


def _gedit(root: Path) -> Pairs:
    """A folder per task and language, each edit with its source beside it."""
    keys = (("subject-add", "en", "0a1b"), ("subject-add", "cn", "2c3d"), ("ps_human", "en", "4e5f"))
    return _drawn(
        root,
        [
            tuple(f"results/mymodel/fullset/{task}/{language}/{key}{end}.png" for end in ("_SRCIMG", ""))
            for task, language, key in keys
        ],
    )


def _instruct_pix2pix(root: Path) -> Pairs:
    """A folder per prompt: pictures before and after by a seed, the captions in a file."""
    names = []
    for number, seeds in enumerate(((3812764, 99), (17,), (3812764,))):
        folder = f"sweep/{number:07d}"
        caption = f"a drawing of kite {number}"
        prompt = {"input": caption, "edit": "make it red", "output": f"a drawing of a red kite {number}"}
        _write_json(root / folder / "prompt.json", prompt | {"caption": caption})
        lines = [json.dumps({"seed": seed, "clip_sim_dir": 0.3}) for seed in seeds]
        (root / folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
        names += [(f"{folder}/{seed}_0.jpg", f"{folder}/{seed}_1.jpg") for seed in seeds]
    _write_json(root / "sweep" / "seeds.json", [["0000000", ["3812764", "99"]], ["0000001", ["17"]]])
    return _drawn(root, names)


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


def _forgedit(root: Path) -> Pairs:
    """Names that hold the epoch, the layers that forget, the caption, the parameters and the source."""
    _write_list(root)
    settings = (("0", "orig", "1.1"), ("1", "decoderattn+decoder2", "1.2000000000000002"), ("2", "encoderattn", "0.9"))
    return _drawn(
        root,
        [
            (
                f"tedbench/originals/{source}",
                f"forgedit/{epoch}_{layers}_{caption}_guidance_scale=7.5__textalpha=0.7_alpha={alpha}_{source}.png",
            )
            for (source, caption), (epoch, layers, alpha) in zip(_CAPTIONS, settings, strict=True)
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


def _pnp_inversion(root: Path) -> Pairs:
    """Strips of four squares under the names of their sources: a text, the source, its reconstruction, the edit."""
    names = ("0_random_140/000000000000.jpg", "1_change_object_80/1_artificial/1_animal/111000000000.jpg")
    pairs: Pairs = []
    for number, name in enumerate(names):
        source = _draw(root / "data" / "annotation_images" / name, number)
        parts = [Image.new("RGB", (SIDE, SIDE), "white"), Image.open(source), Image.fromarray(scene(SIDE, SIDE, 50))]
        strip = Image.new("RGB", (4 * SIDE, SIDE))
        for position, part in enumerate([*parts, Image.fromarray(scene(SIDE, SIDE, 100 + number))]):
            strip.paste(part, (position * SIDE, 0))
        path = root / "output" / "ddim+p2p" / "annotation_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        strip.save(path, quality=95)
        decoded = Image.open(path)
        pairs.append((source, decoded.crop((3 * SIDE, 0, 4 * SIDE, SIDE))))
    return pairs


def _magicbrush(root: Path) -> Pairs:
    """A folder per image: the first turn, later turns from the ground truth and from the turn before."""
    sessions: dict[str, list[Mapping[str, str]]] = {}
    names = []
    for image, turns in (("30", 1), ("139", 3)):
        sessions[image] = []
        for turn in range(1, turns + 1):
            before = f"{image}-input.png" if turn == 1 else f"{image}-output{turn - 1}.png"
            instruction = f"add kite {turn}"
            sessions[image].append({"input": before, "output": f"{image}-output{turn}.png", "instruction": instruction})
            edit = f"{image}_1.png" if turn == 1 else f"{image}_inde_{turn}.png"
            names.append((f"test/images/{image}/{before}", f"testResults/{image}/{edit}"))
        _draw(root / f"test/images/{image}/{image}-output{turns}.png", 70)
    _write_json(root / "test" / "edit_sessions.json", sessions)
    captions = {
        image: {turn[side]: f"a drawing, {turn[side]}" for turn in turns for side in ("input", "output")}
        for image, turns in sessions.items()
    }
    for file in ("global_descriptions", "local_descriptions"):
        _write_json(root / "test" / f"{file}.json", captions)
    pairs = _drawn(root, names)
    for turn in (2, 3):
        _draw(root / f"testResults/139/139_iter_{turn}.png", 300 + turn)
    return pairs


def _imagenhub(root: Path) -> Pairs:
    """Sources, references and the edits of each method in folders beside each other, under one name."""
    names = ("sample_1017_1.jpg", "sample_1017_2.jpg", "sample_93_1.jpg")
    rows = {
        name: {
            "source_global_caption": f"a drawing of kite {number}",
            "instruction": "make it red",
            "target_global_caption": f"a drawing of a red kite {number}",
        }
        for number, name in enumerate(names)
    }
    folder = "results/ImagenHub_Text-Guided_IE"
    _write_json(root / folder / "dataset_lookup.json", rows)
    pairs = _drawn(root, [(f"{folder}/input/{name}", f"{folder}/MyMethod/{name}") for name in names])
    for number, name in enumerate(names):
        _draw(root / folder / "GroundTruth" / name, 400 + number)
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
        name="imgedit",
        written_by="PKU-YuanGroup/ImgEdit Benchmark/Basic/basic_bench.py",
        write=_imgedit,
        command="edited_images --sources original_images --captions basic_edit.json"
        " --map source_image=id --map instruction=prompt",
    ),
    RealLayout(
        name="risebench",
        written_by="PhoenixZ810/RISEBench README.md, gpt_eval.py",
        write=_risebench,
        command="outputs/mymodel/images --sources data --captions data/data_total.json",
    ),
    RealLayout(
        name="risebench_above",
        written_by="PhoenixZ810/RISEBench README.md, gpt_eval.py",
        write=_risebench,
        command="outputs/mymodel --sources data --captions data/data_total.json",
    ),
    RealLayout(
        name="i2ebench",
        written_by="cocoshe/I2EBench HOW_TO_EVAL.md, eval_scripts/low_level_eval.py",
        write=_i2ebench,
        command="EditResult/Counting/mymodel --sources EditData/Counting/input"
        " --captions EditData/Counting/Counting.json --map instruction=div_exp",
    ),
    RealLayout(
        name="editval",
        written_by="deep-ml-research/editval_code README.md",
        write=_editval,
        command='edited --sources images --pattern "*/{source}/{target_caption}.png"',
    ),
    RealLayout(
        name="gedit",
        written_by="stepfun-ai/Step1X-Edit GEdit-Bench/generate_image_example.py",
        write=_gedit,
        command="results/mymodel",
    ),
    RealLayout(
        name="gedit_fullset",
        written_by="stepfun-ai/Step1X-Edit GEdit-Bench/generate_image_example.py",
        write=_gedit,
        command="results/mymodel/fullset",
    ),
    RealLayout(
        name="instruct_pix2pix",
        written_by="timothybrooks/instruct-pix2pix dataset_creation/generate_img_dataset.py",
        write=_instruct_pix2pix,
        command="sweep",
    ),
    RealLayout(
        name="imagic",
        written_by="imagic-editing/imagic-editing.github.io tedbench",
        write=_imagic,
        command="tedbench/imagic --sources tedbench/originals --captions tedbench/input_list.json"
        ' --pattern "{source}-{target_caption}.png"',
    ),
    RealLayout(
        name="imagic_without_captions",
        written_by="imagic-editing/imagic-editing.github.io tedbench",
        write=_imagic,
        command='tedbench/imagic --sources tedbench/originals --pattern "{source}-{target_caption}.png"',
    ),
    RealLayout(
        name="forgedit",
        written_by="witcherofresearch/Forgedit src/sample_forgedit_batch_textencoder.py; witcherofresearch/tedbench",
        write=_forgedit,
        command="forgedit --sources tedbench/originals --captions tedbench/input_list.json"
        ' --pattern "*_*_{target_caption}_guidance_scale=*_alpha=*_{source}.png"',
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
        name="pnp_inversion",
        written_by="cure-lab/PnPInversion run_editing_p2p.py, evaluation/evaluate.py",
        write=_pnp_inversion,
        command="output/ddim+p2p/annotation_images --sources data/annotation_images"
        " --strip text,source,reconstruction,edited",
    ),
    RealLayout(
        name="magicbrush",
        written_by="OSU-NLP-Group/MagicBrush evaluation/README.md, edit_cli_single_multi_turn.py",
        write=_magicbrush,
        command="testResults --benchmark magicbrush --data test",
    ),
    RealLayout(
        name="imagenhub",
        written_by="TIGER-AI-Lab/ImagenHub src/imagen_hub/benchmark/text_guided_ie.py",
        write=_imagenhub,
        command="results/ImagenHub_Text-Guided_IE/MyMethod --sources results/ImagenHub_Text-Guided_IE/input"
        " --captions results/ImagenHub_Text-Guided_IE/dataset_lookup.json",
    ),
    RealLayout(
        name="region_e",
        written_by="Peyton-Chen/RegionE data/preprocess.py, src/FluxKontext/main.py",
        write=_region_e,
        command="result/mymethod --sources data/Processed/Kontext-Bench",
    ),
)
