"""Short trainings that leave nothing behind: their trainer, and models to throw away."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from fer_lab.data.datamodule import FaceDataModule
from fer_lab.errors import ConfigError
from fer_lab.model_building import build_model
from fer_lab.models.classifier import Classifier
from fer_lab.models.epoch_figures import TrainingFigures


class Uncounted(TrainingFigures):
    """Figures of a trial: nobody looks at them, and a loss that is no number ends nothing."""

    def add(self, *, epoch: int, batch: int, size: int, loss: Tensor, correct: Tensor) -> None:
        """Keep nothing."""


def throw_away(cfg: DictConfig, datamodule: FaceDataModule) -> LightningModule:
    """A model as the run's, without a schedule.

    Raises:
        ConfigError: when nothing in it learns.
    """
    own = copy.deepcopy(cfg)
    if own.model.get("scheduler") is not None:
        own.model.scheduler = {"name": "none"}
    model = build_model(own, datamodule)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            "nothing in this model learns",
            where=f"model._target_={cfg.model._target_}",
            hint="leave out find.lr and find.batch_size",
        )
    if isinstance(model, Classifier):
        model._training_figures = Uncounted()
    return model


def trial_trainer(
    cfg: DictConfig, *, steps: int, folder: Path | None = None, **options: Any
) -> Trainer:
    """The run's trainer, for so many steps of training alone.

    Args:
        cfg: the composed configuration.
        steps: of the optimizer.
        folder: where Lightning may write.
        **options: of ``Trainer``, in place of the run's.
    """
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        **{
            "default_root_dir": None if folder is None else str(folder),
            "max_epochs": -1,
            "max_steps": steps,
            "max_time": None,
            "limit_val_batches": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
            **options,
        },
    )
    return trainer


@contextmanager
def quiet_models() -> Iterator[None]:
    """Models say nothing of themselves: the training that follows says it once."""
    logger = logging.getLogger("fer_lab.models")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
