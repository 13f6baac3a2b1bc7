"""How many faces there are of whom: counts by split, label and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from fer_lab.data.manifest import SPLITS, attribute_column
from fer_lab.data.vocabulary import UNKNOWN

TOTAL = "all"


def census(
    manifest: pd.DataFrame, classes: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Count faces.

    Args:
        manifest: the rows to count, all of whose labels are in ``classes``.
        classes: the labels, in their order.
        groups: the groups of each attribute, without ``unknown``.

    Returns:
        ``split``, ``attribute``, ``group``, ``label`` and ``count``. Cells without a face
        are there with 0; ``unknown`` is there when an attribute has such rows in any split.
        First come the counts of everyone, with ``all`` as attribute and group.
    """
    splits = [split for split in SPLITS if (manifest["split"] == split).any()]
    everyone = pd.Series(TOTAL, index=manifest.index)
    parts = [_counted(manifest, everyone, splits, classes, TOTAL, [TOTAL])]
    for attribute, names in groups.items():
        column = manifest[attribute_column(manifest, attribute)].astype("str")
        known = [*names, *([UNKNOWN] if (column == UNKNOWN).any() else [])]
        parts.append(_counted(manifest, column, splits, classes, attribute, known))
    return pd.concat(parts, ignore_index=True)


def reasons(dropped: Mapping[str, int]) -> pd.DataFrame:
    """What was set aside, as ``reason`` and ``count``, the largest first."""
    table = pd.DataFrame(
        {"reason": pd.Series(list(dropped), dtype="str"), "count": list(dropped.values())}
    ).astype({"count": "int64"})
    table = table[table["count"] > 0]
    return table.sort_values(["count", "reason"], ascending=[False, True], ignore_index=True)


def _counted(
    manifest: pd.DataFrame,
    values: pd.Series,
    splits: Sequence[str],
    classes: Sequence[str],
    attribute: str,
    groups: Sequence[str],
) -> pd.DataFrame:
    """The counts of one attribute."""
    cells = pd.MultiIndex.from_product([splits, groups, classes], names=["split", "group", "label"])
    columns = [manifest["split"].astype("str"), values.astype("str"), manifest["label"]]
    found = manifest.groupby([column.to_numpy(dtype=object) for column in columns]).size()
    counts = found.reindex(cells, fill_value=0).rename("count").reset_index()
    counts.insert(1, "attribute", attribute)
    return counts
