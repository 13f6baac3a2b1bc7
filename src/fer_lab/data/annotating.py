"""Annotations of several datasets, joined before their attributes are brought to common groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fer_lab.data.assets import ARRAY_SHAPES, Assets, assets
from fer_lab.data.manifest import merge
from fer_lab.data.schema import PREFERRED_ORDER
from fer_lab.data.sources.external import annotate
from fer_lab.data.vocabulary import UNKNOWN


def annotate_each(
    parts: Sequence[pd.DataFrame], annotations: Sequence[Mapping[str, Any]]
) -> list[pd.DataFrame]:
    """Join annotations onto each of several datasets.

    What a file says is looked for among the faces of all datasets together: a name that two of
    them have is ambiguous, and what is found in one of them is not missed in another. A dataset
    of which nothing is said keeps its groups and their sources.

    Args:
        parts: a manifest for each dataset.
        annotations: files, see :func:`~fer_lab.data.sources.external.annotate`.

    Returns:
        The manifests. What speaks of no face is counted and listed in the assets of the first.

    Raises:
        ConfigError: for another kind or option.
        DataError: for files that are not as promised, or a match that is not one to one.
    """
    if not annotations:
        return list(parts)
    # Different groups of one attribute may stand side by side here: nothing compares them.
    together = merge(parts, agreed={str(name) for part in parts for name in part.columns})
    joined = annotate(together, annotations).manifest
    bounds = np.cumsum([0, *(len(part) for part in parts)])
    rows = [slice(*each) for each in pairwise(bounds)]
    annotated = [part.copy() for part in parts]
    for name in map(str, joined.columns):
        if name in ARRAY_SHAPES:
            continue
        after = [joined[name].iloc[each] for each in rows]
        if name in together:
            before = [together[name].iloc[each] for each in rows]
            spoken_of = [not _same(*each) for each in zip(before, after, strict=True)]
        else:
            spoken_of = [True] * len(parts)
        groups = _groups(name, [each for each, said in zip(after, spoken_of, strict=True) if said])
        for part, values, said in zip(annotated, after, spoken_of, strict=True):
            if said:
                column = values.set_axis(part.index)
                part[name] = column if groups is None else column.cat.set_categories(groups)
    first, known, found = assets(parts[0]), assets(together), assets(joined)
    counts = {
        reason: count - known.dropped.get(reason, 0) for reason, count in found.dropped.items()
    }
    for reason, count in first.dropped.items():
        counts[reason] = counts.get(reason, 0) + count
    annotated[0].attrs["assets"] = Assets(
        first.arrays,
        first.readers,
        {reason: count for reason, count in counts.items() if count},
        first.roots,
        pd.concat([first.unmatched, found.unmatched[len(known.unmatched) :]], ignore_index=True),
    )
    return annotated


def _same(before: pd.Series, after: pd.Series) -> bool:
    missing = before.isna().to_numpy()
    equal = before.astype("str").to_numpy() == after.astype("str").to_numpy()
    return bool(np.all(np.where(missing, after.isna().to_numpy(), equal)))


def _groups(name: str, columns: Sequence[pd.Series]) -> list[str] | None:
    """The groups of a demographic attribute in the datasets that are spoken of.

    Those that other datasets had beside them belong to these.
    """
    if name not in PREFERRED_ORDER or not columns:
        return None
    found = {str(value) for column in columns for value in column.unique()} - {UNKNOWN}
    usual = PREFERRED_ORDER[name]
    every = [str(value) for value in columns[0].cat.categories]
    return [*(usual if found <= set(usual) else [g for g in every if g in found]), UNKNOWN]
