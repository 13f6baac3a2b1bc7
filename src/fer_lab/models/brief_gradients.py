"""Gradients that take no memory while the next ones are not there yet."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class BriefGradients(pl.LightningModule):
    """A module whose gradients are gone before the next forward pass begins.

    Lightning lets go of them after it: at the end of a forward pass, when most memory is used,
    those of the step before would take as much as the weights that learn.
    """

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's
        """Let go of what has been used; not in the middle of gradients that are gathered."""
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            for optimizer in self.trainer.optimizers:
                optimizer.zero_grad()
