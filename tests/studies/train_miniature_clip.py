"""Trains the miniature CLIP that evalkit ships, and writes its card.

::

    python -m tests.studies.train_miniature_clip            # killed and started again, it goes on

Needs about half an hour of one CPU core that nothing else uses. The model never sees a scene of the shapes benchmark
(source, target or wrong edit), nor the scenes on which retrieval is measured.

The shipped weights were made in two runs: the first 1,400 steps under the learning rates of STEPS = 3500, the rest as
it stands here. Training again gives a model as good, not the same bytes: merges of the vocabulary that are equally
frequent come in another order.
"""

import argparse
import json
import math
import shutil
import time
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from evalkit.benchmarks.shapes.world import ATTRIBUTES, NATIVE_SIZE, Jitter, Scene, draw
from tests.studies.measure_miniature_clip import MEAN, SHIPPED, STD, measure, pixel_values, split, write_card
from tests.support.scenes import paraphrases, scenes

SEED = 11
STEPS = 2200
BASES = 32
"""Scenes per batch that are drawn at random; each brings three edits of it, two of them of one attribute."""
DRAWINGS = 3
"""Drawings of each training scene."""
FREQUENCIES = {"shape": 0.3, "colour": 0.15, "size": 0.3, "place": 0.15, "background": 0.1}
"""How often edits of each attribute are shown: the harder to see, the oftener."""
PEAK_RATE = 1.5e-3
WARMUP = 300
DIRECTION_WEIGHT = 0.5
DIRECTION_TEMPERATURE = 0.1
CONTEXT = 48

DEFAULT_WORK = Path("build/miniature_clip")
VOCABULARY_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(output: Path) -> CLIPTokenizer:
    """A byte-level BPE vocabulary learnt from the grammar: one token for each of its words, any text possible."""
    backend = Tokenizer(models.BPE(unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>"))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(False)]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [text for scene in scenes() for text in paraphrases(scene)]
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        min_frequency=2,
        special_tokens=[],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    backend.train_from_iterator(words, trainer)
    merges = [tuple(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]
    vocabulary = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    vocabulary += [token for token in ("".join(pair) for pair in merges) if token not in set(vocabulary)]
    table = {token: index for index, token in enumerate([*vocabulary, START, END])}
    tokenizer = CLIPTokenizer(vocab=table, merges=merges, model_max_length=CONTEXT)
    tokenizer.save_pretrained(output)
    # The two files that releases of transformers before 5 read instead of tokenizer.json.
    (output / "vocab.json").write_text(json.dumps(table, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (output / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tokenizer


def build_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The untrained network."""
    torch.manual_seed(SEED)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": NATIVE_SIZE,
        "patch_size": 8,
        "hidden_size": 80,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Everything that batches are made of, drawn and tokenised once."""

    scenes: tuple[Scene, ...]
    images: torch.Tensor
    """``(scenes, DRAWINGS, 64, 64, 3)`` uint8."""
    tokens: torch.Tensor
    """``(scenes, phrasings, CONTEXT)``."""
    neighbours: list[list[list[int]]]
    """For each scene and attribute the indices of the training scenes that differ from it in that attribute alone."""


def build_pool(training: tuple[Scene, ...], tokenizer: CLIPTokenizer) -> Pool:
    """Draws and tokenises the training scenes, a part of the drawings spoilt as files in the wild are."""
    rng = np.random.default_rng([SEED, 2])
    images = np.empty((len(training), DRAWINGS, NATIVE_SIZE, NATIVE_SIZE, 3), np.uint8)
    for index, scene in enumerate(training):
        for number in range(DRAWINGS):
            images[index, number] = spoil(draw(scene, Jitter.sample(rng)), rng)
    texts = [text for scene in training for text in paraphrases(scene)]
    tokens = tokenizer(texts, padding="longest", return_tensors="pt")["input_ids"]
    place = {scene: index for index, scene in enumerate(training)}
    neighbours = [
        [
            [
                place[other]
                for other in (replace(scene, **{name: value}) for value in values)
                if other in place and other != scene
            ]
            for name, values in ATTRIBUTES.items()
        ]
        for scene in training
    ]
    return Pool(
        scenes=training,
        images=torch.from_numpy(images),
        tokens=tokens.reshape(len(training), -1, tokens.shape[1]),
        neighbours=neighbours,
    )


def spoil(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One drawing in two left as it is; the others compressed, blurred or noisy."""
    kind = rng.integers(6)
    image = Image.fromarray(pixels)
    if kind == 0:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
        return np.asarray(Image.open(buffer))
    if kind == 1:
        return np.asarray(image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2)))))
    if kind == 2:
        noise = rng.normal(0, rng.uniform(2, 12), pixels.shape)
        return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return pixels


def choose(pool: Pool, rng: np.random.Generator) -> np.ndarray:
    """``(BASES, 4)`` scene indices, all different: a scene, two edits of one attribute, one edit of another."""
    frequencies = [FREQUENCIES[name] for name in ATTRIBUTES]
    chosen: set[int] = set()
    rows = []
    while len(rows) < BASES:
        base = int(rng.integers(len(pool.scenes)))
        one, other = (
            pool.neighbours[base][index] for index in rng.choice(len(ATTRIBUTES), 2, replace=False, p=frequencies)
        )
        if len(one) < 2 or not other:
            continue
        row = [base, *rng.choice(one, 2, replace=False).tolist(), int(rng.choice(other))]
        if chosen.isdisjoint(row):
            chosen.update(row)
            rows.append(row)
    return np.array(rows)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors divided by their lengths."""
    return torch.nn.functional.normalize(vectors, dim=-1)


def loss_of(model: CLIPModel, pool: Pool, rng: np.random.Generator) -> torch.Tensor:
    """The contrastive loss of a fresh batch, plus that of the directions of each scene's edits."""
    rows = choose(pool, rng)
    flat = torch.from_numpy(rows.reshape(-1))
    drawing = torch.from_numpy(rng.integers(DRAWINGS, size=len(flat)))
    phrasing = torch.from_numpy(rng.integers(pool.tokens.shape[1], size=len(flat)))
    output = model(input_ids=pool.tokens[flat, phrasing], pixel_values=pixel_values(pool.images[flat, drawing]))
    image, text = unit(output.image_embeds), unit(output.text_embeds)
    contrast = matched(model.logit_scale.clamp(max=math.log(100)).exp() * (image @ text.T)[None])
    image, text = (part.reshape(*rows.shape, -1) for part in (image, text))
    image, text = (unit(part[:, 1:] - part[:, :1]) for part in (image, text))
    return contrast + DIRECTION_WEIGHT * matched(image @ text.transpose(1, 2) / DIRECTION_TEMPERATURE)


def matched(logits: torch.Tensor) -> torch.Tensor:
    """Cross entropy of ``(sets, n, n)`` similarities whose diagonals are the true pairs, both ways."""
    answers = torch.arange(logits.shape[1]).expand(logits.shape[:2])
    both = (torch.nn.functional.cross_entropy(part, answers) for part in (logits, logits.transpose(1, 2)))
    return sum(both, torch.zeros(())) / 2


def train(model: CLIPModel, pool: Pool, tokenizer: CLIPTokenizer, *, work: Path, steps: int) -> None:
    """Trains in place, going on from the last checkpoint in ``work``; one is written every 200 steps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.05, betas=(0.9, 0.98))
    checkpoint, first = work / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    start = time.monotonic()
    for step in range(first, steps):
        rate = PEAK_RATE * min((step + 1) / WARMUP, (1 + math.cos(math.pi * step / steps)) / 2 + 0.01)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(model, pool, np.random.default_rng([SEED, 3, step]))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            print(
                step + 1,
                f"loss {loss.item():.3f}",
                f"{time.monotonic() - start:.0f} s",
                measure(model, tokenizer),
                flush=True,
            )


def write_model(model: CLIPModel, tokenizer: CLIPTokenizer, output: Path) -> None:
    """Weights, settings and card, beside the tokenizer's files."""
    model.eval().save_pretrained(output)
    (output / "model.safetensors").chmod(0o644)  # it is made for its owner alone
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": NATIVE_SIZE, "width": NATIVE_SIZE},
        "resample": int(Image.Resampling.BICUBIC),
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (output / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    write_card(output, measure(model, tokenizer))


def main() -> None:
    """Trains, and writes the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=SHIPPED, help="directory of the model")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="directory of the checkpoint")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    # A run that goes on must go on with its own vocabulary.
    begun = (options.work / "tokenizer.json").is_file()
    tokenizer = CLIPTokenizer.from_pretrained(options.work) if begun else build_tokenizer(options.work)
    model = build_model(tokenizer)
    print(f"{sum(part.numel() for part in model.parameters()):,} parameters", flush=True)
    train(model, build_pool(split()[0], tokenizer), tokenizer, work=options.work, steps=options.steps)
    for name in VOCABULARY_FILES:
        shutil.copyfile(options.work / name, options.output / name)
    write_model(model, tokenizer, options.output)


if __name__ == "__main__":
    main()
