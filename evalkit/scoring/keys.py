"""The keys by which features are kept: all that can change a number, apart from the content that it is about.

A key holds

* for a network, its specification: the digest of its weights, architecture, tokenizer, preprocessing, precision, the
  version of our own code, and the versions of the libraries that compute (torch, transformers, open_clip, …);
* for a measure or a judge, the explicit name, version and parameters of its :class:`FeatureKey`, and, for measures,
  the versions of NumPy and SciPy, in which they are written;
* for both, the version of the rules by which a file becomes pixels, and that of Pillow, which decodes and resizes;
* for pairs, the rules by which two sizes, and a mask's, are brought together.

So nothing stale is found after an upgrade, and the versions in a run's record are those that made its numbers. The
content itself is known by the SHA-256 of its files and texts: names, places and times of files do not matter.
"""

from dataclasses import asdict

from evalkit.encoders.base import EncoderSpec
from evalkit.encoders.digest import decoding_rules, library_versions, settings_digest
from evalkit.images.pairs import MASK_RULE, SIZE_RULE
from evalkit.metrics.features import Feature, PairFeature, VectorFeature

MEASURING = ("numpy", "scipy")


def cache_key(feature: Feature, spec: EncoderSpec | None) -> str:
    """The key of a feature's numbers.

    Args:
        feature: Which.
        spec: Of its encoder, if it goes through one.
    """
    if isinstance(feature, VectorFeature) and spec:
        return spec.cache_key
    facts: list[object] = [spec.cache_key if spec else "", asdict(feature.key), decoding_rules()]
    if isinstance(feature, PairFeature):
        facts += [SIZE_RULE, MASK_RULE, "" if spec else library_versions(MEASURING)]
    return settings_digest(facts)


def key_label(feature: Feature, spec: EncoderSpec | None) -> str:
    """What a key stands for, as it reads in ``evalkit cache info``."""
    if spec:
        return spec.label
    return f"{'pixels' if isinstance(feature, PairFeature) else 'judge'}/{feature.key.name}"
