"""Fairness of a model as pure functions of one tensor, the group confusion ``[..., G, C, C]``.

Counts by group, true class (rows) and predicted class (columns); leading dimensions are batches
of such tables. Source of the four metrics and their aggregation: Hosseini et al., "Faces of
Fairness", 2025, each expression taken against the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from fer_lab.metrics.aggregation import BiasScore, aggregate_bias, nanmax
from fer_lab.metrics.rates import (
    Balance,
    Floor,
    accuracy,
    error_balance,
    f1_score,
    false_positive_rate,
    mean_class_accuracy,
    precision,
    selection_rate,
    true_positive_rate,
)
from fer_lab.metrics.resampling import Interval, Null, bootstrap, permutation_null

__all__ = [
    "BiasScore",
    "Interval",
    "Null",
    "accuracy",
    "aggregate_bias",
    "bootstrap",
    "demographic_parity",
    "demographic_parity_difference",
    "equal_opportunity",
    "equalized_odds",
    "equalized_odds_difference",
    "error_balance",
    "f1_score",
    "false_positive_rate",
    "group_confusion",
    "group_gap",
    "mean_class_accuracy",
    "permutation_null",
    "precision",
    "selection_rate",
    "treatment_equality",
    "true_positive_rate",
]

# Samples counted at a time: bounds the memory (8 MB a copy) and stays near the cache.
_CHUNK = 1_000_000

Reduction = Literal["range", "mean_pairwise", "to_overall"]
Combine = Literal["worst", "mean", "fpr"]


def group_confusion(
    prediction: Tensor, label: Tensor, group: Tensor, num_classes: int, num_groups: int
) -> Tensor:
    """Count samples by group, true class and predicted class.

    Args:
        prediction: predicted class, integers ``[B]`` in ``0 … num_classes - 1``.
        label: true class, likewise.
        group: group of each sample, integers ``[B]``; -1 (unknown) is ignored.
        num_classes: number of classes C.
        num_groups: number of groups G.

    Returns:
        int64 ``[G, C, C]`` on the inputs' device, rows true, columns predicted.

    Raises:
        ValueError: if the lengths differ, or a value is out of range. Ranges are checked on the
            CPU only: elsewhere the check would make the host wait for the device.

    >>> prediction, label = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 0])
    >>> group_confusion(prediction, label, torch.tensor([0, 0, 1, -1]), 2, 2).tolist()
    [[[1, 0], [0, 1]], [[0, 1], [0, 0]]]
    """
    if not prediction.shape == label.shape == group.shape or prediction.ndim != 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (prediction, label, group))
        raise ValueError(f"prediction, label and group must be [B]; their shapes are {shapes}")
    _check_range("prediction", prediction, 0, num_classes)
    _check_range("label", label, 0, num_classes)
    _check_range("group", group, -1, num_groups)
    size = num_classes * num_classes
    counts = torch.zeros((num_groups + 1) * size, dtype=torch.int64, device=label.device)
    for rows in zip(
        *(torch.split(part, _CHUNK) for part in (group, label, prediction)), strict=True
    ):
        # Unknown samples land in one extra group at the front, which is cut off: selecting would
        # copy all inputs, and wait for the device where that is not the CPU.
        cell = rows[0].long() + 1
        cell = cell.mul_(num_classes).add_(rows[1]).mul_(num_classes).add_(rows[2])
        if cell.device.type == "cpu":
            counts += torch.bincount(cell, minlength=len(counts))
        else:  # bincount looks for the largest value first, and waits for it
            counts.scatter_add_(0, cell, torch.ones_like(cell))
    return counts[size:].reshape(num_groups, num_classes, num_classes)


def group_gap(
    confusion: Tensor,
    rate: Callable[[Tensor, Floor], Tensor],
    reduction: Reduction = "range",
    min_count: Floor = 0,
) -> Tensor:
    """How far groups are apart in a rate; the four metrics are such gaps, and so may yours be.

    Args:
        confusion: counts, shape ``[..., G, C, C]``.
        rate: ``(confusion [..., C, C], min_count) -> [..., C]``, NaN where it is undefined or
            its denominator is below ``min_count``.
        reduction: ``"range"`` = largest minus smallest, ``"mean_pairwise"`` = mean absolute
            difference over pairs of groups, ``"to_overall"`` = largest absolute distance from
            the rate of all groups pooled (those below ``min_count`` included).
        min_count: smallest denominator with which a group takes part; a tensor ``[G, C]`` gives
            one for each rate.

    Returns:
        float64 ``[..., C]``, at least 0; over the groups that have the rate, and NaN where fewer
        than two have it.

    Raises:
        ValueError: for another reduction, or if there is no group dimension.

    >>> counts = torch.tensor([[[8, 2], [0, 10]], [[5, 5], [1, 9]]])
    >>> group_gap(counts, true_positive_rate)
    tensor([0.3000, 0.1000], dtype=torch.float64)
    """
    if confusion.ndim < 3:
        raise ValueError(f"not a group confusion [..., G, C, C]: shape {tuple(confusion.shape)}")
    values = rate(confusion, min_count)
    missing = values.isnan()
    present = values.shape[-2] - missing.sum(-2)
    if reduction == "range":
        highest = values.masked_fill(missing, -torch.inf).amax(-2)
        gap = highest - values.masked_fill(missing, torch.inf).amin(-2)
    elif reduction == "mean_pairwise":
        gap = _mean_pairwise(values, present)
    elif reduction == "to_overall":
        overall = rate(confusion.sum(-3), 0).unsqueeze(-2)
        gap = nanmax((values - overall).abs(), dim=-2)
    else:
        raise ValueError(f"reduction={reduction!r}: use range, mean_pairwise or to_overall")
    return gap.masked_fill(present < 2, torch.nan)


def equalized_odds(
    confusion: Tensor,
    reduction: Reduction = "range",
    combine: Combine = "worst",
    min_count: int = 0,
) -> Tensor:
    """Gap of the true positive rate and gap of the false positive rate, as one figure.

    Args:
        confusion: counts, shape ``[..., G, C, C]``.
        reduction: how groups are compared, see `group_gap`.
        combine: ``"worst"`` = the larger gap, ``"mean"`` = their mean, ``"fpr"`` = the gap of
            the false positive rate alone (which the study's published table fits).
        min_count: smallest number of positives (negatives) with which a group takes part.

    Returns:
        float64 ``[..., C]`` in [0, 1]; NaN where a gap it needs is undefined.

    Raises:
        ValueError: for another reduction or combination.

    Source: Hosseini et al. 2025, equalized odds.

    >>> counts = torch.tensor([[[8, 2], [0, 10]], [[5, 5], [1, 9]]])
    >>> equalized_odds(counts)
    tensor([0.3000, 0.3000], dtype=torch.float64)
    >>> equalized_odds(counts, combine="fpr")
    tensor([0.1000, 0.3000], dtype=torch.float64)
    """
    true_positives = group_gap(confusion, true_positive_rate, reduction, min_count)
    false_positives = group_gap(confusion, false_positive_rate, reduction, min_count)
    return combined_odds(true_positives, false_positives, combine)


def combined_odds(true_positives: Tensor, false_positives: Tensor, combine: Combine) -> Tensor:
    """The two gaps of `equalized_odds` as one figure, ``[..., C]`` each."""
    if combine == "worst":
        return torch.maximum(true_positives, false_positives)
    if combine == "mean":
        return (true_positives + false_positives) / 2
    if combine == "fpr":
        return false_positives
    raise ValueError(f"combine={combine!r}: use worst, mean or fpr")


def equal_opportunity(
    confusion: Tensor, reduction: Reduction = "range", min_count: int = 0
) -> Tensor:
    """Gap of the true positive rate, float64 ``[..., G, C, C] -> [..., C]`` in [0, 1].

    Args:
        confusion: counts, shape ``[..., G, C, C]``.
        reduction: how groups are compared, see `group_gap`.
        min_count: smallest number of positives with which a group takes part.

    Source: Hosseini et al. 2025, equal opportunity.

    >>> equal_opportunity(torch.tensor([[[8, 2], [0, 10]], [[5, 5], [0, 0]]]))
    tensor([0.3000,    nan], dtype=torch.float64)
    """
    return group_gap(confusion, true_positive_rate, reduction, min_count)


def demographic_parity(
    confusion: Tensor, reduction: Reduction = "range", min_count: int = 0
) -> Tensor:
    """Gap of the share of predictions, float64 ``[..., G, C, C] -> [..., C]`` in [0, 1].

    Args:
        confusion: counts, shape ``[..., G, C, C]``.
        reduction: how groups are compared, see `group_gap`.
        min_count: smallest number of samples with which a group takes part.

    Source: Hosseini et al. 2025, demographic parity.

    >>> demographic_parity(torch.tensor([[[8, 2], [0, 10]], [[5, 5], [1, 9]]]))
    tensor([0.1000, 0.1000], dtype=torch.float64)
    """
    return group_gap(confusion, selection_rate, reduction, min_count)


def treatment_equality(
    confusion: Tensor,
    reduction: Reduction = "range",
    balance: Balance = "share",
    min_count: int = 0,
) -> Tensor:
    """Gap of the balance between misses and false alarms.

    Args:
        confusion: counts, shape ``[..., G, C, C]``.
        reduction: how groups are compared, see `group_gap`.
        balance: ``"share"``, ``"rate_ratio"`` or ``"count_ratio"``, see `error_balance`.
        min_count: smallest number of errors with which a group takes part.

    Returns:
        float64 ``[..., C]``: in [0, 1] for ``share``, unbounded for the ratios.

    Raises:
        ValueError: for another reduction or balance.

    Source: Hosseini et al. 2025, Eq. 11.

    >>> treatment_equality(torch.tensor([[[8, 2], [2, 8]], [[9, 1], [3, 7]]]))
    tensor([0.2500, 0.2500], dtype=torch.float64)
    """

    def balance_of(table: Tensor, floor: Floor) -> Tensor:
        return error_balance(table, balance, floor)

    return group_gap(confusion, balance_of, reduction, min_count)


def demographic_parity_difference(
    confusion: Tensor, average: Literal["none", "macro"] = "macro", min_count: int = 0
) -> Tensor:
    """DPD: `demographic_parity` by range, for each class or as the mean over classes.

    Returns:
        float64 ``[..., C]`` for ``"none"``, ``[...]`` for ``"macro"`` (NaN skipped).

    Source: Olate 2025.
    """
    return _averaged(demographic_parity(confusion, min_count=min_count), average)


def equalized_odds_difference(
    confusion: Tensor, average: Literal["none", "macro"] = "macro", min_count: int = 0
) -> Tensor:
    """EOD: `equalized_odds` by range and the worse rate, for each class or as their mean.

    Returns:
        float64 ``[..., C]`` for ``"none"``, ``[...]`` for ``"macro"`` (NaN skipped).

    Source: Olate 2025.
    """
    return _averaged(equalized_odds(confusion, min_count=min_count), average)


def _averaged(values: Tensor, average: Literal["none", "macro"]) -> Tensor:
    if average == "none":
        return values
    if average == "macro":
        return values.nanmean(-1)
    raise ValueError(f"average={average!r}: use none or macro")


def _mean_pairwise(values: Tensor, present: Tensor) -> Tensor:
    """Mean of ``|a - b|`` over pairs of present groups; sorting needs no table of the pairs."""
    ordered = values.sort(-2).values  # NaN last
    # Of n ordered values the i-th (from 0) is added i times and subtracted n - 1 - i times.
    # Counting from the lowest keeps equal values at exactly 0.
    above = (ordered - ordered[..., :1, :]).nan_to_num(0.0)
    rank = torch.arange(values.shape[-2], device=values.device, dtype=values.dtype)
    weight = 2 * rank.unsqueeze(-1) - present.unsqueeze(-2) + 1
    return (weight * above).sum(-2) / (present * (present - 1) / 2)


def _check_range(name: str, values: Tensor, lowest: int, limit: int) -> None:
    if values.device.type != "cpu" or not values.numel():
        return
    low, high = values.aminmax()
    wrong = low if low < lowest else high
    if wrong < lowest or wrong >= limit:
        raise ValueError(f"{name} holds {wrong.item()}: expected {lowest} to {limit - 1}")
