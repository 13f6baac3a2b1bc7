"""Spearman's rank correlation, a batch at a time on the device."""

from __future__ import annotations

import torch
from torch import Tensor


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of the ranks of each row's values; equal values share their mean rank.

    Args:
        first: ``[N, K]``.
        second: ``[N, K]``.

    Returns:
        float64 ``[N]`` in [-1, 1]; NaN where a row is constant or has a value that is no number.

    Source: Spearman 1904.

    >>> spearman(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[10.0, 40.0, 20.0]]))
    tensor([0.5000], dtype=torch.float64)
    """
    one, two = _centred_ranks(first), _centred_ranks(second)
    spread = (one.square().sum(1) * two.square().sum(1)).sqrt()
    correlation = ((one * two).sum(1) / spread).clamp(-1, 1)
    known = ~(first.isnan().any(1) | second.isnan().any(1))
    return torch.where(known & (spread > 0), correlation, torch.nan)


def _centred_ranks(values: Tensor) -> Tensor:
    values = values.contiguous()
    ordered = values.sort(dim=1).values
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    # Twice the mean rank of equal values, less twice the mean of all ranks.
    return (below + up_to - values.shape[1]).double()
