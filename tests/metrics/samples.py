"""Random predictions, and the measures again as plain loops over samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fer_lab.metrics.functional import group_confusion


class Samples(NamedTuple):
    prediction: Tensor
    label: Tensor
    group: Tensor
    num_classes: int
    num_groups: int

    def confusion(self) -> Tensor:
        return group_confusion(*self)


def random_samples(
    seed: int,
    count: int = 600,
    num_classes: int = 5,
    num_groups: int = 4,
    absent: Sequence[int] = (),
    unknown: float = 0.0,
) -> Samples:
    """Predictions right about two times in three, worse the higher the group."""
    rng = np.random.default_rng(seed)
    present = [group for group in range(num_groups) if group not in absent]
    group = rng.choice(present, count)
    label = rng.choice(num_classes, count, p=rng.dirichlet(np.full(num_classes, 8.0)))
    right = rng.random(count) < 0.85 - 0.1 * group
    prediction = np.where(right, label, rng.integers(0, num_classes, count))
    group = np.where(rng.random(count) < unknown, -1, group)
    return Samples(
        *(torch.from_numpy(values.astype(np.int64)) for values in (prediction, label, group)),
        num_classes,
        num_groups,
    )


class Counts(NamedTuple):
    true_positives: int
    false_positives: int
    false_negatives: int
    positives: int
    negatives: int

    @property
    def errors(self) -> int:
        return self.false_positives + self.false_negatives


def count_one_vs_rest(samples: Samples, expression: int, groups: Sequence[int]) -> Counts:
    hits = alarms = misses = positives = negatives = 0
    triples = zip(*(values.tolist() for values in samples[:3]), strict=True)
    for prediction, label, group in triples:
        if group not in groups:
            continue
        positives += label == expression
        negatives += label != expression
        hits += prediction == expression == label
        alarms += prediction == expression != label
        misses += prediction != expression == label
    return Counts(hits, alarms, misses, positives, negatives)


Rate = Callable[[Counts, int], float]


def divide(numerator: float, denominator: float, floor: int = 0) -> float:
    return numerator / denominator if denominator > 0 and denominator >= floor else math.nan


def true_positive_rate(counts: Counts, floor: int) -> float:
    return divide(counts.true_positives, counts.positives, floor)


def false_positive_rate(counts: Counts, floor: int) -> float:
    return divide(counts.false_positives, counts.negatives, floor)


def selection_rate(counts: Counts, floor: int) -> float:
    selected = counts.true_positives + counts.false_positives
    return divide(selected, counts.positives + counts.negatives, floor)


def share_of_misses(counts: Counts, floor: int) -> float:
    return divide(counts.false_negatives, counts.errors, floor)


def count_ratio(counts: Counts, floor: int) -> float:
    if counts.errors < floor:
        return math.nan
    return divide(counts.false_negatives, counts.false_positives)


def rate_ratio(counts: Counts, floor: int) -> float:
    if counts.errors < floor:
        return math.nan
    missed = divide(counts.false_negatives, counts.positives)
    return divide(missed, false_positive_rate(counts, 0))


def gap(samples: Samples, rate: Rate, reduction: str, min_count: int) -> list[float]:
    gaps = []
    everyone = range(samples.num_groups)
    for expression in range(samples.num_classes):
        rates = [
            rate(count_one_vs_rest(samples, expression, [group]), min_count) for group in everyone
        ]
        rates = [value for value in rates if not math.isnan(value)]
        if len(rates) < 2:
            gaps.append(math.nan)
        elif reduction == "range":
            gaps.append(max(rates) - min(rates))
        elif reduction == "mean_pairwise":
            distances = [abs(a - b) for a, b in combinations(rates, 2)]
            gaps.append(sum(distances) / len(distances))
        else:
            overall = rate(count_one_vs_rest(samples, expression, everyone), 0)
            gaps.append(max(abs(value - overall) for value in rates))
    return gaps
