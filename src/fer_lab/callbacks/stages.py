"""Passes over the data: which one this is, one way to follow any, joining what processes wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from fer_lab.errors import ConfigError
from fer_lab.files import atomic_path

if TYPE_CHECKING:
    from fer_lab.data.datamodule import FaceDataModule


class EvaluationCallback(Callback):
    """A callback that follows validation and test alike; subclasses define what they need of it."""

    def start(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """A pass over ``split`` (``val`` or ``test``) begins."""

    def batch(self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any) -> None:
        """A batch has been evaluated; ``outputs`` holds ``logits`` [B, C]."""

    def end(self, trainer: Trainer, model: LightningModule, split: str) -> None:
        """The pass is over; figures may still be logged."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start(trainer, pl_module, "test")

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batch(trainer, pl_module, outputs, batch)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.batch(trainer, pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.end(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.end(trainer, pl_module, "test")


def audited_split(trainer: Trainer) -> str | None:
    """``val`` or ``test`` in a pass of its own after training; None during training.

    Scalars are cheap and logged every epoch; intervals and files come from the passes over the
    chosen checkpoint.
    """
    if trainer.state.fn == TrainerFn.VALIDATING:
        return "val"
    if trainer.state.fn == TrainerFn.TESTING:
        return "test"
    return None


def face_data(trainer: Trainer) -> FaceDataModule:
    """The datamodule in use, which knows classes, groups and the manifest.

    Raises:
        ConfigError: when training runs on bare loaders, which cannot be audited.
    """
    from fer_lab.data.datamodule import FaceDataModule

    found = getattr(trainer, "datamodule", None)
    if not isinstance(found, FaceDataModule):
        raise ConfigError(
            "this callback needs to know who is in the images",
            where=type(found).__name__,
            hint="pass a FaceDataModule: trainer.fit(model, datamodule=…)",
        )
    return found


def summed(trainer: Trainer, value: Tensor) -> Tensor:
    """The sum over all processes, on each of them; every process must call this."""
    if trainer.world_size == 1:
        return value
    total: Tensor = trainer.strategy.reduce(value, reduce_op="sum")
    return total


def write_joined(trainer: Trainer, frame: pd.DataFrame, path: Path, *, by: list[str]) -> None:
    """Write one table from the rows that each process holds, sorted by ``by``.

    Every process writes its part, the first joins them after a barrier; a row that two processes
    hold is kept once.
    """
    if trainer.world_size == 1:
        _write(frame.sort_values(by, kind="stable", ignore_index=True), path)
        return
    part = path.with_name(f".{path.stem}.{trainer.global_rank}.parquet")
    _write(frame, part)
    trainer.strategy.barrier("parts written")
    if trainer.is_global_zero:
        parts = [path.with_name(f".{path.stem}.{r}.parquet") for r in range(trainer.world_size)]
        joined = pd.concat([pd.read_parquet(p) for p in parts], ignore_index=True)
        joined = joined.drop_duplicates(by).sort_values(by, kind="stable", ignore_index=True)
        _write(joined, path)
        for p in parts:
            p.unlink()
    trainer.strategy.barrier("parts joined")


def _write(frame: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
