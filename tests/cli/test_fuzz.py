"""Whatever is done to a document, the command that reads it ends with its result, a sentence or a list of problems."""

from collections import Counter

from tests.cli.documents import DOCUMENTS, seeds
from tests.support.fuzzing import fuzz

CASES = 450
SEED = 1


def test_spoilt_documents_are_read_or_refused_in_a_sentence():
    """No case ends in anything else; every kind is refused in some cases, and those with few rules read in others."""
    faults, outcomes = [], Counter()
    for case in fuzz(DOCUMENTS, CASES, SEED):
        outcomes[case.family, case.outcome] += 1
        if case.outcome == "fault":
            faults.append((case.name, case.why))

    assert faults == []
    families = {name.partition("/")[0] for name in seeds()}
    assert {family for family, outcome in outcomes if outcome == "sentence"} == families
    assert {"captions", "table"} <= {family for family, outcome in outcomes if outcome == "decoded"}


def test_sound_documents_are_read():
    """What the commands make of each document before anything is done to it."""
    refused = {name for name, data in seeds().items() if DOCUMENTS.examine(name, data) is not None}
    assert refused == {"card/submit", "place/of a file"}
