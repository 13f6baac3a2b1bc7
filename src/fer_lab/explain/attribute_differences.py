"""Which regions are used more for one group than for the others, for every audited attribute."""

from __future__ import annotations

from typing import Final

import pandas as pd

from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.explain.region_differences import COLUMNS, group_differences

OTHERS: Final = "others"
_MEANS: Final = {"first": "first_mean", "second": "second_mean"}


def attribute_differences(
    table: pd.DataFrame,
    groups: pd.DataFrame,
    *,
    subjects: pd.Series | None = None,
    min_count: int = 10,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """`group_differences` of all attributes: two groups, or of more each against the rest.

    Args:
        table: figures of each image and region, as ``explain.summary.tidy`` makes them.
        groups: indexed by id, one column an attribute, values group names; ``unknown`` is none.
        subjects: indexed by id; images of one subject are drawn together.
        min_count: fewer explained images make no group.
        samples: bootstrap draws, and permutations.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed gives the same intervals and p-values.

    Returns:
        Columns ``attribute``, ``first`` and ``second`` (names of groups; the second is ``others``
        where an attribute has more than two), then those of `group_differences`, its means as
        ``first_mean`` and ``second_mean``. Holm's correction is over the regions of one comparison.
    """
    ids = pd.Index(table.loc[table["lift"].notna(), "id"].unique())
    found = []
    for attribute in groups:
        member = groups[attribute].reindex(ids)
        sizes = member[member != UNKNOWN].value_counts()
        names = [str(name) for name, size in sizes.sort_index().items() if size >= min_count]
        known = member.where(member.isin(names))
        pairs = [(name, OTHERS) for name in names] if len(names) > 2 else [tuple(names)]
        for first, second in (pair for pair in pairs if len(pair) == 2):
            side = known.where(known.isna() | (known == first), OTHERS) if len(names) > 2 else known
            rows = group_differences(
                table,
                side.dropna(),
                first,
                second,
                subjects=subjects,
                samples=samples,
                level=level,
                seed=seed,
            ).rename(columns=_MEANS)
            rows.insert(0, "attribute", str(attribute))
            rows.insert(1, "first", first)
            rows.insert(2, "second", second)
            found.append(rows)
    columns = ["attribute", "first", "second", *(_MEANS.get(name, name) for name in COLUMNS)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
