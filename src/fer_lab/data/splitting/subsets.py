"""Balanced subsets: as many rows of every group and expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import attribute_column
from fer_lab.data.splitting.draws import cell_codes, random_keys, rank_within
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError


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
    keys = random_keys(manifest["id"], seed)
    rank = rank_within(cell_codes(manifest, by), keys)
    return np.sort(np.lexsort((keys, rank))[:count]).astype(np.int64)


def equal_cells(
    manifest: pd.DataFrame, by: Sequence[str], seed: int = 0, match: str | None = None
) -> tuple[NDArray[np.int64], int]:
    """Choose equally many rows of every cell of ``by``, as many as the rarest cell has.

    Rows of which one of the attributes is not known belong to no cell. The cells are all
    combinations of the values that occur.

    Args:
        manifest: the rows to choose from.
        by: attributes, or ``label``.
        seed: another seed chooses others; the order of the rows has no influence.
        match: an attribute of ``by``. The draw then has the size that a single one of its groups
            has otherwise, with the groups mixed evenly: what a mixture does can be told apart
            from what twice the data do. The groups' numbers differ by at most one in each
            combination of the other attributes.

    Returns:
        Positions in ``manifest``, sorted, and the rows of the rarest cell.

    Raises:
        ConfigError: for an attribute that the manifest does not have, or ``match`` outside ``by``.
        DataError: when a cell has no rows.

    Source: the gender-split study on AffectNet, whose female and male sets are drawn equal per
    gender and expression and whose mixed set is their union.
    """
    if match is not None and match not in by:
        raise ConfigError(
            f"match={match} is not among the balanced attributes",
            where=f"split.match, split.balance={list(by)}",
            hint=f"add {match} to split.balance",
        )
    columns = [
        manifest[name if name == "label" else attribute_column(manifest, name)].astype("str")
        for name in by
    ]
    known = np.ones(len(manifest), dtype=bool)
    for column in columns:
        known &= (column != UNKNOWN).to_numpy()
    rows = np.flatnonzero(known).astype(np.int64)
    # A class of which nobody's group is known is an empty cell, not a class fewer.
    names = [sorted(set(column.unique()) - {UNKNOWN}) for column in columns]
    places = [
        pd.Index(found, dtype="str").get_indexer(pd.Index(column.iloc[rows])).astype(np.int64)
        for column, found in zip(columns, names, strict=True)
    ]
    sizes = [len(each) for each in names]
    cells = np.ravel_multi_index(tuple(places), sizes) if len(rows) else places[0]
    counts = np.bincount(cells, minlength=int(np.prod(sizes)))
    rarest = int(counts.min(initial=len(rows)))
    if rarest == 0:
        raise DataError(
            "nothing is left to balance"
            if len(rows) == 0
            else f"no row is {_cell(by, names, sizes, int(counts.argmin()))}",
            where=f"split.balance={list(by)}",
            hint="leave that value out of the classes or of the data, or balance fewer attributes",
        )
    keys = random_keys(manifest["id"].iloc[rows], seed)
    rank = rank_within(cells.astype(np.int64), keys)
    chosen = rank < rarest
    if match is not None:
        axis = list(by).index(match)
        others = [each for number, each in enumerate(places) if number != axis]
        rest = [size for number, size in enumerate(sizes) if number != axis]
        combination = np.ravel_multi_index(tuple(others), rest) if rest else places[0] * 0
        # Who gets the odd row rotates from one combination to the next.
        turn = (places[axis] + combination) % sizes[axis]
        chosen &= rank_within(combination.astype(np.int64), rank, turn) < rarest
    return np.sort(rows[chosen]), rarest


def _cell(by: Sequence[str], names: Sequence[Sequence[str]], sizes: list[int], code: int) -> str:
    """A cell in words."""
    places = np.unravel_index(code, sizes)
    return ", ".join(
        f"{attribute} {values[int(place)]}"
        for attribute, values, place in zip(by, names, places, strict=True)
    )
