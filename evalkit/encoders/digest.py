"""Digests of what decides an encoder's numbers: weights, tokenizer, architecture."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from evalkit.images.decode import RULES_VERSION

if TYPE_CHECKING:
    import torch

PROBES = (
    "",
    "A photo of a CAT.",
    "  two\tspaces \n and a line ",
    "it's, you're, I'LL; don’t — “quoted”…",
    "&amp; &lt;b&gt; under_score #1234567890 !!! ???",
    "naïve café, cafe\u0301, ﬁne, Ünïcödé, ｆｕｌｌ，ｗｉｄｔｈ",
    "日本語 и кириллица 🎨🖌️",
    "<|endoftext|> </s> [SEP]",
    "one word after another " * 60,
)
"""Texts on which tokenizers are known to differ: case, spaces, contractions, entities, composition, length."""


def weights_digest(state: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all tensors, whatever file they came from.

    Args:
        state: A network's ``state_dict()``, on the CPU.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        # The bytes themselves, seen through a view: nothing is copied, and NumPy need not know bfloat16.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_digest(vocabulary: Mapping[str, int], tokenize: Callable[[Sequence[str]], "torch.Tensor"]) -> str:
    """SHA-256 over a tokenizer's vocabulary and over what it makes of :data:`PROBES`.

    The behaviour rather than the settings: it takes in every rule, wherever a library keeps it, and does not depend
    on how a version of that library writes its settings down.

    Args:
        vocabulary: Token to number.
        tokenize: Texts to ``(n, length)`` token numbers, cut and padded as the network reads them.
    """
    tokens = tokenize(PROBES).tolist()
    return settings_digest([sorted(vocabulary.items()), tokens])


def library_versions(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Distributions with their installed versions, ``absent`` for one that is not installed."""
    found = []
    for name in names:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, "absent"))
    return tuple(found)


def decoding_rules() -> tuple[tuple[str, str], ...]:
    """What decides which pixels a file has: our rules, and the library that decodes and resizes."""
    return (("decoder", str(RULES_VERSION)), *library_versions(["pillow"]))


def settings_digest(settings: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
