"""What the study of conserved information says follows from the scores that are kept beside it."""

import json

import pytest

from evalkit.editing.method import METHODS
from tests.studies.what_is_conserved import (
    CONTROLS,
    LISTS,
    README,
    RESULTS,
    SUCCESS,
    Verdicts,
    agreement,
    judge,
    read_scores,
    readme_section,
    section,
)

STUDY = json.loads(RESULTS.with_suffix(".json").read_text())


@pytest.mark.parametrize("listed", [name for name in LISTS if name in STUDY])
def test_decisions_follow_from_the_scores(listed):
    """Every mean, interval, p-value and decision is computed again from the table of edits."""
    kept, table = STUDY[listed], read_scores(listed)
    frames = {name: table[table.method == name] for name in kept["methods"]}
    assert all(len(frame) == kept["n_items"] * kept["methods"][name]["n_seeds"] for name, frame in frames.items())
    again = judge(frames)
    assert again["methods"].keys() == kept["methods"].keys()
    for name, judged in again["methods"].items():
        assert _numbers(judged) == pytest.approx(_numbers(kept["methods"][name]), nan_ok=True)
        assert _words(judged) == _words(kept["methods"][name])


def test_the_section_is_written_from_the_results():
    """No number in it was typed in by hand, nor in the README's section."""
    assert RESULTS.with_suffix(".md").read_text() == section(STUDY)
    assert f"{readme_section(STUDY)}\n## " in README.read_text()


def _leaves(value, path=()):
    if isinstance(value, dict):
        return [leaf for key, part in value.items() for leaf in _leaves(part, (*path, key))]
    return [(path, value)]


def _numbers(judged):
    return {path: value for path, value in _leaves(judged) if isinstance(value, int | float)}


def _words(judged):
    return {path: value for path, value in _leaves(judged) if not isinstance(value, int | float)}


def test_cards_claim_the_edit_types_of_which_most_succeed():
    """Those of which more than two in three succeed on the claim list; controls claim none."""
    table = read_scores("claim")
    shares = table.groupby(["method", "edit_type"])[SUCCESS].mean()
    for name in set(STUDY["claim"]["methods"]) - set(CONTROLS):
        made = {kind for kind, share in shares[name].items() if share > 2 / 3}
        assert METHODS.get(name).card.edit_types == made, name


def test_the_final_list_says_which_decisions_came_out_again():
    """With a list as its own final one all of them do; one that is turned is named, with both of its verdicts."""
    claim = STUDY["claim"]
    techniques = [name for name in claim["methods"] if name not in CONTROLS]
    comparisons = f"Of the {2 * len(techniques)} comparisons with a fresh sample"
    assert agreement(claim, claim) == f"{comparisons} {2 * len(techniques)} are decided as on the claim list."
    turned = json.loads(json.dumps(claim))
    turned["methods"]["mdp"]["structural"]["verdict"] = "not shown"
    said = agreement(claim, turned)
    assert said.startswith(f"{comparisons} {2 * len(techniques) - 1} are")
    assert said.endswith("Otherwise: mdp (structural): more there, not shown here.")
    found, other = Verdicts.of(claim), Verdicts.of(turned)
    assert set(found.confirmed) - set(other.confirmed) == {("mdp", "structural")}
    assert found.n_claims == other.n_claims
    assert set(found.working) - set(other.working) == {"mdp"}
