"""What a search tries to reach: figures of the validation faces, and the jobs no other beats."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fer_lab.errors import DataError
from fer_lab.files import atomic_path, write_json
from fer_lab.record import RECORD
from fer_lab.report.run import load_run

TAG = "pareto"


def objective_values(folder: Path, objectives: DictConfig) -> tuple[dict[str, float], str | None]:
    """What a finished run reached, with its best checkpoint on the validation faces.

    A model that predicts two classes or fewer treats all groups alike: it would win the bias score,
    and is left out instead.

    Args:
        folder: the run's folder.
        objectives: lists of figures, ``maximize`` and ``minimize``.

    Returns:
        The figures in the order of the objectives, and why the run is left out, if it is.
    """
    summary = load_run(folder).record.get("summary") or {}
    wanted = [*objectives.maximize, *objectives.minimize]
    values = {str(name): float(summary[name]) for name in wanted if name in summary}
    missing = [str(name) for name in wanted if not math.isfinite(values.get(name, math.nan))]
    if summary.get("val/collapsed", 0) > 0:
        return values, "collapsed: two classes or fewer are predicted"
    if missing:
        return values, f"without {', '.join(missing)}"
    return values, None


def pareto_front(points: Sequence[Sequence[float]], maximized: int) -> list[int]:
    """The places of the points that no other point beats.

    One point beats another that is nowhere better and somewhere worse; equal points stay together.

    Args:
        points: a row per point, a column per objective.
        maximized: how many objectives, from the first on, are better when larger.

    >>> pareto_front([(0.9, 0.3), (0.8, 0.1), (0.8, 0.2)], 1)
    [0, 1]
    """
    costs = [[-v if k < maximized else v for k, v in enumerate(point)] for point in points]

    def beats(one: Sequence[float], other: Sequence[float]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    return [k for k, own in enumerate(costs) if not any(beats(each, own) for each in costs)]


def mark_front(sweep: Path, states: Sequence[Mapping[str, Any]], maximized: int) -> list[int]:
    """Write ``pareto.csv`` and tag the runs of the front, which tables and pages then show.

    Args:
        sweep: the sweep's folder.
        states: of its jobs, with ``objectives`` where they count.
        maximized: as in `pareto_front`.

    Returns:
        The jobs of the front.
    """
    counted = [state for state in states if state.get("objectives") and not state.get("left_out")]
    points = [list(state["objectives"].values()) for state in counted]
    front = [counted[k] for k in pareto_front(points, maximized)]
    choices = [dict(word.split("=", 1) for word in state["choices"]) for state in front]
    columns = list(dict.fromkeys(key for each in choices for key in each))
    figures = list(counted[0]["objectives"]) if counted else []
    with atomic_path(sweep / "pareto.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["job", "folder", *columns, *figures])
        writer.writeheader()
        for state, chosen in zip(front, choices, strict=True):
            place = {"job": state["job"], "folder": state["folder"]}
            writer.writerow({**place, **chosen, **state["objectives"]})
    for state in states:
        _tag(Path(state["folder"]), wanted=state in front)
    return [int(state["job"]) for state in front]


def _tag(folder: Path, *, wanted: bool) -> None:
    try:
        record = dict(load_run(folder).record)
    except DataError:  # nothing there, or damaged: there is nothing to tag
        return
    tags = [tag for tag in record.get("tags") or () if tag != TAG] + [TAG] * wanted
    if tags != record.get("tags"):
        write_json(folder / RECORD, record | {"tags": tags})
