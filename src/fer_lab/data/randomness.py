"""Random numbers that depend on what they are for, not on what was drawn before.

SplitMix64 (Steele, Lea and Flood 2014) as a counter-based generator: a draw is a hash of its
coordinates, so that batches, workers, ranks and resumed runs all see the same numbers.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MULTIPLIERS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def combine(seed: int, *coordinates: int) -> int:
    """A 63-bit seed for a generator, scattered from a seed and any coordinates.

    >>> combine(1, 2) == combine(1, 2), combine(1, 2) == combine(2, 1)
    (True, False)
    """
    state = _scatter((seed + _GOLDEN) & _MASK)
    for coordinate in coordinates:
        state = _scatter((state + _GOLDEN * (coordinate + 1)) & _MASK)
    return state >> 1


def uniform(seed: int, epoch: int, index: Tensor, draws: int) -> Tensor:
    """Uniform numbers for samples, the same whatever batch they come in.

    Args:
        seed: the run's seed.
        epoch: number of the epoch.
        index: which samples, int64 ``[B]``, non-negative; the result is on its device.
        draws: how many numbers per sample; the first ones do not depend on it.

    Returns:
        float32 ``[B, draws]`` in [0, 1).
    """
    steps = torch.arange(1, draws + 1, device=index.device)
    state = _scatter_tensor(index * _signed(_GOLDEN) + combine(seed, epoch))
    bits = _scatter_tensor(state[:, None] + steps * _signed(_GOLDEN))
    return _shift(bits, 40).to(torch.float32) * 2.0**-24


def _scatter(state: int) -> int:
    state = ((state ^ (state >> 30)) * _MULTIPLIERS[0]) & _MASK
    state = ((state ^ (state >> 27)) * _MULTIPLIERS[1]) & _MASK
    return state ^ (state >> 31)


def _scatter_tensor(state: Tensor) -> Tensor:
    """As :func:`_scatter`: int64 products wrap, and only the shift has to know of the sign."""
    state = (state ^ _shift(state, 30)) * _signed(_MULTIPLIERS[0])
    state = (state ^ _shift(state, 27)) * _signed(_MULTIPLIERS[1])
    return state ^ _shift(state, 31)


def _shift(state: Tensor, bits: int) -> Tensor:
    """Shift right, filling with zeros: int64 shifts fill with the sign."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
