"""What a judge said of an entry's edits: a run directory beside the entry's own, and by which signature it is known."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.benchmarks.protocols import Protocol
from evalkit.judges.asking import JudgeOptions
from evalkit.judges.judgement import JudgeRecord, manner_asked
from evalkit.judges.rubric import Rubric
from evalkit.scores.run import MetricSummary, ScoredRun
from evalkit.scores.signatures import signature_fields

_DIGEST = 8
"""Letters of the digest in a name."""
_LONGEST = 40
"""Letters of the model in a name."""
_UNSIGNED = ("metric", "evalkit")
_PARTS = {"enc": "model", "img": "pictures", "tpl": "rubric", "ask": "manner of asking", "repeats": "answers per edit"}
"""What a field of a signature is called in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """One judge with one rubric, asked about every edit of an entry."""

    path: Path
    run: ScoredRun
    """With exactly one judge."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.path.name

    @property
    def judge(self) -> JudgeRecord:
        """Who was asked, what, and how."""
        return next(iter(self.run.record.judges.values()))

    @property
    def metrics(self) -> dict[str, MetricSummary]:
        """The means of all numbers that an answer gives."""
        return self.run.record.metrics

    @property
    def identity(self) -> str:
        """The judge's signature: equal for numbers that may stand in one column, and for no others."""
        return judge_identity(self.judge, next(iter(self.metrics.values())).signature)


def judge_identity(judge: JudgeRecord, line: str) -> str:
    """All that a judge's numbers follow from, in one line: model, pictures, rubric, how it was asked, and how often.

    Args:
        judge: Its record.
        line: The signature of one of its metrics.
    """
    fields = {key: value for key, value in signature_fields(line).items() if key not in _UNSIGNED}
    return "|".join(f"{key}:{value}" for key, value in {**fields, "repeats": judge.repeats}.items())


def judged_name(judge: JudgeRecord, identity: str) -> str:
    """What the folder is called of what a judge said: its model, and the beginning of its signature's digest."""
    model = re.sub(r"[^a-z0-9_.]+", "-", (judge.models or [judge.judge])[0].lower()).strip("-.")[:_LONGEST]
    return f"{model or 'judge'}-{hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST]}"


def named_judge(protocol: Protocol) -> tuple[str, str] | None:
    """The metric by which a protocol's judge ranks, and that judge's signature; None where it names none."""
    if protocol.judge is None:
        return None
    metric, _, identity = protocol.judge.partition("|")
    return metric, identity


def not_the_named(protocol: Protocol, identity: str) -> str | None:
    """Why a protocol that names a judge does not take the numbers of another, in a sentence; None where it does."""
    named = named_judge(protocol)
    if named is None or named[1] == identity:
        return None
    expected, got = _fields(named[1]), _fields(identity)
    differs = next(key for key in {**expected, **got} if expected.get(key) != got.get(key))
    return _refusal(protocol, expected, differs, got.get(differs, "nothing"))


def will_not_be_the_named(protocol: Protocol, rubric: Rubric, options: JudgeOptions) -> str | None:
    """The same before the judge is asked, by all that is known then: not its model, nor the form of its answers."""
    named = named_judge(protocol)
    if named is None:
        return None
    expected, settings = _fields(named[1]), options.settings
    asked = manner_asked(settings.temperature, settings.max_tokens)
    known = {"tpl": rubric.label, "img": settings.image_label, "repeats": str(options.repeats)}
    if not f"{expected.get('ask', '')}+".startswith(f"{asked}+"):
        known["ask"] = asked
    differs = next((key for key, value in known.items() if expected.get(key) != value), None)
    return None if differs is None else _refusal(protocol, expected, differs, known[differs])


def _fields(identity: str) -> dict[str, str]:
    return signature_fields(f"|{identity}")


def _refusal(protocol: Protocol, expected: Mapping[str, str], differs: str, got: str) -> str:
    """That another judge's numbers are not taken, and how the named one is asked."""
    heat, _, tokens = expected.get("ask", "").partition("+")
    size, _, kind = expected.get("img", "").partition("-")
    temperature = "none" if heat == "town" else heat.removeprefix("t")
    settings = {
        "temperature": temperature, "max_tokens": tokens.partition("+")[0].removeprefix("max"), "image_size": size,
        "image_format": kind.rstrip("0123456789"),
    }  # fmt: skip
    typed = " ".join(f"--judge-set {name}={value}" for name, value in settings.items())
    rubric, model = expected.get("tpl", "").partition("@")[0], expected.get("enc", "").removeprefix("judge/")
    return (
        f"{protocol.name} ranks by one judge, and takes no other's numbers: expected the "
        f"{_PARTS.get(differs, differs)} {expected.get(differs)}, got {got}. Ask {model}: evalkit submit FOLDER --card "
        f"METHOD.yaml --judge SPEC --rubric {rubric} --repeats {expected.get('repeats')} {typed}"
    )
