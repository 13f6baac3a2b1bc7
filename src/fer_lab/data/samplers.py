"""The order in which rows are visited, the same for every number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from fer_lab.data.randomness import combine

# Rows turned into Python numbers at a time: an expanded set has millions.
_AT_ONCE: Final = 1 << 16


class EpochSampler(Sampler[int]):
    """One process's share of some rows, in an order that depends on (seed, epoch) alone.

    Shuffled shares are of equal length, or training processes would wait for each other forever:
    the permutation starts again at its end, or is cut with ``drop_last``. Shares in order, for
    evaluation, hold every row once, whatever their number.

    Lightning calls :meth:`set_epoch` before each epoch.

    Args:
        rows: manifest rows, ``[N]``; in an expanded training set each in every variant.
        seed: the run's seed.
        epoch: the epoch to begin with.
        rank: number of this process.
        world: how many processes there are.
        shuffle: permute the rows anew each epoch.
        drop_last: cut shuffled shares to equal length in place of repeating rows.

    Attributes:
        skip: samples at the start of this share to leave out in the current epoch, because an
            interrupted run has seen them; the next epoch is whole again. They stay counted in the
            length: Lightning counts the batches before an interruption, too.
        in_flight: samples that may have been handed out and not been read.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
    ) -> None:
        self.rows = torch.as_tensor(rows, dtype=torch.int64)
        self.seed = seed
        self.epoch = epoch
        self.rank = rank
        self.world = world
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.skip = 0
        self.in_flight = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to another epoch."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.skip = 0

    def __iter__(self) -> Iterator[int]:
        rows = self.rows
        if self.shuffle and len(rows):
            generator = torch.Generator().manual_seed(combine(self.seed, self.epoch))
            rows = rows[torch.randperm(len(rows), generator=generator)]
            places = torch.arange(self.rank, self._share() * self.world, self.world)
            rows = rows[places % len(rows)]
        else:
            rows = rows[self.rank :: self.world]
        yield from self._from_skip(rows)

    def _from_skip(self, rows: Tensor) -> Iterator[int]:
        """The share's rows that are left, as Python numbers."""
        for start in range(self.skip, len(rows), _AT_ONCE):
            yield from rows[start : start + _AT_ONCE].tolist()

    def __len__(self) -> int:
        return self._share()

    def _share(self) -> int:
        """How many rows this process visits in a whole epoch."""
        count, world = len(self.rows), self.world
        if not self.shuffle:
            return len(range(self.rank, count, world))
        return count // world if self.drop_last else -(-count // world)
