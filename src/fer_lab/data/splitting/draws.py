"""Draws of rows, whole subjects and whole scenes, fixed by (seed, id) in any order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lab.data.manifest import attribute_column
from fer_lab.errors import ConfigError

Unit = Literal["subject", "image"]
"""What stays together in a draw: all images of a subject and all faces of a scene, or one image."""


def refuse_no_share(name: str, fraction: Any) -> None:
    """A share to draw leaves something: it is a number in [0, 1).

    Raises:
        ConfigError: for anything else, under ``split.<name>``.
    """
    number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
    if not number or not 0 <= fraction < 1:
        raise ConfigError(
            f"{name}={fraction!r} is no share of the training rows",
            where=f"split.{name}",
            hint="choose a number from 0 up to, but not including, 1",
        )


def strata_of(manifest: pd.DataFrame) -> NDArray[np.int64]:
    """The stratum of every row, expression × gender: each draw has them in the same proportions.

    The expression counts even where something else is told apart, so that the same rows are drawn
    whatever the target; where no expression is known, the target's own classes do.
    """
    expression = "expression" if "expression" in manifest else "label"
    return cell_codes(manifest, (expression, "gender"))


def draw_units(manifest: pd.DataFrame, by: Unit) -> pd.Series:
    """What every row of one dataset is drawn together with, ``[N]``; NA for a row by itself.

    Rows of one subject belong together, and rows of one scene (a photograph of several people, a
    video): so do all that these link, as the faces of two people in one photograph link all
    images of both.

    Args:
        manifest: rows of one dataset, with ``subject`` and perhaps ``scene``.
        by: ``image`` gives every row to itself.
    """
    subject = manifest["subject"].astype("str")
    if by == "image":
        return pd.Series(None, manifest.index, dtype="str")
    if "scene" not in manifest or manifest["scene"].replace("", None).isna().all():
        return subject
    scene = "scene " + manifest["scene"].astype("str").replace("", None)
    codes, found = pd.factorize(pd.concat([subject, scene]), sort=True)
    names = found.to_numpy(dtype=object)
    of_subject, of_scene = codes[: len(manifest)], codes[len(manifest) :]
    both = (of_subject >= 0) & (of_scene >= 0)
    links = coo_array(
        (np.ones(both.sum()), (of_subject[both], of_scene[both])), shape=(len(names), len(names))
    )
    _, linked = connected_components(links, directed=False)
    code = np.where(of_subject >= 0, of_subject, of_scene)
    unit = linked[code]
    # The one face of a photograph is a row like any other.
    single = (of_subject < 0) & (np.bincount(unit[code >= 0], minlength=len(names))[unit] == 1)
    # The name that comes first does not depend on the order of the rows.
    first = names[np.unique(linked, return_index=True)[1]]
    named = pd.Series(first[unit], manifest.index, dtype="str")
    return named.where((code >= 0) & ~single)


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
    usable: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Draw a share of one dataset's rows, stratified.

    Each stratum gives ``fraction`` of its rows, to within one. Where subjects or scenes are
    known, whole ones are drawn, in an order set by the seed, each taken if it brings the strata
    nearer to their shares. Where that leaves no usable row among those drawn, or among the
    others, one more unit is drawn or given back.

    Args:
        manifest: the table, of which ``id``, ``subject`` and ``scene`` are used.
        rows: positions to draw from.
        strata: a number for every row of ``manifest``.
        fraction: share to draw, in [0, 1).
        seed: another seed draws other rows.
        by: ``image`` draws single rows even where subjects or scenes are known.
        usable: which rows of ``manifest`` are of use, ``[N]``; None for all.

    Returns:
        Positions in ``manifest``.
    """
    units = draw_units(manifest.iloc[rows], by)
    named = units.notna().to_numpy()
    drawn = np.zeros(len(rows), dtype=bool)
    ids = manifest["id"].iloc[rows]
    alone, together = np.flatnonzero(~named), np.flatnonzero(named)
    keys = random_keys(ids[~named], seed)
    drawn[alone[_draw_rows(strata[rows[alone]], keys, fraction)]] = True
    drawn[together[_draw_units(units[named], strata[rows[together]], fraction, seed)]] = True
    if usable is not None and fraction > 0:
        _even_out(drawn, units.where(named, ids), usable[rows], seed)
    return rows[drawn]


def unit_counts(
    units: pd.Series, strata: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[str], NDArray[np.int64]]:
    """Number of the unit of every row, the units' names, and rows per unit × stratum."""
    unit, names = pd.factorize(units, sort=True)
    kinds, stratum = np.unique(strata, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)), dtype=np.int64)
    np.add.at(counts, (unit, stratum), 1)
    return unit.astype(np.int64), [str(name) for name in names], counts


def _draw_rows(
    strata: NDArray[np.int64], keys: NDArray[np.uint64], fraction: float
) -> NDArray[np.int64]:
    """Every (1 / fraction)-th row of the strata laid end to end, each in random order."""
    order = np.lexsort((keys, strata))
    steps = np.floor(np.arange(len(order) + 1) * fraction + 0.5)
    drawn: NDArray[np.int64] = order[np.diff(steps) > 0]
    return drawn


def _draw_units(
    units: pd.Series, strata: NDArray[np.int64], fraction: float, seed: int
) -> NDArray[np.int64]:
    """The rows of the units drawn: at least one of them, and never all."""
    unit, names, counts = unit_counts(units, strata)
    if fraction == 0 or len(names) < 2:
        return np.empty(0, dtype=np.int64)
    lacking = counts.sum(axis=0) * fraction
    sizes = (counts**2).sum(axis=1)
    order = np.argsort(random_keys(pd.Series(names), seed))
    drawn = np.zeros(len(names), dtype=bool)
    for number in order[:-1]:
        if 2 * (counts[number] @ lacking) > sizes[number]:
            lacking = lacking - counts[number]
            drawn[number] = True
    if not drawn.any():
        drawn[order[np.argmin(sizes[order] - 2 * (counts[order] @ lacking))]] = True
    return np.flatnonzero(drawn[unit]).astype(np.int64)


def _even_out(
    drawn: NDArray[np.bool_], units: pd.Series, usable: NDArray[np.bool_], seed: int
) -> None:
    """Leave something usable on both sides, in place, where two units have it."""
    unit, names = pd.factorize(units, sort=True)
    useful = np.unique(unit[usable])
    if len(useful) < 2 or len(np.unique(drawn[usable])) == 2:
        return
    moved = useful[np.argmin(random_keys(pd.Series(names[useful]), seed))]
    drawn[unit == moved] ^= True
