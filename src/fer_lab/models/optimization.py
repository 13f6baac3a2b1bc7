"""Optimizers and learning-rate schedules by name, from plain mappings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from fer_lab.errors import ConfigError
from fer_lab.models import sam

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}

SCHEDULERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "cosine": ("final",),
    "one_cycle": ("warmup", "initial", "final"),
    "plateau": ("monitor", "mode", "factor", "patience", "min_lr"),
    "step": ("at", "factor"),
}


def check_optimizer(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError if ``options`` name no optimizer or an option it does not have."""
    name = options.get("name")
    if name == sam.NAME:
        check_optimizer(sam.split_options(options)[1])
        return
    if name not in OPTIMIZERS:
        raise _unknown("optimizer", name, (*OPTIMIZERS, sam.NAME))
    known = set(inspect.signature(OPTIMIZERS[name]).parameters) - {"params"}
    _check_options("optimizer", name, set(options) - {"name"}, known)
    rate = options.get("lr", 1e-3)
    if not isinstance(rate, (int, float)) or not rate > 0:
        raise ConfigError(
            f"a learning rate is a positive number, not {rate!r}", where="model.optimizer.lr"
        )


def check_scheduler(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError if ``options`` name no schedule or an option it does not have."""
    name = options.get("name")
    if name not in SCHEDULERS:
        raise _unknown("scheduler", name, SCHEDULERS)
    _check_options("scheduler", name, set(options) - {"name"}, set(SCHEDULERS[name]))


def build_optimizer(parameters: Iterable[nn.Parameter], options: Mapping[str, Any]) -> Optimizer:
    """The optimizer that ``options`` name: ``{name: adam | adamw | sgd, lr: …, …}``.

    Everything beside ``name`` goes to the optimizer of torch. On a CPU the fused implementation is
    used unless ``fused`` says otherwise: the step takes a third of the time.
    """
    if options["name"] == sam.NAME:
        rho, inner = sam.split_options(options)
        return sam.SAM(build_optimizer(parameters, inner), rho=rho)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    arguments = {key: value for key, value in options.items() if key != "name"}
    if all(parameter.device.type == "cpu" for parameter in trained):
        arguments.setdefault("fused", True)
    if "betas" in arguments:
        arguments["betas"] = tuple(arguments["betas"])
    arguments.setdefault("lr", 1e-3)
    make: Callable[..., Optimizer] = OPTIMIZERS[options["name"]]
    return make(trained, **arguments)


def build_scheduler(
    optimizer: Optimizer, options: Mapping[str, Any], trainer: pl.Trainer
) -> dict[str, Any] | None:
    """The schedule that ``options`` name, as Lightning takes it; None for ``none``.

    - ``cosine``: from the learning rate to ``final`` (0) times it over the whole training.
    - ``one_cycle``: up from ``initial`` (0.1) times the learning rate during the share ``warmup``
      (0.15) of the steps, then down a cosine to ``final`` (0.001) times it.
    - ``plateau``: times ``factor`` (0.1) when ``monitor`` (val/loss) has not fallen (risen,
      with ``mode: max``) for ``patience`` (3) epochs, not below ``min_lr`` (0).
    - ``step``: times ``factor`` (0.1) at the shares ``at`` (1/3 and 2/3) of the training.

    Raises:
        ConfigError: for a schedule over the whole training when its length is not known.
    """
    name = options["name"]
    if name == "none":
        return None
    if name == "plateau":
        return {
            "scheduler": lr_scheduler.ReduceLROnPlateau(
                optimizer,
                mode=options.get("mode", "min"),
                factor=options.get("factor", 0.1),
                patience=options.get("patience", 3),
                min_lr=options.get("min_lr", 0.0),
            ),
            "monitor": options.get("monitor", "val/loss"),
            "strict": False,
        }
    steps = _steps(trainer, name)
    scheduler: lr_scheduler.LRScheduler
    if name == "cosine":
        lowest = options.get("final", 0.0) * optimizer.param_groups[0]["lr"]
        scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=lowest)
    elif name == "one_cycle":
        initial = options.get("initial", 0.1)
        scheduler = lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps + 1,
            pct_start=options.get("warmup", 0.15),
            div_factor=1 / initial,
            final_div_factor=initial / options.get("final", 0.001),
            cycle_momentum=False,
        )
    else:
        milestones = [round(share * steps) for share in options.get("at", (1 / 3, 2 / 3))]
        scheduler = lr_scheduler.MultiStepLR(optimizer, milestones, options.get("factor", 0.1))
    return {"scheduler": scheduler, "interval": "step"}


def _steps(trainer: pl.Trainer, name: str) -> int:
    steps = trainer.estimated_stepping_batches
    if steps == float("inf"):
        raise ConfigError(
            f"the schedule {name!r} needs to know how long the training is",
            where="model.scheduler.name",
            hint="set trainer.max_epochs, or use model.scheduler.name=plateau or none",
        )
    return max(int(steps), 1)


def _unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"no {kind} is called {name!r}",
        where=f"model.{kind}.name",
        hint=f"choose one of {', '.join(known)}",
    )


def _check_options(kind: str, name: str, given: set[str], known: set[str]) -> None:
    wrong = sorted(given - known)
    if wrong:
        raise ConfigError(
            f"{kind} {name!r} has no option {', '.join(wrong)}",
            where=f"model.{kind}",
            hint=f"it takes {', '.join(sorted(known)) or 'none'}",
        )
