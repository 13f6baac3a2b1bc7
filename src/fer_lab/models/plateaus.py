"""Plateau schedules that are up to date in the checkpoint of an epoch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch.optim.lr_scheduler import ReduceLROnPlateau


class ExactPlateaus(pl.LightningModule):
    """Lets plateau schedules see an epoch's figures before its checkpoint is written.

    Lightning does so afterwards, and a training that goes on from that checkpoint never does: its
    rate would fall later than that of an unbroken one.
    """

    def on_train_epoch_end(self) -> None:
        """Step plateaus; a subclass calls this when it has logged what they may monitor."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                value = self.trainer.callback_metrics.get(str(config.monitor))
                # Without the figure Lightning warns, after this.
                if value is not None:
                    config.scheduler.step(value)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step any other schedule, when Lightning says."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)
