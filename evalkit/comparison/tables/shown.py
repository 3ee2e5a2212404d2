"""What is shown of a comparison: the means, what was found on primary metrics, and what must stand below."""

from evalkit.comparison.records import Comparison
from evalkit.comparison.statements.rankings import answer, key_sentences
from evalkit.comparison.tables.edit_types import edit_type_notes, edit_type_tables, primary_edit_types
from evalkit.comparison.tables.labels import LABELS_SHOWN, labels_tables
from evalkit.comparison.tables.text import means_table, primary_first, shown_notes, signatures_of
from evalkit.tables.exportable import Shown


def shown_comparison(comparison: Comparison) -> Shown:
    """What ``evalkit compare`` prints."""
    comparison = primary_edit_types(comparison)
    return Shown(
        summary=answer(comparison, primary_first(comparison)[0]),
        tables=(means_table(comparison), *labels_tables(comparison, LABELS_SHOWN), *edit_type_tables(comparison)),
        answer=tuple(key_sentences(comparison)),
        notes=(*edit_type_notes(comparison), *shown_notes(comparison), *signatures_of(comparison, "short")),
    )
