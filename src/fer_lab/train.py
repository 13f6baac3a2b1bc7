"""The training task: data, model, callbacks, fit, audit of the best checkpoint, report."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from fer_lab.ask import ask_in_training, is_asked
from fer_lab.configuration import (
    refuse_audit_without_predictions,
    refuse_shared_root,
    refuse_unsafe_sweep,
    refuse_what_is_no_number,
)
from fer_lab.finding import find, refuse_searches
from fer_lab.model_building import build_model, refuse_unknown_options
from fer_lab.running import (
    Session,
    build_callbacks,
    data_facts,
    defined,
    logged_figures,
    mask_facts,
    run_session,
)

if TYPE_CHECKING:
    from pytorch_lightning import Callback, LightningModule, Trainer

    from fer_lab.data.datamodule import FaceDataModule
    from fer_lab.data.pixels.images import Rows

log = logging.getLogger(__name__)


@dataclass
class Training:
    """What a training leaves in memory, for tests and notebooks to look into."""

    folder: Path
    model: LightningModule
    datamodule: FaceDataModule
    trainer: Trainer
    metrics: dict[str, float]


def train(cfg: DictConfig, folder: Path) -> Training | None:
    """Train, audit and report as configured; everything is left in ``folder``.

    A model that is asked in words learns nothing: there is no training then, but the same folder.

    Args:
        cfg: the composed configuration of ``conf/train.yaml``.
        folder: the run's folder, which exists.

    Raises:
        FerLabError: for a mistake in the configuration or the data; the record then says
            ``failed`` and why.
    """
    with run_session(cfg, folder, "train") as session:
        refuse_what_is_no_number(cfg)
        refuse_shared_root(cfg)
        refuse_unsafe_sweep(cfg)
        refuse_audit_without_predictions(cfg)
        if is_asked(cfg):
            ask_in_training(cfg, session)
            return None
        refuse_unknown_options(cfg)
        refuse_searches(cfg)
        session.start_tracking(cfg)
        return _train(cfg, session)


def _train(cfg: DictConfig, session: Session) -> Training:
    """The linear part: seed, data, searches, model, callbacks, trainer, fit, audit, test."""
    from hydra.utils import instantiate
    from pytorch_lightning import seed_everything

    from fer_lab.callbacks import History
    from fer_lab.models.checkpoint_files import WholeCheckpoints
    from fer_lab.models.checkpoints import check_resumable
    from fer_lab.pictures import EpochPictures

    folder, record, logger = session.folder, session.record, session.logger
    seed_everything(cfg.seed, workers=True, verbose=False)
    with record.timed("data"):
        datamodule: FaceDataModule = instantiate(cfg.data, _convert_="all")
        datamodule.prepare_data()
        datamodule.setup("fit")
    record.update(**data_facts(datamodule))
    session.list_unreadable(datamodule.unreadable)
    session.say_inferred(datamodule.sources_of)
    find(cfg, session, datamodule)
    model = build_model(cfg, datamodule)
    if cfg.logger.kind == "none":  # there is nowhere to send pictures to
        cfg.explain.pictures_every_n_epochs = 0
    callbacks, history = build_callbacks(cfg), History(folder)
    if logger is not None:
        callbacks.append(EpochPictures())
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        default_root_dir=str(folder),
        callbacks=callbacks,
        logger=[history, *([logger] if logger else [])],
        plugins=[WholeCheckpoints()],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        inference_mode=True,
    )
    log.info(
        "%s: %s images to learn from, %s to validate, %s to test; %s parameters; %s",
        cfg.name,
        *(f"{len(rows):,}" for rows in _rows(datamodule)),
        f"{sum(p.numel() for p in model.parameters()):,}",
        trainer.strategy.root_device,
    )
    last = folder / "checkpoints" / "last.ckpt"
    resumed = str(last) if cfg.resume is not None and last.is_file() else None
    if resumed:
        check_resumable(last, model)
    with record.timed("fit"):
        trainer.fit(model, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    # A training that had ended when it was broken off has logged nothing now.
    metrics = logged_figures(trainer) or history.latest()
    best = folder / "checkpoints" / "best.ckpt"
    chosen = str(best) if best.is_file() else None
    with record.timed("test"):
        if len(datamodule.val_rows):
            trainer.validate(
                model, datamodule=datamodule, ckpt_path=chosen, verbose=False, weights_only=True
            )
            metrics |= logged_figures(trainer)
        if len(datamodule.test_rows):
            trainer.test(
                model, datamodule=datamodule, ckpt_path=chosen, verbose=False, weights_only=True
            )
            metrics |= logged_figures(trainer)
    record.update(
        summary=defined(metrics),
        images_per_second=_images_per_second(callbacks),
        **mask_facts(callbacks),
    )
    return Training(folder, model, datamodule, trainer, metrics)


def _rows(datamodule: FaceDataModule) -> tuple[Rows, Rows, Rows]:
    return datamodule.train_rows, datamodule.val_rows, datamodule.test_rows


def _images_per_second(callbacks: list[Callback]) -> float | None:
    from fer_lab.callbacks import Throughput

    rates = [c.images_per_second for c in callbacks if isinstance(c, Throughput)]
    return rates[0] if rates else None
