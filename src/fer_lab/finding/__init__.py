"""What a training may look for before it begins: a learning rate, a batch size.

Searches train throw-away models on the run's data; the training that follows is, bit for bit, the
one that has what was found written into its configuration.
"""

from __future__ import annotations

import copy
import gc
import logging
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from fer_lab.data.datamodule import FaceDataModule
    from fer_lab.running import Session

log = logging.getLogger(__name__)

# Steps of a trial: the first makes the optimizer's state, later ones have it from the beginning.
_TRIAL_STEPS = 3

# Fewer steps cannot show where the loss falls.
FEWEST_STEPS = 20

_BYTES = 1e9


def refuse_searches(cfg: DictConfig) -> None:
    """Searches that cannot work, before anything is loaded.

    Raises:
        ConfigError: for options that cannot work, several processes, a model that has no rate,
            and a search for a batch size on a CPU without a limit.
    """
    options = cfg.find
    _check(options)
    if not (options.lr or options.batch_size):
        return
    if options.lr and cfg.model.get("optimizer") is None:
        raise ConfigError(
            "this model has no learning rate to be found",
            where="find.lr=true",
            hint="leave it out, or state model.optimizer",
        )
    from fer_lab.finding.trials import trial_trainer

    trainer = trial_trainer(cfg, steps=1)
    if trainer.world_size > 1:
        asked = " and ".join(
            name for name in ("find.lr", "find.batch_size") if OmegaConf.select(cfg, name)
        )
        raise ConfigError(
            f"{asked} work in one process, and this training has {trainer.world_size}",
            where=f"trainer.devices={cfg.trainer.devices}",
            hint="search with trainer=auto; then give this training what was found, as "
            "model.optimizer.lr=… and recipe.batch_size=… (per device)",
        )
    limited = options.max_memory is not None or options.max_batch_size is not None
    if options.batch_size and not limited and trainer.strategy.root_device.type == "cpu":
        raise ConfigError(
            "on a CPU a batch that is too large ends the process, not in an error",
            where="find.batch_size=true",
            hint="give a limit: find.max_memory=8 (GB of this process) or find.max_batch_size=256",
        )


def find(cfg: DictConfig, session: Session, datamodule: FaceDataModule) -> None:
    """Search what ``cfg.find`` asks for, and put it into the configuration and the data.

    The batch size comes first, so that the rate is that of its batches. What was found stands in
    ``run.json`` as ``found``; a resumed run takes it from there.

    Args:
        cfg: the composed configuration, changed in place.
        session: of the run.
        datamodule: set up; its batch sizes are changed.

    Raises:
        ConfigError: when not even the smallest batch fits, or nothing learns.
    """
    from pytorch_lightning.utilities.seed import isolate_rng

    from fer_lab.finding.trials import quiet_models

    found: dict[str, Any] = dict(session.record.content.get("found") or {})
    searches = {"batch_size": _batch_size, "lr": _learning_rate}
    for name, search in searches.items():
        if not cfg.find[name]:
            continue
        if name not in found:
            with session.record.timed("find"), isolate_rng(), quiet_models():
                found[name] = search(cfg, session.folder, datamodule)
            gc.collect()  # models, and the processes that loaded their data
            session.record.update(found=found)
        value = found[name]["value"]
        if name == "batch_size":
            cfg.data.batch_size = datamodule.batch_size = value
            if cfg.data.eval_batch_size is None:
                datamodule.eval_batch_size = 2 * value
        elif value is not None:
            OmegaConf.update(cfg, "model.optimizer.lr", value, force_add=True)
    if found and session.logger is not None:
        with session.logger.spared():
            session.logger.experiment.config.update({"found": found}, allow_val_change=True)


def _learning_rate(cfg: DictConfig, folder: Path, datamodule: FaceDataModule) -> dict[str, Any]:
    """The facts of a search for a learning rate; its steps as a table and a figure."""
    from fer_lab.callbacks.range_test import RangeTest
    from fer_lab.files import atomic_path
    from fer_lab.finding.learning_rate import range_table, rising_rates, suggest
    from fer_lab.finding.trials import throw_away, trial_trainer
    from fer_lab.report.learning_rate import learning_rate_figure

    configured = float(cfg.model.optimizer.get("lr", 1e-3))
    options = cfg.find
    rates = rising_rates(options.lowest_lr, options.highest_lr, options.lr_steps)
    test = RangeTest(rates, configured)
    log.info("find.lr: %d steps from %.3g to %.3g", len(rates), rates[0], rates[-1])
    trainer = trial_trainer(cfg, steps=len(rates), callbacks=[test], folder=folder)
    trainer.fit(throw_away(cfg, datamodule), datamodule=copy.copy(datamodule))
    suggestion = suggest(rates, test.losses)
    table = range_table(rates, test.losses)
    with atomic_path(folder / "metrics" / "learning_rate.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(folder / "figures" / "learning_rate.png") as temporary:
        learning_rate_figure(table, suggestion.rate).savefig(temporary)
    if suggestion.rate is None:
        log.warning(
            "find.lr: no learning rate can be suggested, %.3g stays: %s", configured, suggestion.why
        )
    else:
        log.info("find.lr: %.3g in place of %.3g: %s", suggestion.rate, configured, suggestion.why)
    return {
        "value": suggestion.rate,
        "configured": configured,
        "why": suggestion.why,
        "steps": len(test.losses),
    }


def _batch_size(cfg: DictConfig, folder: Path, datamodule: FaceDataModule) -> dict[str, Any]:
    """The facts of a search for a batch size.

    Raises:
        ConfigError: when not even the smallest fits.
    """
    from pytorch_lightning.utilities.memory import garbage_collection_cuda

    from fer_lab.finding.batch_size import Memory, is_out_of_memory, largest_fitting
    from fer_lab.finding.trials import trial_trainer

    options = cfg.find
    images = len(datamodule.train_rows)
    most = images if options.max_batch_size is None else min(options.max_batch_size, images)
    device = trial_trainer(cfg, steps=1).strategy.root_device
    limit = None if options.max_memory is None else _BYTES * options.max_memory
    memory = Memory(device, limit)

    def fits(size: int) -> bool:
        fitted = memory.allows(size)
        if fitted:
            memory.begin()
            try:
                _try_batches(cfg, folder, datamodule, size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                fitted = False
            else:
                fitted = memory.end(size)
        garbage_collection_cuda()
        log.info("find.batch_size: %d %s", size, "fits" if fitted else "does not fit")
        return fitted

    size = largest_fitting(fits, most, options.batch_search)
    if size is None:
        taken = max(memory.peaks.values(), default=None)
        raise ConfigError(
            "not even the smallest batch fits into memory"
            + ("" if taken is None else f": it takes {taken / _BYTES:.1f} GB"),
            where="find.batch_size=true"
            + ("" if limit is None else f" find.max_memory={options.max_memory}"),
            hint="allow more, or take a smaller model or recipe.image_size",
        )
    bound = "memory"
    if size == most:
        bound = "find.max_batch_size" if most < images else "the training images"
    log.info(
        "find.batch_size: %d in place of %d, limited by %s", size, datamodule.batch_size, bound
    )
    return {
        "value": size,
        "configured": datamodule.batch_size,
        "limited_by": bound,
        "peak_gb": {str(each): round(peak / _BYTES, 3) for each, peak in memory.peaks.items()},
    }


def _try_batches(cfg: DictConfig, folder: Path, datamodule: FaceDataModule, size: int) -> None:
    """Train on a few batches of a size, with all that a step of the run keeps in memory."""
    from hydra.utils import instantiate

    from fer_lab.finding.trials import throw_away, trial_trainer

    data = copy.copy(datamodule)
    data.batch_size = size
    averaging = cfg.callbacks.get("averaging")
    callbacks = [] if averaging is None else [instantiate(averaging, _convert_="all")]
    trainer = trial_trainer(
        cfg, steps=_TRIAL_STEPS, callbacks=callbacks, folder=folder, limit_train_batches=1.0
    )
    trainer.fit(throw_away(cfg, datamodule), datamodule=data)


def _check(options: DictConfig) -> None:
    """Raise a ConfigError for an option of ``find`` that cannot work."""
    for name in ("lr", "batch_size"):
        if not isinstance(options[name], bool):
            raise ConfigError(
                f"find.{name}={options[name]} is neither true nor false", where=f"find.{name}"
            )
    wholes = {"lr_steps": FEWEST_STEPS, "max_batch_size": 2}
    for name in ("lowest_lr", "highest_lr", "lr_steps", "max_batch_size", "max_memory"):
        value, lowest = options[name], wholes.get(name, 0)
        if value is None and name.startswith("max_"):
            continue
        kinds = (int,) if name in wholes else (int, float)
        right = isinstance(value, kinds) and not isinstance(value, bool) and value >= lowest
        if not right or value == 0:
            kind = f"a whole number from {lowest} on" if name in wholes else "a positive number"
            raise ConfigError(f"find.{name}={value} is not {kind}", where=f"find.{name}")
    if options.lowest_lr >= options.highest_lr:
        raise ConfigError(
            f"learning rates do not rise from {options.lowest_lr} to {options.highest_lr}",
            where="find.lowest_lr, find.highest_lr",
        )
    if options.batch_search not in ("power", "exact"):
        raise ConfigError(
            f"there is no search {options.batch_search!r} for a batch size",
            where="find.batch_search",
            hint="choose power (powers of two) or exact (any size)",
        )
