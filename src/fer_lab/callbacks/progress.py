"""What the terminal shows while a model trains: one bar with the time left, one line an epoch."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import Progress as Bars

from fer_lab.data.loaders import batches_done
from fer_lab.data.progress import bar

_SHOWN = {
    "train/loss": "loss",
    "val/loss": "val loss",
    "val/accuracy": "accuracy",
    "val/worst_group_accuracy": "worst group",
    "val/fairness/bias": "bias",
}


class Progress(ProgressBar):
    """A bar over the whole training with the time left, and each epoch's figures as a line.

    Without a terminal (a log file, a batch system) only the lines are printed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True)
        self._bars: Bars | None = None
        self._task: Any = None
        self._enabled = True
        self._begun = False

    def disable(self) -> None:
        """Show nothing; Lightning calls it on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show again."""
        self._enabled = True

    def _open(self, description: str, total: float, done: int = 0) -> None:
        self._close()
        if not self._enabled or not self._console.is_terminal:
            return
        self._bars = bar(transient=True)
        # Lines printed meanwhile stand above the bar.
        self._console = self._bars.console
        known = None if math.isinf(total) or total < 0 else int(total)
        self._task = self._bars.add_task(description, total=known, completed=done)
        self._bars.start()

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _advance(self) -> None:
        if self._bars is not None:
            self._bars.advance(self._task)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches = trainer.num_training_batches
        epochs = trainer.max_epochs if trainer.max_epochs is not None else -1
        total = math.inf if epochs < 0 else epochs * batches
        done = batches_done(trainer)
        self._begun = done > 0
        self._open("training", total, int(trainer.current_epoch * batches) + done)

    def on_train_batch_end(self, *_: Any) -> None:
        self._advance()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how the epoch before went: the model logs its own figures after the callbacks."""
        if self._begun:
            self._say(trainer, trainer.current_epoch)
        self._begun = True

    def _say(self, trainer: Trainer, epoch: int) -> None:
        if not self._enabled:
            return
        found = trainer.callback_metrics
        figures = "  ".join(
            f"{title} {float(found[name]):.3f}" for name, title in _SHOWN.items() if name in found
        )
        last = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        self._console.print(f"epoch {epoch}{last}  {figures}", highlight=False, soft_wrap=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._begun:
            self._say(trainer, trainer.current_epoch)
        self._close()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.validating:
            self._open("validation", sum(trainer.num_val_batches))

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.validating:
            self._advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.validating:
            self._close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open("test", sum(trainer.num_test_batches))

    def on_test_batch_end(self, *_: Any) -> None:
        self._advance()

    def on_test_end(self, *_: Any) -> None:
        self._close()

    def on_exception(self, *_: Any) -> None:
        self._close()
