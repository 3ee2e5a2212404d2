"""What stands in ``leaderboard/``: cards, entries, verifications and reported rows, as records with a JSON Schema."""

from datetime import date
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from evalkit.votes.judged import VotingJudge

ENTRY: Literal["evalkit.entry/1"] = "evalkit.entry/1"
VERIFICATION: Literal["evalkit.verification/1"] = "evalkit.verification/1"
VOTES: Literal["evalkit.votes/1"] = "evalkit.votes/1"
NAME = r"^[a-z0-9][a-z0-9_.\-]{0,63}$"
"""Names become folders, addresses and anchors: nothing in them may need escaping."""

Level = Literal["claimed", "self_scored", "re_scored", "reproduced"]
LEVELS: dict[Level, str] = {
    "claimed": "a mean from a paper; nothing here can check it",
    "self_scored": "scored by its submitter; every mean is recomputed from the per-item scores",
    "re_scored": "scored again by the maintainers from the submitted images, within the stated tolerance",
    "reproduced": "the method was run again by the maintainers, with an equivalent result and no drift",
}
"""The ladder of verification, lowest first, with what each step means."""


def _web_address(text: str) -> str:
    if text and not text.startswith(("https://", "http://")):
        raise ValueError("expected an address that begins with https:// or http://, or nothing")
    return text


def _yes_or_no(value: object) -> object:
    """YAML reads a bare ``yes`` or ``no`` as a truth value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hexadecimal.")]
Answer = Annotated[Literal["no", "yes", "unknown"], BeforeValidator(_yes_or_no)]
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1)]
Address = Annotated[str, AfterValidator(_web_address)]


class LeaderboardRecord(BaseModel):
    """A record without unknown fields, which does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Card(LeaderboardRecord):
    """A method, as people read about it."""

    name: Name
    """The entry's id; a new version of a method is a method with another name."""
    title: Text
    summary: Text
    kind: Literal["method", "control"] = "method"
    """Controls are edits of known quality, shown beside the methods and never ranked."""
    paper: Address = ""
    code: Address = ""
    code_revision: str = ""
    base_model: str = ""
    optimises: Literal["nothing", "embedding", "model", "unknown"] = "unknown"
    """What the method fits to an edit, a source image or a kind of edit: nothing (it is training-free), the embedding
    of a text, or the weights of a model."""
    licence: Text
    """Of the method's code; ``unknown`` where it is not."""
    pictures_licence: str = ""
    """Licence under which the edited images may be shown; none are shown without."""


class Declarations(LeaderboardRecord):
    """What only the submitter knows; nothing has a default, because silence is no answer.

    ``unknown`` is for those who submit another's results.
    """

    per_item_tuning: Answer
    """Whether any setting was chosen item by item, by hand or by looking at results."""
    selection: Literal["none", "best_of_n", "unknown"]
    """Whether each edit is the best of several, by whatever judge."""
    attempts_per_item: Annotated[int, Field(ge=1)] | Literal["unknown"]
    """Edits made for each one that was submitted."""
    deterministic: bool
    """Whether the method gives the same edit whatever its seed."""
    uses: tuple[Literal["source_caption", "target_caption", "instruction", "edit_mask"], ...]
    saw_benchmark: Answer
    """Whether the benchmark's images or texts were trained on, or settings tuned on them."""
    settings: dict[str, bool | int | float | str | None]


class Submitter(LeaderboardRecord):
    """Who says so."""

    name: Text
    organisation: str = ""
    relationship: Literal["first_party", "third_party", "collaborative"]
    """To the method's authors."""


class Submission(LeaderboardRecord):
    """``METHOD.yaml``: what a submitter writes."""

    protocol: Text
    method: Card
    declarations: Declarations
    submitter: Submitter


class Entry(LeaderboardRecord):
    """``entry.json``: one method under one protocol; its scores are the run directory around it."""

    format: Literal["evalkit.entry/1"] = ENTRY
    method: Name
    protocol: Text
    submitted: date
    submitter: Submitter
    declarations: Declarations
    run_sha256: Sha256
    """Of ``run.json``, which names the digest of ``items.jsonl``."""
    outputs_sha256: Sha256
    """Of ``outputs.jsonl``."""


class OutputDigest(LeaderboardRecord):
    """A line of ``outputs.jsonl``: one edit that was made."""

    model_config = ConfigDict(title="Output")
    item_id: Text
    seed: int | None = None
    status: Literal["ok", "failed"] = "ok"
    sha256: Sha256 | None = None
    """Of the file; None where the edit failed."""
    pixels_sha256: Sha256 | None = None
    """Of its size and RGB values: equal for equal pictures, however they are stored."""
    equals_source: bool = False


class AnomalyCheck(LeaderboardRecord):
    """One automatic check for what should not be, with its number."""

    # The name under which it stands in the schemas, which do not change.
    __qualname__ = "Screen"
    model_config = ConfigDict(title="Screen")
    name: str
    value: float | None
    """None: it could not be measured."""
    flagged: bool
    note: str


class Reproduction(LeaderboardRecord):
    """What came of running the method again."""

    n_items: int
    n_groups: int
    margin: float
    difference: float
    """Reproduced less submitted, on the primary alignment metric."""
    equivalence_p_value: float | None
    """None where there is no spread to test with: two runs with the very same scores need no test."""
    drift_p_value: float
    """One-sided: that the submitted scores are the better ones."""


class Verification(LeaderboardRecord):
    """``verification.json``: what the maintainers found; never part of a submission."""

    format: Literal["evalkit.verification/1"] = VERIFICATION
    level: Literal["re_scored", "reproduced"]
    verified: date
    evalkit: str
    run_sha256: Sha256
    """The run that was verified; for any other it does not count."""
    differences: dict[str, float]
    """Metric to the largest difference of an item's score, submitted and computed again."""
    tolerances: dict[str, float]
    screens: tuple[AnomalyCheck, ...]
    """The checks for anomalies."""
    reproduction: Reproduction | None = None


class VotesCard(LeaderboardRecord):
    """``VOTES.yaml``: what whoever collected votes writes."""

    protocol: Text
    name: Name
    """Of this collection; one that was published does not grow, another study is another collection."""
    title: Text
    cast_by: Literal["people", "judge"] = "people"
    """Who voted; what the votes themselves say of it must be the same."""
    raters: Text
    """Who they are, and how they were found and paid; of a judge who ran it, and how."""
    consent: Annotated[str, Field(validate_default=True)] = ""
    """What people agreed to: that their votes are published, under no name. A judge is not asked."""
    licence: Text
    """Of the votes."""
    submitter: Submitter

    @field_validator("consent")
    @classmethod
    def _of_people(cls, consent: str, info: ValidationInfo) -> str:
        if (info.data.get("cast_by") == "judge") == bool(consent):
            raise ValueError("expected what people agreed to where they voted, and nothing of a judge")
        return consent


class VotesRecord(VotesCard):
    """``votes.json``: votes between entries of a board, of people or of one judge; they lie in ``votes.jsonl``."""

    format: Literal["evalkit.votes/1"] = VOTES
    submitted: date
    question: Text
    """What raters were asked, word for word."""
    study: Text
    """The id that was drawn when the study began; no two collections have it, but for those of its judges."""
    plan_sha256: Sha256
    """Of the study's record: who was shown what, in which order."""
    votes_per_rater: int
    """That the plan has, without checks."""
    checks_per_rater: int
    """Attention checks."""
    methods: dict[Name, Sha256]
    """Entry to the digest over its edits, which is that of the entry."""
    n_left_out: int
    """Raters without a vote here, who failed more of their attention checks than they passed."""
    votes_sha256: Sha256
    """Of ``votes.jsonl``."""
    judge: VotingJudge | None = None
    """Who voted, where that was a judge, and how it was asked."""
    words_sha256: Sha256 | None = None
    """Of ``votes.judgements.jsonl``, where a judge voted."""

    @model_validator(mode="after")
    def _cast_by_whom(self) -> "VotesRecord":
        expected = self.cast_by == "judge"
        if (self.judge is not None, self.words_sha256 is not None) != (expected, expected):
            raise ValueError("expected a judge with its words where cast_by says so, and neither of people")
        return self


class ReportedRow(LeaderboardRecord):
    """A row of another paper: a claim, with what is known about how it came about."""

    title: Text
    values: dict[str, float]
    """The paper's own column to its value."""
    per_item_tuning: Annotated[Literal["yes", "no", "not stated"], BeforeValidator(_yes_or_no)]
    note: str = ""


class Reported(LeaderboardRecord):
    """``reported/NAME.yaml``: one table of the literature."""

    benchmark: Text
    title: Text
    citation: Text
    address: Address = ""
    where: Text
    """The page, table or file."""
    encoder: Text
    n_items: int | None
    uncertainty: Text
    columns: dict[str, Text]
    """Column to what it is, with its scale and its direction."""
    rows: tuple[ReportedRow, ...]

    @property
    def unexplained(self) -> list[ReportedRow]:
        """The rows with a value in a column that is not among those explained."""
        return [row for row in self.rows if not row.values.keys() <= self.columns.keys()]


SCHEMAS: dict[str, type[BaseModel]] = {
    "submission": Submission,
    "card": Card,
    "entry": Entry,
    "output": OutputDigest,
    "verification": Verification,
    "reported": Reported,
    "votes_card": VotesCard,
    "votes": VotesRecord,
}
"""Name of the file in ``leaderboard/schema`` to the record that it describes."""
