"""Rubrics: what a judge is asked, as data."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evalkit.edits.item import IMAGE_FIELDS
from evalkit.encoders.base import settings_digest
from evalkit.errors import OptionError, UnknownNameError
from evalkit.judges.base import Picture, Question
from evalkit.metrics.features import TEXT_FIELDS
from evalkit.registry import nearest, plugins
from evalkit.storage.files import read_regular
from evalkit.storage.plain_yaml import MAX_YAML_BYTES, parse_yaml

RUBRICS = Path(__file__).parent / "rubrics"
"""Where those that evalkit ships lie."""
GROUP = "evalkit.rubrics"
"""The entry-point group of others: each is the path of a file."""
BY_INSTRUCTION, BY_CAPTION = "judge", "judge_caption"
"""Ours, for items with an instruction and for those that have only a target caption."""
REASONING = "reasoning"
"""The part of an answer that is words."""
ShownItem = Mapping[str, str | Picture]
"""Of an item, by the names of its fields."""
CriterionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RatedFamily = Literal["alignment", "preservation", "quality"]
"""The family of a metric that a judge's answers make; the truth is none of them."""


class _RubricPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Criterion(_RubricPart):
    """One thing that is rated."""

    summary: str
    """What the number says, in a clause."""
    question: str
    """As the judge reads it, with what the ends of the scale mean."""
    family: RatedFamily = "alignment"


class Combination(_RubricPart):
    """A number that is made of others, answer by answer."""

    summary: str
    how: Literal["geometric_mean_of_minima", "mean", "minimum"]
    of: tuple[tuple[CriterionName, ...], ...]
    """Criteria in groups: of each the least counts, or their mean."""
    family: RatedFamily = "alignment"

    def value(self, scores: Mapping[str, float]) -> float:
        """The number that an answer's scores make.

        >>> how = Combination(summary="", how="geometric_mean_of_minima", of=(("a", "b"), ("c",)))
        >>> how.value({"a": 9.0, "b": 4.0, "c": 9.0})
        6.0
        """
        groups = [[scores[name] for name in group] for group in self.of]
        if self.how == "mean":
            means = [math.fsum(group) / len(group) for group in groups]
            return math.fsum(means) / len(means)
        least = [min(group) for group in groups]
        return min(least) if self.how == "minimum" else math.prod(least) ** (1 / len(least))


class Rubric(_RubricPart):
    """What a judge is shown and asked, and how its answers become numbers."""

    name: CriterionName
    """The file's, without its suffix; the metrics are called ``name:criterion``."""
    title: str
    version: int
    licence: str
    source: str
    """Whose words and whose combination."""
    system: str = ""
    question: str
    """With the fields of an item in braces, pictures among them, and ``{criteria}`` and ``{form}``."""
    lowest: Annotated[float, Field(allow_inf_nan=False)]
    highest: Annotated[float, Field(allow_inf_nan=False)]
    whole: bool = True
    """Whether only whole numbers can be given."""
    criteria: Annotated[Mapping[CriterionName, Criterion], Field(min_length=1)]
    combined: Mapping[CriterionName, Combination] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "Rubric":
        known = {*IMAGE_FIELDS, *TEXT_FIELDS, "criteria", "form"}
        if unknown := [name for name in self._placeholders if name not in known]:
            raise ValueError(f"question: expected {{{'}, {'.join(sorted(known))}}}, got {{{unknown[0]}}}")
        if changed := next(self._changed_placeholders, None):
            raise ValueError(f"question: expected a field as it is, got {changed} with a conversion or a format")
        if "edited_image" not in self.takes or "criteria" not in self._placeholders:
            raise ValueError("question: expected {edited_image} and {criteria} in it")
        if not self.lowest < self.highest:
            raise ValueError(f"lowest: expected less than highest, got {self.lowest:g} and {self.highest:g}")
        if self.whole and not (self.lowest.is_integer() and self.highest.is_integer()):
            raise ValueError(
                f"lowest: expected whole numbers at both ends, got {self.lowest:g} and {self.highest:g}; with "
                "'whole: false' a judge may answer with any number between them"
            )
        if self.combined and self.lowest < 0 and any(c.how.startswith("geometric") for c in self.combined.values()):
            raise ValueError("lowest: expected 0 or more, as a root is taken")
        if both := {*self.criteria, REASONING} & {*self.combined} | ({REASONING} & {*self.criteria}):
            raise ValueError(f"combined: the name {sorted(both)[0]} is taken")
        for name, combination in self.combined.items():
            absent = [each for group in combination.of for each in group if each not in self.criteria]
            if absent or not all(combination.of) or not combination.of:
                raise ValueError(f"combined.{name}: expected criteria, got {absent[0] if absent else 'none'}")
        return self

    @property
    def _placeholders(self) -> list[str]:
        return [name for _, name, _, _ in Formatter().parse(self.question) if name is not None]

    @property
    def _changed_placeholders(self) -> Iterator[str]:
        """Those that ask for another form of a field, such as ``{instruction!r:>10}``."""
        for _, name, form, conversion in Formatter().parse(self.question):
            if form or conversion:
                yield f"{{{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}}}"

    @property
    def takes(self) -> tuple[str, ...]:
        """The fields of an item that are shown, in their order."""
        return tuple(dict.fromkeys(name for name in self._placeholders if name in (*IMAGE_FIELDS, *TEXT_FIELDS)))

    @property
    def scores(self) -> tuple[str, ...]:
        """All numbers that an answer gives: criteria, then what is combined of them."""
        return (*self.criteria, *self.combined)

    @property
    def digest(self) -> str:
        """SHA-256 of all that a judge reads and of how answers become numbers; title, licence and source apart."""
        return settings_digest(self.model_dump(mode="json", exclude={"title", "licence", "source"}))

    @property
    def label(self) -> str:
        """CriterionName and digest, as they stand in a signature."""
        return f"{self.name}@{self.digest[:12]}"

    @property
    def schema_of_answers(self) -> dict[str, object]:
        """The JSON Schema of an answer."""
        whole = self.whole and self.highest - self.lowest <= 100
        number: dict[str, object] = {"type": "integer" if self.whole else "number"}
        if whole:  # which strict servers understand, and bounds they may not
            number["enum"] = list(range(math.ceil(self.lowest), math.floor(self.highest) + 1))
        properties = {REASONING: {"type": "string"}, **dict.fromkeys(self.criteria, number)}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def question_about(self, shown: ShownItem) -> Question:
        """What a judge is asked about an item, of which it is shown all that the rubric takes."""
        parts = tuple(self._parts(shown))
        return Question(parts=parts, system=self.system, schema=self.schema_of_answers)

    def _parts(self, shown: ShownItem) -> Iterator[str | Picture]:
        text = ""
        for before, name, _, _ in Formatter().parse(self.question):
            text += before
            if name in IMAGE_FIELDS:
                if text.strip():
                    yield text.strip()
                text = ""
                yield shown[name]
            elif name:
                text += self._text(name, shown)
        if text.strip():
            yield text.strip()

    def _text(self, name: str, shown: ShownItem) -> str:
        if name == "criteria":
            return "\n".join(f"{each}: {criterion.question.strip()}" for each, criterion in self.criteria.items())
        if name == "form":
            numbers = ", ".join(f'"{each}": <number>' for each in self.criteria)
            return f'{{"{REASONING}": "<text>", {numbers}}}'
        return str(shown[name])


def load_rubric(name: str) -> Rubric:
    """The rubric of a name, ours or a plug-in's, or in a YAML file of one's own.

    Raises:
        UnknownNameError: There is none of that name.
        OptionError: The file cannot be read, or is no rubric.
    """
    if re.search(r"\.ya?ml$", name):
        return read_rubric(Path(name))
    known = rubric_files()
    if name not in known:
        raise UnknownNameError(
            f"There is no rubric '{name}'. {nearest(name, known)}There are: {', '.join(known)}; one of your own: "
            "--rubric FILE.yaml"
        )
    return read_rubric(known[name])


def rubric_files() -> dict[str, Path]:
    """CriterionName to file of the rubrics that are installed, ours first."""
    ours = {path.stem: path for path in sorted(RUBRICS.glob("*.yaml"))}
    return {entry.name: _plugin_file(entry.target) for entry in plugins(GROUP)} | ours


def _plugin_file(target: str) -> Path:
    """The file that ``package:folder/file.yaml`` names, in the package's folder."""
    from importlib.util import find_spec

    package, _, file = target.partition(":")
    found = find_spec(package)
    return Path((found and found.origin) or package).parent / file


def read_rubric(path: Path) -> Rubric:
    """The rubric in a file.

    Raises:
        OptionError: It cannot be read, or is none.
    """
    try:
        value = parse_yaml(read_regular(path, limit=MAX_YAML_BYTES).decode())
        if not isinstance(value, dict):
            raise ValueError("expected a mapping")
        return Rubric.model_validate({"name": path.stem, **value})
    except ValidationError as failure:
        first = failure.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise OptionError(f"{path} is no rubric: {f'{where}: ' if where else ''}{message}.") from None
    except (OSError, ValueError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else failure
        raise OptionError(f"{path} is no rubric: {why}.") from failure


def load_rubrics(names: Sequence[str]) -> tuple[Rubric, ...]:
    """Several rubrics, each under a name of its own.

    Raises:
        OptionError: Two of them have the same name.
    """
    found = [load_rubric(name) for name in dict.fromkeys(names)]
    for number, rubric in enumerate(found):
        if rubric.name in [other.name for other in found[:number]]:
            raise OptionError(f"Two rubrics are called '{rubric.name}', and so would their metrics be. Rename a file.")
    return tuple(found)
