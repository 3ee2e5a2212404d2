"""LPIPS as an encoder of pairs: Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018, eq. 1."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from urllib.error import HTTPError

import lpips
import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from evalkit.encoders.base import DType, Embeddings, EncoderSpec, Preprocess, weights_digest
from evalkit.encoders.checkpoints import refuse_pickled
from evalkit.encoders.network import DTYPES, full_precision
from evalkit.errors import EncoderError, WeightsError
from evalkit.images.pairs import ImagePair
from evalkit.storage.hub import one_line
from evalkit.storage.prefetch import in_batches

VERSION = 1
WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}
"""The networks, with torchvision's names of their ImageNet weights."""
SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Sides below which a network's last layers see nothing."""
PASS, PASS_OF_CPU = 1 << 20, 1 << 15
"""Pixels per pass, on accelerators and on the CPU; a larger image goes through alone."""
MOST = 32
"""Pairs per pass, at most. Pairs of one size always go by the same number, for the reason of
:data:`evalkit.encoders.network.PASS`: a distance depends on its pair alone."""


class LpipsEncoder:
    """Gives a pair's distance or, with a mask, its distance in the background.

    Args:
        net: ``alex``, ``vgg`` or ``squeeze``.
        model: The package's network; moved to the device and cast, in place.
        name: In signatures.
        dtype: What it computes in.
        device: Where it runs.
    """

    def __init__(self, net: str, model: lpips.LPIPS, *, name: str, dtype: DType, device: torch.device) -> None:
        scaling = model.scaling_layer
        self._spec = EncoderSpec(
            name=name,
            weights_sha256=weights_digest(model.state_dict()),
            preprocess=Preprocess(
                size=0,
                mode="native",
                mean=tuple(scaling.shift.flatten().tolist()),
                std=tuple(scaling.scale.flatten().tolist()),
            ),
            tokenizer="none",
            architecture=net,
            dtype=dtype,
            version=VERSION,
        )
        self._device = device
        self._dtype = DTYPES[dtype]
        self._smallest = SMALLEST[net]
        self._model = model.to(device, self._dtype).eval().requires_grad_(False)
        self._slices = [getattr(model.net, f"slice{number + 1}") for number in range(model.L)]

    @property
    def spec(self) -> EncoderSpec:
        """What can change its numbers."""
        return self._spec

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._device)

    def encode_pairs(self, pairs: Sequence[ImagePair]) -> Embeddings:
        """Distances of pairs, all with or all without a mask.

        Returns:
            Without masks ``(n, 1)``: the distance. With masks ``(n, 4)``: of the images with the mask blackened in
            both, the mean over the background, for which each cell of a layer counts by its share of background, and
            the distance of the whole; then the number of pixels of the background and of the mask. NaN for images
            that are too small.

        Raises:
            EncoderError: A pair does not fit into the device's memory.
        """
        budget = PASS_OF_CPU if self._device.type == "cpu" else PASS
        rows: list[Embeddings] = []
        for (height, width, _), group in groupby(pairs, key=lambda pair: pair.source.shape):
            size = max(1, min(MOST, budget // (height * width)))
            for batch in in_batches(group, size):
                full = [*batch, *batch[-1:] * (size - len(batch))]
                rows.append(self._rows(full, too_small=min(height, width) < self._smallest)[: len(batch)])
        return np.concatenate(rows)

    def _rows(self, pairs: Sequence[ImagePair], *, too_small: bool) -> Embeddings:
        backgrounds = [pair.background for pair in pairs if pair.background is not None]
        columns = 2 if backgrounds else 1
        distances = np.full((len(pairs), columns), np.nan)
        if not too_small:
            masks = self._tensor(np.stack(backgrounds)[..., None]) if backgrounds else None
            try:
                with torch.inference_mode(), full_precision():
                    distances = torch.stack(list(self._distances(pairs, masks)), dim=1).double().cpu().numpy()
            except torch.cuda.OutOfMemoryError as failure:
                raise EncoderError(
                    f"{self._spec.name} on {self._device}: images of {pairs[0].source.shape[:2]} do not fit into its "
                    f"memory. --device cpu"
                ) from failure
        counts = [(background.sum(), (~background).sum()) for background in backgrounds]
        return np.concatenate([distances, np.array(counts).reshape(len(pairs), -1)], axis=1).astype(np.float32)

    def _distances(self, pairs: Sequence[ImagePair], masks: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """``(n,)`` each: over the background if there are masks, and over the whole."""
        images = [self._tensor(np.stack([getattr(pair, name) for pair in pairs])) for name in ("edited", "source")]
        one, other = (
            self._model.scaling_layer(2 * (image / 255 if masks is None else image / 255 * masks) - 1).to(self._dtype)
            for image in images
        )
        maps = []
        # Layer by layer, so that no more than one layer of both is in memory.
        for layer, head in zip(self._slices, self._model.lins, strict=True):
            one, other = layer(one), layer(other)
            maps.append(head((lpips.normalize_tensor(one) - lpips.normalize_tensor(other)) ** 2).float())
        if masks is not None:
            weights = [functional.adaptive_avg_pool2d(masks, values.shape[-2:]) for values in maps]
            shares = [weight.sum(dim=(1, 2, 3)) for weight in weights]
            sums = [(values * weight).sum(dim=(1, 2, 3)) for values, weight in zip(maps, weights, strict=True)]
            yield sum(
                (total / share for total, share in zip(sums, shares, strict=True)),
                torch.zeros(len(pairs), device=self._device),
            )
        yield sum((values.mean(dim=(1, 2, 3)) for values in maps), torch.zeros(len(pairs), device=self._device))

    def _tensor(self, batch: np.ndarray) -> torch.Tensor:
        """``(n, h, w, c)`` to ``(n, c, h, w)`` floats on the device."""
        return torch.tensor(batch).to(self._device).permute(0, 3, 1, 2).float()


def find_backbone(net: str, argument: str) -> Path:
    """The file with the weights of a network below the heads, downloaded if it is none of the user's.

    Args:
        net: ``alex``, ``vgg`` or ``squeeze``.
        argument: The user's file; empty for torchvision's.

    Raises:
        WeightsError: There is no such file, or it cannot be downloaded.
    """
    if argument:
        own = Path(argument).expanduser()
        if not own.is_file():
            raise WeightsError(
                f"Encoder 'lpips_{net}:{argument}': expected a file with torchvision's weights, there is no "
                f"{own.absolute()}. Download one on another machine: "
                f"{backbone_url(net)}"
            )
        return own.resolve()
    url = backbone_url(net)
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        _download(net, url, path)
    return path


def backbone_url(net: str) -> str:
    """Where torchvision publishes the network's ImageNet weights."""
    from torchvision import models

    url: str = getattr(models, WEIGHTS[net]).IMAGENET1K_V1.url
    return url


def _download(net: str, url: str, path: Path) -> None:
    digest = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest and digest[1], progress=False)
    # Clients of the network raise their own errors, the system's, and for a wrong digest a RuntimeError.
    except Exception as failure:
        if isinstance(failure, HTTPError):  # it is the answer at the same time, with its connection
            failure.close()
        raise WeightsError(
            f"The weights below LPIPS on {net} cannot be downloaded from {url}: {one_line(failure)}. Give a copy that "
            f"you have: --encoder lpips_{net}:<file>, or put it where torchvision looks for it: {path}"
        ) from failure


def read_network(net: str, path: Path) -> lpips.LPIPS:
    """The package's network with its trained heads on the weights of a file.

    Raises:
        WeightsError: The file cannot be read without running code, or holds other weights.
    """
    with warnings.catch_warnings():
        # The package calls torchvision in a way that it deprecates.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as failure:  # whatever a file of another kind makes of the reader
        refuse_pickled(failure, path)
        raise WeightsError(
            f"{path} cannot be read as weights of LPIPS on {net}: {one_line(failure)}. Delete it, or give another: "
            f"--encoder lpips_{net}:<file>"
        ) from failure
    model.net.load_state_dict(_sliced(net, model.net.state_dict(), state, path))
    return model


def _sliced(
    net: str, wanted: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    """The layers of torchvision's network under the names of the package's slices."""
    names = {name: f"features.{name.partition('.')[2]}" for name in wanted}
    wrong = [
        theirs
        for ours, theirs in names.items()
        if not isinstance(state, Mapping) or theirs not in state or state[theirs].shape != wanted[ours].shape
    ]
    if wrong:
        raise WeightsError(
            f"{path}: expected torchvision's weights of the network below LPIPS on {net}; {len(wrong)} of "
            f"{len(names)} tensors are missing or of another shape ({', '.join(wrong[:3])}…). Give another file: "
            f"--encoder lpips_{net}:<file>"
        )
    return {ours: state[theirs].float() for ours, theirs in names.items()}
