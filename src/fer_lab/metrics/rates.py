"""Rates of a confusion matrix: one class against the rest, and over all classes.

Every function takes counts ``[..., C, C]`` (rows true, columns predicted) of any number type and
works in float64. A rate without samples to compute it from is NaN, never 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Average = Literal["none", "macro", "weighted"]
Balance = Literal["share", "rate_ratio", "count_ratio"]

Floor = int | Tensor
"""A smallest denominator: one number, or one for each rate."""


class OneVsRest(NamedTuple):
    """Counts of each class against the rest, float64 ``[..., C]`` each."""

    hits: Tensor
    positives: Tensor
    predicted: Tensor
    total: Tensor

    @property
    def negatives(self) -> Tensor:
        """Samples of the other classes."""
        return self.total - self.positives

    @property
    def misses(self) -> Tensor:
        """False negatives."""
        return self.positives - self.hits

    @property
    def false_alarms(self) -> Tensor:
        """False positives."""
        return self.predicted - self.hits

    @property
    def errors(self) -> Tensor:
        """Misses and false alarms."""
        return self.misses + self.false_alarms


def one_vs_rest(confusion: Tensor) -> OneVsRest:
    """Count hits, true and predicted samples of each class.

    Args:
        confusion: counts, shape ``[..., C, C]``.

    Raises:
        ValueError: if the last two dimensions are not a square.
    """
    if confusion.ndim < 2 or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"not a confusion [..., C, C]: shape {tuple(confusion.shape)}")
    positives = confusion.sum(-1).double()
    return OneVsRest(
        hits=confusion.diagonal(dim1=-2, dim2=-1).double(),
        positives=positives,
        predicted=confusion.sum(-2).double(),
        total=positives.sum(-1, keepdim=True).expand_as(positives),
    )


def accuracy(confusion: Tensor) -> Tensor:
    """Share of samples predicted right, ``[..., C, C] -> [...]`` in [0, 1]; NaN without samples.

    >>> accuracy(torch.tensor([[3, 1], [0, 4]])).item()
    0.875
    """
    counts = one_vs_rest(confusion)
    return counts.hits.sum(-1) / counts.total[..., 0]


def true_positive_rate(confusion: Tensor, min_count: Floor = 0) -> Tensor:
    """``P(ŷ = y | y)``, the recall of each class, ``[..., C, C] -> [..., C]`` in [0, 1].

    Args:
        confusion: counts, shape ``[..., C, C]``.
        min_count: classes with fewer true samples are NaN.

    >>> true_positive_rate(torch.tensor([[3, 1], [0, 0]]))
    tensor([0.7500,    nan], dtype=torch.float64)
    """
    counts = one_vs_rest(confusion)
    return _rate(counts.hits, counts.positives, min_count)


def false_positive_rate(confusion: Tensor, min_count: Floor = 0) -> Tensor:
    """``P(ŷ = y | not y)`` of each class, ``[..., C, C] -> [..., C]`` in [0, 1].

    Args:
        confusion: counts, shape ``[..., C, C]``.
        min_count: classes with fewer samples of the other classes are NaN.
    """
    counts = one_vs_rest(confusion)
    return _rate(counts.false_alarms, counts.negatives, min_count)


def selection_rate(confusion: Tensor, min_count: Floor = 0) -> Tensor:
    """``P(ŷ = y)``, the share of predictions, ``[..., C, C] -> [..., C]`` in [0, 1].

    Args:
        confusion: counts, shape ``[..., C, C]``.
        min_count: NaN where there are fewer samples in all.
    """
    counts = one_vs_rest(confusion)
    return _rate(counts.predicted, counts.total, min_count)


def error_balance(confusion: Tensor, balance: Balance = "share", min_count: Floor = 0) -> Tensor:
    """How the errors about each class divide into misses and false alarms.

    Args:
        confusion: counts, shape ``[..., C, C]``.
        balance: ``"share"`` = FN / (FN + FP) in [0, 1]; ``"rate_ratio"`` = FNR / FPR and
            ``"count_ratio"`` = FN / FP, both unbounded and NaN without a false alarm.
        min_count: classes with fewer errors (FN + FP) are NaN.

    Returns:
        float64 ``[..., C]``; NaN where there is no error.

    Raises:
        ValueError: for another balance.

    Source: Hosseini et al. 2025, Eq. 11 (``rate_ratio`` as printed, ``count_ratio`` as in its
    prose; the share is the bounded form of the latter).
    """
    counts = one_vs_rest(confusion)
    misses, false_alarms = counts.misses, counts.false_alarms
    if balance == "share":
        values = misses / counts.errors
    elif balance == "count_ratio":
        values = _rate(misses, false_alarms)
    elif balance == "rate_ratio":
        values = _rate(_rate(misses, counts.positives), _rate(false_alarms, counts.negatives))
    else:
        raise ValueError(f"balance={balance!r}: use share, rate_ratio or count_ratio")
    return values.masked_fill(counts.errors < min_count, torch.nan)


def precision(confusion: Tensor) -> Tensor:
    """Share of each class's predictions that are right, ``[..., C]``; NaN if never predicted."""
    counts = one_vs_rest(confusion)
    return _rate(counts.hits, counts.predicted)


def f1_score(confusion: Tensor, average: Average = "macro") -> Tensor:
    """Harmonic mean of precision and recall, ``2 TP / (2 TP + FP + FN)``.

    Args:
        confusion: counts, shape ``[..., C, C]``.
        average: ``"none"`` gives each class ``[..., C]``; ``"macro"`` their mean and
            ``"weighted"`` their mean weighted by true samples, ``[...]``.

    Returns:
        float64 in [0, 1]; a class that is neither true nor predicted is NaN and left out of
        the means.

    Raises:
        ValueError: for another average.

    >>> f1_score(torch.tensor([[3, 1], [0, 4]]), average="none")
    tensor([0.8571, 0.8889], dtype=torch.float64)
    """
    counts = one_vs_rest(confusion)
    values = _rate(2 * counts.hits, counts.positives + counts.predicted)
    if average == "none":
        return values
    if average == "macro":
        return values.nanmean(-1)
    if average == "weighted":
        return (values * counts.positives).nansum(-1) / counts.total[..., 0]
    raise ValueError(f"average={average!r}: use none, macro or weighted")


def mean_class_accuracy(confusion_matrix: Tensor) -> Tensor:
    """Mean over the classes of the share predicted right (balanced accuracy).

    Args:
        confusion_matrix: counts, shape ``[..., C, C]``.

    Returns:
        float64 ``[...]`` in [0, 1]; classes without samples are left out.

    >>> mean_class_accuracy(torch.tensor([[1, 1, 0], [0, 4, 0], [0, 0, 0]])).item()
    0.75
    """
    return true_positive_rate(confusion_matrix).nanmean(-1)


def _rate(numerator: Tensor, denominator: Tensor, min_count: Floor = 0) -> Tensor:
    """Divide; NaN where the denominator is 0, NaN or below ``min_count``."""
    defined = (denominator > 0) & (denominator >= min_count)
    return torch.where(defined, numerator / denominator, torch.nan)
