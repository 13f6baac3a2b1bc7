"""Heatmaps of several models side by side: distances, floors, tree, and contrasts with their noise.

Source: the gender-split study on AffectNet with LIME; floors and support are added here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.progress import track
from fer_lab.explain.clustering import branch_support, heatmap_distances, ward
from fer_lab.explain.merged import Floats, Merged, difference_floor, noise_floor, resampled_heatmaps

Numbers = NDArray[np.float64]

# Draws are compared on every third row and column: neighbouring pixels of a heatmap say the same.
_STEP = 3


@dataclass(frozen=True)
class Comparison:
    """How alike K heatmaps are.

    Attributes:
        distances: one minus the correlation of each two, ``[K, K]``.
        floors: the noise floor of each heatmap, ``[K]``; NaN where half the images hold none.
        resampled: the distances of each usable draw of image blocks, ``[D, K, K]``.
        tree: Ward's linkage, ``[K - 1, 4]``; None for a single heatmap.
        support: of each merge of the tree, ``[K - 1]``; None without usable draws.
    """

    distances: Numbers
    floors: Numbers
    resampled: Numbers
    tree: Numbers | None
    support: Numbers | None


class Contrast(NamedTuple):
    """Two heatmaps to be subtracted.

    Attributes:
        first: ``[H, W]``.
        second: ``[H, W]``.
        floor: what chance alone gives of ``3·|first - second|`` at each pixel, ``[H, W]``.
    """

    first: Floats
    second: Floats
    floor: Floats

    @property
    def share_above(self) -> float:
        """The share of known pixels whose difference is above the floor; 0.05 comes by chance."""
        absolute = 3 * np.abs(self.first - self.second)
        known = np.isfinite(absolute) & np.isfinite(self.floor)
        return float((absolute > self.floor)[known].mean()) if known.any() else float("nan")


def side_by_side(
    parts: Mapping[str, Merged], cells: Sequence[tuple[str, ...]]
) -> tuple[Merged, NDArray[np.int64]]:
    """Chosen cells of several models as one, the model's name before the cell's own.

    Args:
        parts: heatmaps by the name of their model, with the same blocks and size.
        cells: those wanted; each model has them all.

    Returns:
        The heatmaps, and how many images each is of (those that its best known pixel has), ``[K]``.
    """
    names: list[tuple[str, ...]] = []
    total, count = [], []
    for name, merged in parts.items():
        places = [merged.cells.index(cell) for cell in cells]
        names += [(name, *cell) for cell in cells]
        total.append(merged.total[places])
        count.append(merged.count[places])
    joined = Merged(tuple(names), np.concatenate(total), np.concatenate(count))
    return joined, images_of(joined)


def images_of(merged: Merged) -> NDArray[np.int64]:
    """How many images each cell is of: those known at its best known pixel, ``[cells]``."""
    images: NDArray[np.int64] = merged.count.sum(1).max((1, 2)).astype(np.int64)
    return images


def pooled(parts: Sequence[Merged]) -> Merged:
    """The mean heatmaps of models with the same cells, such as several seeds of one training."""
    first = parts[0]
    return Merged(first.cells, sum_of([p.total for p in parts]), sum_of([p.count for p in parts]))


def sum_of(arrays: Sequence[Floats]) -> Floats:
    """The sum of arrays of one shape, itself of that shape."""
    total = arrays[0].copy() if len(arrays) > 1 else arrays[0]
    for array in arrays[1:]:
        total += array
    return total


def compared(merged: Merged, samples: int = 200, seed: int = 0) -> Comparison:
    """Distances, noise floors, and Ward's tree with the bootstrap support of its branches.

    A draw in which some heatmap has no image or no variation is left out of the support. Draws see
    every third row and column.

    Args:
        merged: heatmaps that all vary.
        samples: draws of the image blocks.
        seed: of the draws.
    """
    distances = heatmap_distances(merged.heatmaps())
    coarse = (..., slice(None, None, _STEP), slice(None, None, _STEP))
    thin = Merged(merged.cells, merged.total[coarse].copy(), merged.count[coarse].copy())
    draws = track(resampled_heatmaps([thin], samples, seed), total=samples, description="bootstrap")
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = np.stack([heatmap_distances(heatmaps) for heatmaps in draws])
        floors = noise_floor(merged, seed=seed)
    resampled = resampled[np.isfinite(resampled).all((1, 2))]
    tree = ward(distances) if len(distances) > 1 else None
    support = None
    if tree is not None and len(resampled):
        support = branch_support(tree, map(ward, resampled))
    return Comparison(distances, floors, resampled, tree, support)


def contrast(
    first: tuple[Merged, int], second: tuple[Merged, int], samples: int = 200, seed: int = 0
) -> Contrast:
    """Two heatmaps with the noise of their difference.

    Args:
        first: heatmaps and the cell taken of them.
        second: the same of the other.
        samples: draws of the image blocks.
        seed: of the draws.
    """
    own, other = (each.heatmaps()[cell] for each, cell in (_alone(first), _alone(second)))
    with warnings.catch_warnings():
        # A pixel that no image knows has no floor.
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        floor = difference_floor(first, second, samples, seed)
    return Contrast(own, other, floor)


def pairs_apart(cells: Sequence[tuple[str, ...]], part: int) -> list[tuple[int, int]]:
    """The pairs of cells whose names differ in one part alone, the earlier first.

    Args:
        cells: names of several parts.
        part: the one to differ.

    >>> pairs_apart([("FE", "happy"), ("MA", "happy"), ("MA", "sad")], 0)
    [(0, 1)]
    """
    members: dict[tuple[str, ...], list[int]] = {}
    for place, cell in enumerate(cells):
        members.setdefault((*cell[:part], *cell[part + 1 :]), []).append(place)
    return sorted(
        (one, other)
        for places in members.values()
        for number, one in enumerate(places)
        for other in places[number + 1 :]
    )


def _alone(place: tuple[Merged, int]) -> tuple[Merged, int]:
    merged, cell = place
    part = slice(cell, cell + 1)
    return Merged(merged.cells[part], merged.total[part], merged.count[part]), 0
