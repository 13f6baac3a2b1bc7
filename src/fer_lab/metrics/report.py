"""The whole fairness report of a classifier from one summed table, over batches and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import isfinite, prod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from fer_lab.data.vocabulary import UNKNOWN
from fer_lab.errors import ConfigError
from fer_lab.metrics.breakdown import FAIRNESS_METRICS, Breakdown
from fer_lab.metrics.functional import (
    accuracy,
    demographic_parity_difference,
    equalized_odds_difference,
    f1_score,
    group_confusion,
    precision,
    true_positive_rate,
)
from fer_lab.metrics.rates import one_vs_rest
from fer_lab.metrics.resampling import Interval, Null

# Combinations of all attributes the state may hold: 8 MB with seven classes.
_LARGEST_PRODUCT = 20_000

# Groups an intersection may have before a report lists it: more say little about each.
_LARGEST_INTERSECTION = 200

_DIFFERENCES = {"dpd": demographic_parity_difference, "eod": equalized_odds_difference}


class FairnessReport(Metric):
    """Accuracy and fairness by every attribute and intersection, DDP-safe: one summed state.

    Args:
        classes: names of the expressions, in the order of their indices.
        groups: ``{attribute: names of its groups}``, in the order of their indices.
        min_count: smallest denominator with which a group enters a gap or is the worst group.
        **kwargs: what `torchmetrics.Metric` takes.

    The state counts samples over the product of all attributes, each with a slot for unknown.
    Unknown groups count in the figures over all samples and in a line of their own, never in a
    gap.

    Raises:
        ConfigError: if the attributes have too many combinations.

    >>> report = FairnessReport(["happy", "sad"], {"gender": ["female", "male"]}, min_count=1)
    >>> report.update(torch.tensor([0, 1, 0, 0]), torch.tensor([0, 1, 0, 1]),
    ...               {"gender": torch.tensor([0, 0, 1, 1])})
    >>> figures = report.compute()
    >>> figures["accuracy"].item(), figures["fairness/gender/equal_opportunity"].item()
    (0.75, 1.0)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    confusion: Tensor

    def __init__(
        self,
        classes: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        min_count: int = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.classes = tuple(classes)
        self.groups = {attribute: tuple(names) for attribute, names in groups.items()}
        self.min_count = min_count
        slots = prod(len(names) + 1 for names in self.groups.values())
        if slots > _LARGEST_PRODUCT:
            listed = ", ".join(f"{name} ({len(names)})" for name, names in self.groups.items())
            raise ConfigError(
                f"the audited attributes have {slots:,} combinations of groups,"
                f" at most {_LARGEST_PRODUCT:,} fit: {listed}",
                where="attributes",
                hint="audit fewer attributes at once, or coarser groups",
            )
        empty = torch.zeros(slots, len(self.classes), len(self.classes), dtype=torch.int64)
        self.add_state("confusion", default=empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, label: Tensor, group: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            prediction: predicted class, integers ``[B]``.
            label: true class, integers ``[B]``.
            group: group by attribute, integers ``[B]`` each; -1 is unknown.

        Raises:
            KeyError: if an attribute of the report is missing.
            ValueError: if lengths differ or a value is out of range (checked on the CPU only).
        """
        joint = torch.zeros_like(label, dtype=torch.int64)
        for attribute, names in self.groups.items():
            values = group[attribute]
            size = len(names)
            if values.device.type == "cpu" and (values >= size).any():
                raise ValueError(f"{attribute} holds {values.max()}: expected -1 to {size - 1}")
            joint = joint * (size + 1) + torch.where(values < 0, size, values)
        self.confusion += group_confusion(
            prediction, label, joint, len(self.classes), len(self.confusion)
        )

    def compute(self) -> dict[str, Tensor]:
        """All headline figures as float64 scalars on the CPU, by stable names; NaN if undefined.

        ``fairness/<attribute>/<metric>`` is the largest over expressions,
        ``fairness/<attribute>/bias`` the mean of the four, ``fairness/bias`` that over
        attributes; ``dpd`` and ``eod`` are means over expressions. ``fairness/undefined`` counts
        the values skipped on the way, ``collapsed`` is 1 for a model that predicts two classes
        or fewer (one, if there are only two): its small gaps mean nothing.
        """
        breakdown = self._breakdown()
        scalars = {name: value for name, value in breakdown.figures().items() if not value.ndim}
        undefined = sum(int(values.isnan().sum()) for values in breakdown.values().values())
        worst: dict[str, float] = {}
        for attribute, table in breakdown.tables.items():
            known = table[: len(self.groups[attribute])]
            for name, difference in _DIFFERENCES.items():
                scalars[f"fairness/{attribute}/{name}"] = difference(
                    known, min_count=self.min_count
                )
            worst[attribute] = self._worst(self.groups[attribute], known)["accuracy"]
        for attribute, value in worst.items():
            scalars[f"fairness/{attribute}/worst_group_accuracy"] = _scalar(value)
        defined = [value for value in worst.values() if value is not None]
        scalars["worst_group_accuracy"] = _scalar(min(defined, default=None))
        scalars["fairness/undefined"] = _scalar(undefined)
        scalars["collapsed"] = _scalar(self._collapsed(breakdown.whole))
        return scalars

    def report(self, samples: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Everything, with intervals, nulls and counts, ready for JSON (None where undefined).

        Under DDP every process must call it, as `compute`.

        Args:
            samples: number of bootstrap draws, and of permutations.
            level: coverage of the intervals.
            seed: the same seed gives the same report.

        Returns:
            The content of ``metrics/<split>.json`` but for the split and the origin of the
            attributes, which a table of counts does not know.
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn,
            should_sync=self._to_sync,
            should_unsync=self._should_unsync,
        ):
            breakdown = self._breakdown()
        intervals = breakdown.intervals(samples, level, seed)
        nulls = breakdown.nulls(samples, seed)
        whole = breakdown.whole
        attributes = {
            name: self._attribute(name, breakdown, intervals, nulls) for name in self.groups
        }
        worst: list[dict[str, Any]] = [
            {"attribute": name, **content["worst_group"]}
            for name, content in attributes.items()
            if content["worst_group"]["group"] is not None
        ]
        nowhere = {"attribute": None, "group": None, "accuracy": None, "count": 0}
        return {
            "samples": int(whole.sum()),
            "classes": list(self.classes),
            "collapsed": self._collapsed(whole),
            "min_count": self.min_count,
            "level": level,
            "resamples": samples,
            **{
                name: _interval(intervals[name][0])
                for name in ("accuracy", "mean_class_accuracy", "f1_macro", "f1_weighted")
            },
            "per_class": self._per_class(whole),
            "confusion": whole.long().tolist(),
            "worst_group": min(worst, key=lambda group: group["accuracy"], default=nowhere),
            "attributes": attributes,
            "intersections": self._intersections(breakdown),
            "bias": _gap(intervals["fairness/bias"][0], nulls["fairness/bias"]),
        }

    def _breakdown(self) -> Breakdown:
        sizes = {attribute: len(names) for attribute, names in self.groups.items()}
        return Breakdown(self.confusion.cpu(), sizes, self.min_count)

    def _attribute(
        self,
        attribute: str,
        breakdown: Breakdown,
        intervals: Mapping[str, list[Interval]],
        nulls: Mapping[str, Null],
    ) -> dict[str, Any]:
        names, table = self.groups[attribute], breakdown.tables[attribute]
        known = table[: len(names)]
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
                "per_expression": self._by_class(row),
                "left_out": self._left_out(metric, names, known),
            }
            for metric, row in zip(FAIRNESS_METRICS, values, strict=True)
        }
        differences = {
            name: {
                "value": _number(difference(known, "macro", self.min_count)),
                "per_expression": self._by_class(difference(known, "none", self.min_count)),
            }
            for name, difference in _DIFFERENCES.items()
        }
        bias = f"fairness/{attribute}/bias"
        return {
            "groups": groups,
            "metrics": metrics,
            **differences,
            "bias": _gap(intervals[bias][0], nulls[bias]),
            "worst_group": self._worst(names, known),
        }

    def _intersections(self, breakdown: Breakdown) -> dict[str, Any]:
        """All pairs of attributes and the product of all, where the groups are not too many."""
        attributes = list(self.groups)
        chosen = [*combinations(attributes, 2), tuple(attributes)] if len(attributes) > 1 else []
        intersections = {}
        for members in dict.fromkeys(chosen):
            names = [""]
            for attribute in members:
                names = [f"{name}×{group}" for name in names for group in self.groups[attribute]]
            if len(names) > _LARGEST_INTERSECTION:
                continue
            names = [name.removeprefix("×") for name in names]
            table = breakdown.intersection(members)
            rows = zip(names, table.sum((-2, -1)).tolist(), accuracy(table), strict=True)
            intersections["×".join(members)] = {
                "groups": {
                    name: {"count": count, "accuracy": _number(value)}
                    for name, count, value in rows
                },
                "worst_group": self._worst(names, table),
            }
        return intersections

    def _worst(self, names: Sequence[str], table: Tensor) -> dict[str, Any]:
        """The group of lowest accuracy among those with ``min_count`` samples."""
        counts = table.sum((-2, -1))
        eligible = counts >= max(self.min_count, 1)
        if not eligible.any():
            return {"group": None, "accuracy": None, "count": 0}
        values = accuracy(table).masked_fill(~eligible, torch.inf)
        lowest = int(values.argmin())
        return {
            "group": names[lowest],
            "accuracy": _number(values[lowest]),
            "count": int(counts[lowest]),
        }

    def _left_out(self, metric: str, names: Sequence[str], known: Tensor) -> list[dict[str, Any]]:
        """Groups whose rate for an expression has too small a denominator."""
        denominators = FAIRNESS_METRICS[metric].denominator(one_vs_rest(known))
        return [
            {"group": name, "expression": expression, "count": int(count)}
            for name, row in zip(names, denominators.tolist(), strict=True)
            for expression, count in zip(self.classes, row, strict=True)
            if count < max(self.min_count, 1)
        ]

    def _per_class(self, whole: Tensor) -> dict[str, Any]:
        columns = zip(
            self.classes,
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

    def _by_class(self, values: Tensor) -> dict[str, float | None]:
        return {name: _number(value) for name, value in zip(self.classes, values, strict=True)}

    def _collapsed(self, whole: Tensor) -> bool:
        return int(whole.any(-2).sum()) <= min(2, len(self.classes) - 1)


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


def _scalar(value: float | None) -> Tensor:
    return torch.tensor(torch.nan if value is None else value, dtype=torch.float64)
