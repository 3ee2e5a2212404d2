"""What every surface says of a comparison, read back from its text, and what must hold of it whoever says it."""

import csv
import io
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import combinations

from rich.cells import cell_len

from evalkit.cli.compare import show
from evalkit.comparison.statements.rankings import key_sentences
from evalkit.comparison.tables.export import comparison_csv, markdown
from evalkit.comparison.tables.latex import latex
from evalkit.report.page.render import render_page
from evalkit.tables.latex import escape_latex
from tests.support.terminal import parts_of, rows_of, without_spaces, written

WIDE = 100_000
NUMBER = r"[+−]?\d[\d,]*(?:\.\d+)?(?:e−?\d+)?"
INTERVAL = re.compile(rf"\[({NUMBER}), ({NUMBER})\]")
FORBIDDEN = {
    "a number that is none": re.compile(r"\b(?:nan|NaN|inf|Infinity|None)\b"),
    "a zero with a sign": re.compile(r"[−+]0(?:\.0+)?(?![\d.e])|(?<![\de])-0(?:\.0+)?(?![\d.e])"),
    "a traceback or a warning": re.compile(r"Traceback|Warning:"),
    "items that would decide": re.compile(r"would decide|smallest (?:effect|difference) that", re.IGNORECASE),
    "a test that was not made": re.compile(r"simultaneous|resampled by group|statistically tied", re.IGNORECASE),
}


class AuditError(AssertionError):
    """Something that is said is not so."""


@dataclass(kw_only=True)
class Said:
    """What one surface says."""

    where: str
    text: str
    metrics: dict
    """Name to the compared metric."""
    verdicts: dict = field(default_factory=dict)
    """(metric, a, b) to the verdict's words."""
    effects: dict = field(default_factory=dict)
    """(metric, a, b) to effect and ends of its interval, those of b over a; None where there is none."""
    ranks: dict = field(default_factory=dict)
    """(metric, method) to its least and greatest rank, None where it is not ranked."""
    means: dict = field(default_factory=dict)
    """(metric, method) to mean and ends of its interval."""
    sets: dict = field(default_factory=lambda: defaultdict(list))
    """Metric to sets that are not told apart."""
    about_ranks: bool = False
    complete: bool = True
    """Whether all pairs are there."""

    def winner(self, key):
        """The name of the better method, None where none is said to be better."""
        decided = r"(.+) better(?: in ranks)?(?: on [\d,]+ common items, open on the benchmark)?"
        found = re.fullmatch(decided, self.verdicts[key])
        if found is None:
            return None
        self.expect(found[1] in key[1:], f"{found[1]} is better, which is none of {key[1:]}")
        return found[1]

    def expect(self, holds, fault):
        """Raise an AuditError unless something holds."""
        if not holds:
            raise AuditError(f"{self.where}: {fault}")


def number(text):
    """A number as it is written; None for a dash."""
    text = text.strip()
    return None if text in ("–", "") else float(text.replace("−", "-").replace(",", ""))


def interval(text):
    """The ends of an interval as they are written; (None, None) for a dash."""
    found = INTERVAL.search(text)
    return (number(found[1]), number(found[2])) if found else (None, None)


def ranks_of(text):
    """A set of ranks as it is written."""
    found = re.fullmatch(r"(\d+)(?:–(\d+))?", text.strip())
    return (int(found[1]), int(found[2] or found[1])) if found else None


def audit(comparison, *, page=True):
    """Render a comparison everywhere, and hold what is said against the properties; returns what was said."""
    names = [method.name for method in comparison.methods]
    surfaces = [terminal(comparison, names), latex_said(comparison, names), markdown_said(comparison, names)]
    surfaces += [json_said(comparison), csv_said(comparison)]
    if page:
        surfaces.append(page_said(comparison, names))
    for said in surfaces:
        check(said, comparison)
    for said in surfaces[1:]:
        for key in said.verdicts.keys() & surfaces[0].verdicts.keys():
            same = said.winner(key) == surfaces[0].winner(key)
            said.expect(same, f"{key} ends another way than on the terminal")
    check_sentences(comparison)
    return surfaces


def check(said, comparison):
    """Every property of what a surface says."""
    check_words(said)
    check_verdicts(said, comparison)
    check_ranks(said, comparison)
    check_sets(said, comparison)
    check_intervals(said)


def check_words(said):
    """No number that is none, no signed zero, no traceback, no plan for the observed difference."""
    for fault, pattern in FORBIDDEN.items():
        found = pattern.search(said.text)
        said.expect(not found, f"{fault}: {found and said.text[max(0, found.start() - 60) : found.end() + 40]!r}")


def check_verdicts(said, comparison):
    """Better only where the interval of the same estimand says so; equivalent only where a margin was declared."""
    pairs = {(pair.metric, pair.a, pair.b): pair for pair in comparison.pairs}
    for key in said.verdicts:
        metric, winner = said.metrics[key[0]], said.winner(key)
        effect, low, high = said.effects[key]
        upwards = 1 if metric.higher_is_better or said.about_ranks else -1
        if winner is not None:
            side = upwards if winner == key[2] else -upwards
            said.expect(effect is not None and effect * side > 0, f"{key}: {winner} is better by {effect}")
            excluded = low is None or (low * side > 0 and high * side > 0)
            said.expect(excluded, f"{key}: {winner} is better, with an interval from {low} to {high}")
        if re.match(r"equivalent|different, by less", said.verdicts[key]):
            p_value = pairs[key].equivalence_p_value
            said.expect(metric.margin is not None, f"{key}: {said.verdicts[key]} without a margin")
            shown = p_value is not None and p_value <= comparison.settings["alpha"]
            said.expect(shown, f"{key}: {said.verdicts[key]} at p = {p_value}")
            also = pairs[key].practically_equivalent
            said.expect(also == said.verdicts[key].startswith("different"), f"{key}: {said.verdicts[key]}")


def check_ranks(said, comparison):
    """A rank set holds what the decisions of the same surface allow, and nothing else."""
    if not (said.ranks and said.complete):
        return
    for metric in said.metrics:
        ranked = [name for (of, name), ranks in said.ranks.items() if of == metric and ranks]
        allowed = {name: [1, len(ranked)] for name in ranked}
        for key in said.verdicts:
            if key[0] == metric and {key[1], key[2]} <= set(ranked) and (winner := said.winner(key)) is not None:
                loser = key[1] if winner == key[2] else key[2]
                allowed[winner][1] -= 1
                allowed[loser][0] += 1
        for name, (low, high) in allowed.items():
            found = said.ranks[metric, name]
            said.expect(found == (low, high), f"{name} has ranks {found} on {metric}, {low}–{high} are allowed")


def check_sets(said, comparison):
    """No decided pair is in a set, and undecided pairs of ranked methods are in one."""
    for metric, sets in said.sets.items():
        for members in sets:
            for a, b in combinations(sorted(members), 2):
                for key in ((metric, a, b), (metric, b, a)):
                    decided = said.verdicts.get(key) and said.winner(key)
                    said.expect(not decided, f"{key} is decided and in a set that is not told apart")
    if not (said.ranks and said.complete):
        return
    for metric, a, b in said.verdicts:
        if said.winner((metric, a, b)) is None and said.ranks.get((metric, a)) and said.ranks.get((metric, b)):
            together = any({a, b} <= members for members in said.sets.get(metric, []))
            said.expect(together, f"{a} and {b} are not decided on {metric}, and in no set that is not told apart")


def check_intervals(said):
    """No interval leaves the range of its metric, and none has zero width."""
    for (metric, method), (mean, low, high) in said.means.items():
        least, greatest = said.metrics[metric].range
        inside_one = f"the mean of {method} on {metric}: {mean} in {low} to {high}"
        _check_interval(said, low, high, least, greatest, inside_one)
    for key, (effect, low, high) in said.effects.items():
        least, greatest = said.metrics[key[0]].range
        width = None if least is None or greatest is None else greatest - least
        if said.about_ranks:
            width = 1.0
        ends = (None, None) if width is None else (-width, width)
        _check_interval(said, low, high, *ends, f"{key}: {effect} in {low} to {high}")


def _check_interval(said, low, high, least, greatest, what):
    if low is None:
        return
    said.expect(low < high, f"{what} has no width")
    said.expect(least is None or low >= least - 1e-9, f"{what} begins below {least}")
    said.expect(greatest is None or high <= greatest + 1e-9, f"{what} ends above {greatest}")


def check_sentences(comparison):
    """The n of a sentence is the n compared, and it ends as the verdict does."""
    for pair in comparison.pairs:
        said = Said(where="sentence", text=pair.sentence, metrics={})
        said.expect("\n" not in pair.sentence, f"{pair.sentence!r} is more than one line")
        if pair.difference is None:
            continue
        part = f"{pair.n_items:,} of {comparison.settings['n_items']:,} items"
        whole = f"{pair.n_items:,} item"
        all_of_them = pair.n_items == comparison.settings["n_items"]
        found = re.search(r"\(\d+(?:\.\d+)? %, ([^;)]*)", pair.sentence)
        said.expect(found and found[1].startswith(whole if all_of_them else part), f"n in {pair.sentence!r}")
        end = pair.sentence.rpartition(" → ")[2]
        if pair.winner is not None:
            said.expect(end.startswith(f"{pair.winner} is better"), f"{pair.winner} wins: {end!r}")
            open_ = "open on the benchmark" in end
            said.expect(open_ == pair.is_open, f"{'open' if pair.is_open else 'not open'}: {end!r}")
        else:
            said.expect("is better" not in end, f"nobody wins: {end!r}")
        if pair.floor is not None:
            found = re.search(r"a true difference of (?!the margin)", pair.sentence)
            said.expect(not found, f"nothing can be found: {pair.sentence!r}")


def terminal(comparison, names):
    """What a terminal shows with details, so wide that each row and each sentence is a line."""
    said = Said(where="terminal", text=_terminal_text(comparison, WIDE, details=True), metrics=_by_label(comparison))
    said.about_ranks = comparison.settings["test"] == "wilcoxon"
    said.complete = "comparisons are shown" not in said.text
    means, *pairs = parts_of(said.text)
    _read_means(said, [(means, {line[0]: [line] for line in means.lines})])
    for part in pairs:
        for line in part.lines:
            effect, *ends = line[1].split(maxsplit=1)
            _read_pair(said, names, _metric_on(part.title), line[0], effect, ends[0] if ends else "", line[-1])
    for line in said.text.splitlines():
        _read_sets(said, line.strip())
        _read_headline(said, line, comparison)
    _finished(said, comparison)
    _check_narrow(said, comparison, 80, [line[0] for line in means.lines])
    return said


def _terminal_text(comparison, width, *, details):
    with written(width) as (output, text):
        show(comparison, output, details=details)
    return text()


def _check_narrow(said, comparison, width, methods):
    """A usual terminal says of means, ranks and primary metrics what the widest one says, and breaks no sentence."""
    text = _terminal_text(comparison, width, details=False)
    found = Said(where=f"terminal of {width} columns", text=text, metrics=said.metrics)
    parts = parts_of(text)
    found.expect(all(cell_len(line) <= width for line in text.splitlines() if "|" not in line), "a line is too wide")
    _read_means(found, [(part, rows_of(part, methods)) for part in parts])
    found.expect(found.ranks == said.ranks, "other ranks than on a wide terminal")
    found.expect(found.means == said.means, "other means than on a wide terminal")
    check_words(found)
    letters = without_spaces(text)
    for sentence in key_sentences(comparison):
        found.expect(without_spaces(sentence) in letters, f"it does not say {sentence!r}")


def _read_means(said, parts):
    for part, rows in parts:
        for number, label in enumerate(part.head[1:], 1):
            metric = next(name for name in said.metrics if without_spaces(name) == without_spaces(_metric_of(label)))
            for method, lines in rows.items():
                _read_ranked(said, metric, method, " ".join(line[number] for line in lines))


def _read_ranked(said, metric, method, cell):
    """Ranks, the mark of a method that none is decided better than, mean and interval; or a dash."""
    found = re.fullmatch(rf"(–|\d+(?:–\d+)?) +(• +)?({NUMBER}) +(\[.*\]|–)", cell.strip())
    said.expect(found or cell.strip() == "–", f"a mean that cannot be read: {cell!r}")
    said.ranks[metric, method] = ranks = found and ranks_of(found[1])
    said.means[metric, method] = (number(found[3]), *interval(found[4])) if found else (None, None, None)
    marked = bool(found and found[2])
    said.expect(
        marked == bool(ranks and ranks[0] == 1), f"{method} has other marks on {metric} than are allowed: {cell!r}"
    )


def _metric_on(title):
    return re.match(r"Comparisons on (.+?)(?: [↑↓])?: ", title)[1]


def markdown_said(comparison, names):
    """What the Markdown export says."""
    text = markdown(comparison)
    said = Said(where="markdown", text=_plain_markdown(text), metrics=_by_label(comparison))
    said.about_ranks = comparison.settings["test"] == "wilcoxon"
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    rows = [[_plain_markdown(cell.strip()) for cell in row] for row in rows]
    head = next(row for row in rows if row[0] == "method")
    for row in rows:
        if len(row) == 9 and row[0] not in ("metric", "---"):
            _read_pair(said, names, _metric_of(row[0]), row[1], row[2], row[3], row[8])
        elif row[0] in names and len(row) == len(head):
            for label, cell in zip(head[1:], row[1:], strict=True):
                _read_mean(said, _metric_of(label), row[0], cell.replace("*", ""))
    for line in said.text.splitlines():
        _read_sets(said, line.removeprefix("- "))
    return _finished(said, comparison)


def latex_said(comparison, names):
    """What the LaTeX export says; numbers and names in it are escaped."""
    text = latex(comparison)
    plain = _plain_latex(text, names)
    said = Said(where="latex", text=plain, metrics=_by_label(comparison))
    said.about_ranks = comparison.settings["test"] == "wilcoxon"
    lines, metric = plain.splitlines(), ""
    for this, below in zip(lines, [*lines[1:], ""], strict=True):
        heading = re.match(r"\\multicolumn\{7\}\{l\}\{\\emph\{(.+?)\}\} ", this)
        if heading:
            metric = _metric_of(heading[1])
        cells = [cell.strip() for cell in this.removesuffix(r" \\").split(" & ")]
        if len(cells) == 7 and cells[0] and cells[0] != "comparison" and not cells[0].startswith("− "):
            second = [cell.strip() for cell in below.removesuffix(r" \\").split(" & ")]
            second = second if len(second) == 7 else [""] * 7
            label = f"{cells[0]} {second[0]}".strip()
            verdict = ", ".join(filter(None, (cells[6], second[6].strip("{}").replace("\\scriptsize ", ""))))
            _read_pair(said, names, metric, label, cells[1], second[1], verdict)
    for line in lines:
        _read_sets(said, line.removeprefix("% "))
    return _finished(said, comparison)


def page_said(comparison, names):
    """What the page says, its figures apart."""
    page = Tables(render_page(comparison))
    said = Said(where="page", text=" ".join(page.words), metrics=_by_label(comparison))
    said.about_ranks = comparison.settings["test"] == "wilcoxon"
    for pair in page.data["pairs"]:
        label, verdict, effect, ends, *_ = pair["cells"]
        _read_pair(said, names, pair["metric"], label, effect, ends, re.sub(r" \([^()]*\)$", "", verdict))
    matrices = iter(sorted(comparison.metrics, key=lambda metric: not metric.primary))
    for (caption, rows), head in zip(page.tables, page.heads, strict=True):
        if re.fullmatch(r"Means(, part \d+)?", caption):
            for row in rows:
                for label, cell in zip(head[1:], row[1:], strict=True):
                    _read_marked(said, re.sub(r"( [↑↓])?( primary)?$", "", label), row[0], cell)
        elif caption.startswith("Rows against columns"):
            _check_matrix(said, next(matrices).name, [row[0].partition(" ")[2] for row in rows], rows)
    for words in page.words:
        _read_sets(said, words[:1].lower() + words[1:].removesuffix("."))
        _read_headline(said, words, comparison)
    return _finished(said, comparison)


def _read_marked(said, metric, method, cell):
    found = re.fullmatch(rf"([●○] )?({NUMBER}|–)(?: (\d+(?:–\d+)?))?(?: (\[.*\]))?", cell)
    said.expect(found, f"a mean that cannot be read: {cell!r}")
    ranks = said.ranks[metric, method] = ranks_of(found[3] or "")
    said.means[metric, method] = number(found[2]), *interval(found[4] or "")
    may_be_best = bool(ranks) and ranks[0] == 1
    if found[1] != "● ":
        said.expect(
            may_be_best == (found[1] == "○ "), f"{method} is marked {found[1]!r} on {metric}, with ranks {ranks}"
        )


def _check_matrix(said, metric, order, rows):
    """A cell says of the row what the pair says."""
    for name, cells in zip(order, (row[1:] for row in rows), strict=True):
        for other, cell in zip(order, cells, strict=True):
            key = (metric, other, name) if (metric, other, name) in said.verdicts else (metric, name, other)
            if name == other or key not in said.verdicts:
                said.expect(cell == "", f"{name} against {other} on {metric} says {cell!r}")
                continue
            winner = {"▲": name, "▼": other}.get(cell[:1])
            said.expect(winner == said.winner(key), f"{name} against {other} on {metric} says {cell!r}")
            equivalent = re.match(r"equivalent|different, by less", said.verdicts[key])
            said.expect((cell[:1] == "=") == bool(equivalent), f"{name} against {other} on {metric} says {cell!r}")


def json_said(comparison):
    """What ``--json`` prints."""
    found = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    said = Said(where="json", text="", metrics=_by_label(comparison))
    said.about_ranks = comparison.settings["test"] == "wilcoxon"
    for row in found["comparisons"]:
        read_record(said, row, row["rank_biserial"] or {"value": None, "low": None, "high": None})
    for row in found["ranking"]:
        ranks = None if row["rank_low"] is None else (row["rank_low"], row["rank_high"])
        said.ranks[row["metric"], row["method"]] = ranks
        said.means[row["metric"], row["method"]] = row["mean"], row["ci_low"], row["ci_high"]
    for metric, sets in found["not_told_apart"].items():
        said.sets[metric] = [set(members) for members in sets]
    return _finished(said, comparison)


def csv_said(comparison):
    """What the CSV says."""
    text = comparison_csv(comparison)
    said = Said(where="csv", text=text, metrics=_by_label(comparison))
    said.about_ranks = comparison.settings["test"] == "wilcoxon"
    for row in csv.DictReader(io.StringIO(text)):
        numbers = {key: float(row[key]) if row[key] else None for key in ("difference", "ci_low", "ci_high")}
        ends = {end: row[key] for end, key in (("value", "rank_biserial"), ("low", "rank_biserial_low"))}
        ends["high"] = row["rank_biserial_high"]
        ranks = {key: float(value) if value else None for key, value in ends.items()}
        read_record(said, {**row, **numbers}, ranks)
    said.sets = {}
    return said


def read_record(said, row, ranks):
    """Read a comparison of the CSV or of ``--json``."""
    key = row["metric"], row["a"], row["b"]
    small = row["practically_equivalent"] in (True, "True")
    words = {"a_better": f"{row['a']} better", "b_better": f"{row['b']} better"}.get(row["verdict"], row["verdict"])
    said.verdicts[key] = "different, by less than the margin" if small else words
    mean = row["difference"], row["ci_low"], row["ci_high"]
    said.effects[key] = (ranks["value"], ranks["low"], ranks["high"]) if said.about_ranks else mean


def _read_pair(said, names, metric, label, effect, ends, verdict):
    b, a = next((b, a) for b in names for a in names if a != b and label == f"{b} − {a}")
    said.verdicts[metric, a, b] = verdict
    said.effects[metric, a, b] = number(effect), *interval(ends)


def _read_mean(said, metric, method, cell):
    found = re.fullmatch(rf"({NUMBER}|–) ?(\[.*\])? ?\((.*)\)", cell)
    said.expect(found, f"a mean that cannot be read: {cell!r}")
    said.ranks[metric, method] = ranks_of(found[3])
    said.means[metric, method] = number(found[1]), *interval(found[2] or "")


def _read_sets(said, line):
    found = re.match(r"not told apart on (.+?): (.+)$", line)
    if found:
        said.sets[found[1]] += [set(members.split(", ")) for members in found[2].split("; ")]


def _read_headline(said, words, comparison):
    """Best is who has the first rank alone; the counts are those of the verdicts."""
    found = re.match(r"(?:On )?(\S+) [↑↓][:.] (.*)", words)
    if not found:
        return
    metric = found[1]
    first = [name for (of, name), ranks in said.ranks.items() if of == metric and ranks == (1, 1)]
    best = re.match(r"(.+?) is best(?: in ranks)?\. Of", found[2])
    if best:
        said.expect(first == [best[1]], f"{best[1]} is best, and {first} has the first rank alone")
    counts = re.search(r"Of (\d+) comparisons?, (\d+) shows? a difference.*?, (\d+) shows? equivalence", found[2])
    if counts:
        pairs = [pair for pair in comparison.pairs if pair.metric == metric]
        told = len(pairs), sum(p.winner is not None for p in pairs), sum(p.verdict == "equivalent" for p in pairs)
        said.expect(tuple(map(int, counts.groups())) == told, f"{counts[0]!r}, where it is {told}")


def _finished(said, comparison):
    """Read to the end: nothing was missed."""
    wanted = {(pair.metric, pair.a, pair.b) for pair in comparison.pairs}
    if said.complete:
        said.expect(said.verdicts.keys() == wanted, f"read {len(said.verdicts)} of {len(wanted)} comparisons")
    if said.ranks:
        said.expect(len(said.ranks) == len(comparison.ranking), "not every rank was read")
    return said


def _by_label(comparison):
    return {metric.name: metric for metric in comparison.metrics}


def _metric_of(label):
    return label.removesuffix(" ↑").removesuffix(" ↓")


def _plain_markdown(text):
    return re.sub(r"\\(.)", r"\1", text)


def _plain_latex(text, names):
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(escape_latex(name), name)
    for shown, escaped in (("−", "$-$"), ("[", "{[}"), ("]", "{]}"), ("–", "--"), ("↑", r"$\uparrow$"), ("_", r"\_"),
                           ("↓", r"$\downarrow$"), ("<", r"\textless{}"), ("α", r"$\alpha$")):  # fmt: skip
        text = text.replace(escaped, shown)
    return re.sub(r"\{\\scriptsize (.*?)\}(?= [&\\])", r"\1", text)


class Tables(HTMLParser):
    """The tables of a page with their captions and heads, its paragraphs and list entries as text, and its data."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.heads, self.words, self.data = [], [], [], None
        self._cell = self._block = self._caption = self._script = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """A table, a row, a cell or a block of text begins."""
        if tag == "table":
            self.tables.append(["", []])
        elif tag == "caption":
            self._caption = ""
        elif tag == "tr" and self.tables:
            self.tables[-1][1].append([])
        elif tag in ("td", "th") and self.tables:
            self._cell = ""
        elif tag in ("p", "li", "summary"):
            self._block = ""
        elif tag == "script":
            self._script = dict(attrs).get("type", "")

    def handle_endtag(self, tag):
        """A cell or a block of text ends."""
        if tag == "caption":
            self.tables[-1][0], self._caption = " ".join(self._caption.split()), None
        elif tag in ("td", "th") and self._cell is not None:
            self.tables[-1][1][-1].append(" ".join(self._cell.split()))
            self._cell = None
        elif tag == "table":
            head, *self.tables[-1][1] = self.tables[-1][1]
            self.heads.append(head)
        elif tag == "script":
            self._script = None
        elif tag in ("p", "li", "summary") and self._block is not None:
            self.words.append(" ".join(self._block.split()))
            self._block = None

    def handle_data(self, data):
        """Text."""
        if self._script == "application/json":
            self.data = json.loads(data)
        if self._caption is not None:
            self._caption += data
        if self._cell is not None:
            self._cell += data
        elif self._block is not None:
            self._block += data
