"""A torch network behind the encoder protocol: device, precision and normalisation, the same for every backend."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from evalkit.arrays import Floats, Pixels
from evalkit.encoders.base import (
    DType,
    Embeddings,
    EncoderSpec,
    Preprocess,
    settings_digest,
    tokenizer_digest,
    weights_digest,
)
from evalkit.encoders.tokens import token_numbers
from evalkit.errors import EncoderError, OptionError

DTYPES: Mapping[DType, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PASS, PASS_OF_CPU = 32, 4
"""Inputs that a network is given at a time, on accelerators and on the CPU: always so many, whoever asks for how many.

Kernels sum in another order for another shape, and in the same for the same: an embedding then depends on its content
alone, and not on what shares its batch, or is cached already. Four cost a CPU no more per image than 32."""
LENGTHS = 8
"""Texts are padded to the next multiple of so many tokens, by their own length alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a backend reads from disk: float32, on the CPU, with its own way from tensors to embeddings."""

    model: torch.nn.Module
    embed_images: Callable[[torch.Tensor], torch.Tensor]
    """Normalised ``(n, 3, size, size)`` to ``(n, dimension)``."""
    embed_texts: Callable[[torch.Tensor], torch.Tensor]
    """Token numbers ``(n, length)`` to ``(n, dimension)``."""
    tokenize: Callable[[Sequence[str]], torch.Tensor]
    """Texts to token numbers ``(n, length)``, cut and padded."""
    tokenize_whole: Callable[[Sequence[str]], Sequence[Sequence[int]]]
    """Texts to all their token numbers, neither cut nor padded."""
    vocabulary: Mapping[str, int]
    preprocess: Preprocess
    settings: Mapping[str, object]
    """What decides how the weights are used, as JSON."""
    ignores_padding: bool = False
    """Whether a text is read at its end token by a network that looks back only: what pads it may then be left out."""

    def spec(self, name: str, dtype: DType, version: int) -> EncoderSpec:
        """The specification under that name; the weights are read once."""
        return EncoderSpec(
            name=name,
            weights_sha256=weights_digest(self.model.state_dict()),
            preprocess=self.preprocess,
            tokenizer=tokenizer_digest(self.vocabulary, self.tokenize),
            architecture=settings_digest(self.settings),
            dtype=dtype,
            version=version,
        )


class TorchEncoder:
    """A network on a device.

    Args:
        network: The network as it was read; its model is moved to the device and cast, in place.
        spec: Its specification.
        device: Where it runs.
    """

    def __init__(self, network: Network, spec: EncoderSpec, device: torch.device) -> None:
        self._network = network
        self._spec = spec
        self._device = device
        self._dtype = DTYPES[spec.dtype]
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(1, 3, 1, 1)
            for values in (spec.preprocess.mean, spec.preprocess.std)
        )
        self._at_once = PASS_OF_CPU if device.type == "cpu" else PASS
        """Inputs per pass; fewer only where the device's memory does not hold them."""
        network.model.to(device, self._dtype).eval().requires_grad_(False)

    def compiled(self) -> "TorchEncoder":
        """The same network with its operations fused by ``torch.compile``, which takes minutes the first time."""
        embed_images, embed_texts = map(torch.compile, (self._network.embed_images, self._network.embed_texts))
        network = replace(self._network, embed_images=embed_images, embed_texts=embed_texts)
        return TorchEncoder(network, replace(self._spec, compiled=True), self._device)

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""
        return self._spec

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._device)

    @property
    def network(self) -> Network:
        """What it runs, for those who need gradients or parts of it."""
        return self._network

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Embeddings of a batch of squares.

        Args:
            pixels: ``(n, size, size, 3)``, n ≥ 1, as ``spec.preprocess`` makes them.

        Returns:
            ``(n, dimension)``, not normalised.

        Raises:
            EncoderError: The pixels have another shape or type, the batch does not fit into the device's memory, or
                an embedding is not finite.
        """
        size = self._spec.preprocess.size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3) or len(pixels) == 0:
            raise EncoderError(
                f"Pixels for {self._spec.name}: expected uint8 (n, {size}, {size}, 3), "
                f"got {pixels.dtype} {pixels.shape}. Make them with its preprocessing: spec.preprocess.apply(image)"
            )
        with torch.inference_mode(), full_precision():
            # In the order of torchvision's ToTensor and Normalize, so that the numbers are theirs to the last bit.
            scaled = self._sent(torch.tensor(pixels)).permute(0, 3, 1, 2).float().div(255)
            normalised = scaled.sub_(self._mean).div_(self._std).contiguous().to(self._dtype)
            return self._embed(self._network.embed_images, normalised)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings of texts; an over-long one is cut and keeps its end token.

        Args:
            texts: At least one.

        Returns:
            ``(n, dimension)``, not normalised.

        Raises:
            EncoderError: The batch does not fit into the device's memory, or an embedding is not finite.
        """
        with torch.inference_mode(), full_precision():
            tokens = self._network.tokenize(texts)
            if not self._network.ignores_padding:
                return self._embed(self._network.embed_texts, self._sent(tokens))
            lengths = _padded_lengths(tokens)
            parts = [
                self._embed(self._network.embed_texts, self._sent(tokens[lengths == length, :length]))
                for length in sorted(set(lengths.tolist()))
            ]
            vectors: Embeddings = np.concatenate(parts)
            # Back into the order in which they were given.
            vectors[lengths.argsort(stable=True).numpy()] = vectors.copy()
            return vectors

    def count_tokens(self, texts: Sequence[str]) -> Floats:
        """How many tokens texts are, start and end tokens included, and what of them is read.

        Returns:
            ``(n, 4)``, as :func:`~evalkit.encoders.tokens.token_numbers` gives them.
        """
        network = self._network
        return token_numbers(network.tokenize_whole(texts), network.tokenize(texts).tolist())

    def _sent(self, batch: torch.Tensor) -> torch.Tensor:
        """A batch on the device: to a GPU from memory that it may read by itself."""
        if self._device.type == "cuda":
            return batch.pin_memory().to(self._device, non_blocking=True)
        return batch.to(self._device)

    def _embed(self, embed: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> Embeddings:
        """Embeddings of a batch, in passes of one size: the last repeats its last input until it has that too."""
        parts: list[Embeddings] = []
        done = 0
        while done < len(batch):
            part = batch[done : done + self._at_once]
            try:
                full = torch.cat([part, part[-1:].repeat(self._at_once - len(part), *[1] * (part.ndim - 1))])
                parts.append(embed(full)[: len(part)].float().cpu().numpy())
            except torch.cuda.OutOfMemoryError as failure:
                if self._at_once == 1:
                    raise EncoderError(
                        f"{self._spec.name} on {self._device}: not even one input fits into its memory. Free it, or "
                        "compute elsewhere: --device cpu"
                    ) from failure
                self._at_once //= 2
                continue
            done += len(part)
        array: Embeddings = np.concatenate(parts)
        if not np.isfinite(array).all():
            hint = "Compute in another type: --dtype fp32" if self._spec.dtype != "fp32" else "Its weights are damaged."
            raise EncoderError(
                f"Embeddings of {self._spec.name} in {self._spec.dtype}: expected finite numbers, got "
                f"{int((~np.isfinite(array)).any(axis=1).sum())} of {len(array)} vectors with NaN or infinity. {hint}"
            )
        return array


def _padded_lengths(tokens: torch.Tensor) -> torch.Tensor:
    """``(n,)`` columns that each text needs: up to its padding, of which one is kept, as it may be the end token.

    >>> _padded_lengths(torch.tensor([[5, 6, 9, 0, 0, 0, 0, 0, 0], [5, 6, 7, 8, 8, 8, 8, 9, 0]])).tolist()
    [8, 9]
    """
    width = tokens.shape[1]
    used = (tokens != tokens[:, -1:]) * torch.arange(1, width + 1)
    return (-(-(used.amax(dim=1) + 1) // LENGTHS) * LENGTHS).clamp(max=width)


@contextmanager
def full_precision() -> Iterator[None]:
    """Within it float32 means float32: no TF32 or bfloat16 shortcut, whatever the process has chosen."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


def resolve_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is the first there is of CUDA, Apple's MPS and the CPU.

    Raises:
        OptionError: This machine has no such device.
    """
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available():
        present[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(present[0])
    if name not in present:
        raise OptionError(
            f"Device '{name}': torch {torch.__version__} sees {', '.join(present)} on this machine. "
            f"Choose one of them, or let evalkit choose: --device auto"
        )
    return torch.device(name)
