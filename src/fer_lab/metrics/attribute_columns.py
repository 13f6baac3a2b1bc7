"""Which columns of a table are attributes, and the groups that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fer_lab.data.predictions.table import PROBABILITY
from fer_lab.data.schema import ATTRIBUTE_PREFIX, PREFERRED_ORDER, as_groups
from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError, DataError, near_miss
from fer_lab.metrics.cells import Integers

Attributes = Sequence[str] | Mapping[str, Sequence[str]] | None

NOT_ATTRIBUTES = frozenset(
    ("id", "dataset", "path", "label", "prediction", "split", "subject", "scene", "fold")
)

# Distinct values up to which a column is taken for an attribute without being named.
_MOST_GROUPS = 50


def attribute_columns(
    frame: pd.DataFrame, attributes: Attributes, messages: list[str]
) -> dict[str, str]:
    """The column of each attribute; what is passed over is said in ``messages``.

    Raises:
        ConfigError: for a named attribute that has no column.
    """
    if attributes is None:
        found = {}
        for name in map(str, frame.columns):
            if name in NOT_ATTRIBUTES or name.startswith(PROBABILITY) or name.endswith("_source"):
                continue
            if not _holds_names(frame[name]):
                continue
            if frame[name].nunique() > _MOST_GROUPS:
                messages.append(f"{name} has over {_MOST_GROUPS} values and is not audited")
                continue
            found[name.removeprefix(ATTRIBUTE_PREFIX)] = name
        return found
    columns = {}
    for attribute in attributes:
        names = [name for name in (attribute, ATTRIBUTE_PREFIX + attribute) if name in frame]
        if not names:
            near = near_miss(attribute, map(str, frame.columns))
            raise ConfigError(
                f"no attribute {attribute!r} in the predictions"
                + (f"; did you mean {near!r}?" if near else ""),
                where="attributes",
                hint=f"columns here: {', '.join(map(str, frame.columns))}",
            )
        columns[attribute] = names[0]
    return columns


def grouped(
    attribute: str, column: pd.Series, given: Sequence[str] | None
) -> tuple[tuple[str, ...], Integers]:
    """Names of the known groups in their order, and the group of each row (their number: unknown).

    Raises:
        ConfigError: for a column of numbers.
        DataError: for a group that is none of those given.
    """
    if pd.api.types.is_float_dtype(column.dtype):
        raise ConfigError(
            f"{attribute} holds numbers, not groups",
            where="attributes",
            hint="cut them to groups first, such as 0-15, 16-32",
        )
    if given is not None:
        names = tuple(given)
        stray = sorted({str(value) for value in column.dropna().unique()} - {*names, UNKNOWN})
        if stray:
            raise DataError(
                f"{attribute} holds {stray[0]!r}, which is none of its groups",
                where=f"column {attribute}",
                hint=f"its groups are {', '.join(names)}",
            )
        group = codes(column, names)
        return names, np.where(group < 0, len(names), group)
    found = as_groups(column, PREFERRED_ORDER.get(attribute, ("no", "yes")))
    names = tuple(str(name) for name in found.categories[:-1])  # the last is unknown
    return names, found.codes.astype(np.int64)


def codes(column: pd.Series, names: Sequence[str]) -> Integers:
    """Position of each value among the names, -1 for others."""
    kinds, values = pd.factorize(column)
    places = {name: place for place, name in enumerate(names)}
    lookup = np.array([places.get(str(value), -1) for value in values] + [-1], dtype=np.int64)
    found: Integers = lookup[kinds]
    return found


def _holds_names(column: pd.Series) -> bool:
    kind = column.dtype
    return isinstance(kind, pd.CategoricalDtype) or bool(
        pd.api.types.is_string_dtype(kind)
        or pd.api.types.is_object_dtype(kind)
        or pd.api.types.is_bool_dtype(kind)
    )
