"""Predictions counted: one row for each combination of what is known about a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

Integers = NDArray[np.int64]

# A joint code beyond this is compressed before another column is joined to it.
_LARGEST_CODE = 2**40


@dataclass(frozen=True)
class Cells:
    """Samples that are alike in everything, counted; the table behind every figure.

    A sampling unit is what is drawn again by the bootstrap: one kind of sample (``copies`` of
    it were seen), or one subject with all its samples.

    Attributes:
        classes: names of the expressions.
        groups: ``{attribute: names of its known groups}``.
        group: by row and attribute, ``[K, A]``; the number of known groups stands for unknown.
        label: true class of each row, ``[K]``.
        prediction: predicted class, ``[K]``.
        count: samples of the row in one copy of its unit, ``[K]``.
        unit: sampling unit of each row, ``[K]`` in ``0 … U - 1``.
        copies: how often each unit was seen, ``[U]``.
        confidence_bin: bin of the confidence, ``[K]``; None without probabilities.
        confidence: mean confidence of the row's samples, ``[K]`` in [0, 1].
        clustered: whether units are subjects.
    """

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    group: Integers
    label: Integers
    prediction: Integers
    count: Integers
    unit: Integers
    copies: Integers
    confidence_bin: Integers | None = None
    confidence: NDArray[np.float64] | None = None
    clustered: bool = False

    @property
    def slots(self) -> list[int]:
        """Groups of each attribute, the unknown one counted."""
        return [len(names) + 1 for names in self.groups.values()]

    @property
    def samples(self) -> Integers:
        """Samples of each row over all copies of its unit, ``[K]``."""
        seen: Integers = self.count * self.copies[self.unit]
        return seen

    def rows(self) -> NDArray[np.int64]:
        """Lines of the report that a row counts in: all samples, then a group per attribute.

        Shape ``[K, 1 + A]``, as positions in the list of all samples and every attribute's slots.
        """
        starts = 1 + np.concatenate([[0], np.cumsum(self.slots)[:-1]]).astype(np.int64)
        lines = self.group + starts[: self.group.shape[1]]
        return np.concatenate([np.zeros((len(lines), 1), dtype=np.int64), lines], axis=1)


def joint_cells(
    joint: Tensor, classes: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> Cells:
    """Cells of a table over the product of all attributes.

    Args:
        joint: counts ``[J, C, C]``; each attribute has one more slot at its end for unknown.
        classes: names of the expressions.
        groups: names of the known groups, in the order of the product.
    """
    counts = joint.detach().cpu().long().numpy()
    occupied, label, prediction = np.nonzero(counts)
    slots = [len(names) + 1 for names in groups.values()]
    group = (
        np.stack(np.unravel_index(occupied, slots), axis=1) if slots else occupied[:, None][:, :0]
    )
    return Cells(
        tuple(classes),
        {attribute: tuple(names) for attribute, names in groups.items()},
        group.astype(np.int64),
        label,
        prediction,
        np.ones(len(label), dtype=np.int64),
        np.arange(len(label)),
        counts[occupied, label, prediction],
    )


def distinct(*columns: Integers) -> tuple[Integers, Integers]:
    """Number the distinct rows of integer columns (each from 0 up).

    Returns:
        The number of every row ``[n]``, and the position of the first row of each number.
    """
    code = np.zeros(len(columns[0]), dtype=np.int64)
    size = 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if size * width > _LARGEST_CODE:
            kinds, code = np.unique(code, return_inverse=True)
            size = len(kinds)
        code, size = code * width + column, size * width
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    return number, first


def indicator(columns: Integers, values: NDArray[np.float64], width: int) -> sparse.csr_array:
    """Matrix with ``values[i]`` at ``columns[i, j]`` of row i, shape ``[rows, width]``."""
    rows, entries = columns.shape
    pointer = np.arange(0, rows * entries + 1, max(entries, 1))[: rows + 1]
    data = np.repeat(values, entries)
    return sparse.csr_array((data, columns.ravel(), pointer), shape=(rows, width))


def as_tensor(values: NDArray[np.generic]) -> Tensor:
    """A float64 tensor of an array."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
