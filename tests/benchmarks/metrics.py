"""What the full set of metrics costs over CLIP alone, cold and warm, each run a whole process.

    python tests/benchmarks/metrics.py --items 833 --size 512

833 edits, five to a source, are 1,000 images. Every network has its true architecture at random weights: CLIP ViT-B/32,
AlexNet, VGG-16 and SqueezeNet below LPIPS, DINO ViT-S/16 and ViT-B/8, DINOv2 ViT-B/14; PickScore's ViT-H/14 only with
``--pick-score`` (4 GB). ``--metrics`` chooses; the sets are also run one by one, so that it shows what each adds.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[2]))

import numpy as np
import torch
from common import evalkit, make_folder
from PIL import Image

from tests.support.models import save_quietly, write_backbone, write_clip_tokenizer, write_true_checkpoint

CLIP = "clip_score,clip_directional_similarity,clip_image_similarity"
SETS: Mapping[str, str] = {
    "pixels": "l1,mse,psnr,ssim",
    "multiscale": "ssim:multiscale",
    "background": "l1_background,mse_background,psnr_background,ssim_background",
    "lpips": "lpips",
    "lpips_vgg": "lpips:vgg",
    "lpips_background": "lpips_background,lpips_background:pie_bench",
    "dino": "dino_image_similarity,dino_image_similarity:dinov2",
    "structure": "structure_distance",
}


def write_masks(folder: Path, size: int) -> None:
    """One mask of a quarter of the image, named in every line of the manifest."""
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : -size // 4, size // 4 : -size // 4] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    manifest = folder / "metadata.jsonl"
    lines = [json.loads(line) | {"edit_mask_file_name": "mask.png"} for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def write_networks(root: Path, *, pick_score: bool) -> list[str]:
    """True architectures at random weights; the specifications of their encoders."""
    import transformers

    torch.manual_seed(0)
    specs = [write_true_checkpoint(root / "clip.safetensors")]
    specs += [f"lpips_{net}:{write_backbone(root, net)[0]}" for net in ("alex", "vgg", "squeeze")]
    small = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6}
    vits = {"dino": {**small, "patch_size": 16}, "dino_structure": {"patch_size": 8}}
    for backend, settings in vits.items():
        model = transformers.ViTModel(transformers.ViTConfig(**settings), add_pooling_layer=False)
        save_quietly(model, root / backend)
        specs.append(f"{backend}:{root / backend}")
    save_quietly(transformers.Dinov2Model(transformers.Dinov2Config(image_size=518, patch_size=14)), root / "dinov2")
    specs.append(f"dinov2:{root / 'dinov2'}")
    if pick_score:
        config = transformers.CLIPConfig(
            text_config={
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_attention_heads": 16,
                "num_hidden_layers": 24,
            },
            vision_config={
                "hidden_size": 1280,
                "intermediate_size": 5120,
                "num_attention_heads": 16,
                "num_hidden_layers": 32,
                "patch_size": 14,
            },
            projection_dim=1024,
        )
        save_quietly(transformers.CLIPModel(config), root / "pick_score")
        write_clip_tokenizer(root / "pick_score")
        transformers.CLIPImageProcessor().save_pretrained(root / "pick_score")
        specs.append(f"pick_score:{root / 'pick_score'}")
    return specs


def main() -> None:
    """Print seconds of each set, cold and warm, images per second, and the ratio of all to CLIP alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=833)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sets", default=",".join(SETS), help="which of them beside CLIP")
    parser.add_argument("--pick-score", action="store_true")
    options = parser.parse_args()
    sets = {"clip": CLIP, **{name: SETS[name] for name in options.sets.split(",")}}
    sets |= {"pick_score": "pick_score"} if options.pick_score else {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folder = make_folder(root / "folder", options.items, options.size)
        write_masks(folder, options.size)
        specs = write_networks(root, pick_score=options.pick_score)
        n_images = len(list((folder / "images").iterdir()))
        figures: dict[str, dict[str, float]] = {}
        for name, metrics in {**sets, "all": ",".join(sets.values())}.items():
            used = [spec for spec in specs if name == "all" or _is_used(spec, metrics)]
            arguments = ("score", str(folder), *(p for spec in used for p in ("--encoder", spec)), "--metrics", metrics)
            places = {"cache": root / f"cache_{name}"}
            cold, warm = (evalkit(*arguments, "--output", str(root / f"run_{name}"), **places) for _ in range(2))
            figures[name] = {
                "cold_seconds": cold.seconds,
                "cold_cpu_seconds": cold.cpu_seconds,
                "warm_seconds": warm.seconds,
                "images_per_second": n_images / cold.seconds,
                "peak_mib": cold.peak_mib,
            }
    ratios = {key: figures["all"][key] / figures["clip"][key] for key in ("cold_seconds", "warm_seconds")}
    rounded = {name: {key: round(value, 2) for key, value in row.items()} for name, row in figures.items()}
    settings = {"items": options.items, "images": n_images, "size": options.size, "threads": torch.get_num_threads()}
    print(
        json.dumps(
            {**settings, "sets": rounded, "all_over_clip": {k: round(v, 2) for k, v in ratios.items()}}, indent=2
        )
    )


def _is_used(spec: str, metrics: str) -> bool:
    """Whether one of the metrics goes through the encoder; the CLIP network stands behind whatever is left."""
    from evalkit.metrics.base import get_metrics

    names = {metric.encoder for metric in get_metrics(metrics.split(","))}
    backend = spec.partition(":")[0]
    return backend in names or (backend == "open_clip" and "clip" in names)


if __name__ == "__main__":
    main()
