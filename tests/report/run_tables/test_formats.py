"""Tables of runs as Markdown, LaTeX and CSV, written out by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd

from fer_lab.report.run_tables.formats import Style, comma_separated, latex, markdown, write_table
from fer_lab.report.run_tables.measures import Measure
from fer_lab.report.run_tables.table import Cell, Column, RunTable


def by_hand() -> RunTable:
    good, fair = Cell(0.84321, 3, 0.0123), Cell(0.8, 1, None, 0.75, 0.85)
    low = Cell(0.1, 3, 0.02)
    return RunTable(
        keys=("model",),
        over=(),
        columns=(Column(Measure.of("accuracy")), Column(Measure.of("fairness/bias"))),
        labels=(("baseline_cnn",), ("50% & more|less",)),
        cells=((good, low), (fair, Cell(0.0, 1, None, 0.0, 0.1, 1))),
        left_out={"failed": 2},
    )


def test_markdown_lines_up():
    assert markdown(by_hand(), Style()).splitlines()[:4] == [
        "| model            |                Accuracy ↑ |          Bias score ↓ |",
        "| ---------------- | ------------------------: | --------------------: |",
        "| baseline_cnn     | **0.843 ± 0.012 (n = 3)** | 0.100 ± 0.020 (n = 3) |",
        r"| 50% & more\|less |      0.800 [0.750, 0.850] | 0.000 [0.000, 0.100]† |",
    ]
    assert "- Runs left out: 2 failed." in markdown(by_hand(), Style())


def test_names_are_no_markup_in_markdown_and_break_no_row():
    hostile = "<script>x</script>\n| *bold*"
    table = replace(by_hand(), labels=((hostile,), ("b",)), left_out={hostile: 1})
    lines = markdown(table, Style(titles={"model": hostile})).splitlines()
    shown = r"&lt;script>x&lt;/script> \| \*bold\*"
    assert lines[0].startswith(f"| {shown} |")
    assert lines[2].startswith(f"| {shown} |")
    assert len([line for line in lines if line.startswith("|")]) == 4
    assert "- Runs left out: 1 &lt;script>x&lt;/script> | *bold*." in lines


def test_latex_has_booktabs_escapes_and_the_best_in_bold():
    lines = latex(by_hand(), Style(percent=True)).splitlines()
    start = lines.index(r"\begin{tabular}{lrr}")
    assert lines[start + 1 :] == [
        r"\toprule",
        r"model & Accuracy (\%) $\uparrow$ & Bias score (\%) $\downarrow$ \\",
        r"\midrule",
        r"baseline\_cnn & \textbf{84.3 $\pm$ 1.2 (n = 3)} & 10.0 $\pm$ 2.0 (n = 3) \\",
        r"50\% \& more\textbar{}less & 80.0 [75.0, 85.0] & 0.0 [0.0, 10.0]$^{\dagger}$ \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert all(line.startswith("%") for line in lines[:start])


def test_latex_spreads_several_figures_under_the_value_they_belong_to():
    accuracy_of, bias = Measure.of("accuracy"), Measure.of("fairness/bias")
    columns = tuple(Column(m, (over,)) for over in ("raf_db", "expw") for m in (accuracy_of, bias))
    cells = (tuple(Cell(value, 1) for value in (0.1, 0.2, 0.3, 0.4)),)
    table = RunTable(("seed",), ("dataset",), columns, (("[1]",),), cells)
    lines = latex(table, Style(digits=1, titles={"accuracy": "Acc."})).splitlines()
    assert lines[lines.index(r"\toprule") + 1 : -2] == [
        r" & \multicolumn{2}{c}{raf\_db} & \multicolumn{2}{c}{expw} \\",
        r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}",
        r"seed & Acc. $\uparrow$ & Bias score $\downarrow$ & Acc. $\uparrow$ & "
        r"Bias score $\downarrow$ \\",
        r"\midrule",
        r"{}[1] & 0.1 & 0.2 & 0.3 & 0.4 \\",
    ]


def test_csv_holds_figures_in_full():
    read = pd.read_csv(io.StringIO(comma_separated(by_hand(), Style(digits=1))))
    assert read["test/accuracy"].tolist() == [0.84321, 0.8]
    assert read["test/accuracy sd"].isna().tolist() == [False, True]
    assert read["test/accuracy low"].iloc[1] == 0.75
    assert read["test/fairness/bias runs"].tolist() == [3, 1]
    assert read["test/fairness/bias collapsed"].tolist() == [0, 1]
    assert read["model"].tolist() == ["baseline_cnn", "50% & more|less"]


def test_all_three_files_are_written(tmp_path):
    paths = write_table(by_hand(), tmp_path / "new" / "results.v2")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        ["results.v2.md", "results.v2.csv", "results.v2.tex"]
    )
    assert all(path.read_text() for path in paths)
