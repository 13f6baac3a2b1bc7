"""How expressions and demographic groups go together in a dataset: shares and matrices.

Macro correlation is the marginals p(y), p(a); micro correlation is p(y|a), p(y|a,b), p(y|a,b,c)
(Hosseini et al., "Faces of Fairness", 2025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd

from fer_lab.bias.codes import CodedRows, code_rows
from fer_lab.bias.distributions import divide
from fer_lab.data.census import TOTAL

EXPRESSION = "expression"

Groups = Mapping[str, Sequence[str]]


def macro_correlation(frame: pd.DataFrame, classes: Sequence[str], groups: Groups) -> pd.DataFrame:
    """The marginals p(y) and p(a).

    Args:
        frame: a manifest; rows whose label is not in ``classes`` are left out.
        classes: the labels, in their order.
        groups: the groups of each attribute, in their order; other values are unknown.

    Returns:
        A row for each expression and each group: ``attribute`` (``expression`` for labels),
        ``value``, ``count`` and ``share`` among the rows where the attribute is known (NaN where
        it never is).
    """
    coded = code_rows(frame, classes, groups)
    parts = []
    for attribute, names in _axes(coded).items():
        codes = _codes_of(coded, attribute)
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        share = divide(counts, counts.sum(), np.nan)
        parts.append(
            pd.DataFrame(
                {"attribute": attribute, "value": list(names), "count": counts, "share": share}
            )
        )
    return pd.concat(parts, ignore_index=True)


def micro_correlation(
    frame: pd.DataFrame, classes: Sequence[str], groups: Groups, *, depth: int = 3
) -> pd.DataFrame:
    """The label shares inside every group and combination of groups: p(y|a), p(y|a,b), ….

    Args:
        frame: a manifest; rows whose label is not in ``classes`` are left out.
        classes: the labels, in their order.
        groups: the groups of each attribute, in their order; other values are unknown.
        depth: how many attributes are combined at most.

    Returns:
        A row for each combination and label: a column for each attribute (``all`` where it is not
        part of the combination), ``label``, ``count``, ``total`` (rows of the combination) and
        ``share`` (count / total; NaN for a combination without rows).
    """
    coded = code_rows(frame, classes, groups)
    parts = []
    for size in range(1, depth + 1):
        for members in combinations(coded.groups, size):
            counts = coded.product(members)
            total = np.broadcast_to(counts.sum(-1, keepdims=True), counts.shape).ravel()
            cells = product(*(coded.groups[attribute] for attribute in members), coded.classes)
            part = pd.DataFrame(cells, columns=[*members, "label"])
            part["count"], part["total"] = counts.ravel(), total
            part["share"] = divide(part["count"].to_numpy(), total, np.nan)
            parts.append(part)
    columns = [*coded.groups, "label", "count", "total", "share"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    table[list(coded.groups)] = table[list(coded.groups)].fillna(TOTAL)
    return table[columns]


def joint_matrix(frame: pd.DataFrame, classes: Sequence[str], groups: Groups) -> pd.DataFrame:
    """The joint shares p(u, v) of all pairs of expressions and attribute values.

    Args:
        frame: a manifest; rows whose label is not in ``classes`` are left out.
        classes: the labels, in their order.
        groups: the groups of each attribute, in their order; other values are unknown.

    Returns:
        A symmetric square table; index and columns are (``attribute``, ``value``), with
        ``expression`` as the attribute of the labels. Each entry is a share of the rows where
        both attributes are known (NaN if there is none), so that a block of two attributes sums
        to 1 and the diagonal holds the marginals.
    """
    coded = code_rows(frame, classes, groups)
    axes = _axes(coded)
    blocks = [
        [_joint(coded, one, other, len(axes[one]), len(axes[other])) for other in axes]
        for one in axes
    ]
    labels = pd.MultiIndex.from_tuples(
        [(attribute, name) for attribute, names in axes.items() for name in names],
        names=["attribute", "value"],
    )
    return pd.DataFrame(np.block(blocks), index=labels, columns=labels)


def four_way_matrix(frame: pd.DataFrame, classes: Sequence[str], groups: Groups) -> pd.DataFrame:
    """The joint shares p(y, a, b, c) of expressions and combinations of groups.

    Args:
        frame: a manifest; rows whose label is not in ``classes`` are left out.
        classes: the labels, in their order.
        groups: the groups of each attribute (age, gender and race in the study), in their order.

    Returns:
        Expressions as rows; columns are a MultiIndex with a level for each attribute. Entries are
        shares of the rows where all attributes are known, and sum to 1 (NaN if there is none).
    """
    coded = code_rows(frame, classes, groups)
    counts = coded.product(list(coded.groups)).reshape(-1, len(coded.classes)).T
    columns = pd.MultiIndex.from_product(list(coded.groups.values()), names=list(coded.groups))
    index = pd.Index(coded.classes, name=EXPRESSION)
    return pd.DataFrame(divide(counts, counts.sum(), np.nan), index=index, columns=columns)


def _axes(coded: CodedRows) -> dict[str, tuple[str, ...]]:
    return {EXPRESSION: coded.classes, **coded.groups}


def _codes_of(coded: CodedRows, attribute: str) -> np.ndarray:
    return coded.label if attribute == EXPRESSION else coded.group[attribute]


def _joint(coded: CodedRows, one: str, other: str, rows: int, columns: int) -> np.ndarray:
    first, second = _codes_of(coded, one), _codes_of(coded, other)
    known = (first >= 0) & (second >= 0)
    cells = first[known] * columns + second[known]
    counts = np.bincount(cells, minlength=rows * columns).reshape(rows, columns)
    return divide(counts, counts.sum(), np.nan)
