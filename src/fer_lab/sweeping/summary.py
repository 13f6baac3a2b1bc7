"""How a sweep ended: a table of its jobs, and in words which of them failed and why."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from fer_lab.record import RECORD
from fer_lab.report.run import Run
from fer_lab.report.sections import without_secrets
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import number, printable
from fer_lab.sweeping.folder import Sweep, job_states
from fer_lab.sweeping.objectives import mark_front

_SAID = {"skip": "finished before", "resume": "continued", "redo": "redone"}


def end_sweep(sweep: Sweep) -> int:
    """Say how a sweep ended, however it did, and mark the front of a search.

    Args:
        sweep: what this process was asked for; nothing is said of a single run.

    Returns:
        The exit code: 0 when all its jobs have finished.
    """
    if sweep.folder is None:
        return 0
    states = [_as_found(state) for state in job_states(sweep.folder)]
    if not states:
        return 0
    maximized = [int(state["maximized"]) for state in states if "maximized" in state]
    front = mark_front(sweep.folder, states, maximized[0]) if maximized else []
    say_how_it_ended(sweep.folder, states, front)
    return 0 if all(state["status"] == "finished" for state in states) else 1


def _as_found(state: dict[str, Any]) -> dict[str, Any]:
    """What is true of a job that says it runs: its process may be gone."""
    if state["status"] != "running":
        return state
    folder = Path(state["folder"])
    known = (folder / RECORD).is_file()
    return state | {"status": Run(folder).status if known else "interrupted"}


def say_how_it_ended(
    sweep: Path, states: Sequence[Mapping[str, Any]], front: Collection[int] = ()
) -> None:
    """Print the jobs, the first line of what is wrong with each, and how to go on.

    Args:
        sweep: the sweep's folder.
        states: of its jobs.
        front: the jobs that no other beats, in a search.
    """
    ended = Counter(str(state["status"]) for state in states)
    well = set(ended) <= {"finished"}
    console = Console(stderr=not well)
    figures = list(dict.fromkeys(name for s in states for name in s.get("objectives") or ()))
    table = plain_table()
    for title in ("job", "choices", "status"):
        table.add_column(title, overflow="fold")
    for title in figures:
        table.add_column(title, justify="right")
    for state in states:
        table.add_row(*_cells(state, figures, front))
    console.print(table)
    counted = ", ".join(f"{many} {status}" for status, many in sorted(ended.items()))
    console.print(f"sweep: {counted}: {sweep}", soft_wrap=True, highlight=False)
    if figures:
        front_file = sweep / "pareto.csv"
        console.print(
            f"* {len(front)} on the Pareto front: {front_file}", soft_wrap=True, highlight=False
        )
    if not well:
        console.print(
            f"  go on: fer-lab train --multirun resume='{sweep}'", soft_wrap=True, highlight=False
        )


def _cells(
    state: Mapping[str, Any], figures: Sequence[str], front: Collection[int]
) -> list[str | Text]:
    said = _SAID.get(str(state.get("todo")))
    status = Text(str(state["status"]) + (f" ({said})" if said else ""))
    reason = state.get("error") or state.get("left_out")
    if reason:
        line = printable(without_secrets(str(reason))).splitlines()[0]
        status.append(f"\n{line[:200]}", style="red")
    own = state.get("objectives") or {}
    star = "*" * (state["job"] in front)
    return [
        Text(f"{state['job']}{star}"),
        Text(" ".join(map(_short, state["choices"]))),
        status,
        *(number(own[name]) if name in own else "" for name in figures),
    ]


def _short(choice: str) -> str:
    """A choice with a number that a search has drawn in six digits."""
    key, _, value = choice.partition("=")
    with contextlib.suppress(ValueError):
        value = f"{float(value):.6g}" if "." in value else value
    return printable(f"{key}={value}")
