"""Fairness figures joined over expressions, metrics and attributes (Hosseini et al. 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BiasScore:
    """What `aggregate_bias` gives.

    Attributes:
        per_metric: the largest value over expressions, ``{attribute: {metric: value}}``.
        per_attribute: the mean over metrics, ``{attribute: value}``.
        overall: the mean over attributes.
        undefined: how many values were undefined and skipped.
    """

    per_metric: dict[str, dict[str, float]]
    per_attribute: dict[str, float]
    overall: float
    undefined: int


def aggregate_bias(
    values: Mapping[str, Mapping[str, Sequence[float | None] | Tensor]],
) -> BiasScore:
    """Join fairness figures: max over expressions, mean over metrics, mean over attributes.

    Args:
        values: ``{attribute: {metric: a value for each expression}}``; NaN and None are skipped.

    Returns:
        The scores, NaN where nothing is left to join.

    Source: Hosseini et al. 2025, Eqs. 12-14.

    >>> score = aggregate_bias({"gender": {"equal_opportunity": [0.1, 0.3, float("nan")],
    ...                                    "demographic_parity": [0.2, 0.1, 0.0]}})
    >>> score.per_metric["gender"]["equal_opportunity"], score.overall, score.undefined
    (0.3, 0.25, 1)
    """
    per_metric: dict[str, dict[str, float]] = {}
    undefined = 0
    for attribute, metrics in values.items():
        per_metric[attribute] = {}
        for metric, expressions in metrics.items():
            numbers = torch.tensor(
                [torch.nan if value is None else float(value) for value in expressions],
                dtype=torch.float64,
            )
            undefined += int(numbers.isnan().sum())
            largest = nanmax(numbers) if len(numbers) else torch.tensor(torch.nan)
            per_metric[attribute][metric] = largest.item()
    per_attribute = {
        attribute: _mean(list(metrics.values())) for attribute, metrics in per_metric.items()
    }
    return BiasScore(per_metric, per_attribute, _mean(list(per_attribute.values())), undefined)


def nanmax(values: Tensor, dim: int = -1) -> Tensor:
    """The largest value along ``dim``, NaN skipped; NaN where all are."""
    highest = values.masked_fill(values.isnan(), -torch.inf).amax(dim)
    return highest.masked_fill(highest == -torch.inf, torch.nan)


def _mean(values: Sequence[float]) -> float:
    return torch.tensor(values, dtype=torch.float64).nanmean().item()
