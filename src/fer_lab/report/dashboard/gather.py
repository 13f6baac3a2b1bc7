"""Every run below some folders with what its files say; a damaged one costs no other."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fer_lab.confidential import without_secrets
from fer_lab.data.progress import track
from fer_lab.report.dashboard import figures
from fer_lab.report.run import Facts, Run, runs
from fer_lab.report.run_tables.choices import Choices
from fer_lab.report.wording import (
    INCOMPLETE,
    MISSING,
    is_number,
    name,
    number,
    printable,
    why,
    without_metrics,
)

# Points of all learning curves together, so that the page stays small however many runs there are.
_POINTS, _FEWEST, _MOST = 150_000, 20, 200
# What damaged files raise, and files that may not be read.
DAMAGED = (*INCOMPLETE, ArithmeticError, OSError, csv.Error)
_MEASURED = ("train", "evaluate", "explain", "ask")
_LONGEST = 600


@dataclass
class Entry:
    """One run as the page shows it.

    Attributes:
        run: the run.
        shown: what is embedded, see `gather`.
        document: the metrics that stand for the run; None where there are none.
        choices: what the model was composed of, that of its training where it was trained
            elsewhere; None where that is not known.
    """

    run: Run
    shown: dict[str, Any]
    document: Facts | None = None
    choices: Choices | None = None
    schema: dict[str, Any] = field(default_factory=dict)


def gather(roots: Sequence[str | os.PathLike[str]]) -> list[Entry]:
    """All runs below some folders, oldest first.

    Args:
        roots: folders with runs anywhere below.

    Returns:
        Entries whose ``shown`` has ``name``, ``status``, ``task``, ``error``, ``note`` (why
        something is not there), the choices, the times, and where there are such ``figures``,
        ``groups``, ``recalls``, ``regions`` and ``curves``.

    Raises:
        DataError: if a root is not a folder.
    """
    rows: dict[Path, Mapping[str, Any]] = {}
    for root in roots:
        for row in runs(root).to_dict("records"):
            rows.setdefault(Path(row["path"]).resolve(), {str(key): row[key] for key in row})
    points = min(_MOST, max(_FEWEST, _POINTS // (len(figures.CURVES) * max(1, len(rows)))))
    ordered = sorted(rows.values(), key=lambda row: (str(row["started"]), str(row["path"])))
    known = {path: str(row["path"]) for path, row in rows.items()}
    return [
        _entry(row, known, points)
        for row in track(ordered, total=len(ordered), description="reading runs")
    ]


def _entry(row: Mapping[str, Any], known: Mapping[Path, str], points: int) -> Entry:
    run = Run(row["path"])
    shown: dict[str, Any] = {
        "name": printable(row["name"]),
        "status": str(row["status"]),
        "task": _text(row["task"]),
        "error": _brief(row["error"]),
    }
    entry = Entry(run, shown)
    if shown["status"] == "unreadable":
        return entry
    notes: list[str] = []

    def attempt(part: str, read: Callable[[], Any]) -> Any:
        """What ``read`` gives; None and a note where the facts are incomplete."""
        try:
            return read()
        except DAMAGED as error:
            notes.append(lacking(part, error))
            return None

    shown |= attempt("choices", lambda: _identity(run, row)) or {}
    entry.choices = attempt("settings", lambda: _choices(run, known))
    if entry.choices is not None:
        shown |= _of_training(entry)
    if shown["task"] in _MEASURED:
        _measure(entry, attempt, notes)
    elif shown["task"] == "audit":
        notes.append(attempt("figures", lambda: _audited(run)) or "")
    shown["curves"] = attempt("curves", lambda: figures.curves(run, points))
    shown["note"] = "; ".join(note for note in notes if note)
    entry.shown = {key: value for key, value in shown.items() if value not in (None, "", {}, [])}
    return entry


def lacking(part: str, error: BaseException) -> str:
    """Why a part of a run is not shown."""
    return f"no {part}: {printable(without_secrets(why(error)))}"


def _measure(
    entry: Entry, attempt: Callable[[str, Callable[[], Any]], Any], notes: list[str]
) -> None:
    run, shown = entry.run, entry.shown
    split = run.headline_split
    if split is None:
        if not shown["error"]:  # which says why already
            notes.append(without_metrics(shown["status"]))
    else:
        shown["split_shown"] = split

        def measured() -> tuple[Facts, dict[str, Any]]:
            document = run.metrics_of(split)
            entry.schema = figures.schema(document)
            return document, {
                "figures": figures.headline(document),
                "groups": figures.groups(document),
                "recalls": figures.class_recalls(document),
            }

        found = attempt("figures", measured)
        if found is not None:
            entry.document = found[0]
            shown |= found[1]
    if (run.path / "explanations" / "summary.json").is_file():
        shown["regions"] = attempt("regions", lambda: figures.regions(run.explanation))


def _identity(run: Run, row: Mapping[str, Any]) -> dict[str, Any]:
    record = run.record
    trained = record.get("trained_run") or {}
    started = row["started"]
    return {
        **{key: _text(row[key]) for key in ("dataset", "split", "test_split", "model")},
        "mitigation": _text(row["mitigation"]),
        "target": _text(record.get("target")),
        "seed": seed if isinstance(seed := record.get("seed"), int) else _text(seed),
        "tags": list(map(printable, record.get("tags") or ())),
        "of": _text(trained.get("name")) if isinstance(trained, dict) else "",
        "started": "" if started is None or started != started else started.isoformat(),
        "seconds": figures.rounded(row["seconds"], 1),
    }


def _choices(run: Run, known: Mapping[Path, str]) -> Choices:
    """What a run's model was composed of: for a model trained elsewhere, its training's choices."""
    trained = run.record.get("trained_run")
    if isinstance(trained, Mapping) and trained.get("path"):
        place = Path(str(trained["path"]))
        training = Run(known.get(place.resolve(), place))
        if (training.path / "run.json").is_file():
            own = Choices.of(training)
            task = {"task": str(run.record.get("task"))}
            return replace(own, groups={**own.groups, **task})
    return Choices.of(run)


def _of_training(entry: Entry) -> dict[str, Any]:
    """Model, split and fold as the model was trained with."""
    choices, task = entry.choices, entry.shown["task"]
    assert choices is not None
    trained_here = choices.run is entry.run
    learnt: dict[str, Any] = {
        key: printable(choices.groups[key])
        for key in ("model", "split", "mitigation")
        if choices.groups.get(key) and not trained_here
    }
    if trained_here and task != "train":
        learnt = {"split": ""}  # it drew the test set: whom the model learnt from is not known
    folds = choices.settings.get("split.folds", MISSING)
    if folds != MISSING:
        learnt["fold"] = choices.settings.get("split.fold")
    return learnt


def _audited(run: Run) -> str:
    """What an audit found; it measures datasets, so that it stands in no comparison of models."""
    found = [
        f"{name(key.removeprefix('bias/'))} {number(value)}"
        for key, value in (run.record.get("summary") or {}).items()
        if is_number(value)
    ]
    return f"bias of datasets: {', '.join(found)}" if found else ""


def _brief(error: object) -> str:
    """The first lines of an error, with nothing secret in it."""
    text = printable(without_secrets(_text(error)))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(value: object) -> str:
    """A fact as text; nothing where it is unknown."""
    missing = value is None or value != value
    return "" if missing else printable(value)
