"""Encoders asked for in a process of its own, whose environment says where the Hub is."""

import subprocess
import sys
from pathlib import Path

CLIENT = """
import json, sys
from evalkit.encoders import hub
from evalkit.encoders.load import open_encoder
from evalkit.errors import EvalkitError
hub.ANSWER_SECONDS = 0.5
architecture, *specs = sys.argv[1:]
if architecture:
    import open_clip
    from open_clip import pretrained
    open_clip.add_model_config(architecture)
    pretrained._PRETRAINED["tiny"] = {"random": pretrained._pcfg(hf_hub="evalkit/tiny-clip/")}
for spec in specs:
    try:
        found = open_encoder(spec, device="cpu").spec
        print(json.dumps([found.name, found.weights_sha256]))
    except EvalkitError as failure:
        print(f"{type(failure).__name__}: {failure}")
"""


def ask(environment: dict[str, str], *specs: str, architecture: Path | str = "") -> str:
    """What a process with that environment makes of specifications, a line each."""
    command = [sys.executable, "-c", CLIENT, str(architecture), *specs]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment).stdout


def files_of(spec: str) -> dict[str, bytes]:
    """The content of the directory that a specification means."""
    return {path.name: path.read_bytes() for path in Path(spec.rpartition(":")[2]).iterdir()}


def digest_of(spec: str) -> str:
    """The digest of a local encoder's weights."""
    from evalkit.encoders.load import open_encoder

    return open_encoder(spec, device="cpu").spec.weights_sha256
