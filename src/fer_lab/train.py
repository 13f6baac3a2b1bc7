"""The training task: data, model, callbacks, fit, audit of the best checkpoint, report."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer_lab.configuration import (
    refuse_shared_root,
    refuse_unsafe_sweep,
    refuse_what_is_no_number,
)
from fer_lab.errors import user_mistake

if TYPE_CHECKING:
    from pytorch_lightning import Callback, LightningModule, Trainer
    from pytorch_lightning.loggers import WandbLogger

    from fer_lab.data.datamodule import FaceDataModule
    from fer_lab.record import RunRecord

log = logging.getLogger(__name__)

_EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 130}


@dataclass
class Training:
    """What a training leaves in memory, for tests and notebooks to look into."""

    folder: Path
    model: LightningModule
    datamodule: FaceDataModule
    trainer: Trainer
    metrics: dict[str, float]


def main(config_directory: Path, arguments: Sequence[str]) -> int:
    """Compose the configuration from the command line and train.

    Args:
        config_directory: the folder of ``train.yaml``.
        arguments: what further processes of the same job are started with.
    """

    def job(cfg: DictConfig) -> None:
        sys.argv = list(arguments)
        train(cfg, Path(HydraConfig.get().runtime.output_dir))

    entry = hydra.main(version_base="1.3", config_path=str(config_directory), config_name="train")
    entry(job)()
    return 0


def train(cfg: DictConfig, folder: Path) -> Training:
    """Train, audit and report as configured; everything is left in ``folder``.

    Args:
        cfg: the composed configuration of ``conf/train.yaml``.
        folder: the run's folder, which exists.

    Raises:
        FerLabError: for a mistake in the configuration or the data; the record then says
            ``failed`` and why.
    """
    from fer_lab.record import RunRecord
    from fer_lab.tracking import start_wandb

    primary = int(os.environ.get("LOCAL_RANK", "0")) == 0
    _quiet(primary=primary)
    record = RunRecord(folder, _identity(cfg), write=primary)
    logger: WandbLogger | None = None
    status, reason = "failed", None
    try:
        refuse_what_is_no_number(cfg)
        refuse_shared_root(cfg)
        refuse_unsafe_sweep(cfg)
        with _interrupts_by_name():
            logger = start_wandb(cfg, folder, record) if primary else None
            training = _train(cfg, folder, record, logger)
        status = "finished"
    except KeyboardInterrupt as error:
        status, reason = "interrupted", str(error) or "stopped by Ctrl-C"
        raise
    except BaseException as error:
        known = user_mistake(error) or error
        reason = f"{type(known).__name__}: {known}"
        raise
    finally:
        record.close(status, reason)
        if primary:
            _report(folder, logger, status)
        if logger is not None:
            logger.experiment.finish(exit_code=_EXIT_CODES[status])
    return training


def _train(
    cfg: DictConfig, folder: Path, record: RunRecord, logger: WandbLogger | None
) -> Training:
    """The linear part: seed, data, model, callbacks, trainer, fit, audit, test."""
    from hydra.utils import instantiate
    from pytorch_lightning import seed_everything

    from fer_lab.callbacks import History

    seed_everything(cfg.seed, workers=True, verbose=False)
    with record.timed("data"):
        datamodule: FaceDataModule = instantiate(cfg.data, _convert_="all")
        datamodule.prepare_data()
        datamodule.setup("fit")
    record.update(**_data_facts(datamodule))
    model: LightningModule = instantiate(
        cfg.model,
        _convert_="all",
        num_classes=len(datamodule.classes),
        classes=list(datamodule.classes),
        image_size=datamodule.image_size,
    )
    callbacks = build_callbacks(cfg)
    trainer: Trainer = instantiate(
        cfg.trainer,
        _convert_="all",
        default_root_dir=str(folder),
        callbacks=callbacks,
        logger=[History(folder), *([logger] if logger else [])],
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
    with record.timed("fit"):
        trainer.fit(model, datamodule=datamodule, ckpt_path=resumed, weights_only=True)
    metrics = _figures(trainer)
    best = folder / "checkpoints" / "best.ckpt"
    chosen = str(best) if best.is_file() else None
    with record.timed("test"):
        if len(datamodule.val_rows):
            trainer.validate(
                model, datamodule=datamodule, ckpt_path=chosen, verbose=False, weights_only=True
            )
            metrics |= _figures(trainer)
        if len(datamodule.test_rows):
            trainer.test(
                model, datamodule=datamodule, ckpt_path=chosen, verbose=False, weights_only=True
            )
            metrics |= _figures(trainer)
    record.update(
        summary={k: v for k, v in metrics.items() if v == v},
        images_per_second=_images_per_second(callbacks),
    )
    return Training(folder, model, datamodule, trainer, metrics)


def build_callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks named in ``cfg.callbacks``; one set to null, or not explained, is left out."""
    from hydra.utils import instantiate

    explained = cfg.explain.get("method") is not None
    return [
        instantiate(part, _convert_="all")
        for name, part in cfg.callbacks.items()
        if part is not None and (explained or name != "regions")
    ]


def _identity(cfg: DictConfig) -> dict[str, Any]:
    """What is known of a run before it starts; a resumed run keeps the choices it was made of."""
    from fer_lab.record import command_line

    resumed = cfg.resume is not None
    choices = {
        group: option
        for group, option in HydraConfig.get().runtime.choices.items()
        if not group.startswith(("hydra", "local")) and "@" not in group and option is not None
    }
    identity: dict[str, Any] = {
        "name": cfg.name,
        "task": "train",
        "seed": cfg.seed,
        "tags": list(cfg.tags),
        "notes": cfg.notes,
    }
    if not resumed:
        identity |= {"choices": choices, "command": command_line()}
    return identity


def _data_facts(datamodule: FaceDataModule) -> dict[str, Any]:
    train, val, test = (len(rows) for rows in _rows(datamodule))
    return {
        "fingerprint": datamodule.fingerprint,
        "classes": list(datamodule.classes),
        "groups": {name: list(groups) for name, groups in datamodule.groups.items()},
        "data": {"train": train, "val": val, "test": test, "dropped": dict(datamodule.dropped)},
    }


def _rows(datamodule: FaceDataModule) -> tuple[Any, Any, Any]:
    return datamodule.train_rows, datamodule.val_rows, datamodule.test_rows


def _figures(trainer: Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _images_per_second(callbacks: list[Callback]) -> float | None:
    from fer_lab.callbacks import Throughput

    rates = [c.images_per_second for c in callbacks if isinstance(c, Throughput)]
    return rates[0] if rates else None


@contextmanager
def _interrupts_by_name() -> Iterator[None]:
    """Lightning turns Ctrl-C and SIGTERM into ``SystemExit``; callers want the cause."""
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    try:
        yield
    except SIGTERMException as error:
        raise KeyboardInterrupt("stopped by SIGTERM") from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


def _report(folder: Path, logger: WandbLogger | None, status: str) -> None:
    """Figures, page, W&B pictures, and what the terminal ends with.

    A report that cannot be made takes nothing from the run: the facts are written by then.
    """
    from rich.console import Console

    from fer_lab.report.figures import write_figures
    from fer_lab.report.page import write_page
    from fer_lab.report.run import load_run
    from fer_lab.report.tables import summary
    from fer_lab.tracking import send_report

    console = Console(stderr=status != "finished")
    try:
        run = load_run(folder)
        figures = write_figures(run)
        page = write_page(run)
        if logger is not None:
            send_report(logger, run, figures)
        if status == "finished":
            console.print(summary(run))
        console.print(f"report: {page}", soft_wrap=True, highlight=False)
    except Exception:
        log.exception("the report could not be made; the run's facts are in %s", folder)
    if status != "finished":
        kept = sorted(path.name for path in (folder / "checkpoints").glob("*.ckpt"))
        lines = [f"run {status}: {folder}", *([f"  kept: {', '.join(kept)}"] if kept else [])]
        if status == "interrupted":
            lines.append(f"  go on: fer-lab train resume='{folder}'")
        console.print("\n".join(lines), soft_wrap=True, highlight=False)


def _quiet(*, primary: bool) -> None:
    """Silence what libraries say about themselves; warnings about the user's data stay.

    Of several processes only the first speaks.
    """
    if not primary:
        logging.getLogger().setLevel(logging.ERROR)
    import pytorch_lightning  # noqa: F401 - sets its own level when it is first imported

    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in (
        r".*does not have many workers.*",
        r".*number of training batches.*",
        r".*Checkpoint directory.*exists and is not empty.*",
        r".*LeafSpec.*",
        r".*pynvml.*",
        r".*isinstance\(treespec.*",
    ):
        warnings.filterwarnings("ignore", pattern)
