"""What ``metrics/<split>.json`` holds: names and plain numbers, None where undefined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.metrics.breakdown import Breakdown
from fer_lab.metrics.calibration import CONFIDENCE_BINS
from fer_lab.metrics.entries import (
    DIFFERENCES,
    bounds,
    by_class,
    collapsed,
    gap_entry,
    interval_entry,
    number,
    worst_group,
)
from fer_lab.metrics.functional import (
    f1_score,
    precision,
    true_positive_rate,
)
from fer_lab.metrics.headline import FAIRNESS_METRICS
from fer_lab.metrics.intersections import crossed, intersection
from fer_lab.metrics.null_tables import varying_attributes
from fer_lab.metrics.rates import one_vs_rest
from fer_lab.metrics.resampling import Interval, Null


def document(
    breakdown: Breakdown,
    samples: int,
    level: float,
    seed: int,
    intersections: Sequence[Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Every figure of a breakdown with intervals, nulls and counts.

    Args:
        breakdown: the counts.
        samples: number of bootstrap draws, and of permutations.
        level: coverage of the intervals.
        seed: the same seed gives the same document.
        intersections: attributes to cross, each of two names or more; None for all pairs and the
            product of all, as far as they have few enough groups.

    Raises:
        ConfigError: when an intersection names an attribute that is not audited.
    """
    chosen, messages = crossed(breakdown, intersections)
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
        "resampled_by": "subject" if breakdown.cells.clustered else "sample",
        "variants": asdict(breakdown.variants),
        **{
            name: interval_entry(intervals[name][0])
            for name in ("accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted")
        },
        "calibration": _calibration(intervals),
        "per_class": _per_class(breakdown.classes, whole),
        "confusion": whole.long().tolist(),
        "worst_group": _worst_of(attributes) | bounds(intervals["worst_group_accuracy"][0]),
        "attributes": attributes,
        "intersections": {
            "×".join(members): intersection(breakdown, members) for members in chosen
        },
        "bias": gap_entry(intervals["fairness/bias"][0], nulls["fairness/bias"]),
        "messages": [*_lone_groups(breakdown), *messages, *_permuted_how(breakdown)],
    }


def scalars(breakdown: Breakdown) -> dict[str, Tensor]:
    """The headline figures alone, float64 scalars by stable names; see `FairnessReport.compute`."""
    figures = {name: value for name, value in breakdown.figures().items() if not value.ndim}
    undefined = sum(int(breakdown.values(name).isnan().sum()) for name in breakdown.groups)
    for name, value in (
        ("fairness/undefined", undefined),
        ("collapsed", collapsed(breakdown.whole)),
    ):
        figures[name] = torch.tensor(value, dtype=torch.float64)
    return figures


def _attribute(
    attribute: str,
    breakdown: Breakdown,
    intervals: Mapping[str, list[Interval]],
    nulls: Mapping[str, Null],
) -> dict[str, Any]:
    names, table = breakdown.groups[attribute], breakdown.table(attribute)
    known = breakdown.known(attribute)
    lines = zip(
        (*names, UNKNOWN),
        table,
        intervals[f"accuracy/{attribute}"],
        intervals.get(f"calibration_error/{attribute}", [None] * len(table)),
        strict=True,
    )
    groups = {
        name: _group_line(counts, accurate, calibrated)
        for name, counts, accurate, calibrated in lines
        if name != UNKNOWN or counts.any()
    }
    figure = f"fairness/{attribute}"
    metrics = {}
    for metric, row in zip(FAIRNESS_METRICS, breakdown.values(attribute), strict=True):
        name = f"{figure}/{metric}"
        denominators = _denominators(metric, breakdown, known)
        metrics[metric] = {
            **gap_entry(intervals[name][0], nulls[name]),
            "per_expression": by_class(breakdown.classes, row),
            "left_out": _left_out(denominators, attribute, breakdown),
            "undefined": _undefined(row, denominators, names, breakdown),
        }
    differences = {
        name: {
            "value": number(difference(known, "macro", breakdown.min_count)),
            **bounds(intervals[f"{figure}/{name}"][0]),
            "per_expression": by_class(
                breakdown.classes, difference(known, "none", breakdown.min_count)
            ),
        }
        for name, difference in DIFFERENCES.items()
    }
    worst = intervals[f"{figure}/worst_group_accuracy"][0]
    content = {
        "groups": groups,
        "metrics": metrics,
        **differences,
        "bias": gap_entry(intervals[f"{figure}/bias"][0], nulls[f"{figure}/bias"]),
        "worst_group": worst_group(names, known, breakdown.min_count) | bounds(worst),
    }
    gap = f"{figure}/calibration_gap"
    if gap in intervals:
        content["calibration_gap"] = gap_entry(intervals[gap][0], nulls[gap])
    return content


def _group_line(counts: Tensor, accurate: Interval, calibrated: Interval | None) -> dict[str, Any]:
    line = {
        "count": int(counts.sum()),
        "accuracy": interval_entry(accurate),
        "f1_macro": number(f1_score(counts, "macro")),
        "f1_weighted": number(f1_score(counts, "weighted")),
        "confusion": counts.long().tolist(),
    }
    if calibrated is not None:
        line["calibration_error"] = interval_entry(calibrated)
    return line


def _denominators(metric: str, breakdown: Breakdown, known: Tensor) -> Tensor:
    return FAIRNESS_METRICS[metric].denominator(one_vs_rest(known), breakdown.variants)


def _left_out(denominators: Tensor, attribute: str, breakdown: Breakdown) -> list[dict[str, Any]]:
    """Groups whose rate for an expression has too small a denominator."""
    return [
        {"group": name, "expression": expression, "count": int(count)}
        for name, row in zip(breakdown.groups[attribute], denominators.tolist(), strict=True)
        for expression, count in zip(breakdown.classes, row, strict=True)
        if count < max(breakdown.min_count, 1)
    ]


def _undefined(
    values: Tensor, denominators: Tensor, names: Sequence[str], breakdown: Breakdown
) -> dict[str, str]:
    """Why a gap is undefined, by expression."""
    floor = max(breakdown.min_count, 1)
    reasons = {}
    for place, expression in enumerate(breakdown.classes):
        if not values[place].isnan():
            continue
        rows = zip(names, denominators[:, place].tolist(), strict=True)
        enough = [name for name, count in rows if count >= floor]
        if len(enough) > 1:
            reasons[expression] = "the ratio needs a false alarm in two groups"
        else:
            only = f"only {enough[0]} has" if enough else "no group has"
            reasons[expression] = f"{only} the {floor} samples that the rate needs"
    return reasons


def _worst_of(attributes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    worst = [
        {"attribute": name, **content["worst_group"]}
        for name, content in attributes.items()
        if content["worst_group"]["group"] is not None
    ]
    nowhere = {"attribute": None, "group": None, "accuracy": None, "count": 0}
    return min(worst, key=lambda group: group["accuracy"], default=nowhere)


def _calibration(intervals: Mapping[str, list[Interval]]) -> dict[str, Any] | None:
    if "calibration_error" not in intervals:
        return None
    return {**interval_entry(intervals["calibration_error"][0]), "bins": CONFIDENCE_BINS}


def _lone_groups(breakdown: Breakdown) -> list[str]:
    messages = []
    for attribute, names in breakdown.groups.items():
        counts = breakdown.known(attribute).sum((-2, -1)).tolist()
        present = [name for name, count in zip(names, counts, strict=True) if count]
        if len(present) < 2:
            who = f"{present[0]} is the only group" if present else "no group is known"
            messages.append(f"{attribute}: {who}, so that its gaps are undefined")
    return messages


def _permuted_how(breakdown: Breakdown) -> list[str]:
    cells = breakdown.cells
    if not cells.clustered:
        return []
    subjects = f"{len(cells.copies):,} subjects"
    messages = [f"intervals draw whole subjects again ({subjects}), nulls permute their groups"]
    varying = varying_attributes(cells)
    if varying:
        messages.append(
            f"{', '.join(varying)} varies within subjects: its null permutes single samples, "
            "which takes them as independent"
        )
    return messages


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
            "precision": number(exact),
            "recall": number(found),
            "f1": number(f1),
            "count": int(count),
        }
        for name, exact, found, f1, count in columns
    }
