"""Many runs as one table: rows by choice, figures in columns, mean and spread over seeds."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.report.run import load_run, runs
from fer_lab.report.run_tables.choices import Choices, differing, named
from fer_lab.report.run_tables.measures import (
    Measure,
    Measured,
    answered_in_part,
    figures,
    measured,
)
from fer_lab.report.wording import INCOMPLETE, MISSING

Roots = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Cell:
    """One figure of the runs that differ in seed or fold alone.

    Attributes:
        value: the figure, or its mean over runs.
        count: number of runs that have it.
        sd: sample standard deviation over runs; None for a single one.
        low: lower end of the interval of a single run; None where there is none.
        high: upper end.
        collapsed: how many of the runs predict two classes or fewer.
        partial: how many measured a part of the faces alone, those that were answered.
    """

    value: float
    count: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    collapsed: int = 0
    partial: int = 0


@dataclass(frozen=True)
class Column:
    """A figure, and in a table that is spread out the value of the key it is spread over."""

    measure: Measure
    over: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunTable:
    """Runs side by side.

    Attributes:
        keys: what tells the rows apart.
        over: what the columns are spread over; empty where they are figures alone.
        columns: one figure each.
        labels: the values of ``keys``, by row.
        cells: by row and column; None where no run has the figure.
        added: those of ``keys`` that were not asked for: runs of one row would have differed.
        left_out: how many runs are not shown, by reason.
    """

    keys: tuple[str, ...]
    over: tuple[str, ...]
    columns: tuple[Column, ...]
    labels: tuple[tuple[str, ...], ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    added: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def best(self, column: int) -> set[int]:
        """The rows with the best value of a column, if there are several rows to choose from.

        A run that collapsed is never the best (a constant answer has no bias), nor is one that
        answered a part of the faces.
        """
        better = self.columns[column].measure.better
        there = {row: cells[column] for row, cells in enumerate(self.cells)}
        values = {
            row: cell.value
            for row, cell in there.items()
            if cell is not None and not cell.collapsed and not cell.partial
        }
        if better is None or len(values) < 2:
            return set()
        wanted = max(values.values()) if better == "high" else min(values.values())
        return {row for row, value in values.items() if value == wanted}


def run_table(
    roots: Roots,
    *,
    rows: str | Sequence[str] = "model",
    columns: str | Sequence[str] = ("accuracy", "fairness/bias"),
    values: str | Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> RunTable:
    """Lay the finished runs below some folders out as a table.

    A *key* is a group (``model``, ``dataset``, ``split`` …), an entry of the record (``name``,
    ``seed``) or any dotted setting (``split.leave_out``). A *figure* is ``accuracy``,
    ``fairness/bias``, ``fairness/gender/equalized_odds``, ``recall/happy``, ``accuracy/race/black``
    or any other that was logged, on the test set unless it says ``val/`` or ``train/``.

    Runs of one row that differ in seed or fold alone become one cell. Should they differ in
    anything else, that is added to the keys of the rows; of the same seed and fold the newest run
    counts.

    Args:
        roots: folders with runs anywhere below.
        rows: one or several keys, whose values name the rows.
        columns: figures; or, with ``values``, one or several keys to spread them over.
        values: figures to show for each value of ``columns``.
        where: only runs with these values, ``{"split": "mixed", "model": ["vgg16", "resnet50"]}``.

    Raises:
        ConfigError: for a key or a figure that no run has.
        DataError: for folders without a finished run.
    """
    entries, left_out = _finished(roots)
    if where:
        kept = [entry for entry in entries if _wanted(entry, where, entries)]
        left_out["not asked for"] += len(entries) - len(kept)
        entries = kept
        if not entries:
            raise DataError(
                "no finished run is as asked for",
                where=" ".join(f"{key}={value}" for key, value in where.items()),
                hint="set where=null, or other values",
            )
    keys = [named(key, entries) for key in _list(rows)]
    over = [named(key, entries) for key in _list(columns)] if values is not None else []
    measures = [
        _known(Measure.of(text), entries) for text in _list(columns if values is None else values)
    ]
    by_cell = _grouped(entries, [*keys, *over])
    added = [key for key in differing(by_cell.values()) if key not in (*keys, *over)]
    keys += added
    by_row = _grouped(entries, keys)
    spread = list(_grouped(entries, over)) if over else [()]
    cells = []
    for row in by_row.values():
        parts = _grouped(row, over)
        newest = [_newest_draws(parts.get(value, []), left_out) for value in spread]
        cells.append(tuple(_cell(part, measure) for part in newest for measure in measures))
    return RunTable(
        keys=tuple(keys),
        over=tuple(over),
        columns=tuple(Column(measure, value) for value in spread for measure in measures),
        labels=tuple(by_row),
        cells=tuple(cells),
        added=tuple(added),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _finished(roots: Roots) -> tuple[list[Choices], Counter[str]]:
    """Finished runs with figures, oldest first, and how many others there are."""
    folders = [roots] if isinstance(roots, str | os.PathLike) else list(roots)
    found = {str(row["path"]): row for root in folders for _, row in runs(root).iterrows()}
    entries: list[Choices] = []
    left_out: Counter[str] = Counter()
    for path, row in sorted(found.items(), key=lambda item: (str(item[1]["started"]), item[0])):
        if row["status"] != "finished":
            left_out[str(row["status"])] += 1
            continue
        try:
            run = load_run(path)
            if run.headline_split is None:
                left_out["without figures"] += 1
                continue
            for split in ("val", "test"):
                figures(run, split)
            entries.append(Choices.of(run))
        except INCOMPLETE:
            left_out["damaged"] += 1
    if not entries:
        counted = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise DataError(
            f"no finished run to show ({counted or 'no runs at all'})",
            where=", ".join(str(folder) for folder in folders),
            hint="runs=FOLDER names a run or a folder with runs below, such as outputs or multirun",
        )
    return entries, left_out


def _wanted(entry: Choices, where: Mapping[str, Any], entries: Sequence[Choices]) -> bool:
    def text(value: Any) -> str:
        return MISSING if value is None else str(value)

    return all(
        entry.value(named(key, entries))
        in ([text(each) for each in value] if isinstance(value, list | tuple) else [text(value)])
        for key, value in where.items()
    )


def _known(measure: Measure, entries: Sequence[Choices]) -> Measure:
    """The measure, if any run has it."""
    there = {what for entry in entries for what in figures(entry.run, measure.split)}
    if measure.what in there:
        return measure
    setting = any(entry.value(measure.what) is not None for entry in entries)
    near = near_miss(measure.what, sorted(there))
    hint = f"did you mean {near!r}?" if near else "accuracy, fairness/bias, recall/happy …"
    if setting:
        hint = (
            f"it tells runs apart: rows={measure.what}, or columns={measure.what} values=accuracy"
        )
    raise ConfigError(f"no run has the figure {measure}", where=f"{len(entries)} runs", hint=hint)


def _grouped(
    entries: Sequence[Choices], keys: Sequence[str]
) -> dict[tuple[str, ...], list[Choices]]:
    groups: dict[tuple[str, ...], list[Choices]] = {}
    for entry in entries:
        label = tuple(entry.value(key) or MISSING for key in keys)
        groups.setdefault(label, []).append(entry)
    return groups


def _newest_draws(entries: Sequence[Choices], left_out: Counter[str]) -> list[Choices]:
    """One run of each seed and fold, the newest; ``left_out`` counts the others."""
    newest = {entry.draw: entry for entry in entries}
    left_out["repeated later"] += len(entries) - len(newest)
    return list(newest.values())


def _cell(entries: Sequence[Choices], measure: Measure) -> Cell | None:
    found: list[Measured] = []
    collapsed = partial = 0
    for entry in entries:
        figure = measured(entry.run, measure)
        if figure is not None:
            found.append(figure)
            collapsed += _collapsed(entry, measure)
            partial += answered_in_part(entry.run)
    if not found:
        return None
    counted = {"collapsed": collapsed, "partial": partial}
    values = [figure.value for figure in found]
    if len(values) == 1:
        return Cell(values[0], 1, None, found[0].low, found[0].high, **counted)
    return Cell(statistics.fmean(values), len(values), statistics.stdev(values), **counted)


def _collapsed(entry: Choices, measure: Measure) -> bool:
    split = measure.split if measure.split in ("val", "test") else "test"
    flag = figures(entry.run, split).get("collapsed")
    return flag is not None and flag.value > 0


def _list(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())
