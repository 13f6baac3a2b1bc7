"""Under which names a run's figures stand in W&B, and which its summary gets from the facts."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping

from fer_lab.report.run import Run

_GROUPS = "/groups/"


def said_inferred(figure: str, inferred: Collection[str]) -> str:
    """A figure's name with what is inferred said in it.

    >>> said_inferred("val/fairness/gender/bias", ["gender"])
    'val/fairness/gender (inferred)/bias'
    """
    parts = figure.split("/")
    return "/".join(f"{part} (inferred)" if part in inferred else part for part in parts)


def summary_figures(run: Run) -> dict[str, float]:
    """What W&B's summary gets of the facts, flat: intervals, nulls, groups, explained regions.

    The values of figures with an interval have been logged by then under shorter names; those of
    groups have not, and are here.

    Raises:
        DataError: when the facts cannot be read.
    """
    flat: dict[str, float] = {}

    def walk(name: str, node: object) -> None:
        if not isinstance(node, Mapping):
            return
        if "low" in node and "value" in node:
            parts = {f"{name}/{part}": number for part, number in node.items() if part != "value"}
            if _GROUPS in name:
                parts[name] = node["value"]
            flat.update({key: part for key, part in parts.items() if isinstance(part, float)})
        else:
            for part, below in node.items():
                walk(f"{name}/{part}", below)

    split = run.headline_split
    if split is not None:
        facts = run.metrics_of(split)
        walk(split, facts)
        inferred = facts.get("inferred") or ()
        flat = {said_inferred(name, inferred): value for name, value in flat.items()}
        for region, figures in _explained_regions(run).items():
            flat |= {f"{split}/{name}/{region}": figures[name] for name in ("ior", "lift")}
    return flat


def group_figure(split: str, attribute: str, group: str) -> str:
    """The name of a group's accuracy in W&B's summary.

    >>> group_figure("test", "gender (inferred)", "female")
    'test/attributes/gender (inferred)/groups/female/accuracy'
    """
    return f"{split}/attributes/{attribute}{_GROUPS}{group}/accuracy"


def logged_names(run: Run) -> set[str]:
    """Every name that a run with W&B has sent something under: figures, pictures, tables.

    Raises:
        DataError: when its facts cannot be read.
    """
    found: set[str] = set()
    history = run.path / "metrics" / "history.csv"
    if history.is_file():
        with history.open(encoding="utf-8", newline="") as file:
            found |= set(next(csv.reader(file), ()))
    found |= set(run.record.get("summary") or ())
    if run.headline_split is not None:
        inferred = run.metrics_of(run.headline_split).get("inferred") or ()
        found = {said_inferred(name, inferred) for name in found} | set(summary_figures(run))
        found |= {"tables/groups", "tables/gaps"}
    found |= {f"figures/{picture.stem}" for picture in (run.path / "figures").glob("*.png")}
    return found


def _explained_regions(run: Run) -> Mapping[str, Mapping[str, float]]:
    if not (run.path / "explanations" / "summary.json").is_file():
        return {}
    regions: Mapping[str, Mapping[str, float]] = run.explanation["regions"]
    return regions
