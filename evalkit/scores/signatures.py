"""What can change a number, in one line per metric; the line's fields; and one short line for a whole run."""

import hashlib
from collections.abc import Iterable

UNSIGNED = {"alpha": "white", "aspect": "stretch"}
"""What a signature without these fields stands for: older versions did it without saying so, and a metric that holds no
two images against each other has nothing to say of their aspect ratios."""
_DIGEST = 8
"""Letters of the digest in a short signature."""


def signature_fields(line: str) -> dict[str, str]:
    """A signature's fields.

    >>> signature_fields("clip_score|enc:a/b@c|v:1")
    {'metric': 'clip_score', 'enc': 'a/b@c', 'v': '1'}
    """
    metric, *pairs = line.split("|")
    return {"metric": metric, **{key: value for key, _, value in (pair.partition(":") for pair in pairs)}}


def comparable_fields(line: str) -> dict[str, str]:
    """All that a signature says, or leaves to be understood, apart from the version of evalkit.

    >>> comparable_fields("l1|dtype:fp64|alpha:white|aspect:2%|v:1|evalkit:0.1.0")
    {'alpha': 'white', 'aspect': '2%', 'metric': 'l1', 'dtype': 'fp64', 'v': '1'}
    """
    return {key: value for key, value in (UNSIGNED | signature_fields(line)).items() if key != "evalkit"}


def short_signature(lines: Iterable[str]) -> str:
    """One line for all signatures of a run: its networks, their precision, and a digest of the signatures.

    Runs with the same digest have the same metrics, scored alike in everything that a signature names.

    >>> short_signature(["clip_score|enc:net@c0ffee|dtype:fp32|v:1|evalkit:0.1.0", "l1|enc:none|dtype:fp64|v:1"])
    'enc:net|dtype:fp32+fp64|sha:bec6a3f8|evalkit:0.1.0'
    """
    signatures = sorted(set(lines))
    fields = [signature_fields(line) for line in dict.fromkeys(lines)]
    encoders = [part.partition("@")[0] for each in fields for part in each.get("enc", "").split("+")]
    found = {
        "enc": [name for name in encoders if name not in ("", "none")] or ["none"],
        "dtype": [each["dtype"] for each in fields if "dtype" in each],
        "missing": [each["missing"] for each in fields if "missing" in each],
        "sha": [hashlib.sha256("\n".join(signatures).encode()).hexdigest()[:_DIGEST]],
        "evalkit": [each["evalkit"] for each in fields if "evalkit" in each],
    }
    return "|".join(f"{key}:{'+'.join(dict.fromkeys(parts))}" for key, parts in found.items() if parts)


def of_miniature(signature: str | None) -> bool:
    """Whether a metric was computed with a toy encoder, as its signature says.

    >>> of_miniature("clip_score|enc:miniature/clip@f3|v:1"), of_miniature("l1|enc:none|v:1"), of_miniature(None)
    (True, False, False)
    """
    return "|enc:miniature" in (signature or "")
