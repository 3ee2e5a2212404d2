"""Whatever is done to an image file, there is a picture or a sentence, within the limits of memory and time."""

from collections import Counter

from evalkit.images.decode import SUFFIXES
from tests.images.corpus import IMAGES
from tests.support.fuzzing import FuzzKind, fuzz

CASES = 3000
SEED = 1


def test_spoilt_images_are_pictures_or_sentences():
    """No case ends in anything else, and both ends are met in every format."""
    faults, outcomes = [], Counter()
    for case in fuzz(IMAGES, CASES, SEED):
        outcomes[case.family, case.outcome] += 1
        if case.outcome == "fault":
            faults.append((case.name, case.why))

    assert faults == []
    assert set(outcomes) == {(name, outcome) for name in SUFFIXES for outcome in ("sentence", "decoded")}


def test_cases_are_the_same_each_time():
    """A case is named by its number alone, so that it can be tried again."""
    first, second = ([(case.name, case.n_bytes, case.why) for case in fuzz(IMAGES, 60, SEED)] for _ in range(2))
    assert first == second


def test_faults_are_seen():
    """What raises, takes its memory, or complains in several lines, is a fault."""

    def examine(_name, data):
        if data[:1] == b"r":
            raise ValueError
        if data[:1] == b"m":
            bytearray(b"x") * (64 << 20)
        return {b"l": "one\ntwo.", b"s": "a sentence."}.get(data[:1])

    kind = FuzzKind(
        seeds=lambda: {letter: letter.encode() * 400 for letter in "rmlso"},
        examine=examine,
        bytes_limit=32 << 20,
        seconds_limit=5.0,
    )
    outcomes = Counter((case.family, case.outcome) for case in fuzz(kind, 100, SEED))

    for family, outcome in (("r", "fault"), ("m", "fault"), ("l", "fault"), ("s", "sentence"), ("o", "decoded")):
        assert outcomes[family, outcome] > 10
