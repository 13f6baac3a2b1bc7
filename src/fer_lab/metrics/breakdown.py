"""Predictions looked at attribute by attribute, with intervals and null distributions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from fer_lab.metrics.calibration import CONFIDENCE_BINS
from fer_lab.metrics.cells import Cells, indicator
from fer_lab.metrics.headline import (
    Figures,
    Floors,
    Totals,
    Variants,
    headline,
    metric_values,
    observed_floors,
)
from fer_lab.metrics.null_tables import null_figures
from fer_lab.metrics.resampling import (
    Interval,
    Null,
    bootstrap_tables,
    intervals,
    nulls,
)

# Combinations up to which an intersection lists those without samples, too.
LISTED_WHOLE = 200


class Breakdown:
    """Counted predictions, looked at attribute by attribute.

    Args:
        cells: the counts.
        min_count: smallest denominator with which a group takes part in a fairness metric.
        variants: forms of the metrics.

    Attributes:
        totals: sums per line: all samples, then each group of each attribute.
        lines: where an attribute's groups stand among the lines, the unknown one last.
    """

    def __init__(self, cells: Cells, min_count: int = 30, variants: Variants | None = None) -> None:
        self.cells = cells
        self.classes = cells.classes
        self.groups = cells.groups
        self.min_count = min_count
        self.variants = variants or Variants()
        ends = 1 + np.cumsum(cells.slots, dtype=np.int64)
        self.lines = {
            attribute: slice(int(end) - count, int(end))
            for attribute, count, end in zip(cells.groups, cells.slots, ends, strict=True)
        }
        self._per_unit = _features(cells)
        self.totals = self._totals(torch.from_numpy(cells.copies).unsqueeze(0), single=True)
        self._plain = {name: Floors(*[min_count] * 4) for name in self.groups}
        self._observed = {
            name: observed_floors(self.known(name), min_count) for name in self.groups
        }

    @property
    def whole(self) -> Tensor:
        """The confusion of all samples, ``[C, C]``."""
        return self.totals.confusion[0]

    def table(self, attribute: str) -> Tensor:
        """Counts of an attribute's groups, the unknown one last, ``[k + 1, C, C]``."""
        return self.totals.confusion[self.lines[attribute]]

    def known(self, attribute: str) -> Tensor:
        """Counts of an attribute's groups without the unknown, ``[k, C, C]``."""
        return self.table(attribute)[:-1]

    def intersection(self, attributes: tuple[str, ...]) -> tuple[list[str], Tensor]:
        """Names and counts of the combinations of known groups that occur, ``[G, C, C]``.

        Up to 200 combinations in all, those without samples are listed as well.
        """
        cells, size = self.cells, len(self.classes)
        axes = [list(self.groups).index(attribute) for attribute in attributes]
        sizes = [len(self.groups[attribute]) for attribute in attributes]
        group = cells.group[:, axes]
        kept = (group < np.array(sizes)).all(axis=1)
        code = np.ravel_multi_index(tuple(group[kept].T), sizes)
        every = int(np.prod(sizes))
        occupied = np.arange(every) if every <= LISTED_WHOLE else np.unique(code)
        place = np.searchsorted(occupied, code)
        place = (place * size + cells.label[kept]) * size + cells.prediction[kept]
        counts = np.bincount(
            place, weights=cells.samples[kept], minlength=len(occupied) * size * size
        )
        parts = [self.groups[attribute] for attribute in attributes]
        members = zip(*np.unravel_index(occupied, sizes), strict=True)
        names = [
            "×".join(part[index] for part, index in zip(parts, member, strict=True))
            for member in members
        ]
        return names, torch.from_numpy(counts.reshape(len(occupied), size, size))

    def values(self, attribute: str) -> Tensor:
        """Each metric for each expression, ``[metrics, C]``."""
        known = self.known(attribute)
        return metric_values(known, known, self._plain[attribute], self.variants)

    def figures(self) -> Figures:
        """Every figure that has an interval, see `headline`."""
        return headline(self.totals, self.lines, self._plain, self.variants)

    def drawn_figures(self, copies: Tensor) -> Figures:
        """The same figures of samples drawn again, given the copies of each unit ``[S, U]``."""
        return headline(self._totals(copies), self.lines, self._observed, self.variants)

    def intervals(self, samples: int, level: float, seed: int) -> dict[str, list[Interval]]:
        """Bootstrap intervals of all `figures`, from one resampling of the units.

        So attributes move together, and so do the figures that join them.
        """
        observed = self.figures()
        drawn = [self.drawn_figures(copies) for copies in self.resampled(samples, [seed, 0])]
        draws = [
            torch.cat([chunk[name].reshape(-1, value.numel()) for chunk in drawn])
            for name, value in observed.items()
        ]
        values = torch.cat([value.reshape(-1) for value in observed.values()])
        rows = iter(intervals(values, torch.cat(draws, dim=1), level))
        return {name: list(islice(rows, value.numel())) for name, value in observed.items()}

    def nulls(self, samples: int, seed: int) -> dict[str, Null]:
        """The fairness figures beside their distribution when groups are permuted.

        The groups of all attributes are permuted together, see `null_tables`; aggregates join
        the metrics draw by draw.
        """
        draws = null_figures(
            self.cells, samples, np.random.default_rng([seed, 1]), self._plain, self.variants
        )
        observed = self.figures()
        values = torch.stack([observed[name] for name in draws])
        rows = nulls(values, torch.stack(list(draws.values()), dim=-1))
        return dict(zip(draws, rows, strict=True))

    def resampled(self, samples: int, seed: list[int]) -> Iterator[Tensor]:
        """Copies of each unit in draws with replacement, in chunks ``[S, U]``."""
        width = max(self._per_unit.shape) / max(len(self.cells.copies), 1)
        return bootstrap_tables(
            torch.from_numpy(self.cells.copies), samples, np.random.default_rng(seed), width
        )

    def _totals(self, copies: Tensor, single: bool = False) -> Totals:
        sums = torch.from_numpy(self._per_unit.T @ copies.double().numpy().T).T.contiguous()
        if single:
            sums = sums[0]
        lines, size = 1 + sum(self.cells.slots), len(self.classes)
        counts, bins = torch.split(sums, [lines * size**2, sums.shape[-1] - lines * size**2], -1)
        confusion = counts.reshape(*sums.shape[:-1], lines, size, size)
        if self.cells.confidence_bin is None:
            return Totals(confusion, None)
        return Totals(confusion, bins.reshape(*sums.shape[:-1], lines, CONFIDENCE_BINS, 3))


def _features(cells: Cells) -> sparse.csc_array:
    """What one copy of a unit adds to the totals, sparse ``[U, features]``."""
    size, lines = len(cells.classes), cells.rows()
    width = (1 + sum(cells.slots)) * size**2
    place = (lines * size + cells.label[:, None]) * size + cells.prediction[:, None]
    blocks = [indicator(place, cells.count.astype(float), width)]
    if cells.confidence_bin is not None and cells.confidence is not None:
        place = (lines * CONFIDENCE_BINS + cells.confidence_bin[:, None]) * 3
        right = cells.label == cells.prediction
        for column, share in enumerate((1.0, right, cells.confidence)):
            width = (1 + sum(cells.slots)) * CONFIDENCE_BINS * 3
            blocks.append(indicator(place + column, cells.count * share, width))
        blocks[1:] = [blocks[1] + blocks[2] + blocks[3]]
    features = sparse.hstack(blocks, format="csr")
    units = indicator(cells.unit[:, None], np.ones(len(cells.unit)), len(cells.copies))
    return sparse.csc_array(units.T @ features)
