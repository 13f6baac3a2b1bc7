"""The headline figures of predictions: from totals per line of the report, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fer_lab.metrics.aggregation import nanmax
from fer_lab.metrics.calibration import binned_calibration_error
from fer_lab.metrics.functional import (
    Combine,
    Reduction,
    combined_odds,
    group_gap,
)
from fer_lab.metrics.rates import (
    Balance,
    Floor,
    OneVsRest,
    accuracy,
    error_balance,
    f1_score,
    false_positive_rate,
    mean_class_accuracy,
    one_vs_rest,
    selection_rate,
    true_positive_rate,
)

Figures = dict[str, Tensor]


@dataclass(frozen=True)
class Variants:
    """Which form of the four metrics is computed; the defaults are the study's."""

    combine: Combine = "worst"
    reduction: Reduction = "range"
    balance: Balance = "share"


@dataclass(frozen=True)
class FairnessMetric:
    """One of the four metrics.

    Attributes:
        denominator: what its rates divide by, ``[..., G, C]``; the smaller where it has two.
        within_label: whether it is conditioned on the true class (so its null is, too).
    """

    denominator: Callable[[OneVsRest, Variants], Tensor]
    within_label: bool


def _odds_denominator(counts: OneVsRest, variants: Variants) -> Tensor:
    if variants.combine == "fpr":
        return counts.negatives
    return torch.minimum(counts.positives, counts.negatives)


FAIRNESS_METRICS: Mapping[str, FairnessMetric] = {
    "equalized_odds": FairnessMetric(_odds_denominator, True),
    "equal_opportunity": FairnessMetric(lambda counts, _: counts.positives, True),
    "demographic_parity": FairnessMetric(lambda counts, _: counts.total, False),
    "treatment_equality": FairnessMetric(lambda counts, _: counts.errors, False),
}


class Totals(NamedTuple):
    """Sums per line of the report; leading dimensions are draws.

    Attributes:
        confusion: counts by line, true and predicted class, ``[..., lines, C, C]``.
        calibration: samples, right predictions and confidence by line and bin,
            ``[..., lines, bins, 3]``; None without probabilities.
    """

    confusion: Tensor
    calibration: Tensor | None


class Floors(NamedTuple):
    """The smallest denominators with which a group enters a gap: one number, or one per rate."""

    positives: Floor
    negatives: Floor
    total: Floor
    errors: Floor


def observed_floors(table: Tensor, min_count: int) -> Floors:
    """Floors that admit just the rates that the observed table has enough samples for.

    A draw of a group at the floor would else be in or out by chance, and the gap jump with it.

    Args:
        table: counts, ``[G, C, C]``.
        min_count: smallest denominator in that table.
    """
    counts = one_vs_rest(table)
    denominators = (counts.positives, counts.negatives, counts.total, counts.errors)
    admitted = (denominator >= max(min_count, 1) for denominator in denominators)
    return Floors(*(torch.where(yes, 0.0, torch.inf).double() for yes in admitted))


def metric_values(within: Tensor, overall: Tensor, floors: Floors, variants: Variants) -> Tensor:
    """The four metrics for each expression.

    Args:
        within: counts ``[..., G, C, C]`` for the metrics conditioned on the true class.
        overall: the same for the others; another table only when groups are permuted.
        floors: smallest denominators.
        variants: forms of the metrics.

    Returns:
        float64 ``[..., metrics, C]`` in the order of `FAIRNESS_METRICS`.
    """

    def balance(table: Tensor, floor: Floor) -> Tensor:
        return error_balance(table, variants.balance, floor)

    reduction = variants.reduction
    hits = group_gap(within, true_positive_rate, reduction, floors.positives)
    alarms = group_gap(within, false_positive_rate, reduction, floors.negatives)
    return torch.stack(
        [
            combined_odds(hits, alarms, variants.combine),
            hits,
            group_gap(overall, selection_rate, reduction, floors.total),
            group_gap(overall, balance, reduction, floors.errors),
        ],
        dim=-2,
    )


def aggregated(attribute: str, values: Tensor) -> Figures:
    """Maxima over expressions and their mean, from ``[..., metrics, C]``."""
    largest = nanmax(values)
    named = {
        f"fairness/{attribute}/{metric}": largest[..., row]
        for row, metric in enumerate(FAIRNESS_METRICS)
    }
    return named | {f"fairness/{attribute}/bias": largest.nanmean(-1)}


def overall_bias(figures: Figures, attributes: Sequence[str], like: Tensor) -> Figures:
    """The mean of the attributes' biases, NaN without attributes; shaped as ``like``."""
    biases = [figures[f"fairness/{attribute}/bias"] for attribute in attributes]
    return {
        "fairness/bias": torch.stack(biases or [torch.full_like(like, torch.nan)], -1).nanmean(-1)
    }


def calibration_gap(calibration: Tensor, floor: Floor) -> Tensor:
    """Largest minus smallest calibration error of groups, ``[..., G, bins, 3] -> [...]``."""
    counts = calibration[..., 0].sum(-1)
    errors = binned_calibration_error(calibration)
    known = (counts >= floor) & ~errors.isnan()
    gap = errors.masked_fill(~known, -torch.inf).amax(-1) - errors.masked_fill(
        ~known, torch.inf
    ).amin(-1)
    return gap.masked_fill(known.sum(-1) < 2, torch.nan)


def headline(
    totals: Totals,
    lines: Mapping[str, slice],
    floors: Mapping[str, Floors],
    variants: Variants,
) -> Figures:
    """Every figure that has an interval, by name.

    Args:
        totals: sums per line, of the sample or of draws.
        lines: where an attribute's groups stand, the unknown one last; line 0 is all samples.
        floors: smallest denominators by attribute.
        variants: forms of the metrics.

    Returns:
        Scalars by stable names, and by group ``accuracy/<attribute>`` and
        ``calibration_error/<attribute>``.
    """
    whole = totals.confusion[..., 0, :, :]
    figures = {
        "accuracy": accuracy(whole),
        "mean_class_accuracy": mean_class_accuracy(whole),
        "f1_macro": f1_score(whole, "macro"),
        "f1_weighted": f1_score(whole, "weighted"),
    }
    if totals.calibration is not None:
        figures["calibration_error"] = binned_calibration_error(totals.calibration[..., 0, :, :])
    worst = []
    for attribute, where in lines.items():
        table = totals.confusion[..., where, :, :]
        known, floor = table[..., :-1, :, :], floors[attribute]
        figures |= aggregated(attribute, metric_values(known, known, floor, variants))
        figures |= _differences(attribute, known, floor)
        by_group = accuracy(table)
        figures[f"accuracy/{attribute}"] = by_group
        figures |= _worst(attribute, known, by_group[..., :-1], floor)
        worst.append(figures[f"fairness/{attribute}/worst_group_accuracy"])
        if totals.calibration is not None:
            bins = totals.calibration[..., where, :, :]
            figures[f"calibration_error/{attribute}"] = binned_calibration_error(bins)
            figures[f"fairness/{attribute}/calibration_gap"] = calibration_gap(
                bins[..., :-1, :, :], _per_group(floor.total)
            )
    nowhere = torch.full_like(figures["accuracy"], torch.nan)
    figures["worst_group_accuracy"] = -nanmax(-torch.stack(worst or [nowhere], -1))
    return figures | overall_bias(figures, list(lines), figures["accuracy"])


def _differences(attribute: str, known: Tensor, floors: Floors) -> Figures:
    """DPD and EOD (Olate 2025): always by range and the worse rate, the mean over expressions."""
    parity = group_gap(known, selection_rate, "range", floors.total)
    hits = group_gap(known, true_positive_rate, "range", floors.positives)
    alarms = group_gap(known, false_positive_rate, "range", floors.negatives)
    return {
        f"fairness/{attribute}/dpd": parity.nanmean(-1),
        f"fairness/{attribute}/eod": combined_odds(hits, alarms, "worst").nanmean(-1),
    }


def _worst(attribute: str, known: Tensor, by_group: Tensor, floors: Floors) -> Figures:
    eligible = known.sum((-2, -1)) >= _per_group(floors.total)
    lowest = -nanmax((-by_group).masked_fill(~eligible, torch.nan))
    return {f"fairness/{attribute}/worst_group_accuracy": lowest}


def _per_group(floor: Floor) -> Floor:
    """The floor on a group's samples, which is the same for all classes."""
    return floor[..., 0] if isinstance(floor, Tensor) else floor
