"""How a sweep ended: a table of its jobs, and in words which of them failed and why."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_lab.confidential import without_secrets
from fer_lab.errors import DataError
from fer_lab.record import RECORD
from fer_lab.report.dashboard.terminal import SHORT
from fer_lab.report.run import Run, load_run
from fer_lab.report.tables import plain_table
from fer_lab.report.wording import is_number, number, printable
from fer_lab.sweeping.folder import Sweep, job_states
from fer_lab.sweeping.objectives import mark_front

_FIGURES = ("accuracy", "worst", "bias")  # of a sweep that is no search
_SAID = {"skip": "finished before", "resume": "continued", "redo": "redone", "keep": "before"}


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
    if not maximized:
        states = [state | {"figures": _headline(Path(state["folder"]))} for state in states]
    say_how_it_ended(sweep.folder, states, front, resumable=sweep.task == "train")
    return 0 if all(state["status"] == "finished" for state in states) else 1


def _as_found(state: dict[str, Any]) -> dict[str, Any]:
    """What is true of a job that says it runs: its process may be gone."""
    if state["status"] != "running":
        return state
    folder = Path(state["folder"])
    known = (folder / RECORD).is_file()
    return state | {"status": Run(folder).status if known else "interrupted"}


def _headline(folder: Path) -> dict[str, float]:
    """What a run reached on the test set, else in validation; empty where that is not known."""
    try:
        found = load_run(folder).record.get("summary") or {}
    except DataError:
        return {}
    both = {
        short: found.get(f"test/{name}", found.get(f"val/{name}")) for short, name in SHORT.items()
    }
    return {short: value for short, value in both.items() if is_number(value)}


def say_how_it_ended(
    sweep: Path,
    states: Sequence[Mapping[str, Any]],
    front: Collection[int] = (),
    *,
    resumable: bool = True,
) -> None:
    """Print the jobs, the first line of what is wrong with each, and how to go on.

    Args:
        sweep: the sweep's folder.
        states: of its jobs, with what they reached as ``objectives`` or ``figures``.
        front: the jobs that no other beats, in a search.
        resumable: whether such a sweep can go on.
    """
    ended = Counter(str(state["status"]) for state in states)
    well = set(ended) <= {"finished"}
    searched = list(dict.fromkeys(name for s in states for name in s.get("objectives") or ()))
    reached = [state.get("figures") or {} for state in states]
    titles = searched or [name for name in _FIGURES if any(name in each for each in reached)]
    lines = [", ".join(f"{many} {status}" for status, many in sorted(ended.items()))]
    lines[0] = f"sweep: {lines[0]}: {sweep}"
    if any(each.get("collapsed", 0) > 0 for each in reached):
        lines.append("† collapsed: two classes or fewer are predicted, so a bias says nothing")
    if searched:
        lines.append(f"* {len(front)} on the Pareto front: {sweep / 'pareto.csv'}")
    if resumable and not well:
        lines.append(f"  go on: fer-lab train --multirun resume='{sweep}'")
    console = Console(stderr=not well)
    console.print(_table(states, titles, front))
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _table(
    states: Sequence[Mapping[str, Any]], titles: Sequence[str], front: Collection[int]
) -> Table:
    keys = {choice.partition("=")[0] for state in states for choice in state["choices"]}
    table = plain_table()
    for title in ("job", "choices", "status"):
        table.add_column(title, overflow="fold")
    for title in titles:
        table.add_column(title, justify="right")
    for state in states:
        said = _SAID.get(str(state.get("todo")))
        status = Text(str(state["status"]) + (f" ({said})" if said else ""))
        reason = state.get("error") or state.get("left_out")
        if reason:
            line = printable(without_secrets(str(reason))).splitlines()[0]
            status.append(f"\n{line[:200]}", style="red")
        own = state.get("objectives") or state.get("figures") or {}
        figures = [number(own[title]) if title in own else "" for title in titles]
        if figures and own.get("collapsed", 0) > 0:
            figures[0] += "†"
        table.add_row(
            Text(f"{state['job']}{'*' * (state['job'] in front)}"),
            Text("\n".join(_short(choice, keys) for choice in state["choices"])),
            status,
            *figures,
        )
    return table


def _short(choice: str, keys: Collection[str]) -> str:
    """A choice without the groups of its key where that is clear, drawn numbers in six digits."""
    key, _, value = choice.partition("=")
    last = key.rsplit(".", 1)[-1]
    if sum(other.rsplit(".", 1)[-1] == last for other in keys) == 1:
        key = last
    with contextlib.suppress(ValueError):
        value = f"{float(value):.6g}" if "." in value else value
    return printable(f"{key}={value}")
