"""Draws of rows and of whole subjects, fixed by (seed, id) whatever the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import attribute_column

Unit = Literal["subject", "image"]
"""What stays together in a draw: all images of a subject, or one image."""


def cell_codes(manifest: pd.DataFrame, by: Sequence[str]) -> NDArray[np.int64]:
    """One number a row for its combination of values; numbers follow the values' names.

    Args:
        manifest: the rows.
        by: attributes, or ``label``; ``unknown`` is a value like the others.

    Raises:
        ConfigError: for an attribute that the manifest does not have.
    """
    codes = np.zeros(len(manifest), dtype=np.int64)
    for name in by:
        column = manifest[name if name == "label" else attribute_column(manifest, name)]
        values, names = pd.factorize(column.astype("str"), sort=True)
        codes = codes * len(names) + values
    return codes


def random_keys(ids: pd.Series, seed: int) -> NDArray[np.uint64]:
    """A number a row, random in the seed and fixed by the id (SplitMix64 of the id's hash)."""
    values = pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False)
    with np.errstate(over="ignore"):
        values = values + np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)), dtype=np.uint64)


def rank_within(
    cells: NDArray[np.int64], *keys: NDArray[np.uint64] | NDArray[np.int64]
) -> NDArray[np.int64]:
    """The place of every row among those of its cell, in the order of the keys, first key first."""
    order = np.lexsort((*reversed(keys), cells))
    ordered = cells[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return rank


def draw_share(
    manifest: pd.DataFrame,
    rows: NDArray[np.int64],
    strata: NDArray[np.int64],
    fraction: float,
    seed: int,
    by: Unit = "subject",
) -> NDArray[np.int64]:
    """Draw a share of one dataset's rows, stratified.

    Each stratum gives ``fraction`` of its rows, to within one. Where subjects are known, whole
    subjects are drawn, in an order set by the seed, each taken if it brings the strata nearer to
    their shares.

    Args:
        manifest: the table, of which ``id`` and ``subject`` are used.
        rows: positions to draw from.
        strata: a number for every row of ``manifest``.
        fraction: share to draw, in [0, 1).
        seed: another seed draws other rows.
        by: ``image`` draws single rows even where subjects are known.

    Returns:
        Positions in ``manifest``.
    """
    subjects = manifest["subject"].iloc[rows]
    named = subjects.notna().to_numpy() if by == "subject" else np.zeros(len(rows), dtype=bool)
    alone, together = rows[~named], rows[named]
    keys = random_keys(manifest["id"].iloc[alone], seed)
    drawn = _draw_rows(strata[alone], keys, fraction)
    people = _draw_subjects(subjects[named].astype("str"), strata[together], fraction, seed)
    return np.concatenate([alone[drawn], together[people]])


def subject_counts(
    subjects: pd.Series, strata: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Number of the subject of every row, the subjects' names, and rows per subject × stratum."""
    person, names = pd.factorize(subjects, sort=True)
    kinds, stratum = np.unique(strata, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)), dtype=np.int64)
    np.add.at(counts, (person, stratum), 1)
    return person.astype(np.int64), [str(name) for name in names], counts


def _draw_rows(
    strata: NDArray[np.int64], keys: NDArray[np.uint64], fraction: float
) -> NDArray[np.int64]:
    """Every (1 / fraction)-th row of the strata laid end to end, each in random order."""
    order = np.lexsort((keys, strata))
    steps = np.floor(np.arange(len(order) + 1) * fraction + 0.5)
    drawn: NDArray[np.int64] = order[np.diff(steps) > 0]
    return drawn


def _draw_subjects(
    subjects: pd.Series, strata: NDArray[np.int64], fraction: float, seed: int
) -> NDArray[np.int64]:
    """The rows of the subjects drawn: at least one of them, and never all."""
    person, names, counts = subject_counts(subjects, strata)
    if fraction == 0 or len(names) < 2:
        return np.empty(0, dtype=np.int64)
    lacking = counts.sum(axis=0) * fraction
    sizes = (counts**2).sum(axis=1)
    order = np.argsort(random_keys(pd.Series(names), seed))
    drawn = np.zeros(len(names), dtype=bool)
    for subject in order[:-1]:
        if 2 * (counts[subject] @ lacking) > sizes[subject]:
            lacking = lacking - counts[subject]
            drawn[subject] = True
    if not drawn.any():
        drawn[order[np.argmin(sizes[order] - 2 * (counts[order] @ lacking))]] = True
    return np.flatnonzero(drawn[person]).astype(np.int64)
