"""The checkpoint that an interrupted training goes on from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loops.progress import _StartedTracker

from fer_lab.callbacks.history import History
from fer_lab.errors import ConfigError

# Where a checkpoint says what its place in an epoch was counted in.
_COUNTED_IN: Final = "counted_in"

# Several processes have to agree on the time, so they look at the clock less often.
_BATCHES_BETWEEN_LOOKS: Final = 20


class LastCheckpoint(ModelCheckpoint):
    """Save at each epoch's end and every so often within an epoch, always to the same file.

    Within an epoch the file is written after a step of the optimizer, never after the epoch's last
    one: the validation that follows ends in a checkpoint anyway. The training that goes on from it
    takes the batches that are left.

    Args:
        dirpath: folder of the checkpoint.
        filename: its name without the suffix.
        minutes: of training between two checkpoints at most, but for the length of a validation;
            None saves at the ends of epochs alone.
        steps: the same in steps of the optimizer, counted over the whole training.

    Raises:
        ConfigError: for a number that is not positive; at the start, when a training that was
            broken off within an epoch goes on with other batches.
    """

    def __init__(
        self,
        dirpath: str | Path,
        *,
        filename: str = "last",
        minutes: float | None = 10.0,
        steps: int | None = None,
    ) -> None:
        for name, value in (("minutes", minutes), ("steps", steps)):
            if value is not None and not value > 0:
                raise ConfigError(
                    f"{value} is not above 0",
                    where=f"callbacks.last_checkpoint.{name}",
                    hint="null saves at the ends of epochs alone",
                )
        super().__init__(
            dirpath, filename, monitor=None, every_n_epochs=1, enable_version_counter=False
        )
        self.minutes = minutes
        self.steps = steps
        self._saved = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and forget the rows of epochs that are done again."""
        super().on_train_start(trainer, pl_module)
        self._saved = time.monotonic()
        epochs = trainer.fit_loop.epoch_progress.current
        assert isinstance(epochs, _StartedTracker)
        for logger in trainer.loggers:
            if isinstance(logger, History):
                logger.keep(epochs.started)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch, if it is time to."""
        unfit = (
            trainer.is_last_batch
            or trainer.fit_loop._should_accumulate()
            or self._should_skip_saving_checkpoint(trainer)
        )
        # Gradients that wait for more batches are in no checkpoint.
        if not unfit and self._due(trainer, batch_idx):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of an epoch, with its row of the history complete.

        Lightning logs the epoch's own figures after this hook: a training killed in between would
        go on without them.
        """
        figures = trainer._logger_connector.metrics["log"]
        for logger in trainer.loggers:
            if isinstance(logger, History):
                scalars = {name: float(value) for name, value in figures.items()}
                logger.log_metrics({**scalars, "epoch": trainer.current_epoch})
        super().on_train_epoch_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what a place within an epoch is counted in."""
        checkpoint[_COUNTED_IN] = _counted_in(trainer)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to go on within an epoch with batches that are not those of before."""
        before, now = checkpoint.get(_COUNTED_IN), _counted_in(trainer)
        if trainer.training and within_epoch(checkpoint) and before != now:
            raise ConfigError(
                f"the training was broken off within an epoch counted in {before}, not in {now}",
                where="resume",
                hint="leave batch size and processes as they were",
            )

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        self._saved = time.monotonic()

    def _due(self, trainer: Trainer, batch: int) -> bool:
        if self.steps is not None and trainer.global_step % self.steps == 0:
            return True
        if self.minutes is None:
            return False
        if trainer.world_size == 1:
            return time.monotonic() - self._saved >= 60 * self.minutes
        if (batch + 1) % _BATCHES_BETWEEN_LOOKS:
            return False
        late = time.monotonic() - self._saved >= 60 * self.minutes
        return trainer.strategy.reduce_boolean_decision(late, all=False)


def within_epoch(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint was written before all batches of an epoch were done."""
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    return bool(epochs["started"] > epochs["processed"])


def _counted_in(trainer: Trainer) -> str:
    size = getattr(getattr(trainer, "datamodule", None), "batch_size", None)
    return f"batches of {size} on {trainer.world_size} process(es)"
