"""Intervals and null distributions of any statistic of a table of counts, by resampling counts.

Drawing whole tables instead of samples is exact for independent samples, and its cost does not
grow with their number. Every draw follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Statistic = Callable[[Tensor], Tensor]

# Numbers in the tables of one chunk: bounds the memory (16 MB) and keeps it near the cache.
_CHUNK_CELLS = 2_000_000

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


def bootstrap_tables(counts: Tensor, samples: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Tables of the same number of samples drawn with replacement, in chunks ``[S, *shape]``.

    Args:
        counts: the observed table, any shape.
        samples: number of tables in all.
        rng: where the draws come from.
    """
    table = _as_array(counts)
    cells = table.ravel()
    occupied = np.flatnonzero(cells)
    total = int(cells.sum())
    shares = cells[occupied] / max(total, 1)
    for size in _chunks(samples, cells.size):
        drawn = np.zeros((size, cells.size), dtype=np.int64)
        if total:
            drawn[:, occupied] = rng.multinomial(total, shares, size=size)
        yield torch.from_numpy(drawn.reshape(size, *table.shape))


def permuted_tables(
    confusion: Tensor, samples: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Tables after the groups of the samples are permuted: within each label, and over all.

    Both tables of a pair come from one random order of the samples. Cutting the order of each
    label where the groups' shares of that label end permutes within labels; cutting the order of
    all samples where the groups end permutes over all. So statistics of the first and of the
    second kind vary together, as they do for an attribute at random, and may be averaged draw by
    draw. Only counts are drawn: how many samples of a label each group has after permuting over
    all, then the predictions in every stretch between two cuts.

    Args:
        confusion: counts, shape ``[G, C, C]``.
        samples: number of pairs in all.
        rng: where the draws come from.

    Yields:
        Chunks of both kinds, int64 ``[S, G, C, C]`` each.
    """
    table = _as_array(confusion)
    groups, classes, _ = table.shape
    by_label = table.sum(2).T  # [C, G]
    cells = table.sum(0)  # [C, C]
    for size in _chunks(samples, 4 * table.size):
        shape = (size, classes, groups)
        permuted = _deal(rng, np.broadcast_to(by_label.sum(1), (size, classes)), by_label.sum(0))
        cuts = np.concatenate(
            [np.broadcast_to(by_label, shape).cumsum(-1), permuted.swapaxes(1, 2).cumsum(-1)], -1
        )
        order = cuts.argsort(-1, kind="stable")
        stretches = np.diff(np.take_along_axis(cuts, order, -1), axis=-1, prepend=0)
        dealt = _deal(rng, np.broadcast_to(cells, (size, classes, classes)), stretches)
        # Samples up to each cut, back in the order of the cuts, [S, C, 2G, C].
        below = np.take_along_axis(dealt.cumsum(2), order.argsort(-1)[..., None], 2)
        within, overall = (
            np.diff(part, axis=2, prepend=0).swapaxes(1, 2) for part in np.split(below, 2, axis=2)
        )
        yield torch.from_numpy(within), torch.from_numpy(overall)


def _deal(
    rng: np.random.Generator, cells: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Deal counted items to hands of given sizes: multivariate hypergeometric draws.

    Args:
        rng: where the draws come from.
        cells: how many items of each kind there are, ``[..., K]``.
        sizes: how many items each hand gets, ``[..., R]``; sums as ``cells`` does.

    Returns:
        Items of each kind in each hand, ``[..., R, K]``.
    """
    remaining = cells.copy()
    kinds, hands = cells.shape[-1], sizes.shape[-1]
    dealt = np.empty((*cells.shape[:-1], hands, kinds), dtype=np.int64)
    for hand in range(hands - 1):
        wanted = np.broadcast_to(sizes[..., hand], cells.shape[:-1]).copy()
        others = remaining.sum(-1)
        for kind in range(kinds - 1):
            others -= remaining[..., kind]
            drawn = rng.hypergeometric(remaining[..., kind], others, wanted)
            dealt[..., hand, kind] = drawn
            wanted -= drawn
        dealt[..., hand, -1] = wanted
        remaining -= dealt[..., hand, :]
    dealt[..., -1, :] = remaining
    return dealt


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


def _as_array(counts: Tensor) -> NDArray[np.int64]:
    return counts.detach().cpu().long().numpy()


def _chunks(samples: int, cells: int) -> Iterator[int]:
    if samples < 1:
        raise ValueError(f"samples={samples}: at least one draw is needed")
    largest = max(1, _CHUNK_CELLS // max(cells, 1))
    for start in range(0, samples, largest):
        yield min(largest, samples - start)
