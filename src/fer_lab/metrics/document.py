"""What ``metrics/<split>.json`` holds: names and plain numbers, None where undefined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor

from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.metrics.breakdown import FAIRNESS_METRICS, Breakdown
from fer_lab.metrics.functional import (
    accuracy,
    demographic_parity_difference,
    equalized_odds_difference,
    f1_score,
    precision,
    true_positive_rate,
)
from fer_lab.metrics.rates import one_vs_rest
from fer_lab.metrics.resampling import Interval, Null

DIFFERENCES = {"dpd": demographic_parity_difference, "eod": equalized_odds_difference}

# Groups an intersection may have before a document lists it: more say little about each.
_LARGEST_INTERSECTION = 200


def document(breakdown: Breakdown, samples: int, level: float, seed: int) -> dict[str, Any]:
    """Every figure of a breakdown with intervals, nulls and counts.

    Args:
        breakdown: the counts.
        samples: number of bootstrap draws, and of permutations.
        level: coverage of the intervals.
        seed: the same seed gives the same document.
    """
    intervals = breakdown.intervals(samples, level, seed)
    nulls = breakdown.nulls(samples, seed)
    whole = breakdown.whole
    attributes = {name: _attribute(name, breakdown, intervals, nulls) for name in breakdown.groups}
    return {
        "samples": int(whole.sum()),
        "classes": list(breakdown.classes),
        "collapsed": collapsed(whole),
        "min_count": breakdown.min_count,
        "level": level,
        "resamples": samples,
        **{
            name: _interval(intervals[name][0])
            for name in ("accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted")
        },
        "per_class": _per_class(breakdown.classes, whole),
        "confusion": whole.long().tolist(),
        "worst_group": _worst_of(attributes),
        "attributes": attributes,
        "intersections": _intersections(breakdown),
        "bias": _gap(intervals["fairness/bias"][0], nulls["fairness/bias"]),
    }


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
        "accuracy": _number(accuracy(table[lowest])),
        "count": int(counts[lowest]),
    }


def collapsed(whole: Tensor) -> bool:
    """Whether two classes or fewer are predicted (one, if there are only two), ``[C, C]``."""
    return int(whole.any(-2).sum()) <= min(2, len(whole) - 1)


def _attribute(
    attribute: str,
    breakdown: Breakdown,
    intervals: Mapping[str, list[Interval]],
    nulls: Mapping[str, Null],
) -> dict[str, Any]:
    names, table = breakdown.groups[attribute], breakdown.tables[attribute]
    known = breakdown.known(attribute)
    groups = {
        name: {
            "count": int(counts.sum()),
            "accuracy": _interval(interval),
            "f1_macro": _number(f1_score(counts, "macro")),
            "f1_weighted": _number(f1_score(counts, "weighted")),
            "confusion": counts.long().tolist(),
        }
        for name, counts, interval in zip(
            (*names, UNKNOWN), table, intervals[f"accuracy/{attribute}"], strict=True
        )
        if name != UNKNOWN or counts.any()
    }
    values = breakdown.values()[attribute]
    metrics = {
        metric: {
            **_gap(
                intervals[f"fairness/{attribute}/{metric}"][0],
                nulls[f"fairness/{attribute}/{metric}"],
            ),
            "per_expression": _by_class(breakdown.classes, row),
            "left_out": _left_out(metric, attribute, breakdown),
        }
        for metric, row in zip(FAIRNESS_METRICS, values, strict=True)
    }
    differences = {
        name: {
            "value": _number(difference(known, "macro", breakdown.min_count)),
            "per_expression": _by_class(
                breakdown.classes, difference(known, "none", breakdown.min_count)
            ),
        }
        for name, difference in DIFFERENCES.items()
    }
    bias = f"fairness/{attribute}/bias"
    return {
        "groups": groups,
        "metrics": metrics,
        **differences,
        "bias": _gap(intervals[bias][0], nulls[bias]),
        "worst_group": worst_group(names, known, breakdown.min_count),
    }


def _left_out(metric: str, attribute: str, breakdown: Breakdown) -> list[dict[str, Any]]:
    """Groups whose rate for an expression has too small a denominator."""
    denominators = FAIRNESS_METRICS[metric].denominator(one_vs_rest(breakdown.known(attribute)))
    return [
        {"group": name, "expression": expression, "count": int(count)}
        for name, row in zip(breakdown.groups[attribute], denominators.tolist(), strict=True)
        for expression, count in zip(breakdown.classes, row, strict=True)
        if count < max(breakdown.min_count, 1)
    ]


def _worst_of(attributes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    worst = [
        {"attribute": name, **content["worst_group"]}
        for name, content in attributes.items()
        if content["worst_group"]["group"] is not None
    ]
    nowhere = {"attribute": None, "group": None, "accuracy": None, "count": 0}
    return min(worst, key=lambda group: group["accuracy"], default=nowhere)


def _intersections(breakdown: Breakdown) -> dict[str, Any]:
    """All pairs of attributes and the product of all, where the groups are not too many."""
    attributes = list(breakdown.groups)
    chosen = [*combinations(attributes, 2), tuple(attributes)] if len(attributes) > 1 else []
    intersections = {}
    for members in dict.fromkeys(chosen):
        parts = [breakdown.groups[attribute] for attribute in members]
        if prod(map(len, parts)) > _LARGEST_INTERSECTION:
            continue
        names = ["×".join(combination) for combination in product(*parts)]
        table = breakdown.intersection(members)
        rows = zip(names, table.sum((-2, -1)).tolist(), accuracy(table), strict=True)
        intersections["×".join(members)] = {
            "groups": {
                name: {"count": count, "accuracy": _number(value)} for name, count, value in rows
            },
            "worst_group": worst_group(names, table, breakdown.min_count),
        }
    return intersections


def _per_class(classes: Sequence[str], whole: Tensor) -> dict[str, Any]:
    columns = zip(
        classes,
        precision(whole),
        true_positive_rate(whole),
        f1_score(whole, "none"),
        whole.sum(-1),
        strict=True,
    )
    return {
        name: {
            "precision": _number(exact),
            "recall": _number(found),
            "f1": _number(f1),
            "count": int(count),
        }
        for name, exact, found, f1, count in columns
    }


def _by_class(classes: Sequence[str], values: Tensor) -> dict[str, float | None]:
    return {name: _number(value) for name, value in zip(classes, values, strict=True)}


def _interval(interval: Interval) -> dict[str, float | None]:
    return {
        "value": _number(interval.value),
        "low": _number(interval.low),
        "high": _number(interval.high),
    }


def _gap(interval: Interval, null: Null) -> dict[str, float | None]:
    return _interval(interval) | {
        "null_mean": _number(null.mean),
        "null_p95": _number(null.p95),
        "p": _number(null.p),
        "excess": _number(null.excess),
    }


def _number(value: Tensor | float) -> float | None:
    number = float(value)
    return number if isfinite(number) else None
