"""Tables in LaTeX that fit a column of text and a page."""

from collections.abc import Iterable, Mapping, Sequence

from evalkit.formatting import one_line
from evalkit.tables.table import TextTable

_SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "α": r"$\alpha$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "→": r"$\rightarrow$", "≤": r"$\leq$", "–": "--", "…": r"\ldots{}", "’": "'",
}  # fmt: skip
"""Brackets too: one that opens a row would be read as the argument of the line break before it."""
_LINES = 40
"""Lines of a table that fit a page, below its caption."""
_PLAIN_ENGINE = 0x17F
"""Letters beyond Latin ones are not known to pdfTeX."""

_TABLE = r"""\begin{table}
\centering
%(again)s\caption{%(caption)s}
\medskip
\footnotesize
\setlength{\tabcolsep}{4pt}
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%%
\begin{tabular}{%(columns)s}
\toprule
%(lines)s
\bottomrule
\end{tabular}}
\end{table}"""
"""Not a longtable: that can neither be scaled nor stand in a column of a page with two."""
LatexBlock = tuple[list[str], list[list[str]]]
"""A head that is repeated where its rows go on in another table, and rows of lines that stay together."""


def latex_document(tables: Iterable[str], notes: Iterable[str]) -> str:
    """``table`` environments and what has to stand below them, for a document that loads ``booktabs`` and ``graphicx``.

    Args:
        tables: Of `latex_tables`.
        notes: Plain text, which become comments.
    """
    body = "\n".join(f"{table}\n" for table in tables)
    beyond = "".join(sorted({letter for letter in body if ord(letter) > _PLAIN_ENGINE}))
    needs = [r"% Needs \usepackage{booktabs,graphicx}."]
    if beyond:
        needs.append(f"% Needs xelatex or lualatex, and a font that has {beyond}")
    return "\n".join([*needs, body, *(f"% {one_line(note)}" for note in notes), ""])


def latex_table(table: TextTable) -> list[str]:
    """A table as it is, in as many environments as it takes for each to fit a page."""
    columns = "".join("l" if number in table.text_columns else "r" for number in range(len(table.header)))
    head, *rows = ([latex_row([escape_latex(cell) for cell in row])] for row in (table.header, *table.rows))
    return latex_tables(table.title.replace("\n", "; "), columns, head, [([], rows)])


def latex_tables(caption: str, columns: str, top: list[str], blocks: Sequence[LatexBlock]) -> list[str]:
    """As many tables of one number as it takes for each to fit a page."""
    return [
        _TABLE
        % {
            "again": "\\addtocounter{table}{-1}\n" if number else "",
            "caption": "(continued)" if number else escape_latex(caption),
            "columns": columns,
            "lines": "\n".join([*top, *page[0 if top else 1 :]]),
        }
        for number, page in enumerate(_pages(blocks))
    ]


def latex_lines(cells: Sequence[tuple[str, str]]) -> list[str]:
    """A row, and a second one with what stands below its cells, where anything does."""
    below = [second for _, second in cells]
    return [latex_row([first for first, _ in cells]), *([latex_row(below)] if any(below) else [])]


def latex_row(cells: Sequence[str]) -> str:
    """A row of cells that are LaTeX already."""
    return rf"{' & '.join(cells)} \\"


def latex_small(text: str) -> str:
    """A text in small type, or nothing."""
    return rf"{{\scriptsize {escape_latex(text)}}}" if text else ""


def escape_latex(text: str) -> str:
    """The text on one line, and nothing but text to LaTeX."""
    return "".join(_SPECIAL.get(character, character) for character in one_line(text)).replace(r" \%", r"\,\%")


def _pages(blocks: Sequence[LatexBlock]) -> list[list[str]]:
    """The blocks' lines, a rule before each head, in pages."""
    pages: list[list[str]] = [[]]
    room = _LINES
    for head, rows in blocks:
        headless = True
        for row in rows:
            if len(row) + headless > room:
                pages.append([])
                room, headless = _LINES, True
            pages[-1] += [r"\midrule", *head] if headless else [r"\addlinespace[2pt]"]
            pages[-1] += row
            room -= len(row) + headless
            headless = False
    return pages
