"""Two models on the same samples: what differs, and by how much beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor

from fer_lab.errors import DataError
from fer_lab.metrics.attribute_columns import Attributes
from fer_lab.metrics.breakdown import Breakdown
from fer_lab.metrics.entries import collapsed
from fer_lab.metrics.functional import Combine, Reduction
from fer_lab.metrics.headline import FAIRNESS_METRICS, Figures, Variants
from fer_lab.metrics.prediction_table import (
    PredictionTable,
    counted,
    found_classes,
    read_predictions,
)
from fer_lab.metrics.rates import Balance

OVERALL = ("accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted", "worst_group_accuracy")

# Equal gaps reached over different groups differ in their last bits.
_TIE = 1e-12


def compare_predictions(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    attributes: Attributes = None,
    classes: Sequence[str] | None = None,
    min_count: int = 30,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    combine: Combine = "worst",
    reduction: Reduction = "range",
    balance: Balance = "share",
) -> dict[str, Any]:
    """Paired differences ``b - a`` of everything that `audit_predictions` gives an interval for.

    Samples are joined by ``id``; attributes and subjects are those of ``a``. The samples (or
    whole subjects, where they repeat) are drawn again with both their predictions, and the
    interval is the percentiles of the differences: a difference may be negative, unlike a gap.

    Args:
        a: predictions of the first model, as for `audit_predictions`.
        b: predictions of the second.
        attributes: columns to audit, or ``{column: its groups}``; None for all that hold names.
        classes: names of the expressions; None for those that occur.
        min_count: smallest denominator with which a group enters a gap or is the worst group.
        resamples: number of draws.
        level: coverage of the intervals, in (0, 1).
        seed: the same seed gives the same comparison.
        combine: how the two gaps of equalized odds are joined.
        reduction: how groups are compared.
        balance: which balance of errors treatment equality compares.

    Returns:
        By figure ``a``, ``b``, ``difference``, ``low``, ``high`` and ``p`` (twice the smaller
        share of the draws on either side of 0, at most 1); None where undefined. ``mcnemar``
        holds the samples that only one of the two has right, and the exact test of their number
        (McNemar 1947).

    Raises:
        DataError: when no sample is in both, when labels disagree, or for a table that cannot
            be read.
        ConfigError: for an attribute that does not exist.
        ValueError: if resamples or level make no sense.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: a share between 0 and 1, such as 0.95")
    first, second, facts = _joined(a, b, attributes, classes)
    variants = Variants(combine, reduction, balance)
    one, other = (Breakdown(cells, min_count, variants) for cells in counted([first, second]))
    differences = _differences(one, other, resamples, level, seed)
    calibrated = ["calibration_error"] if "calibration_error" in differences else []
    return {
        **facts,
        "classes": list(first.classes),
        "collapsed": {"a": collapsed(one.whole), "b": collapsed(other.whole)},
        "min_count": min_count,
        "level": level,
        "resamples": resamples,
        "resampled_by": "subject" if one.cells.clustered else "sample",
        "variants": asdict(variants),
        **{name: differences[name] for name in (*OVERALL, *calibrated)},
        "mcnemar": _mcnemar(first, second),
        "attributes": {name: _attribute(name, differences) for name in first.groups},
        "bias": differences["fairness/bias"],
    }


def _attribute(attribute: str, differences: dict[str, Any]) -> dict[str, Any]:
    names = ("bias", "dpd", "eod", "worst_group_accuracy", "calibration_gap")
    prefix = f"fairness/{attribute}"
    return {
        "metrics": {metric: differences[f"{prefix}/{metric}"] for metric in FAIRNESS_METRICS},
        **{
            name: differences[f"{prefix}/{name}"]
            for name in names
            if f"{prefix}/{name}" in differences
        },
    }


def _joined(
    a: pd.DataFrame,
    b: pd.DataFrame,
    attributes: Attributes,
    classes: Sequence[str] | None,
) -> tuple[PredictionTable, PredictionTable, dict[str, Any]]:
    """Both tables about the samples that they share, in one order, and what was left out."""
    first = read_predictions(a, attributes=attributes, classes=classes)
    second = read_predictions(b, attributes=(), classes=classes)
    if classes is None and first.classes != second.classes:
        union = found_classes(a, b)
        first = read_predictions(a, attributes=attributes, classes=union)
        second = read_predictions(b, attributes=(), classes=union)
    ids = pd.Index(second.ids).get_indexer(pd.Index(first.ids))
    here = np.flatnonzero(ids >= 0)
    if not len(here):
        raise DataError(
            "the two tables have no sample in common",
            where=f"ids such as {_example(first)} and {_example(second)}",
            hint="compare predictions about the same data",
        )
    shared, matched = first.rows(here), second.rows(ids[here])
    differing = np.flatnonzero(shared.label != matched.label)
    if len(differing):
        place = differing[0]
        names = (table.classes[table.label[place]] for table in (shared, matched))
        raise DataError(
            f"the labels of {len(differing)} samples disagree",
            where=f"id {shared.ids[place]}: {' and '.join(names)}",
            hint="compare predictions about the same labels",
        )
    messages = [*shared.messages, *(m for m in matched.messages if m not in shared.messages)]
    if shared.confidence is None or matched.confidence is None:
        shared, matched = (replace(table, confidence=None) for table in (shared, matched))
    if shared.subject is not None:
        # Subjects of samples that only one table has would be drawn as empty ones.
        subjects = np.unique(shared.subject, return_inverse=True)[1]
        shared = replace(shared, subject=subjects)
        messages.append("intervals draw whole subjects again; McNemar's test takes samples alone")
    facts = {
        "samples": len(here),
        "only_in_a": len(first.ids) - len(here),
        "only_in_b": len(second.ids) - len(here),
        "set_aside": {"a": dict(first.set_aside), "b": dict(second.set_aside)},
        "messages": messages,
    }
    return shared, matched, facts


def _example(table: PredictionTable) -> str:
    return str(table.ids[0]) if len(table.ids) else "(none)"


def _differences(
    one: Breakdown, other: Breakdown, samples: int, level: float, seed: int
) -> dict[str, dict[str, float | None]]:
    before, after = (_scalars(breakdown.figures()) for breakdown in (one, other))
    drawn: dict[str, list[Tensor]] = {name: [] for name in before}
    for copies in one.resampled(samples, [seed, 0]):
        left, right = one.drawn_figures(copies), other.drawn_figures(copies)
        for name, parts in drawn.items():
            parts.append(right[name] - left[name])
    return {
        name: _entry(before[name].item(), after[name].item(), torch.cat(parts), level)
        for name, parts in drawn.items()
    }


def _scalars(figures: Figures) -> Figures:
    return {name: value for name, value in figures.items() if not value.ndim}


def _entry(before: float, after: float, draws: Tensor, level: float) -> dict[str, float | None]:
    draws = draws[~draws.isnan()]
    difference = after - before
    low = high = p = float("nan")
    if len(draws) and isfinite(difference):
        tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
        low, high = draws.quantile(tails).tolist()
        sides = ((draws <= _TIE).sum().item(), (draws >= -_TIE).sum().item())
        p = min(1.0, 2 * (1 + min(sides)) / (1 + len(draws)))
    values = {"a": before, "b": after, "difference": difference, "low": low, "high": high, "p": p}
    return {name: value if isfinite(value) else None for name, value in values.items()}


def _mcnemar(first: PredictionTable, second: PredictionTable) -> dict[str, float | int]:
    right, also = (table.prediction == table.label for table in (first, second))
    only_a, only_b = int((right & ~also).sum()), int((also & ~right).sum())
    discordant = only_a + only_b
    p = float(binomtest(only_a, discordant).pvalue) if discordant else 1.0
    return {"only_a_right": only_a, "only_b_right": only_b, "p": p}
