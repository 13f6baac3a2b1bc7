"""How fast training goes, and where an epoch's time is spent."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Images per second of training and the seconds of validation, without waiting for a device.

    The clock is read where Lightning itself has to wait (epoch ends and validation), never per
    batch.
    """

    def __init__(self) -> None:
        self.images = 0
        self.train_seconds = 0.0
        self.validation_seconds = 0.0
        self._mark = 0.0

    @property
    def images_per_second(self) -> float | None:
        """Training images per second over all epochs; None before the first has ended."""
        return round(self.images / self.train_seconds, 1) if self.train_seconds else None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: an epoch that goes on from a checkpoint does not start again."""
        self._mark = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._mark = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += len(batch["label"]) * trainer.world_size

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.training or trainer.validating:
            self._lap("train_seconds")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._lap("validation_seconds")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._lap("train_seconds")

    def _lap(self, part: str) -> None:
        now = time.perf_counter()
        setattr(self, part, getattr(self, part) + now - self._mark)
        self._mark = now
