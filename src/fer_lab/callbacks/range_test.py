"""The range test of a learning rate: raise it from step to step and watch the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

# How much of the running mean a step keeps: it follows the last ten steps or so.
_KEPT = 0.9

# A loss of so many times its lowest is a training that breaks.
_BROKEN = 4.0


class RangeTest(Callback):
    """Sets the learning rate of each step and keeps its loss; stops when the loss breaks.

    Groups of parameters keep their ratios to the configured rate.

    Args:
        rates: of the steps, rising.
        configured: the rate that the optimizer was made with.

    Attributes:
        losses: of the steps made, each at the weights before it.
    """

    def __init__(self, rates: Sequence[float], configured: float) -> None:
        self.rates = list(rates)
        self.configured = configured
        self.losses: list[float] = []
        self._ratios: list[float] = []
        self._batches: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember how the rates of the groups compare."""
        groups = trainer.optimizers[0].param_groups
        self._ratios = [group["lr"] / self.configured for group in groups]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rate of the step that this batch belongs to."""
        rate = self.rates[min(trainer.global_step, len(self.rates) - 1)]
        for group, ratio in zip(trainer.optimizers[0].param_groups, self._ratios, strict=True):
            group["lr"] = rate * ratio

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the loss, the mean of those batches that make one step."""
        # This waits for the device in each step: a search is short, and must know when to stop.
        # Lightning has divided it by the number of batches that a step is meant to have.
        self._batches.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)
        if trainer.global_step == len(self.losses):
            return
        self.losses.append(float(np.mean(self._batches)))
        self._batches = []
        level = smoothed(self.losses)
        if not math.isfinite(level[-1]) or level[-1] > _BROKEN * level.min():
            trainer.should_stop = True


def smoothed(losses: Sequence[float]) -> NDArray[np.float64]:
    """The running mean of losses, exponentially weighted, without the bias of its start.

    Args:
        losses: of the steps, ``[N]``.

    Returns:
        ``[N]``; not finite from the first loss on that is not.
    """
    total, found = 0.0, []
    for step, loss in enumerate(losses, start=1):
        total = _KEPT * total + (1 - _KEPT) * loss
        found.append(total / (1 - _KEPT**step))
    return np.array(found)
