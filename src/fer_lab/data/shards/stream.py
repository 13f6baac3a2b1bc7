"""The shards of all streamed datasets of a run, under one numbering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_lab.data.assets import assets
from fer_lab.data.samplers import EpochSampler
from fer_lab.data.shards.order import Numbers, StreamSampler
from fer_lab.data.shards.reader import ShardReader


class Stream:
    """Which shard each row of a manifest lies in, and who is told what comes.

    Args:
        manifest: rows of one or several datasets, of which some may be streamed.

    Attributes:
        shards: the shard of each row, ``[N]``, -1 for rows that lie in none.
    """

    def __init__(self, manifest: pd.DataFrame) -> None:
        self._parts: list[tuple[ShardReader, int]] = []
        self.shards: Numbers = np.full(len(manifest), -1, dtype=np.int64)
        first = 0
        for name, reader in assets(manifest).readers.items():
            if isinstance(reader, ShardReader):
                mine = np.flatnonzero((manifest["dataset"] == name).to_numpy())
                self.shards[mine] = first + reader.shards(manifest["path"].iloc[mine])
                self._parts.append((reader, first))
                first += len(reader.index.shards)

    def sampler(
        self,
        rows: Numbers,
        visits: Numbers,
        seed: int,
        epoch: int,
        rank: int,
        world: int,
        *,
        shuffle: bool = False,
    ) -> EpochSampler:
        """A sampler of visits to rows; shard by shard, where any row lies in one.

        Args:
            rows: of the manifest, ``[N]``.
            visits: what is handed out, as many for each row, one row after the other.
            seed: the run's seed.
            epoch: the epoch to begin with.
            rank: number of this process.
            world: how many processes there are.
            shuffle: permute the visits anew each epoch, within windows of shards.
        """
        if not self._parts:
            return EpochSampler(visits, seed, epoch, rank, world, shuffle=shuffle)
        return StreamSampler(
            visits,
            np.repeat(self.shards[rows], len(visits) // max(1, len(rows))),
            window=max(reader.window for reader, _ in self._parts),
            ahead=max(reader.ahead for reader, _ in self._parts),
            follow=self._follow,
            seed=seed,
            epoch=epoch,
            rank=rank,
            world=world,
            shuffle=shuffle,
        )

    def _follow(self, coming: Sequence[int], held: Sequence[int]) -> None:
        for reader, first in self._parts:
            last = first + len(reader.index.shards)
            reader.follow(
                [number - first for number in coming if first <= number < last],
                [number - first for number in held if first <= number < last],
            )
