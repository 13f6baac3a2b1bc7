"""The columns that say of what a table's rows are: one form for all that this program writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fer_lab.data.manifest import attribute_column
from fer_lab.data.pixels.images import Rows
from fer_lab.data.predictions.table import SOURCE
from fer_lab.data.vocabulary import UNKNOWN


def sample_columns(
    manifest: pd.DataFrame,
    rows: Rows,
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a table of predictions says of its samples beside the predictions.

    Args:
        manifest: of the datamodule.
        rows: the rows of it that were predicted, ``[N]``.
        classes: names of the classes, in their order.
        groups: the audited attributes and their groups.

    Returns:
        The columns that stand before the predictions (``id``, ``dataset``, ``label``) and those
        behind: every attribute (``unknown`` among its categories) with its
        ``<attribute>_source`` where the data say it, ``subject`` where any is known, ``fold``.
    """
    seen = manifest.iloc[rows]
    first: dict[str, Any] = {
        "id": seen["id"].to_numpy(),
        "dataset": seen["dataset"].astype(str).to_numpy(),
        "label": pd.Categorical(seen["label"].astype(str), categories=pd.Index(classes)),
    }
    last: dict[str, Any] = {}
    for attribute, names in groups.items():
        column = attribute_column(manifest, attribute)
        last[attribute] = pd.Categorical(
            seen[column].astype(str), categories=pd.Index([*names, UNKNOWN])
        )
        if f"{column}{SOURCE}" in seen:
            last[f"{attribute}{SOURCE}"] = seen[f"{column}{SOURCE}"].to_numpy()
    if manifest["subject"].notna().any():
        last["subject"] = seen["subject"].to_numpy()
    fold = seen["fold"].to_numpy() if "fold" in seen else [pd.NA] * len(rows)
    last["fold"] = pd.array(fold, dtype="Int64")
    return first, last
