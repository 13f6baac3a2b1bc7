"""Which heatmaps are alike: distances, Ward's tree, and how far its branches can be believed.

Source: the gender-split study on AffectNet with LIME; the bootstrap support is added here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

Numbers = NDArray[np.float64]


def heatmap_distances(heatmaps: ArrayLike) -> Numbers:
    """One minus Pearson's correlation over pixels, between each two heatmaps.

    Args:
        heatmaps: ``[K, H, W]``; a pixel that is NaN in one of two heatmaps is left out of their
            correlation.

    Returns:
        ``[K, K]`` in [0, 2], symmetric, 0 on the diagonal; NaN for a heatmap without variation.

    Source: gender-split study, distance between merged heatmaps.

    >>> ramp = np.arange(12.0).reshape(3, 4)
    >>> heatmap_distances([ramp, 2 * ramp + 1, -ramp]).round(6)
    array([[0., 0., 2.],
           [0., 0., 2.],
           [2., 2., 0.]])
    """
    values = np.asarray(heatmaps, dtype=np.float64)
    values = values.reshape(len(values), -1)
    known = np.isfinite(values)
    there = known.astype(np.float64)
    # Centred first, so that sums of squares lose nothing to a common level.
    with np.errstate(invalid="ignore"):  # a heatmap without any known pixel
        level = np.where(known, values, 0).sum(1, keepdims=True) / there.sum(1, keepdims=True)
    values = np.where(known, values - level, 0)
    count = there @ there.T
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = values @ there.T
        squares = values**2 @ there.T - sums**2 / count
        products = values @ values.T - sums * sums.T / count
        spread = np.sqrt(squares * squares.T)
        flat = spread <= 1e-12 * count
        correlation = np.where(flat, np.nan, products / spread)
    distances = np.clip(1 - correlation, 0, 2)
    varied = np.isfinite(np.diagonal(distances))
    distances[varied, varied] = 0
    result: Numbers = (distances + distances.T) / 2
    return result


def ward(distances: ArrayLike) -> Numbers:
    """Ward's tree over distances, in scipy's form.

    Args:
        distances: symmetric, ``[K, K]``, K ≥ 2.

    Returns:
        scipy's linkage matrix, ``[K - 1, 4]``.

    Raises:
        ValueError: if fewer than two, or if a distance is undefined; heatmaps without variation
            must be left out before.

    Source: gender-split study, dendrogram.
    """
    table = np.asarray(distances, dtype=np.float64)
    if len(table) < 2:
        raise ValueError("a tree needs at least two heatmaps")
    if not np.isfinite(table).all():
        flat = np.flatnonzero(~np.isfinite(np.diagonal(table))).tolist()
        raise ValueError(
            f"distances are undefined; leave out the heatmaps without variation: {flat}"
        )
    tree: Numbers = linkage(squareform(table, checks=False), method="ward")
    return tree


def branch_support(tree: ArrayLike, replicates: Iterable[ArrayLike]) -> Numbers:
    """In which share of resampled trees each branch of a tree appears with the same members.

    Args:
        tree: the linkage of all data, ``[K - 1, 4]``.
        replicates: linkages of resampled data over the same heatmaps.

    Returns:
        A share for each merge of ``tree``, ``[K - 1]`` in [0, 1]; the last, which joins all, is 1.

    Raises:
        ValueError: without replicates.

    Source: Felsenstein 1985, bootstrap support of a branch.
    """
    branches = _branches(tree)
    found = [set(_branches(replicate)) for replicate in replicates]
    if not found:
        raise ValueError("no resampled trees are given")
    return np.array([np.mean([branch in each for each in found]) for branch in branches])


def _branches(tree: ArrayLike) -> list[frozenset[int]]:
    """The members of each merge, in order."""
    rows = np.asarray(tree)[:, :2].astype(int).tolist()
    members = [frozenset([leaf]) for leaf in range(len(rows) + 1)]
    for left, right in rows:
        members.append(members[left] | members[right])
    return members[len(rows) + 1 :]
