"""A comparison by votes as tables, sentences and notes: short for a terminal, in full for everything else."""

from collections.abc import Iterator, Sequence
from itertools import permutations

from evalkit.comparison.statements.pairs import detectable, effect_cells, verdict_words, win_tie_loss
from evalkit.comparison.statements.terms import Inference, how_corrected
from evalkit.comparison.tables.text import TIED, mean_cells
from evalkit.comparison.votes.records import ComparedCriterion, VoteComparison
from evalkit.comparison.votes.statements import (
    about_ranks,
    answer,
    basis,
    failed_checks,
    key_sentences,
    notes_of,
    rater_names,
    sentence_of,
)
from evalkit.formatting import DASH, format_declared, format_number, format_p, format_percent, one_line
from evalkit.stats.records import RankedMethod
from evalkit.stats.votes import VotePair
from evalkit.tables.exportable import Shown
from evalkit.tables.table import TextTable, in_columns


def shown_briefly(comparison: VoteComparison) -> Shown:
    """What a terminal shows: abilities, what was found on primary questions, and notes."""
    return Shown(
        summary=answer(comparison, comparison.criteria[0]),
        tables=(abilities_table(comparison), *edit_type_tables(comparison)),
        answer=tuple(key_sentences(comparison)),
        notes=tuple(notes_of(comparison)),
    )


def shown_in_full(comparison: VoteComparison) -> Shown:
    """The same with every pair, its sentence, and every rater."""
    inference = Inference.of(comparison.settings)
    brief = shown_briefly(comparison)
    several = [each for each in comparison.criteria if len(each.result.pairs) > 1]
    sentences = [sentence_of(pair, each, inference) for each in several for pair in each.result.pairs]
    return Shown(
        summary=brief.summary,
        tables=(*brief.tables, *pair_tables(comparison), *raters_table(comparison)),
        answer=(*brief.answer, *sentences),
        notes=(*filter(None, [about_ranks(comparison)]), *brief.notes),
    )


def abilities_table(comparison: VoteComparison) -> TextTable:
    """Methods by questions: the ranks that each method may have, its ability and its interval; and votes won."""
    inference = Inference.of(comparison.settings)
    rankings = [{row.method: row for row in each.result.ranking.methods} for each in comparison.criteria]
    methods = list(dict.fromkeys(name for ranking in rankings for name in ranking))
    columns = [_ability_cells(ranking, methods) for ranking in rankings]
    header = [one_line(each.name) for each in comparison.criteria]
    if len(comparison.criteria) == 1:
        won = comparison.criteria[0].won
        columns += [
            [format_percent(round(won[name][0], 3)) for name in methods],
            [f"{won[name][1]:,}" for name in methods],
        ]
        header += ["won", "votes"]
    marks = f"\n1–4: ranks that the decisions allow; {TIED}: no method is decided better"
    won_words = "; won: share of a method's votes, ties half" if len(comparison.criteria) == 1 else ""
    rests_on = basis(comparison)
    return TextTable(
        title=f"Abilities in log-odds with pointwise {inference.level} intervals\n{rests_on}"
        + (marks + won_words if about_ranks(comparison) else ""),
        header=("method", *header),
        rows=tuple(zip(methods, *columns, strict=True)),
    )


def _ability_cells(ranking: dict[str, RankedMethod], methods: Sequence[str]) -> list[str]:
    return in_columns(mean_cells(ranking[name]) if name in ranking else ("", "", "", DASH) for name in methods)


def edit_type_tables(comparison: VoteComparison) -> Iterator[TextTable]:
    """For each question methods by edit types, where these were asked for."""
    types = comparison.edit_types or {}
    inference = Inference.of(comparison.settings)
    for criterion in comparison.criteria:
        found = {kind: each for kind, of in types.items() for each in of if each.name == criterion.name}
        if not found:
            continue
        methods = [row.method for row in criterion.result.ranking.methods]
        columns = [
            _ability_cells({row.method: row for row in each.result.ranking.methods}, methods) for each in found.values()
        ]
        yield TextTable(
            title=edit_types_title(criterion, inference),
            header=("method", *(f"{one_line(kind)} ({each.n_votes:,} votes)" for kind, each in found.items())),
            rows=tuple(zip(methods, *columns, strict=True)),
        )


def edit_types_title(criterion: ComparedCriterion, inference: Inference) -> str:
    """Above a table of edit types on one question."""
    corrected = how_corrected(inference.exploratory_correction)
    return f"{one_line(criterion.name)} by edit type, exploratory: abilities in log-odds; decisions {corrected}"


def pair_tables(comparison: VoteComparison) -> Iterator[TextTable]:
    """Every pair, question by question."""
    inference = Inference.of(comparison.settings)
    for criterion in comparison.criteria:
        pairs = criterion.result.pairs
        corrected = inference.correction if criterion.primary else inference.exploratory_correction
        many = f", {how_corrected(corrected)}" if len(pairs) > 1 else ""
        yield TextTable(
            title=f"Comparisons on {one_line(criterion.name)} in log-odds: t test over raters and groups, α = "
            f"{format_declared(inference.alpha)}{many}",
            header=("comparison", "difference", "p", "adjusted p", "won/tied/lost", "MDE", "verdict"),
            rows=tuple(_pair_rows(pairs, inference)),
            text_columns=frozenset({0, 6}),
            spare_columns=(5, 4, 2),
        )


def _pair_rows(pairs: Sequence[VotePair], inference: Inference) -> Iterator[tuple[str, ...]]:
    effects = in_columns(effect_cells(pair, ranks=False) for pair in pairs)
    for pair, effect in zip(pairs, effects, strict=True):
        yield (
            f"{pair.b} − {pair.a}",
            effect,
            format_p(pair.p_value, inference.alpha),
            format_p(pair.adjusted_p_value, inference.alpha),
            win_tie_loss(pair),
            format_number(detectable(pair, inference)),
            verdict_words(pair)
            + ("" if pair.more_votes is None else f", {pair.more_votes:,} more votes for the margin"),
        )


def raters_table(comparison: VoteComparison) -> Iterator[TextTable]:
    """Every rater, where any is known."""
    raters = comparison.raters
    if not raters:
        return
    checks = any(rater.n_checks for rater in raters)
    flagged = {rater.name: ["as by chance"] for rater in raters if rater.agreement.is_flagged}
    for pair in comparison.copied.flagged if comparison.copied else ():
        for name, other in permutations(rater_names(comparison, pair)):
            flagged.setdefault(name, []).append(f"as {other}")
    yield TextTable(
        title="Raters: agreement is 1 with all others always, −1 with their opposite; each beside that of the others",
        header=(
            "rater",
            "votes",
            "shared",
            "agreement",
            "others'",
            *(["checks failed"] if checks else []),
            "seconds",
            *(["answers"] if flagged else []),
        ),
        rows=tuple(
            (
                rater.name,
                f"{rater.agreement.n_votes:,}",
                f"{rater.agreement.n_shared:,}",
                format_number(rater.agreement.agreement, 2),
                format_number(rater.agreement.of_others, 2),
                *([failed_checks(rater)] if checks else []),
                format_number(rater.seconds, 1),
                *([", ".join(flagged.get(rater.name, []))] if flagged else []),
            )
            for rater in raters
        ),
        text_columns=frozenset({0, 7 if checks else 6}),
    )
