"""Runs as a list on the terminal: chosen and sorted by any of their columns, legible in 80."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_lab.confidential import without_secrets
from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.report.roots import no_runs
from fer_lab.report.run import runs
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import MISSING, count, duration, moment, number, printable

# Headline figures by a short name: the test set's, else those of validation.
SHORT = {
    "accuracy": "accuracy",
    "bias": "fairness/bias",
    "worst": "worst_group_accuracy",
    "collapsed": "collapsed",
}
_COLOURS = {"finished": "green", "failed": "red", "unreadable": "red"}
_ROOMY = 120


def all_runs(roots: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """The runs below several folders, oldest first, each once.

    Returns:
        The columns of `fer_lab.runs`, and ``accuracy``, ``bias``, ``worst`` and ``collapsed`` of
        the test set, or of validation in runs without a test.

    Raises:
        DataError: if a folder is not there, or there is no run.
    """
    parts = [part for root in roots if len(part := runs(root))]
    if not parts:
        raise no_runs(roots)
    found = pd.concat(parts, ignore_index=True)
    places = found["path"].map(lambda path: str(Path(path).resolve()))
    found = found[~places.duplicated()].sort_values(["started", "path"], ignore_index=True)
    for short, what in SHORT.items():
        both = [
            pd.to_numeric(found[name], errors="coerce")
            for name in (f"test/{what}", f"val/{what}")
            if name in found
        ]
        nothing = pd.Series(float("nan"), index=found.index)
        found[short] = both[0].fillna(both[-1]) if both else nothing
    return found


def chosen(found: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The runs whose columns have the wanted values; a list allows several, None what is not there.

    Raises:
        ConfigError: for a column that there is not.
        DataError: if no run is left.
    """
    kept = found
    for name, value in where.items():
        wanted = {_text(each) for each in (value if isinstance(value, list) else [value])}
        kept = kept[kept[_column(name, found, "where")].map(_text).isin(wanted)]
    if kept.empty:
        raise DataError(
            f"none of {count(len(found))} runs is as asked for",
            where=" ".join(f"{name}={value}" for name, value in where.items()),
            hint="leave where out to see them all",
        )
    return kept


def sorted_runs(found: pd.DataFrame, by: str, *, reverse: bool = False) -> pd.DataFrame:
    """The runs with the largest value of a column last, those without one first.

    Raises:
        ConfigError: for a column that there is not.
    """
    name = _column(by, found, "sort")
    values = found[name]
    if values.dtype == object:
        values = values.map(_text)
    order = values.sort_values(
        ascending=not reverse, na_position="first", kind="stable", ignore_index=False
    ).index
    return found.loc[order]


def run_list(found: pd.DataFrame, *, total: int, width: int) -> RenderableType:
    """A table of runs; model, dataset and split have columns of their own where there is room.

    Args:
        found: the runs, in the order of `sorted_runs`.
        total: how many there are in all.
        width: of the terminal, in characters.
    """
    roomy = width >= _ROOMY
    table = plain_table()
    table.add_column("run", ratio=1, overflow="fold")
    table.add_column("status", no_wrap=True)
    for title in ("model", "dataset", "split") if roomy else ():
        table.add_column(title, overflow="fold")
    for title in ("accuracy", "bias"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("duration", justify="right", no_wrap=True)
    if roomy:
        table.add_column("started", no_wrap=True)
    table.expand = True
    for row in found.to_dict("records"):
        _add(table, {str(key): value for key, value in row.items()}, roomy=roomy)
    words = [
        f"{count(len(found))} of {count(total)} runs"
        if len(found) < total
        else f"{count(total)} run{'s' * (total != 1)}"
    ]
    statuses = found["status"].map(_status).value_counts()
    if len(statuses) > 1:
        words[0] += (
            f" ({', '.join(f'{count(many)} {status}' for status, many in statuses.items())})"
        )
    if (found["collapsed"] > 0).any():
        words.append("† collapsed: two classes or fewer are predicted, so a bias says nothing")
    return Group(table, Text("; ".join(words), style="dim"))


def _add(table: Table, row: Mapping[str, Any], *, roomy: bool) -> None:
    name, status = printable(row["name"]), str(row["status"])
    first = Text(name)
    chosen_options = [_text(row[key]) for key in ("model", "dataset", "split")]
    if not roomy:
        unsaid = [each for each in chosen_options if each not in (MISSING, *name.split("-"))]
        if unsaid:
            first.append(f"\n{', '.join(unsaid)}", style="dim")
    tags = _text(row["tags"]) or MISSING
    labelled = f" · {tags}" * (tags != MISSING)
    first.append(f"\n{printable(row['path'])}{labelled}", style="dim")
    reason = _text(row["error"])
    if reason != MISSING:
        line = without_secrets(reason).splitlines()[0]
        first.append(f"\n{line[:200]}", style="red")
    cells: list[RenderableType] = [
        first,
        Text(_status(status), style=_COLOURS.get(status, "yellow")),
    ]
    if roomy:
        cells += map(Text, chosen_options)
    cells += [number(row["accuracy"]) + "†" * bool(row["collapsed"] > 0), number(row["bias"])]
    cells.append(duration(row["seconds"]) or MISSING)
    if roomy:
        cells.append("" if row["started"] != row["started"] else moment(row["started"])[:16])
    table.add_row(*cells)


def _status(status: str) -> str:
    """A run's status in words."""
    return "damaged" if status == "unreadable" else status


def _column(name: str, found: pd.DataFrame, where: str) -> str:
    """A column by its name; ``started`` and so on, or a figure such as ``test/f1_macro``."""
    columns = list(map(str, found.columns))
    if name in columns:
        return name
    near = near_miss(name, columns)
    raise ConfigError(
        f"no run has {name!r}" + (f"; did you mean {near!r}?" if near else ""),
        where=where,
        hint="a column of fer_lab.runs, or accuracy, bias, worst: name, status, model, seed …",
    )


def _text(value: Any) -> str:
    """A value as people type it: nothing is a dash, and a whole number has no point."""
    if value is None or value != value:
        return MISSING
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return printable(value)
