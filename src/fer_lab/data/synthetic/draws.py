"""Random numbers by name: each depends on (seed, index, name) and on nothing else.

A counter-based hash (the finaliser of splitmix64) in place of a generator with a state: any face
can be drawn alone, in any order and process, and a new draw leaves the older ones as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_ROWS_AT_ONCE = 1 << 15  # keeps the intermediate arrays inside the processor's cache


def uniform(seed: int, index: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.float64]:
    """Uniform numbers, shape ``[len(index), len(names)]``, each in [0, 1).

    Args:
        seed: any integer.
        index: face numbers, shape ``[N]``.
        names: what is drawn; equal names give equal numbers.

    >>> alone = uniform(1, np.array([7]), ["tone"])
    >>> among_others = uniform(1, np.arange(10), ["width", "tone"])
    >>> bool(alone[0, 0] == among_others[7, 1])
    True
    """
    keys = np.array([_key(name) for name in names], dtype=np.uint64)
    start = _mix(np.array([seed % 2**64], dtype=np.uint64) + np.uint64(_GOLDEN))
    result = np.empty((len(index), len(names)))
    for low in range(0, len(index), _ROWS_AT_ONCE):
        counter = index[low : low + _ROWS_AT_ONCE].astype(np.uint64) * np.uint64(_GOLDEN)
        mixed = _mix(_mix(counter ^ start)[:, None] + keys)
        result[low : low + _ROWS_AT_ONCE] = (mixed >> np.uint64(11)) * 2.0**-53
    return result


@cache
def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
