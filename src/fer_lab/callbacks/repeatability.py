"""Random draws that depend on the seed and the epoch alone."""

from __future__ import annotations

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

_RANK_STRIDE = 1_000_003
_EPOCH_STRIDE = 7_919


class EpochSeed(Callback):
    """Seed torch at each epoch's start, so that a resumed run draws what an unbroken one draws.

    Shuffling and augmentation have counters of their own; this covers what draws from torch's
    generators, dropout above all. Processes of one job draw differently.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.manual_seed(
            self.seed
            + _EPOCH_STRIDE * (trainer.current_epoch + 1)
            + _RANK_STRIDE * trainer.global_rank
        )
