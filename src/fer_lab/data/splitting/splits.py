"""Who is learnt from, watched and tested: attribute filters, drawn validation and test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import attribute_column
from fer_lab.data.splitting.draws import Unit, draw_share, refuse_no_share, strata_of
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


def assign_validation(
    manifest: pd.DataFrame,
    fraction: float,
    seed: int,
    by: Unit = "subject",
    usable: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Draw a validation set from the training rows of every dataset that has none.

    The draw is stratified by expression × gender, and of whole subjects and scenes where these
    are known (see :func:`~fer_lab.data.splitting.draws.draw_share`). Which rows are drawn depends
    on the seed and the ids, not on their order. Call it on the whole manifest, before any filter.

    Args:
        manifest: all rows, with their splits.
        fraction: share of the training rows to draw, in [0, 1).
        seed: another seed draws other rows.
        by: ``image`` draws single images even where subjects or scenes are known.
        usable: which rows a run can use, ``[N]``: both sides get one where two units have one;
            None for all.

    Returns:
        A copy with ``val`` in the drawn rows' ``split``; other rows are unchanged.

    Raises:
        ConfigError: for a fraction outside [0, 1).
    """
    return _assign(manifest, "val", fraction, seed, by, usable)


def assign_test(
    manifest: pd.DataFrame,
    fraction: float,
    seed: int,
    by: Unit = "subject",
    usable: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Draw a test set from the training rows of every dataset that has no published one.

    Arguments, draw and errors are those of :func:`assign_validation`, before which it is called:
    no subject and no scene stands on both sides.

    Returns:
        A copy with ``test`` in the drawn rows' ``split``; other rows are unchanged.
    """
    return _assign(manifest, "test", fraction, seed, by, usable)


def resplit(manifest: pd.DataFrame, split: NDArray[np.object_]) -> pd.DataFrame:
    """A copy of a manifest with other values of ``split``."""
    changed = manifest.copy()
    changed["split"] = pd.Categorical(split, categories=manifest["split"].cat.categories)
    return changed


def _assign(
    manifest: pd.DataFrame,
    name: str,
    fraction: float,
    seed: int,
    by: Unit,
    usable: NDArray[np.bool_] | None,
) -> pd.DataFrame:
    refuse_no_share(f"{name}_fraction", fraction)
    split = manifest["split"].to_numpy(dtype=object).copy()
    datasets = manifest["dataset"].to_numpy(dtype=object)
    has_one = set(datasets[split == name])
    strata = strata_of(manifest)
    for dataset in sorted(set(datasets[split == "train"]) - has_one):
        rows = np.flatnonzero((split == "train") & (datasets == dataset)).astype(np.int64)
        split[draw_share(manifest, rows, strata, fraction, seed, by, usable)] = name
    return resplit(manifest, split)
