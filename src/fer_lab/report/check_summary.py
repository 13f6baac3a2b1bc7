"""What a check of a dataset found, as the tables that the terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_lab.data.census import TOTAL
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import count, name, printable

_FILES_SHOWN = 5
_TITLES = {"train": "training", "val": "validation", "test": "test"}
_KINDS = {"exact": "the same bytes", "near": "the same look"}


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        counts: ``split``, ``attribute``, ``group``, ``label`` and ``count``.
        dropped: ``reason`` and ``count``.
        duplicates: ``kind``, ``group``, ``distance``, ``across_splits``, ``split``, ``label``,
            ``dataset``, ``id`` and ``path``, a line for each image and kind.
        unreadable: ``id``, ``path`` and ``reason``.
        unmatched: ``kind``, ``place`` and ``path`` of annotations that are of no image.
        leakage: ``kind``, ``split``, ``other`` and ``images`` of ``split`` with a double there.
        drawn: how many of the faces are drawn, and so not looked through for duplicates.
        crowded: how many images resemble too many others to be compared with all of these.
    """

    counts: pd.DataFrame
    dropped: pd.DataFrame
    duplicates: pd.DataFrame
    unreadable: pd.DataFrame
    unmatched: pd.DataFrame
    leakage: pd.DataFrame
    drawn: int
    crowded: int


def check_summary(findings: Findings) -> RenderableType:
    """Everything a check found; lists of files are cut, since they stand in the CSV files."""
    counts = findings.counts
    parts: list[RenderableType] = [
        _crossed(counts[counts["attribute"] == TOTAL], "split", "Images")
    ]
    for attribute in counts["attribute"].unique():
        if attribute != TOTAL:
            for split in counts["split"].unique():
                here = counts[(counts["attribute"] == attribute) & (counts["split"] == split)]
                title = f"{_TITLES[split].capitalize()} images by {name(attribute)}"
                parts.append(_crossed(here, "group", title))
    parts.append(_dropped(findings.dropped))
    if len(findings.unreadable):
        parts.append(_listed("Unreadable files", findings.unreadable, "reason"))
    if len(findings.unmatched):
        parts.append(_listed("Annotations of no image", findings.unmatched, "place"))
    parts += _duplicates(findings)
    return Group(*(piece for part in parts for piece in (part, Text())))


def leaks(leakage: pd.DataFrame) -> list[str]:
    """Leakage in words.

    >>> leaks(pd.DataFrame([("near", "test", "train", 2)],
    ...                    columns=["kind", "split", "other", "images"]))
    ['2 test images have the same look as a training image']
    """
    lines = []
    for kind, split, other, images in leakage.astype({"images": "int64"}).to_numpy().tolist():
        some = f"{count(images)} {_TITLES[split]} image{'s have' if images > 1 else ' has'}"
        lines.append(f"{some} {_KINDS[kind]} as a {_TITLES[other]} image")
    return lines


def _crossed(counts: pd.DataFrame, across: str, title: str) -> Table:
    """Labels below each other, ``across`` beside each other, with sums."""
    names = list(counts[across].unique())
    titles = [_TITLES[each] if across == "split" else name(each) for each in names]
    table = plain_table(title)
    table.add_column("", no_wrap=True)
    for each in [*titles, "all"]:
        table.add_column(Text(each), justify="right", overflow="fold", min_width=6)
    grid = counts.pivot_table("count", "label", across, aggfunc="sum", sort=False)
    numbers = grid.loc[list(counts["label"].unique()), names].to_numpy(dtype="int64")
    for label, row in zip(grid.index, numbers, strict=True):
        table.add_row(name(label), *map(count, [*row.tolist(), int(row.sum())]))
    table.add_section()
    table.add_row("all", *map(count, [*numbers.sum(axis=0).tolist(), int(numbers.sum())]))
    return table


def _dropped(dropped: pd.DataFrame) -> RenderableType:
    if dropped.empty:
        return Text("Nothing was set aside.")
    table = plain_table("Set aside", show_header=False)
    table.add_column("", justify="right")
    table.add_column("")
    for reason, number in zip(dropped["reason"], dropped["count"].tolist(), strict=True):
        table.add_row(count(number), Text(f" {printable(reason)}"))
    return table


def _listed(title: str, table: pd.DataFrame, about: str) -> RenderableType:
    """The first paths of a table, behind what is said about each."""
    shown = table.head(_FILES_SHOWN)
    more = len(table) - len(shown)
    lines = [Text(title, style="bold")]
    for path, words in zip(shown["path"], shown[about], strict=True):
        lines.append(Text(f"{printable(words)}: {printable(path)}", overflow="fold"))
    if more:
        lines.append(Text(f"and {count(more)} more"))
    return Group(*lines)


def _duplicates(findings: Findings) -> list[RenderableType]:
    """Duplicates by kind, and what of them crosses splits."""
    parts: list[RenderableType] = []
    files = int(findings.counts.loc[findings.counts["attribute"] == TOTAL, "count"].sum())
    files -= findings.drawn
    if findings.drawn:
        parts.append(
            Text(f"{count(findings.drawn)} faces are drawn: they are not compared with each other.")
        )
    if not files:
        return parts
    if findings.crowded:
        parts.append(
            Text(
                f"{count(findings.crowded)} images resemble too many others to be compared with all"
                " of them: near duplicates among these may be missing."
            )
        )
    found = findings.duplicates
    if found.empty:
        return [*parts, Text(f"No duplicates among {count(files)} images.")]
    table = plain_table("Duplicates")
    headers = ("", "groups", "images", "groups across splits", "groups of different labels")
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left")
    for kind, title in _KINDS.items():
        groups = found[found["kind"] == kind].groupby("group")
        across = int(groups["across_splits"].any().sum())
        labels = int((groups["label"].nunique() > 1).sum())
        images = int(groups.size().sum())
        table.add_row(title, *map(count, (groups.ngroups, images, across, labels)))
    return [*parts, table, _leakage(leaks(findings.leakage))]


def _leakage(lines: Sequence[str]) -> RenderableType:
    if not lines:
        return Text("No image of one split has a double in another.")
    title = Text("Leakage between splits", style="bold")
    return Group(title, *(Text(f"  {line}") for line in lines))
