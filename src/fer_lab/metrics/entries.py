"""Figures as the entries of a document: names and plain numbers, None where undefined."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from fer_lab.metrics.functional import demographic_parity_difference, equalized_odds_difference
from fer_lab.metrics.rates import accuracy
from fer_lab.metrics.resampling import Interval, Null

DIFFERENCES = {"dpd": demographic_parity_difference, "eod": equalized_odds_difference}


def worst_group(names: Sequence[str], table: Tensor, min_count: int) -> dict[str, Any]:
    """The group of lowest accuracy among those with at least ``min_count`` samples.

    Args:
        names: names of the groups.
        table: counts, shape ``[groups, C, C]``.
        min_count: smallest number of samples.

    Returns:
        ``group``, ``accuracy`` and ``count``; None, None and 0 where no group is large enough.
    """
    counts = table.sum((-2, -1))
    eligible = counts >= max(min_count, 1)
    if not eligible.any():
        return {"group": None, "accuracy": None, "count": 0}
    lowest = int(accuracy(table).masked_fill(~eligible, torch.inf).argmin())
    return {
        "group": names[lowest],
        "accuracy": number(accuracy(table[lowest])),
        "count": int(counts[lowest]),
    }


def collapsed(whole: Tensor) -> bool:
    """Whether two classes or fewer are predicted (one, if there are only two), ``[C, C]``."""
    return int(whole.any(-2).sum()) <= min(2, len(whole) - 1)


def interval_entry(interval: Interval) -> dict[str, float | None]:
    """A value with its interval."""
    return {
        "value": number(interval.value),
        "low": number(interval.low),
        "high": number(interval.high),
    }


def bounds(interval: Interval) -> dict[str, float | None]:
    """The interval of a value that stands elsewhere."""
    return {"low": number(interval.low), "high": number(interval.high)}


def gap_entry(interval: Interval, null: Null) -> dict[str, float | None]:
    """A gap with its interval and its null distribution."""
    return interval_entry(interval) | {
        "null_mean": number(null.mean),
        "null_p95": number(null.p95),
        "p": number(null.p),
        "excess": number(null.excess),
    }


def by_class(classes: Sequence[str], values: Tensor) -> dict[str, float | None]:
    """A value for each expression, by name."""
    return {name: number(value) for name, value in zip(classes, values, strict=True)}


def number(value: Tensor | float) -> float | None:
    """A plain number; None where it is undefined."""
    plain = float(value)
    return plain if isfinite(plain) else None
