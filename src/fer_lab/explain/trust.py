"""How far a summary can be believed: the figures of ``faithfulness`` over many images.

Every gain compares a map with what a map without knowledge of the model gets on the same image,
and stands with a percentile bootstrap interval over images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

CURVES: Final = ("deletion", "insertion")


def trust_document(
    table: pd.DataFrame,
    modules: Sequence[str],
    *,
    baseline: str,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Means over images, and gains over chance with their intervals.

    Args:
        table: a row an image: ``deletion``, ``deletion_random``, ``insertion`` and
            ``insertion_random`` (lists of S + 1 probabilities), ``region`` (name of the region that
            was hidden, or None), ``drop``, ``random_drop``, ``cascade`` (a correlation for each of
            ``modules``) and ``chance``.
        modules: what was drawn anew before each correlation of ``cascade``, the head first.
        baseline: what stood in a removed pixel's place.
        samples: bootstrap draws.
        level: coverage of the intervals, in (0, 1).
        seed: of the draws.

    Returns:
        - ``deletion``, ``insertion``: the mean curves ``probability`` and ``random_probability``
          over ``share``, their ``area`` and ``random_area``, and ``gain``: by how much the map's
          area is better than a random map's.
        - ``ablation``: mean ``drop`` of the class's probability when the region of highest IoR is
          hidden, ``random_drop`` when its shape is hidden elsewhere, and ``gain``, the difference;
          ``regions`` counts which was hidden. None without region masks.
        - ``randomisation``: ``correlation`` after each of ``modules`` is drawn anew, the ``chance``
          level of a random map, and ``left``: the last correlation, which should be near chance.

        Figures without a case are None.
    """
    draw = _Means(len(table), samples, level, seed)
    facts: dict[str, Any] = {"samples": len(table), "baseline": baseline, "level": level}
    for name in CURVES:
        own, other = (_stacked(table[column]) for column in (name, f"{name}_random"))
        share = np.linspace(0, 1, own.shape[1])
        areas = [np.asarray(np.trapezoid(each, share, axis=1)) for each in (own, other)]
        better = areas[1] - areas[0] if name == "deletion" else areas[0] - areas[1]
        known = ~np.isnan(better)
        facts["steps"] = own.shape[1] - 1
        facts[name] = {
            "share": share.round(6).tolist(),
            "probability": _means(own[known]),
            "random_probability": _means(other[known]),
            "area": _mean(areas[0][known]),
            "random_area": _mean(areas[1][known]),
            "gain": draw.interval(better),
        }
    facts["ablation"] = _ablation(table, draw)
    cascade = _stacked(table["cascade"])
    facts["randomisation"] = {
        "modules": list(modules),
        "correlation": [_mean(column) for column in cascade.T],
        "chance": _mean(table["chance"].to_numpy(dtype=np.float64)),
        "left": draw.interval(cascade[:, -1] if cascade.size else np.full(len(table), np.nan)),
    }
    return facts


def _ablation(table: pd.DataFrame, draw: _Means) -> dict[str, Any] | None:
    drop, elsewhere = (
        table[column].to_numpy(dtype=np.float64) for column in ("drop", "random_drop")
    )
    known = ~np.isnan(drop)
    if not known.any():
        return None
    return {
        "samples": int(known.sum()),
        "drop": _mean(drop[known]),
        "random_drop": _mean(elsewhere[known]),
        "gain": draw.interval(drop - elsewhere),
        "regions": {str(k): int(n) for k, n in table["region"].value_counts().items()},
    }


class _Means:
    """Means over images with intervals; all figures see the same draws."""

    def __init__(self, images: int, samples: int, level: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        share = np.full(images, 1 / max(images, 1))
        self._weights = rng.multinomial(images, share, size=samples).astype(np.float64)
        self._tails = [(1 - level) / 2, (1 + level) / 2]

    def interval(self, values: Numbers) -> dict[str, float | None]:
        known = ~np.isnan(values)
        if known.sum() < 2:
            return {"value": _mean(values[known]), "low": None, "high": None}
        weights = self._weights[:, known]
        count = weights.sum(1)
        draws = (weights @ values[known])[count > 0] / count[count > 0]
        low, high = np.quantile(draws, self._tails)
        return {"value": _mean(values[known]), "low": round(low, 6), "high": round(high, 6)}


def _stacked(column: pd.Series) -> Numbers:
    rows = [np.asarray(each, dtype=np.float64) for each in column]
    return np.stack(rows) if rows else np.empty((0, 0))


def _means(rows: Numbers) -> list[float | None]:
    return [_mean(column) for column in rows.T]


def _mean(values: Numbers) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 6) if known.size else None
