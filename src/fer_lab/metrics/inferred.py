"""How far gaps between inferred groups would move if the groups were the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fer_lab.errors import ConfigError
from fer_lab.metrics.aggregation import nanmax
from fer_lab.metrics.breakdown import Breakdown
from fer_lab.metrics.headline import FAIRNESS_METRICS, Floors, Variants, metric_values

# Beyond this, errors of a percent in the matrix become errors of a fifth in the groups.
_WORST_CONDITION = 20.0


def adjusted_counts(confusion: Tensor, inference: ArrayLike) -> tuple[Tensor, float]:
    """Counts by true group, from counts by inferred group.

    With ``M[a, b] = P(inferred b | true a)``, the expected count of inferred group b in any cell
    of label and prediction is ``Σ_a N[a] · M[a, b]``, which is solved for N. This is the matrix
    method of epidemiology, and takes errors of the inference as independent of the prediction
    and the label given the true group. Counts that come out negative are set to 0.

    Args:
        confusion: counts by inferred group, ``[G, C, C]``.
        inference: counts or shares, true groups in rows, inferred ones in columns, ``[G, G]``.

    Returns:
        float64 ``[G, C, C]``, and the condition number of the matrix.

    Raises:
        ConfigError: when the matrix does not fit the groups, is negative, or has an empty row.

    Source: Barron 1977, "The effects of misclassification on the estimation of relative risk"
    (matrix method).
    """
    matrix = np.asarray(inference, dtype=np.float64)
    size = len(confusion)
    if matrix.shape != (size, size):
        raise ConfigError(
            f"the confusion of the inference has shape {matrix.shape}, there are {size} groups",
            where="inference",
            hint="true groups in rows, inferred groups in columns, in the order of the report",
        )
    sums = matrix.sum(axis=1)
    if not np.isfinite(matrix).all() or (matrix < 0).any() or (sums <= 0).any():
        raise ConfigError(
            "the confusion of the inference has a negative or missing number or an empty row",
            where="inference",
            hint="give the counts of a labelled sample, with some of every true group",
        )
    shares = matrix / sums[:, None]
    condition = float(np.linalg.cond(shares))
    if condition > _WORST_CONDITION:
        return torch.full_like(confusion, torch.nan, dtype=torch.float64), condition
    flat = confusion.double().reshape(size, -1).numpy()
    solved = torch.from_numpy(np.linalg.solve(shares.T, flat)).reshape(confusion.shape)
    return solved.clamp(min=0.0), condition


def adjusted_gaps(
    confusion: Tensor,
    inference: ArrayLike,
    min_count: int = 0,
    variants: Variants | None = None,
) -> dict[str, dict[str, float | str | None]]:
    """Each fairness metric before and after `adjusted_counts`, the largest over expressions.

    Args:
        confusion: counts by inferred group, ``[G, C, C]``.
        inference: see `adjusted_counts`.
        min_count: smallest denominator with which a group enters a gap, before and after.
        variants: forms of the metrics.

    Returns:
        By metric: ``value`` (inferred groups), ``adjusted``, ``change``, NaN where undefined, and
        ``reason`` where ``adjusted`` is (else None).
    """
    chosen = variants or Variants()
    floors = Floors(*[min_count] * 4)
    solved, condition = adjusted_counts(confusion, inference)
    before = nanmax(metric_values(confusion, confusion, floors, chosen))
    if condition > _WORST_CONDITION:
        after = torch.full_like(before, torch.nan)
        reason = (
            f"the inference tells the groups apart too badly to be inverted"
            f" (condition number {condition:.3g}, at most {_WORST_CONDITION:g})"
        )
    else:
        after = nanmax(metric_values(solved, solved, floors, chosen))
        reason = f"fewer than two groups have the {max(min_count, 1)} samples that the rate needs"
    return {
        metric: {
            "value": value.item(),
            "adjusted": adjusted.item(),
            "change": (adjusted - value).item(),
            "reason": reason if adjusted.isnan() else None,
        }
        for metric, value, adjusted in zip(FAIRNESS_METRICS, before, after, strict=True)
    }


def adjusted_section(
    breakdown: Breakdown, attribute: str, inference: ArrayLike
) -> Mapping[str, Any]:
    """`adjusted_gaps` of an audited attribute for a document: None where undefined.

    Raises:
        ConfigError: when the attribute is not audited, or the matrix does not fit it.
    """
    if attribute not in breakdown.groups:
        raise ConfigError(
            f"inference is given for {attribute!r}, which is not audited",
            where="inference",
            hint=f"audited attributes: {', '.join(breakdown.groups)}",
        )
    gaps = adjusted_gaps(
        breakdown.known(attribute), inference, breakdown.min_count, breakdown.variants
    )
    return {
        metric: {
            key: None if isinstance(value, float) and np.isnan(value) else value
            for key, value in entry.items()
        }
        for metric, entry in gaps.items()
    }
