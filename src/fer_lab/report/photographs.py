"""Predictions of photographs as files, and what the terminal shows of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from fer_lab.files import atomic_path, write_json
from fer_lab.report.wording import name, printable


def write_photographs(
    output: Path, table: pd.DataFrame, aside: pd.DataFrame, facts: Mapping[str, Any]
) -> list[Path]:
    """Leave the table, the facts and the list of what was set aside; their paths."""
    written = [output, output.with_suffix(".json")]
    with atomic_path(output) as temporary:
        table.to_csv(temporary, index=False)
    write_json(written[1], facts)
    unread = output.with_name(f"{output.stem}_set_aside.csv")
    unread.unlink(missing_ok=True)  # of an earlier time
    if len(aside):
        with atomic_path(unread) as temporary:
            aside.to_csv(temporary, index=False)
        written.append(unread)
    return written


def why_set_aside(facts: Mapping[str, Any]) -> str:
    """How many photographs were set aside, by reason."""
    return ", ".join(f"{count:,} {reason}" for reason, count in facts["set_aside"].items())


def say_photographs(
    table: pd.DataFrame, facts: Mapping[str, Any], written: Sequence[Path], top_k: int
) -> None:
    """What the terminal shows: one photograph's likeliest classes, or counts of many."""
    lines, boxed = [], facts["boxes"] is not None
    if len(table) == 1:
        row = table.iloc[0]
        ordered = sorted(facts["classes"], key=lambda each: -row[f"prob_{each}"])
        lines += [printable(row["id"])]
        lines += [f"  {name(each):<14}{row[f'prob_{each}']:7.1%}" for each in ordered[:top_k]]
    elif len(table):
        counts = sorted(facts["predictions"].items(), key=lambda each: -each[1])
        listed = ", ".join(f"{name(each)} {count:,}" for each, count in counts if count)
        lines += [f"{len(table):,} {'boxes' if boxed else 'photographs'}: {listed}"]
    for reason, count in facts["set_aside"].items():
        lines += [f"set aside: {count:,} {reason}"]
    if facts["other_files"]:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in list(facts["other_files"].items())[:5])
        lines += [f"no images by their names: {printable(kinds)}"]
    if facts["boxes_of_other_photographs"]:
        lines += [f"boxes of no photograph here: {facts['boxes_of_other_photographs']:,}"]
    seen = "faces in given boxes" if boxed else "whole photographs, no face detection yet"
    lines += [f"caveat: {seen}; {facts['caveat']['line']}"]
    lines += [f"written: {', '.join(map(str, written))}"]
    Console().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


def say_stopped(why: str, facts: Mapping[str, Any], written: Sequence[Path]) -> None:
    """What the terminal shows when somebody stopped it: what is kept, and how to go on."""
    lines = [f"{why}: {facts['predicted']:,} done, {facts['not_looked_at']:,} left"]
    if written:
        lines += [f"kept: {', '.join(map(str, written))}"]
        lines += [f"go on: the same command with partial='{written[0].absolute()}'"]
    print("", *lines, sep="\n", file=sys.stderr)
