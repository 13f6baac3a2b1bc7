"""Manifest columns as integer codes, and counts over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_lab.data.manifest import attribute_column
from fer_lab.data.schema import ATTRIBUTE_PREFIX

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class CodedRows:
    """The labelled rows of a manifest.

    Attributes:
        classes: names of the labels.
        groups: ``{attribute: names of its groups}``.
        label: index into ``classes``, ``[N]``.
        group: index into the attribute's groups, -1 for unknown, ``{attribute: [N]}``.
        rows: which rows of the table these are, ``[N]``.
        left_out: how many rows have a label outside ``classes``.
    """

    classes: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    label: Codes
    group: dict[str, Codes]
    rows: Codes
    left_out: int

    def counts(self, attribute: str) -> Codes:
        """Rows by group and label, unknown groups left out, ``[groups, labels]``."""
        return self.product([attribute]).reshape(len(self.groups[attribute]), len(self.classes))

    def product(self, attributes: Sequence[str]) -> Codes:
        """Rows whose groups are all known, by group of every attribute and label.

        Returns:
            Counts ``[groups of the first, groups of the second, …, labels]``.
        """
        shape = tuple(len(self.groups[attribute]) for attribute in attributes)
        columns = [self.group[attribute] for attribute in attributes]
        known = np.logical_and.reduce([column >= 0 for column in columns])
        parts = [*(column[known] for column in columns), self.label[known]]
        shape = (*shape, len(self.classes))
        cells = np.ravel_multi_index(parts, shape)
        return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def code_rows(
    frame: pd.DataFrame, classes: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> CodedRows:
    """Code labels and groups by their place in ``classes`` and ``groups``.

    Args:
        frame: a manifest, or any table with ``label`` and a column for each attribute (by its
            name or as ``attribute_<name>``).
        classes: the labels, in their order; rows with another one are left out.
        groups: the groups of each attribute, in their order; any other value is unknown.

    Raises:
        ConfigError: if the table has no column for an attribute.
    """
    label = _codes(frame["label"], classes)
    rows = np.flatnonzero(label >= 0)
    return CodedRows(
        classes=tuple(classes),
        groups={attribute: tuple(names) for attribute, names in groups.items()},
        label=label[rows],
        group={
            attribute: _codes(_column(frame, attribute), names)[rows]
            for attribute, names in groups.items()
        },
        rows=rows,
        left_out=len(frame) - len(rows),
    )


def _column(frame: pd.DataFrame, attribute: str) -> pd.Series:
    for name in (attribute, ATTRIBUTE_PREFIX + attribute):
        if name in frame:
            return frame[name]
    return frame[attribute_column(frame, attribute)]


def _codes(column: pd.Series, names: Sequence[str]) -> Codes:
    """The place of each value in ``names``, -1 for others."""
    codes, values = pd.factorize(column)
    places = {name: place for place, name in enumerate(names)}
    found = np.array([places.get(str(value), -1) for value in values] + [-1], dtype=np.int64)
    return found[codes]
