"""Who the samples of a table of predictions are: groups by attribute, and where they are from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_lab.data.ages import age_range
from fer_lab.data.predictions.table import (
    PROBABILITY,
    RESERVED,
    SOURCE,
    Table,
    missing_column,
)
from fer_lab.data.schema import DEMOGRAPHICS, NO_SOURCE, PREFERRED_ORDER, as_groups
from fer_lab.data.sources.layout import numbers
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import DataError

ANNOTATED = "annotated"

# A column of more different values names things, not groups.
_MOST_GROUPS = 20


def attribute_names(table: Table, asked: Sequence[str] | None) -> list[str]:
    """The columns of groups: those asked for, or all that look like it."""
    if asked is not None:
        for name in asked:
            if name not in table.frame:
                raise missing_column(table, name, option="attributes")
        return list(dict.fromkeys(asked))
    found = [
        name
        for name in table.names
        if name not in RESERVED and not name.startswith(PROBABILITY)
        if not name.endswith(SOURCE) and _looks_like_groups(table, name)
    ]
    first = [name for name in DEMOGRAPHICS if name in found]
    return [*first, *(name for name in found if name not in first)]


def _looks_like_groups(table: Table, name: str) -> bool:
    column = table.frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return False
    text = column.dropna().astype("str")
    few = text.nunique() <= _MOST_GROUPS
    # A CSV file has no types: numbers are groups only where they are asked for.
    return few and (name in DEMOGRAPHICS or not _all_numbers(text))


def _all_numbers(text: pd.Series) -> bool:
    return len(text) > 0 and bool(np.isfinite(numbers(text)[0]).all())


def groups_of(table: Table, name: str) -> pd.Categorical:
    """A column of groups, the unknown last."""
    column = table.frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return as_groups(column, ("no", "yes"))
    text = column.where(column.notna()).astype("str").str.strip()
    text = text.where(text != "")
    if text.nunique() > _MOST_GROUPS:
        raise DataError(
            f"{name} has {text.nunique():,} different values: these are no groups",
            where=f"{table.path}, column {name}",
            hint="cut numbers into groups first, or name other columns by attributes=[…]",
        )
    preferred: Sequence[str] = PREFERRED_ORDER.get(name, ())
    if name == "age":
        ranges = {str(group): age_range(str(group)) for group in text.dropna().unique()}
        known = {group: years for group, years in ranges.items() if years is not None}
        if set(known) - set(preferred):
            preferred = sorted(known, key=lambda group: known[group])
    return as_groups(text, preferred)


def source_of(frame: pd.DataFrame, attribute: str, default: str) -> str:
    """Where an attribute comes from: what its column of sources names, else ``default``."""
    column = f"{attribute}{SOURCE}"
    if column not in frame:
        return default
    named = sorted({str(value) for value in frame[column].dropna().unique()} - {NO_SOURCE, ""})
    return " and ".join(named) or default


def is_inferred(source: str) -> bool:
    """Whether a source is a model, not people or a drawing.

    >>> is_inferred("deepface"), is_inferred("annotated"), is_inferred("annotated and deepface")
    (True, False, True)
    """
    return source not in (ANNOTATED, "synthetic", NO_SOURCE, UNKNOWN)
