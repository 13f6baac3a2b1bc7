"""Supplied heatmaps (of human eyes or hands) in face space, beside those that a model leaves.

A correlation alone says little: any two maps that look at the middle of a face agree. Beside it
stand the correlation with the model's maps of the other expressions, and that of the supplied map
with a Gaussian in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_lab.errors import DataError
from fer_lab.explain.clustering import heatmap_distances
from fer_lab.explain.merged import Merged, resampled_heatmaps
from fer_lab.explain.rank_correlation import spearman
from fer_lab.explain.supplied_files import Cell, Floats, Supplied, names_hint

Numbers = NDArray[np.float64]

FIGURES: Final = ("pearson", "spearman", "specific", "above_centre")

# Standard deviation of the Gaussian in the middle, in shares of the canvas's sides.
_CENTRE_SPREAD: Final = 0.25
# Intervals are taken from every third row and column: maps change over longer distances.
_STEP: Final = 3


def compare_supplied(
    supplied: Supplied,
    merged: Merged,
    *,
    samples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """How well each supplied map agrees with the model's merged heatmap of its cell.

    A map without a group is compared with the mean over the images of all groups. Only pixels that
    are known in both count.

    Args:
        supplied: what `read_supplied` gives for ``merged.cells``.
        merged: the model's heatmaps, of the supplied maps' size.
        samples: bootstrap draws over blocks of images.
        level: coverage of the intervals, in (0, 1).
        seed: of the draws.

    Returns:
        ``level``, ``samples``, ``centre`` (``sigma`` of the Gaussian in pixels), ``left_out`` and
        ``maps``: for each its ``group``, ``expression``, number of ``images`` and of ``pixels``,
        and, None where undefined,

        - ``pearson``, ``spearman``: correlation over pixels, with the bootstrap interval;
        - ``others``: Pearson's with the model's maps of the other expressions; ``rank`` is 1 where
          the own one is the highest;
        - ``specific``: own correlation less the mean of the others, with interval;
        - ``centre``: correlation of the supplied map with a Gaussian in the middle;
        - ``above_centre``: own correlation less that, with interval.

        Intervals tell the luck of the images, not that of whoever made the supplied maps.

    Raises:
        DataError: if no map can be compared.
    """
    left_out = dict(supplied.left_out)
    rows: dict[Cell, dict[str, Any]] = {}
    for group in dict.fromkeys(group for group, _ in supplied.maps):
        side = _side(merged, group)
        wanted = {}
        for (owner, expression), values in supplied.maps.items():
            if owner != group:
                continue
            reason = _unusable(values, side, expression)
            if reason is None:
                wanted[expression] = values
            else:
                left_out[supplied.files[owner, expression]] = reason
        if wanted:
            found = _agreement(wanted, side, samples, level, seed)
            rows |= {(group, row["expression"]): {"group": group, **row} for row in found}
    if not rows:
        listed = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:5])
        raise DataError(
            f"no supplied heatmap can be compared{f' ({listed})' if listed else ''}",
            where="maps",
            hint=names_hint(merged.cells),
        )
    height, width = merged.total.shape[2:]
    return {
        "level": level,
        "samples": samples,
        "centre": {"sigma": [_CENTRE_SPREAD * width, _CENTRE_SPREAD * height]},
        "left_out": left_out,
        "maps": [rows[cell] for cell in supplied.maps if cell in rows],
    }


def supplied_frame(facts: Mapping[str, Any]) -> pd.DataFrame:
    """The maps of `compare_supplied`, one row each; intervals as ``<figure>_low`` and ``_high``."""
    rows = []
    for each in facts["maps"]:
        row = {name: value for name, value in each.items() if not isinstance(value, dict)}
        for figure in FIGURES:
            row[figure] = each[figure]["value"]
            row |= {f"{figure}_{end}": each[figure][end] for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def _side(merged: Merged, group: str | None) -> Merged:
    """The heatmaps of one group, or of all images, by expression; those of no image left out."""
    members: dict[str, list[int]] = {}
    for place, (owner, expression) in enumerate(merged.cells):
        if group in (None, owner):
            members.setdefault(expression, []).append(place)
    known = {name: rows for name, rows in members.items() if merged.count[rows].any()}
    shape = (0, *merged.total.shape[1:])
    return Merged(
        tuple((name,) for name in known),
        np.array([merged.total[rows].sum(0) for rows in known.values()]).reshape(-1, *shape[1:]),
        np.array([merged.count[rows].sum(0) for rows in known.values()]).reshape(-1, *shape[1:]),
    )


def _unusable(values: Floats, side: Merged, expression: str) -> str | None:
    if (expression,) not in side.cells:
        return "no image of this cell was explained"
    heatmap = side.heatmaps()[side.cells.index((expression,))]
    known = np.isfinite(values) & np.isfinite(heatmap)
    for what, map_ in (("the supplied map", values), ("the model's heatmap", heatmap)):
        if len(np.unique(map_[known])) < 2:
            return f"{what} is the same everywhere"
    return None


def _agreement(
    wanted: Mapping[str, Floats], side: Merged, samples: int, level: float, seed: int
) -> Iterator[dict[str, Any]]:
    """The rows of one group's maps."""
    expressions = [name for (name,) in side.cells]
    own = [expressions.index(name) for name in wanted]
    maps, heatmaps = np.stack(list(wanted.values())), side.heatmaps()
    value = _figures(maps, heatmaps, own)
    part = (
        slice(None),
        slice(None),
        slice(_STEP // 2, None, _STEP),
        slice(_STEP // 2, None, _STEP),
    )
    coarse = Merged(side.cells, *map(np.ascontiguousarray, (side.total[part], side.count[part])))
    draws = [
        _figures(maps[part[1:]], each, own) for each in resampled_heatmaps([coarse], samples, seed)
    ]
    correlations = _correlations(maps, heatmaps)
    centre = _correlations(maps, _centre(*maps.shape[1:])[None])[:, 0]
    for place, name in enumerate(wanted):
        # Where all images are in one block, drawing blocks anew changes nothing.
        varied = side.count[own[place]].any((1, 2)).sum() > 1
        others = np.delete(correlations[place], own[place])
        intervals = {
            figure: _interval(
                value[figure][place], [each[figure][place] for each in draws], level, varied
            )
            for figure in FIGURES
        }
        yield {
            "expression": name,
            "images": int(side.count[own[place]].sum(0).max()),
            "pixels": int((np.isfinite(maps[place]) & np.isfinite(heatmaps[own[place]])).sum()),
            **intervals,
            "others": {
                other: _number(correlations[place, column])
                for column, other in enumerate(expressions)
                if column != own[place]
            },
            "rank": 1 + int((others > correlations[place, own[place]]).sum()),
            "centre": _number(centre[place]),
        }


def _figures(maps: Floats, heatmaps: Floats, own: Sequence[int]) -> dict[str, Numbers]:
    """``FIGURES`` of each map, ``[M]``; ``own`` is the heatmap of its expression."""
    rows = np.arange(len(maps))
    correlations = _correlations(maps, heatmaps)
    pearson = correlations[rows, own]
    correlations[rows, own] = np.nan
    there = np.isfinite(correlations)
    with np.errstate(invalid="ignore", divide="ignore"):
        others = np.where(there, correlations, 0).sum(1) / there.sum(1)
    centre = _correlations(maps, _centre(*maps.shape[1:])[None])[:, 0]
    ranked = [_spearman(one, heatmaps[place]) for one, place in zip(maps, own, strict=True)]
    values = (pearson, np.array(ranked), pearson - others, pearson - centre)
    return dict(zip(FIGURES, values, strict=True))


def _correlations(first: Floats, second: Floats) -> Numbers:
    """Pearson's correlation of each map with each, over pixels known in both, ``[A, B]``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = heatmap_distances(np.concatenate([first, second]))
    return 1 - distances[: len(first), len(first) :]


def _spearman(first: Floats, second: Floats) -> float:
    known = np.isfinite(first) & np.isfinite(second)
    one, two = (torch.from_numpy(each[known])[None] for each in (first, second))
    return float(spearman(one, two))


def _centre(height: int, width: int) -> Floats:
    """A Gaussian in the middle, ``[height, width]``."""
    down, across = (
        ((np.arange(side) - (side - 1) / 2) / (_CENTRE_SPREAD * side)) ** 2
        for side in (height, width)
    )
    bump: Floats = np.exp(-(down[:, None] + across) / 2).astype(np.float32)
    return bump


def _interval(
    value: float, draws: Sequence[float], level: float, varied: bool
) -> dict[str, float | None]:
    known = np.array(draws)[np.isfinite(draws)]
    if not varied or len(known) < 2:
        return {"value": _number(value), "low": None, "high": None}
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return {"value": _number(value), "low": _number(low), "high": _number(high)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
