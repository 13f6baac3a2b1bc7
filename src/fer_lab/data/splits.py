"""Who is learnt from, who is watched: attribute filters, validation draws, balanced subsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import attribute_column
from fer_lab.errors import ConfigError, near_miss

# Wanted values by attribute, or one value; None takes any.
Filter = Mapping[str, Sequence[str | bool] | bool | None]

# YAML reads a bare yes or no as a truth value.
_YAML_WORDS = {True: "yes", False: "no"}


def where(manifest: pd.DataFrame, filter: Filter) -> NDArray[np.bool_]:  # noqa: A002
    """The rows whose attributes all have one of the wanted values.

    Args:
        manifest: the rows to choose from.
        filter: wanted values by attribute (a single value may stand without a list); None
            takes any. ``unknown`` is a value like the others.

    Returns:
        Truth values, one a row.

    Raises:
        ConfigError: for an attribute or a value that the manifest does not have.
    """
    chosen = np.ones(len(manifest), dtype=bool)
    for attribute, wanted in filter.items():
        if wanted is None:
            continue
        column = manifest[attribute_column(manifest, attribute)]
        known = [str(value) for value in column.cat.categories]
        listed = [wanted] if isinstance(wanted, str | bool) else wanted
        values = [_YAML_WORDS[value] if isinstance(value, bool) else str(value) for value in listed]
        for value in values:
            if value not in known:
                near = near_miss(value, known)
                raise ConfigError(
                    f"{attribute} is never {value!r}"
                    + (f"; did you mean {near!r}?" if near else ""),
                    where=f"split.where.{attribute} or test_split.where.{attribute}",
                    hint=f"values here: {', '.join(known)}",
                )
        chosen &= column.isin(values).to_numpy()
    return chosen


def assign_validation(manifest: pd.DataFrame, fraction: float, seed: int) -> pd.DataFrame:
    """Draw a validation set from the training rows of every dataset that has none.

    The draw is stratified by label × gender: each stratum gives ``fraction`` of its rows, to
    within one. Where subjects are known, whole subjects are drawn, in an order set by the seed,
    each taken if it brings the strata nearer to their shares. Which rows are drawn depends on
    the seed and the ids, not on their order. Call it on the whole manifest, before any filter.

    Args:
        manifest: all rows, with their splits.
        fraction: share of the training rows to draw, in [0, 1).
        seed: another seed draws other rows.

    Returns:
        A copy with ``val`` in the drawn rows' ``split``; other rows are unchanged.

    Raises:
        ConfigError: for a fraction outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ConfigError(
            f"val_fraction={fraction} is no share of the training rows",
            where="split.val_fraction",
            hint="choose a number from 0 up to, but not including, 1",
        )
    split = manifest["split"].to_numpy(dtype=object).copy()
    datasets = manifest["dataset"].to_numpy(dtype=object)
    has_validation = set(datasets[split == "val"])
    keys = _random_keys(manifest["id"], seed)
    strata = _codes(manifest, ("label", "gender"))
    subjects = manifest["subject"]
    for dataset in sorted(set(datasets[split == "train"]) - has_validation):
        rows = np.flatnonzero((split == "train") & (datasets == dataset))
        named = subjects.iloc[rows].notna().to_numpy()
        alone, together = rows[~named], rows[named]
        split[alone[_draw_rows(strata[alone], keys[alone], fraction)]] = "val"
        names = subjects.iloc[together].astype("str")
        split[together[_draw_subjects(names, strata[together], fraction, seed)]] = "val"
    assigned = manifest.copy()
    assigned["split"] = pd.Categorical(split, categories=manifest["split"].cat.categories)
    return assigned


def balanced_subset(
    manifest: pd.DataFrame,
    count: int | None,
    by: Sequence[str] = ("label", "gender"),
    seed: int = 0,
) -> NDArray[np.int64]:
    """Choose rows so that every cell of ``by`` has as many as any other, as far as it has them.

    Args:
        manifest: the rows to choose from.
        count: how many at most; None takes all.
        by: attributes (or ``label``) whose combinations are the cells; ``unknown`` is a value.
        seed: another seed chooses others; the order of the rows has no influence.

    Returns:
        Positions in ``manifest``, sorted; ``min(count, len(manifest))`` of them.

    Raises:
        ConfigError: for an attribute that the manifest does not have, or a negative count.
    """
    if count is not None and count < 0:
        raise ConfigError(f"{count} samples cannot be chosen", hint="use a number from 0, or null")
    if count is None or count >= len(manifest):
        return np.arange(len(manifest), dtype=np.int64)
    keys = _random_keys(manifest["id"], seed)
    rank = _rank_within(_codes(manifest, by), keys)
    return np.sort(np.lexsort((keys, rank))[:count]).astype(np.int64)


def _codes(manifest: pd.DataFrame, by: Sequence[str]) -> NDArray[np.int64]:
    """One number a row for its combination of values; numbers follow the values' names."""
    codes = np.zeros(len(manifest), dtype=np.int64)
    for name in by:
        column = manifest[name if name == "label" else attribute_column(manifest, name)]
        values, names = pd.factorize(column.astype("str"), sort=True)
        codes = codes * len(names) + values
    return codes


def _random_keys(ids: pd.Series, seed: int) -> NDArray[np.uint64]:
    """A number a row, random in the seed and fixed by the id (SplitMix64 of the id's hash)."""
    values = pd.util.hash_array(ids.to_numpy(dtype=object), categorize=False)
    with np.errstate(over="ignore"):
        values = values + np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)), dtype=np.uint64)


def _rank_within(cells: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The place of every row among those of its cell, in the order of the keys."""
    order = np.lexsort((keys, cells))
    ordered = cells[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return rank


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
    """The rows of the subjects drawn."""
    person, names = pd.factorize(subjects, sort=True)
    if fraction == 0 or len(names) < 2:
        return np.empty(0, dtype=np.int64)
    kinds, stratum = np.unique(strata, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)), dtype=np.int64)
    np.add.at(counts, (person, stratum), 1)
    lacking = counts.sum(axis=0) * fraction
    sizes = (counts**2).sum(axis=1)
    order = np.argsort(_random_keys(pd.Series(names), seed))
    drawn = np.zeros(len(names), dtype=bool)
    for subject in order[:-1]:
        if 2 * (counts[subject] @ lacking) > sizes[subject]:
            lacking = lacking - counts[subject]
            drawn[subject] = True
    if not drawn.any():
        drawn[order[np.argmin(sizes[order] - 2 * (counts[order] @ lacking))]] = True
    return np.flatnonzero(drawn[person]).astype(np.int64)
