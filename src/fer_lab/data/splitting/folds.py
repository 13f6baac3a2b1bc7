"""Stratified k-fold cross-validation, by whole subjects and scenes where these are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.splitting.draws import Unit, draw_units, random_keys, strata_of, unit_counts
from fer_lab.data.splitting.splits import resplit
from fer_lab.errors import ConfigError


def assign_folds(
    manifest: pd.DataFrame, folds: int, seed: int, by: Unit = "subject"
) -> NDArray[np.int64]:
    """The fold of every row, each dataset stratified by expression × gender.

    Rows of one stratum are dealt out one by one, so that their numbers differ by at most one
    between folds. Subjects and scenes that are known are dealt out whole, the largest first, each
    to the fold that it leaves most evenly filled. Folds depend on the seed and the ids, not on the
    order of the rows. Call it on the whole manifest, before any filter: then no training image
    stands in the test set of another filter.

    Args:
        manifest: all rows; their published splits do not matter.
        folds: how many, at least 2.
        seed: another seed gives other folds.
        by: ``image`` deals out single images even where subjects or scenes are known.

    Returns:
        Numbers from 0 to ``folds - 1``, ``[N]``.

    Raises:
        ConfigError: when a dataset has fewer rows, or fewer subjects and scenes, than folds.
    """
    fold = np.full(len(manifest), -1, dtype=np.int64)
    strata = strata_of(manifest)
    datasets = manifest["dataset"].astype("str").to_numpy()
    for dataset in sorted(set(datasets)):
        mine = np.flatnonzero(datasets == dataset)
        units = draw_units(manifest.iloc[mine], by)
        named = units.notna().to_numpy()
        together, alone = mine[named], mine[~named]
        # Rows by themselves and whole units both begin with the first fold.
        enough = max(units.nunique(), len(alone))
        if enough < folds:
            kind = "subjects or scenes" if "scene" in manifest else "subjects"
            raise ConfigError(
                f"{dataset} has {enough} {kind if len(together) else 'rows'}, "
                f"fewer than {folds} folds",
                where=f"split.folds={folds}",
                hint=f"use at most {enough} folds"
                + (", or split.by=image" if len(together) else ""),
            )
        if len(together):
            fold[together] = _deal_units(units[named], strata[together], folds, seed)
        order = np.lexsort((random_keys(manifest["id"].iloc[alone], seed), strata[alone]))
        fold[alone[order]] = np.arange(len(alone)) % folds
    return fold


def hold_out(manifest: pd.DataFrame, fold: NDArray[np.int64], held_out: int) -> pd.DataFrame:
    """A copy whose test rows are one fold and whose training rows are all others.

    Args:
        manifest: all rows.
        fold: of every row, ``[N]``.
        held_out: the fold to test on.

    Returns:
        The manifest with another ``split`` and a column ``fold`` (Int64).
    """
    changed = resplit(manifest, np.where(fold == held_out, "test", "train").astype(object))
    changed["fold"] = pd.array(fold, dtype="Int64")
    return changed


def _deal_units(
    units: pd.Series, strata: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.int64]:
    """The fold of every row: a unit goes where the sum of squares of the shares stays smallest."""
    unit, names, counts = unit_counts(units, strata)
    shares = counts / counts.sum(axis=0)
    # Among equally even folds the one with fewer rows, then the first, is filled.
    sizes = counts.sum(axis=1)
    filled, rows = np.zeros((folds, counts.shape[1])), np.zeros(folds, dtype=np.int64)
    chosen = np.empty(len(names), dtype=np.int64)
    for number in np.lexsort((random_keys(pd.Series(names), seed), -sizes)):
        # (f + s)² - f² = 2 f s + s²: only the first part differs between folds.
        cost = np.round(filled @ shares[number], 12)
        best = np.lexsort((rows, cost))[0]
        chosen[number] = best
        filled[best] += shares[number]
        rows[best] += sizes[number]
    return chosen[unit]
