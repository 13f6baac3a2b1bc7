"""Null distributions: tables of counts after the groups of the samples are permuted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Numbers in the tables of one chunk: bounds the memory (16 MB) and keeps it near the cache.
_CHUNK_CELLS = 2_000_000


def permuted_tables(
    confusion: Tensor, samples: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Tables after the groups of the samples are permuted: within each label, and over all.

    Both tables of a pair come from one permutation over all samples. Where it gives a group more
    samples of a label than the group has, the surplus goes back to a pool, and groups with too
    few draw from the pool: that is a permutation within labels, as near to the first as can be.
    So statistics of the first and of the second kind vary together, as they do for an attribute
    at random, and may be averaged draw by draw. Only counts are drawn.

    Args:
        confusion: counts, shape ``[G, C, C]``.
        samples: number of pairs in all.
        rng: where the draws come from.

    Yields:
        Chunks of both kinds, int64 ``[S, G, C, C]`` each.
    """
    table = confusion.detach().cpu().long().numpy()
    own = table.sum(2).T  # samples of each label in each group, [C, G]
    cells = table.sum(0)  # [C, C]
    classes, groups = own.shape
    for size in chunks(samples, 4 * table.size):
        drawn = deal(rng, np.broadcast_to(own.sum(1), (size, classes)), own.sum(0))
        kept = np.minimum(drawn.swapaxes(1, 2), own)  # [S, C, G]
        hands = np.concatenate([kept, drawn.swapaxes(1, 2) - kept], axis=-1)
        dealt = deal(rng, np.broadcast_to(cells, (size, classes, classes)), hands)
        core, surplus = dealt[:, :, :groups], dealt[:, :, groups:]
        refill = deal(rng, surplus.sum(2), own - kept)
        within, overall = (
            np.ascontiguousarray((core + rest).swapaxes(1, 2)) for rest in (refill, surplus)
        )
        yield torch.from_numpy(within), torch.from_numpy(overall)


def deal(
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


def chunks(samples: int, cells: int) -> Iterator[int]:
    """Sizes of chunks of draws, so that the tables of one stay small.

    Args:
        samples: number of draws in all.
        cells: numbers in the tables of one draw.

    Raises:
        ValueError: if no draw is asked for.
    """
    if samples < 1:
        raise ValueError(f"samples={samples}: at least one draw is needed")
    largest = max(1, _CHUNK_CELLS // max(cells, 1))
    for start in range(0, samples, largest):
        yield min(largest, samples - start)
