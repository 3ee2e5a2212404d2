"""Which activation a checkpoint of open_clip's was trained with: what its file tells, and what its user must say.

The tensors of a network with QuickGELU (``x · sigmoid(1.702 x)``, OpenAI's) and of one with GELU have the same names
and shapes, and under the wrong one every score is wrong. Tensors do not say it by themselves; it is known of a file

* whose SHA-256 stands in open_clip's list, in the address of the weights;
* that lies beside the ``open_clip_config.json`` that it was published with.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import EncoderError, WeightsError
from evalkit.storage.documents import read_json

QUICKGELU, GELU = "-quickgelu", "-gelu"
CONFIG = "open_clip_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What is known of the activation that weights were trained with."""

    quick_gelu: bool
    evidence: str


def twin_of(architecture: str) -> str:
    """What open_clip calls, or would call, the same architecture with the other activation.

    >>> twin_of("ViT-B-32"), twin_of("ViT-B-32-quickgelu")
    ('ViT-B-32-quickgelu', 'ViT-B-32')
    """
    plain = architecture.removesuffix(QUICKGELU)
    return plain if plain != architecture else f"{architecture}{QUICKGELU}"


def has_quick_gelu(architecture: str) -> bool:
    """Whether open_clip's architecture computes QuickGELU."""
    import open_clip

    return bool(open_clip.get_model_config(architecture).get("quick_gelu"))


def spelled_out(architecture: str) -> tuple[str, bool]:
    """An architecture by open_clip's name, and whether the one that was given says its activation.

    ``ViT-B-32-quickgelu`` does, ``ViT-B-32`` does not, and ``ViT-B-32-gelu``, which open_clip does not know, is the
    latter said in full.
    """
    import open_clip

    known = open_clip.list_models()
    plain = architecture.removesuffix(GELU)
    if plain != architecture and architecture not in known and {plain, twin_of(plain)} <= set(known):
        return plain, True
    return architecture, architecture.endswith(QUICKGELU)


def require_activation(path: Path, architecture: str, *, said: bool) -> None:
    """Refuses a file whose activation is known to be another than the architecture's, or is neither known nor said.

    Args:
        path: The checkpoint.
        architecture: By open_clip's name.
        said: Whether the user said the activation.

    Raises:
        WeightsError: It is a TorchScript archive.
        EncoderError: The activation is wrong, or must be said.
    """
    import open_clip

    twin, wanted = twin_of(architecture), has_quick_gelu(architecture)
    plain = architecture.removesuffix(QUICKGELU)
    _refuse_torchscript(path, plain)
    known = _of_config(path) or _of_digest(path, (architecture, twin))
    if known and known.quick_gelu != wanted:
        names = ("QuickGELU", "GELU") if known.quick_gelu else ("GELU", "QuickGELU")
        raise EncoderError(
            f"The weights in {path} were trained with {names[0]} ({known.evidence}) and open_clip's {architecture} "
            f"computes {names[1]}: every score would be wrong. --encoder open_clip:{twin}/{path}"
        )
    if not known and not said and twin in open_clip.list_models():
        raise EncoderError(
            f"The weights in {path}: it cannot be told whether they were trained as open_clip's {plain}{QUICKGELU}, "
            f"with QuickGELU, as all of OpenAI's were, or as its {plain}, with GELU; with the wrong one every score is "
            f"wrong. Say it: --encoder open_clip:{plain}{QUICKGELU}/{path} or --encoder open_clip:{plain}{GELU}/{path}"
        )


def _of_config(path: Path) -> Activation | None:
    """By the configuration that was published with weights of open_clip's usual file names."""
    config = path.parent / CONFIG
    if not path.name.startswith("open_clip_") or not config.is_file():
        return None
    try:
        quick_gelu = read_json(config)["model_cfg"].get("quick_gelu", False)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as failure:
        raise EncoderError(f"{config}: expected a model_cfg, as open_clip writes it.") from failure
    return Activation(quick_gelu=bool(quick_gelu), evidence=f"says {config}")


def _of_digest(path: Path, architectures: tuple[str, str]) -> Activation | None:
    """By open_clip's list of weights."""
    listed = list(_listed_digests(architectures))
    if not listed:
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    named = (known for digest, known in listed if found.startswith(digest))
    return next(named, None)


def _listed_digests(architectures: tuple[str, str]) -> Iterator[tuple[str, Activation]]:
    """SHA-256 of published files, or how it begins, as it stands in their addresses."""
    import open_clip

    for architecture in architectures:
        for tag in open_clip.list_pretrained_tags_by_model(architecture):
            listed = open_clip.get_pretrained_cfg(architecture, tag)
            if digest := re.search(r"/([0-9a-f]{64})/[^/]+$|-([0-9a-f]{8})\.pth?$", listed.get("url", "")):
                evidence = f"its SHA-256 is that of open_clip's {architecture}/{tag}"
                known = Activation(quick_gelu=bool(listed.get("quick_gelu")), evidence=evidence)
                yield digest[1] or digest[2], known


def _refuse_torchscript(path: Path, plain: str) -> None:
    """An archive of tensors and code, as OpenAI publishes: the code, which is text, tells the activation."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if "/code/" in name and name.endswith(".py")]
        code = b"".join(archive.read(name) for name in names)
    if not names:
        return
    name, what = f"{plain}{GELU}", "computes GELU"
    if b"torch.sigmoid(" in code and b"torch.gelu(" not in code:
        name, what = f"{plain}{QUICKGELU}", "computes QuickGELU"
    raise WeightsError(
        f"The weights in {path} are a TorchScript archive, whose code {what}; files that carry code are not opened. "
        f"Save the tensors alone (torch.jit.load(FILE).state_dict(), where you trust it), best as .safetensors, and "
        f"give those: --encoder open_clip:{name}/<file>"
    )
