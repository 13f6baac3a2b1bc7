"""DataLoaders of one process among several, with repeatable workers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loops.progress import _ProcessedTracker
from torch.utils.data import DataLoader

from fer_lab.data.dataset import Batch, FaceDataset, collated
from fer_lab.data.processors import processor_count
from fer_lab.data.randomness import combine
from fer_lab.data.samplers import EpochSampler
from fer_lab.errors import ConfigError, FerLabError

# More decoding processes than this wait for each other and for memory.
_MOST_WORKERS = 8
# Batches that each of them is told to read before they are wanted.
_PREFETCHED = 2


class Place(NamedTuple):
    """Where a training stands: its epoch, the number of this process, and how many there are."""

    epoch: int
    rank: int
    world: int

    @classmethod
    def of(cls, trainer: Trainer | None) -> Place:
        """The place of a trainer's process; without one, the first epoch of the only process.

        Raises:
            ConfigError: when Lightning would share out what the samplers share out already.
        """
        if trainer is None:
            return cls(0, 0, 1)
        if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise ConfigError(
                "Lightning would share the rows out a second time",
                where="Trainer(use_distributed_sampler=True)",
                hint="pass use_distributed_sampler=False to the Trainer",
            )
        return cls(trainer.current_epoch, trainer.global_rank, trainer.world_size)


def batches_done(trainer: Trainer | None) -> int:
    """Batches of the current epoch that this process had done before it was interrupted.

    0 from the next epoch on, and where the checkpoint that training goes on from is of an epoch's
    end.
    """
    if trainer is None or not trainer.fit_loop.restarting:
        return 0
    loop = trainer.fit_loop
    epochs = loop.epoch_progress.current
    assert isinstance(epochs, _ProcessedTracker)
    within = epochs.started > epochs.processed
    return loop.epoch_loop.batch_progress.current.ready if within else 0


class FaceLoader(DataLoader[Batch]):
    """Batches of a sampler's rows, without those that are done.

    Reading begins when the first batch is asked for: Lightning opens loaders before it knows the
    epoch and the batch that a resumed training goes on from, and loading processes would begin with
    others.

    Attributes:
        done: how many batches of the epoch that begins are left out.
    """

    done: Callable[[], int] = staticmethod(lambda: 0)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        if isinstance(self.sampler, EpochSampler):
            self.sampler.skip = self.done() * (self.batch_size or 1)
        for batch in super().__iter__():
            if isinstance(batch, FerLabError):
                raise batch
            yield batch


def face_loader(
    dataset: FaceDataset,
    sampler: EpochSampler,
    batch_size: int,
    *,
    seed: int,
    workers: int,
    drop_last: bool = False,
) -> FaceLoader:
    """Batches of a sampler's rows.

    Args:
        dataset: gives whole batches.
        sampler: this process's rows, in their order.
        batch_size: rows in a batch.
        seed: of the generators in the workers.
        workers: loading processes, kept from epoch to epoch; 0 loads in this one.
        drop_last: leave out a last batch that is smaller.
    """
    # What workers were told to read, and the batch in use.
    sampler.in_flight = batch_size * (_PREFETCHED * workers + 1)
    return FaceLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        collate_fn=collated,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=_PREFETCHED if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=partial(_seed_worker, seed, sampler.rank),
        generator=torch.Generator().manual_seed(combine(seed, sampler.rank)),
    )


def worker_count(devices: int, *, in_memory: bool) -> int:
    """Loading processes for one of several devices: none where nothing is to be decoded."""
    return 0 if in_memory else min(max(1, processor_count() // devices), _MOST_WORKERS)


def _seed_worker(seed: int, rank: int, worker: int) -> None:
    """Seed the generators of a loading process, which code of users' readers may use."""
    state = combine(seed, rank, worker)
    random.seed(state)
    np.random.seed(state % 2**32)
    torch.manual_seed(state)
