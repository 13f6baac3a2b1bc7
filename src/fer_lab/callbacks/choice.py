"""Which epoch is kept and when to stop: by any figure, but never by that of a useless model."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor

from fer_lab.errors import ConfigError, near_miss

log = logging.getLogger(__name__)

Mode = Literal["auto", "min", "max"]
Floor = Mapping[str, float | Literal["auto"] | None]

ACCURACY = "val/accuracy"
COLLAPSED = "val/collapsed"
DEFAULT_FLOOR: Floor = {ACCURACY: "auto"}

# How far from chance (0) to perfect (1) an accuracy must be when no floor is named.
_ABOVE_CHANCE = 0.1

_LARGER_IS_BETTER = ("accuracy", "f1")
_SMALLER_IS_BETTER = ("loss", "bias", "collapsed", "undefined", "dpd", "eod", "fairness")


def direction(monitor: str, mode: Mode = "auto") -> Literal["min", "max"]:
    """Whether smaller or larger values of a figure are better.

    Args:
        monitor: name of the figure.
        mode: ``auto`` knows accuracies, F1, losses and everything below ``fairness/``.

    Raises:
        ConfigError: for a figure that ``auto`` does not know, or another mode.

    >>> direction("val/fairness/bias"), direction("val/fairness/gender/worst_group_accuracy")
    ('min', 'max')
    """
    if mode == "min" or mode == "max":
        return mode
    if mode != "auto":
        raise ConfigError(f"no mode {mode!r}", where="mode", hint="choose auto, min or max")
    parts = monitor.split("/")
    if any(word in parts[-1] for word in _LARGER_IS_BETTER):
        return "max"
    if any(word in (*parts[-1].split("_"), *parts) for word in _SMALLER_IS_BETTER):
        return "min"
    raise ConfigError(
        f"whether a small or a large {monitor} is better is not known",
        where=f"monitor={monitor}",
        hint="say mode=min or mode=max",
    )


def default_floor(num_classes: int) -> float:
    """The accuracy that a usable model exceeds: a tenth of the way from chance to perfect.

    >>> round(default_floor(7), 3), default_floor(2)
    (0.229, 0.55)
    """
    chance = 1 / num_classes
    return chance + _ABOVE_CHANCE * (1 - chance)


def passes(figures: Mapping[str, Tensor], floor: Floor, num_classes: int) -> bool:
    """Whether an epoch's model is of use: not collapsed, and no figure below its floor.

    Args:
        figures: what has been logged.
        floor: the lowest value by figure; ``auto`` is `default_floor`, None none.
        num_classes: of the model.

    Raises:
        ConfigError: when a figure with a floor is not logged.
    """
    collapsed = figures.get(COLLAPSED)
    if collapsed is not None and bool(collapsed > 0):
        return False
    for name, lowest in floor.items():
        if lowest is None:
            continue
        bound = default_floor(num_classes) if lowest == "auto" else float(lowest)
        # A figure that is NaN has not reached any floor.
        if not bool(_found(figures, name, "floor") >= bound):
            return False
    return True


class BestCheckpoint(ModelCheckpoint):
    """Keep the epoch whose monitored figure is best among those whose model is of use.

    A model that answers the same for everyone has no bias at all, so that choosing by bias alone
    chooses it. An epoch counts when it predicts more than two classes (``val/collapsed`` is 0), no
    figure is below its floor, and the monitored figure is a number. As long as no epoch counts,
    the most accurate one is kept, which is said at the end.

    Args:
        dirpath: folder of the checkpoint.
        filename: its name without the suffix.
        monitor: any logged figure, ``val/fairness/bias`` for one.
        mode: ``min``, ``max``, or ``auto`` to know it from the figure's name.
        floor: the lowest value of other figures, ``{"val/accuracy": 0.4}``; ``auto`` takes
            `default_floor`, None none.
    """

    def __init__(
        self,
        dirpath: str | Path,
        *,
        filename: str = "best",
        monitor: str = "val/loss",
        mode: Mode = "auto",
        floor: Floor | None = None,
    ) -> None:
        super().__init__(
            dirpath,
            filename,
            monitor=monitor,
            mode=direction(monitor, mode),
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.floor: Floor = DEFAULT_FLOOR if floor is None else dict(floor)
        self.found = False
        self._most_accurate = -math.inf

    def state_dict(self) -> dict[str, Any]:
        """Lightning's state, and whether an epoch has counted yet."""
        known = {"found": self.found, "most_accurate": self._most_accurate}
        return super().state_dict() | known

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        super().load_state_dict(state_dict)
        self.found = bool(state_dict["found"])
        self._most_accurate = float(state_dict["most_accurate"])

    def _save_topk_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        assert self.monitor is not None
        if self.monitor.startswith("val/") and not trainer.enable_validation:
            return  # a training without validation leaves nothing to choose by
        value = _found(monitor_candidates, self.monitor, "monitor")
        useful = passes(monitor_candidates, self.floor, _num_classes(trainer))
        if useful and bool(value.isfinite()):
            if not self.found:
                self.found, self.best_k_models = True, {}
            super()._save_monitor_checkpoint(trainer, monitor_candidates)
        elif not self.found:
            accuracy = float(_found(monitor_candidates, ACCURACY, "floor"))
            if accuracy > self._most_accurate or not self.best_model_path:
                self._most_accurate, self.best_k_models = accuracy, {}
                self._update_best_and_save(value, trainer, monitor_candidates)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say when the checkpoint kept is only the least bad one."""
        super().on_train_end(trainer, pl_module)
        if self.best_model_path and not self.found:
            lowest = {
                name: default_floor(_num_classes(trainer)) if bound == "auto" else bound
                for name, bound in self.floor.items()
                if bound is not None
            }
            limits = " and ".join(f"{name} of {bound:.3f}" for name, bound in lowest.items())
            log.warning(
                "no epoch had a model of use%s: %s is the most accurate one (%s %.3f), not the best"
                " by %s",
                f" (more than two classes predicted, {limits} at least)" if limits else "",
                Path(self.best_model_path).name,
                ACCURACY,
                self._most_accurate,
                self.monitor,
            )


class Patience(EarlyStopping):
    """Stop when the monitored figure has not improved for a number of epochs.

    Epochs before the first model of use (see `BestCheckpoint`) do not count; after it, a model
    that is none, or a figure that is no number, is no improvement.

    Args:
        epochs: how many without improvement; None never stops.
        monitor: any logged figure.
        mode: ``min``, ``max``, or ``auto`` to know it from the figure's name.
        min_delta: smallest difference that is an improvement.
        floor: as of `BestCheckpoint`.
    """

    def __init__(
        self,
        epochs: int | None,
        *,
        monitor: str = "val/loss",
        mode: Mode = "auto",
        min_delta: float = 0.0,
        floor: Floor | None = None,
    ) -> None:
        super().__init__(
            monitor,
            min_delta=min_delta,
            patience=1 if epochs is None else epochs,
            mode=direction(monitor, mode),
            check_finite=False,
        )
        self.floor: Floor = DEFAULT_FLOOR if floor is None else dict(floor)
        self._never = epochs is None
        self._useful = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once where a training that goes on from a checkpoint had stopped by itself."""
        if not self._never and self.wait_count >= self.patience:
            trainer.should_stop = True

    def _run_early_stopping_check(self, trainer: Trainer) -> None:
        if self._never:
            return
        figures = trainer.callback_metrics
        _found(figures, self.monitor, "monitor")
        self._useful = passes(figures, self.floor, _num_classes(trainer))
        begun = not bool(self.best_score.isinf())
        if not begun and not self._useful:
            return
        super()._run_early_stopping_check(trainer)
        if self.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED:
            log.info("stopped: %s did not improve for %d epochs", self.monitor, self.wait_count)

    def _evaluate_stopping_criteria(self, current: Tensor) -> tuple[bool, str | None]:
        counted = current if self._useful else torch.full_like(current, torch.nan)
        return super()._evaluate_stopping_criteria(counted)


def _num_classes(trainer: Trainer) -> int:
    return int(trainer.lightning_module.num_classes)  # type: ignore[arg-type]


def _found(figures: Mapping[str, Tensor], name: str, option: str) -> Tensor:
    """A logged figure.

    Raises:
        ConfigError: when there is none of that name, with the one that was probably meant.
    """
    if name in figures:
        return figures[name]
    near = near_miss(name, figures)
    raise ConfigError(
        f"no figure {name!r} is logged" + (f"; did you mean {near!r}?" if near else ""),
        where=f"{option}={name}",
        hint=f"logged are {', '.join(sorted(figures))}",
    )
