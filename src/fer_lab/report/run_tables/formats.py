"""A table of runs as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from fer_lab.files import atomic_path
from fer_lab.report.run_tables.table import Cell, RunTable
from fer_lab.report.wording import MISSING, number, printable

Format = Literal["markdown", "latex", "csv"]
SUFFIXES: Mapping[Format, str] = {"markdown": ".md", "latex": ".tex", "csv": ".csv"}

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "±": r"$\pm$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "…": r"\dots{}",
}
_ARROWS = {"high": " ↑", "low": " ↓", None: ""}


@dataclass(frozen=True)
class Style:
    """How numbers and headings are written.

    Attributes:
        digits: digits after the point.
        percent: whether shares are shown in percent.
        titles: headings for keys and figures, by name, in place of our own.
        bold: whether the best value of each column is bold.
    """

    digits: int = 3
    percent: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)
    bold: bool = True


def write_table(table: RunTable, stem: Path, style: Style | None = None) -> list[Path]:
    """Write ``stem`` with ``.md``, ``.csv`` and ``.tex``; each file is whole or not there."""
    paths = []
    for kind in FORMATS:
        path = stem.parent / f"{stem.name}{SUFFIXES[kind]}"
        with atomic_path(path) as temporary:
            temporary.write_text(FORMATS[kind](table, style or Style()), encoding="utf-8")
        paths.append(path)
    return paths


def markdown(table: RunTable, style: Style) -> str:
    """A table whose columns line up, with notes below; the best values are bold."""

    def escaped(text: str) -> str:
        return re.sub(r"([\\|*])", r"\\\1", _without_markup(text))

    heads = [": ".join(part for part in head if part) for head in _heads(table, style)]
    titles = [_key_title(key, style) for key in table.keys]
    lines = [list(map(escaped, (*titles, *heads)))]
    for row, label in enumerate(table.labels):
        cells = [_text(cell, column, table, style) for column, cell in enumerate(table.cells[row])]
        shown = [
            f"**{cell}**" if row in _bold(table, column, style) else cell
            for column, cell in enumerate(map(escaped, cells))
        ]
        lines.append([*map(escaped, label), *shown])
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(lines[0]))]
    keys = len(table.keys)

    def row_of(line: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if place < keys else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if place < keys else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    body = [row_of(lines[0]), row_of(rule), *map(row_of, lines[1:])]
    return "\n".join(
        [*body, "", *(f"- {_without_markup(note)}" for note in notes(table, style)), ""]
    )


def _without_markup(text: str) -> str:
    """Text on one line that no reader of Markdown takes for HTML."""
    return " ".join(text.replace("<", "&lt;").splitlines())


def latex(table: RunTable, style: Style) -> str:
    """A ``tabular`` with the rules of booktabs; the notes stand above it as comments."""
    heads = _heads(table, style)
    keys = len(table.keys)
    lines = [f"% {_latex(note)}" for note in notes(table, style)]
    lines += ["% needs \\usepackage{booktabs}"]
    lines += [f"\\begin{{tabular}}{{{'l' * keys}{'r' * len(heads)}}}", r"\toprule"]
    if any(first and second for first, second in heads):
        lines += _two_heads(heads, keys)
    titles = [_key_title(key, style) for key in table.keys]
    titles += [second or first for first, second in heads]
    lines += [_latex_row(list(map(_latex, titles))), r"\midrule"]
    for row, label in enumerate(table.labels):
        cells = [
            rf"\textbf{{{text}}}" if row in _bold(table, column, style) else text
            for column, text in enumerate(
                _latex(_text(cell, column, table, style))
                for column, cell in enumerate(table.cells[row])
            )
        ]
        lines.append(_latex_row([*map(_latex, label), *cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def comma_separated(table: RunTable, style: Style) -> str:  # noqa: ARG001 - one form for all
    """Figures in full, with spread, interval and number of runs in columns of their own."""
    parts = ("", " sd", " low", " high", " runs", " collapsed", " partial")
    names = [" ".join((*column.over, str(column.measure))) for column in table.columns]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.keys, *(name + part for name in names for part in parts)])
    for label, cells in zip(table.labels, table.cells, strict=True):
        writer.writerow([*label, *(value for cell in cells for value in _values(cell))])
    return stream.getvalue()


FORMATS: Mapping[Format, Callable[[RunTable, Style], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}


def notes(table: RunTable, style: Style) -> list[str]:
    """What a reader must know of the cells."""
    cells = [cell for row in table.cells for cell in row if cell is not None]
    found = []
    measures = dict.fromkeys(column.measure for column in table.columns)
    if table.over:
        over = " and ".join(_key_title(key, style) for key in table.over)
        (first, *others) = (_measure_title(table, m.what, style, m.split) for m in measures)
        found.append(f"{'Figures' if others else first} by {over}.")
    if any(cell.count > 1 for cell in cells):
        found.append("±: mean and standard deviation over n runs that differ in seed or fold.")
    if any(cell.low is not None for cell in cells):
        found.append("[ ]: interval of a single run, by resampling its samples.")
    if any(_bold(table, column, style) for column in range(len(table.columns))):
        found.append(
            "Bold: the best of its column, among runs of all faces that have not collapsed."
        )
    if any(cell.collapsed for cell in cells):
        found.append("†: collapsed: two classes or fewer are predicted, so a bias says nothing.")
    if any(cell.partial for cell in cells):
        found.append("‡: of the faces that an asked model answered for, not of all.")
    if table.added:
        found.append(f"Runs of one row would differ in {', '.join(table.added)}: shown apart.")
    if table.left_out:
        counted = ", ".join(f"{count} {reason}" for reason, count in table.left_out.items())
        found.append(f"Runs left out: {counted}.")
    return [printable(note) for note in found]


def _heads(table: RunTable, style: Style) -> list[tuple[str, str]]:
    """Two lines of headings: what a column is spread over, and the figure, where they vary."""
    several = len({column.measure for column in table.columns}) > 1
    heads = []
    for column in table.columns:
        over = ", ".join(map(printable, column.over))
        title = _measure_title(table, column.measure.what, style, column.measure.split)
        heads.append((over, title if several or not over else ""))
    return heads


def _measure_title(table: RunTable, what: str, style: Style, split: str | None = "test") -> str:
    splits = {column.measure.split for column in table.columns} - {None}
    measure = next(
        column.measure
        for column in table.columns
        if column.measure.what == what and (split is None or column.measure.split in (split, None))
    )
    own = style.titles.get(str(measure)) or style.titles.get(measure.what)
    title = own or measure.title(with_split=splits != {"test"})
    unit = " (%)" if style.percent and measure.is_share else ""
    return f"{printable(title)}{unit}{_ARROWS[measure.better]}"


def _key_title(key: str, style: Style) -> str:
    return printable(style.titles.get(key) or key)


def _text(cell: Cell | None, column: int, table: RunTable, style: Style) -> str:
    """A cell in words: ``0.843 ± 0.012 (n = 3)``, ``0.843 [0.820, 0.861]``, ``0.843``."""
    if cell is None:
        return MISSING
    share = style.percent and table.columns[column].measure.is_share

    def shown(value: float | None) -> str:
        if value is None:
            return MISSING
        return number(value * 100 if share else value, max(0, style.digits - 2 * share))

    text = shown(cell.value)
    if cell.sd is not None:
        text += f" ± {shown(cell.sd)} (n = {cell.count})"
    elif cell.low is not None and cell.high is not None:
        text += f" [{shown(cell.low)}, {shown(cell.high)}]"
    return text + "†" * bool(cell.collapsed) + "‡" * bool(cell.partial)


def _values(cell: Cell | None) -> tuple[float | int | str, ...]:
    if cell is None:
        return ("", "", "", "", 0, 0, 0)
    optional = ("" if v is None else v for v in (cell.sd, cell.low, cell.high))
    return (cell.value, *optional, cell.count, cell.collapsed, cell.partial)


def _two_heads(heads: Sequence[tuple[str, str]], keys: int) -> list[str]:
    """The upper line of headings, each over its columns, with a rule below."""
    upper, rules, place = [""] * keys, [], keys
    for over, members in groupby(heads, key=lambda head: head[0]):
        width = len(list(members))
        upper.append(rf"\multicolumn{{{width}}}{{c}}{{{_latex(over)}}}")
        rules.append(rf"\cmidrule(lr){{{place + 1}-{place + width}}}")
        place += width
    return [_latex_row(upper), " ".join(rules)]


def _latex_row(texts: Sequence[str]) -> str:
    # LaTeX reads a bracket or star that opens a line as an option of the line break before it.
    guard = "{}" if texts[0][:1] in ("[", "*") else ""
    return guard + " & ".join(texts) + r" \\"


def _bold(table: RunTable, column: int, style: Style) -> set[int]:
    return table.best(column) if style.bold else set()


def _latex(text: str) -> str:
    r"""Text with the characters that LaTeX reads as commands written out.

    >>> print(_latex("baseline_cnn & 50%"))
    baseline\_cnn \& 50\%
    """
    return "".join(_LATEX.get(character, character) for character in printable(text))
