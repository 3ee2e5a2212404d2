"""Judges of transformers on this machine: any model that reads images and text and writes text."""

import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from evalkit.encoders.base import library_versions, settings_digest, weights_digest
from evalkit.encoders.hub import SETTINGS, fetch_snapshot
from evalkit.encoders.transformers import pretrained, quietly
from evalkit.errors import OptionError
from evalkit.judges.base import JudgeAnswer, JudgeSettings, Picture, Question

LIBRARIES = ("torch", "transformers", "tokenizers")
"""Whose versions take part in its answers."""
_OPTIONAL = ("*.jinja",)
"""Files of a repository that hold the form of its dialogues."""
_SETTINGS = (*SETTINGS, *_OPTIONAL)
"""Files that decide what the model reads and how it goes on."""


def open_local(spec: str, settings: JudgeSettings, *, device: str) -> "LocalJudge":
    """The model of ``transformers:DIR`` or ``transformers:OWNER/NAME``, read into memory.

    Raises:
        OptionError: There is no such directory, or the model has no form for dialogues with images.
        WeightsError: The weights cannot be had.
    """
    argument = spec.partition(":")[2]
    directory = Path(argument).expanduser()
    if not directory.is_dir():
        if argument.count("/") != 1 or argument.startswith((".", "~")):
            raise OptionError(
                f"Judge 'transformers:{argument}': expected a directory with a model and its processor, or a Hub id "
                f"such as Qwen/Qwen2.5-VL-7B-Instruct; there is no directory {directory.absolute()}."
            )
        directory = fetch_snapshot(
            argument,
            safe=("*.safetensors", *_OPTIONAL),
            unsafe=(),
            what=f"The weights of {argument}",
            local="transformers:<directory>",
            otherwise="Or ask a server: --judge http://localhost:8000/v1/MODEL",
        )
        return LocalJudge(directory, argument, settings, device)
    return LocalJudge(directory, directory.resolve().name, settings, device)


class LocalJudge:
    """A model in this process, which answers one question at a time.

    Args:
        directory: Holds the model and its processor, as ``save_pretrained`` writes them.
        name: What it is called.
        settings: How it is asked.
        device: Where it computes.

    Raises:
        OptionError: It has no form for dialogues, or the device is not there.
        WeightsError: Its weights cannot be read.
    """

    def __init__(self, directory: Path, name: str, settings: JudgeSettings, device: str) -> None:
        from evalkit.encoders.network import resolve_device

        self._device = resolve_device(device)
        with quietly():
            self._processor = pretrained("AutoProcessor", directory, "processor")
            model = pretrained(
                "AutoModelForImageTextToText", directory, "weights", torch_dtype="auto", use_safetensors=True
            )
        if not getattr(self._processor, "chat_template", None):
            raise OptionError(
                f"The model in {directory} has no form for dialogues (chat_template). Take one that was trained to "
                "follow instructions."
            )
        self._name, self._settings, self._lock = name, settings, threading.Lock()
        self._digest = weights_digest(model.state_dict())
        self._files = _files_digest(directory)
        self._model = model.eval().to(self._device)

    @property
    def label(self) -> str:
        """The model with its weights' digest."""
        return f"transformers/{self._name}@{self._digest[:12]}"

    @property
    def key(self) -> Mapping[str, Any]:
        """All files of the model, number format, kind of device, libraries, temperature and length of answers."""
        return {
            "weights": self._digest,
            "settings": self._files,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._device.type,
            "libraries": library_versions(LIBRARIES),
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
        }

    def ask(self, question: Question, *, seed: int = 0) -> JudgeAnswer:
        """The model's answer; it is not held to a schema."""
        import torch

        start = time.monotonic()
        parts = [question.system, *question.parts] if question.system else list(question.parts)
        content = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts]
        images = [part.open() for part in parts if isinstance(part, Picture)]
        with self._lock, torch.inference_mode(), torch.random.fork_rng(self._forked()):
            torch.manual_seed(seed)
            text = self._processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            inputs = self._processor(text=[text], images=images or None, return_tensors="pt")
            inputs = inputs.to(self._device, dtype=self._model.dtype)  # of what is no whole number
            with quietly():
                tokens = self._model.generate(**inputs, **self._sampling())
        n_read = inputs["input_ids"].shape[1]
        written = tokens[0, n_read:]
        is_whole = len(written) < self._settings.max_tokens or int(written[-1]) in self._ends()
        return JudgeAnswer(
            text=self._processor.decode(written, skip_special_tokens=True),
            model=self.label.partition("/")[2],
            finish="stop" if is_whole else "length",
            input_tokens=int(n_read),
            output_tokens=len(written),
            cost=self._settings.cost(int(n_read), len(written)),
            seconds=round(time.monotonic() - start, 3),
        )

    def _forked(self) -> list[int]:
        """The CUDA devices whose random numbers are put back afterwards."""
        return [self._device.index or 0] if self._device.type == "cuda" else []

    def _sampling(self) -> dict[str, Any]:
        """How words are chosen."""
        chosen: dict[str, Any] = {"max_new_tokens": self._settings.max_tokens}
        if self._settings.temperature is None:
            return chosen
        if self._settings.temperature == 0:
            return chosen | {"do_sample": False}
        return chosen | {"do_sample": True, "temperature": self._settings.temperature, "top_p": 1.0, "top_k": 0}

    def _ends(self) -> set[int]:
        """The tokens that end an answer."""
        ends = self._model.generation_config.eos_token_id
        return {ends} if isinstance(ends, int) else set(ends or ())


def _files_digest(directory: Path) -> str:
    """Of a model's configuration, tokenizer, image processor and form of dialogues, by their bytes."""
    files = sorted(path for pattern in _SETTINGS for path in directory.glob(pattern))
    return settings_digest({path.name: sha256(path.read_bytes()).hexdigest() for path in files})
