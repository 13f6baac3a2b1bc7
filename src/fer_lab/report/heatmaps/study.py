"""What a comparison of merged heatmaps found: one document, and the arrays behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.progress import track
from fer_lab.explain.heatmap_comparison import (
    Comparison,
    Contrast,
    compared,
    contrast,
    pairs_apart,
    pooled,
    side_by_side,
)
from fer_lab.explain.merged import Floats, Merged
from fer_lab.report.heatmaps.cells import Cell
from fer_lab.report.heatmaps.trainings import Training, code_of, described

Document = dict[str, Any]
Contrasts = Mapping[str, Mapping[str, Contrast]]

# Parts of a heatmap's name.
TRAINING, TEST, EXPRESSION = range(3)
STRONG = 0.95


@dataclass(frozen=True)
class Study:
    """Heatmaps side by side.

    Attributes:
        facts: the document, without undefined numbers (None instead).
        names: of the heatmaps, ``MI-FE/happy``: training set, test set, expression.
        cells: the same in parts, the training set by its run's name.
        codes: of the training set of each run, by the run's name.
        heatmaps: the means, ``[K, H, W]``.
        comparison: distances, floors and tree.
        contrasts: by expression and by title (``FE-FE − MA-MA``), where both test sets and the
            models trained on them are there; empty otherwise.
    """

    facts: Document
    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    codes: Mapping[str, str]
    heatmaps: Floats
    comparison: Comparison
    contrasts: Contrasts

    def pair_title(self, run: str, group: str) -> str:
        """Training and test set of a row of heatmaps, ``MI-FE s2``."""
        return pair_title(self.codes[run], run, group)


def pair_title(code: str, run: str, group: str) -> str:
    """Training and test set, ``MI-FE s2``.

    Args:
        code: of the training set.
        run: the run's name, which begins with the code.
        group: the test set.
    """
    return f"{code}-{code_of(group)}{run.removeprefix(code)}"


def study_of(
    trainings: Sequence[Training], cells: Sequence[Cell], *, resamples: int, seed: int
) -> Study:
    """Compare the heatmaps of runs.

    Args:
        trainings: the runs.
        cells: groups and expressions that all of them have.
        resamples: draws of the image blocks.
        seed: of the draws.
    """
    parts = {each.name: each.merged for each in trainings}
    merged, images = side_by_side(parts, cells)
    codes = {each.name: each.code for each in trainings}
    names = tuple(
        f"{pair_title(codes[run], run, group)}/{label}" for run, group, label in merged.cells
    )
    comparison = compared(merged, resamples, seed)
    pairs = training_pairs(merged.cells, codes, comparison)
    contrasts = _contrasts(merged, codes, resamples, seed)
    facts = {
        "groups": list(dict.fromkeys(group for group, _ in cells)),
        "expressions": list(dict.fromkeys(label for _, label in cells)),
        "resamples": resamples,
        "draws_used": len(comparison.resampled),
        "seed": seed,
        "blocks": merged.total.shape[1],
        "size": [merged.total.shape[3], merged.total.shape[2]],
        "trainings": [described(each) for each in trainings],
        "heatmaps": [
            {
                "name": name,
                **dict(zip(("training", "test", "expression"), cell, strict=True)),
                "images": int(number),
                "noise_floor": _number(floor),
            }
            for name, cell, number, floor in zip(
                names, merged.cells, images, comparison.floors, strict=True
            )
        ],
        "training_distances": _records(pairs),
        "training_pairs": _records(overall(pairs)),
        "most_different": _most_different(merged.cells, codes, comparison),
        "aspects": _aspects(merged.cells, codes, comparison),
        "branches": _branches(comparison),
        "differences": [
            {"expression": label, "difference": title, "share_above": _number(each.share_above)}
            for label, named in contrasts.items()
            for title, each in named.items()
        ],
    }
    return Study(facts, names, merged.cells, codes, merged.heatmaps(), comparison, contrasts)


def training_pairs(
    cells: Sequence[Cell], codes: Mapping[str, str], comparison: Comparison
) -> pd.DataFrame:
    """Distances between training sets on the same test set and expression.

    Several runs of one training set count by their mean, and the distances among themselves
    become a further floor.

    Returns:
        A row for each pair of training sets and cell: ``first``, ``second``, ``test``,
        ``expression``, ``distance``, ``floor`` (the higher noise floor of both heatmaps),
        ``seed_distance`` (among runs of one training set, NaN where there is one of each) and
        ``above``, whether the distance is above both.
    """
    rows = []
    for one, other in pairs_apart(cells, TRAINING):
        rows.append(
            {
                "first": codes[cells[one][TRAINING]],
                "second": codes[cells[other][TRAINING]],
                "test": cells[one][TEST],
                "expression": cells[one][EXPRESSION],
                "distance": comparison.distances[one, other],
                "floor": max(comparison.floors[one], comparison.floors[other]),
            }
        )
    columns = ["first", "second", "test", "expression", "distance", "floor"]
    table = pd.DataFrame(rows, columns=columns)
    keys = columns[:4]
    means = table.groupby(keys, sort=False, as_index=False).mean()
    alike = means[means["first"] == means["second"]]
    spread = {
        (row["first"], row["test"], row["expression"]): float(row["distance"])
        for _, row in alike.iterrows()
    }
    found = means[means["first"] != means["second"]].reset_index(drop=True)
    found["seed_distance"] = [
        _mean([spread.get((row[side], row["test"], row["expression"])) for side in keys[:2]])
        for _, row in found.iterrows()
    ]
    higher = found[["floor", "seed_distance"]].max(axis=1)
    found["above"] = found["distance"] > higher
    return found


def overall(pairs: pd.DataFrame) -> pd.DataFrame:
    """The means of `training_pairs` over test sets and expressions, the most different first.

    Returns:
        ``first``, ``second``, ``distance``, ``floor``, ``seed_distance``, ``above`` (in how many
        cells the distance is above its floors) and ``cells``.
    """
    grouped = pairs.groupby(["first", "second"], sort=False)
    found = grouped[["distance", "floor", "seed_distance"]].mean()
    found["above"] = grouped["above"].sum().astype(int)
    found["cells"] = grouped.size()
    return found.reset_index().sort_values("distance", ascending=False, ignore_index=True)


def _most_different(
    cells: Sequence[Cell], codes: Mapping[str, str], comparison: Comparison
) -> Document | None:
    """The pair of training sets that is furthest apart, and in which share of draws it is."""
    members: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one, other in pairs_apart(cells, TRAINING):
        pair = codes[cells[one][TRAINING]], codes[cells[other][TRAINING]]
        if pair[0] != pair[1]:
            members.setdefault(pair, []).append((one, other))
    if not members:
        return None
    places = [tuple(np.array(each).T) for each in members.values()]
    means = [float(comparison.distances[place].mean()) for place in places]
    largest = int(np.argmax(means))
    support = None
    if len(comparison.resampled) and len(members) > 1:
        drawn = np.stack([comparison.resampled[:, *place].mean(1) for place in places])
        support = float((drawn.argmax(0) == largest).mean())
    first, second = list(members)[largest]
    return {"first": first, "second": second, "support": support}


def _aspects(
    cells: Sequence[Cell], codes: Mapping[str, str], comparison: Comparison
) -> dict[str, float | None]:
    """Mean distances of heatmaps whose names differ in one part alone, and the mean floor."""
    apart: dict[str, list[float]] = {"expression": [], "training": [], "test": [], "seed": []}
    for part, aspect in ((TRAINING, "training"), (TEST, "test"), (EXPRESSION, "expression")):
        for one, other in pairs_apart(cells, part):
            same = codes[cells[one][TRAINING]] == codes[cells[other][TRAINING]]
            kind = "seed" if part == TRAINING and same else aspect
            apart[kind].append(float(comparison.distances[one, other]))
    return {aspect: _number(_mean(values)) for aspect, values in apart.items()} | {
        "noise_floor": _number(_mean(list(comparison.floors)))
    }


def _branches(comparison: Comparison) -> Document | None:
    """How many branches there are below the root, and how many of them hardly ever vanish."""
    if comparison.support is None:
        return None
    inner = comparison.support[:-1]
    return {"count": len(inner), "strong": int((inner >= STRONG).sum()), "level": STRONG}


def _contrasts(merged: Merged, codes: Mapping[str, str], resamples: int, seed: int) -> Contrasts:
    """The study's difference images and those on the same test images, by expression."""
    groups = list(dict.fromkeys(cell[TEST] for cell in merged.cells))
    both = [(code_of(group), group) for group in groups if code_of(group) in codes.values()]
    if len(both) != 2:
        return {}
    (first, own), (second, other) = both
    runs = {code: [run for run in codes if codes[run] == code] for code in (first, second)}
    of_code = {code: _pooled(merged, names) for code, names in runs.items()}
    wanted = [
        (label, title, one, two)
        for label in dict.fromkeys(cell[EXPRESSION] for cell in merged.cells)
        for title, one, two in (
            (f"{first}-{first} − {second}-{second}", (first, own), (second, other)),
            (f"{first}-{first} − {second}-{first}", (first, own), (second, own)),
            (f"{first}-{second} − {second}-{second}", (first, other), (second, other)),
        )
        if {(own, label), (other, label)} <= set(of_code[first].cells)
    ]
    found: dict[str, dict[str, Contrast]] = {}
    for label, title, one, two in track(wanted, total=len(wanted), description="differences"):
        minuend, subtrahend = (
            (of_code[code], of_code[code].cells.index((group, label))) for code, group in (one, two)
        )
        found.setdefault(label, {})[title] = contrast(minuend, subtrahend, resamples, seed)
    return found


def _pooled(merged: Merged, runs: Sequence[str]) -> Merged:
    """The cells of one training set, the mean over its runs."""
    parts = []
    for run in runs:
        places = [n for n, cell in enumerate(merged.cells) if cell[TRAINING] == run]
        cells = tuple(merged.cells[n][TEST:] for n in places)
        part = slice(places[0], places[-1] + 1)
        parts.append(Merged(cells, merged.total[part], merged.count[part]))
    return pooled(parts)


def _records(table: pd.DataFrame) -> list[Document]:
    rows = cast("list[dict[str, Any]]", table.to_dict("records"))
    return [
        {key: _number(value) if isinstance(value, float) else value for key, value in row.items()}
        for row in rows
    ]


def _mean(values: Sequence[float | None]) -> float:
    known: NDArray[np.float64] = np.array([value for value in values if value is not None])
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
