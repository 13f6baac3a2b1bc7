"""The figures of a fairness report: from one joint table over all attributes, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import prod
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from fer_lab.metrics.aggregation import nanmax
from fer_lab.metrics.functional import (
    accuracy,
    demographic_parity,
    equal_opportunity,
    equalized_odds,
    f1_score,
    mean_class_accuracy,
    treatment_equality,
)
from fer_lab.metrics.rates import OneVsRest
from fer_lab.metrics.resampling import (
    Interval,
    Null,
    bootstrap_tables,
    intervals,
    nulls,
    permuted_tables,
)


class _Measure(Protocol):
    def __call__(self, confusion: Tensor, *, min_count: int) -> Tensor: ...


class FairnessMetric(NamedTuple):
    """One of the four metrics.

    Attributes:
        measure: ``(confusion [..., G, C, C], min_count) -> [..., C]``.
        denominator: what its rates divide by, ``[..., G, C]``; the smaller where it has two.
        within_label: whether it is conditioned on the true class (so its null is, too).
    """

    measure: _Measure
    denominator: Callable[[OneVsRest], Tensor]
    within_label: bool


FAIRNESS_METRICS: Mapping[str, FairnessMetric] = {
    "equalized_odds": FairnessMetric(
        equalized_odds, lambda counts: torch.minimum(counts.positives, counts.negatives), True
    ),
    "equal_opportunity": FairnessMetric(equal_opportunity, lambda counts: counts.positives, True),
    "demographic_parity": FairnessMetric(demographic_parity, lambda counts: counts.total, False),
    "treatment_equality": FairnessMetric(
        treatment_equality, lambda counts: counts.misses + counts.false_alarms, False
    ),
}

Figures = dict[str, Tensor]


class Breakdown:
    """One joint table of counts, looked at attribute by attribute.

    Args:
        joint: counts over the product of all attributes, each with one more slot at its end for
            unknown, integers ``[J, C, C]`` (rows true, columns predicted).
        classes: names of the expressions.
        groups: ``{attribute: names of its known groups}``, in the order of the product.
        min_count: smallest denominator with which a group takes part in a fairness metric.

    Attributes:
        whole: the confusion of all samples, ``[C, C]``.
        tables: that of each group, known ones first, ``{attribute: [k + 1, C, C]}``.
    """

    def __init__(
        self,
        joint: Tensor,
        classes: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        min_count: int,
    ) -> None:
        self.classes = classes
        self.groups = groups
        self.min_count = min_count
        self._joint = joint
        self._slots = [len(names) + 1 for names in groups.values()]
        self._members = _membership(self._slots)
        self.whole, self.tables = self._split(joint, self._members)

    def known(self, attribute: str) -> Tensor:
        """Counts of an attribute's groups without the unknown, ``[k, C, C]``."""
        return _known(self.tables[attribute])

    def intersection(self, attributes: tuple[str, ...]) -> Tensor:
        """Counts of all combinations of known groups, ``[product of sizes, C, C]``."""
        table = self._joint.reshape(*self._slots, *self._joint.shape[-2:])
        for axis, attribute in reversed(list(enumerate(self.groups))):
            known = table.narrow(axis, 0, self._slots[axis] - 1)
            table = known if attribute in attributes else table.sum(axis)
        return table.reshape(-1, *self._joint.shape[-2:])

    def values(self) -> Figures:
        """Each metric for each expression, ``{attribute: [metrics, C]}``."""
        known = {attribute: self.known(attribute) for attribute in self.groups}
        return {name: self._measured(table, table) for name, table in known.items()}

    def figures(self) -> Figures:
        """Every figure that has an interval, by name (scalars, and ``accuracy/<attribute>``)."""
        return self._figures(self.whole, self.tables)

    def intervals(self, samples: int, level: float, seed: int) -> dict[str, list[Interval]]:
        """Bootstrap intervals of all `figures`, from one resampling of the joint table.

        So attributes move together, and so do the figures that join them.
        """
        occupied = self._joint.flatten(1).any(1)
        members = self._members[:, occupied]
        rng = np.random.default_rng([seed, 0])
        chunks = [
            self._figures(*self._split(tables, members))
            for tables in bootstrap_tables(self._joint[occupied], samples, rng)
        ]
        observed = self.figures()
        draws = [
            torch.cat([chunk[name].reshape(-1, value.numel()) for chunk in chunks])
            for name, value in observed.items()
        ]
        values = torch.cat([value.reshape(-1) for value in observed.values()])
        rows = iter(intervals(values, torch.cat(draws, dim=1), level))
        return {name: list(islice(rows, value.numel())) for name, value in observed.items()}

    def nulls(self, samples: int, seed: int) -> dict[str, Null]:
        """The fairness figures beside their distribution when groups are permuted.

        Each attribute is permuted among the samples that have it, independently of the others;
        aggregates join the metrics draw by draw.
        """
        draws: Figures = {}
        for number, attribute in enumerate(self.groups):
            rng = np.random.default_rng([seed, 1 + number])
            pairs = permuted_tables(self.known(attribute), samples, rng)
            chunks = [self._measured(*pair) for pair in pairs]
            draws |= _aggregated(attribute, torch.cat(chunks))
        draws |= self._overall(draws, (samples,))
        observed = self.figures()
        values = torch.stack([observed[name] for name in draws])
        rows = nulls(values, torch.stack(list(draws.values()), dim=-1))
        return dict(zip(draws, rows, strict=True))

    def _split(self, joint: Tensor, members: Tensor) -> tuple[Tensor, Figures]:
        """The whole and each attribute's tables of joint tables ``[..., J, C, C]``."""
        # Counts are exact in float64, and a product with 0 and 1 adds them up the fastest way.
        rows = members @ joint.flatten(-2).double()
        rows = rows.reshape(*rows.shape[:-1], *joint.shape[-2:])
        whole, *parts = torch.split(rows, [1, *self._slots], dim=-3)
        return whole.squeeze(-3), dict(zip(self.groups, parts, strict=True))

    def _measured(self, within: Tensor, overall: Tensor) -> Tensor:
        """The metrics, ``[..., metrics, C]``: of one table twice, or of two permuted ones."""
        return torch.stack(
            [
                metric.measure(within if metric.within_label else overall, min_count=self.min_count)
                for metric in FAIRNESS_METRICS.values()
            ],
            -2,
        )

    def _figures(self, whole: Tensor, tables: Figures) -> Figures:
        figures = {
            "accuracy": accuracy(whole),
            "mean_class_accuracy": mean_class_accuracy(whole),
            "f1_macro": f1_score(whole, "macro"),
            "f1_weighted": f1_score(whole, "weighted"),
        }
        for attribute, table in tables.items():
            known = _known(table)
            figures |= _aggregated(attribute, self._measured(known, known))
            figures[f"accuracy/{attribute}"] = accuracy(table)
        return figures | self._overall(figures, whole.shape[:-2])

    def _overall(self, figures: Figures, batch: tuple[int, ...]) -> Figures:
        biases = [figures[f"fairness/{attribute}/bias"] for attribute in self.groups]
        undefined = torch.full(batch, torch.nan, dtype=torch.float64)
        return {"fairness/bias": torch.stack(biases or [undefined], -1).nanmean(-1)}


def _known(table: Tensor) -> Tensor:
    return table[..., :-1, :, :]


def _membership(slots: list[int]) -> Tensor:
    """Which cells of the product belong to all, and to each group of each attribute, [R, J]."""
    cells = torch.cartesian_prod(*map(torch.arange, slots)) if slots else torch.zeros(1, 0)
    cells = cells.reshape(prod(slots), len(slots))
    rows = [torch.ones(1, len(cells), dtype=torch.bool)]
    rows += [torch.arange(count).unsqueeze(1) == cells[:, axis] for axis, count in enumerate(slots)]
    return torch.cat(rows).double()


def _aggregated(attribute: str, values: Tensor) -> Figures:
    """Maxima over expressions and their mean, from ``[..., metrics, C]``."""
    largest = nanmax(values)
    named = {
        f"fairness/{attribute}/{metric}": largest[..., row]
        for row, metric in enumerate(FAIRNESS_METRICS)
    }
    return named | {f"fairness/{attribute}/bias": largest.nanmean(-1)}
