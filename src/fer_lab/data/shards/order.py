"""The order in which streamed rows are visited: shard by shard, mixed within a window of shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fer_lab.data.randomness import combine
from fer_lab.data.samplers import EpochSampler

Numbers = NDArray[np.int64]

# Called with the shards that are read from now on, in their order, and those still in use.
Follow = Callable[[Sequence[int], Sequence[int]], None]


def shard_order(shards: Numbers, window: int, seed: int, epoch: int) -> Numbers:
    """A permutation of rows in which only a few shards are read from at a time.

    The shards are permuted; a window of ``window`` of them slides over that order one by one, and
    each row falls on a random place among the windows that its shard is in. Everything depends on
    (seed, epoch) alone; as many windows as shards would be one permutation of all rows.

    Args:
        shards: the shard of each row, ``[N]``; -1 for rows that may come at any time.
        window: how many shards are read from at a time.
        seed: the run's seed.
        epoch: number of the epoch.

    Returns:
        Places in ``shards`` in the order of their visits, ``[N]``.
    """
    generator = torch.Generator().manual_seed(combine(seed, epoch))
    present = np.unique(shards[shards >= 0])
    count = len(present)
    turns = torch.randperm(count, generator=generator).numpy()
    window = min(window, count)
    first = np.maximum(turns - window + 1, 0)
    last = np.minimum(turns, count - window) + 1
    place = np.searchsorted(present, shards)
    streamed = shards >= 0
    start = np.zeros(len(shards))
    end = np.full(len(shards), max(1, count - window + 1), dtype=np.float64)
    start[streamed], end[streamed] = first[place[streamed]], last[place[streamed]]
    chance = torch.rand(len(shards), generator=generator, dtype=torch.float64).numpy()
    return np.argsort(start + (end - start) * chance, kind="stable").astype(np.int64)


class StreamSampler(EpochSampler):
    """One process's share of rows of which some lie in shards.

    Shuffled shares are neighbouring parts of one order, so that a shard is read by one process,
    or by two where their parts meet. They are of equal length, as those of
    :class:`~fer_lab.data.samplers.EpochSampler`; the order goes on from its beginning at its end.
    Whoever fetches shards is told what comes while rows are handed out; what comes before
    ``skip`` is not fetched.

    Args:
        rows: manifest rows, ``[N]``; in an expanded training set each in every variant.
        shards: the shard of each of them, ``[N]``, -1 for rows that are not in one.
        window: how many shards are read from at a time.
        ahead: how many further shards are fetched before they are needed.
        follow: is told what comes.
        seed: the run's seed.
        epoch: the epoch to begin with.
        rank: number of this process.
        world: how many processes there are.
        shuffle: permute the rows anew each epoch.
    """

    def __init__(
        self,
        rows: Numbers,
        shards: Numbers,
        *,
        window: int,
        ahead: int,
        follow: Follow,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = False,
    ) -> None:
        super().__init__(rows, seed, epoch, rank, world, shuffle=shuffle)
        self.shards = shards
        self.window = window
        self.ahead = ahead
        self.follow = follow

    def __iter__(self) -> Iterator[int]:
        places = self._places()
        plan = _Plan(self.shards[places], self.ahead, self.in_flight)
        position, told = self.skip, -1
        for row in self._from_skip(self.rows[torch.from_numpy(places)]):
            if position > told:
                self.follow(*plan.at(position))
                told = plan.next_change(position)
            yield row
            position += 1

    def _places(self) -> Numbers:
        """Where this process's share of the epoch stands in ``rows``."""
        count = len(self.shards)
        if not self.shuffle or count == 0:
            return np.arange(self.rank, count, self.world, dtype=np.int64)
        order = shard_order(self.shards, self.window, self.seed, self.epoch)
        return order[np.arange(self.rank * len(self), (self.rank + 1) * len(self)) % count]


class _Plan:
    """Which shards are needed when, in one process's share of an epoch.

    Args:
        shards: the shard of each row in the order of the visits.
        ahead: how many shards are named before they are needed.
        in_flight: for how many further rows a shard counts as in use.
    """

    def __init__(self, shards: Numbers, ahead: int, in_flight: int) -> None:
        self._ahead = ahead
        self._in_flight = in_flight
        streamed = np.flatnonzero(shards >= 0)
        names, first = np.unique(shards[streamed], return_index=True)
        last = len(streamed) - 1 - np.unique(shards[streamed][::-1], return_index=True)[1]
        order = np.argsort(first)
        self._names = names[order]
        self._first, self._last = streamed[first[order]], streamed[last[order]]
        self._changes = np.sort(np.concatenate([self._first, self._last + in_flight + 1]))

    def at(self, position: int) -> tuple[list[int], list[int]]:
        """The shards to read from now on, the next ones, and those that rows on their way need."""
        begun = self._first <= position
        needed = self._names[begun & (self._last >= position)].tolist()
        coming = self._names[~begun][: self._ahead].tolist()
        held = self._names[begun & (self._last >= position - self._in_flight)].tolist()
        return needed + coming, held

    def next_change(self, position: int) -> int:
        """The last position before the next at which something changes."""
        place = int(np.searchsorted(self._changes, position, side="right"))
        return int(self._changes[place]) - 1 if place < len(self._changes) else 1 << 62
