"""What one run's files say of it, as the small plain values that the page embeds."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fer_lab.data.vocabulary import REGIONS
from fer_lab.report.run import Facts, Run
from fer_lab.report.tables import chance
from fer_lab.report.wording import inferred_label, is_number, method_title, printable, worst_group

DIGITS = 4

# Curves that are drawn, as far as a run has them.
CURVES = (
    *("val/accuracy", "val/mean_class_accuracy", "val/worst_group_accuracy", "val/fairness/bias"),
    *("val/loss", "train/accuracy", "train/loss"),
)
REGION_FIGURES = ("lift", "ior", "share")


def rounded(value: Any, digits: int = DIGITS) -> float | None:
    """A figure as it is embedded; None where it is undefined.

    >>> rounded(0.123456), rounded(float("nan")), rounded(None)
    (0.1235, None, None)
    """
    return round(float(value), digits) if is_number(value) else None


def headline(document: Facts) -> dict[str, Any]:
    """The figures of all faces, from ``metrics/<split>.json``.

    Returns:
        ``accuracy``, ``mean_class_accuracy``, ``f1_macro`` and ``bias`` as ``[value, low, high]``,
        ``biases`` by attribute, ``null`` and ``p`` of the bias, and what is needed to judge them.
    """
    bias = document["bias"]
    worst = document["worst_group"] or {}
    return {
        **{
            what: _with_interval(document[what])
            for what in ("accuracy", "mean_class_accuracy", "f1_macro", "bias")
        },
        "biases": {
            attribute: _with_interval(part["bias"])
            for attribute, part in document["attributes"].items()
        },
        "null": rounded(bias.get("null_mean")),
        "p": rounded(bias.get("p")),
        "worst": rounded(worst.get("accuracy")),
        "worst_group": worst_group(worst),
        "chance": rounded(chance(document["confusion"])),
        "samples": int(document["samples"]),
        "collapsed": bool(document["collapsed"]),
    }


def groups(document: Facts) -> dict[str, list[list[Any]]]:
    """By attribute a row a group: faces, accuracy, mean class accuracy, then recall by class.

    Rows are in the order of `schema`; a recall is None where a class has no face.
    """
    return {
        attribute: [_group(group) for group in part["groups"].values()]
        for attribute, part in document["attributes"].items()
    }


def class_recalls(document: Facts) -> list[float | None]:
    """Recall by class over all faces."""
    return [rounded(recall) for recall in _recalls(document["confusion"])]


def schema(document: Facts) -> dict[str, Any]:
    """What the rows of `groups` stand for: classes, and groups by attribute with their source."""
    return {
        "classes": list(map(str, document["classes"])),
        "min_count": rounded(document.get("min_count")),
        "attributes": {
            attribute: {
                "groups": list(map(str, part["groups"])),
                "inferred": inferred_label(part),
            }
            for attribute, part in document["attributes"].items()
        },
    }


def regions(explanation: Facts) -> dict[str, Any]:
    """Means by region in the vocabulary's order, and how the maps were made.

    Returns:
        ``lift``, ``ior``, ``share`` with None where no face shows the region; ``random`` the lift
        of a network with random weights, where it was measured; ``made`` in words.
    """
    found = explanation["regions"]
    beside = (explanation.get("random_model") or {}).get("regions") or {}
    grid = "×".join(map(str, explanation.get("grid") or ()))
    words = [method_title(str(explanation["method"])), str(explanation.get("layer") or "")]
    return {
        **{
            what: [rounded((found.get(region) or {}).get(what), 3) for region in REGIONS]
            for what in REGION_FIGURES
        },
        "random": [rounded((beside.get(region) or {}).get("lift"), 3) for region in REGIONS],
        "made": printable(" · ".join(word for word in (*words, grid and f"grid {grid}") if word)),
    }


def curves(run: Run, points: int) -> dict[str, Any] | None:
    """The learning curves of a run, thinned where it has more epochs than ``points``.

    Args:
        run: the run.
        points: epochs that are kept at most; the first and the last always are.

    Returns:
        ``epochs`` (counted from 1), ``curves`` by name, ``of`` epochs in all; None without any.
    """
    path = run.path / "metrics" / "history.csv"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    if not rows:
        return None
    kept = [rows[position] for position in thinned(len(rows), points)]
    places = {name: header.index(name) for name in CURVES if name in header}
    found = {name: [rounded(_number(row[place])) for row in kept] for name, place in places.items()}
    epoch = header.index("epoch")
    return {
        "epochs": [int(float(row[epoch])) + 1 for row in kept],
        "of": len(rows),
        "curves": {name: values for name, values in found.items() if any(map(is_number, values))},
    }


def thinned(length: int, points: int) -> list[int]:
    """Positions spread evenly over ``length``, the first and the last among them.

    >>> thinned(5, 10), thinned(101, 5)
    ([0, 1, 2, 3, 4], [0, 25, 50, 75, 100])
    """
    if length <= points:
        return list(range(length))
    step = (length - 1) / (points - 1)
    return [round(position * step) for position in range(points)]


def _group(facts: Mapping[str, Any]) -> list[Any]:
    recalls = _recalls(facts["confusion"])
    accuracy = rounded(facts["accuracy"]["value"])
    return [int(facts["count"]), accuracy, rounded(_mean(recalls)), *map(rounded, recalls)]


def _with_interval(facts: Mapping[str, Any]) -> list[float | None]:
    return [rounded(facts.get(end)) for end in ("value", "low", "high")]


def _recalls(confusion: Sequence[Sequence[int]]) -> list[float | None]:
    return [row[place] / sum(row) if sum(row) else None for place, row in enumerate(confusion)]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def _number(text: str) -> float:
    """A cell of a table; NaN where nothing stands in it."""
    return float(text) if text else math.nan
