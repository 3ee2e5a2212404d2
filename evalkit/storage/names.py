"""Names of files and folders: the one place where what people or manifests call something becomes a part of a path."""

import hashlib
import re

MAX_NAME_BYTES = 100
"""Room for a suffix, a prefix and what an atomic write adds, where file systems allow 255."""
_OTHER = re.compile(r"[^\w.-]+")
_DIGEST = 10
_DIGESTED = re.compile(rf"-[0-9a-f]{{{_DIGEST}}}$")
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?"  # of Windows
    r"|thumbs\.db|ehthumbs\.db|desktop\.ini|__macosx"  # what a folder's reader passes over
    r"|metadata\.jsonl|method\.json",  # an edit folder's own files
    re.IGNORECASE,
)


def file_stem(text: str) -> str:
    """A text as one part of a path: the stem of a file's name, or a folder's name.

    What is a harmless name stays as it is. Any other text loses what is neither letter, digit, ``_``, ``.`` nor ``-``
    and what is too long, and gains a digest, so that different texts have different names.

    >>> file_stem("cat-1"), file_stem("../a cat")
    ('cat-1', 'a_cat-be1751e99b')
    """
    name = _OTHER.sub("_", text).strip("._-")
    harmless = name == text.strip("_") and len(text.encode("utf-8", "replace")) <= MAX_NAME_BYTES
    if harmless and text and not _DIGESTED.search(text) and not _RESERVED.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    short = name.encode()[: MAX_NAME_BYTES - _DIGEST - 1].decode("utf-8", "ignore").rstrip("._-")
    return f"{short or '_'}-{digest}"
