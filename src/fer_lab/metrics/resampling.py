"""Intervals and null distributions of any statistic of a table of counts, by resampling counts.

Drawing whole tables instead of samples is exact for independent samples, and its cost does not
grow with their number. Every draw follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fer_lab.metrics.permutation import chunks, permuted_tables

Statistic = Callable[[Tensor], Tensor]

# Equal gaps reached over different groups differ in their last bits.
_TIE = 1e-12


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Null:
    """A value beside the distribution it has when groups mean nothing; NaN where undefined.

    Attributes:
        value: the value observed.
        mean: mean of the null distribution.
        p95: its 95th percentile.
        p: share of the null at or above the value, with the value counted in (never 0).
        excess: value minus mean.
    """

    value: float
    mean: float
    p95: float
    p: float
    excess: float


def bootstrap(
    confusion: Tensor,
    statistic: Statistic,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Basic bootstrap interval of a statistic of counts.

    The samples behind the counts are drawn again with replacement (a multinomial draw over all
    cells), and the interval is ``2 · value - quantiles``: percentiles of a gap, which cannot be
    negative, would miss it. It contains the value and keeps to the statistic's range: 0 at least
    unless a draw is negative, 1 at most unless a draw exceeds it.

    Args:
        confusion: counts of any shape, e.g. ``[G, C, C]``.
        statistic: maps tables ``[..., G, C, C]`` to ``[...]``. One that only takes a single
            table works too, more slowly.
        samples: number of draws.
        level: coverage aimed at, in (0, 1).
        seed: the same seed gives the same interval.

    Returns:
        The interval; draws in which the statistic is NaN are skipped.

    Raises:
        ValueError: if the statistic is not a scalar of one table, or samples or level make no
            sense.

    >>> from fer_lab.metrics.rates import accuracy
    >>> table = torch.tensor([[[80, 20], [10, 90]]])
    >>> interval = bootstrap(table, lambda counts: accuracy(counts.sum(-3)))
    >>> round(interval.low, 2), round(interval.value, 2), round(interval.high, 2)
    (0.8, 0.85, 0.9)
    """
    value, batched = _scalar_statistic(confusion, statistic)
    rng = np.random.default_rng(seed)
    draws = torch.cat([batched(tables) for tables in bootstrap_tables(confusion, samples, rng)])
    return intervals(value.reshape(1), draws.unsqueeze(-1), level)[0]


def permutation_null(
    confusion: Tensor,
    statistic: Statistic,
    within_label: bool,
    samples: int = 1000,
    seed: int = 0,
) -> Null:
    """Distribution of a statistic when the groups of the samples are permuted.

    Args:
        confusion: counts, shape ``[G, C, C]``.
        statistic: maps tables ``[..., G, C, C]`` to ``[...]``. One that only takes a single
            table works too, more slowly.
        within_label: permute among samples of the same true class (for metrics conditioned on
            it), else among all.
        samples: number of permutations.
        seed: the same seed gives the same distribution.

    Returns:
        The value beside its null; permutations in which the statistic is NaN are skipped.

    Raises:
        ValueError: if the statistic is not a scalar of one table, or samples makes no sense.

    >>> from fer_lab.metrics.functional import equal_opportunity
    >>> table = torch.tensor([[[80, 20], [10, 90]], [[50, 50], [10, 90]]])
    >>> null = permutation_null(table, lambda t: equal_opportunity(t).amax(-1), within_label=True)
    >>> round(null.excess, 1), null.p < 0.01
    (0.2, True)
    """
    value, batched = _scalar_statistic(confusion, statistic)
    rng = np.random.default_rng(seed)
    draws = torch.cat(
        [
            batched(within if within_label else overall)
            for within, overall in permuted_tables(confusion, samples, rng)
        ]
    )
    return nulls(value.reshape(1), draws.unsqueeze(-1))[0]


def intervals(values: Tensor, draws: Tensor, level: float) -> list[Interval]:
    """Basic bootstrap intervals of several statistics at once (see `bootstrap`).

    Args:
        values: observed, shape ``[K]``.
        draws: the same statistics in each resampled table, shape ``[S, K]``.
        level: coverage aimed at, in (0, 1).

    Raises:
        ValueError: if level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: a share between 0 and 1, such as 0.95")
    values, draws = values.double(), draws.double()
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    lower, upper = draws.nanquantile(tails, dim=0)
    seen = torch.cat([draws, values.unsqueeze(0)])
    floor = torch.where((seen < 0).any(0), -torch.inf, 0.0)
    ceiling = torch.where((seen > 1).any(0), torch.inf, 1.0)
    low = torch.minimum(torch.maximum(2 * values - upper, floor), values)
    high = torch.maximum(torch.minimum(2 * values - lower, ceiling), values)
    rows = torch.stack([values, low, high], -1).tolist()
    return [Interval(*row) for row in rows]


def nulls(values: Tensor, draws: Tensor) -> list[Null]:
    """Several statistics beside their null distributions (see `permutation_null`).

    Args:
        values: observed, shape ``[K]``.
        draws: the same statistics in each permuted table, shape ``[S, K]``.
    """
    values, draws = values.double(), draws.double()
    defined = (~draws.isnan()).sum(0)
    reached = (draws >= values - _TIE).sum(0)
    p = ((1 + reached) / (1 + defined)).masked_fill(values.isnan() | (defined == 0), torch.nan)
    mean = draws.nanmean(0).masked_fill(values.isnan(), torch.nan)
    p95 = draws.nanquantile(0.95, dim=0).masked_fill(values.isnan(), torch.nan)
    rows = torch.stack([values, mean, p95, p, values - mean], -1).tolist()
    return [Null(*row) for row in rows]


def bootstrap_tables(
    counts: Tensor, samples: int, rng: np.random.Generator, width: float = 1.0
) -> Iterator[Tensor]:
    """Tables of the same number of samples drawn with replacement, in chunks ``[S, *shape]``.

    Args:
        counts: the observed table, any shape.
        samples: number of tables in all.
        rng: where the draws come from.
        width: numbers that will be made of each number of a table, which bounds the chunks.
    """
    table = counts.detach().cpu().long().numpy()
    cells = table.ravel()
    occupied = np.flatnonzero(cells)
    total = int(cells.sum())
    shares = cells[occupied] / max(total, 1)
    for size in chunks(samples, int(cells.size * max(width, 1.0))):
        drawn = np.zeros((size, cells.size), dtype=np.int64)
        if total:
            drawn[:, occupied] = rng.multinomial(total, shares, size=size)
        yield torch.from_numpy(drawn.reshape(size, *table.shape))


def _scalar_statistic(confusion: Tensor, statistic: Statistic) -> tuple[Tensor, Statistic]:
    """The observed value, and the statistic as a function of tables ``[S, *shape]`` to ``[S]``."""
    value = torch.as_tensor(statistic(confusion))
    if value.ndim:
        raise ValueError(f"the statistic must be a scalar of one table, not {tuple(value.shape)}")
    value = value.detach().cpu().double()

    def one_by_one(tables: Tensor) -> Tensor:
        return torch.stack([torch.as_tensor(statistic(table)).double() for table in tables])

    copies = torch.as_tensor(statistic(confusion.unsqueeze(0).repeat(3, *[1] * confusion.ndim)))
    takes_batches = copies.shape == (3,) and torch.allclose(
        copies.double().cpu(), value.expand(3), equal_nan=True
    )
    return value, statistic if takes_batches else one_by_one
